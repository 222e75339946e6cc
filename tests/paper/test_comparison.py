"""The paper's tables beside made-up sweeps that differ from them by a known offset, or in what they measured."""

import io
import math
import re
import statistics
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nidbench.analysis.cells import SweepCells
from nidbench.errors import InputError, UnknownNameError
from nidbench.paper.anchor import anchor_frame
from nidbench.paper.comparison import comparison_frame, default_table, scored_cells
from nidbench.paper.comparison_table import render_anchored, render_comparison, render_scored
from nidbench.paper.published import BY_NAME_ONLY, LABELS, QUOTED, numbers, published
from nidbench.paper.tables import TABLES, table
from nidbench.paper.verdicts import WITHIN, WITHIN_SSIM
from nidbench.scoring.protocols import PROTOCOLS
from nidbench.scoring.score import Score

SET12 = [f"{n:02}" for n in range(1, 13)]
LEVIN = [f"levin/{n}" for n in range(1, 9)]
PSNR = published("table2", "set12", "levin", "gaussian:0.05")
PAPER = numbers().set_index(["table", "dataset", "kernels", "noise", "method"])[["psnr", "ssim"]].sort_index()
SSIM = PAPER.loc["table2", "set12", "levin", "gaussian:0.05"]["ssim"].rename(index=LABELS)


def grid(images=SET12, kernels=LEVIN, *, label="ours", psnr=0.0, noise="gaussian:0.05", **columns):
    """Rows of a frame with this mean, images 0.1 dB apart, kernels 0.01."""
    rows = [
        {
            "image": image,
            "kernel": kernel,
            "psnr": psnr + 0.1 * (i - (len(images) - 1) / 2) + 0.01 * (k - (len(kernels) - 1) / 2),
        }
        for i, image in enumerate(images)
        for k, kernel in enumerate(kernels)
    ]
    own = {"label": label, "preset": "paper", "dataset": "set12", "kernel_set": kernels[0].partition("/")[0]}
    own |= {"noise": noise, "noise_seed": 0, "seed": 0, "status": "done", "ssim": SSIM["ours"], "declared": "known"}
    own |= {"protocol": "half-kernel", "note": "", "source": "computed"}
    return pd.DataFrame(rows).assign(**(own | columns))


def row(cells, method="ours", table="table2"):
    (found,) = [each for each in comparison_frame(cells, table).to_dict("records") if each["method"] == method]
    return found


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [
        *((0.0, "reproduced"), (WITHIN, "reproduced"), (-WITHIN, "reproduced")),
        *((WITHIN + 0.01, "differs"), (-1.0, "differs")),
    ],
)
def test_a_known_offset_has_its_verdict(offset, verdict):
    found = row(grid(psnr=PSNR["ours"] + offset))
    assert found["published"] == PSNR["ours"] == 26.56
    assert found["measured"] == pytest.approx(PSNR["ours"] + offset)
    assert found["difference"] == pytest.approx(offset)
    assert (found["verdict"], found["why"]) == (verdict, "")
    assert (found["images"], found["measurements"], found["paper_measurements"]) == (12, 96, 96)
    assert (found["published_ssim"], found["measured_ssim"]) == (0.770, pytest.approx(0.770))
    assert found["by"] == ("PSNR, SSIM" if verdict == "reproduced" else "PSNR")


@pytest.mark.parametrize(
    ("psnr", "ssim", "verdict", "by"),
    [
        (0.0, WITHIN_SSIM, "reproduced", "PSNR, SSIM"),
        (0.0, 0.011, "differs", "SSIM"),
        (0.0, -0.14, "differs", "SSIM"),  # what FID had, whose PSNR met the paper's on the other side of the optimum
        (0.21, 0.0, "differs", "PSNR"),
        (0.21, 0.011, "differs", "PSNR, SSIM"),
    ],
)
def test_both_psnr_and_ssim_have_to_agree(psnr, ssim, verdict, by):
    cells = grid(psnr=PSNR["ours"] + psnr, ssim=SSIM["ours"] + ssim)
    found = row(cells)
    assert (found["verdict"], found["by"], found["difference_ssim"]) == (verdict, by, pytest.approx(ssim))
    shown = verdict if verdict == "reproduced" else f"{verdict}: {by}"
    assert f"| {shown} " in render_scored(cells, "table2")


def test_the_whole_grid_has_no_interval_but_its_mean():
    found = row(grid(psnr=26.0))
    assert found["low"] == found["measured"] == found["high"]
    assert " whole grid |" in render_scored(grid(psnr=26.0), "table2")


def test_of_some_images_the_interval_is_for_the_others():
    """Student's t of the images' means, with the correction for 6 of 12."""
    found = row(grid(SET12[:6], psnr=26.0))
    means = [26.0 + 0.1 * (i - 2.5) for i in range(6)]
    half = stats.t.ppf(0.975, 5) * statistics.stdev(means) * math.sqrt(1 / 6 - 1 / 12)
    assert (found["low"], found["high"]) == pytest.approx((26 - half, 26 + half))


def test_a_cell_without_ssim_leaves_that_undecided():
    cells = grid(psnr=PSNR["ours"])
    cells.loc[0, "ssim"] = math.nan
    found = row(cells)
    assert (found["verdict"], found["by"]) == ("undecided", "SSIM")
    some = row(cells[cells["image"] < "07"])
    assert (some["by"], some["why"]) == ("PSNR, SSIM", "a cell has no number")


def rotated(count, **columns):
    """Cells of `grid` in turns of images and kernels."""
    cells = grid(**columns).set_index(["image", "kernel"])
    return cells.loc[[(SET12[n % 12], LEVIN[(n + n // 24) % 8]) for n in range(count)]].reset_index()


@pytest.mark.parametrize(
    ("offset", "verdict", "by"),
    [
        (0.0, "reproduced", "PSNR, SSIM"),
        (0.2, "undecided", "PSNR"),
        (0.5, "differs", "PSNR"),
    ],
)
def test_an_interval_decides_where_not_all_ran(offset, verdict, by):
    """Cells 0.05 dB from what images and kernels make of them: half a width of about 0.02 dB for 24 of 96."""
    noise = np.random.Generator(np.random.Philox(key=2)).standard_normal(24) * 0.05
    cells = rotated(24, psnr=PSNR["ours"] + offset)
    found = row(cells.assign(psnr=cells["psnr"] + noise))
    assert (found["verdict"], found["by"], found["why"]) == (verdict, by, "")
    assert 0.005 < found["high"] - found["measured"] < 0.05
    assert found["measurements"] == 24


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"images": SET12[:1]}, "fewer than 3 images do not tell how much images differ"),
        ({"kernels": LEVIN[:2]}, "fewer than 3 kernels do not tell how much kernels differ"),
        ({"images": SET12[:7], "kernels": LEVIN[:1]}, "fewer than 3 kernels do not tell how much kernels differ"),
    ],
)
def test_what_nothing_tells_is_undecided_and_says_why(changes, why):
    cells = grid(**{"psnr": PSNR["ours"] + 3, **changes})
    found = row(cells)
    assert (found["verdict"], found["by"], found["why"]) == ("undecided", "PSNR, SSIM", why)
    assert math.isnan(found["low"])
    assert f"(set12 levin gaussian:0.05): {why}" in render_scored(cells, "table2")


def test_cells_yet_to_be_computed_are_left_to_the_interval():
    cells = grid(psnr=PSNR["ours"])
    cells.loc[80:, ["psnr", "ssim", "status"]] = [math.nan, math.nan, "missing"]
    found = row(cells)
    assert (found["verdict"], found["measurements"]) == ("reproduced", 80)
    assert found["measured"] == pytest.approx(PSNR["ours"] - 0.1)  # two images at the upper end are not there
    assert 0.05 < found["high"] - found["measured"] < 0.1


def test_a_perfect_cell_makes_an_infinite_mean_that_differs():
    cells = grid(psnr=PSNR["ours"])
    cells.loc[0, "psnr"] = math.inf
    assert (row(cells)["measured"], row(cells)["verdict"], row(cells)["by"]) == (math.inf, "differs", "PSNR")
    some = row(cells[cells["image"] < "04"])
    assert (some["verdict"], some["by"], some["why"]) == ("undecided", "PSNR", "a cell is infinite")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"images": [f"{name}@96" for name in SET12]}, "images cropped to 96 pixels"),
        ({"preset": "fast"}, "preset fast, not paper or released"),
        ({"label": "ours[lr=0.1]"}, "settings lr=0.1, in the paper of the preset"),
        ({"declared": "x1.2"}, "noise level declared as x1.2, in the paper known"),
        ({"psnr": float("nan")}, "96 of 96 cells have no score"),
    ],
)
def test_what_was_measured_otherwise_is_not_comparable_and_says_why(changes, why):
    cells = grid(**{"psnr": PSNR["ours"], **changes})
    found = row(cells, cells["label"][0])
    assert (found["verdict"], found["why"]) == ("not comparable", why)
    assert f"(set12 levin gaussian:0.05): {why}" in render_scored(cells, "table2")


def test_another_protocol_is_not_comparable():
    found = row(grid(psnr=PSNR["ours"], protocol="cut-30"))
    assert found["why"] == "protocol cut-30, for the paper's it would be half-kernel"
    assert found["verdict"] == "not comparable"


def test_one_cell_without_a_score_is_told():
    cells = grid(psnr=PSNR["ours"])
    cells.loc[5, "psnr"] = float("nan")
    found = row(cells)
    assert (found["why"], found["measurements"]) == ("1 of 96 cells have no score", 95)


def test_released_and_methods_without_presets_are_comparable():
    for preset in ("released", "default"):
        assert row(grid(psnr=PSNR["ours"], preset=preset))["verdict"] == "reproduced"


def test_kernels_that_are_not_public():
    kernels = [f"levin@estimated:mine/{n}" for n in range(1, 9)]
    found = row(grid(kernels=kernels, psnr=28.79, noise="gaussian:0.01", protocol="shift-aligned"), table="table7")
    assert found["published"] == 28.79
    assert found["why"] == "the paper's kernels, estimated by Yang & Ji 2019 for Set12, are not public"


def test_settings_that_the_paper_has_for_one_table_only():
    names = {"dataset": "kohler", "declared": "known", "images": ["1", "2", "3", "4"], "noise": "measured"}
    names |= {"protocol": "kohler"}
    kernels = [f"kohler/{n}" for n in range(1, 13)]
    names["ssim"] = PAPER.loc["table6", "kohler", "inaccurate", "", "Ours"]["ssim"]
    cells = grid(kernels=kernels, psnr=29.52, label="ours[iterations=25000,stop=iterations]", **names)
    assert row(cells, cells["label"][0], "table6")["verdict"] == "reproduced"
    plain = row(grid(kernels=kernels, psnr=29.52, **names), "ours", "table6")
    assert plain["why"] == "settings of the preset, in the paper stop=iterations, iterations=25000"


def test_what_cannot_be_run_is_quoted_and_what_was_not_run_says_so():
    frame = comparison_frame(pd.concat([grid(), grid(label="wiener", preset="default")]), "table2")
    assert len(frame) == 17 + 1
    verdicts = frame.set_index(frame["method"].where(frame["method"] != "", frame["paper_method"]))["verdict"]
    assert (verdicts["IRCNN"], verdicts["dip"], verdicts["wiener"]) == ("quoted", "not run", "not in the paper")
    assert {verdicts[label] for label in ("dmsp", "epll")} == {"not run"}
    said = frame.set_index("paper_method")["why"]
    assert (said["IRCNN"], said["FID"]) == (QUOTED["IRCNN"], "")
    text = render_scored(grid(), "table2")
    assert f"- IRCNN, RGDN, CPCR (set12 levin gaussian:0.05): {QUOTED['IRCNN']}" in text
    assert frame["verdict"].value_counts()["quoted"] == 7
    assert frame.loc[frame["method"] == "wiener", "published"].isna().all()
    assert set(frame["category"]) == {"non-learning", "dataset-free", "supervised", ""}


def test_several_noises_of_one_row_are_one_mean():
    """The six scenarios of Table 3, each with its own noise."""
    bound = table("table3").conditions[0].noise_of_kernels
    parts = [grid(kernels=[kernel], psnr=31.1, noise=noise, kernel_set="danielyan") for kernel, noise in bound.items()][
        :4
    ]
    found = row(pd.concat(parts), table="table3")
    assert (found["measurements"], found["published"]) == (48, 31.1)
    assert found["low"] < found["measured"] < found["high"]


def test_noise_in_place_of_the_kernels_own_is_not_comparable():
    kernels = [f"danielyan/{n}" for n in range(1, 7)]
    found = row(grid(kernels=kernels, psnr=31.1, noise="gaussian:0.05"), table="table3")
    assert (found["verdict"], found["why"]) == ("not comparable", "noise gaussian:0.05 in place of the kernels' own")


def test_seeds_that_have_some_measurements_only_are_not_comparable():
    again = grid(SET12[:2], psnr=27.0, noise_seed=1)
    found = row(pd.concat([grid(psnr=PSNR["ours"]), again]))
    assert (found["verdict"], found["why"]) == ("not comparable", "not every seed has every measurement")
    assert row(pd.concat([grid(psnr=PSNR["ours"]), grid(psnr=PSNR["ours"], noise_seed=1)]))["verdict"] == "reproduced"


@pytest.mark.parametrize(("label", "method"), [("IRCNN", "IRCNN"), ("IBM3D", "IBM3D"), ("ircnn", "IRCNN")])
def test_files_of_a_system_that_cannot_run_here_have_its_row(label, method):
    psnr, ssim = PAPER.loc[("table2", "set12", "levin", "gaussian:0.05", method), ["psnr", "ssim"]]
    frame = comparison_frame(grid(label=label, psnr=psnr, ssim=ssim, preset="", source="files"), "table2")
    (found,) = frame[frame["paper_method"] == method].to_dict("records")
    assert (found["method"], found["published"], found["verdict"]) == (label, psnr, "reproduced")
    assert len(frame) == 17
    other = comparison_frame(
        grid(label=label, psnr=psnr, preset="default"), "table2"
    )  # a method of somebody's, run here
    assert (other[other["method"] == label]["verdict"] == "not in the paper").all()


@pytest.mark.parametrize(
    ("published", "measured", "verdict"), [(23.18, 23.3805, "reproduced"), (23.18, 23.386, "differs")]
)
def test_the_difference_is_judged_as_it_is_shown(published, measured, verdict):
    assert PSNR["fid"] == published
    cells = grid(label="fid", psnr=measured, ssim=SSIM["fid"], preset="default")
    assert row(cells, "fid")["verdict"] == verdict


def test_old_and_reconstructed_methods_are_told(make_record, make_store):
    versions = {"ours": {"engine": 0}, "dip": {"engine": 1}}
    records = [
        make_record(method, image, 26.5, dataset="set12", versions=versions[method])
        for method in ("ours", "dip")
        for image in SET12[:3]
    ]
    store, sweep = make_store(*records)
    text = render_comparison(SweepCells.read(store, sweep), "table2")
    assert "- ours: 3 of 3 cells old" in text
    assert "dip: 3 of 3" not in text
    noted = replace(sweep, cells=[replace(planned, note="reconstructed") for planned in sweep.cells])
    assert "- ours, dip: reconstructed" in render_comparison(SweepCells.read(store, noted), "table2")


def test_the_sweep_s_own_methods_are_compared_in_pairs_below(make_record, make_store):
    records = [make_record(m, i, p, dataset="set12") for m, p in (("ours", 26.5), ("dip", 24.0)) for i in SET12[:3]]
    text = render_comparison(SweepCells.read(*make_store(*records)), "table2")
    assert "Mean difference in PSNR (dB) to ours" in text
    assert "won/tied/lost" in text
    one = [record for record in records if record.cell.method == "ours"]
    assert "Mean difference" not in render_comparison(SweepCells.read(*make_store(*one)), "table2")


def test_an_ablation_on_another_dataset_is_shown_and_not_comparable():
    found = row(grid(label="ours:no-sa", noise="gaussian:0.03"), "ours:no-sa", "table8")
    assert found["why"] == ""
    sample = row(grid(dataset="kodak24"), table="table9")
    assert (sample["dataset"], sample["published"]) == ("kodak24", 27.75)
    assert sample["why"] == "measured on kodak24, in the paper on sun"


def test_table_8_says_that_its_caption_is_wrong():
    text = render_scored(grid(noise="gaussian:0.03"), "table8")
    assert "The caption of Table 8 names the dataset of Sun et al." in text
    assert "its numbers are those that Tables 2 and 4 give for Set12" in text


def test_presets_side_by_side():
    text = render_scored(pd.concat([grid(psnr=26.6), grid(psnr=26.6, preset="fast")]), "table2")
    header = next(line for line in text.splitlines() if line.startswith("| dataset"))
    assert [cell.strip() for cell in header.split("|")][4:7] == ["method", "preset", "verdict"]
    assert "1 reproduced" in text
    assert "1 not comparable" in text


def test_a_reason_names_each_method_with_its_own_conditions():
    fast = {"ours": "gaussian:0.05", "dip": "gaussian:0.03"}
    cells = [
        grid(label=label, noise=noise, preset="fast" if noise == other else "paper")
        for label, other in fast.items()
        for noise in fast.values()
    ]
    where = "dip (set12 levin gaussian:0.03); ours (set12 levin gaussian:0.05)"
    assert f"- {where}: preset fast, not paper or released\n" in render_scored(pd.concat(cells), "table2")


def test_markdown_and_its_caption():
    text = render_scored(grid(psnr=26.60), "table2")
    assert "Table 2 of Chen et al., IJCV 2022" in text
    assert f"protocol half-kernel: {PROTOCOLS['half-kernel'].title}" in text
    (line,) = [line for line in text.splitlines() if "| ours " in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3:8] == ["ours", "reproduced", "26.56", "26.60", "+0.04"]
    assert cells[8] == "whole grid"
    assert cells[-4:] == ["0.770", "0.770", "+0.000", "96/96"]


def test_csv_and_html():
    cells = grid(psnr=26.6)
    again = pd.read_csv(io.StringIO(render_scored(cells, "table2", "csv")), keep_default_na=False)
    assert again["method"].tolist() == comparison_frame(cells, "table2")["method"].tolist()
    assert "<td>reproduced</td>" in render_scored(cells, "table2", "html")


def test_latex_has_published_and_measured():
    text = render_scored(grid(psnr=26.6), "table2", "latex")
    assert r"\underline{26.56}" in text
    assert "& 26.60 &" in text
    assert text.isascii()


def test_the_table_is_found_from_the_sweep(make_record, make_store):
    records = [make_record("ours", image, dataset="set12", noise="poisson:128") for image in SET12]
    store, sweep = make_store(*records)
    assert default_table(sweep) == "table4"
    assert "Table 4 of Chen et al." in render_comparison(SweepCells.read(store, sweep))
    with pytest.raises(InputError, match="no table of the paper has sample levin"):
        default_table(make_store(make_record(), name="other")[1])


def test_a_blind_method_has_its_row_by_the_kernels_that_blurred_beside_others_by_estimates():
    noise = {"noise": "gaussian:0.01", "protocol": "shift-aligned"}
    names = [f"levin/{n}" for n in range(1, 9)]
    psnr, ssim = PAPER.loc[("table6", "set12", "inaccurate", "gaussian:0.01", "SelfDeblur"), ["psnr", "ssim"]]
    blind = grid(kernels=names, label="selfdeblur", psnr=psnr, ssim=ssim, preset="released", **noise)
    (alone,) = comparison_frame(blind, "table6").query("method == 'selfdeblur'").to_dict("records")
    assert (alone["kernel_set"], alone["verdict"], alone["why"]) == ("levin", "reproduced", "")
    set_name = "levin@estimated:mine"
    mine = [f"{set_name}/{n}" for n in range(1, 9)]
    others = [grid(kernels=mine, label=label, kernel_set=set_name, **noise) for label in ("dip", "fid")]
    cells = pd.concat([blind, *others])
    frame = comparison_frame(cells, "table6")
    assert set(frame["kernel_set"]) == {set_name}
    assert not frame[frame["method"] != ""]["method"].duplicated().any()
    verdicts = frame[frame["measured"].notna()].set_index("method")["verdict"].to_dict()
    assert verdicts == {"selfdeblur": "reproduced", "dip": "not comparable", "fid": "not comparable"}
    assert "Yang & Ji" in frame.set_index("method")["why"]["dip"]
    anchored = anchor_frame(cells, "table6", "dip")
    assert anchored[anchored["method"] == "selfdeblur"]["measurements"].tolist() == [96]


def test_under_true_kernels_only_blind_methods_are_of_table_6():
    cells = grid(kernels=[f"levin/{n}" for n in range(1, 9)], label="dip", noise="gaussian:0.01")
    with pytest.raises(InputError, match="nothing of table6"):
        comparison_frame(cells, "table6")


def test_wrong_calls():
    with pytest.raises(InputError, match=r"nothing of table4, which has .*set12 levin poisson:128.*reproduce table4"):
        comparison_frame(grid(), "table4")
    with pytest.raises(UnknownNameError, match="did you mean"):
        comparison_frame(grid(), "table22")
    with pytest.raises(InputError, match="'xls'"):
        render_scored(grid(), "table2", "xls")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_compares_with_itself(name):
    """The paper's own numbers, as if measured on the paper's grid, reproduce every method that runs here."""
    parts = []
    for condition in TABLES[name].conditions:
        if condition.lacking:
            continue
        dataset, kernels, noise = condition.key
        frame = numbers()
        there = (frame["table"] == name) & (frame["dataset"] == dataset) & (frame["kernels"] == kernels)
        scores = frame[there & (frame["noise"] == noise) & (frame["label"] != "")].set_index("label")
        images = [str(n) for n in range(condition.images)]
        per = condition.cases // condition.images
        unasked = [label for label in BY_NAME_ONLY if label in scores.index]
        for label in [*condition.labels(name), *unasked]:
            names = [f"{condition.kernels}/{n}" for n in range(per)]
            own = {"noise": condition.noise, "declared": condition.declared, "dataset": condition.dataset}
            own |= {"protocol": condition.protocol}
            psnr, ssim = scores.loc[label.partition("[")[0], ["psnr", "ssim"]]
            cells = grid(images, names, label=label, psnr=psnr, ssim=ssim, **own)
            bound = cells["kernel"].map(condition.noise_of_kernels)
            parts.append(cells.assign(noise=bound.where(bound.notna(), cells["noise"])))
    frame = comparison_frame(pd.concat(parts), name)
    assert set(frame[frame["method"] != "fcnn"]["verdict"]) <= {"reproduced", "quoted"}
    assert set(frame[frame["method"] == "fcnn"]["verdict"]) <= {"not comparable" if name == "table3" else "reproduced"}
    assert frame["difference"].abs().max() < 1e-9


def test_records_are_read_under_the_protocol_of_their_condition(make_record, make_store):
    records = [make_record("ours", image, 26.5, dataset="set12") for image in SET12]
    scores = {"half-kernel": Score(20.0, 0.5), "anger": Score(28.0, 0.9)}
    anger = {"dataset": "anger", "kernel": "anger/1", "noise": "measured", "scores": scores}
    store, sweep = make_store(*records, make_record("ours", "1", 20.0, **anger), preset="paper")
    found = row(scored_cells(SweepCells.read(store, sweep), "table2"))
    assert (found["measured"], found["images"], found["protocol"]) == (pytest.approx(26.5), 12, "half-kernel")
    assert found["why"] == "fewer than 3 kernels do not tell how much kernels differ"
    assert row(scored_cells(SweepCells.read(store, sweep), "table5"), table="table5")["measured"] == 28.0
    assert row(scored_cells(SweepCells.read(store, sweep), "table2", "cut-30"))["measured"] == pytest.approx(27.5)
    assert render_comparison(SweepCells.read(store, sweep)) == render_comparison(
        SweepCells.read(store, sweep), "table2", "md"
    )
    assert "under the protocol anger: cut 2(k-1) px an axis" in render_comparison(
        SweepCells.read(store, sweep), "table5"
    )
    with pytest.raises(UnknownNameError, match="half-kernel"):
        render_comparison(SweepCells.read(store, sweep), "table2", protocol="half")


def test_what_is_not_scored_yet_says_how(make_record, make_store):
    kohler = {"dataset": "kohler", "kernel": "kohler/1", "noise": "measured"}
    store, sweep = make_store(make_record("ours", "1", 28.0, **kohler), preset="paper")
    assert "nidbench rescore demo --protocol kohler" in render_comparison(SweepCells.read(store, sweep), "table6")


#: Published at 5 %: ours 26.56 / .770, fdn 26.46 / .757.
GAP, GAP_SSIM = PSNR["ours"] - PSNR["fdn"], SSIM["ours"] - SSIM["fdn"]


def beside_anchor(count=96, ours=GAP, ssim=GAP_SSIM, shift=-2.0, **columns):
    """`ours` and `fdn` on the same cells, all shifted from the paper's: as on harder crops of them."""
    anchor = rotated(count, label="fdn", psnr=PSNR["fdn"] + shift, ssim=SSIM["fdn"] + shift / 10, preset="default")
    own = {"label": "ours", "preset": "paper"} | columns
    return pd.concat([anchor.assign(psnr=anchor["psnr"] + ours, ssim=anchor["ssim"] + ssim, **own), anchor])


@pytest.mark.parametrize(
    ("ours", "ssim", "verdict", "by"),
    [
        (GAP, GAP_SSIM, "reproduced", "PSNR, SSIM"),
        (GAP - 0.2, GAP_SSIM + 0.01, "reproduced", "PSNR, SSIM"),
        (GAP - 0.5, GAP_SSIM, "differs", "PSNR"),
        (GAP, GAP_SSIM - 0.02, "differs", "SSIM"),
    ],
)
@pytest.mark.parametrize("count", [96, 24])
def test_a_difference_to_the_anchor_is_judged_whatever_both_score(ours, ssim, verdict, by, count):
    frame = anchor_frame(beside_anchor(count, ours, ssim), "table2", "fdn")
    (found,) = frame.to_dict("records")
    assert (found["method"], found["anchor"]) == ("ours", "fdn")
    assert found["published"] == pytest.approx(0.10)
    assert (found["measured"], found["measured_ssim"]) == (pytest.approx(ours), pytest.approx(ssim))
    assert (found["verdict"], found["by"], found["measurements"]) == (verdict, by, count)


@pytest.mark.parametrize(("count", "interval"), [(96, "whole grid"), (24, "[+0.00, +0.00]")])
def test_only_the_whole_grid_is_called_so_where_nothing_varies(count, interval):
    text = render_anchored(beside_anchor(count, 0.0, 0.0), "table2", "fdn")
    (line,) = [line for line in text.splitlines() if "| ours " in line]
    assert f"| {interval} |" in re.sub(" +", " ", line)


def test_cells_that_one_of_the_two_lacks_are_left_out():
    cells = beside_anchor(48)
    own, anchor = cells[cells["label"] == "ours"], cells[cells["label"] == "fdn"]
    (found,) = anchor_frame(pd.concat([own[:30], anchor[10:]]), "table2", "fdn").to_dict("records")
    assert (found["measurements"], found["measured"]) == (20, pytest.approx(GAP))


def test_two_perfect_restorations_are_no_difference():
    cells = beside_anchor()
    cells.loc[cells["image"] == "01", "psnr"] = math.inf
    (found,) = anchor_frame(cells, "table2", "fdn").to_dict("records")
    assert (found["measurements"], found["measured"]) == (96, pytest.approx(11 / 12 * GAP))


def test_what_the_anchor_does_otherwise_is_told():
    cells = beside_anchor()
    cells.loc[cells["label"] == "fdn", "preset"] = "fast"
    (found,) = anchor_frame(cells, "table2", "fdn").to_dict("records")
    assert (found["verdict"], found["why"]) == ("not comparable", "fdn: preset fast, not paper or released")


def test_the_anchor_s_table_as_text():
    text = render_anchored(beside_anchor(24), "table2", "fdn")
    assert "differences in PSNR (dB) and SSIM to fdn, published, and measured on what has a score of both" in text
    (line,) = [line for line in text.splitlines() if "| ours " in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[4:8] == ["reproduced", "+0.10", "+0.10", "+0.00"]
    assert cells[-1] == "24/96"
    again = pd.read_csv(io.StringIO(render_anchored(beside_anchor(24), "table2", "fdn", "csv")))
    assert again["anchor"].tolist() == ["fdn"]


def test_the_anchor_s_table_stands_between_the_others(make_record, make_store):
    records = [make_record(m, i, p, dataset="set12") for m, p in (("ours", 26.5), ("fdn", 26.4)) for i in SET12[:3]]
    store, sweep = make_store(*records)
    text = render_comparison(SweepCells.read(store, sweep), "table2", anchor="fdn")
    first, second, third = (text.index(each) for each in ("beside what", "SSIM to fdn", "Mean difference in PSNR"))
    assert first < second < third
    assert "anchor" in render_comparison(SweepCells.read(store, sweep), "table2", "csv", anchor="fdn").splitlines()[0]
    assert "SSIM to fdn" not in render_comparison(SweepCells.read(store, sweep), "table2")


def test_wrong_anchors():
    cells = beside_anchor()
    with pytest.raises(UnknownNameError, match="there are fdn, ours"):
        anchor_frame(cells, "table2", "tv")
    with pytest.raises(InputError, match="table2 has no difference between fdn and another"):
        anchor_frame(cells[cells["label"] == "fdn"], "table2", "fdn")
    several = pd.concat([cells, cells.assign(label="fdn@fast")])
    assert set(anchor_frame(several, "table2", "fdn")["method"]) == {"ours", "fdn@fast"}
    with pytest.raises(InputError, match=r"several methods of the sweep: name one of fdn\[a=1\], fdn\[a=2\]"):
        anchor_frame(pd.concat([cells.assign(label=f"fdn[a={n}]") for n in (1, 2)]), "table2", "fdn")
