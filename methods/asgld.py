"""ASGLD: a deep image prior whose weights are sampled by noise in Adam's momentum; the mean of x is the restoration.

Wang, Li, Ji, "Self-supervised Deep Image Restoration via Adaptive Stochastic Gradient Langevin Dynamics", CVPR 2022, by
the group of Chen et al., IJCV 2022. Written from the settings of its authors' compressed sensing without noise (their
code has no licence; none of it is used), as they show no deblurring.

*Presets.* `paper` has 20,000 iterations whatever the noise. `fast` has Adam, whose momentum the noise is part of, where
docs/explanation/effort.md has SOAP, hence more iterations, and no stop: the mean is to do without.
Nothing was tuned.
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
from ._prior import Network, check_prior, prior_recipe
from ._skip import Skips

ITERATIONS = 20_000  #: of the authors, for compressed sensing
CHANNELS = 16  #: of z
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  #: of Adam


@dataclass(frozen=True)
class ASGLD(Fitted):
    """Fits f(z) to y through the blur, min |y - g(k * f(z))|^2, by Adam with noise in its momentum.

    A step takes m + (1 - 0.9) c n in place of the momentum m, n from N(0, 1), and m itself stays without noise: where
    gradients have been small, weights move more. The network is that of `dip`, with 16 channels of z.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        momentum_noise: c, in units of the gradient. The authors take 1e-6 to 3e-6, more for fewer measurements.
        burn_in: share of the planned iterations whose x does not count in the mean. A fit that ends before that
            returns its last x.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="ASGLD",
        year=2022,
        paper="Wang, Li, Ji: Self-supervised Deep Image Restoration via Adaptive Stochastic Gradient Langevin "
        "Dynamics, CVPR 2022",
        licence="authors' code: none granted (not used here)",
        bounded=True,
        presets={
            "paper": {},
            "fast": {"noise_scaled": True, "share": 0.03, **WITHOUT_STOP, "optimizer": "adam", "lr": 0.01},
            "smoke": {"iterations": 5, "lr": 1e-8},
        },
    )

    lr: float = 0.002
    reg_noise: float = 1 / 40
    momentum_noise: float = 1e-6
    burn_in: float = 0.25
    noise_scaled: bool = False

    def __post_init__(self) -> None:
        check_prior(self)
        check_average(self.burn_in, 1)
        if self.optimizer != "adam":
            raise InputError(f"optimizer={self.optimizer!r}: the noise is in the momentum of Adam; use adam")
        if not 0 <= self.momentum_noise < float("inf"):
            raise InputError(f"momentum_noise={self.momentum_noise}: give a number of at least 0, such as 1e-6")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        burn_in = int(self.burn_in * schedule_of(self, problem, self.usual).iterations)
        return prior_recipe(
            self,
            problem,
            _network(problem),
            self.usual,
            around=lambda fixed, _: Averaged(fixed, burn_in, 1),
            adapt=self.disturb,
        )

    def usual(self, problem: Problem) -> int:
        """Return the authors' 20,000 iterations, or what they grow to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS

    def disturb(self, iteration: int, fold: Fold, members: Sequence[Member]) -> None:
        """Take the part of the step that the noise in the momentum is, each network's from its own random stream."""
        spread = fold.rate * (1 - BETA_1) * self.momentum_noise / (1 - BETA_1**iteration)
        for place, member in enumerate(members):
            state = fold.state(place)
            for name, memory in state.memory.items():
                scale = (memory["exp_avg_sq"] / (1 - BETA_2**iteration)).sqrt_().add_(EPSILON)
                draw = torch.randn(scale.shape, generator=member.generator, device=scale.device)
                state.tensors[name].addcdiv_(draw, scale, value=-spread)


def _network(problem: Problem) -> Network:
    channels = problem.blurred.shape[0]
    return Network((CHANNELS, *problem.frame), lambda generators: Skips(generators, CHANNELS, channels))
