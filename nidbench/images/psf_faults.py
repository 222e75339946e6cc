"""Examines the weights of a kernel file for faults that keep them from being a kernel, and takes off backgrounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: The background that is taken off a kernel. `none`: nothing. `border`: the level of the border, then all weights below
#: 0 or within the noise of the border. `clip`: weights below 0. `keep`: nothing, and no background is searched for.
Background: TypeAlias = Literal["none", "border", "clip", "keep"]

BACKGROUNDS: tuple[Background, ...] = ("none", "border", "clip", "keep")

Say: TypeAlias = Callable[[str], str]
"""A value of `Background`, or `centred` -> how a person says that this is to be done; empty where it cannot be said."""


def as_argument(word: str) -> str:
    """Return how it is said in Python."""
    return "give centred=True" if word == "centred" else f'give background="{word}"'


#: Negative weights down to this fraction of the largest weight are rounding errors, of FFTs in single precision.
_ROUNDING = 1e-6

#: Smallest side in pixels of kernels that are compared with photographs: smaller ones are often cut off above zero.
_LARGE = 16

#: Smallest side in pixels of kernels that are examined for a background: in smaller ones the border is the kernel.
_MIDDLE = 7

#: Largest mean of the weakest of the four sides, relative to the mean weight. Kernels that are cut out without a margin
#: touch some sides in a few pixels; among those of the datasets the largest value is 4e-12. Most photographs exceed it.
_BORDER = 0.25

#: Least fraction of the sum that a background holds; deviations by which the kernel must rise above a background.
_SHARE, _ABOVE = 0.005, 6.0

#: Largest fraction of zeros in the border of a background or a photograph: with few photons some pixels get none.
_ZEROS = 0.2

#: Smallest side in pixels along which kernels may be wrapped around, and the largest sum, relative to that of the
#: heaviest, of an empty row or column.
_SPLIT, _EMPTY = 5, 1e-3

#: Ratio of standard deviation and median absolute deviation of normal noise.
_MAD = 1.4826


def without_background(weights: NDArray[np.float64], background: Background) -> NDArray[np.float64]:
    """Return weights, Shape (kh, kw), without their background; those that are not finite stay as they are."""
    if background in ("none", "keep") or not np.isfinite(weights).all():
        return weights
    if background == "clip":
        return weights.clip(0, None)
    within = _filled(weights) if _pedestal(weights) else (slice(None), slice(None))  # a box has no level of its border
    level, noise = _level(border(weights[within]))
    above = weights[within] - level
    clean = np.zeros_like(weights)
    clean[within] = np.where(above > 3 * noise, above, 0.0)
    return clean


def _filled(weights: NDArray[np.float64]) -> tuple[slice, slice]:
    """Return the rows and columns of weights without those of zeros around them, which somebody may have put there."""
    filled = np.abs(weights) > _ROUNDING * np.abs(weights).max(initial=0.0)
    rows, columns = (np.flatnonzero(filled.any(axis)) for axis in (1, 0))
    if not rows.size:
        return slice(None), slice(None)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def border(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the outermost weights in their order around the kernel; all of them where a side is 1."""
    if min(weights.shape) < 2:
        return weights.ravel()
    return np.concatenate([weights[0], weights[1:-1, -1], weights[-1, ::-1], weights[-2:0:-1, 0]])


def _level(ring: NDArray[np.float64]) -> tuple[float, float]:
    """Return the level of a border and the standard deviation around it, both without outliers.

    The level is the mean of the weights near the median; the median itself is too low where noise was cut off at 0.
    """
    middle = float(np.median(ring))
    deviation = _MAD * float(np.median(np.abs(ring - middle)))
    return float(ring[np.abs(ring - middle) <= 3 * deviation].mean()), deviation


def fault(weights: NDArray[np.float64], *, kept: bool, say: Say = as_argument) -> tuple[str, str] | None:
    """Return why weights are not a kernel, and the way out; None where they may be one.

    Args:
        weights: Shape (kh, kw), some of them positive.
        kept: True where a person states that they are right; only negative weights are then a fault.
        say: how a person says what to do about it.
    """
    keep = f"; if it is right as it stands, {say('keep')}"
    size = f"{weights.shape[0]}x{weights.shape[1]}"
    if weights.min() < -_ROUNDING * weights.max():
        below = -weights.clip(None, 0).sum() / weights.clip(0, None).sum()
        lowest = weights.min() / weights.max()
        return f"it is negative in places, down to {lowest:.3g} of its largest weight, {below:.2g} of its sum", (
            f"{say('clip')} to take them for 0, {say('border')} to take off a background as well, or correct it"
        )
    if kept:
        return None
    if axes := _wrapped_axes(weights):
        shift = "numpy.fft.fftshift" + ("" if len(axes) == 2 else f"(kernel, axes={axes[0]})")
        return (
            "its weights are wrapped around its corners, or from one side to the other",
            f"move its origin to the middle with {shift}" + (f", or {said}" if (said := say("centred")) else "") + keep,
        )
    if level := _pedestal(weights):
        share = level * weights[_filled(weights)].size / weights.sum()
        return (
            f"its {size} pixels lie on a background of {level:.4g}, as of a camera's pedestal, {share:.0%} of its sum",
            f"{say('border')} to take it off, or take it off before you save the kernel" + keep,
        )
    if _bright_border(weights):
        return (
            f"its {size} pixels are brighter along the border than inside, as those of an inverted picture",
            "give the blur kernel bright, on a background of 0" + keep,
        )
    if _like_a_photograph(weights):
        return (
            f"its {size} pixels have weight along all four sides, as those of a photograph",
            "give the blur kernel alone, on a background of 0" + keep,
        )
    return None


def _pedestal(weights: NDArray[np.float64]) -> float:
    """Return the level of a background, which is that of a flat border to which the kernel falls off; 0 for none.

    Zeros around the whole hide no background. Three kinds of kernels are not mistaken for one with a background: a wide
    kernel that is cut off varies along its border, a box falls off at once, even with fractional sides, and a kernel
    with many zeros in its border has no background, which would be everywhere.
    """
    weights = weights[_filled(weights)]
    ring = border(weights)
    if min(weights.shape) < _MIDDLE or (ring == 0).mean() > _ZEROS or not _flat(ring):
        return 0.0
    level, deviation = _level(ring)
    height = weights.max() - level
    if level * weights.size < _SHARE * weights.sum() or height < _ABOVE * deviation:
        return 0.0
    inside = weights[1:-1, 1:-1]
    if height < 0.1 * level:
        return level if _is_peak(weights, level, height) else 0.0
    at_level = np.abs(inside - level) <= max(0.1 * level, 3 * deviation)
    falls_off = height > 2 * level and np.median(border(inside)) - level < 0.25 * height
    return level if at_level.mean() >= 0.5 or falls_off else 0.0


def _is_peak(weights: NDArray[np.float64], level: float, height: float) -> bool:
    """Return whether weights that rise little above their border do so in a peak, as no box does that was measured.

    Boxes that slope or sag differ along their border, too, those with soft edges are high nearly everywhere inside, and
    rounded ones differ by a step or two.
    """
    step = float(np.diff(np.unique(weights)).min(initial=np.inf))
    at_level = np.abs(border(weights) - level) <= 0.25 * height
    inside = float(np.median(weights[1:-1, 1:-1]))
    rises = height > max(3 * step, 10 * _ROUNDING * level)
    return bool(rises and at_level.mean() >= 0.9 and inside - level < 0.4 * height)


def _flat(ring: NDArray[np.float64]) -> bool:
    """Return whether a border has a single level with noise, in which neighbours differ as much as distant pixels.

    A tenth of the border may deviate, where the kernel crosses it.
    """
    level, deviation = _level(ring)
    opposite = ring[(np.arange(ring.size) + ring.size // 2) % ring.size]  # equal in a wide, symmetric kernel
    differences = (ring - np.roll(ring, 1), ring - opposite)
    noise = min(_MAD * float(np.median(np.abs(difference))) for difference in differences) / np.sqrt(2)
    at_level = np.abs(ring - level) <= max(0.1 * abs(level), 3 * deviation)
    return bool(deviation <= max(0.1 * abs(level), 1.5 * noise) and at_level.mean() >= 0.9)


def _bright_border(weights: NDArray[np.float64]) -> bool:
    """Return whether weights are dark on a bright background, or lie mostly all along the border."""
    if min(weights.shape) < _MIDDLE:
        return False
    ring = border(weights)
    level, _ = _level(ring)
    if ring.sum() > 0.5 * weights.sum() and (ring > 0).mean() >= 0.9:
        return True
    inverted = level > 0.9 * weights.max() and (weights < 0.5 * level).any()
    return bool(inverted) and _flat(ring)


def is_dark_inside(weights: NDArray[np.float64]) -> bool:
    """Return whether the pixel in the middle is darker than every one of the border, whatever the size."""
    rows, columns = weights.shape
    return min(rows, columns) >= 3 and bool(weights[rows // 2, columns // 2] < 0.99 * border(weights).min())


def unwrapped(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights, Shape (kh, kw), with their origin in the middle where it is in the first pixel."""
    return np.fft.fftshift(weights, _wrapped_axes(weights))


def _wrapped_axes(weights: NDArray[np.float64]) -> tuple[int, ...]:
    """Return the axes along which a kernel has its origin in the first pixel; none where it is not wrapped around."""
    mass = weights.clip(0, None)
    profiles = mass.sum(axis=1), mass.sum(axis=0)
    is_line = min(np.count_nonzero(profile > _EMPTY * profile.max()) for profile in profiles) == 1
    axes = tuple(axis for axis, profile in enumerate(profiles) if profile.size == 1 or _gathered(profile) < 1)
    is_split = any(_is_split(profile, is_line=is_line) for profile in profiles)
    if (len(axes) == 2 and _fills_corners(mass)) or (
        is_split and _spread(np.fft.fftshift(mass, axes)) < 0.5 * _spread(mass)
    ):
        return axes
    return ()


def _fills_corners(mass: NDArray[np.float64]) -> bool:
    """Return whether weights lie around all four corners, and shifted by half their size around the middle."""
    if min(mass.shape) < _SPLIT:
        return False
    rows, columns = (side // 2 for side in mass.shape)
    halves = mass[:rows], mass[rows:]
    quarters = [quarter for half in halves for quarter in (half[:, :columns], half[:, columns:])]
    if min(quarter.sum() for quarter in quarters) < 0.02 * mass.sum():
        return False
    return _spread(np.fft.fftshift(mass)) < 0.2 * _spread(mass)


def _is_split(profile: NDArray[np.float64], *, is_line: bool) -> bool:
    """Return whether sums along an axis lie at both of its ends, and are one piece where these are joined.

    Double exposures have two pieces, too, but of a pixel or two, or weak where the ends are joined. Those of slow
    motion with a fast stretch between are not empty between them.
    """
    relative = profile / profile.max()
    if profile.size < _SPLIT or min(relative[0], relative[-1]) <= _EMPTY or max(relative[0], relative[-1]) < 0.65:
        return False
    left, right = _ends(relative)
    if left + right > 0.75 * profile.size:
        return is_line and _gathered(profile) < 0.2
    if np.count_nonzero(relative > _EMPTY) < left + right:
        return False
    are_points = max(left, right) <= 2
    return not are_points or np.allclose(relative[1:3], relative[:-3:-1], rtol=0, atol=0.01)


def _ends(relative: NDArray[np.float64]) -> tuple[int, int]:
    """Return how many pixels lie before and behind the longest empty stretch of a profile with a maximum of 1."""
    filled = np.flatnonzero(relative > _EMPTY)
    last = int(np.argmax(np.diff(filled, append=filled[-1])))
    return int(filled[last]) + 1, relative.size - int(filled[min(last + 1, filled.size - 1)])


def _gathered(profile: NDArray[np.float64]) -> float:
    """Return the factor by which a shift by half an axis's length changes the spread around the middle."""
    before = _spread(profile[None])
    return _spread(np.fft.fftshift(profile)[None]) / before if before else np.inf


def _spread(weights: NDArray[np.float64]) -> float:
    """Return the mean squared distance of the weights from the middle, in pixels squared."""
    down, right = (np.arange(side) - side // 2 for side in weights.shape)
    return float((weights * (down[:, None] ** 2 + right[None] ** 2)).sum() / weights.sum())


def _like_a_photograph(weights: NDArray[np.float64]) -> bool:
    """Return whether a large kernel has weight on all four sides and lacks the symmetry of wide Gaussians and boxes.

    Photographs are seldom 0. Coded apertures and estimated kernels, which have isolated specks, are 0 in places.
    """
    sides = weights[0], weights[-1], weights[:, 0], weights[:, -1]
    if (
        min(weights.shape) < _LARGE
        or (border(weights) <= _ROUNDING * weights.max()).mean() > _ZEROS
        or min(side.mean() for side in sides) < _BORDER * weights.mean()
    ):
        return False
    return not np.allclose(weights, weights[::-1, ::-1], rtol=0, atol=0.01 * weights.max())
