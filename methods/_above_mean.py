"""What networks that end linearly are fitted to here: how far x is above the mean of y.

Such a network begins near 0. What y shows in part or not at all, the border of x, would begin as black and stay dark,
and a bright ring inside of it would make up for that. The networks that end in a sigmoid begin in the middle of [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nidbench.contract import Image
from nidbench.fitting import Draw, Estimate, Loss, Objective, Predictor, Remembering
from nidbench.physics.blur import Operator


class AboveMean:
    """An objective to whose networks the mean of y is added, channel by channel.

    Args:
        objective: of x.
        operator: of the problem.
    """

    def __init__(self, objective: Objective, operator: Operator) -> None:
        self._objective = objective
        self._mean = operator.tapered.mean(dim=(1, 2), keepdim=True)

    def draw(self, generator: torch.Generator) -> Draw:
        """Return the input, and the loss of the x that the output leads to."""
        network_input, loss = self._objective.draw(generator)

        def raised(output: Tensor) -> Loss:
            return loss(self._mean + output)

        return network_input, raised

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return the estimate of x."""
        return self._objective.estimate(lambda *given: self._mean + predict(*given), generator, sample)

    def learn(self, iteration: int, output: Tensor) -> None:
        """Show x to an objective that keeps something."""
        if isinstance(self._objective, Remembering):
            self._objective.learn(iteration, self._mean + output)

    def state(self) -> dict[str, Tensor]:
        """Return what the objective keeps."""
        return self._objective.state() if isinstance(self._objective, Remembering) else {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        if isinstance(self._objective, Remembering):
            self._objective.load(state)
