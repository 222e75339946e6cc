"""Figures of a small sweep that really ran, drawn by the command, and the numbers that come with them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from frames import cells_frame
from PIL import Image

from nidbench.analysis.differences import differences_frame
from nidbench.analysis.summary import summary_frame
from nidbench.api.outputs import write_figure
from nidbench.cli import main
from nidbench.errors import InputError, UnknownNameError
from nidbench.records import Store
from nidbench.report.figures import FIGURES, Choice, Drawn, draw, is_figure
from nidbench.report.typeset import number
from nidbench.rescoring.measurements import Measurements
from nidbench.scoring.protocols import DEFAULT

SAMPLER = Path(__file__).parents[1] / "resources" / "sampler.py"
RUN = ["run", "--dataset", "sample", "--tracking", "none", "--no-pictures", "--in-process", "--precision", "float32"]
RUN += ["--device", "cpu", "--method-file", str(SAMPLER), "--observe", "2"]


def call(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images, two settings of a method that samples and one that does not; draws and layers kept."""
    out = tmp_path_factory.mktemp("results")
    methods = "sampler,sampler[spread=0.3],wiener"
    call(*RUN, "--methods", methods, "--keep", "draws,layers", "--name", "all", "--output", out)
    return out


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without anything kept, on one image."""
    out = tmp_path_factory.mktemp("bare")
    call(*RUN, "--methods", "sampler,wiener", "--images", "camera", "--name", "bare", "--output", out)
    return out


def drawn(root: Path, name: str, **choice: object) -> Drawn:
    store = Store(root)
    sweep = store.sweep(store.sweep_names()[0])
    return draw(name, store, sweep, Choice(**choice), Measurements(sweep))  # type: ignore[arg-type]


def overlaps(found: Drawn) -> list[tuple[str, str]]:
    """Return which panels, with their titles and labels, lie over each other or leave the page."""
    canvas = found.figure.canvas
    canvas.draw()
    renderer = canvas.get_renderer()
    shown = [axes for axes in found.figure.axes if axes.axison]
    boxes = {f"{n} {axes.get_title()}": axes.get_tightbbox(renderer) for n, axes in enumerate(shown)}
    boxes["heading"] = found.figure._suptitle.get_window_extent(renderer)
    bad = []
    for name, box in boxes.items():
        if min(box.x0, box.y0, found.figure.bbox.x1 - box.x1, found.figure.bbox.y1 - box.y1) < -2:
            bad.append((name, "page"))
        for other, second in boxes.items():
            width = min(box.x1, second.x1) - max(box.x0, second.x0)
            height = min(box.y1, second.y1) - max(box.y0, second.y0)
            if name < other and min(width, height) > 2:
                bad.append((name, other))
    return bad


@pytest.mark.parametrize("name", list(FIGURES))
def test_the_command_draws_each_figure_and_prints_its_numbers(results, name):
    lines = call("figure", name, "--output", results).strip().splitlines()
    path = Path(lines[-1])
    case = (
        ""
        if name in ("fig12", "curves", "pareto", "differences")
        else "-sample__camera__sample-motion__gaussian-0.05__0"
    )
    assert path == results / "figures" / "all" / f"{name}{case}.png"
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert len(picture.convert("L").getcolors()) > 100
    assert any(line.startswith("sampler") and re.search(r"\d\.\d", line) for line in lines[:-1])


@pytest.mark.parametrize("name", list(FIGURES))
def test_nothing_overlaps_or_leaves_the_page(results, name):
    assert overlaps(drawn(results, name, image="astronaut")) == []


def test_the_band_s_numbers_are_those_of_the_records(results):
    found = drawn(results, "fig1", image="astronaut")
    cells = cells_frame(Store(results), Store(results).sweep("all"))
    rows = cells[cells["image"] == "astronaut"].set_index("label")
    texts = {line.partition(":")[0]: line for line in found.lines}
    for label, row in rows.iterrows():
        assert f"in the band {row['null_mse']:.3e}" in texts[label]
        assert f"out of it {row['seen_mse']:.3e}" in texts[label]
    assert f"{rows['null_share'].iloc[0]:.1%} of the frequencies" in found.lines[0]
    assert list(texts) == ["near-null band", "input", *rows.index, "truth"]


def test_the_band_follows_its_threshold(results):
    shares = [
        float(re.search(r"([\d.]+)% of the", drawn(results, "fig1", threshold=t).lines[0])[1]) for t in (0.02, 0.2)
    ]
    assert shares[0] < shares[1]


def test_the_deviations_numbers_are_those_of_the_records(results):
    cells = cells_frame(Store(results), Store(results).sweep("all")).query("image == 'camera'").set_index("label")
    lines = dict(line.split(": ", 1) for line in drawn(results, "fig11").lines)
    assert list(lines) == ["sampler", "sampler[spread=0.3]"]  # the other has no variance
    for label, line in lines.items():
        row = cells.loc[label]
        assert f"error and variance {row['variance_correlation']:.3f}" in line
        covered = "/".join(f"{100 * row[f'coverage_{level}']:.0f}" for level in (50, 68, 95))
        assert f"50/68/95 % cover {covered} %" in line
        assert f"deviation {255 * row['mean_variance'] ** 0.5:.2f}" in line


def test_the_mean_of_draws_is_nearer_to_the_truth_than_they_are(results):
    line = drawn(results, "fig3", methods=("sampler[spread=0.3]",)).lines[0]
    mean, single = map(float, re.search(r"mean ([\d.]+), a draw ([\d.]+)", line).groups())
    assert mean < single
    store = Store(results)
    (planned, *_) = [each for each in store.sweep("all").cells if each.label == "sampler[spread=0.3]"]
    case = Measurements(store.sweep("all")).named(planned.case)
    problem, (truth,) = case.problem(), case.truths()
    average = DEFAULT.crop(store.kept(planned.id)["draws"].astype(float).clip(0, 1).mean(axis=0), problem, truth)
    distance = 255 * np.sqrt(((average - DEFAULT.reference(problem, truth)) ** 2).mean())
    assert mean == pytest.approx(distance, abs=0.01)


def test_layers_are_shown_with_the_channels_of_one(results):
    titles = [axes.get_title().split("\n")[0] for axes in drawn(results, "fig5", layer=1).figure.axes]
    shown = [title for title in titles if title]
    assert shown == ["layer 01", "layer 02", "L1 channel 1", "L1 channel 2", "L1 channel 3"]
    last = drawn(results, "fig5").figure
    assert "L2 channel 4" in [axes.get_title().split("\n")[0] for axes in last.axes]
    assert "layer 01 is the seeds" in " ".join(last._suptitle.get_text().split())
    with pytest.raises(InputError, match=r"layer 3: sampler kept 2 layers, give 1 to 2"):
        drawn(results, "fig5", layer=3)


def test_averages_are_means_over_images_with_an_interval_of_the_gain(make_record, make_store):
    passes = {
        "cat": ((1, 20.0), (10, 21.0)),
        "dog": ((1, 24.0), (10, 26.0)),
        "fox": ((1, 28.0), (10, 31.0), (20, 31.5)),
    }
    records = [make_record("ours", image, passes=each) for image, each in passes.items()]
    records += [make_record("ours", "cat", kernel="levin/2", passes=((1, 22.0), (10, 23.0)))]
    store, sweep = make_store(*records, make_record("dip", "cat"))
    found = draw("fig12", store, sweep, Choice(), lambda _: None)
    # cat: 21 and 22 over its kernels; Student's t of gains 1, 2, 3 is 2 +- 4.303 / sqrt(3)
    assert found.lines == [
        "ours (4 cells, 3 images): dB by passes 1: 24.33, 10: 26.33",
        "ours: gain of 10 over 1 pass +2.00 dB [-0.48, +4.48]",
    ]
    assert draw("fig12", store, sweep, Choice(image="cat"), lambda _: None).lines[1].endswith("+1.00 dB")


def test_noises_are_averaged_apart(make_record, make_store):
    passes = ((1, 20.0), (2, 21.0))
    noises = ("gaussian:0.01", "gaussian:0.05")
    store, sweep = make_store(*(make_record("ours", noise=noise, passes=passes) for noise in noises))
    lines = draw("fig12", store, sweep, Choice(), lambda _: None).lines
    assert [line.partition(" (")[0] for line in lines[::2]] == [f"ours, {noise}" for noise in noises]
    assert len(draw("fig12", store, sweep, Choice(noise=noises[0]), lambda _: None).lines) == 2


def test_what_was_told_otherwise_is_averaged_apart(make_record, make_store):
    """Three cells of one image, of one label; each alone has its own numbers, and the legend names all of it."""
    cells = [("known", "paper", 20.0), ("x2.0", "paper", 22.0), ("known", "fast", 26.0)]
    records = [
        make_record(declared=declared, settings={"n": preset}, passes=((1, first), (10, first + 1)))
        for declared, preset, first in cells
    ]
    other = make_record(kernel="lai/1", settings={"n": "paper"}, passes=((1, 30.0), (10, 31.0)))
    store, sweep = make_store(*records, other)
    presets = [preset for _, preset, _ in cells] + ["paper"]
    planned = [replace(each, preset=preset) for each, preset in zip(sweep.cells, presets, strict=True)]
    found = draw("fig12", store, replace(sweep, cells=planned[:3]), Choice(), lambda _: None)
    assert found.lines[::2] == [
        "ours (paper), declared known (1 cell, 1 image): dB by passes 1: 20.00, 10: 21.00",
        "ours (paper), declared x2.0 (1 cell, 1 image): dB by passes 1: 22.00, 10: 23.00",
        "ours (fast), declared known (1 cell, 1 image): dB by passes 1: 26.00, 10: 27.00",
    ]
    legend = [text.get_text().replace("\n", "") for text in found.figure.axes[0].get_legend().get_texts()]
    assert legend == [line.partition(", 1 image")[0] + ")" for line in found.lines[::2]]
    assert overlaps(found) == []
    kernels = draw("fig12", store, replace(sweep, cells=[planned[0], planned[3]]), Choice(), lambda _: None)
    assert [line.partition(" (")[0] for line in kernels.lines[::2]] == ["ours, levin", "ours, lai"]
    alone = draw("fig12", store, replace(sweep, cells=planned[1:2]), Choice(), lambda _: None)
    assert alone.lines[0].startswith("ours, declared x2.0 (1 cell")


def test_a_figure_of_one_case_says_which_cell_of_a_label_it_shows(results):
    store = Store(results)
    sweep = store.sweep("all")
    (planned,) = [each for each in sweep.cells if each.label == "sampler" and each.case.image == "camera"]
    others = [
        replace(planned, id="0" * 20, declared="x2.0"),
        replace(planned, id="1" * 20, preset="smoke"),
        replace(planned, id="2" * 20, seed=1),
    ]
    for cells, names in [
        ([planned], ["sampler"]),
        ([others[0], planned], ["sampler (declared known)"]),
        ([planned, others[2]], ["sampler (seed 0)"]),
        ([*others, planned], ["sampler (preset paper, declared known, seed 0)"]),
    ]:
        found = draw("fig11", store, replace(sweep, cells=cells), Choice(), Measurements(sweep))
        assert [line.partition(": ")[0] for line in found.lines] == names


def test_curves_are_drawn_for_each_method_and_group_with_their_means(make_record, make_store):
    points = {"fast": ((10, 20.0), (50, 26.0)), "paper": ((10, 15.0), (100, 22.0), (500, 26.0))}
    noises = ("gaussian:0.01", "gaussian:0.05")
    records = [
        make_record(method, image, settings={"n": preset}, noise=noise, curve=curve, iterations=curve[-1][0])
        for method in ("dip", "ours")
        for preset, curve in points.items()
        for image in ("cat", "dog")
        for noise in noises
    ]
    store, sweep = make_store(*records, make_record("wiener", "cat"))
    cells = [
        replace(planned, label=f"{planned.method}@{record.cell.settings['n']}", preset=record.cell.settings["n"])
        for planned, record in zip(sweep.cells, records, strict=False)
    ]
    sweep = replace(sweep, cells=[*cells, sweep.cells[-1]])
    found = draw("curves", store, sweep, Choice(), lambda _: None)
    titles = [axes.get_title() for axes in found.figure.axes]
    assert titles[::2] == [f"{method}, sample levin {noise}" for method in ("dip", "ours") for noise in noises]
    axes = found.figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["dip@fast: factor 10 (2 of 2)", "dip@paper"]
    assert axes.get_xscale() == "log"
    assert len(axes.lines) == 2 * (2 + 1)  # each line's two cases and their mean
    assert axes.lines[-1].get_xydata().tolist() == [list(point) for point in points["paper"]]
    assert overlaps(found) == []
    assert sum(" against its reference " in line for line in found.lines) == 4
    assert found.lines[-1] == "wiener: no curve, so no factor"
    assert found.figure.get_suptitle().endswith("without a curve: wiener")
    one = draw("curves", store, sweep, Choice(methods=("dip@fast",), noise=noises[0], image="cat"), lambda _: None)
    assert one.lines == ["dip@fast: alone, so no factor; run another preset of dip beside it"]
    assert len(one.figure.axes[0].lines) == 1
    long = [
        replace(planned, label=planned.label + "[lr=0.001,adapt_every=100,iterations=4000,stop=windowed-variance]")
        for planned in cells
    ]
    choice = Choice(methods=tuple(dict.fromkeys(planned.label for planned in long if planned.method == "dip")))
    found = draw("curves", store, replace(sweep, cells=long), choice, lambda _: None)
    found.figure.canvas.draw()
    for axes in found.figure.axes:
        frame, legend = axes.get_window_extent(), axes.get_legend().get_window_extent()
        names = [text.get_text().replace("\n", "").partition(":")[0] for text in axes.get_legend().get_texts()]
        assert names == list(choice.methods)
        assert all(frame.contains(*corner) for corner in legend.corners())
        assert not any(legend.contains(*point) for point in axes.transData.transform(axes.lines[-1].get_xydata()))
    with pytest.raises(InputError, match="has a curve: choose a method that iterates"):
        draw("curves", store, sweep, Choice(methods=("wiener",)), lambda _: None)


@pytest.mark.parametrize(("name", "word"), [("fig3", "draws"), ("fig5", "layers")])
def test_what_was_not_kept_is_told_with_the_command_that_keeps_it(bare, name, word):
    message = " ".join(call("figure", name, "--output", bare, code=2).split())
    assert f"no {word} of sampler, wiener were kept" in message
    assert f"run of the sweep bare again with --keep {word}" in message


def test_a_method_that_has_nothing_to_keep_is_told_apart(results):
    for name in ("fig3", "fig5"):
        with pytest.raises(InputError, match=r"wiener had no (draws|layers) to keep"):
            drawn(results, name, methods=("wiener",))
    with pytest.raises(InputError, match="wiener returned no variance"):
        drawn(results, "fig11", methods=("wiener",))
    with pytest.raises(InputError, match="shows posterior draws"):
        drawn(results, "fig12", methods=("wiener",))


def test_wrong_choices_say_what_there_is(results):
    for choice, words in [
        ({"methods": ("samplr",)}, "samplr.*sampler"),
        ({"image": "cat"}, "image of the sweep all.*camera"),
        ({"kernel": "levin"}, "kernel of the sweep all.*sample/motion"),
    ]:
        with pytest.raises(UnknownNameError, match=words):
            drawn(results, "fig1", **choice)
    with pytest.raises(InputError, match="case 3: give 1 to 2"):
        drawn(results, "fig1", case=3)
    assert drawn(results, "fig1", case=2, kernel="sample").key.image == "astronaut"
    with pytest.raises(UnknownNameError, match="fig13"):
        drawn(results, "fig13")


class Untruthful(Measurements):
    """Measurements of which no file is there any more, though records are taken as they are."""

    def today(self, record):
        return record, ""

    def case(self, _cell):
        return None


def test_a_case_without_done_cells_or_truth(make_record, make_store):
    store, sweep = make_store(make_record("ours", status="timeout"), make_record("ours", "dog"))
    with pytest.raises(InputError, match=r"no cell of sample/cat .* is done \(ours \(timeout\)\)"):
        draw("fig1", store, sweep, Choice(), Measurements(sweep))
    with pytest.raises(InputError, match="no sharp image of sample/dog"):
        draw("fig1", store, sweep, Choice(image="dog"), Untruthful(sweep))


def test_a_file_of_one_s_own_in_the_form_of_its_ending(results, tmp_path):
    store = Store(results)
    path, _ = write_figure(store, store.sweep("all"), "fig12", Choice(), tmp_path / "new" / "a.pdf")
    assert path.read_bytes().startswith(b"%PDF")
    with pytest.raises(InputError, match=r"a\.xyz: let its name end in one of .*\.png"):
        write_figure(store, store.sweep("all"), "fig12", Choice(), tmp_path / "a.xyz")
    assert list((tmp_path / "new").iterdir()) == [path]


@pytest.mark.parametrize("form", ["png", "pdf", "svg", "eps", "jpg"])
def test_a_figure_takes_the_place_of_figures_only(results, tmp_path, form):
    store, file = Store(results), tmp_path / f"photo.{form}"
    file.write_bytes(b"a person's")
    with pytest.raises(InputError, match=rf"photo\.{form} is no figure of nidbench"):
        write_figure(store, store.sweep("all"), "fig12", Choice(), file)
    assert file.read_bytes() == b"a person's"
    file.unlink()
    write_figure(store, store.sweep("all"), "fig12", Choice(), file)
    assert is_figure(file) == (form != "jpg")
    if form != "jpg":
        write_figure(store, store.sweep("all"), "fig12", Choice(), file)


def test_a_label_with_dollars_is_text(make_record, make_store):
    records = [make_record("ours", passes=((1, 20.0), (2, 21.0)))]
    store, sweep = make_store(*records)
    odd = replace(sweep, cells=[replace(each, label="a$_$") for each in sweep.cells])
    figure = draw("fig12", store, odd, Choice(), Measurements(sweep)).figure
    figure.canvas.draw()  # raises where the label is taken for a formula
    assert any("a" in text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts())


def test_the_cost_figure_has_the_numbers_of_the_summary(results):
    summary = summary_frame(cells_frame(Store(results), Store(results).sweep("all"))).set_index("method")
    heading, *lines = drawn(results, "pareto").lines
    assert heading == "sample sample gaussian:0.05: mean PSNR and mean seconds of a cell"
    shown = dict(line.split(": ", 1) for line in lines)
    assert list(shown) == [name for name in summary.index if name != "input"]
    assert all(shown[name].startswith(f"{summary.loc[name, 'psnr']:.2f} dB in ") for name in shown)
    best = summary.loc[list(shown), "psnr"].idxmax()
    assert shown[best].endswith("no other method beats both")


def test_a_method_that_lacks_measurements_is_not_on_the_front_and_beats_none(make_record, make_store):
    psnr = {"mine": (30, 20), "theirs": (24, 20.1)}
    records = [
        make_record(method, image, value, seconds=seconds, status=("failed" if value == 20 else "done"))
        for method, seconds in (("mine", 1.0), ("theirs", 2.0))
        for image, value in zip("ab", psnr[method], strict=True)
    ]
    store, sweep = make_store(*records)
    mine, theirs = draw("pareto", store, sweep, Choice(), Measurements(sweep)).lines[1:]
    assert mine == "mine: 30.00 dB in 1 s; lacks measurements, so not comparable"
    assert theirs == "theirs: 22.05 dB in 2 s; no other method beats both"


def test_the_forest_has_the_numbers_of_the_differences(results):
    frame = differences_frame(cells_frame(Store(results), Store(results).sweep("all")), "wiener")
    lines = drawn(results, "differences", against="wiener").lines
    expected = [f"{row.method} to wiener" for row in frame.itertuples()]
    assert [line.partition(",")[0] for line in lines] == expected
    for line, value in zip(lines, frame["difference"], strict=True):
        assert f": {number(value, '+.2f')} dB" in line


def test_the_forest_says_what_it_has_no_difference_of_and_which_pairs_lack_a_score(make_record, make_store):
    failed = {("mine", "c"), *(("theirs", image) for image in "abc")}
    records = [
        make_record(method, image, status="failed" if (method, image) in failed else "done")
        for method in ("ours", "mine", "theirs")
        for image in "abc"
    ]
    store, sweep = make_store(*records)
    found = draw("differences", store, sweep, Choice(), Measurements(sweep))
    assert [line.partition(": ")[2] for line in found.lines] == [
        "+0.00 dB –, open, 2 of 3 pairs",  # noqa: RUF001 - as tables write it
        "– dB –, open, 0 of 3 pairs",  # noqa: RUF001
    ]
    assert any("without a difference: theirs" in text.get_text() for text in found.figure.texts)


def test_all_methods_share_an_axis_together(results):
    found = drawn(results, "curves", together=True)
    (first, _) = found.figure.axes
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["sampler", "sampler[spread=0.3]"]
    assert len(first.lines) == 2
    assert overlaps(found) == []


@pytest.mark.parametrize(("form", "text"), [("svg", b"PSNR, dB</text>"), ("pdf", b"/Type /Font")])
def test_figures_for_a_paper_have_text_as_text_and_the_same_bytes(results, tmp_path, form, text):
    files = [tmp_path / f"{n}.{form}" for n in (1, 2)]
    for file in files:
        call("figure", "pareto", "--output", results, "--file", file)
    first, second = (file.read_bytes() for file in files)
    assert text in first
    assert b"Type3" not in first
    assert first == second
