"""How sure a mean is: intervals, tests and resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values: TypeAlias = NDArray[np.floating[Any]]

#: Of the intervals.
CONFIDENCE = 0.95

#: Chance of telling a true difference of the size `Difference.resolution` from 0.
POWER = 0.8

#: Images below which there is no interval: that of two would rest on normality alone and be 12.7 errors each way.
FEWEST = 3

#: Differences of a measurement, in dB, below which neither method is ahead: tables print two decimals.
TIE = 0.01

#: Images up to which all sign flips are tried, and the number of random ones beyond.
_EXACT, _FLIPS = 14, 9999

#: Of the bootstrap.
RESAMPLES = 9999


def ahead_and_behind(values: Values) -> tuple[int, int]:
    """Return how many values are above 0 and how many below, `TIE` or closer to it aside."""
    return int((values >= TIE).sum()), int((values <= -TIE).sum())


def mean_of(values: Values) -> float:
    """Return the mean of values of Shape (n,); NaN for none, and where infinite ones have both signs."""
    with np.errstate(invalid="ignore"):
        return float(values.mean()) if len(values) else math.nan


def interval(values: Values) -> tuple[float, float]:
    """Return the 95 % interval of the mean of independent values by Student's t; NaN below `FEWEST` values.

    Args:
        values: Shape (n,).
    """
    if len(values) < FEWEST or not np.isfinite(values).all():
        return math.nan, math.nan
    half = _quantile(len(values)) * _error(values)
    return float(values.mean() - half), float(values.mean() + half)


def bootstrap(values: Values) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of resampled values, the same at every call; NaN as `interval`.

    Args:
        values: Shape (n,).
    """
    if len(values) < FEWEST or not np.isfinite(values).all():
        return math.nan, math.nan
    low, high = np.quantile(values[_resamples(len(values))].mean(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _resamples(count: int) -> NDArray[np.int64]:
    """Return positions of values drawn with replacement, Shape (RESAMPLES, count)."""
    return np.random.Generator(np.random.Philox(key=0)).integers(0, count, (RESAMPLES, count))


def resolution(values: Values) -> float:
    """Return the smallest mean that n values of this spread would tell from 0 with probability `POWER`.

    NaN below `FEWEST` values.

    Args:
        values: Shape (n,); only their number and standard deviation count.
    """
    if len(values) < FEWEST or not np.isfinite(values).all():
        return math.nan
    return _noncentrality(len(values)) * _error(values)


def _error(values: Values) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def spread(values: Values) -> float:
    """Return the standard deviation of values, Shape (n,); NaN of fewer than two, or where one is infinite."""
    known = len(values) > 1 and np.isfinite(values).all()
    return float(values.std(ddof=1)) if known else math.nan


@lru_cache
def _quantile(count: int) -> float:
    return float(special.stdtrit(count - 1, (1 + CONFIDENCE) / 2))


@lru_cache
def _noncentrality(count: int) -> float:
    return float(special.nctdtrinc(count - 1, 1 - POWER, _quantile(count)))


def p_student(values: Values) -> float:
    """Return the two-sided p-value of a mean of 0 by Student's t; with infinite values, that of a sign test.

    NaN below `FEWEST` values.

    Args:
        values: Shape (n,).
    """
    if len(values) < FEWEST:
        return math.nan
    if not np.isfinite(values).all():
        ahead, behind = ahead_and_behind(values)
        return min(1.0, 2 * float(special.bdtr(min(ahead, behind), ahead + behind, 0.5))) if ahead + behind else 1.0
    mean, error = abs(float(values.mean())), _error(values)
    if not error:
        return 0.0 if mean else 1.0
    return 2 * float(special.stdtr(len(values) - 1, -mean / error))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: each below 5 % where a test is significant with 5 % for all of them together.

    Args:
        p_values: of one family; NaN, where nothing was tested, stays and does not count.
    """
    tested = sorted((value, place) for place, value in enumerate(p_values) if not math.isnan(value))
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, (value, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * value))
        adjusted[place] = highest
    return adjusted


def sign_flip(values: Values) -> float:
    """Return the two-sided p-value of values that are symmetric about 0: how many flips of signs give as large a mean.

    Exact up to 14 values; beyond, of 9999 flips from a fixed seed, the values' own counted among them. NaN for none.

    Args:
        values: Shape (n,).
    """
    if not len(values) or not np.isfinite(values).all():
        return math.nan
    sums = np.abs(_signs(len(values)) @ values)
    # A flip that gives the same sum but for rounding counts as large.
    return float((sums >= sums[0] * (1 - 1e-12)).mean())


@lru_cache(maxsize=4)
def _signs(count: int) -> Values:
    """Return signs as rows, Shape (flips, count), the first all positive; of a row and its negative only one."""
    if count <= _EXACT:
        bits = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
    else:
        generator = np.random.Generator(np.random.Philox(key=0))
        bits = generator.integers(0, 2, (_FLIPS + 1, count))
        bits[0] = 0
    return 1.0 - 2.0 * bits
