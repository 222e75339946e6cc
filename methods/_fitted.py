"""What methods that fit networks have in common: the settings of their effort, and how a recipe makes a restoration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.fitting import Recipe, fit_each, fit_one

from ._effort import stop_of


@dataclass(frozen=True)
class Fitted:
    """A method that is all in its recipe: it adds `info`, settings of its own, other defaults, and `recipe`.

    Settings: see `_effort.Effort`.
    """

    info: ClassVar[MethodInfo]

    iterations: int | None = None
    share: float = 1.0
    size_scaled: bool = False
    lr: float = 0.01
    warmup: int = 0
    decay: str = "constant"
    optimizer: str = "adam"
    stop: str = "iterations"
    margin: float = 0.0
    window: int = 100
    patience: int = 1000

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        raise NotImplementedError

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the estimate after the last iteration, or after that which the stopping rule picks."""
        return fit_one(self.recipe(problem), problem, run)

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Restore several problems of one frame, those of equally many iterations side by side."""
        return fit_each([self.recipe(problem) for problem in problems], problems, runs)

    def stops_itself(self) -> bool:
        """Return whether the stopping rule may end a fit before its last iteration."""
        return stop_of(self).ends_early
