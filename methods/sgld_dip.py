"""SGLD-DIP: a deep image prior whose weights are sampled by noisy descent; the mean of many x is the restoration.

Cheng, Gadelha, Maji, Sheldon, "A Bayesian Perspective on the Deep Image Prior", CVPR 2019. Written from the settings of
its authors' denoising (their code has no licence; none of it is used), as nobody shows deblurring with it.

*Presets.* `paper` has 20,000 iterations whatever the noise. `fast` follows docs/explanation/effort.md with a hundredth
of that, all x of the last two thirds in the mean, and no stop: that the mean needs none is the paper's point. Its noise
on weights is a quarter of the authors': theirs is too much for so few iterations (docs/methods/sgld-dip.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from nidbench.contract import MethodInfo, Problem
from nidbench.errors import InputError
from nidbench.fitting import Fold, Member, Recipe

from ._average import Averaged, check_average
from ._effort import WITHOUT_STOP, by_noise, schedule_of
from ._fitted import Fitted
from ._prior import check_prior, prior_recipe, super_resolution

ITERATIONS = 20_000  #: of the authors, for denoising


@dataclass(frozen=True)
class SGLDDIP(Fitted):
    """Fits f(z) to y through the blur, min |y - g(k * f(z))|^2; after each step convolutions get noise.

    The network is that of `dip`. The authors also go back where y is suddenly fitted by 5 dB less, and decay weights by
    5e-8; both are left out here. Where the rate falls, so does the noise.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        weight_noise: standard deviation of the noise that each weight of a convolution gets, in learning rates.
        burn_in: share of the planned iterations whose x does not count in the mean. A fit that ends before that
            returns its last x.
        every: each how many-th x after that does.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="SGLD-DIP",
        year=2019,
        paper="Cheng, Gadelha, Maji, Sheldon: A Bayesian Perspective on the Deep Image Prior, CVPR 2019",
        licence="authors' code: none granted (not used here)",
        bounded=True,
        presets={
            "paper": {},
            "fast": {"noise_scaled": True, "share": 0.01, **WITHOUT_STOP, "every": 1, "weight_noise": 0.5},
            "smoke": {"iterations": 5, "lr": 1e-8, "burn_in": 0.3, "every": 2},
        },
        tuned_on={"fast": "weight_noise alone: chelsea, coins and rocket of scikit-image"},
    )

    reg_noise: float = 1 / 30
    weight_noise: float = 2.0
    burn_in: float = 0.35
    every: int = 50
    noise_scaled: bool = False

    def __post_init__(self) -> None:
        check_prior(self)
        check_average(self.burn_in, self.every)
        if not 0 <= self.weight_noise < float("inf"):
            raise InputError(f"weight_noise={self.weight_noise}: give learning rates of at least 0, such as 2")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        burn_in = int(self.burn_in * schedule_of(self, problem, self.usual).iterations)
        return prior_recipe(
            self,
            problem,
            super_resolution(problem),
            self.usual,
            around=lambda fixed, _: Averaged(fixed, burn_in, self.every),
            adapt=self.disturb,
        )

    def usual(self, problem: Problem) -> int:
        """Return the authors' 20,000 iterations, or what they grow to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS

    def disturb(self, iteration: int, fold: Fold, members: Sequence[Member]) -> None:  # noqa: ARG002 - an `Adaptation`
        """Add noise to the weights of all convolutions, each network's from its own random stream."""
        spread = self.weight_noise * fold.rate
        for place, member in enumerate(members):
            for weights in fold.tensors(place).values():
                if weights.ndim == 4:
                    draw = torch.randn(weights.shape, generator=member.generator, device=weights.device)
                    weights.add_(draw, alpha=spread)
