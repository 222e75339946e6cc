"""DIP-WTV: a deep image prior with weighted total variation, split off by ADMM.

Cascarano, Sebastiani, Comes, Franchini, Porta, "Combining Weighted Total Variation and Deep Image Prior for natural and
medical image restoration via ADMM", ICCSA 2021. Written from the settings and steps of its authors' deblurring (their
code has no licence; none of it is used).

*Where facts end.* The authors stop by hand or by the discrepancy |k * f(z) - y| <= sigma sqrt(n - 1) and leave the
choice open; `released` does all 5000 iterations.

*Presets.* `fast` follows docs/explanation/effort.md, with the rate of `dip`; nothing was tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import Image, MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Loss, LossOf, Predictor, Recipe, fit_each, fit_one
from nidbench.physics.blur import Operator

from ._effort import FAST, by_noise, stop_of
from ._prior import FixedInput, Network, check_prior, prior_recipe
from ._skip import SKIP, Skips

ITERATIONS = 5000  #: of the authors
CHANNELS = 32  #: of z
WIDTHS = (16, 32, 64, 128, 128)  #: of the network, from the finest scale
STEEPEST = 1.0  #: differences of the split-off gradient are clipped to this


@dataclass(frozen=True)
class DIPWTV:
    """min |k * f(z) - y|^2 + sum w_i |grad f(z)|_i: one step of Adam, then t and the dual u of t = grad f(z), in turn.

    Adam sees mean (k * f(z) - y)^2 + mu sum_d mean (d f(z) - t_d + u_d)^2 over both directions d. Then
    q = grad f(z) + u, t <- q shrunk by w / mu in length, u <- q - t. The weight w of a pixel is v / |q|, where v is
    half the mean square of f(z) - y, y continued by its edge: flat places are smoothed more, and all of them less as
    f(z) nears y. Differences are backward and circular, channels are apart, f is a narrower `dip`.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        mu: of the splitting.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DIP-WTV",
        year=2021,
        paper="Cascarano, Sebastiani, Comes, Franchini, Porta: Combining Weighted Total Variation and Deep Image Prior "
        "for natural and medical image restoration via ADMM, ICCSA 2021",
        licence="authors' code: none granted (not used here)",
        bounded=True,
        presets={
            "released": {},
            "fast": {"noise_scaled": True, "share": 0.04, **FAST, "lr": 0.01},
            "smoke": {"iterations": 4, "lr": 1e-8},
        },
    )

    iterations: int | None = None
    share: float = 1.0
    size_scaled: bool = False
    lr: float = 0.001
    warmup: int = 0
    decay: str = "constant"
    optimizer: str = "adam"
    stop: str = "iterations"
    margin: float = 0.0
    window: int = 100
    patience: int = 1000
    reg_noise: float = 0.033
    mu: float = 0.0008
    noise_scaled: bool = False

    def __post_init__(self) -> None:
        check_prior(self)
        if not 0 < self.mu < float("inf"):
            raise InputError(f"mu={self.mu}: give a weight above 0, such as 0.0008")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""

        def split(fixed: FixedInput, operator: Operator) -> SplitGradient:
            return SplitGradient(fixed, operator.extend(operator.blurred), self.mu)

        return prior_recipe(self, problem, _network(problem), self.usual, around=split)

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the estimate after the last iteration, or after that which the stopping rule picks."""
        return fit_one(self.recipe(problem), problem, run)

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Restore several problems of one frame, those of equally many iterations side by side."""
        return fit_each([self.recipe(problem) for problem in problems], problems, runs)

    def stops_itself(self) -> bool:
        """Return whether the stopping rule may end a fit before its last iteration."""
        return stop_of(self).ends_early

    def usual(self, problem: Problem) -> int:
        """Return the authors' 5000 iterations, or what they grow to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS


class SplitGradient:
    """A fixed input whose loss also draws grad f(z) to t - u, and the steps of t and u.

    Args:
        fixed: with the input and the mean squared residual.
        y: continued to the frame of x, Shape (C, H, W).
        mu: of the splitting.
    """

    def __init__(self, fixed: FixedInput, y: Tensor, mu: float) -> None:
        self._fixed, self._y, self._mu = fixed, y, mu
        self._t = self._u = torch.zeros_like(gradient(y))

    def draw(self, generator: torch.Generator) -> Draw:
        """Return z with fresh noise and the loss of the x that it leads to."""
        z, misfit = self._fixed.draw(generator)
        return z, partial(self._loss, misfit)

    def _loss(self, misfit: LossOf, x: Tensor) -> Loss:
        loss = misfit(x)
        apart = (gradient(x) - self._t + self._u).square().mean((1, 2, 3)).sum()
        return Loss(loss.value + self._mu * apart, loss.residual, loss.difference)

    def learn(self, iteration: int, x: Tensor) -> None:  # noqa: ARG002 - every iteration is alike
        """Shrink what x and the dual make of the gradient, and let the dual take what is left."""
        q = gradient(x) + self._u
        length = q.square().sum(0).sqrt()
        weight = (x - self._y).square().mean() / (2 * length)
        kept = (1 - weight / (self._mu * length)).clamp(min=0).nan_to_num(nan=0.0)  # where q is 0, so is t
        self._t = (kept * q).clamp(-STEEPEST, STEEPEST)
        self._u = q - self._t

    def state(self) -> dict[str, Tensor]:
        """Return t and u, each Shape (2, C, H, W)."""
        return {"t": self._t, "u": self._u}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._t, self._u = state["t"], state["u"]

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return one prediction, with noise on z."""
        return self._fixed.estimate(predict, generator, sample)


def gradient(x: Tensor) -> Tensor:
    """Return how much more each pixel of x, Shape (C, H, W), is than that before it: Shape (2, C, H, W)."""
    return torch.stack([x - x.roll(1, -1), x - x.roll(1, -2)])


def _network(problem: Problem) -> Network:
    channels = problem.blurred.shape[0]
    return Network((CHANNELS, *problem.frame), lambda generators: Skips(generators, CHANNELS, channels, SKIP, WIDTHS))
