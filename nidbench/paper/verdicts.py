"""Whether a mean over the paper's grid, or over some of its cells, is the published one.

    verdict           of a method under one condition of a table
    reproduced        PSNR within `WITHIN` dB of the published mean and SSIM within `WITHIN_SSIM`, with their intervals
    differs           one of the two is further off, with its interval
    undecided         neither: the interval is too wide, or there is none, for `why`
    not comparable    something else was measured than in the paper; `why` says what

What is asked for is the mean over the paper's fixed grid of images x kernels. Where all of it was measured, nothing is
left to chance, and the numbers alone decide; where some of it was, an interval for the images, kernels and cells that
were not does, see `grids`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nidbench.analysis.grids import GridMean, grid_mean
from nidbench.analysis.intervals import mean_of

from .conditions import Condition

#: Difference of means, in dB, up to which a published PSNR counts as reproduced.
WITHIN = 0.2

#: Difference of means up to which a published SSIM does.
WITHIN_SSIM = 0.01

NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Measured:
    """Means over the grid of a condition.

    Attributes:
        psnr: the mean PSNR in dB, with its interval.
        ssim: the mean SSIM, likewise.
        images: how many images have a score.
        cells: how many pairs of image and kernel have a score.
    """

    psnr: GridMean
    ssim: GridMean
    images: int
    cells: int


@dataclass(frozen=True)
class Verdict:
    """What a measured mean says of a published one.

    Attributes:
        word: the verdict.
        by: which quantities it rests on, `PSNR`, `SSIM` or both; empty where nothing was compared.
        why: what was measured otherwise, or why there is no interval where that would decide.
    """

    word: str
    by: str = ""
    why: str = ""


def with_reason(word: str, by: str) -> str:
    """Return a verdict with the quantities it rests on; that both agree goes without saying."""
    return word if not by or (word, by) == ("reproduced", "PSNR, SSIM") else f"{word}: {by}"


def measured(condition: Condition, cells: pd.DataFrame) -> Measured:
    """Return the means over the grid of a condition, estimated from the cells with a score.

    Where cells are more than the grid has, as of another dataset, they have their own mean and no interval.

    Args:
        condition: of a table of the paper.
        cells: rows with `image`, `kernel`, `psnr` and `ssim`; several of one image and kernel are averaged.
    """
    scored = cells[cells["psnr"].notna()]
    by_pair = scored.groupby(["image", "kernel"], sort=False)[["psnr", "ssim"]].mean().reset_index()
    psnr, ssim = (_mean(condition, by_pair, name) for name in ("psnr", "ssim"))
    return Measured(psnr, ssim, by_pair["image"].nunique(), len(by_pair))


def _mean(condition: Condition, by_pair: pd.DataFrame, name: str) -> GridMean:
    images, kernels = condition.images, condition.cases // condition.images
    beyond = by_pair["image"].nunique() > images or len(by_pair) > condition.cases
    if beyond or (by_pair["kernel"].nunique() > kernels > 1):
        by_image = by_pair.groupby("image")[name].mean().to_numpy(dtype=float)
        return GridMean(mean_of(by_image), math.nan, math.nan, "the paper has fewer images or kernels")
    return grid_mean(
        by_pair[name].to_numpy(dtype=float), list(by_pair["image"]), list(by_pair["kernel"]), (images, kernels)
    )


def judge(means: Measured, psnr: float, ssim: float, otherwise: Sequence[str]) -> Verdict:
    """Return what measured means say of published ones.

    Args:
        means: what was measured.
        psnr: published, in dB.
        ssim: published; NaN where it was not.
        otherwise: what was measured otherwise than in the paper.
    """
    if otherwise:
        return Verdict(NOT_COMPARABLE, why="; ".join(otherwise))
    agreements = {"PSNR": _agrees(means.psnr, psnr, WITHIN, 2)}
    if not math.isnan(ssim):
        agreements["SSIM"] = _agrees(means.ssim, ssim, WITHIN_SSIM, 3)
    for word, outcome in (("differs", False), ("undecided", None)):
        by = [name for name, agrees in agreements.items() if agrees is outcome]
        if by:
            return Verdict(word, ", ".join(by), (means.psnr.why or means.ssim.why) if outcome is None else "")
    return Verdict("reproduced", ", ".join(agreements))


def _agrees(mean: GridMean, published: float, within: float, digits: int) -> bool | None:
    """Return whether a mean is the published one; None where its interval holds both."""
    # as the table shows them
    low, high = (round(bound - published, digits) for bound in (mean.low, mean.high))
    if math.isnan(low):
        return None
    if -within <= low and high <= within:
        return True
    return False if low > within or high < -within else None


def columns(condition: Condition, means: Measured, verdict: Verdict, psnr: float, ssim: float) -> dict[str, Any]:
    """Return what a row of a comparison says of measured and published means, by the names of its columns."""
    return {
        "verdict": verdict.word,
        "by": verdict.by,
        "why": verdict.why,
        "published": psnr,
        "measured": means.psnr.mean,
        "difference": means.psnr.mean - psnr,
        "low": means.psnr.low,
        "high": means.psnr.high,
        "published_ssim": ssim,
        "measured_ssim": means.ssim.mean,
        "difference_ssim": means.ssim.mean - ssim,
        "low_ssim": means.ssim.low,
        "high_ssim": means.ssim.high,
        "images": means.images,
        "measurements": means.cells,
        "paper_images": condition.images,
        "paper_measurements": condition.cases,
    }
