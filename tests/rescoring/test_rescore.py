"""Stored restorations scored anew: what is added, what is left alone, and what a kill in between leaves."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nidbench.cases.source import cases
from nidbench.errors import ResultsError, UnknownNameError
from nidbench.records import Cell, Planned, Record, Store, Sweep
from nidbench.rescoring.rescore import rescore, review
from nidbench.scoring.protocols import protocol
from nidbench.scoring.scorer import Scorer
from nidbench.sweep.request import Experiment

EXPERIMENT = Experiment("wiener,other", "sample", noise="gaussian:0.02,gaussian:0.05")


def restored(problem, truth, method):
    generator = np.random.default_rng(len(method))
    blend = truth.image + generator.normal(0, 0.1, truth.image.shape)
    return blend.astype(np.float32)[:, : problem.frame[0], : problem.frame[1]]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two made-up methods on all measurements of `sample` with two noises, one with a variance."""
    store = Store(tmp_path_factory.mktemp("rescore") / "results")
    planned = []
    for request in EXPERIMENT.requests():
        for case in cases(request):
            problem, truths = case.problem(), case.truths()
            scorer = Scorer(problem, truths)
            for method in ("wiener", "other"):
                cell = Cell(
                    method=method,
                    version=1,
                    settings={},
                    case=case.key,
                    image_hash=case.image_hash,
                    kernel_hash=case.kernel_hash,
                    declared="known",
                    response="identity",
                    seed=0,
                    precision="float32",
                    device="cpu",
                )
                x = restored(problem, truths[0], method)
                arrays = {"image": x} | ({"variance": np.full_like(x, 0.01)} if method == "other" else {})
                scores, measures = scorer.scores(x), scorer.measures(x, arrays.get("variance"))
                record = Record(cell.id, cell, "done", scores, scorer.input_scores, measures=measures)
                store.write(replace(record, truth_hash=case.truth_hash(), versions={"metric": 1}), arrays)
                planned.append(
                    Planned(
                        id=cell.id,
                        label=method,
                        preset="",
                        note="",
                        case=case.key,
                        declared="known",
                        seed=0,
                        method=method,
                    )
                )
    store.write_sweep(Sweep("demo", {"experiments": [vars(EXPERIMENT)], "device": "cpu"}, planned))
    return store.root


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "results")


@pytest.fixture
def store(folder):
    return Store(folder)


@pytest.fixture
def sweep(store):
    return store.sweep("demo")


def contents(store):
    return {path.parent.name: path.read_bytes() for path in sorted(store.root.glob("cells/*/record.json"))}


def test_scores_are_those_of_the_protocol(store, sweep):
    before = {planned.id: store.read(planned.id) for planned in sweep.cells}
    tally = rescore(store, sweep, "shift-aligned")
    assert (tally.scored, tally.complete, tally.refused) == (len(sweep.cells), 0, {}) == (8, 0, {})
    made = {case.key: case for request in EXPERIMENT.requests() for case in cases(request)}
    for planned in sweep.cells:
        record, case = store.read(planned.id), made[planned.case]
        (truth,) = case.truths()
        image = store.arrays(planned.id)["image"]
        wanted = protocol("shift-aligned").score(image, case.problem(), truth)
        assert record.scores == {**before[planned.id].scores, "shift-aligned": wanted}
        assert set(record.input_scores) == set(record.scores)
        rest = {"scores": {}, "input_scores": {}}
        assert replace(record, **rest) == replace(before[planned.id], **rest)


def test_a_second_call_changes_nothing(store, sweep):
    rescore(store, sweep, "shift-aligned:1")
    after = contents(store)
    tally = rescore(store, sweep, "shift-aligned:1.00")
    assert (tally.scored, tally.complete) == (0, 8)
    assert contents(store) == after


def test_the_order_of_calls_and_cells_changes_nothing(original, tmp_path, sweep):
    results = []
    names = ["shift-aligned:1", "shift-aligned:0.5"]
    for number in (0, 1):
        copy = Store(shutil.copytree(original, tmp_path / str(number)))
        cells = sweep.cells if number else sweep.cells[::-1]
        for name in names if number else names[::-1]:
            rescore(copy, Sweep("demo", sweep.asked, cells), name)
        results.append(contents(copy))
    assert results[0] == results[1]


def test_a_dry_run_reads_records_only(store, sweep, monkeypatch):
    before = contents(store)
    monkeypatch.setattr("nidbench.rescoring.measurements.cases", lambda _: pytest.fail("data were read"))
    tally = review(store, sweep, "shift-aligned")
    assert [planned.id for planned in tally.pending] == [planned.id for planned in sweep.cells]
    assert tally.lines("shift-aligned") == ["shift-aligned: 8 cells to score, 0 have it already"]
    assert contents(store) == before
    assert review(store, sweep, "uncropped").complete == 8


def test_what_an_older_version_lacked_is_filled_in(store, sweep):
    wanted = contents(store)
    for planned in sweep.cells:
        path = store.root / "cells" / planned.id / "record.json"
        content = json.loads(path.read_text())
        for name in ("scores", "input_scores"):
            del content[name]["anger"]
        del content["measures"], content["kept"]
        path.write_text(json.dumps(content))
    tally = rescore(store, sweep, "half-kernel")
    assert tally.scored == 8
    assert contents(store) == wanted


def test_killed_in_between(store, sweep):
    """Each record is as before or whole, and the second call does the rest."""
    code = (
        "import os, signal, sys\n"
        "from nidbench.records import Store\n"
        "from nidbench.rescoring.rescore import rescore\n"
        "store = Store(sys.argv[1])\n"
        "die = lambda done, _: done == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "rescore(store, store.sweep('demo'), 'shift-aligned:1', die)\n"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", code, str(store.root)], check=False, timeout=60)
    assert ran.returncode == -signal.SIGKILL
    assert ["shift-aligned:1" in store.read(planned.id).scores for planned in sweep.cells] == [True] * 3 + [False] * 5
    tally = rescore(store, sweep, "shift-aligned:1")
    assert (tally.scored, tally.complete) == (5, 3)


def test_a_folder_that_cannot_be_written_leaves_the_record(store):
    """The new record does not fit: a limit on the size of files, as a full disk would."""
    before = contents(store)
    code = (
        "import resource, signal, sys\n"
        "from nidbench.records import Store\n"
        "from nidbench.rescoring.rescore import rescore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = Store(sys.argv[1])\n"
        "sweep = store.sweep('demo')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "rescore(store, sweep, 'shift-aligned:1')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, str(store.root)], check=False, timeout=60, capture_output=True, text=True
    )
    assert "ResultsError: cannot write to" in ran.stderr
    assert contents(store) == before
    assert not list(store.root.glob("cells/*/.*"))


def test_what_cannot_be_scored_is_told_with_its_reason(store, sweep):
    ids = [planned.id for planned in sweep.cells]
    cell = [store.root / "cells" / cell_id for cell_id in ids]
    shutil.rmtree(cell[0])
    store.update(replace(store.read(ids[1]), status="timeout"))
    (cell[2] / "arrays.npz").unlink()
    (cell[3] / "arrays.npz").write_bytes(b"PK")
    (cell[4] / "record.json").write_text("{")
    other = replace(store.read(ids[5]).cell, image_hash="changed")
    store.write(replace(store.read(ids[5]), id=other.id, cell=other), store.arrays(ids[5]))
    sweep = replace(sweep, cells=[*sweep.cells[:5], replace(sweep.cells[5], id=other.id), *sweep.cells[6:]])
    store.write(store.read(ids[6]), {"image": np.zeros((1, 9, 9))})
    tally = rescore(store, sweep, "shift-aligned:1")
    assert (tally.scored, tally.complete) == (1, 0)
    reasons = "; ".join(tally.refused)
    for word in (
        "not computed yet",
        "ended as timeout",
        "arrays.npz, is not there",
        "delete its folder",
        "is damaged",
        "another than when it was computed",
        "has shape (1, 9, 9)",
    ):
        assert word in reasons
    assert sum(map(len, tally.refused.values())) == 7
    report = tally.lines("shift-aligned:1")
    assert report[0] == "shift-aligned:1: 1 cell scored, 0 had it already"
    assert any(line.startswith("1 cannot be scored: ended as timeout (other on sample/camera") for line in report)


def test_too_small_and_without_truth(store, sweep, monkeypatch):
    before = contents(store)
    tally = rescore(store, sweep, "kohler")
    (reason,) = tally.refused
    assert "kohler leaves 84x84 pixels: it needs 161" in reason
    assert "and 7 more)" in tally.lines("kohler")[1]
    monkeypatch.setattr(
        "nidbench.rescoring.measurements.cases",
        lambda request: (replace(case, truths=tuple) for case in cases(request)),
    )
    tally = rescore(store, sweep, "shift-aligned")
    assert list(tally.refused) == ["there is no sharp image to compare with"]
    assert contents(store) == before


def test_unknown_protocol(store, sweep):
    for call in (review, rescore):
        with pytest.raises(UnknownNameError, match="shift-aligned"):
            call(store, sweep, "shifted")


def test_a_case_without_its_request_is_not_there(store, sweep):
    fewer = Sweep("demo", {"experiments": [vars(replace(EXPERIMENT, noise="gaussian:0.02"))]}, sweep.cells)
    tally = rescore(store, fewer, "shift-aligned:1")
    assert tally.scored == 4
    assert sum(map(len, tally.refused.values())) == 4


def test_a_sweep_that_another_version_asked_for_is_refused_in_words(store, sweep):
    (asked,) = sweep.asked["experiments"]
    for experiments in ([{**asked, "illumination": "dim"}], None):
        other = replace(sweep, asked={"experiments": experiments} if experiments else {})
        with pytest.raises(ResultsError, match=rf"what sweep {sweep.name} asks for .* upgrade nidbench"):
            rescore(store, other, "shift-aligned:1")
