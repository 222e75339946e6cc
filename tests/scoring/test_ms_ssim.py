"""Multi-scale SSIM against one written out, and the wavelet's filter by what defines it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d
from skimage.metrics import structural_similarity

from nidbench.errors import InputError
from nidbench.scoring.metrics import ssim
from nidbench.scoring.ms_ssim import LOW_PASS, SMALLEST, WEIGHTS, ms_ssim


def smooth(*shape, seed=0):
    return gaussian_filter(np.random.default_rng(seed).random(shape), 1)


def direct_ms_ssim(one, other, peak=1.0):
    """Return the benchmark's multi-scale SSIM with two-dimensional windows, variances as they are defined."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    half = [0.852698679008890, 0.377402855612830, -0.110624404418440, -0.023849465019560, 0.037828455507260]
    taps = np.array([half[abs(n)] for n in range(-4, 5)])
    low_pass = np.outer(taps, taps) / taps.sum() ** 2
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    result = 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        windows = [np.lib.stride_tricks.sliding_window_view(plane, (11, 11)) for plane in (one, other)]
        means = [(plane * window).sum(axis=(2, 3)) for plane in windows]
        apart = [plane - mean[..., None, None] for plane, mean in zip(windows, means, strict=True)]
        deviations = [np.sqrt((plane**2 * window).sum(axis=(2, 3))) for plane in apart]
        covariance = (apart[0] * apart[1] * window).sum(axis=(2, 3))
        luminance = (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
        contrast = (2 * deviations[0] * deviations[1] + c2) / (deviations[0] ** 2 + deviations[1] ** 2 + c2)
        structure = (covariance + c2 / 2) / (deviations[0] * deviations[1] + c2 / 2)
        result *= contrast.mean() ** weight * max(0, structure.mean()) ** weight
        one, other = (
            convolve2d(np.pad(plane, 4, mode="symmetric"), low_pass, mode="valid")[::2, ::2] for plane in (one, other)
        )
    return result * luminance.mean() ** 0.1333


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


def test_contrast_and_structure_are_averaged_each_by_itself():
    """Where one half of an image has lost its contrast and the other its structure, that is more than their product."""
    truth = smooth(170, 170)
    blend = 0.3 * truth + 0.7 * smooth(170, 170, seed=1)
    restored = np.where(np.arange(170) < 85, 0.5 + 0.2 * (truth - 0.5), blend)
    value = ms_ssim(restored, truth)
    assert value == pytest.approx(direct_ms_ssim(restored, truth), abs=1e-10)
    assert value > wang_ms_ssim(restored, truth) + 0.01


def wang_ms_ssim(one, other):
    """Return what Wang, Simoncelli & Bovik define: the mean of contrast times structure."""
    result = 1.0
    for scale, weight in enumerate(WEIGHTS):
        _, around = structural_similarity(
            one, other, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        means = [gaussian_filter(plane, 1.5, radius=5) for plane in (one, other)]
        luminance = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
        terms = around if scale == 4 else around / luminance
        result *= max(0, terms[5:-5, 5:-5].mean()) ** weight
        one, other = (coarser(plane) for plane in (one, other))
    return result


def coarser(image):
    taps = np.array([LOW_PASS[abs(n)] for n in range(-4, 5)])
    return convolve2d(np.pad(image, 4, mode="symmetric"), np.outer(taps, taps), mode="valid")[::2, ::2]


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
