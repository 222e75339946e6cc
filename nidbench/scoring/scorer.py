"""What the parent makes of a method's answers: scores, curves and the gain of averaging."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from nidbench.contract.truth import Truth
from nidbench.errors import InputError
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem

from . import calibration, null_band
from .metrics import Score, psnr
from .protocols import CROPS, DEFAULT, AnyProtocol, Protocol, encoded, scores, to_8_bit
from .protocols import Part as Part
from .protocols import protocol as find_protocol

#: The names of what `Scorer.measures` returns.
MEASURES = (*null_band.MEASURES, *calibration.MEASURES, "brightness")

#: Numbers of averaged passes at which the average is scored.
PASSES = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


class Scorer:
    """Compares images with the truths of one case, which stay in this process.

    Args:
        problem: the measurement.
        truths: none, one or many; with many the best match counts.
        protocols: names of those to score by, by default those that every cell is scored by.

    Raises:
        UnknownNameError: for a protocol that there is not.
    """

    def __init__(self, problem: Problem, truths: Sequence[Truth], protocols: Iterable[str] = tuple(CROPS)) -> None:
        self._problem = problem
        self._seen = Problem(problem.blurred, problem.kernel, problem.noise)  # the response was applied already
        self._asked = [find_protocol(name) for name in protocols]
        wanted = dict.fromkeys((*self._asked, DEFAULT))
        self._truths = [(truth, applicable(problem, truth, wanted)) for truth in truths]
        self.input_scores = self._best(extended(problem), self._seen, self._asked)

    def scores(self, image: Image, shows: Part | None = None) -> dict[str, Score]:
        """Return the scores of x, Shape (C, H, W), under every protocol asked for that applies.

        Args:
            image: x.
            shows: rows and columns of x that are known; protocols that look beyond do not apply. None for all.
        """
        return self._best(image, self._problem, self._asked, shows)

    def score(self, image: Image) -> Score | None:
        """Return the score of x under the default protocol, or None where there is nothing to compare with."""
        return self._best(image, self._problem, (DEFAULT,)).get(DEFAULT.name)

    def _best(
        self, image: Image, problem: Problem, asked: Collection[AnyProtocol], shows: Part | None = None
    ) -> dict[str, Score]:
        best: dict[str, Score] = {}
        nearest: dict[Protocol, tuple[float, Truth]] = {}
        for truth, known in self._truths:
            wanted = [each for each in known if each in asked]
            if shows is not None:
                wanted = [each for each in wanted if holds(shows, each.reach(problem, truth))]
            for each in wanted:
                if isinstance(each, Protocol):
                    near = self._nearness(each, image, problem, truth), truth
                    nearest[each] = max(nearest.get(each, near), near, key=lambda pair: pair[0])
                else:
                    score = each.score(image, problem, truth)
                    best[each.name] = each.best(best[each.name], score) if each.name in best else score
        # those that crop share one map of the similarity
        for truth in dict.fromkeys(truth for _, truth in nearest.values()):
            crops = [each for each, (_, found) in nearest.items() if found is truth]
            best |= scores(crops, image, problem, truth)
        return best

    def _nearness(self, crop: Protocol, image: Image, problem: Problem, truth: Truth) -> float:
        """Return the PSNR, which says what of many truths counts: their SSIM would take ten times as long."""
        if len(self._truths) == 1:
            return 0.0
        shown = encoded(crop.crop(image, problem, truth), problem, truth)
        return psnr(to_8_bit(shown), crop.reference(problem, truth))

    def measures(self, image: Image, variance: Image | None) -> dict[str, float]:
        """Return what else is known of x, Shape (C, H, W), and of its pixel variance, by the names of `MEASURES`.

        On the region of the default protocol, against the truth that matches best; empty without one. `brightness` is
        the mean of what x shows of y over that of y, which blur keeps: another one is another scale.
        """
        pairs = (compare(image, variance, self._problem, truth) for truth, known in self._truths if DEFAULT in known)
        best = max(pairs, key=lambda pair: psnr(to_8_bit(pair.image), pair.truth), default=None)
        if best is None:
            return {}
        measures = null_band.measures(best.error, best.truth, self._problem)
        if best.variance is not None:
            measures |= calibration.calibration(best.image, best.variance, best.truth)
        shown = self._problem.response.apply(image[:, *self._problem.valid].astype(np.float64))
        mean = float(self._problem.blurred.mean(dtype=np.float64))
        return measures | ({"brightness": float(shown.mean()) / mean} if mean > 0 else {})


@dataclass(frozen=True, eq=False)
class Compared:
    """What is looked at of a restoration: the region of the default protocol, in the encoding of the truth.

    Attributes:
        image: the restoration, clipped to [0, 1] as it is for scores but not rounded, Shape (C, h, w).
        truth: of the same shape.
        variance: pixel variance of the restoration, of the same shape, or None.
    """

    image: Image
    truth: Image
    variance: Image | None

    @property
    def error(self) -> Image:
        """Restoration minus truth, float64."""
        difference: Image = self.image.astype(np.float64) - self.truth
        return difference


def compare(image: Image, variance: Image | None, problem: Problem, truth: Truth) -> Compared:
    """Return what is looked at of x and its pixel variance, both Shape (C, H, W) in the frame of x.

    Where the truth is display-encoded, the interval of one standard deviation either side goes through the response,
    and half of what comes out is the deviation: the slope of g alone would be infinite at 0.

    Raises:
        InputError: where too little is left to compare.
    """
    shown = DEFAULT.crop(image, problem, truth)
    spread = None
    if variance is not None:
        deviation = np.sqrt(DEFAULT.crop(variance, problem, truth).astype(np.float64).clip(0, None))
        high, low = (encoded(shown + sign * deviation, problem, truth) for sign in (1, -1))
        spread = np.square((high - low) / 2) if truth.encoded else np.square(deviation)
    clipped = encoded(shown, problem, truth).clip(0, 1)
    return Compared(clipped, DEFAULT.reference(problem, truth), spread)


def holds(shows: Part, wanted: Part) -> bool:
    """Return whether a part of x has all that is wanted."""
    return all(own.start <= part.start and part.stop <= own.stop for own, part in zip(shows, wanted, strict=True))


def applicable(
    problem: Problem, truth: Truth, protocols: Iterable[AnyProtocol] = tuple(CROPS.values())
) -> list[AnyProtocol]:
    """Return the protocols, of those asked for, that leave enough of an image to compare."""
    found = []
    for protocol in protocols:
        with suppress(InputError):
            protocol.reach(problem, truth)
            found.append(protocol)
    return found


def closest(problem: Problem, truths: Sequence[Truth]) -> Truth | None:
    """Return the truth that y matches best under the default protocol: for pictures, where all methods share one.

    The first where there is just one or y can be compared with none; None where there is none.
    """
    if len(truths) < 2:
        return truths[0] if truths else None
    seen = to_8_bit(extended(problem))

    def match(truth: Truth) -> float:
        if DEFAULT not in applicable(problem, truth):
            return -np.inf
        return psnr(DEFAULT.crop(seen, problem, truth), DEFAULT.reference(problem, truth))

    return max(truths, key=match)


class Averages:
    """The PSNR of the mean of the first n posterior draws (paper Fig. 12)."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._count = 0
        self._sum: Image | float = 0.0
        self.points: list[tuple[int, float]] = []

    def add(self, image: Image) -> None:
        """Take one more draw, Shape (C, H, W)."""
        self._count += 1
        self._sum = self._sum + image.astype(np.float64)
        if self._count in PASSES:
            score = self._scorer.score(self._sum / self._count)
            if score is not None:
                self.points.append((self._count, score.psnr))


def extended(problem: Problem) -> Image:
    """Return y edge-replicated to the frame of x, Shape (C, H, W): the input's row in tables."""
    rows, columns = problem.valid
    height, width = problem.frame
    pad = ((0, 0), (rows.start, height - rows.stop), (columns.start, width - columns.stop))
    return np.pad(problem.blurred, pad, mode="edge")
