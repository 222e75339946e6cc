import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from frames import cells_frame
from scipy import stats

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.summary import summary_frame
from nidbench.errors import InputError, UnknownNameError
from nidbench.paper.quotes import columns_beside
from nidbench.records import error_line
from nidbench.report.results_table import failure_lines, render
from nidbench.scoring.score import Score

TRACE = "Traceback (most recent call last):"


def row(frame, method, **where):
    for name, value in {"method": method, **where}.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_a_row_for_every_planned_cell(sample_store):
    cells = cells_frame(*sample_store)
    assert list(cells["status"]) == ["done", "done", "done", "timeout"]
    first, last = cells.iloc[0], cells.iloc[3]
    assert (first["kernel_set"], first["kernel"], first["label"], first["preset"]) == (
        "levin",
        "levin/1",
        "ours",
        "fast",
    )
    assert (first["psnr"], first["ssim"], first["input_psnr"], first["stop_psnr"]) == (26.0, 0.7, 20.0, 26.0)
    assert (first["oracle_psnr"], first["oracle_iteration"], first["end_psnr"]) == (26.5, 100, 26.0)
    assert (first["peak_memory_mb"], first["seconds"], first["device"]) == (500, 10.0, "cpu")
    assert math.isnan(last["psnr"])
    assert last["input_psnr"] == 22.0
    assert last["error"] == "TimeoutError: over 60_000 s"


def test_summary_by_hand(sample_store):
    summary = summary_frame(cells_frame(*sample_store))
    assert list(summary["method"]) == ["input", "ours", "dip"]
    blurred, ours, dip = (row(summary, name) for name in ("input", "ours", "dip"))
    assert (blurred["psnr"], blurred["cells"]) == (21.0, "2/2")
    assert (ours["psnr"], ours["ssim"], ours["cells"], ours["failed"]) == (27.0, 0.75, "2/2", 0)
    assert (ours["oracle_psnr"], ours["end_psnr"], ours["seconds"], ours["peak_memory_mb"]) == (26.5, 26.25, 10, 500)
    assert ours["image_std"] == pytest.approx(math.sqrt(2))
    assert math.isnan(ours["seed_std"])
    assert (dip["psnr"], dip["cells"], dip["failed"]) == (30.0, "1/2", 1)  # its one score, never a mean with 0 dB
    assert dip["notes"] == "mean over 1 of 2 cells, so not comparable: 1 timeout"


def marks(summary):
    return {r["method"]: (r["best"], r["leading"]) for _, r in summary.iterrows() if r["method"] != "input"}


def scored(make_record, **methods):
    return [make_record(m, i, p) for m, values in methods.items() for i, p in zip("abcd", values, strict=False)]


NOTHING, LEADING, ALONE = (False, False), (False, True), (True, True)


def test_best_is_ahead_beyond_the_choice_of_images(make_record, make_store):
    clear = make_store(*scored(make_record, dip=(26, 27, 28), ours=(27, 28, 29.1), fid=(20, 21, 22)), name="clear")
    assert marks(summary_frame(cells_frame(*clear))) == {"dip": NOTHING, "ours": ALONE, "fid": NOTHING}
    text = render(SweepCells.read(*clear))
    assert "**28.03**" in text
    assert "Bold: ahead of every other method" in text
    assert "Italics" not in text


def test_what_is_not_told_apart_leads_together(make_record, make_store):
    close = make_store(*scored(make_record, dip=(26, 29, 28), ours=(27, 28, 29.1), fid=(20, 21, 22)))
    assert marks(summary_frame(cells_frame(*close))) == {"dip": LEADING, "ours": LEADING, "fid": NOTHING}
    text = render(SweepCells.read(*close))
    assert "*28.03*" in text
    assert "*27.67*" in text
    assert "**" not in text
    assert "Italics: the highest mean, and what is not told apart from it" in text


def test_nothing_is_marked_on_two_images(make_record, make_store):
    store, sweep = make_store(*scored(make_record, ours=(30, 31), dip=(20, 21)))
    assert marks(summary_frame(cells_frame(store, sweep))) == {"ours": NOTHING, "dip": NOTHING}
    assert "Nothing is marked on fewer than 3 images" in render(SweepCells.read(store, sweep))


def test_best_needs_every_cell(make_record, make_store):
    records = scored(make_record, ours=(27, 28, 29.1), dip=(26, 27, 28), fid=(40, 41))
    cells = cells_frame(*make_store(*records, make_record("fid", "c", status="failed")))
    assert marks(summary_frame(cells)) == {"ours": ALONE, "dip": NOTHING, "fid": NOTHING}


def test_a_note_names_each_method_with_its_own_groups(make_record, make_store):
    failed = {("mine", "gaussian:0.01"), ("theirs", "gaussian:0.05")}
    records = [
        make_record(m, i, noise=noise, status="failed" if i == "d" and (m, noise) in failed else "done")
        for noise in ("gaussian:0.01", "gaussian:0.05")
        for m in ("ours", "mine", "theirs")
        for i in "abcd"
    ]
    text = render(SweepCells.read(*make_store(*records)))
    where = "mine (sample levin gaussian:0.01); theirs (sample levin gaussian:0.05)"
    assert f"- {where}: mean over 3 of 4 cells, so not comparable: 1 failed\n" in text


def test_a_note_names_the_preset_where_a_method_has_several(make_record, make_store):
    records = [make_record("ours", i, settings={"lr": lr}) for lr in (0.1, 0.2) for i in "abc"]
    records[-1] = make_record("ours", "c", settings={"lr": 0.2}, status="failed")
    store, sweep = make_store(*records)
    cells = [replace(cell, preset="paper") if place > 2 else cell for place, cell in enumerate(sweep.cells)]
    text = render(SweepCells.read(store, replace(sweep, cells=cells)))
    assert "- ours (paper) (sample levin gaussian:0.05): mean over 2 of 3 cells" in text


def test_a_note_says_over_how_many_cells_the_means_of_the_curve_are(make_record, make_store):
    curve = ((50, 29.0), (100, 30.0))
    records = [
        make_record("mine", i, p, curve=curve if i == "a" else ()) for i, p in zip("abc", (30, 20, 10), strict=True)
    ]
    records += [make_record("observed", i, curve=curve) for i in "abc"] + [make_record("never", i) for i in "abc"]
    summary = summary_frame(cells_frame(*make_store(*records)))
    assert row(summary, "mine")[["psnr", "end_psnr"]].tolist() == [20, 30]
    words = "oracle and end are means over 1 of 3 cells, the others were never observed"
    assert summary["notes"].fillna("").tolist() == ["", words, "", ""]


def test_a_method_alone_is_not_best(make_record, make_store):
    store, sweep = make_store(*scored(make_record, ours=(27, 28, 29)))
    assert marks(summary_frame(cells_frame(store, sweep))) == {"ours": NOTHING}
    assert "mark" not in render(SweepCells.read(store, sweep))


def test_a_method_planned_for_fewer_measurements_is_not_best(make_record, make_store):
    records = scored(make_record, ours=(27, 28, 29.1), fid=(26, 27, 28), dip=(40, 41))
    summary = summary_frame(cells_frame(*make_store(*records)))
    assert marks(summary) == {"ours": ALONE, "fid": NOTHING, "dip": NOTHING}
    assert row(summary, "dip")["notes"] == "planned for 2 of 3 measurements, so not comparable"


def test_methods_told_differently_of_the_noise_do_not_compete(make_record, make_store):
    told = {"known": (27, 26), "x1.2": (24, 25)}
    records = [
        make_record(m, i, p + n / 10 * (m == "ours"), declared=declared)
        for declared, values in told.items()
        for m, p in zip(("ours", "dip"), values, strict=True)
        for n, i in enumerate("abc")
    ]
    summary = summary_frame(cells_frame(*make_store(*records)))
    assert list(zip(summary["method"], summary["psnr"].round(2), summary["best"], strict=True))[1:] == [
        ("ours", 27.1, True),
        ("dip", 26.0, False),
        ("ours", 24.1, False),
        ("dip", 25.0, True),
    ]


def test_a_note_says_which_method_is_worse_than_the_blurred_images(make_record, make_store):
    """Bold is ahead of other methods, and need not be ahead of doing nothing; 20 dB are those of the input."""
    records = [make_record("tv", image, psnr) for image, psnr in zip("abc", (15.0, 19.0, 21.5), strict=True)]
    records += [make_record("dip", image, psnr) for image, psnr in zip("abc", (19.0, 19.0, 25.0), strict=True)]
    summary = summary_frame(cells_frame(*make_store(*records))).set_index("method")
    worse = "2 of 3 restorations are worse than the blurred image, by 1.50 dB in the mean over all"
    assert worse in summary.loc["tv", "notes"]
    assert "worse" not in str(summary.loc["dip", "notes"])


def test_declared_levels_have_rows_of_their_own(make_record, make_store):
    records = [make_record("ours", psnr=22.0), make_record("ours", declared="x1.2", psnr=21.0)]
    summary = summary_frame(cells_frame(*make_store(*records)))
    rows = summary[summary["method"] == "ours"]
    assert rows["psnr"].tolist() == [22.0, 21.0]
    assert rows["notes"].fillna("").tolist() == ["", "declared noise level: x1.2"]


def test_groups_keep_kernel_sets_and_noise_apart(make_record, make_store):
    records = [
        make_record(kernel="levin/1", psnr=20.0),
        make_record(kernel="levin/2", psnr=22.0),
        make_record(kernel="sample/a", psnr=30.0),
        make_record(kernel="sample/a", noise="poisson:128", psnr=40.0),
    ]
    summary = summary_frame(cells_frame(*make_store(*records)))
    means = summary[summary["method"] == "ours"].set_index(["kernel_set", "noise"])["psnr"].to_dict()
    assert means == {("levin", "gaussian:0.05"): 21, ("sample", "gaussian:0.05"): 30, ("sample", "poisson:128"): 40}


def test_kernels_with_noise_of_their_own_are_named_in_the_text(make_record, make_store):
    records = [
        make_record(kernel="danielyan/4", noise="gaussian:0.027450980392156862"),
        make_record(kernel="danielyan/3", noise="bsnr:40"),
        make_record(kernel="levin/1"),
        make_record(kernel="levin/2"),
        make_record(kernel="sample/a"),
    ]
    store, sweep = make_store(*records)
    rows = [
        line.split("|")[2:4]
        for line in render(SweepCells.read(store, sweep)).splitlines()
        if line.startswith("| sample")
    ]
    assert [tuple(map(str.strip, row)) for row in rows] == [
        ("danielyan/4", "gaussian:0.02745"),
        ("danielyan/3", "bsnr:40"),
        ("levin", "gaussian:0.05"),
        ("sample", "gaussian:0.05"),
    ]
    exact = render(SweepCells.read(store, sweep), "csv")
    assert "sample,danielyan,gaussian:0.027450980392156862," in exact


def test_spread_over_seeds_apart_from_images(make_record, make_store):
    records = [
        make_record(image=i, psnr=p, seed=s) for i, s, p in (("a", 0, 20), ("a", 1, 22), ("b", 0, 30), ("b", 1, 36))
    ]
    store, sweep = make_store(*records)
    ours = row(summary_frame(cells_frame(store, sweep)), "ours")
    assert ours["seed_std"] == pytest.approx(math.sqrt((2 + 18) / 2))  # variances 2 and 18 within the images
    assert ours["image_std"] == pytest.approx((33 - 21) / math.sqrt(2))
    assert row(summary_frame(cells_frame(store, sweep)), "input")["cells"] == "2/2"
    assert "± images | ± seeds" in render(SweepCells.read(store, sweep))
    assert "±" not in render(SweepCells.read(*make_store(make_record(), make_record(image="dog"), name="one seed")))


def test_missing_corrupt_and_old_are_shown(make_record, make_store):
    whole, torn = make_record("ours", "cat", versions={"engine": 0, "metric": 0}), make_record("ours", "dog")
    store, sweep = make_store(whole, torn, missing=(make_record("ours", "fox"),))
    path = store.root / "cells" / torn.id / "record.json"
    path.write_text(path.read_text()[:100])
    cells = cells_frame(store, sweep)
    assert list(cells["status"]) == ["done", "corrupt", "missing"]
    assert list(cells["old"]) == ["engine, metric", "", ""]
    ours = row(summary_frame(cells), "ours")
    assert (ours["cells"], ours["failed"], ours["missing"], ours["old"]) == ("1/3", 1, 1, 1)
    assert not ours["best"]
    text = render(SweepCells.read(store, sweep), "md")
    assert "3 cells: 1 done, 1 corrupt, 1 missing; 1 old." in text
    assert "1 of 3 cells old, of another version than today's (engine, metric): nidbench run --renew" in text
    assert "missing: 1 ours" in text
    assert re.search(r"ours on sample/dog levin/1 gaussian:0.05 #0: corrupt: .*is damaged", text)


def test_nothing_computed_yet(make_record, make_store):
    store, sweep = make_store(missing=(make_record("ours"), make_record("dip")))
    summary = summary_frame(cells_frame(store, sweep))
    assert list(summary["cells"]) == ["0/1"] * 3
    assert not summary["best"].any()
    assert "2 cells: 2 missing" in render(SweepCells.read(store, sweep))


def test_an_empty_sweep_is_an_empty_table(make_store):
    store, sweep = make_store()
    assert summary_frame(cells_frame(store, sweep)).empty
    for name in ("md", "csv", "latex", "html"):
        assert "PSNR" in render(SweepCells.read(store, sweep), name).upper()


def test_another_protocol(sample_store):
    cells = cells_frame(*sample_store, protocol="cut-30")
    assert (cells["psnr"].iloc[0], cells["input_psnr"].iloc[0], cells["stop_psnr"].iloc[0]) == (27.0, 21.0, 26.0)
    text = render(SweepCells.read(*sample_store), protocol="cut-30")
    assert "protocol cut-30: cut 30 px a side" in text
    assert "oracle" not in text  # curves are scored under half-kernel only
    with pytest.raises(UnknownNameError, match="half-kernel"):
        render(SweepCells.read(*sample_store), protocol="cut-31")


def test_done_without_truth_is_not_a_score(make_record, make_store):
    store, sweep = make_store(make_record(scores={}, input_scores={}), make_record(image="dog"))
    ours = row(summary_frame(cells_frame(store, sweep)), "ours")
    assert (ours["cells"], ours["psnr"], ours["best"]) == ("2/2", 26.0, False)
    assert "1 without a score" in ours["notes"]


def test_a_perfect_restoration_is_infinite(make_record, make_store):
    store, sweep = make_store(make_record(scores={"half-kernel": Score(math.inf, 1.0)}))
    assert row(summary_frame(cells_frame(store, sweep)), "ours")["psnr"] == math.inf
    assert " inf |" in render(SweepCells.read(store, sweep))


def test_an_infinite_mean_says_which_cells_make_it(make_record, make_store):
    perfect = {"scores": {"half-kernel": Score(math.inf, 1.0)}}
    records = [make_record("ours", "a", **perfect), make_record("ours", "b", 26.0), make_record("ours", "c", 27.0)]
    text = render(SweepCells.read(*make_store(*records, make_record("dip", "a", **perfect))))
    assert "ours (sample levin gaussian:0.05): mean PSNR infinite: 1 of 3 cells equals its truth, " in text
    assert "the mean of the others is 26.50 dB" in text
    assert "mean PSNR infinite: 1 of 1 cell equals its truth\n" in text.replace("; planned for 1 of 3", "\n")
    plain = make_store(*(make_record("ours", i, 26.0) for i in "abc"), name="plain")
    assert "infinite" not in render(SweepCells.read(*plain))
    blurred = {"input_scores": {"half-kernel": Score(math.inf, 1.0)}}
    assert "input (sample levin gaussian:0.05): mean PSNR infinite" in render(
        SweepCells.read(*make_store(make_record("ours", "a", **blurred), name="blurred"))
    )


def test_markdown(sample_store):
    text = render(SweepCells.read(*sample_store))
    assert "half-kernel: cut k-1 px an axis" in text
    assert "4 cells: 3 done, 1 timeout." in text
    assert "Preset fast, device cpu, precision float32, threads 1." in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in table}) == 1
    assert [cell.strip() for cell in table[3].split("|")[4:8]] == ["ours", "2/2", "27.00", "0.750"]
    assert "- dip on sample/dog levin/1 gaussian:0.05 #0: timeout: TimeoutError: over 60_000 s" in text


def test_batches_and_planned_notes_are_told(make_record, make_store):
    store, sweep = make_store(make_record(batch=8), note="no preset fast: paper used")
    text = render(SweepCells.read(store, sweep))
    assert "fitted 8 side by side, seconds divided by that" in text
    assert "no preset fast: paper used" in text


def test_csv_holds_the_whole_frame(sample_store):
    summary = summary_frame(cells_frame(*sample_store))
    again = pd.read_csv(io.StringIO(render(SweepCells.read(*sample_store), "csv")))
    assert list(again.columns) == list(summary.columns)
    pd.testing.assert_frame_equal(again, summary, check_dtype=False, check_exact=True)


def test_latex_is_escaped_and_even(make_record, make_store):
    store, sweep = make_store(
        make_record("my_method[a=5%&b]"),
        make_record("dip", status="failed", error="E: {x_1} ~ 50% of $2 \\ #3 ^"),
    )
    text = render(SweepCells.read(store, sweep), "latex")
    assert r"my\_method{[}a=5\%\&b]" in text
    assert r"E: \{x\_1\} \textasciitilde{} 50\% of \$2 \textbackslash{} \#3 \textasciicircum{}" in text
    assert [text.count(rf"\{rule}") for rule in ("toprule", "midrule", "bottomrule")] == [1, 1, 1]
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(columns) - 1}
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert text.isascii()


@pytest.fixture
def three_images(make_record, make_store):
    """`ours`, `fast`, 1 dB above `dip` but for 0.1 dB an image, and `tv`, which has two of three images."""
    records = [make_record("ours", image, 26.0 + 0.1 * n) for n, image in enumerate("abc")]
    records += [make_record("dip", image, 25.0 + 0.2 * n) for n, image in enumerate("abc")]
    return SweepCells.read(*make_store(*records, *(make_record("tv", image, 24.0) for image in "ab")))


def test_differences_and_their_intervals_beside_the_means(three_images):
    """Those of `differences`, each in the row of its method."""
    columns = list(columns_beside("dip"))
    text = render(three_images, beside=columns)
    header, *rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    header, rows = [title.strip() for title in header], [[cell.strip() for cell in each] for each in rows]
    place = header.index("SSIM") + 1
    assert header[place : place + 2] == ["to dip", "95 %"]
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    beside = {each[header.index("method")]: each[place : place + 2] for each in rows[1:]}
    assert beside["ours"] == ["+0.90", f"[+{0.9 - half:.2f}, +{0.9 + half:.2f}]"]
    assert beside["tv"] == ["−1.10", "–"]  # noqa: RUF001 - the minus sign and the dash of tables
    assert beside["dip"] == beside["input"] == ["–", "–"]  # noqa: RUF001 - as above
    assert "to dip: mean difference in PSNR (dB) to dip" in text
    csv = pd.read_csv(io.StringIO(render(three_images, "csv", beside=columns)))
    assert row(csv, "ours")["difference_low"] == pytest.approx(0.9 - half)
    assert list(csv.columns[:-3]) == list(summary_frame(three_images.frame("half-kernel")).columns)
    with pytest.raises(UnknownNameError, match="no_such"):
        render(three_images, beside=list(columns_beside("no_such")))


def test_presets_of_one_method_have_their_own_numbers_beside_them(make_record, make_store):
    records = [
        make_record("ours", image, 26.0 + n + lr, settings={"lr": lr}) for lr in (1, 2) for n, image in enumerate("abc")
    ]
    store, sweep = make_store(*records)
    cells = [replace(cell, preset="paper") if place > 2 else cell for place, cell in enumerate(sweep.cells)]
    read = SweepCells.read(store, replace(sweep, cells=cells))
    csv = pd.read_csv(io.StringIO(render(read, "csv", beside=list(columns_beside("ours (fast)")))))
    assert row(csv, "ours", preset="paper")["difference"] == 1
    assert math.isnan(row(csv, "ours", preset="fast")["difference"])


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.cells = [], []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - as it is called
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells.append(data)


def test_html_parses_and_is_escaped(make_record, make_store):
    store, sweep = make_store(make_record("<ours>&"), make_record("dip", status="failed", error="<b>"))
    tags = Tags()
    tags.feed(render(SweepCells.read(store, sweep), "html"))
    tags.close()
    assert not tags.open
    assert "<ours>&" in tags.cells


def test_unknown_format(sample_store):
    with pytest.raises(InputError, match="'xls': use one of md, csv, latex, html"):
        render(SweepCells.read(*sample_store), "xls")


def test_failures_are_counted_beyond_the_limit(make_record, make_store):
    records = [make_record(image=f"i{n}", status="unstable", error="not finite") for n in range(5)]
    lines = failure_lines(cells_frame(*make_store(*records)), limit=2)
    assert len(lines) == 3
    assert lines[0] == "ours on sample/i0 levin/1 gaussian:0.05 #0: unstable: not finite"
    assert lines[2] == "... and 3 more (3 unstable)"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("", ""),
        ("over 60 s\nmore", "over 60 s"),
        (f"{TRACE}\n  File\n    x\nKeyError: 'a'\n", "KeyError: 'a'"),
        (
            f"{TRACE}\n  a\nKeyError: 1\n{TRACE}\n  b\nOSError: 2\nlines",
            "OSError: 2",
        ),
    ],
)
def test_error_line(error, line):
    assert error_line(error) == line


def test_measures_are_columns_of_cells(make_record, make_store):
    known = {"null_mse": 1e-4, "seen_mse": 2e-3, "coverage_95": 0.5}
    cells = cells_frame(*make_store(make_record(measures=known), make_record("dip")))
    assert cells.loc[0, list(known)].to_dict() == known
    assert math.isnan(cells.loc[0, "variance_correlation"])
    assert cells.loc[1, list(known)].isna().all()


def test_the_residual_has_columns_where_images_have_no_truth(make_record, make_store):
    residual = {"chi_squared": 0.934, "whiteness": 0.0216}
    measured = make_record("tv", measures=residual, scores={}, input_scores={})
    text = render(SweepCells.read(*make_store(measured)))
    assert "chi2, white: of what is left" in text
    (row,) = [line for line in text.splitlines() if line.startswith("|") and "tv" in line]
    assert {"0.93", "0.022"} <= {cell.strip() for cell in row.split("|")}
    assert "chi2" not in render(SweepCells.read(*make_store(make_record("tv"), name="scored")))


@pytest.mark.parametrize(("brightness", "said"), [(1.0, False), (255.0, True), (0.004, True), (-0.1, True)])
def test_restorations_on_another_scale_are_said(make_record, make_store, brightness, said):
    text = render(SweepCells.read(*make_store(make_record("ours", measures={"brightness": brightness}))))
    assert ("1 of 1 restoration is on another scale than the blurred images, it seems" in text) == said
