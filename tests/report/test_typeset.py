"""Marks and signs in every format; tests of tables and differences show the rest."""

import math
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt  # rich has it

from nidbench.report.typeset import Sheet, number, shortener, signed_texts, write

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


@pytest.mark.parametrize("columns", [12, 13])
def test_a_table_too_wide_for_a_page_is_shrunk_to_it_in_latex(columns):
    sheet = Sheet("One.", ["a", *"x" * (columns - 1)], 1, [["m", *["1.00"] * (columns - 1)]], {0}, ["a note"])
    text, wide = write(sheet, "latex"), columns == 13
    assert text.startswith(r"% needs \usepackage{booktabs}" + r" and \usepackage{graphicx}" * wide + "\n")
    assert (text.count(r"\resizebox"), text.count("{table*}")) == (wide, 2 * wide)
    assert text.count("{") == text.count("}")


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
    assert len(lines) == len(write(Sheet("x", ["a", "x"], 1, [["x", "1.00"]], {0}, ["x"]), "latex").splitlines())
    own = "\n".join(lines).replace("\\\\", "")
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
