"""BP-DIP: the deep image prior with a back-projection loss, least squares weighted by the inverse of the blur.

Zukerman, Tirer, Giryes, "BP-DIP: A Backprojection based Deep Image Prior", EUSIPCO 2020, written from the paper and the
facts of its authors' settings (their code has no licence; none of it is used).

Their blur is circular; measured images are not. The loss therefore compares the circular blur of x with the
edge-tapered y, as their code would have to. The authors pick the iteration with the best PSNR of a data set; here the
harness alone knows such an oracle, and `paper` ends after their 7000 iterations.

*Presets.* Weighting by the inverse of the blur fits noise early: on 96x96 crops of Set12 02 / 07 (Levin kernel 1, rate
0.01) the best is 21.9 dB after 100 iterations / 20.3 dB after 100 at 5 %, and 26.5 dB after 250 / 22.1 dB after 400 at
1 %; at 5 %, 02 is down to 9.9 dB after 500. `fast` ends after 140, with a cosine; larger images take more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.blur import Operator
from nidbench.contract import MethodInfo, Problem
from nidbench.errors import InputError
from nidbench.fit import Loss

from ._prior import LossOf, SkipPrior, squared_residual

ITERATIONS = 7000  #: of the authors, for this loss
FLOOR = 1e-3  #: added to |K|^2 whatever the noise


@dataclass(frozen=True)
class BPDIP(SkipPrior):
    """min |(K K* + c)^(-1/2) (y - g(K f(z)))|^2 with K circular blur and c = epsilon sigma^2 + 1e-3.

    The network is that of `dip`; the estimate is f(z) without noise on z, as the authors' is.

    Attributes:
        epsilon: weight of sigma^2, sigma on [0, 1]. The authors' 0.01 leaves c at 1e-3 for all noises of the paper.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="BP-DIP",
        year=2020,
        paper="Zukerman, Tirer, Giryes: BP-DIP: A Backprojection based Deep Image Prior, EUSIPCO 2020",
        licence="authors' code: none granted (not used here)",
        presets={
            "paper": {},
            "fast": {"share": 0.02, "decay": "cosine"},
            "smoke": {"iterations": 4, "lr": 1e-7},
        },
    )

    epsilon: float = 0.01
    plain_estimate = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilon < 0:
            raise InputError(f"epsilon={self.epsilon}: give a weight of at least 0, such as 0.01")

    def budget(self, problem: Problem) -> int:  # noqa: ARG002 - the same for all problems
        """Return the authors' 7000."""
        return ITERATIONS

    def loss(self, operator: Operator, problem: Problem) -> LossOf:
        """Return the mean squared residual on the frame of x, whitened by the blur's inverse spectrum."""
        c = self.epsilon * problem.sigma() ** 2 + FLOOR
        whitening = (operator.transfer.abs().square() + c).rsqrt()

        def loss(x: Tensor) -> Loss:
            difference = torch.fft.rfft2(operator.tapered - operator.respond(operator.circular(x)))
            # by Parseval the mean over pixels is the authors' mean over frequencies, up to a constant
            whitened = torch.fft.irfft2(whitening * difference, s=operator.frame)
            return Loss(whitened.square().mean(), squared_residual(operator, x.detach()))

        return loss
