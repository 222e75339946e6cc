"""What the parent makes of a method's answers: scores, curves and the gain of averaging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from . import nullband, posterior
from .contract import Image, Problem, Truth
from .errors import InputError
from .messages import Observation
from .metrics import DEFAULT, PROTOCOLS, Protocol, Score, encoded, psnr, scores, to_8_bit
from .records import Point

#: The names of what `Scorer.measures` returns.
MEASURES = (*nullband.MEASURES, *posterior.MEASURES)

#: Numbers of averaged passes at which the average is scored.
PASSES = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


class Scorer:
    """Compares images with the truths of one case, which stay in this process.

    Args:
        problem: the measurement.
        truths: none, one or many; with many the best match counts.
    """

    def __init__(self, problem: Problem, truths: Sequence[Truth]) -> None:
        self._problem = problem
        self._seen = Problem(problem.blurred, problem.kernel, problem.noise)  # the response was applied already
        self._truths = [(truth, applicable(problem, truth)) for truth in truths]
        self.input_scores = self._best(extended(problem), self._seen, PROTOCOLS)

    def scores(self, image: Image) -> Mapping[str, Score]:
        """Return the scores of x, Shape (C, H, W), under every protocol that applies."""
        return self._best(image, self._problem, PROTOCOLS)

    def score(self, image: Image) -> Score | None:
        """Return the score of x under the default protocol, or None where there is nothing to compare with."""
        return self._best(image, self._problem, (DEFAULT.name,)).get(DEFAULT.name)

    def _best(self, image: Image, problem: Problem, names: Iterable[str]) -> dict[str, Score]:
        best: dict[str, Score] = {}
        for truth, protocols in self._truths:
            asked = [protocol for protocol in protocols if protocol.name in names]
            for name, score in (scores(asked, image, problem, truth) if asked else {}).items():
                if name not in best or score.psnr > best[name].psnr:
                    best[name] = score
        return best

    def measures(self, image: Image, variance: Image | None) -> dict[str, float]:
        """Return what else is known of x, Shape (C, H, W), and of its pixel variance, by the names of `MEASURES`.

        On the region of the default protocol, against the truth that matches best; empty without one.
        """
        pairs = (compare(image, variance, self._problem, truth) for truth, known in self._truths if DEFAULT in known)
        best = max(pairs, key=lambda pair: psnr(to_8_bit(pair.image), pair.truth), default=None)
        if best is None:
            return {}
        measures = nullband.split_error(best.error, self._problem.kernel).measures()
        if best.variance is not None:
            measures |= posterior.calibration(best.image, best.variance, best.truth)
        return measures

    def point(self, observation: Observation) -> Point | None:
        """Return an observation as a point of the curve."""
        score = self.score(observation.image)
        if score is None:
            return None
        return Point(observation.iteration, observation.seconds, score.psnr, score.ssim)


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


def applicable(problem: Problem, truth: Truth) -> list[Protocol]:
    """Return the protocols that leave enough of an image to compare."""
    found = []
    for protocol in PROTOCOLS.values():
        with suppress(InputError):
            protocol.region(problem, truth)
            found.append(protocol)
    return found


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
