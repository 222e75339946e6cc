"""The noise level of an image, from the image alone (Chen, Zhu & Heng, ICCV 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import versions

PATCH = 8  #: side of a patch in pixels
STRIDE = 3  #: step between patches in pixels
ENOUGH = 30 * PATCH**2  #: patches that estimate 64 eigenvalues well


def estimate_noise_level(image: NDArray[Any]) -> float:
    """Return the standard deviation of white noise in an image, in the image's units.

    Patches of natural images span few directions; the eigenvalues of their covariance that belong to the others equal
    the noise variance. The largest eigenvalues are dropped one at a time until the mean of the rest equals their
    median, in the sense that as many lie above the mean as below.

    Args:
        image: Shape (C, H, W); colour images are judged by the mean over their channels' variances.

    Returns:
        sigma, 0 where the image is constant. An image smaller than a patch is judged by its own standard deviation.
        One too small for enough patches at the authors' step of 3 is read at step 1, a departure from the paper
        without which pure noise of 0.05 is estimated at 0.047 on 84x84 pixels and at 0 on 28x28.
    """
    versions.use("noise level")
    variances = [_noise_variance(channel.astype(np.float64)) for channel in image]
    return float(np.sqrt(np.mean(variances)))


def _noise_variance(channel: NDArray[np.float64]) -> float:
    if min(channel.shape) < PATCH:
        return float(channel.var())
    windows = np.lib.stride_tricks.sliding_window_view(channel, (PATCH, PATCH))
    few = windows[::STRIDE, ::STRIDE]
    windows = few if few.shape[0] * few.shape[1] >= ENOUGH else windows
    patches = windows.reshape(-1, PATCH * PATCH)
    centred = patches - patches.mean(0)
    eigenvalues = np.linalg.eigvalsh(centred.T @ centred / len(patches))
    for kept in range(len(eigenvalues), 0, -1):
        rest = eigenvalues[:kept]  # ascending: dropping the largest
        mean = rest.mean()
        if np.count_nonzero(rest > mean) == np.count_nonzero(rest < mean):
            return float(max(mean, 0.0))
    return float(max(eigenvalues[0], 0.0))
