"""Wiener filter: the best linear estimate for a known image spectrum, in closed form; the sanity row of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError

from ._linear import SMALLEST_SIGMA, linearised


@dataclass(frozen=True)
class Wiener:
    """x = F^-1[ conj(H) Y / (|H|^2 + S) ], circular, on the edge-tapered y; S is the ratio of noise to image power.

    The power of natural images falls like 1/f^2 (Field 1987). Here it is v / (weight |d|^2), with v the variance of the
    noise-free y and |d|^2 the power of the two forward differences, so that S = weight sigma^2 / v |d|^2.

    Attributes:
        weight: how smooth images are. 3 is the best of 0.1, 0.3, 1, 3, ... 30 on Set12 with Levin's kernels 1 and 4 at
            1, 3 and 5 %; a power |d|^2.5 would gain 0.05 dB, |d|^4 lose 0.1 dB.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="Wiener filter",
        year=1949,
        paper="Wiener: Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949",
    )

    weight: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise InputError(f"weight={self.weight}: give a positive number, such as 3")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the filtered image; a gamma response is undone first, saturation is ignored."""
        problem = linearised(problem)
        operator = problem.operator(run.device)
        sigma = max(problem.sigma(), SMALLEST_SIGMA)
        # the noise counts neither as image nor, where there is hardly any image, as less than nothing
        power = max(float(problem.blurred.var()) - sigma**2, sigma**2)
        ratio = self.weight * sigma**2 / power * difference_power(operator.frame).to(run.device)
        filtered = operator.transfer.conj() / (operator.transfer.abs().square() + ratio)
        x = torch.fft.irfft2(filtered * torch.fft.rfft2(operator.tapered), s=operator.frame)
        return Restored(x.cpu().numpy(), stopped="closed form")


def difference_power(frame: tuple[int, int]) -> Tensor:
    """Return |d|^2 = 4 sin^2(pi f_y) + 4 sin^2(pi f_x), Shape (H, W//2 + 1), f in cycles per pixel."""
    height, width = frame
    rows = torch.sin(torch.pi * torch.fft.fftfreq(height)).square()
    columns = torch.sin(torch.pi * torch.fft.rfftfreq(width)).square()
    return 4 * (rows[:, None] + columns)
