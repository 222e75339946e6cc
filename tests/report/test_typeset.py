"""Marks and signs in every format; tests of tables and differences show the rest."""

import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt  # rich has it

from nidbench.report.typeset import FITTED, Sheet, number, shortener, signed_texts, write

SHEET = Sheet("Two.", ["a|b", "x"], 1, [["m_1", "1.00"], ["m_2", "2.00"]], {0}, [], {(1, 1)}, {(0, 1), (1, 1)})


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        ("md", "| m_1  |     *1.00* |", "| m_2  | **2.00** |"),
        ("latex", r"m\_1 & \textit{1.00} \\", r"m\_2 & \textbf{2.00} \\"),
        ("html", '<td style="text-align: right"><i>1.00</i></td>', '<td style="text-align: right"><b>2.00</b></td>'),
    ],
)
def test_bold_goes_before_italics(form, first, second):
    text = write(SHEET, form)
    squeezed = " ".join(text.split())
    for line in (first, second):
        assert " ".join(line.split()) in squeezed
    assert text.count("1.00") == text.count("2.00") == 1


@pytest.mark.parametrize("characters", [50, 51])
def test_a_table_too_wide_for_a_column_is_set_over_the_page_in_latex_and_shrunk_to_it(characters):
    sheet = Sheet("One.", ["a", "x", "y"], 1, [["m" * (characters - 6 - 8), "1.00", "2.00"]], {0}, ["a note"])
    text, wide = write(sheet, "latex"), characters == 51
    assert text.startswith(r"% needs \usepackage{booktabs}" + r" and \usepackage{graphicx}" * wide + "\n")
    assert (text.count(r"\resizebox"), text.count("{table*}")) == (wide, 2 * wide)
    assert text.count("{") == text.count("}")


GROUPED = Sheet(
    "One.",
    ["dataset", "kernels", "noise", "method", "PSNR"],
    4,
    [["set", "levin", "1_%", "a", "1.00"], ["", "", "", "b", "2.00"], ["", "", "3_%", "b", "3.00"]],
    {0, 2},
    [],
    {(1, 4)},
    {(2, 3)},
)


def test_what_all_rows_share_is_a_sentence_of_the_caption_in_latex():
    lines = write(GROUPED, "latex").splitlines()
    assert r"\caption{One. All rows: dataset: set, kernels: levin.}" in lines
    assert r"\begin{tabular}{llr}" in lines
    rows = [line for line in lines if "&" in line]
    assert rows[0] == r"noise & method & PSNR \\"
    assert rows[1:] == [r"1\_\% & a & 1.00 \\", r" & b & \textbf{2.00} \\", r"3\_\% & \textit{b} & 3.00 \\"]
    assert "dataset" in write(GROUPED, "md").splitlines()[2]


@pytest.mark.parametrize(
    "rows",
    [
        [["set", "levin", "5 %", "a", "1.00"]],  # of one row all is its own
        [["set", "levin", "5 %", "a", "1.00"], ["other", "", "", "a", "1.00"]],
        [["set", "levin", "5 %", "a", "1.00"], ["set", "", "", "a", "1.00"]],  # said again, and not as above
        [["", "", "", "a", "1.00"], ["", "", "", "b", "1.00"]],
    ],
)
def test_what_is_not_shared_stays_in_the_rows(rows):
    text = write(replace(GROUPED, rows=rows, bold=set(), italic=set(), rules={0}), "latex")
    assert "All rows" not in text
    assert "dataset & kernels" in text


@pytest.fixture
def latex():
    """Return the program, where it is with the packages that our tables want."""
    program = shutil.which("pdflatex")
    wanted = ["booktabs.sty", "graphicx.sty"]
    if program is None or subprocess.run(["kpsewhich", *wanted], capture_output=True, check=False).returncode:
        pytest.skip("needs LaTeX with booktabs and graphicx")
    return program


@pytest.mark.parametrize("option", ["", "twocolumn"])
@pytest.mark.parametrize("columns", [3, 8, 24])
def test_latex_sets_a_table_within_its_page(tmp_path, latex, option, columns):
    titles = [f"{title} 95 %" for title in "abcdefghijklmnopqrstuvwxyz"[:columns]]
    rows = [["[all*_^~\\", *["±1.00"] * (columns - 1)], ["", *["2.00"] * (columns - 1)]]
    sheet = Sheet("#One & <two> {3} 100 %.", titles, 1, rows, {0}, ["a note of _this_"], {(0, 1)}, {(1, 2)})
    (tmp_path / "table.tex").write_text(write(sheet, "latex"))
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass[{option}]{{article}}\usepackage{{booktabs}}\usepackage{{graphicx}}"
        r"\begin{document}Words.\input{table}\end{document}"
    )
    command = [latex, "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    log = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=True).stdout
    assert "Overfull" not in log


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("gaussian:0.027450980392156862", "gaussian:0.02745"),
        ("set (danielyan gaussian:0.00784313725490196): 1 of 2", "set (danielyan gaussian:0.007843): 1 of 2"),
        ("gaussian:1.1234567890e-05", "gaussian:1.123e-05"),
        ("gaussian:0.123456", "gaussian:0.123456"),
        ("26.50 of 2026-01-02T03:04:05", "26.50 of 2026-01-02T03:04:05"),
    ],
)
def test_long_numbers_in_names_are_shortened_in_rows_and_notes(text, short):
    assert shortener([text])(text) == short
    sheet = Sheet("One.", ["a", "x"], 1, [[text, "1.00"]], {0}, [text])
    assert write(sheet, "md").count(short) == 2


@pytest.mark.parametrize("other", ["0.51234", "0.512345678", "0.5123"])
def test_numbers_stay_whole_that_would_look_like_another(other):
    names = ["tv[weight=0.5123456789]", f"tv[weight={other}]"]
    sheet = Sheet("One.", ["method", *names], 1, [[name, "1.00", "2.00"] for name in names], {0}, [", ".join(names)])
    text = write(sheet, "md")
    assert text.count(names[0]) == (3 if other != "0.51234" else 0)
    assert len({line.partition("|")[2].partition("|")[0] for line in text.splitlines() if line.startswith("| tv")}) == 2


def test_a_bar_in_a_text_does_not_end_a_cell():
    assert "| a\\|b |" in write(SHEET, "md")


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (math.nan, ".2f", "–"),  # noqa: RUF001
        (-1.5, "+.1f", "−1.5"),  # noqa: RUF001
        (1.5, "+.1f", "+1.5"),
        (-1.5, ".1f", "−1.5"),  # noqa: RUF001
        (0.01234, "seconds", "0.0123"),
        (1234.5, "seconds", "1234"),
        (-math.inf, "+.2f", "−inf"),  # noqa: RUF001
    ],
)
def test_number(value, form, text):
    assert number(value, form) == text


#: Names of folders, labels and files that would be more than text.
NAMES = [
    *(
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a<b",
        "&lt;b&gt;",
        "`rm`",
        "**loud**",
        "_x_",
        "~~x~~",
    ),
    *(
        "[here](javascript:x)",
        "![i](http://x.test/i.png)",
        "a|b",
        "a\\|b",
        "# h",
        "- l",
        "1. x",
        "---",
        "> q",
        "    code",
    ),
    *("two\nlines", "\r\n# h", "\x1b[31mred", "\u202eevil", "\u2028x", "end\\", "*", "[x]", "\\input{x}", "$x$", "%"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_markdown(name):
    """Read by another implementation, they come out as they are, but for what is not to be seen."""
    markdown = MarkdownIt("commonmark").enable("table").enable("strikethrough")
    sheet = Sheet(f"{name} in a caption.", ["a", name], 1, [[name, "1.00"]], {0}, [name])
    text = write(sheet, "md")
    tokens = [each for token in markdown.parse(text) for each in (token, *(token.children or ()))]
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert kinds <= {*("inline", "text", "text_special", "paragraph", "bullet_list", "list_item"), *TABLE}
    shown = ["".join(each.content for each in token.children) for token in tokens if token.type == "inline"]
    seen = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    assert [" ".join(each.split()) for each in shown] == [f"{seen} in a caption.", "a", seen, seen, "1.00", seen]


TABLE = ("table", "thead", "tbody", "tr", "th", "td")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_html_and_latex(name):
    sheet = Sheet(name, ["a", name], 1, [[name, "1.00"]], {0}, [name])
    page = HTMLTags()
    page.feed(write(sheet, "html"))
    assert page.found <= {"caption", "ul", "li", *TABLE}
    lines = write(sheet, "latex").splitlines()
    plain = "x" * len(name)
    of_plain = write(Sheet(plain, ["a", plain], 1, [[plain, "1.00"]], {0}, [plain]), "latex").splitlines()
    assert len(lines) == len(of_plain)
    own = "\n".join(line for line in lines if line != FITTED).replace("\\\\", "")
    assert "\\input" not in own
    assert not re.search(
        r"(?<!\\)[$%#&^~]|\\\\\s*[*\[]", re.sub(r"\$[\\a-z-]+\$| & |^%.*", "", own, flags=re.MULTILINE)
    )
    assert not any(line.startswith(("*", "[")) for line in lines)


class HTMLTags(HTMLParser):
    """Which elements a page has."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        assert all(name == "style" for name, _ in attrs)


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((1.234, 0.5, 2.0), ("+1.23", "[+0.50, +2.00]")),
        ((0.004, -0.001, 0.009), ("+0.00", "[−0.00, +0.01]")),  # noqa: RUF001
        ((-0.5, -0.996, -0.004), ("−0.500", "[−0.996, −0.004]")),  # noqa: RUF001
        ((2e-5, 1e-5, 3e-5), ("+0.00002", "[+0.00001, +0.00003]")),
        ((1e-30, 1e-30, 1e-30), ("+0.000000000000", "[+0.000000000000, +0.000000000000]")),
        ((0.0, 0.0, 0.0), ("+0.00", "[+0.00, +0.00]")),
        ((math.inf, math.nan, math.nan), ("+inf", "–")),  # noqa: RUF001
        ((math.nan, math.nan, math.nan), ("–", "–")),  # noqa: RUF001
    ],
)
def test_a_difference_has_the_decimals_that_tell_on_which_side_of_0_its_interval_lies(numbers, texts):
    assert signed_texts(*numbers) == texts
