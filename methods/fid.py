"""FID: fast deconvolution with a hyper-Laplacian prior on gradients, the classic among fast methods.

Krishnan, Fergus, "Fast Image Deconvolution using Hyper-Laplacian Priors", NIPS 2009 (here *the paper*), with the
splitting of its authors' demo. Written from the paper; no code of theirs is used. The demo has one noise level, 0.01,
and tapers an 8-bit y four times; here y is tapered as for all methods.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError

from ._linear import TAPERED, UNTESTED, Standardised, differences

#: How lambda falls with the noise level.
EXPONENT = 1.5


@dataclass(frozen=True)
class FID:
    """Minimises lambda/2 |k * x - y|^2 + sum |d x|^(1/2) by half-quadratic splitting, circular (paper eq. 1 to 5).

    The paper's prior has a scale, that of photographs on [0, 1], and so have its betas. Here y is standardised
    (`_linear.Standardised`), so that they meet a contrast of 0.2 in every image: c y + b with c sigma gives c x + b,
    and colour is its channels restored one by one. What tapering leaves wrong counts as noise, too.

    Attributes:
        fidelity: lambda at a noise level of 0.01 and a contrast of 0.2; lambda = fidelity (0.01 / sigma)^1.5. Both are
            fitted to the mean PSNR on the images and kernels of tests/benchmarks/tuning.py from 0.5 to 10 %: alone, the
            levels want 3300 to 3800, for at most 0.03 dB. The authors' demo has 2000, at a level of 0.01 only; how
            lambda went by the noise where others compared with FID is not public.
        beta: the splitting weight at first; it grows by `growth` while below `beta_limit`.
        growth: factor between steps.
        beta_limit: where the steps end.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="FID",
        year=2009,
        paper="Krishnan, Fergus: Fast Image Deconvolution using Hyper-Laplacian Priors, NIPS 2009",
        licence="authors' code: no licence granted (not used here)",
        version=2,
        tuned_on={"default": UNTESTED},
    )

    fidelity: float = 3400.0
    beta: float = 1.0
    growth: float = 2 * math.sqrt(2)
    beta_limit: float = 256.0

    def __post_init__(self) -> None:
        if not (
            0 < self.fidelity < math.inf and 0 < self.beta < self.beta_limit < math.inf and 1 < self.growth < math.inf
        ):
            raise InputError(
                f"fidelity={self.fidelity}, beta={self.beta}, growth={self.growth}, beta_limit={self.beta_limit}: give "
                "numbers above 0, 0 and 1 and a limit above beta, such as 3400, 1, 2.83 and 256"
            )

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x after one pass over the splitting weights; a gamma response is undone first, saturation ignored."""
        standard = Standardised.of(problem, run.device)
        operator = standard.operator
        y, blur = operator.tapered, operator.transfer
        steps = differences(operator.frame).to(run.device)
        smoothness = steps.abs().square().sum(0)
        sigma = torch.hypot(standard.sigma, torch.full_like(standard.sigma, TAPERED))
        weight = self.fidelity * (0.01 / sigma) ** EXPONENT
        data, power = weight * blur.conj() * torch.fft.rfft2(y), weight * blur.abs().square()
        x, betas = y, list(self._betas())
        for beta in betas:
            spectrum = torch.fft.rfft2(x)
            splits = [shrink(torch.fft.irfft2(d * spectrum, s=operator.frame), beta) for d in steps]
            pull = sum(d.conj() * torch.fft.rfft2(w) for d, w in zip(steps, splits, strict=True))
            x = torch.fft.irfft2((data + beta * pull) / (power + beta * smoothness), s=operator.frame)
        return Restored(standard.restored(x), iterations=len(betas), stopped="schedule")

    def _betas(self) -> Iterator[float]:
        beta = self.beta
        while beta < self.beta_limit:
            yield beta
            beta *= self.growth


def shrink(v: Tensor, beta: float) -> Tensor:
    """Return the w that minimises |w|^(1/2) + beta/2 (w - v)^2, element by element (paper section 2.1, alpha = 1/2).

    The stationary points are roots of a cubic; the largest is written with a cosine, as in half thresholding (Xu et
    al., IEEE TNNLS 2012), and 0 is the minimum below their threshold.
    """
    penalty = 2 / beta
    size = v.abs()
    threshold = 54 ** (1 / 3) / 4 * penalty ** (2 / 3)
    angle = torch.arccos((penalty / 8 * (size / 3) ** -1.5).clamp(max=1))
    root = 2 / 3 * v * (1 + torch.cos(2 * math.pi / 3 - 2 / 3 * angle))
    return torch.where(size > threshold, root, 0)
