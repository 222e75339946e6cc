"""What a number was computed from identifies it: files that change, versions that rise, sweeps that are joined."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from frames import cells_frame

from nidbench import versions
from nidbench.analysis.cells import SweepCells
from nidbench.analysis.ranks import ranks_frame
from nidbench.analysis.speedup import read_lines
from nidbench.cli import main
from nidbench.fitting import Recipe, Schedule, fit
from nidbench.physics.noise_level import estimate_noise_level
from nidbench.records import Record, Store
from nidbench.report.ranks import render_ranks
from nidbench.report.results_table import render
from nidbench.scoring.protocols import DEFAULT

RUN = ["run", "--tracking", "none", "--no-pictures", "--in-process", "--precision", "float32", "--device", "cpu"]

METHOD = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from nidbench.contract import MethodInfo, Problem, Restored, Run

@dataclass(frozen=True)
class Mine:
    info: ClassVar[MethodInfo] = MethodInfo("mine", version=1)

    def restore(self, problem: Problem, run: Run) -> Restored:
        return Restored(np.full((len(problem.blurred), *problem.frame), 0.5))
"""


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def folder(tmp_path, pictures) -> Callable[..., Path]:
    """Write a folder of one blurred image by formula, its truth moved by so many pixels, and return it."""
    x, kernel = pictures.blobs((1, 44, 52)), pictures.lopsided()

    def make(moved: int = 0, weights: np.ndarray = kernel) -> Path:
        root, (top, left) = tmp_path / "mine", ((size - 1) // 2 for size in kernel.shape)
        y = blurred(x[0], kernel / kernel.sum())
        sharp = x[0][top : top + y.shape[0], left : left + y.shape[1]]
        for kind, array in {"blurred": y, "kernels": weights, "truth": np.roll(sharp, moved, 1)}.items():
            (root / kind).mkdir(parents=True, exist_ok=True)
            np.save(root / kind / "a.npy", array)
        (root / "measured.toml").write_text("noise = 0.002\n")
        return root

    return make


def blurred(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Valid true convolution, written out."""
    (height, width), (kh, kw) = x.shape, kernel.shape
    y = np.zeros((height - kh + 1, width - kw + 1))
    for i in range(kh):
        for j in range(kw):
            y += kernel[i, j] * x[kh - 1 - i : height - i, kw - 1 - j : width - j]
    return y


def only(out: Path, method: str = "wiener") -> Record:
    store = Store(out)
    records = [store.whole(path.name) for path in (out / "cells").iterdir()]
    (of_method,) = [record for record in records if record is not None and record.cell.method == method]
    return of_method


def psnr(record: Record) -> float:
    return record.scores[DEFAULT.name].psnr


def test_a_corrected_truth_is_scored_anew_by_the_same_command(folder, tmp_path):
    asked = ("--methods", "wiener", "--dataset", f"folder:{folder(moved=3)}", "--output")
    call(*RUN, *asked, tmp_path / "out")
    wrong = only(tmp_path / "out")
    folder()
    said = call(*RUN, *asked, tmp_path / "out")
    call(*RUN, *asked, tmp_path / "new")
    now, right = only(tmp_path / "out"), only(tmp_path / "new")
    assert "1 cell scored anew" in said
    assert psnr(right) > psnr(wrong) + 3
    assert now.scores == right.scores
    assert now.input_scores == right.input_scores
    assert now.measures == pytest.approx(right.measures)
    assert now.truth_hash == right.truth_hash != wrong.truth_hash
    assert now.id == right.id == wrong.id  # nothing was computed again
    assert now.finished == wrong.finished
    assert "scored anew" not in call(*RUN, *asked, tmp_path / "out")


def test_rescore_replaces_what_was_scored_against_another_truth(folder, tmp_path):
    asked = ("--methods", "richardson-lucy", "--dataset", f"folder:{folder(moved=3)}", "--observe", "1", "--output")
    call(*RUN, *asked, tmp_path / "out")
    assert only(tmp_path / "out", "richardson-lucy").log.curve
    folder()
    call(*RUN, *asked, tmp_path / "new")
    said = call("rescore", "--protocol", DEFAULT.name, "--output", tmp_path / "out")
    now, right = (only(tmp_path / name, "richardson-lucy") for name in ("out", "new"))
    assert "1 cell scored" in said
    assert now.scores == right.scores
    assert (now.oracle, now.end, now.log.curve) == (None, None, ())  # scored on the way, against the other truth
    assert "0 cells scored, 1 had it already" in call(
        "rescore", "--protocol", DEFAULT.name, "--output", tmp_path / "out"
    )


def test_a_truth_that_is_gone_or_lost_its_restoration_is_said(folder, tmp_path):
    root = folder(moved=3)
    asked = ("--methods", "wiener", "--dataset", f"folder:{root}", "--output", tmp_path / "out")
    call(*RUN, *asked)
    (root / "truth" / "a.npy").unlink()
    assert "1 cannot be scored: there is no sharp image" in call(*RUN, *asked)
    folder()
    (tmp_path / "out" / "cells" / only(tmp_path / "out").id / "arrays.npz").unlink()
    assert "1 cannot be scored" in call(*RUN, *asked)


def test_scores_of_files_follow_their_truth(folder, tmp_path):
    root = folder(moved=3)
    np.save(tmp_path / "a_a_measured.npy", np.roll(np.load(root / "truth" / "a.npy"), -3, 1))
    pattern = ("--pattern", "{image}_{kernel}_{noise}.npy", "--label", "theirs")
    asked = ("score", tmp_path, "--dataset", f"folder:{root}", *pattern, "--output", tmp_path / "out")
    call(*asked)
    assert psnr(only(tmp_path / "out", "theirs")) < 40
    folder()
    assert "1 file scored, 0 were so before" in call(*asked)
    assert psnr(only(tmp_path / "out", "theirs")) > 60
    assert "0 files scored, 1 was so before" in call(*asked)


def test_another_kernel_is_another_cell_and_joined_sweeps_say_so(folder, tmp_path, pictures):
    out, asked = tmp_path / "out", ("--methods", "wiener", "--dataset", f"folder:{folder()}", "--output")
    call(*RUN, *asked, out, "--name", "first")
    folder(weights=pictures.lopsided()[::-1])
    call(*RUN, "--methods", "fid", *asked[2:], out, "--name", "second")
    truth = tmp_path / "mine" / "blurred" / "a.npy"
    np.save(truth, np.load(truth) + 0.01)
    call(*RUN, "--methods", "tv", *asked[2:], out, "--name", "third")
    assert " old" not in call("table", "first", "--output", out)
    store = Store(out)
    why = {"first+second": "told another kernel", "first+third": "measured on other bytes"}
    for both, reason in why.items():
        assert f"1 of 1 cell old, so not comparable ({reason})" in call("table", both, "--output", out)
        assert cells_frame(store, store.sweep(both))["psnr"].isna().all()
    assert cells_frame(store, store.sweep("second+third"))["old"].eq("measured on other bytes").all()
    assert call("sheets", "first", "--output", out).startswith("0 of 1 cases")  # the picture would be of other files


def test_cells_scored_against_different_truths_are_not_compared(make_record, make_store):
    records = [make_record(method, image, truth_hash="t") for method in ("ours", "dip") for image in ("cat", "dog")]
    records[3] = replace(records[3], truth_hash="another")
    store, sweep = make_store(*records)
    cells = cells_frame(store, sweep).set_index(["label", "image"])
    assert list(cells["psnr"].notna()) == [True, False, True, False]
    text = render(SweepCells.read(store, sweep))
    assert "not comparable (scored against other sharp images): nidbench rescore" in text


BASES = {
    "measured on other bytes": lambda record: replace(record, measurement_hash="another"),
    "scored against other sharp images": lambda record: replace(record, truth_hash="another"),
    "told another kernel": lambda record: replace(record, cell=replace(record.cell, kernel_hash="another")),
    "told another noise level": lambda record: replace(record, cell=replace(record.cell, image_hash="another")),
}


@pytest.mark.parametrize("reason", BASES)
def test_no_table_rank_or_curve_compares_what_is_of_other_things(make_record, make_store, reason):
    known = {"truth_hash": "t", "measurement_hash": "y", "curve": ((25, 20.0), (50, 26.0))}
    records = [make_record(method, image, **known) for method in ("ours", "dip") for image in ("cat", "dog")]
    records[3] = BASES[reason](records[3])
    records[3] = replace(records[3], id=records[3].cell.id)
    store, sweep = make_store(*records)
    assert f"1 of 2 cells old, so not comparable ({reason})" in render(SweepCells.read(store, sweep))
    assert ranks_frame(SweepCells.read(store, sweep))["rank"].isna().all()
    assert f"not comparable ({reason})" in render_ranks(SweepCells.read(store, sweep))
    for line in read_lines(store, sweep.cells):
        assert [record is not None for record in line.records.values()] == [True, False]


@pytest.mark.parametrize("way", [{"precision": "bf16"}, {"device": "cuda"}, {"version": 2}, {"settings": {"lr": 1}}])
def test_no_table_rank_or_curve_is_of_two_computations_of_one_seed(make_record, make_store, way):
    names = [(method, image) for method in ("mine", "theirs") for image in "abc"]
    first = [make_record(method, image, curve=((25, 20.0), (50, 26.0))) for method, image in names]
    cells = [replace(record.cell, **way) for record in first[:2]]
    second = [replace(record, id=cell.id, cell=cell) for record, cell in zip(first, cells, strict=False)]
    store, sweep = make_store(*first, *second)
    reason = "computed in several ways"
    frame = cells_frame(store, sweep)
    assert list(frame["old"] == reason) == [True] * 2 + [False] * 4 + [True] * 2
    assert list(frame["psnr"].isna()) == list(frame["old"] == reason)
    text = render(SweepCells.read(store, sweep))
    assert f"4 of 5 cells old, so not comparable ({reason}): show their sweeps one by one" in text
    assert f"({reason})" in render_ranks(SweepCells.read(store, sweep))
    mine, theirs = read_lines(store, sweep.cells)
    assert [record is not None for record in mine.records.values()] == [False, False, True]
    assert None not in theirs.records.values()


def test_of_two_computations_the_one_that_is_done_counts(make_record, make_store):
    done = make_record("mine", curve=((25, 20.0), (50, 26.0)))
    cell = replace(done.cell, precision="bf16")
    store, sweep = make_store(done, missing=(replace(done, id=cell.id, cell=cell),))
    assert cells_frame(store, sweep)["psnr"].notna().tolist() == [True, False]
    (line,) = read_lines(store, sweep.cells)
    assert [record.id for record in line.records.values()] == [done.id]


@pytest.mark.parametrize("component", ["engine", "measurement", "noise level", "metric"])
def test_what_rests_on_another_version_is_old(make_record, make_store, component, monkeypatch):
    store, sweep = make_store(
        make_record("ours", versions={component: versions.CURRENT[component]}), make_record("dip", versions={})
    )
    assert list(cells_frame(store, sweep)["old"]) == ["", ""]
    monkeypatch.setattr(versions, "CURRENT", {**versions.CURRENT, component: versions.CURRENT[component] + 1})
    assert list(cells_frame(store, sweep)["old"]) == [component, ""]
    remedy = "nidbench rescore scores" if component == "metric" else "nidbench run --renew computes"
    assert f"1 of 1 cell old, of another version than today's ({component}): {remedy}" in render(
        SweepCells.read(store, sweep)
    )


def test_a_method_of_another_version_is_old(make_record, make_store):
    today, before = make_record("wiener"), make_record("wiener", "dog")
    version = cells_frame(*make_store(today, name="one"))["old"].iloc[0]
    cell = replace(before.cell, version=99)
    store, sweep = make_store(replace(before, cell=cell, id=cell.id), name="two")
    assert cells_frame(store, sweep)["old"].iloc[0] == "method"
    assert version in ("", "method")  # as the version that `wiener` declares is 1 or more


def test_renew_computes_what_rests_on_an_older_engine_or_measurement(tmp_path, monkeypatch):
    asked = ("--methods", "wiener", "--dataset", "sample", "--images", "camera", "--output", tmp_path)
    call(*RUN, *asked)
    first = only(tmp_path)
    monkeypatch.setattr(versions, "CURRENT", {**versions.CURRENT, "measurement": 2})
    said = call(*RUN, *asked)
    assert said.count("1 cell rests on an older version") == 1
    assert "old, of another version than today's (measurement)" in said
    assert only(tmp_path).versions == first.versions
    said = call(*RUN, *asked, "--renew")
    assert " old" not in said
    assert only(tmp_path).versions["measurement"] == 2


def test_another_metric_scores_anew(tmp_path, monkeypatch):
    asked = ("--methods", "wiener", "--dataset", "sample", "--images", "camera", "--output", tmp_path)
    call(*RUN, *asked)
    before = only(tmp_path)
    monkeypatch.setattr(versions, "CURRENT", {**versions.CURRENT, "metric": 2})
    assert "1 cell scored anew" in call(*RUN, *asked)
    now = only(tmp_path)
    assert (now.scores, now.versions["metric"]) == (before.scores, 2)


def test_a_method_file_that_was_edited_is_said(tmp_path):
    file = tmp_path / "mine.py"
    asked = ("--methods", "mine,wiener", "--method-file", file, "--dataset", "sample", "--images", "camera")
    asked = (*(word for word in RUN if word != "--in-process"), *asked, "--yes", "--output", tmp_path / "out")
    file.write_text(METHOD)
    call(*asked)
    file.write_text(METHOD.replace("0.5", "0.6") + "# a comment")
    assert "1 cell was computed before its method's file was edited" in call(*asked)
    table = " ".join(call("table", "--output", tmp_path / "out").split())
    assert "1 of 1 cell old, of another version than today's (an edited method file)" in table
    assert "edited" not in call(*asked, "--renew")
    assert "edited" not in call("table", "--output", tmp_path / "out")
    file.write_text(METHOD.replace("0.5", "0.6").replace("version=1", "version=2"))
    assert "edited" not in call(*asked)
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 3  # the new version is another cell


def test_the_engine_and_the_noise_estimate_say_that_they_were_used():
    versions.begin()
    assert versions.used() == {}
    estimate_noise_level(np.zeros((1, 20, 20)))
    assert versions.used() == {"noise level": versions.CURRENT["noise level"]}
    versions.begin()
    assert fit(Recipe(lambda _: None, lambda *_: None, Schedule(1, 0.1)), [], []) == []
    assert versions.used() == versions.of("engine")


def test_records_of_the_committed_results_are_read(tmp_path):
    """Of the first format, as yesterday's folders are."""
    root = Path(__file__).parents[2] / "results" / "reference"
    seen, of_first_format = 0, 0
    for path in root.glob("*/records.jsonl"):
        for line in path.read_text().splitlines():
            record = Record.from_json(line)
            assert record.id == record.cell.id
            assert Record.from_json(record.to_json()) == replace(record, log=None)
            seen += 1
            of_first_format += record.log is not None
            if record.log is not None and of_first_format == 1:
                (tmp_path / "cells" / record.id).mkdir(parents=True)
                (tmp_path / "cells" / record.id / "record.json").write_text(line)
                (tmp_path / "nidbench.json").write_text(json.dumps({"format": 1}))
                store = Store(tmp_path)
                assert store.whole(record.id) == store.with_log(store.read(record.id)) == record
    assert seen > 100
    assert of_first_format > 0
