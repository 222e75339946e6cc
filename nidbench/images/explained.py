"""Whether a sharp image explains a measurement: y should be g(k * x) but for the noise.

A truth of another scene, place or orientation, or a kernel that is turned, costs many dB and looks like a bad method.
What is compared is the residual after the best straight line, so that another brightness, which is told elsewhere,
hides nothing. The same holds of a restoration that was computed elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nidbench.physics.arrays import Image, Kernel
from nidbench.physics.measure import SMALLEST_VALID, convolved
from nidbench.physics.noise_level import estimate_noise_level
from nidbench.physics.problem import Problem

#: Most rows and columns that are compared, in the middle.
_SIDE = 512
#: Part of the residual's energy that another reading leaves at most, where it is told.
_LESS = 0.7
#: Farthest that a truth is looked for, in pixels.
_REACH = 24
#: Share of the energy of y, beyond the noise, that a truth of this scene leaves unexplained at most.
_UNEXPLAINED = 0.5
#: Energy of the residual, in that of the noise, below which nothing is looked for.
_AS_NOISE = 1.5

#: Share of the energy of y, beyond the noise, that an image leaves at most whose contrast is compared.
_CLOSELY = 0.05
#: Factor between the contrasts of y and of an image, blurred, from which it is told.
_CONTRAST = 1.3
#: Difference of the means of y and of an image, blurred, from which it is told: it alone limits PSNR to 30 dB.
_LEVEL = 0.03

#: Energy of what rounding to 8 bits leaves, on [0, 1].
_ROUNDING = 1 / 12 / 255**2


class _Reading(NamedTuple):
    """Another way to read the files, in words, and x and k as they are then."""

    words: str
    sharp: Image
    kernel: Kernel


class _Line(NamedTuple):
    """How y follows from an image, blurred: the factor, and how far that image lies above y in the mean.

    Of several channels, that which is farthest off counts.
    """

    slope: float
    above: float


class _Unexplained(NamedTuple):
    """What a sharp image, blurred, leaves of y: the energy of the residual, that of noise, and that of y in all."""

    left: float
    noise: float
    energy: float

    @property
    def half(self) -> float:
        """The energy of a residual that leaves half of y, beyond the noise, unexplained."""
        return self.noise + _UNEXPLAINED * max(self.energy - self.noise, 0.0)


def contradiction(problem: Problem, sharp: Image, offset: tuple[int, int]) -> str:
    """Return how y contradicts that it is a truth, blurred, and what would fit better; empty where it does not.

    Args:
        problem: y and k.
        sharp: x or a part of it, linear, Shape (C, H, W).
        offset: row and column of its first pixel in the frame of x.
    """
    found = _unexplained_by(problem, sharp, offset)
    if found is None:
        return ""
    if better := _better(problem, sharp, offset, found.left, "truth"):
        return better
    if found.left > found.half:
        root = found.left**0.5
        return f"the truth, blurred by the kernel, leaves a residual of {root:.2g} of it: are they of one scene?"
    return ""


def misread(
    problem: Problem, restored: Image, offset: tuple[int, int], *, of_kernel: bool = True, of_any: bool = True
) -> str:
    """Return how a restoration, or k, would explain y better if it were turned, mirrored or moved; empty where not so.

    Args:
        problem: y and k.
        restored: an estimate of x or of a part of it, linear, Shape (C, H, W).
        offset: row and column of its first pixel in the frame of x.
        of_kernel: whether k is turned, too. Where y has no noise and the restoration has, another kernel may smooth
            more of it, and would seem better.
        of_any: whether it is told where less than half of y is explained then, too: what has hardly begun may fit
            better anyhow.
    """
    found = _unexplained_by(problem, restored, offset)
    if found is None:
        return ""
    most = math.inf if of_any else found.half
    return _better(problem, restored, offset, found.left, "restoration", of_kernel=of_kernel, most=most)


def other_contrast(problem: Problem, image: Image, offset: tuple[int, int]) -> str:
    """Return how the contrast of x differs from that which y shows; empty where it hardly does, or x explains y poorly.

    A restoration that was stretched to the full range, as many programs save pictures, keeps its mean, nearly.

    Args:
        problem: y and k.
        image: x or a part of it, linear, Shape (C, H, W).
        offset: row and column of its first pixel in the frame of x.
    """
    line = _line(problem, image, offset)
    if line is None or 1 / _CONTRAST < line.slope < _CONTRAST:
        return ""
    return f"{1 / line.slope:.3g} times the contrast that the blurred image shows, as if it was stretched or squeezed"


def other_level(problem: Problem, image: Image, offset: tuple[int, int]) -> str:
    """Return how far x is brighter or darker than y shows; empty where it hardly is, or x explains y poorly.

    A camera's offset that one of two images still has costs many dB: no blur changes the mean.

    Args:
        problem: y and k.
        image: x or a part of it, linear, Shape (C, H, W).
        offset: row and column of its first pixel in the frame of x.
    """
    line = _line(problem, image, offset)
    if line is None or abs(line.above) < _LEVEL:
        return ""
    way = "above" if line.above > 0 else "below"
    return f"a mean {abs(line.above):.2g} {way} what the blurred image shows: another offset, exposure or response"


def _line(problem: Problem, image: Image, offset: tuple[int, int]) -> _Line | None:
    """Return the line from g(k * x) to y; None where x does not explain y closely."""
    pair = _pair(problem, image, problem.kernel, offset)
    if pair is None:
        return None
    y, shown = (each - each.mean((1, 2), keepdims=True) for each in pair)
    energy = float(np.square(shown).mean())
    slope = float((y * shown).mean()) / energy if energy > 0 else 0.0
    noise = _noise_of(problem, pair[0])
    unexplained = float(np.square(y - slope * shown).mean()) - noise
    is_close = slope > 0 and unexplained < _CLOSELY * (float(np.square(y).mean()) - noise)
    above = (pair[1] - pair[0]).mean((1, 2))
    return _Line(slope, float(above[np.abs(above).argmax()])) if is_close else None


def _noise_of(problem: Problem, y: NDArray[np.float64]) -> float:
    """Return the energy of the noise in a part of y, with what rounding adds."""
    # of large images the middle says enough, and the estimate takes seconds for all of them
    level = problem.sigma() if problem.noise.level is not None else estimate_noise_level(y)
    return level**2 + _ROUNDING


def _unexplained_by(problem: Problem, sharp: Image, offset: tuple[int, int]) -> _Unexplained | None:
    """Return what a sharp image leaves of y; None where that is as noise, or too little of it is seen to say."""
    pair = _pair(problem, sharp, problem.kernel, offset)
    if pair is None:
        return None
    left, noise = _unexplained(*pair), _noise_of(problem, pair[0])
    return None if left <= _AS_NOISE * noise else _Unexplained(left, noise, float(pair[0].var((1, 2)).mean()))


def _better(
    problem: Problem,
    sharp: Image,
    offset: tuple[int, int],
    left: float,
    name: str,
    *,
    of_kernel: bool = True,
    most: float = math.inf,
) -> str:
    """Return what would explain y better, in words.

    `left` is the energy of the residual, `most` that which another may have; `name` is what x is called.
    """
    others: dict[str, float] = {}
    for reading in _readings(sharp, problem.kernel, name):
        if of_kernel or reading.kernel is problem.kernel:
            there = _origin(offset, problem.kernel, reading.kernel)
            other = _residual(problem, reading.sharp, reading.kernel, there)
            others |= {} if other is None else {reading.words: other}
    moved = _moved(problem, sharp, offset)
    if moved is not None:
        (rows, columns), energy = moved
        others[f"the {name} were {_where(rows, columns)}"] = energy
    best = min(others, key=others.__getitem__, default="")
    if not best or others[best] >= min(_LESS * left, most):
        return ""
    return f"it would be explained better if {best}: a residual of {others[best] ** 0.5:.2g}, not {left**0.5:.2g}"


def _origin(offset: tuple[int, int], kernel: Kernel, other: Kernel) -> tuple[int, int]:
    """Return where an image's first pixel is in the frame of x that another kernel makes, its place in y unchanged."""
    rows, columns = ((to - 1) // 2 - (of - 1) // 2 for of, to in zip(kernel.shape, other.shape, strict=True))
    return offset[0] + rows, offset[1] + columns


def _readings(sharp: Image, kernel: Kernel, name: str) -> Iterator[_Reading]:
    yield _Reading("the kernel were turned by 180 degrees", sharp, kernel[::-1, ::-1])
    yield _Reading("the kernel were upside down", sharp, kernel[::-1])
    yield _Reading("the kernel were mirrored left to right", sharp, kernel[:, ::-1])
    yield _Reading(f"the {name} were upside down", sharp[:, ::-1], kernel)
    yield _Reading(f"the {name} were mirrored left to right", sharp[:, :, ::-1], kernel)
    yield _Reading(f"the {name} were turned by 180 degrees", sharp[:, ::-1, ::-1], kernel)
    if len(sharp) == 3:
        yield _Reading(f"the {name}'s channels were in reverse, BGR for RGB", sharp[::-1], kernel)
    yield _Reading("the kernel's rows were its columns", sharp, kernel.T)
    if sharp.shape[1] == sharp.shape[2]:
        yield _Reading(f"the {name}'s rows were its columns", sharp.transpose(0, 2, 1), kernel)


def _where(rows: int, columns: int) -> str:
    parts = [(rows, "row", "lower", "higher"), (columns, "column", "further right", "further left")]
    said = [
        f"{abs(by)} {unit}{'s' if abs(by) > 1 else ''} {onwards if by > 0 else backwards}"
        for by, unit, onwards, backwards in parts
        if by
    ]
    return " and ".join(said)


def _residual(problem: Problem, sharp: Image, kernel: Kernel, offset: tuple[int, int]) -> float | None:
    """Return the mean square of y less the best line of g(k * x), in the middle; None where too little is shown."""
    pair = _pair(problem, sharp, kernel, offset)
    return None if pair is None else _unexplained(*pair)


def _pair(
    problem: Problem, sharp: Image, kernel: Kernel, offset: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return y and g(k * x) where both are known, in the middle, Shape (C, h, w)."""
    starts = [max(0, first) for first in offset]
    sides = zip(offset, sharp.shape[1:], kernel.shape, problem.blurred.shape[1:], strict=True)
    stops = [min(shown, first + size - taps + 1) for first, size, taps, shown in sides]
    spans = []
    for start, stop in zip(starts, stops, strict=True):
        if stop - start < SMALLEST_VALID:
            return None
        cut = max(0, stop - start - _SIDE) // 2
        spans.append(slice(start + cut, stop - cut))
    y = problem.blurred[:, *spans].astype(np.float64)
    needed = [
        slice(span.start - first, span.stop - first + taps - 1)
        for span, first, taps in zip(spans, offset, kernel.shape, strict=True)
    ]
    return y, np.asarray(problem.response.apply(convolved(sharp[:, *needed], kernel)))


def _unexplained(y: NDArray[np.float64], shown: NDArray[np.float64]) -> float:
    """Return the mean square of what is left of y, each channel by its own line."""
    axes = (1, 2)
    y, shown = y - y.mean(axes, keepdims=True), shown - shown.mean(axes, keepdims=True)
    energy = np.square(shown).mean(axes)
    slope = np.divide((y * shown).mean(axes), energy, out=np.zeros(len(y)), where=energy > 0)
    return float(np.square(y - slope.clip(0, None)[:, None, None] * shown).mean())


def _moved(problem: Problem, sharp: Image, offset: tuple[int, int]) -> tuple[tuple[int, int], float] | None:
    """Return how far the truth is best moved, in rows and columns, and what it leaves then; None for not at all."""
    pair = _pair(problem, sharp, problem.kernel, offset)
    if pair is None:
        return None
    y, shown = (image.mean(0) - image.mean() for image in pair)
    shape = [2 * side for side in y.shape]  # zeros, so that nothing wraps
    correlation = np.fft.irfft2(np.fft.rfft2(y, shape) * np.fft.rfft2(shown, shape).conj(), shape)
    reach = [min(_REACH, side // 4) for side in y.shape]
    near = np.roll(correlation, reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    best, share = _descended(problem, sharp, offset, (int(row) - reach[0], int(column) - reach[1]))
    return None if best == (0, 0) else (best, share * float(pair[0].var((1, 2)).mean()))


def _descended(
    problem: Problem, sharp: Image, offset: tuple[int, int], first: tuple[int, int]
) -> tuple[tuple[int, int], float]:
    """Return the place near a first one that leaves the least share of y, and that share.

    The correlation of images is smooth. Shares are compared, as another place shows another part of y, which may be
    flatter.
    """
    known: dict[tuple[int, int], float] = {}

    def share_at(by: tuple[int, int]) -> float:
        if by not in known:
            is_near = max(abs(by[0]), abs(by[1])) <= _REACH
            there = offset[0] + by[0], offset[1] + by[1]
            pair = _pair(problem, sharp, problem.kernel, there) if is_near else None
            energy = 0.0 if pair is None else float(pair[0].var((1, 2)).mean())
            known[by] = _unexplained(*pair) / energy if pair is not None and energy > 0 else float("inf")
        return known[by]

    here, best = None, first
    while here != best:
        here = best
        around = [(here[0] + rows, here[1] + columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1)]
        best = min((here, *around), key=share_at)
    return best, share_at(best)
