"""What one network is fitted to: the input that it gets, what its prediction costs, and the estimate in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from nidbench.physics.arrays import Image


@dataclass(frozen=True)
class Loss:
    """What one prediction costs.

    Attributes:
        value: what is descended on, a scalar tensor with gradient.
        residual: mean squared residual in the units of y, which stopping rules compare with the noise level.
        difference: g(k * x) - y, Shape (C, h, w), in the units of y; `averaged-noise-level` compares those of two
            iterations in a row and cannot do without. For `held-out`, the value must rest on y by this tensor alone.
    """

    value: Tensor
    residual: Tensor
    difference: Tensor | None = None


LossOf: TypeAlias = Callable[[Tensor], Loss]
"""From x, Shape (C, H, W), to what it costs."""

Draw: TypeAlias = tuple[Tensor, LossOf]
"""A network's next input, Shape (C_in, H_in, W_in), and the loss of the x that it leads to."""


@dataclass(frozen=True)
class Estimate:
    """A restoration by the network: x and its pixel variance, Shape (C, H, W)."""

    image: Tensor
    variance: Tensor | None = None


class Predictor(Protocol):
    """One problem's network as a function."""

    def __call__(self, network_input: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return x, Shape (C, H, W), float32, for an input of Shape (C_in, H_in, W_in).

        Without a generator, the network's own randomness is off.
        """
        ...


class Objective(Protocol):
    """One problem, as the network that is fitted to it sees it."""

    def draw(self, generator: torch.Generator) -> Draw:
        """Return the network's next input and the loss of the x that it leads to."""
        ...

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return the restoration by the network as it stands.

        `sample` is None for an observation on the way, where less effort will do; at the end it receives each posterior
        draw.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """What an objective adds that keeps something between iterations, such as the last x or the mean of many.

    The engine keeps its state in checkpoints, and goes back to an earlier one where it goes back to an earlier network.
    """

    def learn(self, iteration: int, x: Tensor) -> None:
        """Take the x, Shape (C, H, W), without gradient, that an iteration (from 1) descended on."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return tensors from which `load` goes on; they may share memory with what the objective works on."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state, whose tensors are on the run's device and nobody else's."""
        ...
