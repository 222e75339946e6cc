"""The structure of LaTeX in the paper's layout: there is no TeX here to set it."""

import math
import re

import pytest

from nidbench.papertable import Row, paper_layout

NAN = (math.nan, math.nan)
CONDITION = ("set12", "levin", "gaussian:0.01")
ROWS = [
    Row(CONDITION, "FID", "non-learning", (27.68, 0.796), (29.35, 0.85), True),
    Row(CONDITION, "Ours", "dataset-free", (31.56, 0.886), (31.50, 0.88), True),
    Row(CONDITION, "FDN", "supervised", (31.02, 0.876), (30.98, 0.89), False),
    Row(CONDITION, "DMSP", "supervised", (31.20, 0.87), NAN, True),
    Row(CONDITION, "", "", NAN, (26.0, 0.7), True),
]


def lines(text):
    """The lines of numbers as lists of cells."""
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    return [[cell.strip() for cell in line.removesuffix(r"\\").split("&")] for line in body.strip().splitlines()]


def test_psnr_over_ssim_published_over_measured():
    paper, paper_ssim, here, here_ssim = lines(paper_layout(ROWS, "table2", "Caption.", []))
    assert paper[:3] == ["set12, levin", "gaussian:0.01", "paper"]
    assert paper[3:] == ["27.68", r"\underline{31.56}", "31.02", r"\underline{31.20}", "$+0.36$"]
    assert paper_ssim[3:] == ["0.796", r"\underline{0.886}", r"\underline{0.876}", "0.870", "$+0.010$"]
    assert here[2:] == ["here", "29.35", r"\underline{31.50}", "30.98$^*$", "--", "$+0.52$"]
    assert here_ssim[3:] == ["0.850", r"\underline{0.880}", "0.890$^*$", "--", "$-0.010$"]


def test_every_line_has_a_cell_for_every_column():
    text = paper_layout(ROWS, "table2", "Caption.", [])
    columns = re.search(r"\\begin{tabular}{(l+r+)}", text)[1]
    assert columns == "lllrrrrr"
    heads = text.partition(r"\toprule")[2].partition(r"\midrule")[0]
    assert (
        r"\multicolumn{2}{c}{Non-Learning / Unsupervised Learning} & \multicolumn{2}{c}{Supervised Learning}" in heads
    )
    assert "Dataset & Noise &  & FID & Ours & FDN & DMSP & Margin" in heads
    assert {len(line) for line in lines(text)} == {len(columns)}


def test_every_environment_is_closed_and_all_is_ascii():
    text = paper_layout(ROWS, "table2", "50 % of it – all.", ["A_note."])  # noqa: RUF001
    begun, ended = (re.findall(rf"\\{word}{{(\w+\*?)}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert text.count("{") == text.count("}")
    assert text.isascii()
    assert r"50 \% of it -- all. Lines:" in text
    assert r"\par\footnotesize A\_note." in text
    assert "*: not comparable." in text
    assert "not comparable" not in paper_layout(ROWS[:2], "table2", "", [])


def test_table_6_has_a_block_with_its_margin_for_each_group():
    inaccurate = ("set12", "inaccurate", "")
    rows = [
        Row(inaccurate, "Pan-DCP", "blind", (26.62, 0.80), NAN, True),
        Row(inaccurate, "IBM3D", "non-learning", (27.77, 0.86), NAN, True),
        Row(inaccurate, "Ours", "dataset-free", (28.79, 0.89), NAN, True),
        Row(inaccurate, "TLS", "supervised", (28.37, 0.88), NAN, True),
    ]
    text = paper_layout(rows, "table6", "", [])
    assert text.count(r"\begin{tabular}") == 3
    assert re.findall(r"\$([+-]\d\.\d\d)\$", text) == ["+2.17", "+1.02", "+0.42"]  # the paper's


@pytest.mark.parametrize(("own", "margin"), [((26.56, 0.77), "+0.16"), (NAN, "--")])
def test_ablations_have_a_margin_over_the_best_other_one(own, margin):
    rows = [Row(CONDITION, "w/o SA", "ablation", (26.40, math.nan), NAN, True)]
    rows += [Row(CONDITION, "w/o Dropout", "ablation", (25.0, math.nan), NAN, True)]
    rows += [Row(CONDITION, "Ours", "ablation", own, NAN, True)]
    assert lines(paper_layout(rows, "table7", "", []))[0][-1].strip("$") == margin
