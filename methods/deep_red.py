"""DeepRED: a deep image prior and regularisation by denoising, taken together by ADMM.

Mataev, Milanfar, Elad, "DeepRED: Deep Image Prior Powered by RED", ICCV Workshops 2019. Written from the settings and
steps of its authors' deblurring (their code has no licence; none of it is used), with the denoiser that they use:
non-local means of scikit-image.

*Where facts end.* The authors tried deblurring with noise of sqrt(2)/255 only, and state no rule by which their weights
follow other noise. Those of their denoising, with noise of 25/255, are far larger: `usual_weights` goes through both.

*Presets.* `released` is their notebook for deblurring, 30,000 iterations, its weights whatever the noise. `fast` has a
hundredth of the iterations, with the rate of `dip`, the effort of docs/explanation/effort.md and weights that follow
the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from skimage.restoration import denoise_nl_means
from torch import Tensor

from nidbench.contract import Image, MethodInfo, Problem
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Loss, LossOf, Predictor, Recipe
from nidbench.physics.blur import Operator

from ._effort import FAST, stop_of
from ._fitted import Fitted
from ._prior import FixedInput, check_prior, prior_recipe, super_resolution

ITERATIONS = 30_000  #: of the authors
CUT_OFF = 0.6  #: of non-local means: the scale of differences between patches, in standard deviations of the noise
PATCH, REACH = 5, 6  #: sides of patches, and how far they are looked for, in pixels
#: Noise level on [0, 1] -> beta and mu of the authors: of deblurring, of denoising.
WEIGHTS = {math.sqrt(2) / 255: (0.02, 0.04), 25 / 255: (0.5, 0.5)}


@dataclass(frozen=True)
class DeepRED(Fitted):
    """min |k * f(z) - y|^2 + beta/2 x'(x - D(x)) with x = f(z): one step of Adam, then x and the dual u, in turn.

    Adam sees mean (k * f(z) - y)^2 + mu mean (f(z) - (x - u))^2. Then x <- (beta d + mu (f(z) + u)) / (beta + mu),
    clipped to [0, 1], and u <- u + f(z) - x, where d is D(x), non-local means of each channel, renewed every 10th
    iteration. As with the authors, whose denoiser runs beside the descent, d is then of the x at the last renewal. x
    begins as y, continued by its edge, d too. The restoration is x - u. f is that of `dip`.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        beta: weight of the denoiser, the paper's lambda; None for one that follows the noise, see `usual_weights`.
        mu: of the splitting; None likewise.
        denoiser_sigma: standard deviation of the noise that D takes away, on [0, 1].
        every: iterations between two renewals of d.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DeepRED",
        year=2019,
        paper="Mataev, Milanfar, Elad: DeepRED: Deep Image Prior Powered by RED, ICCV Workshops 2019",
        licence="authors' code: none granted (not used here)",
        presets={
            "released": {},
            "fast": {"share": 0.01, **FAST, "lr": 0.01, "beta": None, "mu": None},
            "smoke": {"iterations": 5, "lr": 1e-8, "every": 2},
        },
        tuned_on={"fast": "beta, mu and the stop: chelsea, coins, moon and rocket of scikit-image"},
    )

    lr: float = 0.004
    decay: str = "steps"
    reg_noise: float = 0.01
    beta: float | None = 0.02
    mu: float | None = 0.04
    denoiser_sigma: float = 3 / 255
    every: int = 10

    def __post_init__(self) -> None:
        check_prior(self)
        for name in ("beta", "mu", "denoiser_sigma"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name}={value}: give a number above 0, such as 0.02")
        if self.every < 1:
            raise InputError(f"every={self.every}: give iterations, at least 1, such as 10")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one.

        Raises:
            InputError: for a stop that holds pixels out.
        """
        if stop_of(self).holds_out:
            raise InputError(f"stop={self.stop}: x begins as y, and shows all of it; use averaged-noise-level")

        beta, mu = self.weights(problem)

        def split(fixed: FixedInput, operator: Operator) -> SplitImage:
            denoiser = partial(non_local_means, sigma=self.denoiser_sigma)
            return SplitImage(fixed, operator.extend(operator.blurred), denoiser, beta, mu, self.every)

        return prior_recipe(self, problem, super_resolution(problem), lambda _: ITERATIONS, around=split)

    def weights(self, problem: Problem) -> tuple[float, float]:
        """Return beta and mu for a problem."""
        if self.beta is not None and self.mu is not None:
            return self.beta, self.mu
        beta, mu = usual_weights(problem.sigma())
        return beta if self.beta is None else self.beta, mu if self.mu is None else self.mu


def usual_weights(sigma: float) -> tuple[float, float]:
    """Return beta and mu for a noise level on [0, 1]: the powers of it that give the authors' at both of their levels.

    Powers, as both weights grow nearly with the level: by 25 and by 12.5 where it grows by 17.7.
    """
    (low, weights), (high, larger) = WEIGHTS.items()
    along = math.log(max(sigma, 1e-6) / low) / math.log(high / low)
    beta, mu = (weight * (larger[n] / weight) ** along for n, weight in enumerate(weights))
    return beta, mu


class SplitImage:
    """A fixed input whose loss also draws f(z) to x - u, and the steps of x and u.

    Args:
        fixed: with the input and the mean squared residual.
        y: continued to the frame of x, Shape (C, H, W): the first x.
        denoiser: D.
        beta, mu, every: see `DeepRED`.
    """

    def __init__(
        self, fixed: FixedInput, y: Tensor, denoiser: Callable[[Tensor], Tensor], beta: float, mu: float, every: int
    ) -> None:
        self._fixed, self._denoiser = fixed, denoiser
        self._beta, self._mu, self._every = beta, mu, every
        self._x = self._denoised = self._next = y  # `_next`: the x that is denoised at the next renewal
        self._u = torch.zeros_like(y)

    def draw(self, generator: torch.Generator) -> Draw:
        """Return z with fresh noise and the loss of the f(z) that it leads to."""
        z, misfit = self._fixed.draw(generator)
        return z, partial(self._loss, misfit)

    def _loss(self, misfit: LossOf, x: Tensor) -> Loss:
        loss = misfit(x)
        apart = (x - (self._x - self._u)).square().mean()
        return Loss(loss.value + self._mu * apart, loss.residual, loss.difference)

    def learn(self, iteration: int, x: Tensor) -> None:
        """Take the steps of x and u with f(z), which the argument is; renew what is denoised where it is time."""
        if iteration % self._every == 0:
            self._denoised, self._next = self._denoiser(self._next), self._x
        total = self._beta + self._mu
        self._x = ((self._beta * self._denoised + self._mu * (x + self._u)) / total).clamp(0, 1)
        self._u = self._u + x - self._x

    def state(self) -> dict[str, Tensor]:
        """Return x, u, what was denoised last and what is denoised next."""
        return {"x": self._x, "u": self._u, "denoised": self._denoised, "next": self._next}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._x, self._u, self._denoised, self._next = (state[name] for name in ("x", "u", "denoised", "next"))

    def estimate(
        self,
        predict: Predictor,  # noqa: ARG002 - x is at hand
        generator: torch.Generator,  # noqa: ARG002 - likewise
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - likewise
    ) -> Estimate:
        """Return x - u."""
        return Estimate(self._x - self._u)


def non_local_means(image: Tensor, sigma: float) -> Tensor:
    """Return an image, Shape (C, H, W), less noise of a standard deviation, each channel by itself, on the CPU."""
    channels = [
        denoise_nl_means(
            channel, patch_size=PATCH, patch_distance=REACH, h=CUT_OFF * sigma, sigma=sigma, fast_mode=True
        )
        for channel in image.cpu().numpy()
    ]
    return torch.from_numpy(np.stack(channels).astype(np.float32)).to(image.device)
