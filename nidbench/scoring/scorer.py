"""Scores restorations against the truths of a case, and measures them further."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from nidbench.contract.truth import Truth
from nidbench.errors import InputError
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem

from . import calibration, null_band, residual
from .metrics import Similarities, psnr
from .protocols import CROPS, DEFAULT, AnyProtocol, Protocol, encoded, scores, to_8_bit
from .protocols import Region as Region
from .protocols import protocol as find_protocol
from .score import Score

#: Numbers of averaged draws after which the average is scored.
PASSES = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


class Scorer:
    """Compares images with the truths of a case; truths never leave the process of the scorer.

    Args:
        problem: the problem.
        truths: none, one, or many of which the best match counts.
        protocols: names of the protocols to score by; by default those by which every cell is scored.

    Attributes:
        input_scores: scores of the blurred image, by name of the protocol.

    Raises:
        UnknownNameError: for an unknown protocol.
    """

    def __init__(self, problem: Problem, truths: Sequence[Truth], protocols: Iterable[str] = tuple(CROPS)) -> None:
        self._problem = problem
        self._linear = Problem(problem.blurred, problem.kernel, problem.noise)  # y has passed the response
        self._protocols = [find_protocol(name) for name in protocols]
        self._similarities = Similarities()
        used = dict.fromkeys((*self._protocols, DEFAULT))
        self._truths = [(truth, applicable(problem, truth, used)) for truth in truths]
        self.input_scores = self._best(extended(problem), self._linear, self._protocols)

    def scores(self, image: Image, known: Region | None = None) -> dict[str, Score]:
        """Return the scores of x under all protocols of this scorer that apply, by name.

        Args:
            image: x, Shape (C, H, W).
            known: rows and columns of x that are known; protocols that need others do not apply. None for all.
        """
        return self._best(image, self._problem, self._protocols, known)

    def score(self, image: Image) -> Score | None:
        """Return the score of x, Shape (C, H, W), under the default protocol; None where no truth applies."""
        return self._best(image, self._problem, (DEFAULT,)).get(DEFAULT.name)

    def _best(
        self, image: Image, problem: Problem, protocols: Collection[AnyProtocol], known: Region | None = None
    ) -> dict[str, Score]:
        """Return the scores against the best match of all truths, by name of the protocol."""
        best: dict[str, Score] = {}
        nearest: dict[Protocol, tuple[float, Truth]] = {}
        for truth, applying in self._truths:
            for protocol in applying:
                if protocol not in protocols or not (known is None or covers(known, protocol.reach(problem, truth))):
                    continue
                if isinstance(protocol, Protocol):
                    match = self._closeness(protocol, image, problem, truth), truth
                    nearest[protocol] = max(nearest.get(protocol, match), match, key=lambda pair: pair[0])
                else:
                    score = protocol.score(image, problem, truth)
                    best[protocol.name] = protocol.best(best.get(protocol.name, score), score)
        # all protocols that crop share a map of the similarity to their truth
        for truth in dict.fromkeys(truth for _, truth in nearest.values()):
            crops = [protocol for protocol, (_, match) in nearest.items() if match is truth]
            best |= scores(crops, image, problem, truth, self._similarities)
        return best

    def _closeness(self, crop: Protocol, image: Image, problem: Problem, truth: Truth) -> float:
        """Return the PSNR against a truth, by which the best match is chosen: SSIM would take ten times as long."""
        if len(self._truths) == 1:
            return 0.0
        shown = encoded(crop.crop(image, problem, truth), problem, truth)
        return psnr(to_8_bit(shown), crop.reference(problem, truth))

    def measures(self, image: Image, variance: Image | None) -> dict[str, float]:
        """Return the values of `measures.MEASURES` that are defined for x and its pixel variance, by name.

        They are computed on the region of the default protocol, against the best match of the truths. Where there is no
        truth they are those of the residual, which need none, see `residual`.

        `brightness` is the mean of x after the response over the pixels of y, divided by the mean of y. Blur keeps the
        mean, so that a value other than 1 points to another scale.

        Args:
            image: x, Shape (C, H, W).
            variance: its pixel variance, the same shape; None where the method has none.
        """
        if not self._truths:
            return residual.measures(self._problem, image)
        truths = [truth for truth, applying in self._truths if DEFAULT in applying]
        pairs = (compare(image, variance, self._problem, truth) for truth in truths)
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
    """A restoration and a truth on the region of the default protocol, in the encoding of the truth.

    Attributes:
        image: the restoration, clipped to [0, 1] as for scores but not rounded, Shape (C, h, w).
        truth: the truth, the same shape.
        variance: pixel variance of the restoration, the same shape, or None.
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
    """Return x, its pixel variance and a truth on the region of the default protocol.

    Where the truth is display-encoded, they are as the camera shows them: see `calibration.shown_variance`.

    Args:
        image: x, Shape (C, H, W) in the frame of x.
        variance: its pixel variance, the same shape, or None.
        problem: the problem.
        truth: a truth of it.

    Raises:
        InputError: where too few pixels are left to compare.
    """
    shown = DEFAULT.crop(image, problem, truth)
    spread = None
    if variance is not None:
        linear = DEFAULT.crop(variance, problem, truth)
        spread = np.square(np.sqrt(linear.astype(np.float64).clip(0, None)))
        if truth.encoded:
            spread = calibration.shown_variance(shown, linear, lambda image: encoded(image, problem, truth))
    clipped = encoded(shown, problem, truth).clip(0, 1)
    return Compared(clipped, DEFAULT.reference(problem, truth), spread)


def covers(outer: Region, inner: Region) -> bool:
    """Return whether a region covers all of another one."""
    axes = zip(outer, inner, strict=True)
    return all(outer.start <= inner.start and inner.stop <= outer.stop for outer, inner in axes)


def applicable(
    problem: Problem, truth: Truth, protocols: Iterable[AnyProtocol] = tuple(CROPS.values())
) -> list[AnyProtocol]:
    """Return those of some protocols that leave enough pixels to compare."""
    applying = []
    for protocol in protocols:
        with suppress(InputError):
            protocol.reach(problem, truth)
            applying.append(protocol)
    return applying


def closest(problem: Problem, truths: Sequence[Truth]) -> Truth | None:
    """Return the truth that y matches best under the default protocol: the one that figures show for all methods.

    It is the first truth where y can be compared with none of them, and None where there is no truth.
    """
    if len(truths) < 2:
        return truths[0] if truths else None
    seen = to_8_bit(extended(problem))

    def match(truth: Truth) -> float:
        if DEFAULT not in applicable(problem, truth):
            return -np.inf
        return psnr(DEFAULT.crop(seen, problem, truth), DEFAULT.reference(problem, truth))

    return max(truths, key=match)


def looked_at(problem: Problem, truth: Truth | None) -> Truth:
    """Return what says where a case is looked at, and in which encoding: its truth, if it has one.

    Without a truth, what y shows is looked at, encoded as y is.
    """
    return truth or Truth(extended(problem), encoded=problem.response.kind == "gamma")


class Averages:
    """Measures the PSNR of the mean of the first n posterior draws (paper Fig. 12).

    Args:
        scorer: scores the means.

    Attributes:
        points: pairs of n and the PSNR in dB, for the n of `PASSES`.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._count = 0
        self._sum: Image | float = 0.0
        self.points: list[tuple[int, float]] = []

    def add(self, image: Image) -> None:
        """Add a draw, Shape (C, H, W)."""
        self._count += 1
        self._sum = self._sum + image.astype(np.float64)
        if self._count in PASSES:
            score = self._scorer.score(self._sum / self._count)
            if score is not None:
                self.points.append((self._count, score.psnr))


def extended(problem: Problem) -> Image:
    """Return y, edge-replicated to the frame of x, Shape (C, H, W): it is the row `input` of tables."""
    rows, columns = problem.valid
    height, width = problem.frame
    pad = ((0, 0), (rows.start, height - rows.stop), (columns.start, width - columns.stop))
    return np.pad(problem.blurred, pad, mode="edge")
