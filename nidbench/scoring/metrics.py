"""PSNR and SSIM of two images."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import scipy  # loads its parts when they are first used
from numpy.typing import NDArray

from nidbench.errors import InputError
from nidbench.physics.arrays import plain_array
from nidbench.physics.measure import DARKEST

#: Values beyond this multiple of the peak, in more than this share of an image, are on another scale than the peak.
_OTHER_SCALE, _SHARE = 10.0, 0.01

#: Largest peak of images on [0, 1], or on [-1, 1].
_UNIT = 2.0

#: Least peak of images in the numbers of 8 bit or more, where values on [0, 1] would be black.
_EIGHT_BIT = 255.0

#: Peak of images in the numbers of 16 bit, and bits of the cameras whose values are stored in these.
_SIXTEEN_BIT, _CAMERAS = 65535.0, (10, 12, 14)

#: Correlation above which two images on different scales are of one scene.
_RELATED = 0.5

#: A truth with values far below 0 whose percentiles 1 to 99 span more than this multiple of the peak is on [-1, 1] or
#: has unit variance; with its mean taken off alone it spans no more than the peak.
_SPAN = 1.1

#: A restoration is on [-1, 1] where its square error is this many times what it is after (x + peak) / 2.
_TIMES_NEARER = 20.0


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
        UserWarning: of values that fit 10, 12 or 14 bit beside a peak of 16.
    """
    x, reference, peak = _compared(restored, truth, data_range)
    if x.shape != reference.shape:
        raise InputError(f"cannot compare images of shapes {x.shape} and {reference.shape}: crop them alike")
    error = np.mean((x - reference) ** 2)
    return decibels(float(error), peak)


def decibels(mse: float, peak: float = 1.0) -> float:
    """Return the PSNR in dB of a mean squared error, in squares of the peak's unit; infinity for none.

    Images whose values need no check, as those that were made here, are compared by this rather than by `psnr`.
    """
    return float("inf") if mse <= 0 else float(10 * np.log10(peak**2 / mse))


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
    """
    x, reference, peak = _compared(restored, truth, data_range)
    if x.shape != reference.shape or x.ndim != 3 or min(x.shape[1:]) < 11:
        raise InputError(
            f"SSIM needs two images (C, H, W) of at least 11x11, not {x.shape} and {reference.shape}: give a gray one "
            "as image[None], and colours first"
        )
    if x.shape[0] not in (1, 3) and x.shape[2] < min(x.shape[:2]):
        raise InputError(
            f"SSIM needs images (C, H, W), and the channels of {x.shape} seem to be last: give numpy.moveaxis(image, "
            "-1, 0), or several gray images one by one, as image[None]"
        )
    return mean_inside(Similarity(reference, peak).map(x))


def _compared(restored: Any, truth: Any, data_range: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return two images as float64, and their peak as a float, whose square no small integer of NumPy holds.

    Raises:
        InputError: naming what is no image, no peak, or on another scale.
    """
    x, reference = plain_array("restored", restored), plain_array("truth", truth)
    peak = _peak(data_range)
    for name, image in (("restored", x), ("truth", reference)):
        _check_image(name, image, peak)
    _check_signed(reference, peak)
    _check_symmetric(x, reference, peak)
    if peak > _UNIT:
        _check_one_scale(x, reference, peak)
        _check_one_scale(reference, x, peak)
    if peak >= _EIGHT_BIT:
        _check_not_dark(reference, peak)
        _warn_of_depth(reference, peak)
    return np.asarray(x, np.float64), np.asarray(reference, np.float64), peak


def _peak(data_range: object) -> float:
    number = data_range if isinstance(data_range, int | float | np.integer | np.floating) else math.nan
    if not 0 < number < math.inf:
        raise InputError(f"data_range is {data_range!r}: give the peak value, such as 1, 255 or 65535")
    return float(number)


def _check_image(name: str, image: NDArray[Any], peak: float) -> None:
    if image.dtype.kind not in "buif" or not image.size:
        raise InputError(f"{name} holds {image.dtype} of shape {image.shape}: give real numbers")
    if image.dtype.kind in "iu" and peak == 1:
        raise InputError(
            f"an image holds {image.dtype} while the peak is 1: give data_range, such as 255, or floats in [0, 1]"
        )
    if image.dtype.kind in "iu" and peak > (most := np.iinfo(image.dtype).max) + 1:
        raise InputError(
            f"{name} holds {image.dtype}, up to {most} at most, while the peak is {peak:g}: correct data_range"
        )
    if not np.isfinite(image).all():
        raise InputError(f"{name} holds values that are not finite: it has no score")
    beyond = np.count_nonzero((image > _OTHER_SCALE * peak) | (image < -_OTHER_SCALE * peak))
    if beyond > _SHARE * image.size:
        raise InputError(
            f"{name} spans [{image.min():.4g}, {image.max():.4g}] while the peak is {peak:g}: give data_range, such as "
            "255, or divide by the value of white"
        )


def _check_signed(truth: NDArray[Any], peak: float) -> None:
    """Refuse a truth whose values lie around 0 and span more than the peak: PSNR would be that of another peak."""
    if truth.dtype.kind != "f" or truth.min() >= DARKEST * peak:
        return
    first, last = (float(each) for each in np.percentile(truth, (1, 99)))
    if first < DARKEST * peak and last - first > _SPAN * peak:
        raise InputError(
            f"truth goes from {first:.3g} to {last:.3g}, more than the peak of {peak:g}: bring both images to "
            "[0, peak], such as by (x + 1) / 2 of an x on [-1, 1]"
        )


def _check_symmetric(restored: NDArray[Any], truth: NDArray[Any], peak: float) -> None:
    """Refuse a restoration on [-peak, peak], as of a network that ends in tanh, of a truth on [0, peak]."""
    if restored.dtype.kind != "f" or restored.shape != truth.shape or np.percentile(restored, 1) >= DARKEST * peak:
        return
    error, error_halved = (np.square(x - truth).mean() for x in (restored, (restored + peak) / 2))
    if error > _TIMES_NEARER * error_halved:
        raise InputError(
            f"restored goes from {restored.min():.3g} to {restored.max():.3g} and is nearer to the truth on [0, "
            f"{peak:g}]: give (x + {peak:g}) / 2"
        )


def _check_not_dark(truth: NDArray[Any], peak: float) -> None:
    """Refuse a truth on [0, 1], or of 8 bit, whose stated peak is that of deeper integers: PSNR would be of black."""
    highest = float(np.abs(truth).max())
    most = _UNIT if truth.dtype.kind == "f" else 1.0
    if truth.dtype.kind == "b" or not 0 < highest <= max(most, peak / _EIGHT_BIT):
        return
    unit = highest <= most
    likely = "1 for images on [0, 1]" if unit else "255 for images of 8 bit"
    raise InputError(
        f"truth holds {truth.dtype} up to {highest:.4g} while the peak is {peak:g}: give data_range={likely}; if it is "
        f"so dark on [0, {peak:g}], divide both images and data_range by {peak:g}"
    )


def _warn_of_depth(truth: NDArray[Any], peak: float) -> None:
    """Warn of a truth whose values fit a camera's 10, 12 or 14 bit where the stated peak is that of 16."""
    highest = float(np.abs(truth).max())
    bits = next((bits for bits in _CAMERAS if highest < 2**bits), None)
    if peak == _SIXTEEN_BIT and truth.dtype.kind != "b" and highest > 0 and bits is not None:
        warnings.warn(
            f"truth goes up to {highest:.6g} while the peak is {peak:g}: if it is of {bits} bit, data_range is "
            f"{2**bits - 1}, and PSNR {20 * math.log10(peak / (2**bits - 1)):.0f} dB lower",
            stacklevel=5,  # that of who calls `nidbench.psnr`
        )


def _check_one_scale(image: NDArray[Any], other: NDArray[Any], peak: float) -> None:
    """Refuse an image on the scale of the peak beside floats on [0, 1]: integers, or floats of the same scene."""
    if image.dtype.kind == "b" or other.dtype.kind != "f":
        return
    highest = float(np.abs(other).max())
    if not image.max() > _UNIT >= highest:
        return
    if image.dtype.kind in "iu" or (peak >= _EIGHT_BIT and _related(image, other)):
        raise InputError(
            f"one image holds {image.dtype} up to {image.max():.6g} and the other {other.dtype} up to {highest:.4g}: "
            "bring both to one scale, that of data_range"
        )


def _related(image: NDArray[Any], other: NDArray[Any]) -> bool:
    """Return whether two images are much alike but for their scales; a black one is not."""
    if image.shape != other.shape:
        return False
    one, two = (np.asarray(each, np.float64) - each.mean(dtype=np.float64) for each in (image, other))
    spread = float(np.sqrt((one**2).mean() * (two**2).mean()))
    return spread > 0 and float((one * two).mean()) > _RELATED * spread


class Similarity:
    """Structural similarity to one truth, of which what is the same for all restorations is computed once.

    Args:
        truth: Shape (C, H, W).
        data_range: the peak value.
    """

    def __init__(self, truth: NDArray[Any], data_range: float = 1.0) -> None:
        self.truth = truth = np.asarray(truth, np.float64)
        self._range = data_range
        self._mean = mean_of_window(truth)
        self._variance = mean_of_window(truth * truth) - self._mean * self._mean

    def map(self, restored: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the similarity of x around every pixel, Shape (C, H, W), for x of the truth's shape."""
        c1, c2 = (0.01 * self._range) ** 2, (0.03 * self._range) ** 2
        mean = mean_of_window(restored)
        variance = mean_of_window(restored * restored) - mean * mean
        covariance = mean_of_window(restored * self.truth) - mean * self._mean
        alike = (2 * mean * self._mean + c1) * (2 * covariance + c2)
        similarity: NDArray[np.float64] = alike / ((mean**2 + self._mean**2 + c1) * (variance + self._variance + c2))
        return similarity


class Similarities:
    """The similarity to the truth that was compared with last, for many restorations of it in turn."""

    def __init__(self) -> None:
        self._latest: Similarity | None = None

    def to(self, truth: NDArray[Any]) -> Similarity:
        """Return the similarity to a truth, Shape (C, H, W), of peak 1."""
        if self._latest is None or not np.array_equal(self._latest.truth, truth):
            self._latest = Similarity(truth)
        return self._latest


def mean_of_window(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of an image, Shape (..., H, W), around every pixel, by the window of SSIM."""
    mean: NDArray[np.float64] = scipy.ndimage.gaussian_filter(image, 1.5, truncate=3.5, axes=(-2, -1))
    return mean


def mean_inside(similarity: NDArray[np.float64]) -> float:
    """Return the mean of a similarity map, Shape (C, H, W), over pixels whose 11x11 window is inside the image."""
    return float(similarity[:, 5:-5, 5:-5].mean())
