"""Wiener filter: the best linear estimate for a known image spectrum, in closed form; the sanity row of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError

from ._linear import CONTRAST, TAPERED, UNTESTED, Standardised, differences


@dataclass(frozen=True)
class Wiener:
    """x = F^-1[ conj(H) Y / (|H|^2 + S) ], circular, on the edge-tapered y; S is the ratio of noise to image power.

    The power of natural images falls like 1/f^2 (Field 1987). Here it is v / (weight |d|^2), with v the variance of the
    noise-free y and |d|^2 the power of the two forward differences, so that S = weight sigma^2 / v |d|^2. Nothing in it
    has an absolute scale: c y + b with c sigma gives c x + b. Each channel has a v of its own, so that colour is its
    channels restored one by one. What tapering leaves wrong counts as noise, too: where y has hardly any, S stays.

    Attributes:
        weight: how smooth images are. 1.5 is the best for all levels on the images and kernels of
            tests/benchmarks/tuning.py; the best at each falls from 2.0 at 0.5 % to 1.0 at 10 %, for at most 0.05 dB.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="Wiener filter",
        year=1949,
        paper="Wiener: Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949",
        version=2,
        tuned_on={"default": UNTESTED},
    )

    weight: float = 1.5

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise InputError(f"weight={self.weight}: give a positive number, such as 1.5")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the filtered image; a gamma response is undone first, saturation is ignored."""
        standard = Standardised.of(problem, run.device)
        operator = standard.operator
        noise = (standard.sigma.square() + TAPERED**2) / CONTRAST**2
        ratio = self.weight * noise * differences(operator.frame).to(run.device).abs().square().sum(0)
        filtered = operator.transfer.conj() / (operator.transfer.abs().square() + ratio)
        x = torch.fft.irfft2(filtered * torch.fft.rfft2(operator.tapered), s=operator.frame)
        return Restored(standard.restored(x), stopped="closed form")
