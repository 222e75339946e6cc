"""PSNR and SSIM of two arrays from Python: those of the tables, with a warning of a truth that seems too dark."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.scoring import metrics

from .given import warn_of_darkness


def psnr(restored: NDArray[Any], truth: NDArray[Any], *, data_range: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, over all channels and pixels.

    Args:
        restored: any shape.
        truth: the same shape.
        data_range: the peak value.

    Returns:
        10 log10(range^2 / MSE); infinity for equal images.

    Raises:
        InputError: where the shapes differ, values are not finite real numbers, the peak is none, or images are on
            another scale than it.

    Warns:
        UserWarning: of a truth as dark as the values of a camera of 10, 12 or 14 bit beside a peak of 16 bit.
    """
    value = metrics.psnr(restored, truth, data_range=data_range)
    if data_range == 1:
        warn_of_darkness("truth", np.asarray(truth))
    return value


def ssim(restored: NDArray[Any], truth: NDArray[Any], *, data_range: float = 1.0) -> float:
    """Return the structural similarity of Wang et al. 2004, the mean over channels.

    The definition is that of the authors' `ssim_index.m`, which differs from the defaults of most libraries: Gaussian
    window 11x11 of sigma 1.5, K1 = .01, K2 = .03, population covariance, only windows inside the image.

    Args:
        restored: Shape (C, H, W), at least 11x11.
        truth: the same shape.
        data_range: the peak value.

    Raises:
        InputError: where the shapes differ or are smaller than the window, channels seem to be last, and as of `psnr`.

    Warns:
        UserWarning: as `psnr`.
    """
    value = metrics.ssim(restored, truth, data_range=data_range)
    if data_range == 1:
        warn_of_darkness("truth", np.asarray(truth))
    return value
