import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from nidbench.contract import CaseKey, Noise, Problem, Response, Truth
from nidbench.report import contact_sheet as sheets_of
from nidbench.report.contact_sheet import contact_sheet, detail_window, draw
from nidbench.report.html.pictures import levels
from nidbench.report.shown_cells import choose
from nidbench.report.sweep_sheets import is_sheet, sheet_name, sheets
from nidbench.scoring.protocols import to_8_bit


def picture(shape=(1, 48, 40), level=0.0, seed=0):
    return (np.random.default_rng(seed).random(shape) * 0.5 + level).astype(np.float32)


@pytest.fixture
def make_sheet():
    def make(shape=(1, 48, 40), labels=("ours", "dip"), variances=("ours",)):
        restorations = {label: picture(shape, 0.02 * n) for n, label in enumerate(labels)}
        spread = {label: np.full(shape, 0.01, np.float32) for label in variances}
        scores = {"input": "20.00 dB", **dict.fromkeys(labels, "26.56 dB   0.770")}
        return picture(shape), picture(shape, 0.3), restorations, spread, scores, np.ones((5, 3)) / 15

    return make


def images(figure):
    """Shown arrays by (row, column) of the grid, counted from the top left."""
    axes = [each for each in figure.axes if each.images and "kernel" not in each.get_title()]
    bottoms = sorted({round(each.get_position().y0, 3) for each in axes}, reverse=True)
    lefts = sorted({round(each.get_position().x0, 3) for each in axes})
    return {
        (bottoms.index(round(each.get_position().y0, 3)), lefts.index(round(each.get_position().x0, 3))): each.images[0]
        for each in axes
    }


def test_panels_and_titles(make_sheet):
    figure = draw(*make_sheet(), heading="sample/cat")
    panels = images(figure)
    assert set(panels) == {(row, column) for row in (0, 2) for column in range(4)} | {(1, 0), (1, 1), (1, 2), (3, 1)}
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [
        "input\n20.00 dB",
        "ours\n26.56 dB   0.770",
        "dip\n26.56 dB   0.770",
        "truth",
        "kernel 5x3",
    ]
    names = {axes.get_ylabel() for axes in figure.axes if axes.images and axes.get_ylabel()}
    assert names == {"image", "error", "detail", "std. dev."}
    assert figure.texts[0].get_text() == "sample/cat"


def test_the_kernel_is_shown_from_zero(make_sheet):
    """A pedestal would look as black as nothing, were it from the smallest weight."""
    *rest, _ = make_sheet()
    kernel = 0.01 + np.pad([[0.85]], 2)
    (shown,) = [axes.images[0] for axes in draw(*rest, kernel).figure.axes if "kernel" in axes.get_title()]
    assert shown.get_clim() == (0, kernel.max())


def test_errors_share_one_scale_in_levels(make_sheet):
    figure = draw(*make_sheet())
    errors = [images(figure)[1, column] for column in range(3)]
    assert len({error.get_clim() for error in errors}) == 1
    low, high = errors[0].get_clim()
    assert low == -high
    np.testing.assert_allclose(errors[0].get_array(), 255 * 0.3, rtol=1e-4)
    np.testing.assert_allclose(errors[2].get_array(), 255 * 0.02, rtol=1e-4)
    assert high == pytest.approx(255 * 0.02, rel=1e-3)  # set by the methods, not by the input
    np.testing.assert_allclose(images(figure)[3, 1].get_array(), 255 * 0.1, rtol=1e-5)
    bars = [axes for axes in figure.axes if axes.get_ylabel() == "levels of 255"]
    assert len(bars) == 2


def test_every_column_shows_the_same_detail_and_box(make_sheet):
    truth, *rest = make_sheet((3, 64, 64))
    truth[:, 30:40, 8:18] = np.indices((10, 10)).sum(axis=0) % 2
    figure = draw(truth, *rest)
    rows, columns = detail_window(truth)
    assert (rows.start, rows.stop, columns.start, columns.stop) == pytest.approx((27, 43, 5, 21), abs=3)
    expected = np.rint(truth[:, rows, columns].transpose(1, 2, 0) * 255)
    np.testing.assert_array_equal(images(figure)[2, 3].get_array(), expected)
    patches = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    boxes = [patch.get_bbox().bounds for patch in patches]
    assert set(boxes) == {(columns.start - 0.5, rows.start - 0.5, 16, 16)}
    assert len(boxes) == 4


@pytest.mark.parametrize("shape", [(1, 11, 11), (3, 11, 200), (1, 200, 11)])
def test_odd_sizes(make_sheet, shape):
    rows, columns = detail_window(picture(shape))
    assert 0 <= rows.start < rows.stop <= shape[1]
    assert 0 <= columns.start < columns.stop <= shape[2]
    draw(*make_sheet(shape)).canvas.draw()


@pytest.mark.parametrize("count", [1, 7])
def test_nothing_overlaps_or_leaves_the_page(make_sheet, count):
    labels = [f"ours@fast[iterations={n}00,lr=2e-3]" for n in range(count)]
    figure = draw(*make_sheet(labels=labels, variances=labels[-1:]), heading="a measurement of a long name " * 6)
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes] + [figure.texts[0].get_window_extent(renderer)]
    for n, box in enumerate(boxes):
        assert box.x0 > -1
        assert box.y0 > -1
        assert box.x1 < figure.bbox.x1 + 1
        assert box.y1 < figure.bbox.y1 + 1
        for other in boxes[n + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(width, height) < 2, (box, other)


def test_a_label_with_dollars_is_text(make_sheet):
    figure = draw(*make_sheet(labels=("a$_b$",), variances=()))
    assert not any(row == 3 for row, _ in images(figure))
    figure.canvas.draw()


def test_a_file_of_the_figure_s_size(make_sheet, tmp_path):
    arguments = make_sheet()
    path = contact_sheet(tmp_path / "new" / "sheet.png", *arguments, heading="x", metadata={"nidbench": "made from"})
    with Image.open(path) as file:
        size = np.rint(draw(*arguments, heading="x").get_size_inches() * 150)
        assert np.abs(np.array(file.size) - size).max() <= 1
        assert file.info["nidbench"] == "made from"


def problem_and_truth(offset=(0, 0), encoded=False, size=(24, 26)):
    """Kernel 5x3: y of 20x24 shows rows 2..22 and columns 1..25 of x."""
    blurred = picture((1, 20, 24))
    response = Response("gamma", 2.0) if encoded else Response()
    problem = Problem(blurred, np.full((5, 3), 1 / 15), Noise("gaussian", 0.05), response)
    return problem, Truth(picture((1, *size), seed=1), offset, encoded)


class Made:
    """Measurements by hand: image -> problem and truth, None for one that is no longer to be had."""

    def __init__(self, found, today=lambda record: (record, "")):
        self.found, self.today = found, today

    def named(self, key):
        problem, truth = self.found(key) or (None, None)
        return problem and SimpleNamespace(
            problem=lambda: problem, truths=lambda: [truth] if truth else [], truth_hash=lambda: "t"
        )


@pytest.fixture
def drawn(monkeypatch):
    """What `sheets` asks to be drawn."""
    calls = []
    monkeypatch.setattr(
        "nidbench.report.contact_sheet.draw", lambda *arguments: calls.append(arguments) or draw(*arguments)
    )
    return calls


def test_sheets_of_a_sweep(make_record, make_store, drawn, tmp_path):
    x = np.zeros((1, 24, 26))
    x[:, 2:22, 1:25] = picture((1, 20, 24), seed=2)
    store, sweep = make_store(
        make_record("ours", psnr=26.564, ssim=0.77),
        make_record("ours", seed=1, psnr=99.0),
        make_record("dip", status="timeout"),
        make_record("ours", "dog"),
        missing=(make_record("ours", "fox"),),
        arrays={"image": x, "variance": x * 0 + 0.01},
    )
    problem, truth = problem_and_truth()
    found = {"cat": (problem, truth), "dog": None}
    paths = sheets(store, sweep, Made(lambda key: found[key.image]), tmp_path / "sheets")
    assert [path.name for path in paths] == ["sample__cat__levin-1__gaussian-0.05__0.png"]
    ((reference, blurred, restorations, variances, scores, kernel, heading),) = drawn
    np.testing.assert_array_equal(reference, truth.image[:, 2:22, 1:25])
    np.testing.assert_array_equal(blurred, problem.blurred)
    np.testing.assert_array_equal(restorations["ours (seed 0)"], x[:, 2:22, 1:25].astype(np.float32))
    assert variances["ours (seed 0)"].shape == (1, 20, 24)
    assert scores == {"ours (seed 0)": "26.56 dB   0.770", "input": "20.00 dB   0.500"}
    assert kernel is problem.kernel
    assert heading == "sample/cat levin/1 gaussian:0.05 #0   (half-kernel), without a result: dip (timeout)"


def test_the_first_done_cell_of_a_label_is_shown_and_named(make_record, make_store):
    failed, declared = make_record("ours", status="timeout"), make_record("ours", declared="x2.0")
    dip, later = make_record("dip", seed=1), make_record("dip", seed=2)
    store, sweep = make_store(failed, declared, dip, later, make_record("tv"), make_record("fid", status="failed"))
    fast, paper = (replace(sweep.cells[4], preset=preset) for preset in ("fast", "paper"))
    chosen, lacking = choose(store, [*sweep.cells[:4], paper, fast, sweep.cells[5]])
    assert {name: record.id for name, record in chosen.items()} == {
        "ours (declared x2.0)": declared.id,
        "dip (seed 1)": dip.id,
        "tv (preset paper)": fast.id,
    }
    assert lacking == ["fid (failed)"]


def test_sheets_are_drawn_again_only_when_their_cells_change(make_record, make_store, drawn, tmp_path):
    records = make_record("ours"), make_record("dip")
    arrays = {"image": picture((1, 24, 26))}
    store, sweep = make_store(records[0], missing=records[1:], arrays=arrays)
    made = [sheets(store, sweep, Made(lambda _: problem_and_truth()), tmp_path) for _ in range(2)]
    assert made[0] == made[1]
    assert len(drawn) == 1
    store.write(records[1], arrays)
    sheets(store, sweep, Made(lambda _: problem_and_truth()), tmp_path)
    assert len(drawn) == 2
    made[0][0].write_bytes(b"half a pict")
    sheets(store, sweep, Made(lambda _: problem_and_truth()), tmp_path)
    assert len(drawn) == 3


def test_scores_and_cells_of_other_files_than_today_s_are_not_shown(make_record, make_store, drawn, tmp_path):
    """A truth that was corrected: the restoration stays, its score does not. Another kernel: neither."""
    store, sweep = make_store(
        make_record("ours"), make_record("dip"), make_record("tv"), arrays={"image": picture((1, 24, 26))}
    )
    reasons = {"ours": "", "dip": "another truth", "tv": "another kernel"}

    def today(record):
        kept = {"ours": record, "dip": replace(record, scores={}, input_scores={}), "tv": None}
        return kept[record.cell.method], reasons[record.cell.method]

    sheets(store, sweep, Made(lambda _: problem_and_truth(), today), tmp_path)
    assert list(drawn[0][2]) == ["ours", "dip"]
    assert list(drawn[0][4]) == ["ours", "input"]
    assert drawn[0][-1].endswith("dip (another truth), tv (another kernel)")


def test_a_restoration_that_cannot_be_read_costs_only_itself(make_record, make_store, drawn, tmp_path):
    torn = make_record("dip")
    store, sweep = make_store(make_record("ours"), torn, arrays={"image": picture((1, 24, 26))})
    (store.root / "cells" / torn.id / "arrays.npz").write_bytes(b"PK half")
    sheets(store, sweep, Made(lambda _: problem_and_truth()), tmp_path)
    assert list(drawn[0][2]) == ["ours"]
    assert drawn[0][-1].endswith("without a result: dip (its restoration cannot be read)")


@pytest.mark.parametrize("offset", [(2, 1), (4, 3), (-3, -2)])
def test_truths_elsewhere_in_the_frame_and_encoded(make_record, make_store, drawn, tmp_path, offset):
    store, sweep = make_store(make_record("ours"), arrays={"image": np.full((1, 24, 26), 0.25)})
    problem, truth = problem_and_truth(offset, encoded=True)
    sheets(store, sweep, Made(lambda _: (problem, truth)), tmp_path)
    reference, blurred, restorations, *_ = drawn[0]
    top, left = max(2, offset[0]), max(1, offset[1])
    assert reference.shape == blurred.shape == restorations["ours"].shape
    assert reference[0, 0, 0] == truth.image[0, top - offset[0], left - offset[1]]
    assert blurred[0, 0, 0] == problem.blurred[0, top - 2, left - 1]
    np.testing.assert_allclose(restorations["ours"], 0.5)  # gamma 2 of 0.25


def test_sheet_names_are_file_names():
    name = sheet_name(CaseKey("köhler set", "a/../b", "levin/4", "bsnr:40", 3))
    assert re.fullmatch(r"köhler-set__a-..-b__levin-4__bsnr-40__3__[0-9a-f]{8}\.png", name)


def test_no_two_measurements_have_one_sheet_name():
    images = ["a b", "a-b", "a/b", "a:b", "a@96", "a-96", "a  b", "模糊"]
    names = [sheet_name(CaseKey("set", image, "levin/4", "bsnr:40", 0)) for image in images]
    assert names[1] == "set__a-b__levin-4__bsnr-40__0.png"
    assert len(set(names)) == len(images)


def test_a_picture_of_a_person_s_stays_where_a_sheet_would_be(make_record, make_store, tmp_path):
    store, sweep = make_store(make_record("ours"), arrays={"image": picture((1, 24, 26))})
    made = Made(lambda _: problem_and_truth())
    (path,) = sheets(store, sweep, made, tmp_path)
    Image.new("L", (3, 3)).save(path)
    before = path.read_bytes()
    (beside,) = sheets(store, sweep, made, tmp_path)
    assert path.read_bytes() == before
    assert beside == path.with_stem(f"{path.stem}__nidbench")
    assert (is_sheet(path), is_sheet(beside)) == (False, True)


def test_without_a_truth_there_are_no_errors_and_the_kernel_takes_its_place(make_sheet):
    _, blurred, restorations, variances, scores, kernel = make_sheet()
    figure = draw(None, blurred, restorations, variances, scores, kernel)
    panels = images(figure)
    assert set(panels) == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 1)}
    names = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel() and axes.images]
    assert names == ["image", "detail", "std. dev."]
    titles = [axes.get_title() for axes in figure.axes]
    assert "kernel 5x3" in titles
    assert not any(title.startswith("truth") for title in titles)
    rows, columns = detail_window(blurred)
    expected = np.rint(restorations["dip"][:, rows, columns].transpose(1, 2, 0).clip(0, 1) * 255)
    np.testing.assert_array_equal(panels[1, 2].get_array()[..., :1], expected)


@pytest.mark.parametrize("encoded", [False, True])
def test_a_sheet_of_a_measurement_without_truth_shows_what_y_shows(make_record, make_store, drawn, tmp_path, encoded):
    record = make_record("ours", scores={}, input_scores={})
    store, sweep = make_store(record, arrays={"image": np.full((1, 24, 26), 0.25)})
    problem, _ = problem_and_truth(encoded=encoded)
    (path,) = sheets(store, sweep, Made(lambda _: (problem, None)), tmp_path)
    assert path.is_file()
    ((reference, blurred, restorations, _, scores, *_),) = drawn
    assert reference is None
    np.testing.assert_array_equal(blurred, problem.blurred)
    np.testing.assert_allclose(restorations["ours"], np.full((1, 20, 24), 0.5 if encoded else 0.25))
    assert scores == {}


def test_a_panel_has_the_very_levels_that_are_scored():
    """Half a level is a tie in double precision only: float32 may have its product with 255 on the other side."""
    image = ((np.arange(255) + 0.5) / 255).astype(np.float32)[None, None]
    shown = sheets_of.picture(image)[..., 0]
    assert np.array_equal(shown / np.float64(255), to_8_bit(image)[0])
    assert np.array_equal(shown, levels(image)[0])
