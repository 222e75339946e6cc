"""Differences as text."""

import io
import math

import pandas as pd
import pytest
from frames import cells_frame

from nidbench.analysis.differences import differences_frame
from nidbench.errors import InputError, UnknownNameError
from nidbench.report.differences import render_differences

PSNR = {"ours": (27.0, 28.5, 30.0), "dip": (26.0, 27.0, 28.5), "fid": (27.0, 28.5, 30.0)}


@pytest.fixture
def cells(make_record, make_store):
    """Three methods on three images, of which `fid` failed on one."""
    records = [
        make_record(m, i, p) for m in PSNR for i, p in zip("abc", PSNR[m], strict=True) if (m, i) != ("fid", "c")
    ]
    return cells_frame(*make_store(*records, make_record("fid", "c", status="failed", error="told to")))


def lines(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_markdown(cells):
    header, _, dip, fid = lines(render_differences(cells))
    assert header == [
        *("dataset", "kernels", "noise", "method", "verdict", "Holm", "difference", "95 % interval"),
        *("won/tied/lost", "pairs", "images", "resolution"),
    ]
    group = ["sample", "levin", "gaussian:0.05"]
    assert dip == [*group, "dip", "worse", "worse", "−1.33", "[−2.05, −0.62]", "0/0/3", "3/3", "3", "0.94"]  # noqa: RUF001
    assert fid == ["", "", "", "fid", "open", "open", "+0.00", "–", "0/2/0", "2/3", "2", "–"]  # noqa: RUF001


def test_what_is_missing_is_told_below(cells):
    text = render_differences(cells)
    assert "- fid (sample levin gaussian:0.05): 2 of 3 pairs, 1 cell of the two without a score" in text
    assert "- fid on sample/c levin/1 gaussian:0.05 #0: failed: told to" in text
    assert "Fewer than 3 images give no interval." in text
    whole = render_differences(cells[cells["label"] != "fid"])
    assert "pairs," not in whole
    assert "Fewer" not in whole


def test_the_caption_names_reference_and_protocol(cells):
    assert "Mean difference in PSNR (dB) to dip, paired by measurement, under the protocol cut-30: cut 30" in (
        render_differences(cells, "dip", protocol="cut-30")
    )


def test_the_caption_says_what_holm_s_family_is_and_what_decides_infinite_differences(make_record, make_store):
    """With two declared levels a family is the rows of one; nine of ten images ahead are told by the sign test."""
    records = [
        make_record(m, str(n), p, declared=told)
        for told in ("known", "x2")
        for n in range(10)
        for m, p in (("ours", 20.0), ("dip", math.inf if n == 0 else 19.0 if n == 9 else 21.0))
    ]
    cells = cells_frame(*make_store(*records))
    frame = differences_frame(cells)
    assert frame["verdict"].tolist() == frame["holm"].tolist() == ["better", "better"]
    assert frame["p_holm"].tolist() == frame["p_student"].tolist()
    text = render_differences(cells)
    assert "among all rows of a dataset, kernel set, noise and declared level is kept at 5 %" in text
    assert "the verdict goes by who is ahead on every image, or by a sign test." in text


def test_columns_appear_where_they_tell_something(make_record, make_store):
    scores = (("ours", 26.0), ("dip", 25.0))
    records = [
        make_record(m, i, p + s, seed=s, declared=told)
        for m, p in scores
        for i in "abc"
        for s in (0, 1)
        for told in ("known", "x2")
    ]
    header, _, first, second = lines(render_differences(cells_frame(*make_store(*records))))
    assert [first[header.index(name)] for name in ("declared", "± images", "± seeds")] == ["known", "0.00", "1.00"]
    assert second[header.index("declared")] == "x2"


def test_csv_holds_the_whole_frame(cells):
    again = pd.read_csv(io.StringIO(render_differences(cells, "dip", "csv")))
    # pandas 2 reads a last digit wrong
    pd.testing.assert_frame_equal(again, differences_frame(cells, "dip"), check_dtype=False, rtol=1e-14, atol=0)


def test_latex_and_html(cells):
    latex = render_differences(cells, format="latex")
    assert "dip & worse & worse & $-$1.33 & {[}$-$2.05, $-$0.62] & 0/0/3 & 3/3 & 3 & 0.94" in latex
    assert latex.isascii()
    assert "<td>worse</td>" in render_differences(cells, format="html")


def test_wrong_calls(cells):
    with pytest.raises(InputError, match="one method, dip: differences need two"):
        render_differences(cells[cells["label"] == "dip"])
    with pytest.raises(InputError, match="no cells"):
        render_differences(cells[:0])
    with pytest.raises(InputError, match="'xls'"):
        render_differences(cells, format="xls")
    with pytest.raises(UnknownNameError, match="there are dip, fid, ours"):
        render_differences(cells, "epll")
    with pytest.raises(UnknownNameError, match="half-kernel"):
        render_differences(cells, protocol="half")


def test_the_caption_says_both_verdicts_and_which_kernels(cells):
    caption = render_differences(cells).splitlines()[0]
    assert "better or worse where it leaves out 0, else open, each row by itself" in caption
    assert "the chance of at least one false one among all rows" in caption
    assert "Under these kernels, and no others: levin/1 of the 8 of levin." in caption


def test_pairs_under_fewer_kernels_than_the_caption_says_are_told(make_record, make_store):
    kernels = {"ours": (1, 2, 3), "dip": (1, 3), "fid": (1, 2, 3)}
    records = [make_record(m, i, 26.0, kernel=f"levin/{k}") for m in kernels for k in kernels[m] for i in "abc"]
    text = render_differences(cells_frame(*make_store(*records)))
    assert "levin/1, levin/2, levin/3 of the 8 of levin." in text
    assert "- dip (sample levin gaussian:0.05): 6 of 9 pairs, under levin/1, levin/3 only\n" in text
    assert "- fid" not in text


def test_infinite_differences_are_explained(make_record, make_store):
    records = [make_record(m, i, p) for m, p in (("ours", math.inf), ("dip", 26.0)) for i in "abc"]
    text = render_differences(cells_frame(*make_store(*records)))
    assert "equal to its truth has infinite PSNR" in text
    (line,) = lines(text)[2:]
    assert line[4:8] == ["worse", "open", "−inf", "–"]  # noqa: RUF001


def test_a_difference_that_a_verdict_rests_on_is_not_shown_as_0(make_record, make_store):
    psnr = {"ours": (20.0, 20.0, 20.0), "dip": (20.003, 20.004, 20.005), "fid": (20.0, 20.001, 20.002)}
    records = [make_record(m, i, p) for m in psnr for i, p in zip("abc", psnr[m], strict=True)]
    _, _, dip, fid = lines(render_differences(cells_frame(*make_store(*records)), "ours"))
    assert dip[4:8] == ["better", "better", "+0.004", "[+0.002, +0.006]"]
    assert fid[4:8] == ["open", "open", "+0.00", "[−0.00, +0.00]"]  # noqa: RUF001
