"""PSNR and SSIM, and the named protocols that say what is compared: a number never appears without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from .contract import Image, Problem, Truth
from .errors import InputError, UnknownNameError


def psnr(restored: NDArray[Any], truth: NDArray[Any], *, data_range: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, over all channels and pixels.

    Args:
        restored: any shape.
        truth: the same shape.
        data_range: the peak.

    Returns:
        10 log10(range^2 / MSE); infinity for equal images.

    Raises:
        InputError: where the shapes differ.
    """
    if restored.shape != truth.shape:
        raise InputError(f"cannot compare images of shapes {restored.shape} and {truth.shape}: crop them alike")
    error = np.mean((restored.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim(restored: NDArray[Any], truth: NDArray[Any], *, data_range: float = 1.0) -> float:
    """Return the structural similarity of Wang et al. 2004, mean over channels.

    Gaussian window 11x11 of sigma 1.5, K1 = .01, K2 = .03, population covariance, 'valid' windows only: the
    definition of the authors' `ssim_index.m`, which differs from most libraries' defaults.

    Args:
        restored: Shape (C, H, W), at least 11x11.
        truth: the same shape.
        data_range: the peak.

    Raises:
        InputError: where the shapes differ or are smaller than the window.
    """
    if restored.shape != truth.shape or restored.ndim != 3 or min(restored.shape[1:]) < 11:
        raise InputError(f"SSIM needs two images (C, H, W) of at least 11x11, not {restored.shape} and {truth.shape}")
    return _valid_mean(_similarity(restored, truth, data_range))


def _similarity(restored: NDArray[Any], truth: NDArray[Any], data_range: float = 1.0) -> NDArray[np.float64]:
    """Return the similarity around each pixel, Shape (C, H, W)."""
    around: NDArray[np.float64]
    _, around = structural_similarity(  # type: ignore[no-untyped-call]
        restored.astype(np.float64),
        truth.astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=0,
        full=True,
    )
    return around


def _valid_mean(similarity: NDArray[np.float64]) -> float:
    """Return the mean over pixels whose whole 11x11 window is inside."""
    return float(similarity[:, 5:-5, 5:-5].mean())


@dataclass(frozen=True)
class Score:
    """How close a restoration is to the truth: PSNR in dB and SSIM, under the protocol that was asked for."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Protocol:
    """A named rule of what is compared.

    Attributes:
        name: as on the command line.
        cut: pixels cut off each side of x's frame; None for the region that y shows (half the true kernel).
        title: one line for tables.
    """

    name: str
    cut: int | None
    title: str

    def score(self, restored: Image, problem: Problem, truth: Truth) -> Score:
        """Return the score of x, Shape (C, H, W) in the frame of the problem.

        The response is applied where the truth is display-encoded; values are clipped to [0, 1] and rounded to 8 bit,
        then both images are cropped.

        Raises:
            InputError: where nothing is left to compare.
        """
        return scores([self], restored, problem, truth)[self.name]

    def crop(self, image: Image, problem: Problem, truth: Truth) -> Image:
        """Return what is compared of an image in the frame of x, Shape (C, H, W)."""
        rows, columns = self.region(problem, truth)
        return image[:, rows, columns]

    def reference(self, problem: Problem, truth: Truth) -> Image:
        """Return what it is compared with: the same part of the truth."""
        rows, columns = self.region(problem, truth)
        top, left = truth.offset
        return truth.image[:, _shift(rows, -top), _shift(columns, -left)]

    def region(self, problem: Problem, truth: Truth) -> tuple[slice, slice]:
        """Return rows and columns in the frame of x: what is scored and the truth shows.

        Raises:
            InputError: where fewer than 11 pixels are left on an axis.
        """
        wanted = problem.valid if self.cut is None else tuple(slice(self.cut, n - self.cut) for n in problem.frame)
        region = []
        for axis, part in enumerate(wanted):
            first = truth.offset[axis]
            start, stop = max(part.start, first, 0), min(part.stop, first + truth.image.shape[axis + 1])
            stop = min(stop, problem.frame[axis])
            if stop - start < 11:
                raise InputError(
                    f"protocol {self.name} leaves {max(0, stop - start)} pixels of {problem.frame[axis]}: "
                    "11 are needed; use another --protocol or larger images"
                )
            region.append(slice(start, stop))
        return region[0], region[1]


def _shift(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def scores(protocols: Sequence[Protocol], restored: Image, problem: Problem, truth: Truth) -> dict[str, Score]:
    """Return the score of x, Shape (C, H, W), under each protocol, as `Protocol.score` does.

    The similarity of a pixel depends on its window alone, so that one map over all regions serves each of them.

    Raises:
        InputError: where a protocol leaves nothing to compare.
    """
    regions = {each.name: each.region(problem, truth) for each in protocols}
    rows, columns = (_span([region[axis] for region in regions.values()]) for axis in (0, 1))
    image = to_8_bit(encoded(restored, problem, truth)[:, rows, columns])
    reference = truth.image[:, _shift(rows, -truth.offset[0]), _shift(columns, -truth.offset[1])]
    similarity = _similarity(image, reference)
    found = {}
    for name, region in regions.items():
        inside = (slice(None), _shift(region[0], -rows.start), _shift(region[1], -columns.start))
        found[name] = Score(psnr(image[inside], reference[inside]), _valid_mean(similarity[inside]))
    return found


def _span(parts: Sequence[slice]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def encoded(image: Image, problem: Problem, truth: Truth) -> Image:
    """Return x as the truth is encoded: after the response where that is display-encoded, else as it is."""
    shown: Image = problem.response.apply(image.clip(0, None)) if truth.encoded else image
    return shown


def to_8_bit(image: Image) -> NDArray[np.float64]:
    """Return the image clipped to [0, 1] and rounded to multiples of 1/255, as a file would hold it."""
    return np.rint(image.clip(0, 1).astype(np.float64) * 255) / 255


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("half-kernel", None, "cut floor(k/2) a side, 8 bit (the paper's released script)"),
        Protocol("cut-30", 30, "cut 30 px a side, 8 bit (Nan et al. 2020)"),
        Protocol("uncropped", 0, "nothing cut, 8 bit"),
    )
}

#: The one that is meant where none is named, and that of curves: other protocols need the stored estimate.
DEFAULT = PROTOCOLS["half-kernel"]


def protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        UnknownNameError: listing those there are.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError(f"unknown protocol {name!r}: use one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
