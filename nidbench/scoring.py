"""What the parent makes of a method's answers: scores, curves and the gain of averaging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .contract import Image, Problem, Truth
from .errors import InputError
from .messages import Observation
from .metrics import DEFAULT, PROTOCOLS, Protocol, Score
from .records import Point

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
        self._truths = truths
        self.input_scores = self.scores(extended(problem), encoded=True)

    def score(self, protocol: Protocol, image: Image, *, encoded: bool = False) -> Score | None:
        """Return the score of x, Shape (C, H, W), or None where there is no truth or nothing to compare.

        `encoded` says that the response was applied already.
        """
        problem = (
            Problem(self._problem.blurred, self._problem.kernel, self._problem.noise) if encoded else self._problem
        )
        try:
            found = [protocol.score(image, problem, truth) for truth in self._truths]
        except InputError:  # too small for this protocol; others may do
            return None
        return max(found, key=lambda score: score.psnr, default=None)

    def scores(self, image: Image, *, encoded: bool = False) -> Mapping[str, Score]:
        """Return the scores of x under every protocol that applies."""
        found = {name: self.score(protocol, image, encoded=encoded) for name, protocol in PROTOCOLS.items()}
        return {name: score for name, score in found.items() if score is not None}

    def point(self, observation: Observation) -> Point | None:
        """Return an observation as a point of the curve."""
        score = self.score(DEFAULT, observation.image)
        if score is None:
            return None
        return Point(observation.iteration, observation.seconds, score.psnr, score.ssim)


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
            score = self._scorer.score(DEFAULT, self._sum / self._count)
            if score is not None:
                self.points.append((self._count, score.psnr))


def extended(problem: Problem) -> Image:
    """Return y edge-replicated to the frame of x, Shape (C, H, W): the input's row in tables."""
    rows, columns = problem.valid
    height, width = problem.frame
    pad = ((0, 0), (rows.start, height - rows.stop), (columns.start, width - columns.stop))
    return np.pad(problem.blurred, pad, mode="edge")
