"""The mean over a fixed grid of images x kernels, of which some cells were measured: how far off can it be?

A published mean is over all I images and J kernels of a grid. Where all of it was measured, nothing is left to chance.
Where some of it was, the rest is predicted from what images, kernels and single cells differ by,

    y_ij = m + a_i + b_j + e_ij,    variances s_a^2, s_b^2, s_e^2.

With weights w over the measured cells, which sum to 1, the error of the grid's mean has the variance

    V = s_a^2 sum_i (w_i. - 1/I)^2 + s_b^2 sum_j (w_.j - 1/J)^2 + s_e^2 sum_ij (w_ij - 1/IJ)^2,

which is 0 for the whole grid and knows no images' part where all images were used alike (the correction for a finite
population). The weights are those of generalised least squares under `WORKING`, whatever the data: the plain mean on a
complete subgrid and wherever images and kernels are used alike. V is estimated from sums of squares of the data: of
images within kernels, of kernels within images, of what neither explains, and of either without regard to the other.
They are weighed, none below 0, such that the expectation is at least V for every s_a, s_b, s_e; so what cannot be told
apart, such as images and cells where each image has one kernel, counts as the worse of the two. The interval is
Student's t with Satterthwaite's degrees of freedom. Two levels of a factor have one degree, which would rest on
normality alone and be 12.7 errors each way: there is no interval then.

Simulated coverage of 95 % intervals for the mean of a 12 x 8 grid, images and kernels normal / exponential / two-point,
and the median half width in dB if normal (4000 draws, `tests/benchmarks/coverage.py`). Standard deviations of images,
kernels, cells: 2, 1, .6 dB for a PSNR; .4, .2, .3 and 1.2, 1.2, .7 for a difference of methods at 5 and 1 % noise.

    cells                                 psnr                           5 %                           1 %
    12x1          fewer than 3 kernels do not tell how much kernels differ
    7x1           fewer than 3 kernels do not tell how much kernels differ
    12x2          fewer than 3 kernels do not tell how much kernels differ
    12x3          0.954 / 0.915 / 0.745   1.70  0.958 / 0.934 / 0.895   0.36  0.954 / 0.914 / 0.741   2.03
    12x4          0.958 / 0.910 / 0.788   1.03  0.954 / 0.926 / 0.890   0.22  0.958 / 0.910 / 0.785   1.23
    3x8           0.956 / 0.896 / 0.659   3.60  0.956 / 0.913 / 0.814   0.74  0.955 / 0.903 / 0.767   2.19
    6x8           0.953 / 0.906 / 0.848   1.38  0.952 / 0.915 / 0.878   0.28  0.951 / 0.911 / 0.863   0.84
    6x4           0.956 / 0.925 / 0.933   1.57  0.964 / 0.936 / 0.945   0.34  0.959 / 0.929 / 0.931   1.32
    rotated 12    1.000 / 0.998 / 0.995   1.39  0.989 / 0.985 / 0.989   0.33  0.993 / 0.992 / 0.993   0.92
    rotated 24    0.947 / 0.952 / 0.946   0.23  0.947 / 0.952 / 0.946   0.12  0.947 / 0.952 / 0.946   0.27
    rotated 48    0.947 / 0.945 / 0.940   0.12  0.947 / 0.945 / 0.940   0.06  0.947 / 0.945 / 0.940   0.14
    first 43      0.949 / 0.903 / 0.847   1.38  0.949 / 0.913 / 0.882   0.29  0.948 / 0.908 / 0.870   0.84

Of real cells as well: with all 7 x 8 cells of fdn, tv and wiener on Set12 01-07 under Levin's kernels at 1 and 5 % as
the grid, and parts of it at random, the coverage for PSNR, SSIM and differences to fdn is 0.92 to 1.00, but for PSNR of
4 images under all kernels, 0.85 to 0.87: one of these images is far from the others.

With one kernel for each image nothing tells images from cells, so that the intervals of 12 rotated cells are wider than
they had to be; those of 24 are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nidbench.errors import InputError

from .intervals import CONFIDENCE, FEWEST, mean_of

_Values: TypeAlias = NDArray[np.floating[Any]]

#: Variances of images, kernels and cells that weights are made for; validity does not rest on them.
WORKING = (2.0, 1.0, 0.5)

#: Below this a part of V or of an expectation is 0 but for rounding.
_NOTHING = 1e-12

#: Why there is no interval, by the term of V that the cells do not determine.
_UNKNOWN = (
    f"fewer than {FEWEST} images do not tell how much images differ",
    f"fewer than {FEWEST} kernels do not tell how much kernels differ",
    "these cells do not tell how much single cells differ",
)


@dataclass(frozen=True)
class GridMean:
    """A mean over a grid, estimated from some of its cells.

    Attributes:
        mean: the estimate; NaN of no cells.
        low, high: 95 % interval of the grid's mean: both the mean itself for the whole grid, NaN where `why` says so.
        why: why there is no interval; empty where there is one.
    """

    mean: float
    low: float
    high: float
    why: str = ""


@dataclass(frozen=True, eq=False)
class _Form:
    """A sum of squares of the data.

    Attributes:
        basis: orthonormal, Shape (n, degrees of freedom); the form is the squared length of what it takes from y.
        expected: coefficients of s_a^2, s_b^2, s_e^2 in its expectation, Shape (3,).
    """

    basis: _Values
    expected: _Values

    def of(self, values: _Values) -> _Values:
        squares: _Values = np.square(values @ self.basis).sum(axis=-1)
        return squares


@dataclass(frozen=True, eq=False)
class Design:
    """Which cells of a grid were measured, and what that makes of their mean.

    Attributes:
        weights: of the cells, Shape (n,), sum 1.
        forms: sums of squares that V is made of, each with its coefficient.
        whole: whether it is all of the grid.
        why: why V cannot be estimated; empty where it can.
    """

    weights: _Values
    forms: Sequence[tuple[float, _Form]]
    whole: bool
    why: str

    def means(self, values: _Values) -> _Values:
        """Return the estimated mean over the grid, of values of Shape (..., n)."""
        means: _Values = values @ self.weights
        return means

    def halves(self, values: _Values) -> _Values:
        """Return half the width of the intervals, of values of Shape (..., n); NaN where V cannot be estimated."""
        if self.whole or self.why:
            return np.full(values.shape[:-1], 0.0 if self.whole else math.nan)
        terms = np.stack([coefficient * form.of(values) for coefficient, form in self.forms], axis=-1)
        degrees = np.array([form.basis.shape[1] for _, form in self.forms])
        variance = terms.sum(axis=-1)
        with np.errstate(invalid="ignore"):  # cells that are all alike leave 0 / 0 degrees of freedom
            freedom = np.nan_to_num(variance**2 / (terms**2 / degrees).sum(axis=-1), nan=1.0)
        halves: _Values = special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * np.sqrt(variance)
        return halves


def grid_mean(
    values: Sequence[float] | _Values, images: Sequence[str], kernels: Sequence[str], size: tuple[int, int]
) -> GridMean:
    """Return the mean over a grid, estimated from those of its cells that were measured.

    Args:
        values: of the cells, each cell once.
        images: of the cells.
        kernels: of the cells.
        size: images and kernels of the grid; (I, 1) where each image has one kernel, its own or the same.

    Raises:
        InputError: where there are more images, kernels or cells than the grid has, or a cell twice.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return GridMean(math.nan, math.nan, math.nan, "no cell was measured")
    rows, columns = (tuple(map(list(dict.fromkeys(names)).index, names)) for names in (images, kernels))
    measured = design(rows, columns if size[1] > 1 else (0,) * len(rows), size)
    if not np.isfinite(numbers).all():
        mean = mean_of(numbers)
        lacking = "a cell has no number" if np.isnan(numbers).any() else "a cell is infinite"
        bound, why = (mean, "") if measured.whole and not math.isnan(mean) else (math.nan, lacking)
        return GridMean(mean, bound, bound, why)
    mean, half = float(measured.means(numbers)), float(measured.halves(numbers))
    return GridMean(mean, mean - half, mean + half, measured.why)


@lru_cache(maxsize=64)
def design(images: tuple[int, ...], kernels: tuple[int, ...], size: tuple[int, int]) -> Design:
    """Return what these cells of a grid make of its mean.

    Args:
        images: of each cell, counted from 0 without gaps.
        kernels: likewise.
        size: images and kernels of the grid.

    Raises:
        InputError: where there are more images, kernels or cells than the grid has, or a cell twice.
    """
    cells = len(images)
    if len(set(zip(images, kernels, strict=True))) < cells or max(images) >= size[0] or max(kernels) >= size[1]:
        raise InputError(
            f"{cells} cells of {max(images) + 1} images and {max(kernels) + 1} kernels are none of a grid of {size[0]} "
            f"images x {size[1]} kernels: give each of its cells at most once"
        )
    if cells == size[0] * size[1]:
        return Design(np.full(cells, 1 / cells), (), whole=True, why="")
    of_images, of_kernels = _members(images), _members(kernels)
    weights = _weights(of_images, of_kernels)
    wanted = _variance(weights, of_images, of_kernels, size)
    forms = [form for form in _forms(of_images, of_kernels) if form.basis.shape[1] >= FEWEST - 1]
    # where cells are missing, two kernels leak into what images differ by, which tells next to nothing of kernels
    few = (of_images.shape[1] < FEWEST, of_kernels.shape[1] < FEWEST, False)
    lacking = [
        component
        for component in range(3)
        if wanted[component] and (few[component] or not any(form.expected[component] for form in forms))
    ]
    if lacking:
        return Design(weights, (), whole=False, why="; ".join(_UNKNOWN[component] for component in lacking))
    return Design(weights, _enough(forms, wanted), whole=False, why="")


def _members(levels: tuple[int, ...]) -> _Values:
    """Return which cells have which level, Shape (n, levels)."""
    members: _Values = np.eye(max(levels) + 1)[list(levels)]
    return members


def _weights(of_images: _Values, of_kernels: _Values) -> _Values:
    images, kernels, cells = WORKING
    alike = images * of_images @ of_images.T + kernels * of_kernels @ of_kernels.T + cells * np.eye(len(of_images))
    weights: _Values = np.linalg.solve(alike, np.ones(len(alike)))
    weights /= weights.sum()
    return weights


def _variance(weights: _Values, of_images: _Values, of_kernels: _Values, size: tuple[int, int]) -> _Values:
    """Return the coefficients of s_a^2, s_b^2 and s_e^2 in V, Shape (3,)."""
    coefficients = []
    for used, count in ((weights @ of_images, size[0]), (weights @ of_kernels, size[1]), (weights, size[0] * size[1])):
        coefficients.append(np.square(used - 1 / count).sum() + (count - len(used)) / count**2)
    values = np.array(coefficients)
    return np.where(values > _NOTHING, values, 0.0)


def _forms(of_images: _Values, of_kernels: _Values) -> list[_Form]:
    """Return the sums of squares: the rest, images within kernels, kernels within images, images, kernels."""
    cells = len(of_images)
    both, one = np.hstack([of_images, of_kernels]), np.ones((cells, 1))
    pairs = [(np.eye(cells), both), (of_images, of_kernels), (of_kernels, of_images), (of_images, one)]
    return [_form(_beyond(*pair), of_images, of_kernels) for pair in (*pairs, (of_kernels, one))]


def _beyond(wanted: _Values, known: _Values) -> _Values:
    """Return an orthonormal basis of what `wanted` spans beyond `known`, Shape (n, dimensions)."""
    known_basis = _basis(known)
    return _basis(wanted - known_basis @ (known_basis.T @ wanted))


def _basis(columns: _Values) -> _Values:
    left, lengths, _ = np.linalg.svd(columns, full_matrices=False)
    basis: _Values = left[:, lengths > 1e-9]
    return basis


def _form(basis: _Values, of_images: _Values, of_kernels: _Values) -> _Form:
    expected = [np.square(basis.T @ members).sum() for members in (of_images, of_kernels)]
    coefficients = np.array([*expected, basis.shape[1]])
    return _Form(basis, np.where(coefficients > 1e-9, coefficients, 0.0))


def _enough(forms: Sequence[_Form], wanted: _Values) -> list[tuple[float, _Form]]:
    """Return the forms with coefficients of at least 0 that expect at least V, and least beyond it under `WORKING`."""
    from scipy import optimize  # here and not at the top: whole grids do without, and it takes long to import

    expected = np.stack([form.expected for form in forms])
    scale = wanted.max()
    solution = optimize.linprog(expected @ WORKING, A_ub=-expected.T, b_ub=-wanted / scale)
    coefficients = scale * np.asarray(solution.x)
    return [
        (float(coefficient), form)
        for coefficient, form in zip(coefficients, forms, strict=True)
        if coefficient > _NOTHING
    ]
