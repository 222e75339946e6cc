"""Errors of known frequency end on the side of the band where the kernel puts them, and no energy is lost."""

import numpy as np
import pytest

from nidbench.contract import Noise, Problem, Response
from nidbench.errors import InputError
from nidbench.scoring.measures import OF_NULL_BAND
from nidbench.scoring.metrics import decibels
from nidbench.scoring.null_band import (
    THRESHOLD,
    measures,
    near_null,
    noisy_band,
    split_error,
    taper,
    transfer_magnitude,
)

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


def problem(kernel=BOX, shape=SHAPE, **known):
    known = {"noise": Noise("gaussian", 0.05)} | known
    return Problem(np.zeros((1, *shape), np.float32), kernel.astype(np.float32), **known)


def natural(shape=SHAPE, seed=3):
    """An image of mean 0.5 and deviation 0.2 whose spectrum follows 1/f^2, Shape (1, h, w)."""
    rows, columns = (np.fft.fftfreq(length) for length in shape)
    squares = rows[:, None] ** 2 + columns**2
    spectrum = np.fft.fft2(np.random.default_rng(seed).standard_normal(shape)) / np.sqrt(np.where(squares, squares, 1))
    spectrum[0, 0] = 0
    image = np.fft.ifft2(spectrum).real
    return (0.5 + 0.2 * image / image.std())[None]


@pytest.mark.parametrize("shape", [SHAPE, (61, 75)])
def test_measures_are_those_of_the_split(shape):
    error, truth = 0.1 * np.random.default_rng(4).standard_normal((3, *shape)), np.repeat(natural(shape), 3, axis=0)
    split, split_of_truth = split_error(error, BOX), split_error(truth, BOX)
    values = measures(error, truth, problem(shape=shape))
    assert set(values) == set(OF_NULL_BAND)
    assert values["null_mse"] == pytest.approx(split.inside_mse)
    assert values["seen_mse"] == pytest.approx(split.outside_mse)
    assert values["null_share"] == pytest.approx(split.share)
    assert values["null_ratio"] == pytest.approx(split.inside_mse / split_of_truth.inside_mse)


def test_leaving_the_band_empty_is_an_error_as_large_as_the_truth_there():
    truth = natural()
    values = measures(-truth, truth, problem())
    assert values["null_ratio"] == pytest.approx(1)
    assert measures(-0.5 * truth, truth, problem())["null_ratio"] == pytest.approx(0.25)
    assert measures(0 * truth, truth, problem())["null_ratio"] == 0


def test_the_noisy_band_is_where_the_wiener_filter_takes_less_than_half():
    """Of white noise and a spectrum of 1/f^2 that are known: |K|^2 Sx < Sn."""
    truth, sigma = natural(), 0.05
    rows, columns = np.meshgrid(np.fft.fftfreq(SHAPE[0]), np.fft.rfftfreq(SHAPE[1]), indexing="ij")
    every = np.add.outer(np.fft.fftfreq(SHAPE[0]) ** 2, np.fft.fftfreq(SHAPE[1]) ** 2).ravel()[1:]
    law = 0.2**2 * SHAPE[0] * SHAPE[1] / (1 / every).sum() / np.maximum(rows**2 + columns**2, 1e-9)
    transfer = transfer_magnitude(BOX, SHAPE)[:, : SHAPE[1] // 2 + 1]
    expected = transfer**2 * law < sigma**2
    assert (noisy_band(truth, problem()) == expected).mean() > 0.999  # but for what rounding decides
    assert not noisy_band(truth, problem())[0, 0]


def test_more_noise_hides_more_and_none_hides_nothing_but_zeros():
    truth = natural()
    shares = [measures(truth, truth, problem(noise=Noise("gaussian", s)))["noisy_share"] for s in (1e-9, 0.01, 0.05, 1)]
    assert shares == sorted(shares)
    assert shares[0] < 0.11  # the box's zeros: 7 of 80 columns
    assert shares[-1] > 0.9


def test_what_is_not_in_the_noisy_band_is_not_counted_in_it():
    truth = natural()
    slow, fast = 0.1 * tone(1), 0.1 * tone(37)
    assert measures(slow, truth, problem())["noisy_error"] < 0.01
    assert measures(fast, truth, problem())["noisy_error"] > 0.99
    assert measures(slow + fast, truth, problem())["noisy_error"] == pytest.approx(0.5, abs=0.1)


def test_photons_are_noise_of_the_mean_pixel():
    truth = natural()
    gaussian = noisy_band(truth, problem(noise=Noise("gaussian", (truth.mean() / 128) ** 0.5)))
    assert np.array_equal(noisy_band(truth, problem(noise=Noise("poisson", 128))), gaussian)


@pytest.mark.parametrize(
    "known",
    [{"noise": Noise("gaussian", None)}, {"noise": Noise("gaussian", 0.0)}, {"response": Response("gamma", 2.2)}],
)
def test_where_nothing_tells_there_is_no_noisy_band(known):
    truth = natural()
    assert set(measures(truth, truth, problem(**known))) == set(OF_NULL_BAND) - {"noisy_share", "noisy_error"}


def test_a_kernel_that_hides_nothing_has_no_ratio():
    dot = np.ones((1, 1))
    assert "null_ratio" not in measures(natural(), natural(), problem(dot))
    assert "noisy_error" not in measures(0 * natural(), natural(), problem())
