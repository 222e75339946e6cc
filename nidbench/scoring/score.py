"""The score of a restoration, without what computes it: records and tables read scores only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """The PSNR in dB and the SSIM of a restoration, under a protocol."""

    psnr: float
    ssim: float
