"""The leaderboard: the set is one set, ranks are of those that have all of it, and the page is what the records say."""

from __future__ import annotations

import dataclasses
import io
import re
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from nidbench.methods.deepinverse import DeepInverse
from nidbench.methods.dip import DIP
from nidbench.methods.selfdeblur import SelfDeblur
from nidbench.methods.selfdeblur_nonblind import SelfDeblurNonblind

from nidbench.cases import cases
from nidbench.cli import main
from nidbench.contract import CaseKey
from nidbench.errors import ResultsError
from nidbench.leaderboard.board import order, render
from nidbench.leaderboard.entries import entries
from nidbench.leaderboard.fixed_set import LEVELS, PAIRS, of_table
from nidbench.leaderboard.standings import standings_frame
from nidbench.records import Cell, Record, read_records
from nidbench.registry.entry_points import declared_versions
from nidbench.registry.method_spec import all_settings
from nidbench.scoring.score import Score
from nidbench.sweep.recorded import label_of
from nidbench.sweep.sweep_file import read_ask

ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "docs" / "make_leaderboard.py").is_file()
)
SETTINGS = {
    "tv": {"weight": 0.6, "split": 0.05, "iterations": 100},
    "wiener": {"weight": 1.5},
    "fdn": {},
}

VERSIONS = declared_versions(SETTINGS)


def record(method, image, kernel, noise=LEVELS[0], psnr=25.0, **changed):
    """Return the record of a cell on the set; `changed` names attributes of the cell or of the record."""
    of_cell = {key: changed.pop(key) for key in list(changed) if key in Cell.__dataclass_fields__}
    facts = {
        "method": method,
        "version": VERSIONS[method],
        "settings": SETTINGS[method],
        "case": CaseKey("set12", image, kernel, noise, 0),
        "image_hash": f"image {image}",
        "kernel_hash": f"kernel {kernel}",
        "declared": "known",
        "response": "identity",
        "seed": 0,
        "precision": "float32",
        "device": "cpu",
    }
    cell = Cell(**facts | of_cell)
    known = {
        "status": "done",
        "scores": {"half-kernel": Score(psnr, 0.8)},
        "seconds": 2.0,
        "peak_memory": 50_000_000,
        "measurement_hash": f"{image} {kernel} {noise}",
        "truth_hash": image,
        "versions": {"measurement": 1, "metric": 1},
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return Record(id=cell.id, cell=cell, **known | changed)


def whole(method, psnr, noise=LEVELS[0], **changed):
    """Return the 24 records of a method at a level; each image has an offset that all methods share."""
    offsets = np.random.default_rng(5).normal(0, 3, 99)
    return [record(method, i, k, noise, psnr + offsets[int(i)], **changed) for i, k in PAIRS]


def by_method(records, noise=LEVELS[0]):
    frame = standings_frame(entries(records))
    return frame[frame["noise"] == noise].set_index("method")


def test_the_set_has_each_image_twice_each_kernel_thrice_and_no_pair_twice():
    images, kernels = zip(*PAIRS, strict=True)
    assert len(set(PAIRS)) == len(PAIRS) == 24
    assert {images.count(image) for image in set(images)} == {2}
    assert {kernels.count(kernel) for kernel in set(kernels)} == {3}
    assert len(set(images)) == 12
    assert len(set(kernels)) == 8
    assert {("01", "levin/1"), ("01", "levin/5"), ("08", "levin/8"), ("08", "levin/4"), ("09", "levin/1")} <= set(PAIRS)


@pytest.mark.usefixtures("shared_mirror")
def test_the_sweep_file_asks_for_the_set_and_nothing_else():
    ask = read_ask(ROOT / "results" / "leaderboard" / "sweep.toml")
    keys = [case.key for each in ask.experiments for request in each.requests() for case in cases(request)]
    asked = [(key.image, key.kernel, key.noise) for key in keys]
    assert sorted(asked) == sorted((image, kernel, noise) for (image, kernel), noise in product(PAIRS, LEVELS))
    assert all(of_table(key) for key in keys)


def test_ranks_are_by_the_mean_and_the_distance_is_paired():
    found = by_method([*whole("tv", 26.0), *whole("wiener", 24.5), *whole("fdn", 27.0)])
    assert found["rank"].to_dict() == {"fdn": 1, "tv": 2, "wiener": 3}
    assert found["behind"].to_dict() == pytest.approx({"fdn": 0.0, "tv": 1.0, "wiener": 2.5})
    assert found.loc["tv", "behind_low"] == pytest.approx(1.0)  # nothing but a constant lies between them
    assert found.loc["wiener", "shared"] == 24
    assert found["first"].to_dict() == {"fdn": True, "tv": False, "wiener": False}
    assert found.loc["tv", "low"] < found.loc["tv", "psnr"] < found.loc["tv", "high"]


def test_who_lacks_a_measurement_has_no_rank_and_is_compared_on_what_it_has():
    lucky = [each for each in whole("wiener", 24.5) if each.cell.case.image != "03"]
    easy = [replace(each, scores={"half-kernel": Score(40.0, 0.9)}) for each in lucky[:1]]
    found = by_method([*whole("tv", 26.0), *whole("fdn", 27.0), *easy, *lucky[1:]])
    assert np.isnan(found.loc["wiener", "rank"])
    assert found["rank"].dropna().to_dict() == {"fdn": 1, "tv": 2}
    assert found.loc["wiener", "measurements"] == found.loc["wiener", "shared"] == 22
    assert "n=22" in render(entries([*whole("tv", 26.0), *lucky]))


def test_equal_means_share_the_better_rank_and_are_not_told_apart():
    found = by_method([*whole("tv", 26.0), *whole("fdn", 26.0), *whole("wiener", 20.0)])
    assert found["rank"].to_dict() == {"fdn": 1, "tv": 1, "wiener": 3}
    assert found["first"].to_dict() == {"fdn": True, "tv": True, "wiener": False}
    text = render(entries([*whole("tv", 26.0), *whole("fdn", 26.0), *whole("wiener", 20.0)]))
    assert text.count("**") == 0


@pytest.mark.parametrize(
    "changed", [{"version": 99}, {"versions": {"metric": 99}}, {"versions": {"measurement": 99, "metric": 1}}]
)
def test_an_older_version_is_listed_and_not_ranked(changed):
    found = by_method([*whole("tv", 26.0), *whole("wiener", 30.0, **changed)])
    assert np.isnan(found.loc["wiener", "rank"])
    assert found.loc["wiener", "old"]
    assert found.loc["tv", "rank"] == 1
    assert "not ranked for an older version" in render(entries([*whole("tv", 26.0), *whole("wiener", 30.0, **changed)]))


def test_failed_cells_are_no_measurements():
    records = whole("tv", 26.0)
    records[0] = replace(records[0], status="failed", scores={})
    found = by_method([*records, *whole("fdn", 20.0)])
    assert found.loc["tv", "measurements"] == 23
    assert np.isnan(found.loc["tv", "rank"])


@pytest.mark.parametrize(
    "changed",
    [
        {"case": CaseKey("set12", "01@96", "levin/1", LEVELS[0], 0)},
        {"case": CaseKey("set12", "01", "levin/1", LEVELS[0], 1)},
        {"case": CaseKey("set12", "01", "levin/1", "gaussian:0.02", 0)},
        {"case": CaseKey("sun", "01", "levin/1", LEVELS[0], 0)},
        {"case": CaseKey("set12", "01", "levin@perturbed/1", LEVELS[0], 0)},
        {"declared": "x1.2"},
        {"response": "gamma:2.2"},
    ],
)
def test_other_measurements_are_left_out(changed):
    stray = record("tv", "01", "levin/1", psnr=99.0, **changed)
    assert not (of_table(stray.cell.case) and "case" in changed)
    with pytest.raises(ResultsError, match="no record is of the leaderboard's measurements"):
        entries([stray])
    assert by_method([*whole("tv", 26.0), stray]).loc["tv", "measurements"] == 24


def test_other_pairs_of_the_paper_count_for_its_verdict_only():
    beyond = record("tv", "01", "levin/2", psnr=99.0)
    assert by_method([*whole("tv", 26.0), beyond]).loc["tv", "measurements"] == 24
    with pytest.raises(ResultsError, match="no record has a score on the leaderboard's measurements"):
        standings_frame(entries([beyond]))


def test_the_latest_of_two_records_of_a_cell_and_the_fuller_precision_count(tmp_path):
    records = whole("tv", 26.0)
    newer = replace(records[0], scores={"half-kernel": Score(1.0, 0.1)}, finished="2026-02-01T00:00:00+00:00")
    half = [replace(each) for each in whole("tv", 50.0, precision="bf16")[:5]]
    file, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lines = [each.to_json().replace("\n", "") for each in [newer, *records, *half]]
    file.write_text("\n".join(lines[:9]) + "\n\n")
    other.write_text("\n".join(lines[9:]))
    found = by_method(read_records([file, other]))
    assert found.loc["tv", "measurements"] == 24
    assert found.loc["tv", "precision"] == "float32"
    plain = by_method(records).loc["tv", "psnr"]
    assert found.loc["tv", "psnr"] == pytest.approx(plain + (1.0 - records[0].scores["half-kernel"].psnr) / 24)


def test_what_covers_the_set_stands_for_a_label_not_what_has_most_records():
    images = [f"{image:02}" for image in range(1, 13)]
    elsewhere = [(i, f"levin/{k}") for i in images for k in range(1, 9) if (i, f"levin/{k}") not in PAIRS]
    half = [record("tv", i, k, psnr=99.0, precision="bf16") for i, k in [*elsewhere, *PAIRS[:5]]]
    found = by_method([*half, *whole("tv", 26.0)])
    assert len(half) > 2 * len(PAIRS)
    assert (found.loc["tv", "measurements"], found.loc["tv", "precision"]) == (24, "float32")


def test_failed_cells_cover_nothing():
    failed = [
        replace(each, status="failed", scores={})
        for level in LEVELS
        for each in whole("tv", 1.0, level, precision="bf16")
    ]
    assert by_method([*failed, *whole("tv", 26.0)[:3]]).loc["tv", "measurements"] == 3


def test_an_older_version_does_not_stand_for_todays_however_much_it_covers():
    old = whole("wiener", 40.0, version=99)
    found = by_method([*whole("tv", 26.0), *old, *whole("wiener", 24.0)[:7]])
    assert (found.loc["wiener", "measurements"], found.loc["wiener", "old"]) == (7, "")


def test_sources_of_a_method_that_no_golden_result_holds_are_never_mixed(monkeypatch):
    monkeypatch.setitem(SETTINGS, "of-a-file", {"weight": 1.0})
    monkeypatch.setitem(VERSIONS, "of-a-file", 1)
    records = whole("of-a-file", 25.0)
    edited = [replace(each, source="new") for each in records[:10]]
    old = [replace(each, source="old") for each in records[10:]]
    found = by_method([*whole("tv", 26.0), *edited, *old])
    assert found.loc["of-a-file[weight=1.0]", "measurements"] == 14
    moved = [replace(each, source=str(n % 2)) for n, each in enumerate(whole("tv", 26.0))]
    assert by_method(moved).loc["tv", "measurements"] == 24


def test_settings_that_read_alike_are_never_mixed(monkeypatch):
    monkeypatch.setitem(VERSIONS, "gone", 1)
    monkeypatch.setitem(SETTINGS, "gone", {})
    cut = [record("gone", i, k, settings={"sha256": "0" * 63 + str(n % 2)}) for n, (i, k) in enumerate(PAIRS[:11])]
    assert by_method(cut).loc["gone[sha256=00000000]", "measurements"] == 6


def test_restorations_from_files_are_not_taken():
    files = [record("wiener", i, k, settings={"scored": "from files"}, precision="", device="") for i, k in PAIRS]
    assert list(by_method([*whole("tv", 26.0), *files]).index) == ["tv"]


def test_blind_methods_are_marked_and_neither_ranked_nor_compared(monkeypatch):
    monkeypatch.setitem(SETTINGS, "selfdeblur", all_settings(SelfDeblur()))
    monkeypatch.setitem(VERSIONS, "selfdeblur", SelfDeblur.info.version)
    records = [*whole("tv", 26.0), *whole("wiener", 25.0), *whole("selfdeblur", 30.0)]
    found = by_method(records)
    assert found["rank"].dropna().to_dict() == {"tv": 1, "wiener": 2}
    assert found["first"].to_dict() == {"tv": True, "wiener": False, "selfdeblur": False}
    assert np.isnan(found.loc["selfdeblur", "behind"])
    assert found["blind"].to_dict() == {"tv": False, "wiener": False, "selfdeblur": True}
    text = render(entries(records))
    assert "dataset-free, blind" in text
    assert "blind, told only the size of the kernel, and therefore not ranked: selfdeblur" in text


def test_seconds_over_all_levels_are_means_over_cells():
    slow = whole("tv", 26.0, seconds=100.0)[:6]
    text = render(entries([*slow, *whole("tv", 26.0, LEVELS[1], seconds=50.0)]))
    (overview, *_) = [line for line in text.splitlines() if line.startswith("| tv ")]
    assert [cell.strip() for cell in overview.split("|")][-4:-2] == ["30/72", "60"]


def test_threads_and_restorations_side_by_side_are_said_where_they_differ():
    alone, together = whole("tv", 26.0, threads=1), whole("wiener", 25.0, threads=1, batch=8)
    quick = whole("fdn", 27.0, threads=4)
    unknown = [replace(each, threads=None) for each in whole("fdn", 27.0)]
    text = render(entries([*alone, *together, *quick]))
    assert "seconds with threads: 4, others 1: fdn" in text
    assert "seconds with restorations side by side: 8, others 1: wiener" in text
    assert "seconds with threads: unknown, others 1: fdn" in render(entries([*alone, *together, *unknown]))
    assert "seconds with" not in render(entries(alone))
    mixed = [replace(each, threads=1 + n % 2) for n, each in enumerate(alone)]
    assert by_method(mixed).loc["tv", "threads"] == "1, 2"


def test_methods_are_named_by_preset_variant_and_settings():
    def cell(method, settings):
        known = record("tv", "01", "levin/1").cell
        return replace(known, method=method, settings=settings)

    assert label_of(cell("tv", SETTINGS["tv"])) == "tv"
    assert label_of(cell("tv", {**SETTINGS["tv"], "iterations": 7})) == "tv[iterations=7]"
    assert label_of(cell("gone", {"a": 1, "sha256": "0123456789abcdef" * 4})) == "gone[a=1,sha256=01234567]"
    fast = all_settings(DIP(**DIP.info.presets["fast"]))
    assert label_of(cell("dip", fast)) == "dip@fast"
    assert label_of(cell("dip", all_settings(DIP()))) == "dip"
    assert label_of(cell("dip", {**fast, "lr": 0.5})) == "dip@fast[lr=0.5]"
    before = {key: value for key, value in fast.items() if key != "optimizer"}  # a record from before that setting
    assert label_of(cell("dip", before)) == "dip@fast[optimizer=adam]"


def test_year_and_kind_are_the_methods_own():
    found = by_method([*whole("tv", 26.0), *whole("fdn", 27.0)])
    assert found["kind"].to_dict() == {"tv": "dataset-free", "fdn": "supervised"}
    assert found["year"].to_dict() == {"tv": 1992, "fdn": 2017}


def test_who_was_tuned_on_images_of_a_dataset_is_named(monkeypatch):
    name, info = "selfdeblur-nonblind", SelfDeblurNonblind.info
    monkeypatch.setitem(VERSIONS, name, info.version)
    monkeypatch.setitem(SETTINGS, name, all_settings(SelfDeblurNonblind()))
    others = [*whole("tv", 26.0), *whole(name, 20.0)]
    assert "tuned on" not in render(entries(others))
    tuned = whole(name, 21.0, settings=all_settings(SelfDeblurNonblind(**info.presets["fast"])))
    assert by_method([*others, *tuned])["tuned_on"].to_dict() == {"tv": "", f"{name}@fast": "set12/02", name: ""}
    assert f"tuned on images of a dataset (set12/02): {name}@fast\n" in render(entries([*others, *tuned]))


@pytest.mark.parametrize(("weights", "kind"), [(None, "dataset-free"), ("net.pth", "supervised")])
def test_a_method_that_is_supervised_by_a_setting_is_so_where_it_is_given(weights, kind, monkeypatch):
    fields = {field.name: field.default for field in dataclasses.fields(DeepInverse)}
    monkeypatch.setitem(SETTINGS, "deepinv", fields | {"weights": weights})
    monkeypatch.setitem(VERSIONS, "deepinv", DeepInverse.info.version)
    (found,) = by_method(whole("deepinv", 25.0))["kind"]
    assert found == kind


def test_methods_are_in_the_order_of_their_ranks_over_all_levels():
    records = [each for level in LEVELS for each in (*whole("wiener", 25.0, level), *whole("tv", 26.0, level))]
    records += whole("fdn", 30.0)
    assert order(standings_frame(entries(records))) == ["tv", "wiener", "fdn"]


@pytest.mark.parametrize("form", ["md", "csv", "latex", "html"])
def test_the_command_prints_it_in_every_format(form, tmp_path):
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join(each.to_json().replace("\n", "") for each in [*whole("tv", 26.0), *whole("fdn", 27.0)]))
    result = CliRunner().invoke(main, ["leaderboard", str(file), "--format", form])
    assert result.exit_code == 0, result.output
    assert "fdn" in result.output
    if form == "csv":
        assert len(pd.read_csv(io.StringIO(result.output))) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json\n", "line 1 of .*records.jsonl is no record"),
        ("{}\n", "line 1 of .*records.jsonl is no record"),
        (
            '\n{"format": 99}\n',
            r"line 2 of .*records.jsonl was written by a newer nidbench \(format 99, this one reads",
        ),
        ("", "no record is of the leaderboard's measurements"),
    ],
)
def test_files_of_anything_else_are_refused_in_words(text, said, tmp_path):
    file = tmp_path / "records.jsonl"
    file.write_text(text)
    result = CliRunner().invoke(main, ["leaderboard", str(file)])
    assert result.exit_code == 2
    assert re.search(said, " ".join(result.output.split()))


def test_a_record_that_was_edited_is_refused_in_words(tmp_path):
    file = tmp_path / "records.jsonl"
    (line,) = [each.to_json().replace("\n", "") for each in whole("tv", 26.0)[:1]]
    file.write_text("\n" + line.replace('"levin/1"', '"levin/5"'))
    with pytest.raises(ResultsError, match=r"line 2 of .*records\.jsonl was edited"):
        read_records([file])


def test_page_and_standings_are_what_the_committed_records_say():
    spec = spec_from_file_location("make_leaderboard", ROOT / "docs" / "make_leaderboard.py")
    make = module_from_spec(spec)
    spec.loader.exec_module(make)
    markdown, csv = make.table()
    assert make.PAGE.read_text() == make.page(markdown), "run: python docs/make_leaderboard.py"
    kept = pd.read_csv(make.RESULTS / "standings.csv")
    pd.testing.assert_frame_equal(kept, pd.read_csv(io.StringIO(csv)), rtol=1e-9)
    assert "[fdn](methods/fdn.md)" in markdown
