"""Multi-scale structural similarity, as the benchmark of Koehler et al. (ECCV 2012) measures it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # loads its parts when they are first used
from numpy.typing import NDArray

from nidbench.errors import InputError

from .metrics import mean_of_window

#: Exponents of the scales, finest first: Wang, Simoncelli & Bovik 2003.
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

#: Half of the symmetric analysis low-pass of the biorthogonal 9/7 wavelet (Cohen, Daubechies & Feauveau 1992), from its
#: middle outwards, normalised to sum 1.
LOW_PASS = (0.602949018236, 0.266864118443, -0.078223266529, -0.016864118443, 0.026748757411)

#: Smallest side in pixels: it leaves one 11x11 window at the coarsest scale.
SMALLEST = 10 * 2 ** (len(WEIGHTS) - 1) + 1

_TAPS = np.array([*LOW_PASS[:0:-1], *LOW_PASS])


def ms_ssim(restored: NDArray[Any], truth: NDArray[Any], *, data_range: float = 1.0) -> float:
    """Return the multi-scale SSIM of two images: mean(l_5)^w_5 prod_j mean(c_j)^w_j mean(s_j)^w_j over the scales j.

    The definition is that of the benchmark's code, MeTriX MuX (`mssim_index.m`). Luminance l, contrast c and structure
    s of Wang et al. 2004 (Gaussian window 11x11 of sigma 1.5, K1 = .01, K2 = .03, population covariance, only windows
    inside the image) are averaged separately, while Wang, Simoncelli & Bovik average the product c s. The next scale
    takes every second pixel after the 9/7 low-pass; edges are mirrored with the outermost pixel repeated. Where a mean
    is negative, because the images are very different, it counts as 0 (the benchmark's number is complex then).

    Args:
        restored: Shape (h, w), both at least `SMALLEST`.
        truth: the same shape.
        data_range: the peak value.

    Raises:
        InputError: where the shapes differ or are too small for the scales.
    """
    if restored.shape != truth.shape or restored.ndim != 2 or min(restored.shape) < SMALLEST:
        raise InputError(
            f"multi-scale SSIM needs two images (h, w) of at least {SMALLEST}x{SMALLEST}, not {restored.shape} and "
            f"{truth.shape}"
        )
    image, reference = restored.astype(np.float64), truth.astype(np.float64)
    product = 1.0
    for weight in WEIGHTS:
        luminance, contrast, structure = _terms(image, reference, data_range)
        product *= float((contrast * max(0.0, structure)) ** weight)
        image, reference = _coarser(image), _coarser(reference)
    return product * float(max(0.0, luminance) ** WEIGHTS[-1])


def _terms(x: NDArray[Any], y: NDArray[Any], data_range: float) -> tuple[float, float, float]:
    """Return the means of luminance, contrast and structure over pixels whose window is inside the image."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = _mean(x), _mean(y)
    variance_x, variance_y = _mean(x**2) - mean_x**2, _mean(y**2) - mean_y**2
    covariance = _mean(x * y) - mean_x * mean_y
    # rounding may make the variance of a constant slightly negative
    deviations = np.sqrt(variance_x.clip(0, None) * variance_y.clip(0, None))
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * deviations + c2) / (variance_x + variance_y + c2)
    structure = (covariance + c2 / 2) / (deviations + c2 / 2)
    return float(luminance.mean()), float(contrast.mean()), float(structure.mean())


def _mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return mean_of_window(image)[5:-5, 5:-5]


def _coarser(image: NDArray[Any]) -> NDArray[Any]:
    smooth = scipy.ndimage.correlate1d(
        scipy.ndimage.correlate1d(image, _TAPS, axis=0, mode="reflect"), _TAPS, axis=1, mode="reflect"
    )
    return smooth[::2, ::2]
