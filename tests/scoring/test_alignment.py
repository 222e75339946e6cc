"""Shifts against every one of the grid tried by SciPy, and registration against scikit-image's."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from skimage.registration import phase_cross_correlation

from nidbench.scoring.alignment import best_shift, interpolated, moved, registered, shifted


def smooth(*shape, seed=0):
    return gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)


def tried(image, truth, maximum, step):
    """Return the best shift and its squared error, by trying all: the slow, sure way."""
    margin = (image.shape[0] - truth.shape[0]) // 2
    inside = slice(margin, -margin)
    best = (np.inf, None)
    for down in np.arange(-maximum, maximum + step / 2, step):
        for across in np.arange(-maximum, maximum + step / 2, step):
            there = shift(image, (-down, -across), order=1, mode="nearest")[inside, inside]
            best = min(best, (((there - truth) ** 2).sum(), (down, across)))
    return best


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("maximum", "step", "margin"), [(1, 0.25, 1), (1.25, 0.25, 2), (2, 0.5, 2), (3, 1, 3)])
def test_the_best_of_all_shifts(seed, maximum, step, margin):
    image = smooth(30 + 2 * margin, 24 + 2 * margin, seed=seed)
    offset = np.random.default_rng(seed).uniform(-maximum, maximum, 2)
    truth = shift(image, -offset, order=3)[margin:-margin, margin:-margin] + 0.01 * smooth(30, 24, seed=seed + 10)
    error, best = tried(image, truth, maximum, step)
    nearest = best_shift(image, truth, maximum, step)
    assert nearest == best
    there = shifted(image, truth.shape, nearest)
    assert ((there - truth) ** 2).sum() == pytest.approx(error)


@pytest.mark.parametrize("offset", [(1.25, -2.5), (-5, 5), (0, 0), (-0.75, 0), (4.75, -4.25)])
def test_a_shift_of_the_grid_is_found_and_undone(offset):
    image = smooth(60, 50)
    truth = shifted(image, (50, 40), offset)
    assert best_shift(image, truth, 5, 0.25) == offset
    assert np.array_equal(shifted(image, (50, 40), offset), truth)


def test_between_pixels_values_are_bilinear():
    rows, columns = np.mgrid[:6, :7]
    plane = 0.5 * rows - 0.25 * columns  # on which interpolation is exact
    assert np.allclose(interpolated(plane, 0.25, 0.5), plane[:-1, :-1] + 0.125 - 0.125)
    assert np.allclose(interpolated(plane, 0, 0.5), plane[:, :-1] - 0.125)
    assert np.allclose(shifted(np.stack([plane, -plane]), (2, 3), (0.5, -1.25))[1], -plane[2:4, 2:5] - 0.25 - 0.3125)


def test_of_equally_good_shifts_the_shortest_is_taken():
    assert best_shift(np.full((20, 20), 0.3), np.full((14, 14), 0.5), 3, 0.25) == (0, 0)
    stripes = np.tile([0.0, 1.0, 1.0, 0.0], (24, 6))
    assert best_shift(stripes, stripes[4:-4, 3:-5], 4, 1) == (0, -1)


def test_an_offset_of_brightness_changes_nothing():
    image = smooth(40, 40)
    truth = shifted(image, (30, 30), (2.5, -1))
    assert best_shift(1e3 + image, 1e3 + truth, 5, 0.25) == (2.5, -1)


@pytest.mark.parametrize("size", [(40, 40), (33, 48), (31, 27)])
@pytest.mark.parametrize("offset", [(0, 0), (3, -5), (-7, 2), (13, 12)])
def test_registration_is_that_of_scikit_image(size, offset):
    truth = smooth(*size)
    image = np.roll(truth, offset, (0, 1)) + 0.05 * smooth(*size, seed=1)
    wanted, *_ = phase_cross_correlation(truth, image, normalization=None)
    assert registered(image, truth) == tuple(wanted) == (-offset[0], -offset[1])


@pytest.mark.parametrize("offset", [(0, 0), (2, -3), (-1, 0), (0, 4), (4, -4)])
def test_what_moves_in_is_zero(offset):
    image = smooth(2, 9, 8)
    wanted = shift(image, (0, *offset), order=0, mode="constant", cval=0)
    assert np.array_equal(moved(image, offset), wanted)
