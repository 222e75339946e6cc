"""What networks that end linearly are fitted to here: how far x is above its level in what y shows.

Such a network begins near 0. What y shows in part or not at all, the border of x, would begin as black and stay dark,
and a bright ring inside of it would make up for that. The networks that end in a sigmoid begin in the middle of [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nidbench.contract import Image, Problem, Run
from nidbench.fitting import Draw, Estimate, Loss, Objective, Predictor, Recipe, Remembering


def above_mean(recipe: Recipe) -> Recipe:
    """Return a recipe of which networks give x less its level, for one whose networks give x."""

    def objective(problem: Problem, run: Run) -> Objective:
        return AboveMean(recipe.objective(problem, run), level(problem).to(run.device))

    return replace(recipe, objective=objective)


def level(problem: Problem) -> Tensor:
    """Return the mean of every channel of y, a gamma response undone, Shape (C, 1, 1)."""
    y, response = problem.blurred, problem.response
    scene = response.scene(y) if response.kind == "gamma" else y
    return torch.from_numpy(np.asarray(scene, dtype=np.float64).mean((1, 2), keepdims=True)).float()


class AboveMean:
    """An objective to whose networks a level is added.

    Args:
        objective: of x.
        level: of x, Shape (C, 1, 1).
    """

    def __init__(self, objective: Objective, level: Tensor) -> None:
        self._objective, self._level = objective, level

    def draw(self, generator: torch.Generator) -> Draw:
        """Return the input, and the loss of the x that the output leads to."""
        network_input, loss = self._objective.draw(generator)

        def raised(output: Tensor) -> Loss:
            return loss(self._level + output)

        return network_input, raised

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return the estimate of x."""
        return self._objective.estimate(lambda *given: self._level + predict(*given), generator, sample)

    def learn(self, iteration: int, output: Tensor) -> None:
        """Show x to an objective that keeps something."""
        if isinstance(self._objective, Remembering):
            self._objective.learn(iteration, self._level + output)

    def state(self) -> dict[str, Tensor]:
        """Return what the objective keeps."""
        return self._objective.state() if isinstance(self._objective, Remembering) else {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        if isinstance(self._objective, Remembering):
            self._objective.load(state)
