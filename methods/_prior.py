"""Deep image priors: what the methods share that fit f(z) to y from a fixed random z, and differ in f and in the loss.

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", CVPR 2018, and its descendants.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nidbench.blur import Operator
from nidbench.contract import Image, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Estimate, Loss, Predictor, Recipe, seeded

from ._fitted import Fitted, paper_iterations
from ._skip import Skips

AMPLITUDE = 0.1  #: z is uniform in [0, AMPLITUDE]

LossOf = Callable[[Tensor], Loss]
"""x, Shape (C, H, W), to what it costs."""


@dataclass(frozen=True)
class DeepPrior(Fitted):
    """A method that fits an untrained network to one image; its descendants say which network and which loss.

    Attributes:
        reg_noise: standard deviation of the noise that every iteration adds to z, which itself spans [0, 0.1].
    """

    reg_noise: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.reg_noise < math.inf:
            raise InputError(f"reg_noise={self.reg_noise}: give a standard deviation of at least 0, such as 0.03")

    @abstractmethod
    def input_shape(self, problem: Problem) -> tuple[int, int, int]:
        """Return the Shape (C_in, H_in, W_in) of z."""

    @abstractmethod
    def networks(self, generators: Sequence[torch.Generator], problem: Problem) -> nn.Module:
        """Return folded networks from z to x, Shape (N, C, H, W), see `nidbench.fitting.Recipe`."""

    def loss(self, operator: Operator, problem: Problem) -> LossOf:  # noqa: ARG002 - some descendants go by the noise
        """Return the loss for one problem: the mean squared residual, where a descendant has no other."""

        def loss(x: Tensor) -> Loss:
            residual = squared_residual(operator, x)
            return Loss(residual, residual)

        return loss

    #: Whether the restoration is f(z) without the noise that training adds to z.
    plain_estimate = False

    def _recipe(self, problem: Problem) -> Recipe:
        return Recipe(
            networks=lambda generators: self.networks(generators, problem),
            objective=lambda problem, run: FixedInput(self, problem, run),
            schedule=self._schedule(problem),
            stop=self._stop(),
        )


CHANNELS = 32  #: of the input of the authors' super-resolution network


@dataclass(frozen=True)
class SkipPrior(DeepPrior):
    """A deep image prior with the network of the authors' super-resolution, as Chen et al. use it."""

    def budget(self, problem: Problem) -> int:
        """Return the number of iterations of Chen et al. at the problem's noise level."""
        return paper_iterations(problem.sigma())

    def input_shape(self, problem: Problem) -> tuple[int, int, int]:
        """Return (32, H, W)."""
        return (CHANNELS, *problem.frame)

    def networks(self, generators: Sequence[torch.Generator], problem: Problem) -> nn.Module:
        """Return the authors' super-resolution networks."""
        return Skips(generators, CHANNELS, problem.blurred.shape[0])


class FixedInput:
    """The fixed input z of one problem, and the loss of what the network makes of it."""

    def __init__(self, method: DeepPrior, problem: Problem, run: Run) -> None:
        self._method = method
        self._loss = method.loss(problem.operator(run.device), problem)
        # drawn on the CPU: the same z on every device
        z = torch.rand(method.input_shape(problem), generator=seeded(run, "input"))
        self.z = (AMPLITUDE * z).to(run.device)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, LossOf]:
        """Return z with fresh noise, Shape (C_in, H_in, W_in), and the loss of the x it leads to."""
        if not self._method.reg_noise:
            return self.z, self._loss
        noise = torch.randn(self.z.shape, generator=generator, device=self.z.device)
        return self.z + self._method.reg_noise * noise, self._loss

    def estimate(
        self,
        predict: Predictor,
        generator: torch.Generator,
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - one estimate, no draws
    ) -> Estimate:
        """Return one prediction, from z with noise of the estimate's own stream or without."""
        z = self.z if self._method.plain_estimate else self.draw(generator)[0]
        return Estimate(predict(z, None))


def squared_residual(operator: Operator, x: Tensor) -> Tensor:
    """Return the mean of (g(k * x) - y)^2, a scalar, for x of Shape (C, H, W)."""
    return (operator.predict(x) - operator.blurred).square().mean()
