"""Finds the shift between two images, for scores that ignore where in the frame a restoration lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy  # loads its parts when they are first used
from numpy.typing import NDArray

_Image = NDArray[np.float64]


def best_shift(image: NDArray[Any], truth: NDArray[Any], maximum: float, step: float) -> tuple[float, float]:
    """Return the shift (rows, columns) on a grid at which an image is closest to a smaller truth in squared error.

    Pixel p of the truth is compared with the image's value at p + shift, interpolated bilinearly: Levin et al., CVPR
    2009, `comp_upto_shift`. For every fraction of a pixel the image is interpolated once; a correlation and sums over
    windows then give the squared errors of all whole shifts. Of equally good shifts the shortest is returned.

    Args:
        image: Shape (h + 2 n, w + 2 n), n = ceil(maximum); at shift 0 the truth lies in its middle.
        truth: Shape (h, w).
        maximum: largest absolute value of either component, in pixels.
        step: step of the grid in pixels, 1 divided by a whole number.
    """
    margin = (image.shape[0] - truth.shape[0]) // 2
    mean = float(truth.mean())  # smaller numbers lose less precision in their difference
    image, truth = image.astype(np.float64) - mean, truth.astype(np.float64) - mean
    energy = float((truth**2).sum())
    size = [scipy.fft.next_fast_len(length, real=True) for length in image.shape]
    spectrum = np.conj(scipy.fft.rfft2(truth, size))
    candidates = []
    for rows, columns in _fractions(step):
        between = interpolated(image, rows, columns)
        errors = _window_sums(between**2, truth.shape) + energy
        products = scipy.fft.irfft2(
            scipy.fft.rfft2(between, size) * spectrum, size
        )  # no wrap-around where the window is inside
        errors -= 2 * products[: errors.shape[0], : errors.shape[1]]
        down, across = (
            np.arange(count) - margin + fraction for count, fraction in zip(errors.shape, (rows, columns), strict=True)
        )
        inside = (abs(down)[:, None] <= maximum) & (abs(across)[None] <= maximum)
        candidates += [(errors[i, j], float(down[i]), float(across[j])) for i, j in np.argwhere(inside)]
    least = min(error for error, _, _ in candidates)
    close = [shift for error, *shift in candidates if error <= least + 1e-10 * (1 + energy)]
    down_best, across_best = min(close, key=lambda shift: (shift[0] ** 2 + shift[1] ** 2, shift))
    return down_best, across_best


def shifted(image: NDArray[Any], shape: tuple[int, int], shift: tuple[float, float]) -> _Image:
    """Return the window of an image that `best_shift` compares at a shift, Shape (..., h, w).

    Args:
        image: Shape (..., h + 2 n, w + 2 n).
        shape: (h, w).
        shift: rows and columns, in [-n, n].
    """
    margin = (image.shape[-2] - shape[0]) // 2
    rows, columns = (int(np.floor(component)) for component in shift)
    between = interpolated(image.astype(np.float64), shift[0] - rows, shift[1] - columns)
    top, left = margin + rows, margin + columns
    return between[..., top : top + shape[0], left : left + shape[1]]


def interpolated(image: _Image, rows: float, columns: float) -> _Image:
    """Return an image, Shape (..., H, W), interpolated bilinearly at its pixels plus a fraction in [0, 1).

    The result lacks the last row where `rows` is not 0 and the last column where `columns` is not 0, because no pixels
    lie beyond them.
    """
    if rows:
        image = (1 - rows) * image[..., :-1, :] + rows * image[..., 1:, :]
    if columns:
        image = (1 - columns) * image[..., :-1] + columns * image[..., 1:]
    return image


def registered(image: NDArray[Any], truth: NDArray[Any]) -> tuple[int, int]:
    """Return the shift in whole pixels (rows, columns) with the largest circular cross-correlation with a truth.

    `np.roll` by this shift moves the image onto the truth: Guizar-Sicairos, Thurman & Fienup, Optics Letters 2008,
    without upsampling.

    Args:
        image: Shape (h, w).
        truth: the same shape.
    """
    product = scipy.fft.rfft2(truth.astype(np.float64)) * np.conj(scipy.fft.rfft2(image.astype(np.float64)))
    values = scipy.fft.irfft2(product, image.shape)
    peak = np.unravel_index(int(np.argmax(values)), image.shape)
    rows, columns = (
        int(index) - (size if index > size // 2 else 0) for index, size in zip(peak, image.shape, strict=True)
    )
    return rows, columns


def moved(image: NDArray[Any], shift: tuple[int, int]) -> NDArray[Any]:
    """Return an image, Shape (..., h, w), moved by whole pixels (rows, columns), and 0 where it leaves pixels empty."""
    result = np.zeros_like(image)
    (height, width), (down, across) = image.shape[-2:], shift
    kept = image[..., max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)]
    result[..., max(0, down) : height + min(0, down), max(0, across) : width + min(0, across)] = kept
    return result


def _fractions(step: float) -> Iterator[tuple[float, float]]:
    fractions = [index * step for index in range(round(1 / step))]
    return ((rows, columns) for rows in fractions for columns in fractions)


def _window_sums(image: _Image, shape: tuple[int, ...]) -> _Image:
    """Return the sums over all windows of a shape that lie inside an image."""
    height, width = shape
    total = np.pad(image, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums: _Image = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    return sums
