"""Kernels from files: the weights as they are stored, exactly, and what cannot be a point spread function."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from nidbench.contract import normalised
from nidbench.errors import InputError
from nidbench.images import kernel_notice, read_kernel
from nidbench.registry.entry_points import load_dataset, load_kernels


def levels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


WEIGHTS = np.array([[0, 10, 200], [30, 0, 15]], np.uint8)


def saved(path: Path, weights=WEIGHTS) -> Path:
    if path.suffix == ".npy":
        np.save(path, weights)
    elif path.suffix == ".mat":
        savemat(path, {"ker": weights.astype(float)})
    else:
        Image.fromarray(weights).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".npy", ".mat", ".MAT"])
def test_kernels_are_read_as_they_are_stored_and_sum_to_1(tmp_path, suffix):
    kernel = read_kernel(saved(tmp_path / f"k{suffix.lower()}").rename(tmp_path / f"k{suffix}"))
    assert kernel.dtype == np.float64
    assert np.allclose(kernel, WEIGHTS / 255, rtol=1e-15)  # the weights sum to 255


def test_kernels_of_more_bits_and_of_equal_colours(tmp_path):
    deep = saved(tmp_path / "deep.png", WEIGHTS.astype(np.uint16) * 257)
    colour = saved(tmp_path / "colour.png", np.repeat(WEIGHTS[..., None], 3, 2))
    alpha = saved(tmp_path / "alpha.png", np.dstack([WEIGHTS] * 3 + [np.full_like(WEIGHTS, 255)]))
    for path in (deep, colour, alpha):
        assert np.allclose(read_kernel(path), WEIGHTS / 255, rtol=1e-15)
    with pytest.raises(InputError, match="alpha channel that is not opaque"):
        read_kernel(saved(tmp_path / "alpha.png", np.dstack([WEIGHTS] * 3 + [np.full_like(WEIGHTS, 9)])))


def test_the_matrix_of_a_matlab_file_that_is_named_a_kernel(tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.ones((9, 9)), "f": WEIGHTS.astype(float), "title": "text"})
    assert read_kernel(tmp_path / "a.mat").shape == (2, 3)
    savemat(tmp_path / "b.mat", {"x": np.ones((9, 9)), "y": np.ones((9, 9))})
    with pytest.raises(InputError, match=r"b\.mat is not a kernel \(it holds x .*, y .*, and which is meant"):
        read_kernel(tmp_path / "b.mat")


NO_KERNELS = {
    "zero": (np.zeros((3, 3)), "zero everywhere"),
    "negative": (np.array([[2.0, -1.0]]), "negative in places"),
    "colour": (np.arange(27, dtype=np.uint8).reshape(3, 3, 3), "its colours or planes differ"),
    "flat": (np.ones(5), "two dimensions"),
    "endless": (np.array([[np.inf, 1.0]]), "not finite"),
    "words": (np.array([["a", "b"]]), "not real numbers"),
    "vast": (np.full((5, 5), 1e308), "sums to inf"),
}


@pytest.mark.parametrize("name", NO_KERNELS)
def test_what_is_not_a_kernel_is_refused(tmp_path, name):
    array, reason = NO_KERNELS[name]
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(InputError, match=f"{name}.npy is not a kernel .*{reason}"):
        read_kernel(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("suffix", [".png", ".npy", ".mat"])
@pytest.mark.parametrize("content", [b"", b"no kernel at all, but some text that goes on for a while" * 9, None])
def test_a_file_that_is_no_kernel_or_cut_off_is_refused(tmp_path, suffix, content):
    path = saved(tmp_path / f"k{suffix}", levels(40, 40))
    path.write_bytes(path.read_bytes()[:-400] if content is None else content)
    with pytest.raises(InputError, match=rf"k\{suffix} is not a kernel .*give a gray picture"):
        read_kernel(path)


def disk(side):
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    return (rows**2 + columns**2 < (side / 2) ** 2).astype(float)


WIDE_KERNELS = {
    "box": np.ones((21, 33)),
    "disk": disk(25),
    "gaussian": np.exp(-((np.indices((31, 31)) - 15) ** 2).sum(0) / 2 / 12**2),
    "small": np.random.default_rng(0).random((15, 40)),
    "motion to every side": np.eye(40) + np.eye(40)[::-1],
    "a box of broken sides": np.pad(np.ones((5, 5)), 1, constant_values=0.3),
    "a corner": np.pad([[1.0]], ((0, 8), (0, 8))),
    "corners": np.pad([[1.0]], ((0, 8), (0, 8))) + np.pad([[1.0]], ((8, 0), (8, 0))),
    "a coded aperture": (np.random.Generator(np.random.Philox(0)).random((13, 13)) > 0.4).astype(float),
    "a ring": disk(31) - np.pad(disk(23), 4),
    "a small gaussian": np.exp(-((np.indices((7, 7)) - 3) ** 2).sum(0) / 2),
    "a small wide gaussian": np.exp(-((np.indices((7, 7)) - 3) ** 2).sum(0) / 2 / 5**2),
    "an even gaussian": np.exp(-((np.indices((8, 8)) - 3.5) ** 2).sum(0) / 2 / 2**2),
}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", [(7, 7), (9, 8), (13, 13), (21, 24)])
def test_kernels_with_crumbs_all_over_are_on_no_background(tmp_path, shape, seed):
    draws = np.random.Generator(np.random.Philox(seed))
    crumbs = draws.uniform(0, 0.15, shape) * (draws.random(shape) > 0.5)
    crumbs[np.arange(7), np.arange(7)] += 1
    np.save(tmp_path / "k.npy", crumbs)
    assert np.allclose(read_kernel(tmp_path / "k.npy"), crumbs / crumbs.sum())


@pytest.mark.parametrize("name", WIDE_KERNELS)
def test_kernels_with_weight_on_their_border(tmp_path, name):
    np.save(tmp_path / "k.npy", WIDE_KERNELS[name])
    assert np.allclose(read_kernel(tmp_path / "k.npy"), WIDE_KERNELS[name] / WIDE_KERNELS[name].sum())


@pytest.mark.parametrize("name", ["camera", "astronaut"])
def test_a_photograph_is_no_kernel(tmp_path, name):
    gray = load_dataset("sample").load(name).mean(axis=0)
    np.save(tmp_path / "k.npy", gray)
    with pytest.raises(InputError, match=r"k\.npy is not a kernel \(its 96x96 pixels (have weight|are bright)"):
        read_kernel(tmp_path / "k.npy")


def test_a_palette_is_no_kernel(tmp_path):
    Image.fromarray(levels(9, 9)).convert("P").save(tmp_path / "p.png")
    with pytest.raises(InputError, match="palette"):
        read_kernel(tmp_path / "p.png")


def test_a_kernel_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_kernel(tmp_path / "none.png")


def bead(side, width):
    line = np.exp(-((np.arange(side) - side // 2) ** 2) / 2 / width**2)
    return np.outer(line, line)


def as_file(tmp_path, kernel):
    np.save(tmp_path / "k.npy", kernel)
    return tmp_path / "k.npy"


NOISE = np.random.Generator(np.random.Philox(0)).standard_normal((31, 31))


@pytest.mark.parametrize(
    ("side", "width", "pedestal", "peak", "noise"),
    [
        (9, 1, 100, 2000, 0),
        (15, 1, 1000, 500, 10),
        (15, 2, 100, 2000, 20),
        (21, 3, 100, 2000, 3),
        (31, 2, 10, 2000, 3),
        (31, 3, 0.01, 1, 0.001),
        (21, 2, 2000, 190, 0),
        (21, 2, 2000, 150, 3),
        (21, 2, 32768, 2000, 20),
        (9, 1, 32768, 200, 0),
        (21, 3, 1000, 50, 0),
    ],
)
def test_a_pedestal_is_told_and_taken_off_where_that_is_asked_for(tmp_path, side, width, pedestal, peak, noise):
    right = bead(side, width)
    path = as_file(tmp_path, pedestal + peak * right + noise * NOISE[:side, :side])
    with pytest.raises(InputError, match=r"lie on a background of .*: give background=\"border\" to take it off"):
        read_kernel(path)
    kernel = read_kernel(path, "border")
    seen = np.load(path).clip(0, None)
    errors = [np.abs(weights / weights.sum() - right / right.sum()).sum() for weights in (kernel, seen)]
    assert errors[0] < 0.2 * errors[1] + 0.02
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)


@pytest.mark.parametrize("around", [2, ((0, 1), (0, 1)), ((0, 0), (3, 3))], ids=["frame", "corner", "sides"])
@pytest.mark.parametrize(("pedestal", "noise"), [(100, 0), (100, 3), (2000, 10)])
def test_zeros_around_a_pedestal_do_not_hide_it(tmp_path, around, pedestal, noise):
    right = np.pad(bead(21, 2), around)
    path = as_file(tmp_path, np.pad(pedestal + 2000 * bead(21, 2) + noise * NOISE[:21, :21], around))
    with pytest.raises(InputError, match=r"lie on a background of .*, \d\d% of its sum.*to take it off"):
        read_kernel(path)
    assert np.abs(read_kernel(path, "border") - right / right.sum()).sum() < 0.1


@pytest.mark.parametrize(
    "kernel", [np.ones((9, 9)), bead(9, 3), bead(21, 7), np.eye(9)], ids=["box", "cut", "wide", "line"]
)
def test_zeros_around_a_kernel_make_no_background(tmp_path, kernel):
    path = as_file(tmp_path, np.pad(kernel, 3))
    for background in ("none", "border"):
        assert read_kernel(path, background) == pytest.approx(np.pad(kernel, 3) / kernel.sum(), abs=1e-12)


SLOPE = np.arange(-7, 8) / 7
FLAT_KERNELS = {
    "a ramp": np.ones((15, 15)) + 0.05 * SLOPE,
    "a slope": np.ones((15, 15)) + 0.03 * (SLOPE + SLOPE[:, None]),
    "a dome": 1 - 0.05 * (SLOPE**2 + SLOPE[:, None] ** 2),
    "soft edges": np.pad(np.ones((13, 13)), 1, constant_values=0.95),
    "softer edges": np.minimum.outer(*[1 - 0.01 * np.array([3, 2, 1, *[0] * 9, 1, 2, 3])] * 2),
    "a rounded box": np.random.Generator(np.random.Philox(0)).integers(254, 256, (15, 15)),
    "a measured box": 1 + 0.02 * NOISE[:15, :15],
    "a measured box of 8 bit": np.rint(200 * (1 + 0.01 * NOISE[:15, :15])),
    "a bead in noise": 2000 + 150 * bead(15, 2) + 50 * NOISE[:15, :15],
    "two counts": np.rint(2000 + 2 * bead(15, 2)),
    "a small bead": 1000 + 50 * bead(5, 1),
}


@pytest.mark.parametrize("name", FLAT_KERNELS)
def test_nearly_flat_kernels_may_be_right_and_are_noted(tmp_path, name):
    right = FLAT_KERNELS[name]
    kernel = read_kernel(as_file(tmp_path, right))
    assert np.allclose(kernel, right / right.sum())
    assert kernel_notice(kernel).startswith("has weight all along its border")


def test_boxes_that_are_flat_but_for_rounding_are_not_noted(tmp_path):
    for box in (np.ones((15, 15), np.float32) / 225, np.fft.ifft2(np.fft.fft2(np.ones((15, 15)))).real):
        assert kernel_notice(read_kernel(as_file(tmp_path, box))) == ""


@pytest.mark.parametrize("side", range(3, 10))
def test_a_middle_that_is_darker_than_the_border_is_said(side):
    for depth in (255, 20):
        inverted = 255 - np.rint(depth * bead(side, 1))
        assert kernel_notice(inverted / inverted.sum()).startswith("is darker in its middle")
        assert "darker" not in kernel_notice(bead(side, 1) / bead(side, 1).sum())


def test_a_kernel_without_a_pedestal_is_what_it_was_without_its_border_level(tmp_path):
    right = np.pad(np.random.default_rng(0).random((9, 9)), 4)
    assert np.allclose(read_kernel(as_file(tmp_path, right), "border"), right / right.sum(), rtol=1e-14)


def test_negative_weights_are_rounding_or_refused_with_a_way_out(tmp_path):
    right = np.pad(bead(9, 1), 1)
    kernel = read_kernel(as_file(tmp_path, np.where(right == 0, -1e-18, right)))
    assert kernel.min() == 0
    assert np.allclose(kernel, right / right.sum(), rtol=1e-12)
    ringing = as_file(tmp_path, np.where(right == 0, -0.01, right))
    with pytest.raises(InputError, match=r"down to -0\.01 of its largest weight, 0\.06.* of its sum\): .*\"clip\""):
        read_kernel(ringing)
    assert np.allclose(read_kernel(ringing, "clip"), right / right.sum(), rtol=1e-12)


def test_kernels_the_wrong_way_about_are_told(tmp_path):
    for wrong, reason in (
        (1 - bead(15, 2), "brighter along the border"),
        (255 - np.rint(200 * bead(31, 4)), "brighter along the border"),
        (np.pad(np.zeros((7, 7)), 1, constant_values=1.0), "brighter along the border"),
        (np.fft.ifftshift(bead(15, 1.5)), "wrapped around its corners"),
        (np.fft.ifftshift(bead(16, 1)), "wrapped around its corners"),
    ):
        with pytest.raises(InputError, match=reason):
            read_kernel(as_file(tmp_path, wrong))


def lines(side):
    """Lines through the middle: of a row, a column, both diagonals, a slope, and an even number of pixels."""
    steps, middle = np.arange(-5, 6), side // 2
    for down, right in ((0 * steps, steps), (steps, 0 * steps), (steps, steps), (steps, -steps), (steps // 2, steps)):
        line = np.zeros((side, side))
        line[middle + down, middle + right] = 1
        yield line
    yield np.pad(np.ones((1, 10)), ((middle, side - middle - 1), (middle - 5, side - middle - 5)))
    yield np.exp(-((np.arange(side) - middle) ** 2) / 50)[None]


@pytest.mark.parametrize("side", [31, 32])
@pytest.mark.parametrize("axes", [(0, 1), (0,), (1,)])
def test_wrapped_lines_are_told_and_joined_where_that_is_asked_for(tmp_path, side, axes):
    for line in [*lines(side), *(line.T for line in lines(side))]:
        wrapped = np.fft.ifftshift(line, axes)
        if np.ptp(line.sum(1 - axes[0])) == 0 or np.count_nonzero(line.sum(1 - axes[0])) == 1:
            continue  # along this axis it is only moved
        for weights in (wrapped, np.fft.ifft2(np.fft.fft2(wrapped)).real):
            path = as_file(tmp_path, weights)
            with pytest.raises(InputError, match=r"wrapped around its corners.*numpy\.fft\.fftshift.*centred=True"):
                read_kernel(path)
            joined, right = read_kernel(path, centred=True), read_kernel(as_file(tmp_path, line), centred=True)
            np.testing.assert_allclose(joined[joined > 1e-9], right[right > 1e-9], rtol=1e-6)


def test_the_way_to_join_a_kernel_names_the_axis_along_which_it_is_wrapped(tmp_path):
    line = next(lines(31))
    with pytest.raises(InputError, match=r"fftshift\(kernel, axes=1\)"):
        read_kernel(as_file(tmp_path, np.fft.ifftshift(line, axes=1)))


def pair(distance, left, right):
    """Two pictures of one thing, at either side of as many empty columns."""
    return np.hstack([left, np.zeros((len(left), distance)), right])


PAIRS = {
    "points": pair(20, np.ones((1, 1)), np.ones((1, 1))),
    "points of unequal weight": np.pad(pair(9, np.ones((1, 1)), np.full((1, 1), 0.4)), ((3, 7), (0, 0))),
    "points between pixels": pair(11, np.ones((2, 2)), np.full((2, 2), 0.7)),
    "points and a third": pair(8, np.ones((1, 1)), np.eye(1, 10)[:, ::-1] + np.eye(1, 10)),
    "disks": pair(9, disk(5), disk(5)),
    "beads": pair(13, bead(9, 1.5), 0.5 * bead(9, 1.5)),
    "bars": pair(7, np.ones((9, 1)), np.ones((9, 1))),
    "the turns of a fast motion": np.hstack([np.ones((9, 3)), np.full((9, 15), 0.02), np.ones((9, 3))]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_double_exposures_are_not_wrapped(tmp_path, name):
    pairs = PAIRS[name]
    for weights in (pairs, pairs.T):
        assert np.allclose(read_kernel(as_file(tmp_path, weights)), weights / weights.sum())
        kernel = read_kernel(as_file(tmp_path, weights), centred=True)
        assert np.count_nonzero(kernel.sum(0)) == np.count_nonzero(weights.sum(0))
        assert np.ptp(np.flatnonzero(kernel.sum(0))) == np.ptp(np.flatnonzero(weights.sum(0)))


def test_zeros_out_of_a_fourier_transform_are_zeros(tmp_path):
    crossing = np.eye(33) + np.eye(33)[::-1] * 0.9
    crossing[:9] *= 0.5
    rounded = np.fft.ifft2(np.fft.fft2(crossing)).real
    assert np.allclose(read_kernel(as_file(tmp_path, rounded)), crossing / crossing.sum(), atol=1e-12)


def test_a_kernel_that_is_refused_wrongly_is_kept_where_that_is_said(tmp_path):
    aperture = np.random.Generator(np.random.Philox(1)).random((33, 33))
    path = as_file(tmp_path, aperture)
    with pytest.raises(InputError, match=r'photograph.*if it is right as it stands, give background="keep"'):
        read_kernel(path)
    assert np.allclose(read_kernel(path, "keep"), aperture / aperture.sum())
    with pytest.raises(InputError, match="negative in places"):
        read_kernel(as_file(tmp_path, aperture - 0.5), "keep")


def test_three_equal_planes_of_a_line_may_be_a_plane_of_lines(tmp_path):
    line = np.arange(1.0, 8.0)
    for planes in (np.stack([line[None]] * 3), np.stack([line[None]] * 3, -1), np.stack([line[:, None]] * 3)):
        with pytest.raises(InputError, match="may mean several kernels"):
            read_kernel(as_file(tmp_path, planes))
    for plane in (np.outer([1, 2, 3], line), np.outer(line, [1, 2, 3])):
        assert read_kernel(as_file(tmp_path, plane[None])).shape == plane.shape
        assert read_kernel(as_file(tmp_path, plane[..., None])).shape == plane.shape


@pytest.mark.parametrize("shape", [(3, 3), (1, 3), (3, 1), (3, 7)])
def test_the_colours_of_a_picture_are_its_last_axis(tmp_path, shape):
    gray = levels(*shape)
    assert np.allclose(read_kernel(saved(tmp_path / "k.png", np.stack([gray] * 3, -1))), gray / gray.sum())
    box = np.ones(shape, np.uint8)
    assert np.allclose(read_kernel(saved(tmp_path / "k.png", np.stack([box] * 3, -1))), box / box.sum())


def test_weights_whose_sum_is_too_large_for_a_number():
    with pytest.raises(InputError, match="sums to inf"):
        normalised(np.full((5, 5), 1e308))


def test_weight_along_the_border_is_said_where_it_may_be_right():
    wide, sloping = bead(15, 6), 2000 * bead(21, 2) + 50 + 10 * np.arange(21)
    for weights in (wide, sloping):
        assert kernel_notice(weights / weights.sum()).startswith("has weight all along its border")
    for weights in (np.ones((9, 9)), bead(15, 3), np.eye(15)):
        assert kernel_notice(weights / weights.sum()) == ""
    assert kernel_notice(np.ones((1, 1))) == "is a single pixel, which blurs nothing"


def test_how_far_the_weights_lie_off_the_middle():
    assert kernel_notice(bead(15, 1) / bead(15, 1).sum()) == ""
    off = np.roll(bead(21, 1), (7, -2), (0, 1))
    assert kernel_notice(off / off.sum()).startswith("has its weights +7.0 rows and -2.0 columns off its middle")


def test_a_shift_is_said_as_exactly_as_is_asked_for():
    off = np.zeros((33, 33))
    off[16:28, 19] = off[27, 19:25] = 1
    off /= off.sum()
    assert kernel_notice(off) == ""  # so far off lie those of shaken cameras
    assert kernel_notice(off, shift=1).startswith("has its weights +7.1 rows and +3.9 columns off its middle")
    assert kernel_notice(bead(33, 1.5) / bead(33, 1.5).sum(), shift=1) == ""


@pytest.mark.parametrize("shift", [(2, 0), (0, -3), (-2, 4), (5, 5)])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_bead_off_the_middle_is_said(shift, width):
    place = np.indices((25, 25)) - 12 - np.reshape(shift, (2, 1, 1)) - 0.2  # and between pixels
    psf = np.exp(-(place**2).sum(0) / 2 / width**2) + 0.005 * NOISE[:25, :25]
    psf[psf < 0.02] = 0
    assert "off its middle" in kernel_notice(psf / psf.sum())
    middle = np.roll(psf, np.negative(shift), (0, 1))
    assert kernel_notice(middle / middle.sum()) == ""


def test_the_kernels_of_a_shaken_camera_are_not_in_the_middle():
    motion = load_kernels("sample").load("motion")
    off = np.pad(motion, ((4, 0), (0, 3)))
    assert kernel_notice(off / off.sum()) == ""


def test_moving_the_weights_to_the_middle_hides_no_background(tmp_path):
    off = np.roll(bead(33, 1.5), (8, -6), (0, 1)) * 30_000 + 300
    path = saved(tmp_path / "psf.npy", off)
    for centred in (False, True):
        with pytest.raises(InputError, match="lie on a background of 3"):
            read_kernel(path, centred=centred)
    taken_off = read_kernel(path, "border", centred=True)
    middle = np.array(taken_off.shape) // 2
    assert np.indices(taken_off.shape).reshape(2, -1) @ taken_off.ravel() == pytest.approx(middle, abs=0.5)


BOX, LINE = np.ones((5, 5)), np.eye(9)[[4]].repeat(9, 0).T
LOPSIDED = np.random.default_rng(0).random((5, 5))


@pytest.mark.parametrize(
    ("array", "right"),
    [
        (LINE[None], LINE),
        (LINE.T[None], LINE.T),
        (BOX[None], BOX),
        (LOPSIDED[None, None], LOPSIDED),
        (LOPSIDED[..., None], LOPSIDED),
        (np.stack([LOPSIDED] * 3), LOPSIDED),
        (np.stack([LOPSIDED] * 3, -1), LOPSIDED),
        (np.stack([BOX] * 3), BOX),
        (np.ones((1, 1, 9)), np.ones((1, 9))),
        (np.ones((9, 1, 1)), np.ones((9, 1))),
        (np.ones((1, 9, 1)), None),
        (np.ones((3, 5, 3)), None),
        (np.stack([BOX * n for n in range(1, 9)]), None),
        (np.stack([LOPSIDED, LOPSIDED[::-1]], -1), None),
        (np.stack([LOPSIDED] * 3 + [LOPSIDED[::-1]], -1), None),
        (np.stack([LOPSIDED, LOPSIDED, LOPSIDED[::-1]]), None),
        (np.ones((2, 3, 5, 5)), None),
        (np.ones((8, 3, 3)), None),
        (np.ones((3, 3, 8)), None),
        (np.ones((8, 1, 3, 3)), None),
        (np.ones((8, 1, 1, 9)), None),
        (np.ones((2, 1, 9)), None),
        (np.ones((5, 3, 7)), None),
        (np.stack([LINE[2:5, :3] * n for n in range(1, 6)]), None),
        (np.stack([np.ones((3, 3)) * n for n in (1, 2, 3)]), None),
        (np.stack([np.ones((3, 3)) * n for n in (1, 2, 3)], -1), None),
        (np.stack([LOPSIDED[:3, :3]] * 3, 1), None),
        (np.ones((3, 3, 3)), np.ones((3, 3))),
        (np.stack([LOPSIDED[:3, :3]] * 3), LOPSIDED[:3, :3]),
        (np.stack([LOPSIDED[:3, :3]] * 3, -1), LOPSIDED[:3, :3]),
        (np.stack([LOPSIDED] * 3)[:, None], LOPSIDED),
        (LOPSIDED[:, :3, None, None], LOPSIDED[:, :3]),
    ],
    ids=lambda array: "x".join(map(str, np.shape(array))),
)
def test_axes_of_batch_and_channel_are_dropped_or_the_array_refused(tmp_path, array, right):
    """As torch wants them: kornia issue 321, deepinv issue 1026; stacks: UMSN-Face-Deblurring issue 16."""
    path = as_file(tmp_path, array)
    if right is None:
        with pytest.raises(InputError, match="it has shape"):
            read_kernel(path)
    else:
        assert np.allclose(read_kernel(path), right / right.sum(), rtol=1e-14)
