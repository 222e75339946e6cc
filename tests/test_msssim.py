"""Multi-scale SSIM against one written out, and the wavelet's filter by what defines it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from nidbench.errors import InputError
from nidbench.metrics import ssim
from nidbench.msssim import LOW_PASS, SMALLEST, WEIGHTS, ms_ssim


def smooth(*shape, seed=0):
    return gaussian_filter(np.random.default_rng(seed).random(shape), 1)


def direct_ms_ssim(one, other, peak=1.0):
    """Return multi-scale SSIM with two-dimensional windows, variances as they are defined."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    taps = np.array([LOW_PASS[abs(n)] for n in range(-4, 5)])
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    result = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        windows = [np.lib.stride_tricks.sliding_window_view(each, (11, 11)) for each in (one, other)]
        means = [(each * window).sum(axis=(2, 3)) for each in windows]
        apart = [each - mean[..., None, None] for each, mean in zip(windows, means, strict=True)]
        variances = [(each**2 * window).sum(axis=(2, 3)) for each in apart]
        covariance = (apart[0] * apart[1] * window).sum(axis=(2, 3))
        terms = (2 * covariance + c2) / (variances[0] + variances[1] + c2)
        if scale == 4:
            terms = terms * (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
        result *= max(0, terms.mean()) ** weight
        one, other = (
            convolve2d(np.pad(each, 4, mode="reflect"), np.outer(taps, taps), mode="valid")[::2, ::2]
            for each in (one, other)
        )
    return result


@pytest.mark.parametrize("size", [(SMALLEST, SMALLEST), (164, 177)])
@pytest.mark.parametrize("amount", [0.02, 0.3])
def test_against_one_written_out(size, amount):
    truth = smooth(*size)
    restored = (1 - amount) * truth + amount * smooth(*size, seed=1)
    wanted = direct_ms_ssim(restored, truth)
    assert 0 < wanted < 1
    assert ms_ssim(restored, truth) == pytest.approx(wanted, abs=1e-10)
    assert ms_ssim(255 * restored, 255 * truth, data_range=255) == pytest.approx(wanted, abs=1e-10)
    assert ms_ssim(truth, restored) == pytest.approx(wanted, abs=1e-10)


def test_closed_forms():
    truth = smooth(170, 170)
    assert ms_ssim(truth, truth) == pytest.approx(1)
    assert ms_ssim(-truth, truth) == 0  # structure that is the opposite
    dark, light = np.full((170, 170), 0.2), np.full((170, 170), 0.6)
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ms_ssim(dark, light) == pytest.approx(luminance ** WEIGHTS[-1])


def test_scales_differ_from_one():
    truth, noise = smooth(200, 200), 0.05 * np.random.default_rng(2).standard_normal((200, 200))
    assert ms_ssim(truth + noise, truth) > ssim((truth + noise)[None], truth[None]) + 0.05  # coarse scales see less


def test_the_filter_is_the_wavelet_s():
    """Nine taps of sum 1 with a zero of order 4 at the highest frequency; of these one is its own by its middle."""
    taps = np.array([LOW_PASS[abs(n)] for n in range(-4, 5)])
    places = np.arange(-4, 5)
    assert taps.sum() == pytest.approx(1)
    for moment in range(4):
        assert ((-1.0) ** places * places**moment * taps).sum() == pytest.approx(0, abs=1e-8)
    assert taps[4] == pytest.approx(0.602949018236)


@pytest.mark.parametrize("shapes", [((160, 200), (160, 200)), ((200, 200), (200, 201)), ((1, 200, 200),) * 2])
def test_what_is_too_small_or_differs_is_refused(shapes):
    with pytest.raises(InputError, match="at least 161x161"):
        ms_ssim(np.zeros(shapes[0]), np.zeros(shapes[1]))
