"""Measures how well a method's variance describes its error, by correlation and coverage.

A method that samples (dropout passes, paper section 3.3; Langevin draws) estimates a variance of every pixel. The
variance is useful where it is large for pixels with large errors (`error_variance_correlation`) and matches the size of
these errors (`coverage`). Averaging draws helps if they lie around the truth and not beside it (`plane_of_draws`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .measures import LEVELS


def calibration(image: NDArray[Any], variance: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Return the values of `measures.OF_VARIANCE` that are defined, by name.

    `mean_variance`, in squares of the image's unit, can be compared with the mean squared error.

    Args:
        image: the estimate, any shape, in the encoding of the truth.
        variance: variance of every pixel, the same shape, not negative.
        truth: the same shape.

    Raises:
        InputError: where the shapes differ or a variance is negative.
    """
    values = {"variance_correlation": error_variance_correlation(image, variance, truth)}
    values["mean_variance"] = float(variance.mean(dtype=np.float64))
    values |= {f"coverage_{100 * level:.0f}": covered for level, covered in coverage(image, variance, truth).items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def shown_variance(
    image: NDArray[Any], variance: NDArray[Any], shown: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[np.float64]:
    """Return the variance of an image after a response.

    The interval of the image plus or minus a standard deviation passes the response, and half of its length is the new
    standard deviation. The slope of the response would not do, because that of a gamma is infinite at 0.

    Args:
        image: the image before the response.
        variance: its variance, the same shape; below 0 counts as 0.
        shown: the response, of an image of that shape.
    """
    deviation = np.sqrt(variance.astype(np.float64).clip(0, None))
    return np.asarray(np.square((shown(image + deviation) - shown(image - deviation)) / 2))


def error_variance_correlation(image: NDArray[Any], variance: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return Spearman's rank correlation of error and variance over all pixels and channels.

    Ranks are used because a linear correlation is dominated by the few pixels at strong edges, and depends on whether
    errors are squared. Ranks are the same for |error| and error^2, and for variance and standard deviation. Ties share
    their mean rank.

    Args:
        image: the estimate, any shape, in the encoding of the truth.
        variance: variance of every pixel, the same shape, not negative.
        truth: the same shape.

    Returns:
        In [-1, 1]; 1 where errors and variances have the same order. NaN where either is constant.

    Raises:
        InputError: where the shapes differ or a variance is negative.
    """
    _check(image, variance, truth)
    from scipy.stats import rankdata  # slow to import, and needed only for methods with a variance

    ranks = [rankdata(values.ravel()) for values in (np.abs(_error(image, truth)), variance)]
    first, second = (values - values.mean() for values in ranks)
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / norm) if norm > 0 else float("nan")


def coverage(
    image: NDArray[Any], variance: NDArray[Any], truth: NDArray[Any], levels: Sequence[float] = LEVELS
) -> Mapping[float, float]:
    """Return nominal level -> fraction of pixels that are covered at this level.

    A pixel is covered at level p where |image - truth| <= z sqrt(variance), z the (1+p)/2 quantile of a standard normal
    distribution. The fraction equals the level for Gaussian errors of the given variance, and is smaller where the
    variance is too small.

    Args:
        image: the estimate, any shape, in the encoding of the truth.
        variance: variance of every pixel, the same shape, not negative.
        truth: the same shape.
        levels: nominal levels in (0, 1).

    Raises:
        InputError: where the shapes differ, a variance is negative or a level is outside (0, 1).
    """
    _check(image, variance, truth)
    for level in levels:
        if not 0 < level < 1:
            raise InputError(f"coverage at level {level}: give a probability in (0, 1), such as 0.95")
    deviation, error = np.sqrt(variance.astype(np.float64)), np.abs(_error(image, truth))
    bounds = {level: NormalDist().inv_cdf((1 + level) / 2) for level in levels}
    return {level: float(np.mean(error <= bound * deviation)) for level, bound in bounds.items()}


@dataclass(frozen=True, eq=False)
class Plane:
    """Posterior draws and the truth, projected onto the plane in which the draws vary most (paper Fig. 3).

    Distances are root mean squares over pixels; a distance in the plane is the projection of that between the images.

    Attributes:
        draws: positions of the draws, Shape (n, 2); their mean is at (0, 0).
        truth: position of the truth's projection, Shape (2,).
        explained: fractions of the draws' variance along the two axes, Shape (2,).
        draws_to_truth: mean distance of the draws to the truth.
        mean_to_truth: distance of the draws' mean to the truth.
        off_plane: distance of the truth from the plane.
    """

    draws: NDArray[np.float64]
    truth: NDArray[np.float64]
    explained: NDArray[np.float64]
    draws_to_truth: float
    mean_to_truth: float
    off_plane: float


def plane_of_draws(draws: NDArray[Any], truth: NDArray[Any]) -> Plane:
    """Project draws and a truth onto the first two principal components of the draws.

    Args:
        draws: Shape (n, ...), at least 3 draws.
        truth: the shape of a draw.

    Raises:
        InputError: where there are fewer draws, or the shapes differ.
    """
    if len(draws) < 3 or draws.shape[1:] != truth.shape:
        raise InputError(f"draws of shape {draws.shape}, a truth of {truth.shape}: give at least 3 draws of its shape")
    flat = draws.reshape(len(draws), -1).astype(np.float64)
    mean, size = flat.mean(axis=0), np.sqrt(flat.shape[1])
    offset = truth.ravel() - mean
    _, strengths, axes = np.linalg.svd(flat - mean, full_matrices=False)
    axes = axes[:2] * np.where(axes[:2] @ offset < 0, -1.0, 1.0)[:, None]  # so that the truth is above and to the right
    position = axes @ offset
    total = float((strengths**2).sum())
    return Plane(
        draws=(flat - mean) @ axes.T / size,
        truth=position / size,
        explained=strengths[:2] ** 2 / total if total > 0 else np.zeros(2),
        draws_to_truth=float(np.sqrt(((flat - truth.ravel()) ** 2).mean(axis=1)).mean()),
        mean_to_truth=float(np.linalg.norm(offset) / size),
        off_plane=float(np.linalg.norm(offset - position @ axes) / size),
    )


def _check(image: NDArray[Any], variance: NDArray[Any], truth: NDArray[Any]) -> None:
    if not image.shape == variance.shape == truth.shape:
        shapes = ", ".join(str(array.shape) for array in (image, variance, truth))
        raise InputError(f"image, variance and truth have shapes {shapes}: crop them alike")
    if variance.size and variance.min() < 0:
        raise InputError(f"a variance goes down to {variance.min():.4g}: give values of at least 0")


def _error(image: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    return image.astype(np.float64) - truth.astype(np.float64)
