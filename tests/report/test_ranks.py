"""Ranks on records made by hand, the correlation against pairs counted."""

import itertools
import math

import pandas as pd
import pytest

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.ranks import ranks_frame
from nidbench.analysis.summary import summary_frame
from nidbench.errors import InputError
from nidbench.report.ranks import render_ranks
from nidbench.scoring.score import Score

#: method -> PSNR under half-kernel and cut-30 on two images
NUMBERS = {
    "ours": ((30, 32), (31, 33)),
    "dip": ((29, 31), (33, 35)),
    "fid": ((25, 27), (26, 28)),
    "tv": ((25, 27), (20, 22)),
}


@pytest.fixture
def records(make_record):
    return [
        make_record(
            method, image, scores={"half-kernel": Score(half[n], 0.8), "cut-30": Score(cut[n], 0.8)}, input_scores={}
        )
        for method, (half, cut) in NUMBERS.items()
        for n, image in enumerate(("cat", "dog"))
    ]


def ranks(frame, protocol):
    part = frame[frame["protocol"] == protocol]
    return dict(zip(part["method"], part["rank"], strict=True))


def test_ranks_by_mean_and_ties_share(records, make_store):
    frame = ranks_frame(SweepCells.read(*make_store(*records)))
    assert ranks(frame, "half-kernel") == {"ours": 1, "dip": 2, "fid": 3, "tv": 3}
    assert ranks(frame, "cut-30") == {"dip": 1, "ours": 2, "fid": 3, "tv": 4}
    assert set(frame["methods"]) == {4}
    assert set(frame["measurements"]) == {2}
    assert frame.set_index(["protocol", "method"]).loc[("cut-30", "dip"), "psnr"] == 34


def test_means_are_over_images_as_in_the_table(make_record, make_store):
    psnr = {"mine": {"cat": 20, "dog": 30}, "theirs": {"cat": 21, "dog": 28}}
    records = [
        make_record(method, image, value, kernel=f"levin/{k}")
        for method, values in psnr.items()
        for image, value in values.items()
        for k in ((1, 2, 3) if image == "cat" else (1,))
    ]
    sweep_cells = SweepCells.read(*make_store(*records))
    frame = ranks_frame(sweep_cells)
    assert ranks(frame, "half-kernel") == {"mine": 1, "theirs": 2}
    means = summary_frame(sweep_cells.frame()).set_index("method")["psnr"]
    assert frame.query("protocol == 'half-kernel'").set_index("method")["psnr"].to_dict() == means[list(psnr)].to_dict()


def test_tau_is_that_of_pairs_counted(records, make_store):
    frame = ranks_frame(SweepCells.read(*make_store(*records)))
    first, second = ({name: sum(each[part]) for name, each in NUMBERS.items()} for part in (0, 1))
    agree = both = 0
    ties = [0, 0]
    for one, other in itertools.combinations(NUMBERS, 2):
        left, right = first[one] - first[other], second[one] - second[other]
        agree += (left * right > 0) - (left * right < 0)
        ties[0] += left != 0
        ties[1] += right != 0
        both += 1
    assert both == 6
    tau = frame.groupby("protocol")["tau"].first()
    assert tau["cut-30"] == pytest.approx(agree / math.sqrt(ties[0] * ties[1]))
    assert tau["half-kernel"] == pytest.approx(1)


def test_a_method_without_a_score_for_every_measurement_has_no_rank(records, make_store, make_record):
    lone = make_record("bm3d", "cat", scores={"half-kernel": Score(50, 0.9)}, input_scores={})
    gone = make_record("bm3d", "dog", status="failed")
    store, sweep = make_store(*records, lone, gone)
    frame = ranks_frame(SweepCells.read(store, sweep))
    for protocol in ("half-kernel", "cut-30"):
        assert math.isnan(ranks(frame, protocol)["bm3d"])
        assert ranks(frame, protocol)["fid"] == 3
    text = render_ranks(SweepCells.read(store, sweep))
    (line,) = [line for line in text.splitlines() if "| bm3d" in line]
    assert line.count("–") == 2  # noqa: RUF001 - an en dash, as tables have it


def test_seeds_are_averaged_first(make_record, make_store):
    """One method has three seeds on one image, which must not weigh threefold."""
    values = {("ours", "cat"): [20, 20, 20], ("ours", "dog"): [30], ("dip", "cat"): [21], ("dip", "dog"): [28]}
    made = [
        make_record(method, image, seed=seed, scores={"half-kernel": Score(value, 0.8)})
        for (method, image), several in values.items()
        for seed, value in enumerate(several)
    ]
    assert ranks(ranks_frame(SweepCells.read(*make_store(*made))), "half-kernel") == {"ours": 1, "dip": 2}


@pytest.mark.parametrize(("form", "mark"), [("md", "1 (34.00)"), ("latex", r"\toprule"), ("html", "<table")])
def test_as_text(records, make_store, form, mark):
    store, sweep = make_store(*records)
    text = render_ranks(SweepCells.read(store, sweep), form)
    assert mark in text
    assert "Kendall's tau of cut-30 with half-kernel" in text.replace("&#x27;", "'")


def test_as_csv_it_is_the_frame(records, make_store, tmp_path):
    store, sweep = make_store(*records)
    path = tmp_path / "ranks.csv"
    path.write_text(render_ranks(SweepCells.read(store, sweep), "csv"))
    pd.testing.assert_frame_equal(pd.read_csv(path), ranks_frame(SweepCells.read(store, sweep)), check_dtype=False)


def test_a_damaged_record_is_as_none(records, make_store):
    store, sweep = make_store(*records)
    (store.root / "cells" / records[0].id / "record.json").write_text("{")
    found = ranks(ranks_frame(SweepCells.read(store, sweep)), "half-kernel")
    assert math.isnan(found.pop("ours"))
    assert found == {"dip": 1, "fid": 2, "tv": 2}


def test_nothing_to_rank_and_no_such_format(make_record, make_store, records):
    with pytest.raises(InputError, match="no scores"):
        ranks_frame(SweepCells.read(*make_store(make_record(status="failed"), name="failed")))
    with pytest.raises(InputError, match="unknown table format"):
        render_ranks(SweepCells.read(*make_store(*records)), "pdf")
