"""Tests what a restoration leaves of the measurement: the residual y - g(k * x) should look like the noise.

They need no truth. The reduced chi-squared is the mean square of the residual in units of the noise: about 1 where x
explains y to within the noise, less where noise was fitted, more where something of y is left. The whiteness measures
whether the residual is as uncorrelated as white noise is (the residual whiteness of Almeida & Figueiredo, "Parameter
estimation for blind and non-blind deblurring using residual whiteness measures", IEEE TIP 22 (2013), without their
local normalisation): here as the root mean square of the autocorrelation over small lags, without lag 0.

Neither says that x is right. What the blur removed leaves no residual, so that two restorations with equal residuals
may differ much; a residual that is far from noise says that x is wrong, or the kernel, or the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nidbench.physics.arrays import Image
from nidbench.physics.measure import convolved
from nidbench.physics.problem import Problem

#: Largest lag in pixels along rows and columns.
REACH = 4

#: Least mean count with which Poisson noise is compared: the variance of a pixel without light would be 0.
_LEAST_COUNT = 1.0


@dataclass(frozen=True)
class ResidualTests:
    """How a residual compares with the noise.

    Attributes:
        chi_squared: mean square of the residual in standard deviations of the noise; NaN where the noise is 0.
        whiteness: root mean square of its autocorrelation over lags of at most `REACH`.
        white: the value of `whiteness` that white noise of this size has on average, 1 / sqrt(pixels).
    """

    chi_squared: float
    whiteness: float
    white: float


def residual(problem: Problem, image: Image) -> NDArray[np.float64]:
    """Return y - g(k * x), Shape (C, h, w), of x, Shape (C, H, W)."""
    shown = problem.response.apply(convolved(image, problem.kernel))
    return np.asarray(problem.blurred - shown)


def residual_tests(problem: Problem, image: Image, sigma: float | None = None) -> ResidualTests:
    """Return how the residual of x compares with the noise.

    Args:
        problem: the problem; its noise gives the standard deviation of each pixel.
        image: x, Shape (C, H, W) in the frame of x.
        sigma: standard deviation of Gaussian noise of unknown level, where it was estimated already.
    """
    left = residual(problem, image)
    deviation = _deviation(problem, problem.blurred - left, sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = left / deviation
    chi_squared = float(np.mean(np.square(scaled))) if np.isfinite(scaled).all() else float("nan")
    return ResidualTests(chi_squared, whiteness(left), 1 / float(np.sqrt(left[0].size)))


def measures(problem: Problem, image: Image) -> dict[str, float]:
    """Return the values of `measures.OF_RESIDUAL` that are defined for x, Shape (C, H, W), by name."""
    found = residual_tests(problem, image)
    values = {"chi_squared": found.chi_squared, "whiteness": found.whiteness}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _deviation(problem: Problem, shown: Image, sigma: float | None) -> NDArray[np.float64] | float:
    """Return the standard deviation of the noise of each pixel."""
    level = problem.noise.level
    if problem.noise.kind == "poisson" and level is not None:
        return np.sqrt(shown.clip(_LEAST_COUNT / level, None) / level)
    return problem.sigma() if sigma is None else sigma


def whiteness(left: NDArray[np.float64]) -> float:
    """Return the root mean square of the autocorrelation of a residual, Shape (C, h, w), over small lags.

    It is 0 for a residual that is constant, in which nothing is left.
    """
    height, width = left.shape[1:]
    reach = min(REACH, height - 1), min(REACH, width - 1)
    size = height + reach[0], width + reach[1]  # zeros, so that no lag wraps
    centred = left - left.mean((1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(centred, size)) ** 2
    correlation = np.fft.irfft2(power, size)
    lags = np.ix_(range(len(left)), range(-reach[0], reach[0] + 1), range(-reach[1], reach[1] + 1))
    zero = correlation[:, :1, :1]
    varies = zero > 1e-24 * np.square(left).sum((1, 2), keepdims=True)  # more than rounding leaves of a constant
    relative = correlation[lags] / np.where(varies, zero, np.inf)
    count = max(1, relative[0].size - 1)
    squares = np.square(relative).sum((1, 2)) - varies[:, 0, 0]
    return float(np.sqrt(squares.clip(0, None).mean() / count))
