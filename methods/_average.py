"""The mean of what a network makes in many iterations, as the restoration: of methods that sample by noisy descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nidbench.contract import Image
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Objective, Predictor


class Averaged:
    """An objective whose restoration is the mean of x over iterations, once a burn-in is over; before, it is x.

    Args:
        objective: with the input and the loss.
        burn_in: iterations that do not count.
        every: each how many-th of the others does.
    """

    def __init__(self, objective: Objective, burn_in: int, every: int) -> None:
        self._objective, self._burn_in, self._every = objective, burn_in, every
        self._mean, self._count = torch.zeros(0), 0

    def draw(self, generator: torch.Generator) -> Draw:
        """Return the objective's next input and loss."""
        return self._objective.draw(generator)

    def learn(self, iteration: int, x: Tensor) -> None:
        """Take the x of an iteration, Shape (C, H, W), into the mean, if it is one that counts."""
        if iteration <= self._burn_in or (iteration - self._burn_in) % self._every:
            return
        self._count += 1
        self._mean = x.clone() if self._count == 1 else self._mean + (x - self._mean) / self._count

    def state(self) -> dict[str, Tensor]:
        """Return the mean and of how many x it is."""
        return {"mean": self._mean, "count": torch.tensor(self._count)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._mean, self._count = state["mean"], int(state["count"])

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return the mean; where nothing counts yet, one prediction."""
        return Estimate(self._mean) if self._count else self._objective.estimate(predict, generator, sample)


def check_average(burn_in: float, every: int) -> None:
    """Refuse impossible settings.

    Raises:
        InputError: naming the setting, its value and what to give.
    """
    if not 0 <= burn_in < 1:
        raise InputError(f"burn_in={burn_in}: give the share of the iterations that do not count, in [0, 1)")
    if every < 1:
        raise InputError(f"every={every}: give 1 or more, such as 50")
