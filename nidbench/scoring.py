"""What the parent makes of a method's answers: scores, curves and the gain of averaging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from .contract import Image, Problem, Truth
from .errors import InputError
from .messages import Observation
from .metrics import DEFAULT, PROTOCOLS, Protocol, Score, scores
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

    def point(self, observation: Observation) -> Point | None:
        """Return an observation as a point of the curve."""
        score = self.score(observation.image)
        if score is None:
            return None
        return Point(observation.iteration, observation.seconds, score.psnr, score.ssim)


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
