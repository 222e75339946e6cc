"""PSNR and SSIM of two images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError


def psnr(restored: NDArray[Any], truth: NDArray[Any], *, data_range: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, over all channels and pixels.

    Args:
        restored: any shape.
        truth: the same shape.
        data_range: the peak value.

    Returns:
        10 log10(range^2 / MSE); infinity for equal images.

    Raises:
        InputError: where the shapes differ, or images hold integers while the peak is 1.
    """
    _check_type(restored, truth, data_range)
    if restored.shape != truth.shape:
        raise InputError(f"cannot compare images of shapes {restored.shape} and {truth.shape}: crop them alike")
    error = np.mean((restored.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim(restored: NDArray[Any], truth: NDArray[Any], *, data_range: float = 1.0) -> float:
    """Return the structural similarity of Wang et al. 2004, the mean over channels.

    The definition is that of the authors' `ssim_index.m`, which differs from the defaults of most libraries: Gaussian
    window 11x11 of sigma 1.5, K1 = .01, K2 = .03, population covariance, only windows inside the image.

    Args:
        restored: Shape (C, H, W), at least 11x11.
        truth: the same shape.
        data_range: the peak value.

    Raises:
        InputError: where the shapes differ or are smaller than the window, or images hold integers while the peak is 1.
    """
    _check_type(restored, truth, data_range)
    if restored.shape != truth.shape or restored.ndim != 3 or min(restored.shape[1:]) < 11:
        raise InputError(f"SSIM needs two images (C, H, W) of at least 11x11, not {restored.shape} and {truth.shape}")
    return mean_of_windows(similarity_map(restored, truth, data_range))


def _check_type(restored: NDArray[Any], truth: NDArray[Any], data_range: float) -> None:
    for image in (restored, truth):
        if image.dtype.kind in "iu" and data_range == 1:
            raise InputError(
                f"an image holds {image.dtype} while the peak is 1: give data_range, such as 255, or floats in [0, 1]"
            )


def similarity_map(restored: NDArray[Any], truth: NDArray[Any], data_range: float = 1.0) -> NDArray[np.float64]:
    """Return the structural similarity around every pixel, Shape (C, H, W); arguments are those of `ssim`."""
    from skimage.metrics import structural_similarity  # slow to import, and tables need none of it

    similarity: NDArray[np.float64]
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        restored.astype(np.float64),
        truth.astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=0,
        full=True,
    )
    return similarity


def mean_of_windows(similarity: NDArray[np.float64]) -> float:
    """Return the mean of a similarity map, Shape (C, H, W), over pixels whose 11x11 window is inside the image."""
    return float(similarity[:, 5:-5, 5:-5].mean())
