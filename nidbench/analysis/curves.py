"""How soon a curve of PSNR over iterations and seconds reaches a given PSNR, and how much sooner than another curve.

A *factor* is what a reference spends until it *first* reaches a target PSNR, over what the other spends,

    factor = cost of the reference to first reach the target / cost of the other to first reach the target,

in iterations and in seconds: above 1 where the other is sooner. Where one of the two never reaches the target, there is
no factor, and `Factor.short` has how many dB are lacking. `Factor.end` has how far above or below the target the other
ends, because it may go on past the target or fall back below it. `speedup` has the targets, over all cells of a sweep.

Curves are under half-kernel, linear between observations, and end with what was returned. What is reached at the very
first observation may have been reached earlier: `Cost.first` marks it, and `--observe` asks for more observations.

>>> from nidbench.records import Point
>>> paper = [Point(n, n / 10, psnr, 0.7) for n, psnr in ((100, 20.0), (200, 24.0), (400, 26.0))]
>>> fast = [Point(n, n / 20, psnr, 0.7) for n, psnr in ((50, 22.0), (100, 27.0))]
>>> gained = factor(fast, paper)
>>> (gained.target, gained.cost.iterations, gained.iterations, gained.seconds, gained.end)
(26.0, 90.0, 4.444444444444445, 8.88888888888889, 1.0)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nidbench.records import Point, Record
from nidbench.scoring.protocols import DEFAULT

Curve: TypeAlias = Sequence[Point]


@dataclass(frozen=True)
class Cost:
    """What it takes to get to a PSNR.

    Attributes:
        iterations: at least 0; a fraction where it is between two observations.
        seconds: at least 0.
        first: whether the first observation was there already, so that the curve may have been there earlier.
        last: whether it got there after the last observation but one: on the way to what it returns.
    """

    iterations: float
    seconds: float
    first: bool = False
    last: bool = False


@dataclass(frozen=True)
class Factor:
    """What a curve gains over a reference at equal PSNR.

    Attributes:
        target: the PSNR in dB.
        cost: what the curve spends until it first reaches the target; None where it never does.
        reference: what the reference spends, likewise.
        short: how far the best point of the one that never gets there is below the target, in dB; 0 where both do.
        end: PSNR of the curve's last point minus the target, in dB.
    """

    target: float
    cost: Cost | None
    reference: Cost | None
    short: float
    end: float

    @property
    def iterations(self) -> float:
        """The reference's iterations over the curve's; NaN where either never gets there."""
        return (
            math.nan if not (self.cost and self.reference) else ratio(self.reference.iterations, self.cost.iterations)
        )

    @property
    def seconds(self) -> float:
        """The reference's seconds over the curve's; NaN where either never gets there."""
        return math.nan if not (self.cost and self.reference) else ratio(self.reference.seconds, self.cost.seconds)


def time_to(curve: Curve, psnr: float) -> Cost | None:
    """Return what it takes until a curve first reaches a PSNR, linear between observations; None if it never does.

    Points whose PSNR is not finite are passed over, as by `Log.oracle`.

    Args:
        curve: by iteration.
        psnr: the PSNR to reach, in dB; NaN is never reached.
    """
    points = _finite(curve)
    if points and points[0].psnr >= psnr:
        return Cost(points[0].iteration, points[0].seconds, first=True)
    for place, (before, after) in enumerate(pairwise(points), start=2):
        if after.psnr >= psnr:
            share = (psnr - before.psnr) / (after.psnr - before.psnr)
            iterations = before.iteration + share * (after.iteration - before.iteration)
            seconds = before.seconds + share * (after.seconds - before.seconds)
            return Cost(iterations, seconds, last=place == len(points))
    return None


def factor(curve: Curve, reference: Curve, target: float | None = None) -> Factor:
    """Return what a curve gains over a reference's at equal PSNR.

    Args:
        curve: by iteration, its last point what is returned.
        reference: likewise.
        target: the PSNR in dB; None for the last of the reference, which it returns. `best` gives that of its oracle.
    """
    if target is None:
        target = reference[-1].psnr if reference else math.nan
    end = curve[-1].psnr if curve else math.nan
    short = max(0.0, target - best(curve), target - best(reference))
    return Factor(target, time_to(curve, target), time_to(reference, target), short, end - target)


def best(curve: Curve) -> float:
    """Return the highest finite PSNR of a curve in dB, NaN for none."""
    return max((point.psnr for point in _finite(curve)), default=math.nan)


def ratio(first: float, second: float) -> float:
    """Return the first over the second, NaN where one is not positive: 0 seconds are too short to be known."""
    return first / second if first > 0 and second > 0 else math.nan


def _finite(curve: Curve) -> list[Point]:
    return [point for point in curve if math.isfinite(point.psnr)]


def curve_of(record: Record | None) -> tuple[Point, ...]:
    """Return a record's curve, its last point what the method returned and all that it took.

    The curve is empty where the cell is not done, has no finite score, was never observed or was read without its log.
    """
    if record is None or record.status != "done" or record.log is None or not record.log.curve:
        return ()
    curve = record.log.curve
    score, last = record.scores.get(DEFAULT.name), curve[-1]
    if score is None or not math.isfinite(score.psnr) or record.iterations is None or record.seconds is None:
        return ()
    # Whatever was returned, and from which iteration on, all that was done was spent on it.
    iterations, seconds = max(record.iterations, last.iteration), max(record.seconds, last.seconds)
    was_observed = (last.iteration, last.psnr) == (iterations, score.psnr)
    return (*curve[: -1 if was_observed else None], Point(iterations, seconds, score.psnr, score.ssim))


def mean_curve(
    curves: Sequence[Curve], unit: str, weights: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean PSNR of curves by what was spent: places and means, Shape (n,).

    After its end a curve keeps its last value, which is what has been returned by then. The mean begins where the last
    of them begins.

    Args:
        curves: with a finite point each.
        unit: `iteration` or `seconds`.
        weights: of the curves in the mean; None for equal ones.
    """
    tables = [np.array([(getattr(p, unit), p.psnr) for p in _finite(curve)], dtype=np.float64) for curve in curves]
    places = np.unique(np.concatenate([table[:, 0] for table in tables]))
    places = places[places >= max(table[0, 0] for table in tables)]
    means = np.average([np.interp(places, table[:, 0], table[:, 1]) for table in tables], axis=0, weights=weights)
    return places, np.asarray(means)
