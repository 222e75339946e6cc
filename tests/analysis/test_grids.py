"""Means over a grid from some of its cells: closed forms of complete subgrids, and coverage by simulation."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy import stats

from nidbench.analysis.grids import design, grid_mean
from nidbench.errors import InputError

SIZE = (12, 8)


def generator(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


def grid(images, kernels):
    return list(itertools.product(range(images), range(kernels)))


def rotated(count):
    """Image i and kernel i mod 8 in turns; after 24 cells, when these come back, the next kernel."""
    return [(step % 12, (step + step // 24) % 8) for step in range(count)]


def of(cells, size=SIZE):
    return design(tuple(i for i, _ in cells), tuple(k for _, k in cells), size)


def values(count, components=(2.0, 1.0, 0.6), seed=0):
    """Values of the whole grid, Shape (count, 12, 8): images, kernels and cells differ by so much."""
    rng = generator(seed)
    parts = [rng.standard_normal((count, *shape)) for shape in ((12, 1), (1, 8), SIZE)]
    return sum(size * part for size, part in zip(components, parts, strict=True))


def some(whole, cells):
    return whole[:, [i for i, _ in cells], [k for _, k in cells]]


def test_the_whole_grid_has_no_error():
    (whole,) = values(1)
    rows, columns = np.indices(SIZE).reshape(2, -1).astype(str)
    found = grid_mean(whole.ravel(), rows, columns, SIZE)
    assert found.low == found.mean == found.high == pytest.approx(whole.mean())
    assert found.why == ""


@pytest.mark.parametrize("images", [3, 6, 11])
def test_some_images_under_all_kernels_are_student_s_t_with_a_finite_population(images):
    """The error of a mean of n of N images is s^2 (1/n - 1/N)."""
    part = some(values(5), grid(images, 8))
    by_image = part.reshape(5, images, 8).mean(axis=2)
    error = by_image.std(axis=1, ddof=1) * math.sqrt(1 / images - 1 / 12)
    found = of(grid(images, 8))
    np.testing.assert_allclose(found.means(part), by_image.mean(axis=1))
    np.testing.assert_allclose(found.halves(part), stats.t.ppf(0.975, images - 1) * error, rtol=1e-6)


@pytest.mark.parametrize("kernels", [3, 7])
def test_all_images_under_some_kernels_are_so_over_kernels(kernels):
    part = some(values(5), grid(12, kernels))
    by_kernel = part.reshape(5, 12, kernels).mean(axis=1)
    error = by_kernel.std(axis=1, ddof=1) * math.sqrt(1 / kernels - 1 / 8)
    np.testing.assert_allclose(of(grid(12, kernels)).halves(part), stats.t.ppf(0.975, kernels - 1) * error, rtol=1e-6)


def test_24_rotated_cells_leave_single_cells_only():
    """Images and kernels are used alike, so that neither counts: t on what an additive fit leaves, 8 degrees.

    Kernels j and j + 4 share their images, so that the fit has 12 + 8 - 4 parameters.
    """
    cells = rotated(24)
    part = some(values(5), cells)
    columns = np.hstack([np.eye(12)[[i for i, _ in cells]], np.eye(8)[[k for _, k in cells]]])
    fitted = columns @ np.linalg.lstsq(columns, part.T, rcond=None)[0]
    error = np.sqrt(np.square(part.T - fitted).sum(axis=0) / 8 * (1 / 24 - 1 / 96))
    np.testing.assert_allclose(of(cells).means(part), part.mean(axis=1))
    np.testing.assert_allclose(of(cells).halves(part), stats.t.ppf(0.975, 8) * error, rtol=1e-6)


#: Cells -> the coverage they may have: nominal, or more where images and cells cannot be told apart.
DESIGNS = {
    "12x3": (grid(12, 3), 0.98),
    "6x8": (grid(6, 8), 0.98),
    "4x4": (grid(4, 4), 0.98),
    "rotated 12": (rotated(12), 1.0),
    "rotated 24": (rotated(24), 0.98),
    "rotated 48": (rotated(48), 0.98),
    "one missing": (grid(12, 8)[:-1], 0.98),
    "first 43": (grid(12, 8)[:43], 0.98),
}


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("components", [(2.0, 1.0, 0.6), (0.4, 0.2, 0.3), (1.2, 1.2, 0.7), (0.0, 0.0, 1.0)])
def test_95_of_100_intervals_hold_the_mean_of_the_grid(name, components):
    cells, most = DESIGNS[name]
    whole = values(2000, components, seed=1)
    found, part = of(cells), some(whole, cells)
    missed = abs(found.means(part) - whole.mean((1, 2))) > found.halves(part)
    assert 0.93 <= 1 - missed.mean() <= most


def test_an_interval_that_forgets_the_kernels_promises_too_much():
    """What the audit found: Student's t over 12 images under 3 of 8 kernels, read as one for all 8."""
    whole = values(1000, (1.2, 1.2, 0.7))
    by_image = some(whole, grid(12, 3)).reshape(-1, 12, 3).mean(axis=2)
    half = stats.t.ppf(0.975, 11) * by_image.std(axis=1, ddof=1) / math.sqrt(12)
    assert (abs(by_image.mean(axis=1) - whole.mean((1, 2))) <= half).mean() < 0.9


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (grid(12, 1), "fewer than 3 kernels do not tell how much kernels differ"),
        (grid(12, 2), "fewer than 3 kernels do not tell how much kernels differ"),
        (grid(12, 2)[:-1], "fewer than 3 kernels do not tell how much kernels differ"),
        (grid(2, 8)[:-1], "fewer than 3 images do not tell how much images differ"),
        (grid(1, 8), "fewer than 3 images do not tell how much images differ"),
        (grid(2, 2), "fewer than 3 images .*; fewer than 3 kernels"),
        (grid(1, 1), "fewer than 3 images .*; fewer than 3 kernels .*; these cells"),
    ],
)
def test_what_cannot_be_known_is_said(cells, why):
    found = of(cells)
    assert pytest.approx(1) == found.weights.sum()
    assert np.isnan(found.halves(some(values(2), cells))).all()
    assert re.match(why, found.why)


def test_images_with_a_kernel_each_are_a_list():
    """Of eight photographs three: the kernels are theirs."""
    found = grid_mean([30.0, 31.0, 33.0], ["1", "2", "3"], ["anger/1", "anger/2", "anger/3"], (8, 1))
    half = stats.t.ppf(0.975, 2) * np.std([30, 31, 33], ddof=1) * math.sqrt(1 / 3 - 1 / 8)
    assert (found.mean, found.high - found.mean) == pytest.approx((94 / 3, half))


def test_the_order_of_cells_and_the_names_of_images_make_no_difference():
    (part,) = some(values(1), rotated(24))
    cells = rotated(24)
    names = [(f"image {i}", f"kernel {k}") for i, k in cells]
    first = grid_mean(part, *zip(*names, strict=True), SIZE)
    turned = list(generator().permutation(24))
    again = grid_mean(part[turned], *zip(*[names[n] for n in turned], strict=True), SIZE)
    assert (first.mean, first.low) == pytest.approx((again.mean, again.low))


def test_a_shift_shifts_and_a_scale_scales():
    cells = grid(12, 8)[:43]
    part = some(values(3), cells)
    found = of(cells)
    np.testing.assert_allclose(found.means(2 * part + 5), 2 * found.means(part) + 5)
    np.testing.assert_allclose(found.halves(2 * part + 5), 2 * found.halves(part), rtol=1e-6)


def test_infinite_cells_have_a_mean_and_no_interval():
    found = grid_mean([math.inf, 30.0, 31.0], "abc", "111", SIZE)
    assert (found.mean, found.why) == (math.inf, "a cell is infinite")
    assert math.isnan(found.low)
    both = grid_mean([math.inf, -math.inf, 31.0], "abc", "111", SIZE)
    assert math.isnan(both.mean)
    assert grid_mean([math.nan, 30.0, 31.0], "abc", "111", SIZE).why == "a cell has no number"
    assert grid_mean([], [], [], SIZE).why == "no cell was measured"


@pytest.mark.parametrize(("cells", "size"), [([(0, 0), (0, 0)], SIZE), (grid(3, 2), (2, 2)), (grid(2, 3), (2, 2))])
def test_cells_of_another_grid_are_refused(cells, size):
    with pytest.raises(InputError, match=f"grid of {size[0]} images x {size[1]} kernels"):
        of(cells, size)
