"""Deep image priors: the recipe of methods that fit f(z) to y from a fixed random z, and differ in f and in the loss.

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", CVPR 2018, and its descendants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn

from nidbench.contract import Image, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Adaptation, Draw, Estimate, Loss, LossOf, Objective, Predictor, Recipe, seeded
from nidbench.physics.blur import Operator

from ._effort import Effort, check_effort, schedule_of, stop_of
from ._skip import Skips

AMPLITUDE = 0.1  #: z is uniform in [0, AMPLITUDE]


class PriorSettings(Effort, Protocol):
    """The settings that every deep image prior has; its class gives them their defaults."""

    @property
    def reg_noise(self) -> float:
        """Standard deviation of the noise that every iteration adds to z, which itself spans [0, 0.1]."""
        ...


@dataclass(frozen=True)
class Network:
    """The untrained network f of a method.

    Attributes:
        input_shape: Shape (C_in, H_in, W_in) of z.
        make: makes folded networks from z to x, Shape (N, C, H, W), see `nidbench.fitting.Recipe`.
        z: the input itself where it is not drawn by chance.
    """

    input_shape: tuple[int, int, int]
    make: Callable[[Sequence[torch.Generator]], nn.Module]
    z: Tensor | None = None


Misfit: TypeAlias = Callable[[Operator, Problem], LossOf]
"""Makes the loss of x for one problem, given its operator on the device of the run."""


def check_prior(settings: PriorSettings) -> None:
    """Refuse impossible settings.

    Raises:
        InputError: naming the setting, its value and what to give.
    """
    check_effort(settings)
    if not 0 <= settings.reg_noise < math.inf:
        raise InputError(f"reg_noise={settings.reg_noise}: give a standard deviation of at least 0, such as 0.03")


def compared(operator: Operator, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean square of g(k * x) - y, a scalar, and the difference itself, for x of Shape (C, H, W)."""
    difference = operator.predict(x) - operator.blurred
    return difference.square().mean(), difference


def mean_square(operator: Operator, problem: Problem) -> LossOf:  # noqa: ARG001 - a `Misfit`
    """Return the loss that is the mean squared residual."""

    def loss(x: Tensor) -> Loss:
        residual, difference = compared(operator, x)
        return Loss(residual, residual, difference)

    return loss


def super_resolution(problem: Problem) -> Network:
    """Return the network of the authors' super-resolution, as Chen et al. use it."""
    channels = problem.blurred.shape[0]
    return Network((32, *problem.frame), lambda generators: Skips(generators, 32, channels))


def prior_recipe(
    settings: PriorSettings,
    problem: Problem,
    network: Network,
    usual: Callable[[Problem], int],
    misfit: Misfit = mean_square,
    plain_estimate: bool = False,
    around: Around | None = None,
    adapt: Adaptation | None = None,
) -> Recipe:
    """Return how the engine fits a deep image prior to problems such as this one.

    Args:
        settings: of the method.
        problem: its channels, frame and noise level count.
        network: f and the shape of z.
        usual: the method's number of iterations for a problem.
        misfit: the loss.
        plain_estimate: whether the restoration is f(z) without the noise that training adds to z.
        around: makes what the network is fitted to from its `FixedInput`.
        adapt: acts on the networks after each iteration, see `nidbench.fitting.Recipe`.
    """

    def objective(problem: Problem, run: Run) -> Objective:
        operator = problem.operator(run.device)
        fixed = FixedInput(network, misfit(operator, problem), run, settings.reg_noise, plain_estimate)
        return around(fixed, operator) if around else fixed

    schedule = schedule_of(settings, problem, usual)
    return Recipe(network.make, objective, schedule, stop_of(settings), settings.optimizer, adapt=adapt)


class FixedInput:
    """The fixed input z of one problem, and the loss of what the network makes of it.

    Args:
        network: its z, or the shape of one that is drawn.
        loss: of the x that f(z) is.
        run: its stream `input` gives z.
        reg_noise, plain_estimate: see `PriorSettings` and `prior_recipe`.
    """

    def __init__(self, network: Network, loss: LossOf, run: Run, reg_noise: float, plain_estimate: bool) -> None:
        self._loss, self._reg_noise, self._plain_estimate = loss, reg_noise, plain_estimate
        z = network.z
        if z is None:  # drawn on the CPU: the same z on every device
            z = AMPLITUDE * torch.rand(network.input_shape, generator=seeded(run, "input"))
        self.z = z.to(run.device)

    def draw(self, generator: torch.Generator) -> Draw:
        """Return z with fresh noise, Shape (C_in, H_in, W_in), and the loss of the x it leads to."""
        if not self._reg_noise:
            return self.z, self._loss
        noise = torch.randn(self.z.shape, generator=generator, device=self.z.device)
        return self.z + self._reg_noise * noise, self._loss

    def estimate(
        self,
        predict: Predictor,
        generator: torch.Generator,
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - one estimate, no draws
    ) -> Estimate:
        """Return one prediction, from z with noise of the estimate's own stream or without."""
        z = self.z if self._plain_estimate else self.draw(generator)[0]
        return Estimate(predict(z, None))


Around: TypeAlias = Callable[[FixedInput, Operator], Objective]
"""Makes an objective that does more than a fixed input, from it and the operator of its problem."""
