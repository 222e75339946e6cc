"""How far methods are apart on the same measurements, and whether that is more than the choice of images.

Two methods are compared on the measurements that both have a score for, each method's seeds averaged first. The kernels
and noise draws of one image are not independent, so the unit is the image: differences are averaged within an image,
then over images, and the interval is Student's t on the images' means,

    d +- t(0.975, n - 1) s / sqrt(n),    s the standard deviation of the n images' mean differences.

Verdicts go by it. A bootstrap over images stands beside it in CSV; with few images it is too narrow. Simulated coverage
of 95 % intervals, 8 kernels an image, images' means normal / uniform / Laplace / exponential:

    images   Student's t                     bootstrap, percentile           all cells taken as independent
    3        0.950 / 0.931 / 0.970 / 0.891   0.753 / 0.748 / 0.704 / 0.713   0.494 / 0.570 / 0.443 / 0.440
    6        0.951 / 0.943 / 0.963 / 0.904   0.854 / 0.865 / 0.842 / 0.813   0.515 / 0.602 / 0.487 / 0.487
    12       0.950 / 0.950 / 0.963 / 0.915   0.909 / 0.921 / 0.890 / 0.878   0.533 / 0.616 / 0.516 / 0.532
    24       0.954 / 0.939 / 0.956 / 0.923   0.936 / 0.925 / 0.923 / 0.905   0.540 / 0.601 / 0.529 / 0.540

(4000 draws, 2000 for the bootstrap, 999 resamples; BCa is within 0.04 of the percentile.) What t misses is strong
skewness and, of 3 or 4 images, two clusters of differences (0.78, 0.88). `p_value`, of a sign-flip test, rests on
symmetry alone, but cannot be below 2^(1 - images).

An interval speaks of images like these under these kernels and noises, and of no other kernels: where a whole set is
meant of which few were used, its coverage is 0.56 to 0.86 (`grids` has intervals for that).

Each verdict speaks for itself: of 20 true zeros one is expected to look like a difference. With many pairs beside each
other the chance of at least one false verdict grows. `holm` says what is left of a verdict when that chance is kept at
5 % over all pairs of a group in one table (Holm 1979, of `p_student`, the p-value of Student's t, below 5 % exactly
where the interval leaves out 0). Simulated, methods equal, 6 images (4000 draws): 28 pairs of 8 methods 0.61 by
themselves and 0.05 with Holm, 15 pairs with one reference 0.41 and 0.04.

A restoration that equals its truth has infinite PSNR: there is no interval and no t with it. Where an image has such
a difference, the verdict goes by signs: who is ahead on every image, of at least `FEWEST`, or by a sign test.
`p_student` is then that of the sign test, 2^(1 - images) where all agree, so that `holm` asks for six images or more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from .groups import CASE, natural
from .intervals import (
    CONFIDENCE,
    FEWEST,
    Values,
    ahead_and_behind,
    bootstrap,
    interval,
    mean_of,
    p_student,
    resolution,
    sign_flip,
    spread,
)


@dataclass(frozen=True)
class Difference:
    """How far one method is ahead of another, PSNR in dB; numbers that cannot be known are NaN.

    Attributes:
        difference: the mean over images of their mean difference, first method minus second.
        low, high: the 95 % interval of the difference, by Student's t; NaN below `FEWEST` images.
        bootstrap_low, bootstrap_high: the same by a percentile bootstrap over images.
        wins, ties, losses: how many measurements the first method is ahead on, equal or behind; it is a tie where the
            two differ by less than `TIE`.
        pairs: how many measurements have a score of both.
        planned: how many measurements were asked of either; `planned - pairs` lack a partner.
        images: how many images the pairs are of.
        unscored: how many cells of the two have no score. Where one seed of several has none, the others stand for it.
        image_std: standard deviation over images of their mean difference.
        seed_std: standard deviation, from method seeds alone, of the difference of one seed each on one measurement;
            NaN where either has one seed.
        resolution: the true difference that would be detected with 80 % power, in experiments with so many
            images and this `image_std`: image_std / sqrt(images) times the noncentrality at which Student's t passes
            its critical value with probability `POWER`. It is more than the interval's half width, at which a true
            difference would be told from 0 in only about half of them.
        p_value: two-sided sign-flip test of the images' mean differences.
        p_student: two-sided p-value of the images' mean differences by Student's t, below 0.05 where the interval
            leaves out 0; of a sign test where one of them is infinite. NaN below `FEWEST` images.
        verdict: `better` or `worse` where the interval leaves out 0, else `open`; by signs where an image's difference
            is infinite.
        kernels: the kernels of the pairs, separated by commas.
    """

    difference: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float
    wins: int
    ties: int
    losses: int
    pairs: int
    planned: int
    images: int
    unscored: int
    image_std: float
    seed_std: float
    resolution: float
    p_value: float
    p_student: float
    verdict: str
    kernels: str


class _Column(NamedTuple):
    """What one method scored, a value for each measurement of a group, Shape (n,)."""

    means: Values  #: over seeds; NaN without a score
    variances: Values  #: over seeds; NaN of fewer than two
    asked: Values  #: how many seeds were planned
    scored: Values  #: how many of them have a score


class Scores:
    """What methods scored on the measurements of one group: one dataset, kernel set, noise and declared level.

    Args:
        cells: the cells of the group, from `groups.named`.
    """

    def __init__(self, cells: pd.DataFrame) -> None:
        # Sorted, so that sums are taken in one order whatever that of the records.
        psnr = cells.sort_values("seed", kind="stable").groupby([*CASE, "method"])["psnr"]
        with np.errstate(invalid="ignore"):  # infinite values have no variance
            means, variances = (statistic.unstack("method") for statistic in (psnr.mean(), psnr.var()))
        asked, scored = (statistic.unstack("method", fill_value=0) for statistic in (psnr.size(), psnr.count()))
        self._means = means
        self._images = pd.factorize(means.index.get_level_values("image"), sort=True)[0]
        self._kernels = means.index.get_level_values("kernel").to_numpy(dtype=object)
        # A sweep has many pairs, and choosing from a frame takes longer than comparing two columns.
        self._columns = {
            str(method): _Column(
                *(table[method].to_numpy(dtype=np.float64) for table in (means, variances, asked, scored))
            )
            for method in means.columns
        }
        unknown = np.full(len(means), math.nan)
        self._unasked = _Column(unknown, unknown, np.zeros(len(means)), np.zeros(len(means)))

    def difference(self, first: str, second: str) -> Difference:
        """Return how far a method is ahead of another; a method not in the group has no pairs."""
        one, other = (self._columns.get(name, self._unasked) for name in (first, second))
        both = ~np.isnan(one.means) & ~np.isnan(other.means)
        apart = subtract(one.means[both], other.means[both])
        with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
            by_image = pd.Series(apart).groupby(self._images[both]).mean().to_numpy(dtype=np.float64)
        low, high = interval(by_image)
        bootstrap_low, bootstrap_high = bootstrap(by_image)
        ahead, behind = ahead_and_behind(apart)
        return Difference(
            difference=mean_of(by_image),
            low=low,
            high=high,
            bootstrap_low=bootstrap_low,
            bootstrap_high=bootstrap_high,
            wins=ahead,
            ties=len(apart) - ahead - behind,
            losses=behind,
            pairs=len(apart),
            planned=int(((one.asked > 0) | (other.asked > 0)).sum()),
            images=len(by_image),
            unscored=int((one.asked - one.scored).sum() + (other.asked - other.scored).sum()),
            image_std=spread(by_image),
            seed_std=math.sqrt(sum(_mean_of_known(column.variances[both]) for column in (one, other))),
            resolution=resolution(by_image),
            p_value=sign_flip(by_image),
            p_student=p_student(by_image),
            verdict=_verdict(by_image, low, high),
            kernels=", ".join(natural(dict.fromkeys(self._kernels[both]))),
        )

    def leaders(self, methods: Sequence[str]) -> list[str]:
        """Return the method of highest mean and those not told apart from it; none where there is no interval.

        One name alone is ahead of every other method. Being ahead of the runner-up would not do: a third method can be
        lower on average and yet too uneven to be told apart. Where methods are equal, one is alone by chance in 5 % of
        tables with two of them, and in fewer with more (simulated, 6 images: 1 % with three, 0.2 % with five).

        Args:
            methods: those that have a score for every measurement.
        """
        if len(methods) < 2:
            return []
        means = self._means[list(methods)].groupby(level="image").mean().mean()
        first = str(means.idxmax())
        apart = {method: self.difference(first, method) for method in methods if method != first}
        if min(difference.images for difference in apart.values()) < FEWEST:
            return []
        return [method for method in methods if method == first or apart[method].verdict != "better"]


def subtract(first: Values, second: Values) -> Values:
    """Return the differences of scores, Shape (n,) each; between two perfect restorations, both infinite, it is 0."""
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, first - second)


def _mean_of_known(values: Values) -> float:
    """Return the mean of the values that are no NaN; NaN of none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _verdict(values: Values, low: float, high: float) -> str:
    """Return who is ahead by an interval, or, with infinite values, by their signs."""
    if np.isinf(values).any() and len(values) >= FEWEST:
        ahead, behind = ahead_and_behind(values)
        decided = max(ahead, behind) == len(values) or p_student(values) < 1 - CONFIDENCE
        return "open" if not decided else "better" if ahead > behind else "worse"
    return "better" if low > 0 else "worse" if high < 0 else "open"
