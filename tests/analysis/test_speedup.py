"""What a preset gains over a sweep: which lines are compared, and the means, counts and words of their factors."""

import math
from dataclasses import replace

import pytest

from nidbench.analysis.speedup import (
    REFERENCES,
    cell_factors_frame,
    compared_lines,
    factors_frame,
    geometric_mean,
    read_lines,
)
from nidbench.records import Planned, Point, Store, Sweep
from nidbench.report.speedup import SHOWN, factor_text, speedup_lines

GROUP = ("sample", "levin", "gaussian:0.05", "known")


def curve(*points, pace=0.1):
    return [Point(iteration, iteration * pace, psnr, 0.7) for iteration, psnr in points]


RISING = curve((100, 20.0), (200, 24.0), (400, 26.0))
FALLING = curve((100, 20.0), (200, 28.0), (300, 26.0), (400, 22.0))


@pytest.fixture
def make_sweep(make_record, tmp_path):
    """Lines of a sweep by label -> image -> curve, or a record's fields; `dip@fast` has the preset `fast`."""

    def make(lines, **fields):
        store, cells = Store(tmp_path / "results"), []
        for label, images in lines.items():
            method, _, rest = label.partition("@")
            preset = rest.partition("[")[0] or "fast"
            for image, points in images.items():
                last = points[-1] if points else Point(100, 10.0, 24.0, 0.7)
                own = {"seconds": last.seconds, "iterations": last.iteration} | fields.get(label, {})
                record = make_record(method, image, last.psnr, settings={"label": label}, **own)
                record = record.with_log(replace(record.log, curve=tuple(points)))
                store.write(record, {})
                cells.append(
                    Planned(
                        id=record.id,
                        label=label,
                        preset=preset,
                        note="",
                        case=record.cell.case,
                        declared="known",
                        seed=record.cell.seed,
                        method=method,
                    )
                )
        sweep = Sweep("demo", {"experiments": []}, cells)
        store.write_sweep(sweep)
        return store, sweep

    return make


@pytest.fixture
def make_lines(make_sweep):
    def make(lines, **fields):
        store, sweep = make_sweep(lines, **fields)
        return read_lines(store, sweep.cells)

    return make


def names(lines):
    return [(line.name, reference.name) for line, reference in compared_lines(lines)]


def test_who_is_compared_with_whom(make_lines):
    labels = ["dip@fast", "dip@paper", "dip@paper[lr=1]", "ours@released", "ours@paper", "ours@fast", "tv"]
    assert names(make_lines({label: {"cat": RISING} for label in labels})) == [
        ("dip@fast", "dip@paper"),
        ("dip@paper[lr=1]", "dip@paper"),
        ("ours@fast", "ours@released"),
        ("ours@fast", "ours@paper"),
    ]
    assert "paper" in REFERENCES


def test_without_a_reference_preset_or_with_nothing_else_the_first_is_it(make_lines):
    assert names(make_lines({f"dip@{p}": {"cat": RISING} for p in ("fast", "smoke")})) == [("dip@smoke", "dip@fast")]
    both = make_lines({f"ours@{p}": {"cat": RISING} for p in ("paper", "released")})
    assert names(both) == [("ours@released", "ours@paper")]


def test_one_label_of_two_presets_is_two_lines(make_sweep):
    store, sweep = make_sweep({"dip@fast": {"cat": RISING}, "dip@paper": {"cat": FALLING}})
    cells = [replace(each, label="dip") for each in sweep.cells]
    assert names(read_lines(store, cells)) == [("dip (fast)", "dip (paper)")]


FAST = {"cat": curve((10, 20.0), (40, 26.0)), "dog": curve((10, 20.0), (25, 26.0), (50, 26.4))}
PAPER = {"cat": RISING, "dog": RISING}


def only(frame, **where):
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_means_are_geometric_and_count_what_was_not_reached(make_lines):
    short = curve((10, 20.0), (40, 25.5))
    cases = cell_factors_frame(make_lines({"dip@fast": FAST | {"fox": short}, "dip@paper": PAPER | {"fox": RISING}}))
    row = only(factors_frame(cases), target="stop")
    assert tuple(row[["label", "against", "method", "noise"]]) == ("dip@fast", "dip@paper", "dip", "gaussian:0.05")
    assert tuple(row[["planned", "cases", "reached", "timed"]]) == (3, 3, 2, 2)
    assert row["factor_iterations"] == pytest.approx(math.sqrt(10 * 16))
    assert (row["iterations_low"], row["iterations_high"]) == (10, 16)
    assert row["factor_seconds"] == pytest.approx(math.sqrt(10 * 16))
    assert (row["short"], row["end"]) == pytest.approx((0.5, (0 + 0.4 - 0.5) / 3))
    assert row["whole_iterations"] == pytest.approx((10 * 8 * 10) ** (1 / 3))
    own = only(factors_frame(cases), target="own")  # dip@paper never returns the 26.4 dB, but the 25.5
    assert (own["reached"], own["short"]) == (2, pytest.approx(0.4))
    fox = only(cases, image="fox", target="own")
    assert (fox["outcome"], fox["factor_iterations"]) == ("reached", 350 / 40)
    assert tuple(only(cases, image="fox", target="stop")[["outcome", "short"]]) == ("never", 0.5)


def test_the_target_of_the_oracle_is_the_best_of_the_reference(make_lines):
    cases = cell_factors_frame(
        make_lines({"dip@fast": {"cat": curve((10, 20.0), (90, 28.0))}, "dip@paper": {"cat": FALLING}})
    )
    assert cases.set_index("target")["psnr"].to_dict() == {"stop": 22.0, "oracle": 28.0, "own": 28.0}
    assert cases.set_index("target")["reference_iterations"].to_dict() == {"stop": 125, "oracle": 200, "own": 200}


def test_what_is_not_done_or_has_no_partner_is_counted_or_left_out(make_lines):
    lines = {"dip@fast": FAST, "dip@paper": {"cat": RISING, "dog": [], "owl": RISING}}
    cases = cell_factors_frame(make_lines(lines))
    assert set(cases["image"]) == {"cat", "dog"}
    assert tuple(only(factors_frame(cases), target="stop")[["planned", "cases", "reached"]]) == (2, 1, 1)
    assert only(cases, image="dog", target="stop")["outcome"] == "lacking"
    assert "1 without both curves" in " ".join(speedup_lines(cases))


def test_a_damaged_or_missing_record_is_lacking(make_sweep):
    store, sweep = make_sweep({"dip@fast": FAST, "dip@paper": PAPER})
    damaged, missing = (each for each in sweep.cells if each.label == "dip@fast")
    (store.root / "cells" / damaged.id / "record.json").write_text("{")
    (store.root / "cells" / missing.id / "record.json").unlink()
    cases = cell_factors_frame(read_lines(store, sweep.cells))
    assert set(cases["outcome"]) == {"lacking"}
    assert factors_frame(cases)["factor_iterations"].isna().all()


@pytest.mark.parametrize("fields", [{"threads": 8}, {"batch": 4}, {"environment": {"cpu": "another"}}])
def test_seconds_taken_otherwise_are_not_compared(make_lines, fields):
    cases = cell_factors_frame(make_lines({"dip@fast": FAST, "dip@paper": PAPER}, **{"dip@paper": fields}))
    row = only(factors_frame(cases), target="stop")
    assert row["factor_iterations"] == pytest.approx(math.sqrt(160))
    assert row[["factor_seconds", "whole_seconds", "seconds_low"]].isna().all()
    assert (row["reached"], row["timed"]) == (2, 0)
    assert "no comparable seconds" in " ".join(speedup_lines(cases))
    assert factor_text(factors_frame(cases), "dip@fast", GROUP, "seconds") == "no comparable seconds (0 of 2)"
    assert factor_text(factors_frame(cases), "dip@fast", GROUP, "iterations") == "factor 12.6 (2 of 2)"


@pytest.mark.parametrize(("images", "mean", "spread"), [(["cat"], "10", ""), (["cat", "dog"], "12.6", " (10 to 16)")])
def test_seconds_of_some_cases_are_counted_apart(make_lines, images, mean, spread):
    """Those of the owl took too little time to be known."""
    fast, paper = ({image: curves[image] for image in images} for curves in (FAST, PAPER))
    owl = curve((10, 20.0), (50, 26.0), pace=0.0)
    cases = cell_factors_frame(make_lines({"dip@fast": fast | {"owl": owl}, "dip@paper": paper | {"owl": RISING}}))
    factors, timed, reached = factors_frame(cases), len(images), len(images) + 1
    assert tuple(only(factors, target="stop")[["reached", "timed"]]) == (reached, timed)
    told = speedup_lines(cases)[1]
    assert f"; factor {mean} in seconds{spread}; " in told
    assert " in iterations (8 to " in told
    assert f"; seconds of {timed} only" in told
    assert factor_text(factors, "dip@fast", GROUP, "seconds") == f"factor {mean} ({timed} of {reached})"
    assert factor_text(factors, "dip@fast", GROUP, "iterations").endswith(f" ({reached} of {reached})")


def test_a_first_observation_and_averaged_passes_are_marked(make_lines):
    early = {"cat": curve((50, 27.0), (60, 28.0))}
    cases = cell_factors_frame(make_lines({"dip@fast": early, "dip@paper": {"cat": RISING}}))
    assert cases.set_index("target")[["first", "averaged"]].loc["stop"].tolist() == [True, False]
    sampled = {"dip@paper": {"passes": ((1, 25.0), (10, 26.0))}}
    late = cell_factors_frame(make_lines({"dip@fast": FAST, "dip@paper": PAPER}, **sampled))
    assert late[late["target"] == "stop"]["averaged"].all()  # 26 dB only by the last point
    text = " ".join(speedup_lines(late))
    assert "2 only by the passes averaged at an end, so perhaps earlier" in text


def test_the_report_tells_each_target_and_the_cases(make_lines):
    lines = speedup_lines(cell_factors_frame(make_lines({"dip@fast": FAST, "dip@paper": PAPER})))
    assert lines == [
        "dip@fast against its reference dip@paper, sample levin gaussian:0.05, at equal PSNR",
        (
            "  to what the reference returns: reached in 2 of 2 cases; factor 12.6 in iterations (10 to 16); "
            "factor 12.6 in seconds (10 to 16); it ends 0.20 dB above that, on average over all"
        ),
        "    cat levin/1, 26.00 dB: 40 it., 4 s against 400 it., 40 s, factors 10, 10",
        "    dog levin/1, 26.00 dB: 25 it., 2.5 s against 400 it., 40 s, factors 16, 16",
        (
            "  to the reference's best: reached in 2 of 2 cases; factor 12.6 in iterations (10 to 16); "
            "factor 12.6 in seconds (10 to 16); it ends 0.20 dB above that, on average over all"
        ),
        "    cat levin/1, 26.00 dB: 40 it., 4 s against 400 it., 40 s, factors 10, 10",
        "    dog levin/1, 26.00 dB: 25 it., 2.5 s against 400 it., 40 s, factors 16, 16",
        (
            "  to what it returns itself: reached in 1 of 2 cases; factor 10 in iterations; factor 10 in seconds; "
            "in 1 the reference never gets there, 0.40 dB short on average"
        ),
        "    cat levin/1, 26.00 dB: 40 it., 4 s against 400 it., 40 s, factors 10, 10",
        "    dog levin/1, 26.40 dB: never, 0.40 dB short",
        "  whole runs: factor 8.94 in iterations, 8.94 in seconds, returning +0.20 dB on average",
    ]


def test_many_cases_are_cut_off_with_where_they_are(make_lines):
    images = [f"image{n}" for n in range(SHOWN + 2)]
    both = {f"dip@{p}": dict.fromkeys(images, RISING) for p in ("fast", "paper")}
    lines = speedup_lines(cell_factors_frame(make_lines(both)))
    assert lines.count("    ... and 2 more, which nidbench.analysis.speedup.cell_factors_frame has") == 3


def test_the_short_text_of_a_line(make_lines):
    factors = factors_frame(cell_factors_frame(make_lines({"dip@fast": FAST, "dip@paper": PAPER})))
    assert factor_text(factors, "dip@fast", GROUP, "iterations") == "factor 12.6 (2 of 2)"
    assert factor_text(factors, "dip@paper", GROUP, "iterations") == ""
    lower = {"cat": curve((10, 20.0), (40, 25.0))}
    factors = factors_frame(cell_factors_frame(make_lines({"dip@fast": lower, "dip@paper": PAPER})))
    assert factor_text(factors, "dip@fast", GROUP, "seconds") == "never, 1.00 dB short (0 of 1)"


def test_frames_without_pairs_are_empty_and_typed(make_lines):
    cases = cell_factors_frame(make_lines({"dip@fast": FAST}))
    assert (len(cases), len(factors_frame(cases)), speedup_lines(cases)) == (0, 0, [])
    assert cases["psnr"].dtype == factors_frame(cases)["factor_seconds"].dtype == float
    assert math.isnan(geometric_mean(cases["psnr"]))
