"""DIP-WTV: a deep image prior with weighted total variation, split off by ADMM.

Cascarano, Sebastiani, Comes, Franchini, Porta, "Combining Weighted Total Variation and Deep Image Prior for natural and
medical image restoration via ADMM", ICCSA 2021. Written from the settings and steps of its authors' deblurring (their
code has no licence; none of it is used).

*Where facts end.* The authors stop by hand or by the discrepancy |k * f(z) - y| <= sigma sqrt(n - 1) and leave the
choice open; `paper` and `released` do all 5000 iterations of the notebook for deblurring, whose settings both have.

*Presets.* `paper` shrinks the gradient as the problem's proximal map does: to zero, where it is short. `released` does
what the notebook does instead: its clip ends where it should begin, so that short gradients change sign; mu grows once
f(z) nears y; and the restoration is a moving average of f(z). `fast` is `paper` with the discrepancy for a stop and not
with the optimizer of docs/explanation/effort.md: u takes one step an iteration, so that where f is fitted in few of
them, little of the total variation is in force by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import Image, MethodInfo, Problem
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Loss, LossOf, Predictor, Recipe
from nidbench.physics.blur import Operator

from ._effort import by_noise
from ._fitted import Fitted
from ._prior import FixedInput, Network, check_prior, prior_recipe
from ._skip import SKIP, Skips

ITERATIONS = 5000  #: of the authors
CHANNELS = 32  #: of z
WIDTHS = (16, 32, 64, 128, 128)  #: of the network, from the finest scale
STEEPEST = 1.0  #: differences of the split-off gradient are clipped to this
NEAR, NEARER = 40.0, 0.01  #: dB of f(z) against y from which mu is raised, and by how much that bar rises each time


@dataclass(frozen=True)
class DIPWTV(Fitted):
    """min |k * f(z) - y|^2 + sum w_i |grad f(z)|_i: one step of Adam, then t and the dual u of t = grad f(z), in turn.

    Adam sees mean (k * f(z) - y)^2 + mu sum_d mean (d f(z) - t_d + u_d)^2 over both directions d. Then
    q = grad f(z) + u, t <- q shrunk by w / mu in length, to zero where it is shorter, u <- q - t. The weight w of a
    pixel is v / |q|, where v is half the mean square of f(z) - y, y continued by its edge: flat places are smoothed
    more, and all of them less as f(z) nears y. Differences are backward and circular, channels are apart, f is a
    narrower `dip`.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        mu: of the splitting.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
        through_zero: whether a gradient that is shorter than w / mu changes its sign, and does not end at zero.
        raising: what mu grows by after an iteration whose f(z) has more than 40 dB against y; that bar then rises by
            0.01 dB.
        averaging: weight in [0, 1) of all before in the moving average of f(z) that is the restoration; 0 for the last
            f(z).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DIP-WTV",
        year=2021,
        paper="Cascarano, Sebastiani, Comes, Franchini, Porta: Combining Weighted Total Variation and Deep Image Prior "
        "for natural and medical image restoration via ADMM, ICCSA 2021",
        licence="authors' code: none granted (not used here)",
        bounded=True,
        tuned_on={"fast": "optimizer, rate and stop, the authors': chelsea, coffee, coins and rocket of scikit-image"},
        presets={
            "paper": {},
            "released": {"through_zero": True, "raising": 0.033, "averaging": 0.99},
            "fast": {"noise_scaled": True, "share": 0.4, "size_scaled": True, "stop": "averaged-noise-level"},
            "smoke": {"iterations": 4, "lr": 1e-8},
        },
    )

    lr: float = 0.001
    reg_noise: float = 0.033
    mu: float = 0.0008
    noise_scaled: bool = False
    through_zero: bool = False
    raising: float = 0.0
    averaging: float = 0.0

    def __post_init__(self) -> None:
        check_prior(self)
        if not 0 < self.mu < float("inf"):
            raise InputError(f"mu={self.mu}: give a weight above 0, such as 0.0008")
        if not 0 <= self.raising < float("inf"):
            raise InputError(f"raising={self.raising}: give what mu grows by, at least 0, such as 0.033")
        if not 0 <= self.averaging < 1:
            raise InputError(f"averaging={self.averaging}: give the weight of the past in [0, 1), such as 0.99")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""

        def split(fixed: FixedInput, operator: Operator) -> SplitGradient:
            y = operator.extend(operator.blurred)
            return SplitGradient(fixed, y, self.mu, self.through_zero, self.raising, self.averaging)

        return prior_recipe(self, problem, _network(problem), self.usual, around=split)

    def usual(self, problem: Problem) -> int:
        """Return the authors' 5000 iterations, or what they grow to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS


class SplitGradient:
    """A fixed input whose loss also draws grad f(z) to t - u, and the steps of t and u.

    Args:
        fixed: with the input and the mean squared residual.
        y: continued to the frame of x, Shape (C, H, W).
        mu: of the splitting, in the beginning.
        through_zero, raising, averaging: see `DIPWTV`.
    """

    def __init__(
        self,
        fixed: FixedInput,
        y: Tensor,
        mu: float,
        through_zero: bool = False,
        raising: float = 0.0,
        averaging: float = 0.0,
    ) -> None:
        self._fixed, self._y, self._mu, self._near = fixed, y, mu, NEAR
        self._through_zero, self._raising, self._averaging = through_zero, raising, averaging
        self._t = self._u = torch.zeros_like(gradient(y))
        self._mean = torch.zeros(0)

    def draw(self, generator: torch.Generator) -> Draw:
        """Return z with fresh noise and the loss of the x that it leads to."""
        z, misfit = self._fixed.draw(generator)
        return z, partial(self._loss, misfit)

    def _loss(self, misfit: LossOf, x: Tensor) -> Loss:
        loss = misfit(x)
        apart = (gradient(x) - self._t + self._u).square().mean((1, 2, 3)).sum()
        return Loss(loss.value + self._mu * apart, loss.residual, loss.difference)

    def learn(self, iteration: int, x: Tensor) -> None:  # noqa: ARG002 - every iteration is alike
        """Shrink what x and the dual make of the gradient, let the dual take what is left, and take x into the mean."""
        q = gradient(x) + self._u
        length = q.square().sum(0).sqrt()
        apart = (x - self._y).square().mean()
        kept = 1 - apart / (2 * length) / (self._mu * length)
        if not self._through_zero:
            kept = kept.clamp(min=0)
        kept = torch.where(length > 0, kept, torch.zeros_like(kept))  # where q is 0, so is t
        self._t = (kept * q).nan_to_num(nan=0.0).clamp(-STEEPEST, STEEPEST)
        self._u = q - self._t
        if self._raising and float(apart) < 10 ** (-self._near / 10):
            self._mu, self._near = self._mu + self._raising, self._near + NEARER
        if self._averaging:
            self._mean = x.clone() if not self._mean.numel() else torch.lerp(x, self._mean, self._averaging)

    def state(self) -> dict[str, Tensor]:
        """Return t and u, each Shape (2, C, H, W), mu and the bar of its growth, and the mean of x."""
        weights = torch.tensor([self._mu, self._near], dtype=torch.float64)
        return {"t": self._t, "u": self._u, "weights": weights, "mean": self._mean}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._t, self._u, self._mean = state["t"], state["u"], state["mean"]
        self._mu, self._near = state["weights"].tolist()

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return the moving average of x, or one prediction, with noise on z."""
        return Estimate(self._mean) if self._mean.numel() else self._fixed.estimate(predict, generator, sample)


def gradient(x: Tensor) -> Tensor:
    """Return how much more each pixel of x, Shape (C, H, W), is than that before it: Shape (2, C, H, W)."""
    return torch.stack([x - x.roll(1, -1), x - x.roll(1, -2)])


def _network(problem: Problem) -> Network:
    channels = problem.blurred.shape[0]
    return Network((CHANNELS, *problem.frame), lambda generators: Skips(generators, CHANNELS, channels, SKIP, WIDTHS))
