"""The structure of LaTeX in the paper's layout, by a reader stricter than TeX: there is no TeX here to set it."""

import math
import re
from dataclasses import replace

import pytest

from nidbench.paper.latex_layout import Row, paper_layout
from nidbench.paper.published import numbers

NAN = (math.nan, math.nan)
CONDITION = ("set12", "levin", "gaussian:0.01")
ROWS = [
    Row(CONDITION, "FID", "non-learning", (27.68, 0.796), (29.35, 0.85), True),
    Row(CONDITION, "Ours", "dataset-free", (31.56, 0.886), (31.50, 0.88), True),
    Row(CONDITION, "FDN", "supervised", (31.02, 0.876), (30.98, 0.89), False),
    Row(CONDITION, "DMSP", "supervised", (31.20, 0.87), NAN, True),
    Row(CONDITION, "wiener", "", NAN, (26.0, 0.7), True),
]
#: All that may follow a backslash.
COMMANDS = {"begin", "end", "caption", "centering", "scriptsize", "footnotesize", "par", "vspace", "setlength"}
COMMANDS |= {"resizebox", "ifdim", "width", "textwidth", "else", "fi", "tabcolsep", "multicolumn", "sigma"}
COMMANDS |= {"toprule", "midrule", "bottomrule", "underline", "textbf", "textbackslash", "textasciitilde"}
COMMANDS |= {"textasciicircum", "textless", "textgreater", "textbar", *"\\_%&#${}"}

HOSTILE = r"a_b % c & d # e $ f {g} h ~ i ^ j \ k < l > m | n [o] p\\ q"


def read(text):
    """Return each tabular of a LaTeX text as its columns and rows of cells, without rules; refuse what TeX would."""
    assert text.isascii()
    assert "\n\n" not in text, "an empty line ends an argument"
    text = re.sub(r"(?<!\\)%.*\n", "", text)
    assert set(re.findall(r"\\([A-Za-z]+|[^A-Za-z])", text)) <= COMMANDS
    assert not re.search(r"\\\\\s*[\[*]", text), "it would belong to the end of the row before"
    check_nesting(text)
    tabular = re.compile(r"\\begin{tabular}{([lcr]+)}\n(.*?)\\end{tabular}", re.DOTALL)
    around = tabular.sub("", text)
    assert not re.search(r"\\\\|(?<!\\)&", around), "of a row, outside of any"
    return [(columns, read_rows(body)) for columns, body in tabular.findall(text)]


def read_rows(body):
    rules = re.compile(r"^(\\(top|mid|bottom)rule\n)+")
    *ended, rest = (rules.sub("", row) for row in body.split("\\\\\n"))
    assert rest == "", "the last row is not ended"
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in ended]
    for row in rows:
        for cell in row:
            check_nesting(cell)
            assert not re.search(r"rule\b|\\\\", cell), "within a row"
    return rows


def check_nesting(text):
    """Refuse braces, environments and formulas that are not closed, and characters that mean something else bare."""
    opened = []
    for found in re.finditer(r"\\(begin|end){(\w+\*?)}|\\.|[{}]", text):
        if found[1] == "begin" or found[0] == "{":
            opened.append(found[2])
        elif found[1] == "end" or found[0] == "}":
            assert opened, f"{found[0]} closes nothing"
            assert opened.pop() == found[2]
    assert opened == []
    parts = re.sub(r"\\[^A-Za-z]", "", text.replace(r"\width>\textwidth", "")).split("$")
    assert len(parts) % 2, "a formula is not closed"
    assert not re.search(r"[_^#~<>|]|\\sigma", "".join(parts[::2]))


def width(row):
    """How many columns a row fills."""
    spans = [re.match(r"\\multicolumn{(\d+)}", cell) for cell in row]
    return sum(int(span[1]) if span else 1 for span in spans)


def lines(text, block=0):
    """The lines of numbers of a block as lists of cells."""
    return read(text)[block][1][2:]


def published_rows(name, measured=0.1):
    """All that the paper has of a table, measured higher by an offset where it can be run, and a method more."""
    frame, rows = numbers(), []
    for row in frame[frame["table"] == name].to_dict("records"):
        condition = (row["dataset"], row["kernels"], row["noise"] or "of the kernels")
        here = (row["psnr"] + measured, row["ssim"]) if row["label"] else NAN
        rows.append(Row(condition, row["method"], row["category"], (row["psnr"], row["ssim"]), here, True))
    extra = dict.fromkeys(row.condition for row in rows)
    return rows + [Row(condition, "my_method", "", NAN, (20.0, 0.5), True) for condition in extra]


def test_psnr_over_ssim_published_over_measured():
    paper, paper_ssim, here, here_ssim = lines(paper_layout(ROWS, "table2", "Caption.", []))
    assert paper[:3] == ["set12, levin", r"$\sigma=1\%$", "paper"]
    assert paper[3:] == ["27.68", r"\textbf{\underline{31.56}}", "31.02", r"\underline{31.20}", "--", "$+0.36$"]
    assert paper_ssim[3:] == ["0.796", r"\textbf{\underline{0.886}}", r"\underline{0.876}", "0.870", "--", "$+0.010$"]
    assert here[2:] == ["here", "29.35", r"\textbf{\underline{31.50}}", "30.98$^*$", "--", "26.00", "$+0.52^*$"]
    assert here_ssim[3:] == ["0.850", r"\underline{0.880}", r"\textbf{0.890}$^*$", "--", "0.700", "$-0.010^*$"]


def test_methods_that_the_paper_has_not_are_the_last_group():
    rows = [*ROWS[-1:], Row(CONDITION, "DWDN", "", NAN, (24.0, 0.6), True), *ROWS[:-1]]
    rows.append(Row(CONDITION, "DWDN", "supervised", (30.63, 0.877), NAN, True))
    text = paper_layout(rows, "table2", "", [])
    groups, methods = read(text)[0][1][:2]
    assert groups[-2:] == [r"\multicolumn{2}{c}{Additional}", ""]
    assert methods == ["Dataset", "Noise", "", "FID", "Ours", "FDN", "DMSP", "DWDN", "wiener", "DWDN", "Margin"]
    assert [line[-4:-1] for line in lines(text)[:3:2]] == [["30.63", "--", "--"], ["--", r"\underline{26.00}", "24.00"]]


def test_the_margin_is_over_the_papers_methods_only():
    others = [Row(CONDITION, "Ours", "", NAN, (40.0, 0.9), True), Row(CONDITION, "wiener", "", NAN, (41.0, 0.9), True)]
    for own in (ROWS[:2], ROWS[:3]):
        here = lines(paper_layout([*own, *others], "table2", "", []))[2]
        assert here[-1] == ("$+2.15$" if len(own) == 2 else "$+0.52^*$")
    alone = lines(paper_layout([ROWS[1], others[1]], "table2", "", []))
    assert [line[-1] for line in alone] == ["--", "--", "$-9.50$", "$-0.020$"]


def test_of_several_ways_the_comparable_one_is_shown():
    fast, paper, unscored = (
        Row(CONDITION, "Ours", "dataset-free", (31.56, 0.886), (psnr, 0.8), comparable)
        for psnr, comparable in ((33.0, False), (31.0, True), (math.nan, False))
    )
    for several, shown in (
        ([fast, paper], "31.00"),
        ([paper, replace(fast, comparable=True)], "31.00"),
        ([fast, replace(paper, comparable=False)], "33.00$^*$"),
        ([unscored, fast], "33.00$^*$"),
    ):
        published, _, here, _ = lines(paper_layout(several, "table2", "", []))
        assert (published[3], here[3]) == ("31.56", shown)


def test_a_margin_is_starred_where_one_of_its_two_numbers_is():
    own, rival = ROWS[1], replace(ROWS[2], comparable=True)
    lower = Row(CONDITION, "DMSP", "supervised", (30.0, 0.87), (20.0, 0.5), False)
    for rows, margin in (
        ([own, rival], "$+0.52$"),
        ([replace(own, comparable=False), rival], "$+0.52^*$"),
        ([own, replace(rival, comparable=False)], "$+0.52^*$"),
        ([own, rival, lower], "$+0.52$"),
    ):
        paper, _, here, _ = lines(paper_layout(rows, "table2", "", []))
        assert (paper[-1], here[-1]) == ("$+0.54$", margin)


def test_numbers_count_as_they_are_printed():
    rows = [
        Row(CONDITION, name, "supervised", (30.0, 0.7), (psnr, 0.7), True)
        for name, psnr in (("A", 30.001), ("B", 30.004))
    ]
    rows += [Row(CONDITION, "Ours", "dataset-free", (30.0, 0.7), (29.999, 0.7), True)]
    here = lines(paper_layout(rows, "table2", "", []))[2]
    assert here[3:] == [r"\textbf{30.00}", r"\textbf{\underline{30.00}}", r"\textbf{\underline{30.00}}", "$+0.00$"]


def test_table_6_has_a_block_with_its_margin_for_each_group():
    inaccurate = ("set12", "inaccurate", "gaussian:0.01")
    rows = [
        Row(inaccurate, "Pan-DCP", "blind", (26.62, 0.80), NAN, True),
        Row(inaccurate, "ASN", "blind", (26.09, 0.83), NAN, True),
        Row(inaccurate, "IBM3D", "non-learning", (27.77, 0.86), NAN, True),
        Row(inaccurate, "Ours", "dataset-free", (28.79, 0.89), NAN, True),
        Row(inaccurate, "TLS", "supervised", (28.37, 0.88), NAN, True),
        Row(inaccurate, "wiener", "", NAN, (25.0, 0.7), True),
    ]
    text = paper_layout(rows, "table6", "", [])
    assert [columns for columns, _ in read(text)] == ["lllrrr", "lllrrr", "lllrr", "lllrr"]
    assert text.count("\\end{tabular}}\n\\par\\vspace{1ex}\n\\resizebox") == 3
    assert re.findall(r"\$([+-]\d\.\d\d)\$", text) == ["+2.17", "+1.02", "+0.42"]  # the paper's
    marked = [line for block in range(4) for line in lines(text, block)[0] if "{" in line]
    assert marked == [r"\underline{26.62}", r"\textbf{\underline{28.79}}"], "bold is the best of all blocks"


@pytest.mark.parametrize(("own", "margin"), [((26.56, 0.77), "+0.16"), (NAN, "--")])
def test_ablations_have_a_margin_over_the_best_other_one_and_no_marks(own, margin):
    rows = [Row(CONDITION, "w/o SA", "ablation", (26.40, math.nan), NAN, True)]
    rows += [Row(CONDITION, "w/o Dropout", "ablation", (25.0, math.nan), NAN, True)]
    rows += [Row(CONDITION, "Ours", "ablation", own, NAN, True)]
    text = paper_layout(rows, "table7", "", [])
    assert lines(text)[0][-1].strip("$") == margin
    assert "underline" not in text.lower()
    assert "bold" not in text.lower()


@pytest.mark.parametrize(
    ("noise", "shown"),
    [
        ("gaussian:0.01", r"$\sigma=1\%$"),
        ("gaussian:0.07", r"$\sigma=7\%$"),  # 100 * 0.07 is not 7
        ("gaussian:0.0255", r"$\sigma=2.55\%$"),
        ("poisson:1024", "peak 1024"),
        ("measured", "as given"),
        ("of the kernels", "of the kernels"),
    ],
)
def test_noise_is_told_as_in_the_paper(noise, shown):
    rows = [replace(row, condition=(*CONDITION[:2], noise)) for row in ROWS]
    assert lines(paper_layout(rows, "table2", "", []))[0][1] == shown


@pytest.mark.parametrize("name", [f"table{n}" for n in range(2, 10)])
def test_every_line_of_every_table_has_a_cell_for_every_column(name):
    rows = published_rows(name)
    text = paper_layout(rows, name, "Caption.", ["A note."])
    tabulars = read(text)
    assert len(tabulars) == text.count(r"\resizebox{") == (4 if name == "table6" else 1)
    conditions = len({row.condition for row in rows})
    for columns, body in tabulars:
        assert {width(row) for row in body} == {len(columns)}
        assert len(body) == 2 + 4 * conditions
    assert sum(len(columns) - 4 for columns, _ in tabulars) == len({(row.method, row.category) for row in rows})
    numbers = sum(not math.isnan(score) for row in rows for score in (*row.published, *row.measured))
    cells = [cell for _, body in tabulars for row in body[2:] for cell in row[3:-1]]
    assert sum(cell != "--" for cell in cells) == numbers


def test_the_margins_of_table_2_are_the_papers():
    paper = lines(paper_layout(published_rows("table2"), "table2", "", []))[::4]
    margins = ["+0.36", "-0.17", "-0.22", "+0.29", "+0.14", "+0.23", "-0.13", "-0.26", "-0.18"]
    assert [line[-1].strip("$") for line in paper] == margins


def test_all_that_is_text_is_escaped():
    rows = [
        replace(
            row,
            condition=(HOSTILE, HOSTILE, HOSTILE),
            method=row.method if row.method == "Ours" else HOSTILE + row.method,
        )
        for row in ROWS
    ]
    text = paper_layout(rows, "table6", HOSTILE, [HOSTILE])
    for columns, body in read(text):
        assert {width(row) for row in body} == {len(columns)}
    assert text.count(r"a\_b \% c \& d \# e \$ f \{g\} h \textasciitilde{} i \textasciicircum{} j") == 2 + 3 * 3 + 4
    assert r"50 \% of it -- all. Lines:" in paper_layout(ROWS, "table2", "50 % of it – all.", [])  # noqa: RUF001


def test_the_legend_tells_what_occurs():
    text = paper_layout(ROWS, "table2", "Caption.", ["A_note."])
    assert text.startswith("% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n")
    assert r"\par\footnotesize A\_note." in text
    assert "Bold: the highest of all methods. Underlined: the highest of its group." in text
    assert "*: not comparable." in text
    assert "not comparable" not in paper_layout(ROWS[:2], "table2", "", [])
    unmeasured = replace(ROWS[3], comparable=False)
    assert "not comparable" not in paper_layout([*ROWS[:2], unmeasured], "table2", "", [])


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "}",
        r"\begin{table*}",
        r"\begin{table*}{\end{table*}}",
        "a & b",
        r"a \\",
        "a_b",
        "50^2",
        "$x",
        "a # b",
        "a ~ b",
        "a | b",
        r"\underlined{5}",
        r"\sigma",
        "\\begin{tabular}{lr}\na & $b \\\\\n$c & d \\\\\n\\end{tabular}",
        "\\begin{tabular}{lr}\na & {b \\\\\n}c & d \\\\\n\\end{tabular}",
        "\\begin{tabular}{lr}\n{a & b} \\\\\n\\end{tabular}",
        "\\begin{tabular}{lr}\na & b\n\\end{tabular}",
        "\\begin{tabular}{lr}\na & b \\\\\n[c] & d \\\\\n\\end{tabular}",
        "\\begin{tabular}{lr}\na & \\midrule b \\\\\n\\end{tabular}",
        "50 % of {it}\n}",
        "a\n\nb",
        "ö",
    ],
)
def test_the_reader_refuses(broken):
    with pytest.raises(AssertionError):
        read(broken)
