"""BP-DIP: the deep image prior with a back-projection loss, least squares weighted by the inverse of the blur.

Zukerman, Tirer, Giryes, "BP-DIP: A Backprojection based Deep Image Prior", EUSIPCO 2020, written from the paper and the
facts of its authors' settings (their code has no licence; none of it is used).

Their blur is circular; measured images are not. The loss therefore compares the circular blur of x with the
edge-tapered y, as their code would have to. The authors pick the iteration with the best PSNR of a data set; here the
harness alone knows such an oracle, and `paper` ends after their 7000 iterations.

*The unit of sigma.* The denominator of the loss, |K|^2 + 0.01 sigma^2 + 1e-3, has sigma on [0, 1] in the authors'
code, where the middle term vanishes beside the last. With sigma on [0, 255] it rules at the noise levels of Chen et
al., IJCV 2022, and only then does BP-DIP stand beside DIP as in their Table 2: on a 96x96 crop of Set12 02 at 5 %
(Levin kernel 1, rate 0.01) the best is 25.6 dB after 325 iterations, against 21.9 dB after 100 on the way to 9.9 dB
after 500. So `paper` takes [0, 255] and `released` [0, 1]. Tapered borders cost BP-DIP, too: where the same crop is
truly blurred circularly, `released` reaches 29.4 dB at 1 %, against 26.5 dB. A gray image stays one channel; the
authors make it three.

*Presets.* `fast`: see docs/explanation/effort.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import MethodInfo, Problem
from nidbench.errors import InputError
from nidbench.fitting import Loss, LossOf, Recipe
from nidbench.physics.blur import Operator

from ._effort import CHOSEN_ON, FAST, by_noise
from ._fitted import Fitted
from ._prior import check_prior, compared, prior_recipe, super_resolution

ITERATIONS = 7000  #: of the authors, for this loss
FLOOR = 1e-3  #: added to |K|^2 whatever the noise


@dataclass(frozen=True)
class BPDIP(Fitted):
    """min |(K K* + c)^(-1/2) (y - g(K f(z)))|^2 with K circular blur and c = epsilon sigma^2 + 1e-3.

    The network is that of `dip`; the estimate is f(z) without noise on z, as the authors' is.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        epsilon: weight of sigma^2.
        sigma_scale: white in the unit of that sigma, 255 or 1; see the module's docstring.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="BP-DIP",
        year=2020,
        paper="Zukerman, Tirer, Giryes: BP-DIP: A Backprojection based Deep Image Prior, EUSIPCO 2020",
        licence="authors' code: none granted (not used here)",
        bounded=True,
        presets={
            "paper": {},
            "released": {"sigma_scale": 1.0},
            "fast": {
                "noise_scaled": True,
                "share": 0.02,
                **FAST,
                # by the variance of its iterates a fit at 1 % does not end, and fits noise: results/reference/ranked
                "stop": "averaged-noise-level",
                "margin": 0.0,
            },
            "smoke": {"iterations": 4, "lr": 1e-7},
        },
        tuned_on={"fast": CHOSEN_ON},
    )

    reg_noise: float = 0.03
    epsilon: float = 0.01
    sigma_scale: float = 255.0
    noise_scaled: bool = False

    def __post_init__(self) -> None:
        check_prior(self)
        if not 0 <= self.epsilon < math.inf:
            raise InputError(f"epsilon={self.epsilon}: give a weight of at least 0, such as 0.01")
        if not 0 < self.sigma_scale < math.inf:
            raise InputError(f"sigma_scale={self.sigma_scale}: give what white is in the unit of sigma, 255 or 1")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        network = super_resolution(problem)
        return prior_recipe(self, problem, network, self.usual, self.misfit, plain_estimate=True)

    def usual(self, problem: Problem) -> int:
        """Return the authors' 7000 iterations, or what they grow to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS

    def misfit(self, operator: Operator, problem: Problem) -> LossOf:
        """Return the mean squared residual on the frame of x, whitened by the blur's inverse spectrum."""
        c = self.epsilon * (self.sigma_scale * problem.sigma()) ** 2 + FLOOR
        whitening = (operator.transfer.abs().square() + c).rsqrt()

        def loss(x: Tensor) -> Loss:
            difference = torch.fft.rfft2(operator.tapered - operator.respond(operator.circular(x)))
            # by Parseval the mean over pixels is the authors' mean over frequencies, up to a constant
            whitened = torch.fft.irfft2(whitening * difference, s=operator.frame)
            return Loss(whitened.square().mean(), *compared(operator, x.detach()))

        return loss
