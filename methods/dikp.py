"""DIKP with a known kernel: the deep image prior with total variation on its output, reconstructed.

Wang, Wang, Li, Bilen, "Image Deconvolution with Deep Image and Kernel Priors", ICCV Workshops 2019, as a baseline of
Chen et al., IJCV 2022 (here *the paper*; section 4.1 (iv)): alpha = sigma/10 in place of the authors' 2e-2.

No code is public, and neither network, iterations, learning rate, input noise nor the kind of total variation is
stated. Taken here: all of `dip`, and the mean over pixels of the isotropic total variation beside the mean of the
squared residual (the same reduction for both terms; a mean beside a sum would drown either). Sums would weigh total
variation by as much more as it has differences than y has pixels: 1.2 times on 256x256 pixels, 1.8 times on 96x96,
with a kernel of 27x27.

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

from ._effort import CHOSEN_ON, FAST, usual_of_dip
from ._fitted import Fitted
from ._prior import check_prior, compared, prior_recipe, super_resolution

EPSILON = 1e-8  #: under the root of total variation, whose derivative is infinite at 0


@dataclass(frozen=True)
class DIKP(Fitted):
    """min |y - g(k * f(z))|^2 + alpha TV(f(z)), with the network and settings of `dip`.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and this.

    Attributes:
        alpha: weight of total variation; None for sigma/10, sigma on [0, 1] (paper section 4.1 (iv)).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DIKP",
        year=2019,
        paper="Wang, Wang, Li, Bilen: Image Deconvolution with Deep Image and Kernel Priors, ICCVW 2019",
        licence="no code is public",
        bounded=True,
        presets={
            "paper": {},
            "fast": {"share": 0.05, **FAST},
            "smoke": {"iterations": 4, "lr": 1e-7},
        },
        reconstructed=True,
        tuned_on={"fast": CHOSEN_ON},
    )

    reg_noise: float = 0.03
    alpha: float | None = None

    def __post_init__(self) -> None:
        check_prior(self)
        if self.alpha is not None and not 0 <= self.alpha < math.inf:
            raise InputError(f"alpha={self.alpha}: give a weight of at least 0, such as 5e-3")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        return prior_recipe(self, problem, super_resolution(problem), usual=usual_of_dip, misfit=self.misfit)

    def misfit(self, operator: Operator, problem: Problem) -> LossOf:
        """Return the mean squared residual plus alpha times the mean total variation."""
        alpha = problem.sigma() / 10 if self.alpha is None else self.alpha

        def loss(x: Tensor) -> Loss:
            residual, difference = compared(operator, x)
            return Loss(residual + alpha * total_variation(x), residual, difference)

        return loss


def total_variation(x: Tensor) -> Tensor:
    """Return the mean length of the gradient of x, Shape (C, H, W), by forward differences, a scalar."""
    down = torch.diff(x, dim=1)[:, :, :-1]
    right = torch.diff(x, dim=2)[:, :-1, :]
    return (down.square() + right.square() + EPSILON).sqrt().mean()
