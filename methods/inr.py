"""INR: an image as a small network of its coordinates with sines between its layers, fitted through the blur.

Sitzmann, Martel, Bergman, Lindell, Wetzstein, "Implicit Neural Representations with Periodic Activation Functions",
NeurIPS 2020, here SIREN, with the settings of DeepInverse's demonstration of deblurring (Tachella et al., BSD-3-Clause;
none of its code is used), as it stands since October 2025 on a branch that is in no release. The paper of SIREN deblurs
nothing. The mean of y is ours: see `_above_mean`.

*Presets.* `released` is that demonstration: 1000 iterations on an image of little noise, no stop. `fast` has Adam's
cosine, and a weight that follows the noise, a hundredth of sigma: that of the demonstration at its 1 %, and that of its
neighbour for inpainting at 5 %. With it no stop is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nidbench.contract import MethodInfo, Problem
from nidbench.errors import InputError
from nidbench.fitting import Loss, LossOf, Recipe
from nidbench.physics.blur import Operator

from ._above_mean import above_mean
from ._effort import WITHOUT_STOP
from ._fitted import Fitted
from ._layers import Conv, fold, unfold
from ._prior import Network, check_prior, compared, prior_recipe

ITERATIONS = 1000  #: of the demonstration
LAYERS = 3  #: with sines, after the first


@dataclass(frozen=True)
class INR(Fitted):
    """min mean (g(k * f(z)) - y)^2 + alpha mean |df/dz|, z the rows and columns of the pixels, each from -1 to 1.

    f has a layer of sines of high frequency, three of low frequency and a linear one, each of `width`. Their weights
    begin as SIREN's, with which the phases of each layer have a variance near 1. All its values at the pixels of x come
    from one pass of 1x1 convolutions. Derivatives are differences of neighbouring pixels; the demonstration has those
    of the network itself.

    x is not confined to [0, 1], as the network ends in no sigmoid. The mean of y is added to what it returns.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        width: values of each layer.
        first_omega: factor of the phases in the first layer: the higher, the finer the detail that is fitted early.
        omega: factor of the phases in the other layers.
        alpha: weight of the mean absolute derivative, anisotropic total variation in units of half an image; None for
            sigma/100, sigma on [0, 1].
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="INR (SIREN)",
        year=2020,
        version=3,
        paper="Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit Neural Representations with Periodic Activation "
        "Functions, NeurIPS 2020",
        licence="authors' code: MIT; DeepInverse: BSD-3-Clause (neither is used here)",
        presets={
            "released": {},
            "fast": {**WITHOUT_STOP, "optimizer": "adam", "size_scaled": False, "alpha": None},
            "smoke": {"iterations": 4, "lr": 1e-5, "omega": 4.0},
        },
        tuned_on={"fast": "alpha and the stop: chelsea, coins and rocket of scikit-image"},
    )

    reg_noise: float = 0.0
    width: int = 64
    first_omega: float = 30.0
    omega: float = 2.0
    alpha: float | None = 1e-4

    def __post_init__(self) -> None:
        check_prior(self)
        if self.width < 1:
            raise InputError(f"width={self.width}: give at least 1, such as 64")
        for name in ("first_omega", "omega"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name}={getattr(self, name)}: give a factor above 0, such as 30 or 2")
        if self.alpha is not None and not 0 <= self.alpha < math.inf:
            raise InputError(f"alpha={self.alpha}: give a weight of at least 0, such as 1e-4")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        network = self._network(problem)
        return above_mean(prior_recipe(self, problem, network, lambda _: ITERATIONS, self.misfit))

    def misfit(self, operator: Operator, problem: Problem) -> LossOf:
        """Return the mean squared residual plus alpha times the mean absolute derivative."""
        alpha = problem.sigma() / 100 if self.alpha is None else self.alpha

        def loss(x: Tensor) -> Loss:
            residual, difference = compared(operator, x)
            return Loss(residual + alpha * steepness(x), residual, difference)

        return loss

    def _network(self, problem: Problem) -> Network:
        channels, z = problem.blurred.shape[0], coordinates(problem.frame)
        return Network((2, *problem.frame), lambda generators: Sirens(generators, channels, self), z)


class Sirens(nn.Module):
    """Networks from coordinates to values with sines between their layers, N of them folded.

    Args:
        generators: one CPU generator for each network's weights.
        channels: of the image.
        settings: `width`, `first_omega` and `omega` count.
    """

    def __init__(self, generators: Sequence[torch.Generator], channels: int, settings: INR) -> None:
        super().__init__()
        self.settings = settings
        self.first = Conv(generators, 2, settings.width, size=1)
        with torch.no_grad():  # uniform to 1 / inputs (SIREN), where PyTorch's goes to 1 / sqrt(inputs)
            self.first.weight.mul_(1 / math.sqrt(2))
        self.layers = nn.ModuleList(
            Conv(generators, settings.width, settings.width, size=1, bias=False) for _ in range(LAYERS)
        )
        self.last = Conv(generators, settings.width, channels, size=1, bias=False)
        with torch.no_grad():  # uniform to sqrt(6 / inputs) / omega (SIREN), likewise
            for layer in (*self.layers, self.last):
                layer.weight.mul_(math.sqrt(6) / settings.omega)

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:  # noqa: ARG002 - no dropout
        """Return x, Shape (N, C, H, W), from coordinates of Shape (N, 2, H, W)."""
        with torch.autocast(inputs.device.type, enabled=False):  # bf16 would round phases of 30 to eighths
            maps = torch.sin(self.settings.first_omega * self.first(fold(inputs)))
            for layer in self.layers:
                maps = torch.sin(self.settings.omega * layer(maps))
            return unfold(self.last(maps), inputs.shape[0])


def coordinates(frame: tuple[int, int]) -> Tensor:
    """Return each pixel's row and column from -1 to 1, Shape (2, H, W)."""
    return torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, length) for length in frame), indexing="ij"))


def steepness(x: Tensor) -> Tensor:
    """Return the mean absolute derivative of x, Shape (C, H, W), over both directions, where an axis is 2 long."""
    slopes = [
        torch.diff(x, dim=axis).abs().mean() * (x.shape[axis] - 1) / 2 if x.shape[axis] > 1 else x.new_zeros(())
        for axis in (1, 2)
    ]
    return torch.stack(slopes).mean()
