"""What methods share that fit an untrained network: for how long, how fast, and when to stop.

Chen, Quan, Pang, Ji, "Nonblind Image Deconvolution via Leveraging Model Uncertainty in An Untrained DNN", IJCV 2022:
the numbers of iterations.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from nidbench.contract import Problem, Restored, Run
from nidbench.errors import InputError
from nidbench.fitting import Recipe, Schedule, Stop, fit_each, fit_one

#: Noise level -> iterations of Chen et al. for DIP (section 4.1 (ii)).
PAPER_ITERATIONS = {0.01: 10_000, 0.03: 6000, 0.05: 4000}


@dataclass(frozen=True)
class Fitted(ABC):
    """A method that fits untrained networks with the engine; its descendants say which, to what, and for how long.

    The networks end in a sigmoid, as those of the papers do: x is in [0, 1], an absolute scale. Where y has another,
    bring it to [0, 1] first.

    Attributes:
        iterations: at most this many; None for a `share` of the method's own number.
        share: of that number, in (0, 1]; without effect where `iterations` is a number.
        lr: of Adam, its highest value.
        warmup: iterations of linear rise to it.
        decay: `constant`, `cosine` or `halving`, see `nidbench.fitting.Schedule`.
        stop: a rule of `nidbench.fitting`: `iterations`, `noise-level`, `windowed-variance` ... What is smoothed, is
            over 100 iterations.
        window, patience: of `windowed-variance`, in iterations.
    """

    iterations: int | None = None
    share: float = 1.0
    lr: float = 0.01
    warmup: int = 0
    decay: str = "constant"
    stop: str = "iterations"
    window: int = 100
    patience: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share={self.share}: give a part of the method's iterations in (0, 1], such as 0.25")
        # refuse what they refuse before anything is computed
        self._schedule_of(1 if self.iterations is None else self.iterations)
        self._stop()

    @abstractmethod
    def budget(self, problem: Problem) -> int:
        """Return the method's own number of iterations for a problem."""

    @abstractmethod
    def _recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the estimate after the last iteration, or after that which the stopping rule picks."""
        return fit_one(self._recipe(problem), problem, run)

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Restore several problems of one frame, those of equally many iterations side by side."""
        return fit_each([self._recipe(problem) for problem in problems], problems, runs)

    def _schedule(self, problem: Problem) -> Schedule:
        iterations = self.iterations
        if iterations is None:
            iterations = max(1, round(self.share * self.budget(problem)))
        return self._schedule_of(iterations)

    def _schedule_of(self, iterations: int) -> Schedule:
        return Schedule(iterations, self.lr, self.warmup, self.decay)

    def _stop(self) -> Stop:
        return Stop(self.stop, window=self.window, patience=self.patience)


def paper_iterations(sigma: float) -> int:
    """Return the iterations of Chen et al. for DIP at a noise level on [0, 1].

    They give three; between them counts the nearest by ratio, so that the steps lie at 0.017 and 0.039, and an
    estimated level that is a little off changes nothing.
    """
    nearest = min(PAPER_ITERATIONS, key=lambda level: abs(math.log(level / max(sigma, 1e-6))))
    return PAPER_ITERATIONS[nearest]


def by_noise(iterations: int, sigma: float) -> int:
    """Return a number of iterations that suits the most noise of the paper, grown as it grows DIP's for less noise."""
    return round(iterations * paper_iterations(sigma) / min(PAPER_ITERATIONS.values()))
