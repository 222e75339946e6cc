"""TV: deconvolution with the total variation as prior, the classic of piecewise smooth images.

Rudin, Osher, Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 60 (1992), solved as by
Almeida, Figueiredo, "Deconvolving Images With Unknown Boundaries Using the Alternating Direction Method of
Multipliers", IEEE TIP 22 (2013): what y does not show of k * x is a variable, so that no border has to be made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError

from ._linear import UNTESTED, Standardised, differences

#: How the weight of the prior grows with the noise level.
EXPONENT = 1.5

#: How many times as fast the data are met as the differences: it changes how fast x converges, not where to.
EAGERNESS = 10


@dataclass(frozen=True)
class TV:
    """Minimises 1/2 |k * x - y|^2 + w sum |grad x|, k * x valid, by ADMM with z = k (*) x and v = grad x split.

    z <- (M y + mu (k (*) x + p)) / (M + mu), v <- shrunk (grad x + q) by w / rho in length, then
    x <- F^-1[ (mu conj(H) F(z - p) + rho sum conj(D_i) F(v_i - q_i)) / (mu |H|^2 + rho sum |D_i|^2) ], where (*) is
    circular, M is 1 where y shows k (*) x and 0 elsewhere, and p and q add up what is left. No difference reaches over
    the border. y is standardised (`_linear.Standardised`): c y + b with c sigma gives c x + b, and colour is its
    channels restored one by one. A gamma response is undone first, saturation is ignored.

    Attributes:
        weight: w = weight sigma^1.5, y and sigma at a contrast of 0.2. Both numbers are fitted to the mean PSNR on the
            images and kernels of tests/benchmarks/tuning.py from 0.5 to 10 %: alone, the levels want 0.58 to 0.62, for
            less than 0.01 dB.
        split: w / rho, in units of y. It changes how fast x converges, not where to.
        iterations: of x, v and z.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="total variation",
        year=1992,
        paper="Rudin, Osher, Fatemi: Nonlinear total variation based noise removal algorithms, Physica D 60, 1992; "
        "Almeida, Figueiredo: Deconvolving Images With Unknown Boundaries Using the Alternating Direction Method of "
        "Multipliers, IEEE TIP 22, 2013",
        version=2,
        tuned_on={"default": UNTESTED},
    )

    weight: float = 0.6
    split: float = 0.05
    iterations: int = 100

    def __post_init__(self) -> None:
        if not (0 < self.weight < float("inf") and 0 < self.split < float("inf")):
            raise InputError(f"weight={self.weight}, split={self.split}: give positive numbers, such as 0.6 and 0.05")
        if self.iterations < 1:
            raise InputError(f"iterations={self.iterations}: give 1 or more, such as 100")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x after the last iteration."""
        standard = Standardised.of(problem, run.device)
        weight = self.weight * standard.sigma**EXPONENT
        x, i = standard.operator.tapered, 0
        for i, x in enumerate(self._iterates(standard, problem.valid, weight), 1):
            run.progress(i, self.iterations)
            if run.due(i):
                run.observe(i, partial(standard.restored, x))
        if not run.due(i):
            run.observe(i, partial(standard.restored, x))  # the curve ends with what is returned
        return Restored(standard.restored(x), iterations=i, details={"weight": weight.flatten().tolist()})

    def _iterates(self, standard: Standardised, valid: tuple[slice, slice], weight: Tensor) -> Iterator[Tensor]:
        """Yield every x, Shape (C, H, W)."""
        operator = standard.operator
        blur, frame = operator.transfer, operator.frame
        steps = differences(frame).to(blur.device)
        inner, shown = _inner(frame, blur.device), torch.zeros(frame, dtype=torch.bool, device=blur.device)
        shown[valid] = True
        rho = weight / self.split
        power = EAGERNESS * blur.abs().square() + steps.abs().square().sum(0)
        x, y = operator.tapered, operator.extend(operator.blurred)
        p, q = torch.zeros_like(x), x.new_zeros(2, *x.shape)
        for _ in range(self.iterations):
            spectrum = torch.fft.rfft2(x)
            blurred = torch.fft.irfft2(blur * spectrum, s=frame) + p
            z = torch.where(shown, (y + EAGERNESS * rho * blurred) / (1 + EAGERNESS * rho), blurred)
            gradient = torch.fft.irfft2(steps[:, None] * spectrum, s=frame) + q
            v = torch.where(inner[:, None], shrink(gradient * inner[:, None], self.split), gradient)
            p, q = blurred - z, gradient - v
            pull = (steps[:, None].conj() * torch.fft.rfft2(v - q)).sum(0)
            x = torch.fft.irfft2((EAGERNESS * blur.conj() * torch.fft.rfft2(z - p) + pull) / power, s=frame)
            yield x


def shrink(gradient: Tensor, step: float) -> Tensor:
    """Return vectors, Shape (2, ...), shorter by `step`, those that are not as long 0."""
    length = gradient.square().sum(0).sqrt()
    return gradient * (1 - step / length.clamp(min=step))


def _inner(frame: tuple[int, int], device: torch.device) -> Tensor:
    """Return which differences along rows and columns have both pixels in the frame, Shape (2, H, W)."""
    inner = torch.ones(2, *frame, dtype=torch.bool, device=device)
    inner[0, :, -1] = inner[1, -1] = False
    return inner
