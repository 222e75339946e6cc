"""PSNR and SSIM, and the named protocols that say what is compared: a number never appears without one.

Protocols that only crop (`CROPS`) cost little, and every cell has them. The others (`ON_DEMAND`) search a shift, for
kernels that are estimates, or many truths; `nidbench rescore` computes them from the stored restorations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nidbench.contract.truth import Truth
from nidbench.errors import InputError, UnknownNameError
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem

from . import alignment, ms_ssim
from .metrics import Score, mean_of_windows, psnr, similarity_map, ssim

#: Rows and columns of an image.
Part: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True)
class _Region:
    """What a named rule compares, counted from the truth and the true kernel, whatever kernel methods are told.

    Attributes:
        name: as on the command line.
        title: one line for tables.
        halves: how often half the true kernel is cut off x; once leaves what y shows.
        cut: pixels cut off each side of what the truth shows of the rest.
    """

    name: str
    title: str
    halves: int
    cut: int

    #: pixels a side that the rule takes
    least: ClassVar[int] = 11

    @property
    def margin(self) -> int:
        """Pixels by which x is moved, none of them beyond what is left of it."""
        return 0

    def crop(self, image: Image, problem: Problem, truth: Truth) -> Image:
        """Return what is compared of an image in the frame of x, Shape (C, H, W)."""
        return part_of(image, self.region(problem, truth))

    def reference(self, problem: Problem, truth: Truth) -> Image:
        """Return what it is compared with: the same part of the truth."""
        return _of_truth(truth, self.region(problem, truth))

    def region(self, problem: Problem, truth: Truth) -> Part:
        """Return the rows and columns of x that are compared, counted from the first pixel of the frame of x.

        All of them the truth shows; the frame of x may not, where methods are told a smaller kernel: see `part_of`.

        Raises:
            InputError: where too little is left on an axis.
        """
        inside, cut = max(self.cut, self.margin), self.cut
        known = zip(extent(problem, truth, self.halves), truth.offset, truth.image.shape[1:], strict=True)
        rows, columns = (
            slice(max(part.start + inside, first + cut), min(part.stop - inside, first + size - cut))
            for part, first, size in known
        )
        sides = [max(0, part.stop - part.start) for part in (rows, columns)]
        if min(sides) < self.least:
            raise InputError(
                f"protocol {self.name} leaves {sides[0]}x{sides[1]} pixels: {self.least} a side are needed; use "
                "another --protocol or larger images"
            )
        return rows, columns

    def reach(self, problem: Problem, truth: Truth) -> Part:
        """Return the rows and columns of x that the score depends on: the region, and as far as x is moved.

        Raises:
            InputError: where too little is left on an axis.
        """
        rows, columns = (
            slice(part.start - self.margin, part.stop + self.margin) for part in self.region(problem, truth)
        )
        return rows, columns


@dataclass(frozen=True)
class Protocol(_Region):
    """A named rule that only crops: attributes as of its region."""

    def score(self, restored: Image, problem: Problem, truth: Truth) -> Score:
        """Return the score of x, Shape (C, H, W) in the frame of the problem.

        The response is applied where the truth is display-encoded; values are clipped to [0, 1] and rounded to 8 bit,
        then both images are cropped.

        Raises:
            InputError: where nothing is left to compare.
        """
        return scores([self], restored, problem, truth)[self.name]


@dataclass(frozen=True)
class Aligned(_Region):
    """A named rule of what is compared after the shift that suits the restoration best.

    An estimated kernel may be off its centre, and the restoration is moved as much. x, rounded to 8 bit, is compared at
    each shift of a grid with the truth's region; the shift of least squared error, in gray, counts.

    Attributes:
        maximum: of the shift along an axis, in pixels.
        step: of the grid of shifts, in pixels; between pixels x is interpolated bilinearly.
        gray: whether the score, too, is that of the gray image, by `GRAY`.
    """

    maximum: float
    step: float
    gray: bool

    @property
    def margin(self) -> int:
        """Pixels by which x is moved at most."""
        return ceil(self.maximum)

    def score(self, restored: Image, problem: Problem, truth: Truth) -> Score:
        """Return the score of x, Shape (C, H, W) in the frame of the problem, at its best shift.

        Raises:
            InputError: where nothing is left to compare.
        """
        image = to_8_bit(encoded(part_of(restored, self.reach(problem, truth)), problem, truth))
        reference = self.reference(problem, truth)
        if self.gray:
            image, reference = luminance(image)[None], luminance(reference)[None]
        shift = alignment.best_shift(luminance(image), luminance(reference), self.maximum, self.step)
        shape = int(reference.shape[1]), int(reference.shape[2])
        there = alignment.shifted(image, shape, shift)
        return Score(psnr(there, reference), ssim(there, reference))

    def best(self, first: Score, second: Score) -> Score:
        """Return which of the scores against two truths counts."""
        return second if second.psnr > first.psnr else first


@dataclass(frozen=True)
class Registered(_Region):
    """The rule of the benchmark of Koehler et al., ECCV 2012.

    x, rounded to 8 bit, is scaled by <truth, x> / <x, x>, moved by the whole pixels of the largest circular
    cross-correlation with the truth (means over channels), and both are set to 0 where nothing of x comes to lie. PSNR
    and multi-scale SSIM (in the place of SSIM) are those of the luminance, by `LUMA`; of many truths, the largest of
    each.
    """

    #: five scales take more
    least: ClassVar[int] = ms_ssim.SMALLEST

    def score(self, restored: Image, problem: Problem, truth: Truth) -> Score:
        """Return the score of x, Shape (C, H, W) in the frame of the problem.

        Raises:
            InputError: where too little is left for five scales.
        """
        image = to_8_bit(encoded(self.crop(restored, problem, truth), problem, truth))
        reference = self.reference(problem, truth)
        image = image * scale_to(image, reference)
        shift = alignment.registered(image.mean(axis=0), reference.mean(axis=0))
        image, seen = alignment.moved(image, shift), alignment.moved(np.ones(image.shape[1:]), shift)
        one, other = luminance(image, LUMA), luminance(reference * seen, LUMA)
        return Score(psnr(one, other), ms_ssim.ms_ssim(one, other))

    def best(self, first: Score, second: Score) -> Score:
        """Return the larger PSNR and the larger SSIM, as the benchmark's script does."""
        return Score(max(first.psnr, second.psnr), max(first.ssim, second.ssim))


#: What is asked for by a protocol's name.
AnyProtocol: TypeAlias = Protocol | Aligned | Registered

#: Weights of red, green and blue in gray: MATLAB's `rgb2gray`.
GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)

#: Weights of red, green and blue in the luminance of the benchmark of Koehler et al.
LUMA = (0.299, 0.587, 0.114)


def luminance(image: NDArray[Any], weights: Sequence[float] = GRAY) -> NDArray[np.float64]:
    """Return the gray of an image, Shape (C, H, W), as Shape (H, W): its one channel, or the weighted sum of three."""
    gray: NDArray[np.float64] = image[0] if len(image) == 1 else np.tensordot(np.array(weights), image, axes=1)
    return gray


def scale_to(image: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the factor that brings an image closest to a truth; 1 for a black one."""
    energy = float(np.vdot(image, image))
    return float(np.vdot(truth, image)) / energy if energy else 1.0


def extent(problem: Problem, truth: Truth, halves: int = 0) -> Part:
    """Return the rows and columns that x has by the true kernel, counted from the first pixel of the frame of x.

    That is the frame itself, unless methods are told another kernel: y, which both frames extend, ties the two.

    Args:
        problem: the measurement.
        truth: what it is compared with, which knows of the true kernel.
        halves: how often half the true kernel is cut off each side.
    """
    taps = truth.taps or problem.kernel.shape
    rows, columns = (
        slice(seen.start + (halves - 1) * ((size - 1) // 2), seen.stop - (halves - 1) * (size // 2))
        for seen, size in zip(problem.valid, taps, strict=True)
    )
    return rows, columns


def part_of(image: Image, part: Part) -> Image:
    """Return rows and columns of an image, Shape (C, H, W); outside of it its nearest pixels.

    Those of x that methods do not know of, told a smaller kernel than the true one, are so completed, as the input's
    are: otherwise they would be scored on fewer pixels than others.
    """
    outside = [(max(0, -own.start), max(0, own.stop - size)) for own, size in zip(part, image.shape[1:], strict=True)]
    if np.any(outside):
        image = np.pad(image, ((0, 0), *outside), mode="edge")
    rows, columns = (_shift(own, before) for own, (before, _) in zip(part, outside, strict=True))
    return image[:, rows, columns]


def _of_truth(truth: Truth, part: Part) -> Image:
    """Return what of a truth lies in rows and columns of the frame of x, all of which it shows."""
    rows, columns = (_shift(own, -first) for own, first in zip(part, truth.offset, strict=True))
    return truth.image[:, rows, columns]


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
    image = to_8_bit(encoded(part_of(restored, (rows, columns)), problem, truth))
    reference = _of_truth(truth, (rows, columns))
    similarity = similarity_map(image, reference)
    found = {}
    for name, region in regions.items():
        inside = (slice(None), _shift(region[0], -rows.start), _shift(region[1], -columns.start))
        found[name] = Score(psnr(image[inside], reference[inside]), mean_of_windows(similarity[inside]))
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


#: Protocols that only crop, which every cell is scored by.
CROPS = {
    protocol.name: protocol
    for protocol in (
        Protocol("half-kernel", "cut floor(k/2) a side, 8 bit (the paper's released script)", halves=1, cut=0),
        Protocol("cut-30", "cut 30 px a side, 8 bit (Nan et al. 2020)", halves=0, cut=30),
        Protocol("uncropped", "nothing cut, 8 bit", halves=0, cut=0),
        Protocol(
            "anger", "cut 2 floor(k/2) a side, 8 bit (the paper's released script for Anger's images)", halves=2, cut=0
        ),
    )
}

#: Pixels cut by `shift-aligned`, and so the largest shift it can search.
_LEVIN_CUT = 15


def _shift_aligned(maximum: float) -> Aligned:
    name = "shift-aligned" if maximum == 5 else f"shift-aligned:{maximum:g}"
    title = f"best of shifts to {maximum:g} px in steps of 0.25, bilinear; cut {_LEVIN_CUT} px a side, 8 bit"
    return Aligned(name, f"{title} (Levin et al. 2009)", 0, _LEVIN_CUT, maximum=maximum, step=0.25, gray=False)


#: Protocols that are computed when asked for, by `nidbench rescore`.
ON_DEMAND: dict[str, Aligned | Registered] = {
    protocol.name: protocol
    for protocol in (
        _shift_aligned(5),
        # the benchmark's sharp images, like those of the dataset, lack their outer 50 px already, and it cuts no more
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
            "kohler", "scaled, registered to whole px, luminance, SSIM of five scales (Koehler et al. 2012)", 1, 0
        ),
    )
}
PROTOCOLS: dict[str, AnyProtocol] = {**CROPS, **ON_DEMAND}

#: The one that is meant where none is named, and that of curves: other protocols need the stored estimate.
DEFAULT = CROPS["half-kernel"]


def protocol(name: str) -> AnyProtocol:
    """Return a protocol by name; `shift-aligned:10` is the one with another largest shift than 5 pixels.

    Raises:
        UnknownNameError: listing those there are.
        InputError: for a largest shift that breaks the rule.
    """
    if name.startswith("shift-aligned:"):
        return _shift_aligned(_largest_shift(name))
    if name not in PROTOCOLS:
        raise UnknownNameError(f"unknown protocol {name!r}: use one of {', '.join(PROTOCOLS)}")
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
