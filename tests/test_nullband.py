"""Errors of known frequency end on the side of the band where the kernel puts them, and no energy is lost."""

import numpy as np
import pytest

from nidbench.errors import InputError
from nidbench.nullband import MEASURES, THRESHOLD, decibels, near_null, split_error, taper, transfer_magnitude

SHAPE = (96, 80)
#: A box of eight pixels across: |K| is zero at multiples of 1/8 cycle per pixel along columns.
BOX = np.full((1, 8), 1 / 8)


def tone(cycles, axis=1, shape=SHAPE):
    places = np.arange(shape[axis]) / shape[axis]
    return np.broadcast_to(np.expand_dims(np.cos(2 * np.pi * cycles * places + 0.3), 1 - axis), shape)[None]


@pytest.fixture
def error():
    return np.random.default_rng(0).standard_normal((3, *SHAPE))


@pytest.mark.parametrize("kernel", [BOX, np.random.default_rng(1).random((7, 6)), np.ones((150, 3))], ids=str)
def test_the_parts_add_up_and_are_orthogonal(error, kernel):
    split = split_error(error, kernel, 0.2)
    weight = taper(SHAPE)
    np.testing.assert_allclose(split.inside + split.outside, error * weight, atol=1e-12)
    assert abs((split.inside * split.outside).sum()) < 1e-9
    whole = ((error * weight) ** 2).sum() / (3 * (weight**2).sum())
    assert split.inside_mse + split.outside_mse == pytest.approx(whole, rel=1e-10)
    assert split.inside_mse > 0 < split.outside_mse


@pytest.mark.parametrize(("cycles", "hidden"), [(10, True), (20, True), (0, False), (5, False), (15, False)])
def test_a_tone_is_hidden_where_the_kernel_is_zero(cycles, hidden):
    """At 10 of 80 pixels, a period is as long as the box, which so averages it away."""
    split = split_error(tone(cycles), BOX, 0.15)
    total = split.inside_mse + split.outside_mse
    inside = split.inside_mse / total
    assert inside > 0.9 if hidden else inside < 0.03  # the taper spreads a tone over its neighbours
    assert total == pytest.approx(0.5 if cycles else np.cos(0.3) ** 2, rel=0.05)


@pytest.mark.parametrize("cycles", [10, 5])
def test_a_kernel_across_hides_nothing_along(cycles):
    split = split_error(tone(cycles, axis=0), BOX)
    assert split.inside_mse < 1e-4 * split.outside_mse  # what the taper spreads


def test_what_jumps_at_the_borders_stays_out_of_the_band():
    """A ramp is slow, but its jump from right to left has all frequencies: without taper 1 % of it would be hidden."""
    ramp = tone(0) * np.linspace(-1, 1, SHAPE[1])
    split = split_error(ramp, BOX, 0.2)
    assert split.inside_mse < 1e-3 * split.outside_mse
    band = near_null(BOX, SHAPE, 0.2)
    bare = (np.abs(np.fft.fft2(ramp)) ** 2)[0]
    assert bare[band].sum() > 1e-2 * bare.sum()


def test_noise_is_hidden_by_the_share_of_the_frequencies(error):
    split = split_error(error, BOX, 0.3)
    assert split.share == near_null(BOX, SHAPE, 0.3).mean()
    assert split.inside_mse == pytest.approx(split.share, rel=0.1)
    assert split.inside_mse + split.outside_mse == pytest.approx(1, rel=0.05)
    assert split.measures() == dict(zip(MEASURES, (split.inside_mse, split.outside_mse, split.share), strict=True))


def test_the_magnitude_is_that_of_the_box():
    """|K(f)| = |sin(8 pi f) / (8 sin(pi f))|."""
    f = np.fft.fftfreq(SHAPE[1])
    with np.errstate(invalid="ignore"):
        expected = np.where(f == 0, 1, np.abs(np.sin(8 * np.pi * f) / (8 * np.sin(np.pi * f))))
    np.testing.assert_allclose(transfer_magnitude(BOX, SHAPE), np.broadcast_to(expected, SHAPE), atol=1e-12)
    np.testing.assert_allclose(transfer_magnitude(5 * BOX, SHAPE), np.broadcast_to(expected, SHAPE), atol=1e-12)
    assert near_null(BOX, SHAPE).mean() == (expected < THRESHOLD).mean()


def test_a_kernel_larger_than_the_error_has_the_same_transform_there():
    kernel = np.random.default_rng(2).random((50, 31))
    rows, columns = np.meshgrid(np.fft.fftfreq(20), np.fft.fftfreq(16), indexing="ij")
    waves = np.exp(
        -2j * np.pi * (rows[..., None, None] * np.arange(50)[:, None] + columns[..., None, None] * np.arange(31))
    )
    expected = np.abs((waves * kernel).sum((2, 3)))
    np.testing.assert_allclose(transfer_magnitude(kernel, (20, 16)), expected / expected.max(), atol=1e-12)


@pytest.mark.parametrize("shape", [(11, 11), (1, 1), (12, 90)])
def test_small_errors_are_split_too(shape):
    error = np.ones((1, *shape))
    split = split_error(error, BOX)
    np.testing.assert_allclose(split.inside + split.outside, error * taper(shape), atol=1e-12)
    assert (taper(shape) > 0).all()


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan")])
def test_refused_thresholds(error, threshold):
    with pytest.raises(InputError, match=f"threshold {threshold}"):
        split_error(error, BOX, threshold)


def test_refused_errors():
    with pytest.raises(InputError, match=r"\(96, 80\) cannot be split"):
        split_error(np.zeros(SHAPE), BOX)


def test_decibels():
    assert decibels(0.01) == pytest.approx(20)
    assert decibels(0) == float("inf")
