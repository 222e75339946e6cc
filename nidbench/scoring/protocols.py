"""Metric protocols: named rules that define which pixels of a restoration and a truth are compared, and how.

Every score belongs to a protocol. Protocols that only crop (`CROPS`) are cheap, and every cell is scored by them. The
others (`ON_DEMAND`) search a shift, because the kernel is an estimate, or compare with many truths; `nidbench rescore`
computes them from stored restorations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nidbench.contract.truth import Truth
from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.arrays import WHITE, Image, eight_bit_levels
from nidbench.physics.problem import Problem

from . import alignment, ms_ssim
from .metrics import Similarities, mean_inside, psnr, ssim
from .score import Score

#: Rows and columns of an image.
Region: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True)
class _Rule:
    """A rule with the region that it compares, which depends on the truth and the true kernel only.

    The region is the same for all methods, whatever kernel they know.

    Attributes:
        name: name on the command line.
        title: a line for tables.
        halves: how often half the true kernel is cut off every side of x; once leaves the pixels of y.
        cut: further pixels that are cut off every side, counted from the border of the truth.
    """

    name: str
    title: str
    halves: int
    cut: int

    #: smallest side in pixels of a region
    least: ClassVar[int] = 11

    @property
    def margin(self) -> int:
        """Largest shift of x in pixels; the region leaves room for it."""
        return 0

    def crop(self, image: Image, problem: Problem, truth: Truth) -> Image:
        """Return the pixels of x, Shape (C, H, W), that are compared."""
        return crop_to(image, self.region(problem, truth))

    def reference(self, problem: Problem, truth: Truth) -> Image:
        """Return the same pixels of the truth."""
        return _crop_truth(truth, self.region(problem, truth))

    def region(self, problem: Problem, truth: Truth) -> Region:
        """Return the rows and columns of x that are compared, counted from the first pixel of the frame of x.

        The truth covers all of them. The frame of x may not, where methods know a smaller kernel, see `crop_to`.

        Raises:
            InputError: where fewer than `least` pixels are left on an axis.
        """
        inside, cut = max(self.cut, self.margin), self.cut
        axes = zip(extent(problem, truth, self.halves), truth.offset, truth.image.shape[1:], strict=True)
        rows, columns = (
            slice(max(span.start + inside, first + cut), min(span.stop - inside, first + size - cut))
            for span, first, size in axes
        )
        sides = [max(0, span.stop - span.start) for span in (rows, columns)]
        if min(sides) < self.least:
            raise InputError(
                f"protocol {self.name} leaves {sides[0]}x{sides[1]} pixels: it needs {self.least} a side; use "
                "another --protocol or larger images"
            )
        return rows, columns

    def reach(self, problem: Problem, truth: Truth) -> Region:
        """Return the rows and columns of x that the score depends on: the region, and the margin around it.

        Raises:
            InputError: where fewer than `least` pixels are left on an axis.
        """
        rows, columns = (
            slice(span.start - self.margin, span.stop + self.margin) for span in self.region(problem, truth)
        )
        return rows, columns


@dataclass(frozen=True)
class Protocol(_Rule):
    """A protocol that only crops; its attributes are those of the rule."""

    def score(self, restored: Image, problem: Problem, truth: Truth) -> Score:
        """Return the score of x, Shape (C, H, W) in the frame of the problem.

        The response is applied to x where the truth is display-encoded. Then x is clipped to [0, 1] and rounded to 8
        bit, and both images are cropped.

        Raises:
            InputError: where too few pixels are left to compare.
        """
        return scores([self], restored, problem, truth, Similarities())[self.name]


@dataclass(frozen=True)
class Aligned(_Rule):
    """A protocol that compares a restoration after the shift that brings it closest to the truth.

    It serves estimated kernels: a kernel that is off its centre shifts the restoration by as much. x, rounded to 8 bit,
    is compared with the truth's region at all shifts of a grid; the one with the least squared error in gray counts.

    Attributes:
        maximum: largest shift along an axis, in pixels.
        step: step of the grid of shifts, in pixels; between pixels x is interpolated bilinearly.
        gray: True to score the gray images, by `GRAY`, and not the colour images.
    """

    maximum: float
    step: float
    gray: bool

    @property
    def margin(self) -> int:
        """Largest shift of x, in whole pixels."""
        return ceil(self.maximum)

    def score(self, restored: Image, problem: Problem, truth: Truth) -> Score:
        """Return the score of x, Shape (C, H, W) in the frame of the problem, at its best shift.

        Raises:
            InputError: where too few pixels are left to compare.
        """
        image = to_8_bit(encoded(crop_to(restored, self.reach(problem, truth)), problem, truth))
        reference = self.reference(problem, truth)
        if self.gray:
            image, reference = luminance(image)[None], luminance(reference)[None]
        shift = alignment.best_shift(luminance(image), luminance(reference), self.maximum, self.step)
        shape = int(reference.shape[1]), int(reference.shape[2])
        aligned = alignment.shifted(image, shape, shift)
        return Score(psnr(aligned, reference), ssim(aligned, reference))

    def best(self, first: Score, second: Score) -> Score:
        """Return the score that counts of those against two truths: the one with the larger PSNR."""
        return second if second.psnr > first.psnr else first


@dataclass(frozen=True)
class Registered(_Rule):
    """The protocol of the benchmark of Koehler et al., ECCV 2012.

    x, rounded to 8 bit, is scaled by <truth, x> / <x, x> and moved by the whole-pixel shift of the largest circular
    cross-correlation with the truth (of the means over channels). Both images are set to 0 where the moved x leaves
    pixels empty. PSNR, and multi-scale SSIM in the place of SSIM, are those of the luminance, by `LUMA`. Of many truths
    the largest PSNR and the largest SSIM count.
    """

    #: five scales need more pixels
    least: ClassVar[int] = ms_ssim.SMALLEST

    def score(self, restored: Image, problem: Problem, truth: Truth) -> Score:
        """Return the score of x, Shape (C, H, W) in the frame of the problem.

        Raises:
            InputError: where too few pixels are left for five scales.
        """
        image = to_8_bit(encoded(self.crop(restored, problem, truth), problem, truth))
        reference = self.reference(problem, truth)
        image = image * scale_to(image, reference)
        shift = alignment.registered(image.mean(axis=0), reference.mean(axis=0))
        image, covered = alignment.moved(image, shift), alignment.moved(np.ones(image.shape[1:]), shift)
        gray, gray_reference = luminance(image, LUMA), luminance(reference * covered, LUMA)
        return Score(psnr(gray, gray_reference), ms_ssim.ms_ssim(gray, gray_reference))

    def best(self, first: Score, second: Score) -> Score:
        """Return the larger PSNR and the larger SSIM, as the benchmark's script does."""
        return Score(max(first.psnr, second.psnr), max(first.ssim, second.ssim))


#: A protocol of any kind.
AnyProtocol: TypeAlias = Protocol | Aligned | Registered

#: Weights of red, green and blue in gray: MATLAB's `rgb2gray`.
GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)

#: Weights of red, green and blue in the luminance of the benchmark of Koehler et al.
LUMA = (0.299, 0.587, 0.114)


def luminance(image: NDArray[Any], weights: Sequence[float] = GRAY) -> NDArray[np.float64]:
    """Return the gray of an image, Shape (C, H, W), as Shape (H, W): its only channel, or the weighted sum of three."""
    gray: NDArray[np.float64] = image[0] if len(image) == 1 else np.tensordot(np.array(weights), image, axes=1)
    return gray


def scale_to(image: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the factor by which an image is closest to a truth in squared error; 1 for a black image."""
    energy = float(np.vdot(image, image))
    return float(np.vdot(truth, image)) / energy if energy else 1.0


def extent(problem: Problem, truth: Truth, halves: int = 0) -> Region:
    """Return the rows and columns of x for the true kernel, counted from the first pixel of the problem's frame.

    They are the frame itself unless methods know another kernel than the true one. Both frames extend y, so that their
    positions relative to each other are known.

    Args:
        problem: the problem.
        truth: a truth of it, which has the size of the true kernel.
        halves: how often half the true kernel is cut off every side.
    """
    taps = truth.taps or problem.kernel.shape
    rows, columns = (
        slice(seen.start + (halves - 1) * ((size - 1) // 2), seen.stop - (halves - 1) * (size // 2))
        for seen, size in zip(problem.valid, taps, strict=True)
    )
    return rows, columns


def crop_to(image: Image, region: Region) -> Image:
    """Return a region of an image, Shape (C, H, W); pixels outside the image take the value of the nearest pixel.

    A method that knows a smaller kernel than the true one restores fewer pixels. They are completed so, as those of the
    input are, because all methods must be scored on the same pixels.
    """
    sizes = image.shape[1:]
    outside = [(max(0, -span.start), max(0, span.stop - size)) for span, size in zip(region, sizes, strict=True)]
    if np.any(outside):
        image = np.pad(image, ((0, 0), *outside), mode="edge")
    rows, columns = (_moved(span, before) for span, (before, _) in zip(region, outside, strict=True))
    return image[:, rows, columns]


def _crop_truth(truth: Truth, region: Region) -> Image:
    """Return a region of the frame of x, all of which the truth covers, of the truth."""
    rows, columns = (_moved(span, -first) for span, first in zip(region, truth.offset, strict=True))
    return truth.image[:, rows, columns]


def _moved(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)


def scores(
    protocols: Sequence[Protocol], restored: Image, problem: Problem, truth: Truth, similarities: Similarities
) -> dict[str, Score]:
    """Return the scores of x, Shape (C, H, W), by name of the protocol, as `Protocol.score` computes them.

    The similarity of a pixel depends on its window only, so that a single map over all regions serves all protocols.

    Raises:
        InputError: where a protocol leaves too few pixels to compare.
    """
    regions = {protocol.name: protocol.region(problem, truth) for protocol in protocols}
    rows, columns = (_span([region[axis] for region in regions.values()]) for axis in (0, 1))
    image = to_8_bit(encoded(crop_to(restored, (rows, columns)), problem, truth))
    reference = _crop_truth(truth, (rows, columns))
    similarity = similarities.to(reference).map(image)
    by_name = {}
    for name, region in regions.items():
        inside = (slice(None), _moved(region[0], -rows.start), _moved(region[1], -columns.start))
        by_name[name] = Score(psnr(image[inside], reference[inside]), mean_inside(similarity[inside]))
    return by_name


def _span(spans: Sequence[slice]) -> slice:
    return slice(min(span.start for span in spans), max(span.stop for span in spans))


def encoded(image: Image, problem: Problem, truth: Truth) -> Image:
    """Return x, any Shape, in the encoding of the truth: after the response where the truth is display-encoded."""
    shown: Image = problem.response.apply(image.clip(0, None)) if truth.encoded else image
    return shown


def to_8_bit(image: Image) -> NDArray[np.float64]:
    """Return the image clipped to [0, 1] and rounded to multiples of 1/255, as a file would hold it."""
    return eight_bit_levels(image) / WHITE


#: Protocols that only crop; every cell is scored by them.
CROPS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "half-kernel", "cut k-1 px an axis, to what y shows, 8 bit (the paper's released script)", halves=1, cut=0
        ),
        Protocol("cut-30", "cut 30 px a side, 8 bit (Nan et al. 2020)", halves=0, cut=30),
        Protocol("uncropped", "nothing cut, 8 bit", halves=0, cut=0),
        Protocol("anger", "cut 2(k-1) px an axis, 8 bit (the paper's released script for Anger's)", halves=2, cut=0),
    )
}

#: Pixels that `shift-aligned` cuts, and so the largest shift that it can search.
_LEVIN_CUT = 15


def _shift_aligned(maximum: float) -> Aligned:
    name = "shift-aligned" if maximum == 5 else f"shift-aligned:{maximum:g}"
    title = f"best of shifts to {maximum:g} px in steps of 0.25, bilinear; cut {_LEVIN_CUT} px a side, 8 bit"
    source = "(Levin et al. 2009)"
    return Aligned(name, f"{title} {source}", halves=0, cut=_LEVIN_CUT, maximum=maximum, step=0.25, gray=False)


#: Protocols that `nidbench rescore` computes.
ON_DEMAND: dict[str, Aligned | Registered] = {
    protocol.name: protocol
    for protocol in (
        _shift_aligned(5),
        # the benchmark's sharp images, like those of the dataset, already lack their outer 50 px; it cuts nothing else
        Aligned(
            "sun-official",
            "best of whole shifts to 10 px, all within what y shows; gray, 8 bit (Sun et al. 2013)",
            halves=1,
            cut=0,
            maximum=10,
            step=1,
            gray=True,
        ),
        Registered(
            "kohler",
            "scaled, registered to whole px, luminance, SSIM of five scales (Koehler et al. 2012)",
            halves=1,
            cut=0,
        ),
    )
}
PROTOCOLS: dict[str, AnyProtocol] = {**CROPS, **ON_DEMAND}

#: The protocol where none is named, and that of curves: other protocols need the stored estimate.
DEFAULT = CROPS["half-kernel"]


def protocol(name: str) -> AnyProtocol:
    """Return a protocol by name; `shift-aligned:10` has another largest shift than 5 pixels.

    Raises:
        UnknownNameError: where the name is unknown; the message lists the near misses, and all names.
        InputError: for a largest shift that is not allowed.
    """
    if name.startswith("shift-aligned:"):
        return _shift_aligned(_largest_shift(name))
    if name not in PROTOCOLS:
        raise UnknownNameError(unknown("protocol", name, PROTOCOLS))
    return PROTOCOLS[name]


def _largest_shift(name: str) -> float:
    text = name.partition(":")[2]
    try:
        maximum = float(text)
    except ValueError:
        maximum = -1
    if not 0 < maximum <= _LEVIN_CUT or maximum % 0.25:
        raise InputError(
            f"protocol {name!r}: give the largest shift as a multiple of 0.25 px up to {_LEVIN_CUT}, such as "
            "shift-aligned:10"
        )
    return maximum
