"""Kernels from files: the weights as they are stored, and what keeps them from being a point spread function."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError
from nidbench.physics.arrays import Kernel
from nidbench.physics.kernel import check_kernel, normalised

from .read import read_stored

#: How the names of kernel files end: arrays lose nothing, pictures are rounded.
KERNEL_SUFFIXES = (".mat", ".npy", ".npz", ".png", ".tif", ".tiff", ".bmp")

#: What is taken off a kernel before use: nothing; the level of its border, then what lies below 0 or within the noise
#: of the border; or what lies below 0 alone. With `keep` it is nothing either, and no background is looked for.
Background: TypeAlias = Literal["none", "border", "clip", "keep"]

BACKGROUNDS: tuple[Background, ...] = ("none", "border", "clip", "keep")

#: Names of kernels in array files that hold several, MATLAB's mostly.
_KERNELS = ("kernel", "ker", "k", "psf", "f", "h")

_WAY_OUT = f"give a gray picture or a two-dimensional array, {', '.join(KERNEL_SUFFIXES)}"

_OFF = (
    'write kernel_background = "border" into measured.toml, or estimated:PATH:border, to take it off, or take it off '
    "before you save the kernel"
)

_KEEP = '; if it is right as it stands, write kernel_background = "keep", or estimated:PATH:keep'

_CLIP = (
    'write kernel_background = "clip" into measured.toml, or estimated:PATH:clip, to take them for 0 ("border" also '
    "takes off a background), or correct the file"
)

#: Part of the largest weight within which a negative one is rounding: of FFTs in single precision.
_ROUNDING = 1e-6

#: Side in pixels from which a kernel's border is looked at: small kernels may well be cut off where they are not zero.
_LARGE = 16

#: Side in pixels from which a border of one level is told from the kernel itself; from which weight along it is said.
_MIDDLE, _SMALL = 7, 5

#: Share of its mean weight that a kernel's border may have on all four sides. Kernels that are cut out with no margin
#: touch some of the sides, in a few pixels: of those of the datasets, the most is 4e-12. Of photographs most have more.
_BORDER = 0.25

#: Share of its mean weight that nine tenths of a border may have before it is said.
_ALONG = 0.15

#: Share of the sum from which a background is one; deviations by which the kernel must rise above it.
_SHARE, _ABOVE = 0.005, 6.0

#: Part of a border that may be 0 on a background, as few photons leave some pixels without one, or in a photograph.
_ZEROS = 0.2

#: Standard deviations per median absolute deviation of normal noise.
_MAD = 1.4826


def read_kernel(path: Path, background: Background = "none") -> Kernel:
    """Return a kernel file as it is stored, neither turned nor shifted, divided by its sum.

    Args:
        path: a gray picture of any bit depth (or one in colour with equal channels), a NumPy array, or a MATLAB file
            before v7.3 whose only matrix it is, or where it is named `kernel`, `ker`, `k`, `psf`, `f` or `h`. Axes of
            one element, for batch or channel, are dropped, as are three equal planes.
        background: what is taken off, see `Background`.

    Returns:
        Shape (kh, kw), float64, not negative, sum 1.

    Raises:
        InputError: where it cannot be read or is not a kernel: of other dimensions, several planes that differ,
            negative, all zero, on a background, brighter at its border than inside, wrapped around its corners, or with
            weight along all of its border, as photographs have.
    """
    try:
        weights = _without_background(_plane(read_stored(path, _KERNELS).values), background)
        if not (np.isfinite(weights).all() and (weights > 0).any()):
            check_kernel(weights)
    except InputError as error:
        raise InputError(f"{path} is not a kernel ({error}): {_WAY_OUT}") from error
    if fault := _fault(weights, kept=background == "keep"):
        reason, way_out = fault
        raise InputError(f"{path} is not a kernel ({reason}): {way_out}")
    return normalised(weights.clip(0, None))


def kernel_notice(kernel: Kernel) -> str:
    """Return what there is to know of a kernel that may be right: what lies along its border, or off its middle."""
    return "; ".join(filter(None, (_border_notice(kernel), _middle_notice(kernel))))


def _border_notice(kernel: Kernel) -> str:
    if np.count_nonzero(kernel) == 1:
        return "is a single pixel, which blurs nothing"
    ring = _ring(kernel)
    a_box = ring.min() > 0.9 * kernel.max()
    if min(kernel.shape) < _SMALL or a_box or np.percentile(ring, 10) < _ALONG * kernel.mean():
        return ""
    return (
        f"has weight all along its border, {ring.sum():.0%} of its sum in its outermost pixels: it was cut off there, "
        'or lies on a background, which kernel_background = "border" in measured.toml takes off'
    )


def _middle_notice(kernel: Kernel) -> str:
    middles = [side // 2 for side in kernel.shape]
    places = np.indices(kernel.shape).reshape(2, -1) @ kernel.ravel()
    down, right = (float(place - middle) for place, middle in zip(places, middles, strict=True))
    if all(abs(off) <= max(2.0, side / 4) for off, side in zip((down, right), kernel.shape, strict=True)):
        return ""
    return (
        f"has its weights {down:+.1f} rows and {right:+.1f} columns off its middle, by which restorations are shifted "
        "against the blurred image"
    )


def _plane(stored: NDArray[Any]) -> NDArray[np.float64]:
    """Return an array of shape (kh, kw), or the one that is meant by another with batch, channel or colour axes."""
    if stored.ndim < 2:
        raise InputError(f"kernel has shape {stored.shape}: give two dimensions (kh, kw)")
    planes = _planes(stored) if stored.ndim > 2 else [stored]
    if not planes:
        raise InputError(f"it has shape {stored.shape}, and its colours or planes differ: save one of them alone")
    if any(not np.array_equal(planes[0], other) for other in planes[1:]):
        raise InputError(f"it has shape {stored.shape}, which may mean several kernels: save it as (kh, kw)")
    return np.asarray(planes[0], np.float64)


def _planes(stored: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the kernels that an array with more than two axes may mean, by dropping axes that say nothing."""
    kept = [axis for axis, side in enumerate(stored.shape) if side > 1]
    if len(kept) == 2:
        return [stored.squeeze(), *_lines_in_colour(stored)]
    if len(kept) == 3:
        found = stored.squeeze()
        turned = [np.moveaxis(found, axis, 0) for axis, side in enumerate(found.shape) if side == 3]
        return [planes[0] for planes in turned if (planes == planes[0]).all()]
    # a line or a point: two axes side by side that hold all of it
    starts = [axis for axis in range(stored.ndim - 1) if set(kept) <= {axis, axis + 1}]
    return [stored.reshape(stored.shape[axis : axis + 2]) for axis in starts] if len(kept) < 2 else []


def _lines_in_colour(stored: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the row or column that an array may be three equal planes of."""
    axes = [axis for axis in {0, stored.ndim - 3, stored.ndim - 1} if stored.shape[axis] == 3]
    turned = [np.moveaxis(stored, axis, 0) for axis in axes]
    equal = [planes[0] for planes in turned if (planes == planes[0]).all()]
    return [plane.reshape(plane.shape[-2:]) for plane in equal if plane.size == np.prod(plane.shape[-2:])]


def _without_background(weights: NDArray[np.float64], background: Background) -> NDArray[np.float64]:
    if background in ("none", "keep") or not np.isfinite(weights).all():
        return weights
    if background == "clip":
        return weights.clip(0, None)
    level, noise = _level(_ring(weights))
    above = weights - level
    return np.where(above > 3 * noise, above, 0.0)


def _ring(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels of the border, in their order around the kernel."""
    if min(weights.shape) < 2:
        return weights.ravel()
    return np.concatenate([weights[0], weights[1:-1, -1], weights[-1, ::-1], weights[-2:0:-1, 0]])


def _level(ring: NDArray[np.float64]) -> tuple[float, float]:
    """Return the level of a border, and the standard deviation around it: what stands out of it does not count.

    The mean around the median, and not that alone, which is too low where noise was cut off at 0.
    """
    middle = float(np.median(ring))
    deviation = _MAD * float(np.median(np.abs(ring - middle)))
    return float(ring[np.abs(ring - middle) <= 3 * deviation].mean()), deviation


def _fault(weights: NDArray[np.float64], *, kept: bool) -> tuple[str, str] | None:
    """Return what keeps weights, of which some are positive, from being a kernel, and the way out; else None.

    Of weights that are kept as they are, only what no kernel can have.
    """
    size = f"{weights.shape[0]}x{weights.shape[1]}"
    if weights.min() < -_ROUNDING * weights.max():
        below = -weights.clip(None, 0).sum() / weights.clip(0, None).sum()
        lowest = weights.min() / weights.max()
        return f"it is negative in places, down to {lowest:.3g} of its largest weight, {below:.2g} of its sum", _CLIP
    if kept:
        return None
    if _wrapped(weights):
        return (
            "its weights lie around its four corners",
            "put its middle where it belongs, with numpy.fft.fftshift" + _KEEP,
        )
    if level := _pedestal(weights):
        share = level * weights.size / weights.sum()
        return (
            f"its {size} pixels lie on a background of {level:.4g}, as of a camera's pedestal, {share:.0%} of its sum",
            _OFF + _KEEP,
        )
    if _bright_border(weights):
        return (
            f"its {size} pixels are brighter along the border than inside, as those of an inverted picture",
            "give the blur kernel bright, on a background of 0" + _KEEP,
        )
    if _like_a_photograph(weights):
        return (
            f"its {size} pixels have weight along all four sides, as those of a photograph",
            "give the blur kernel alone, on a background of 0" + _KEEP,
        )
    return None


def _pedestal(weights: NDArray[np.float64]) -> float:
    """Return the level on which a kernel lies, that of its flat border, which it falls off to; 0 for none.

    A wide kernel that is cut off varies along its border, and boxes, also those of broken sides, fall at once. What
    is 0 in places is no background, which is everywhere.
    """
    ring = _ring(weights)
    if min(weights.shape) < _MIDDLE or (ring == 0).mean() > _ZEROS or not _flat(ring):
        return 0.0
    level, deviation = _level(ring)
    top = weights.max() - level
    if level * weights.size < _SHARE * weights.sum() or top < max(_ABOVE * deviation, 0.1 * level):
        return 0.0
    inside = weights[1:-1, 1:-1]
    at_level = np.abs(inside - level) <= max(0.1 * level, 3 * deviation)
    falls_off = top > 2 * level and np.median(_ring(inside)) - level < 0.25 * top
    return level if at_level.mean() >= 0.5 or falls_off else 0.0


def _flat(ring: NDArray[np.float64]) -> bool:
    """Return whether a border has one level, but for noise, in which neighbours differ as all pixels do.

    A tenth of it may be something else: what crosses the border.
    """
    level, deviation = _level(ring)
    opposite = ring[(np.arange(ring.size) + ring.size // 2) % ring.size]  # a wide, symmetric kernel's is the same
    noise = min(_MAD * float(np.median(np.abs(ring - other))) for other in (np.roll(ring, 1), opposite)) / np.sqrt(2)
    at_level = np.abs(ring - level) <= max(0.1 * abs(level), 3 * deviation)
    return bool(deviation <= max(0.1 * abs(level), 1.5 * noise) and at_level.mean() >= 0.9)


def _bright_border(weights: NDArray[np.float64]) -> bool:
    """Return whether a kernel is dark on a bright background, or most of it lies all along its border."""
    if min(weights.shape) < _MIDDLE:
        return False
    ring = _ring(weights)
    level, _ = _level(ring)
    if ring.sum() > 0.5 * weights.sum() and (ring > 0).mean() >= 0.9:
        return True
    inverted = level > 0.9 * weights.max() and (weights < 0.5 * level).any()
    return bool(inverted) and _flat(ring)


def _wrapped(weights: NDArray[np.float64]) -> bool:
    """Return whether a kernel has its origin in its first pixel, and what lies before it at the other corners."""
    if min(weights.shape) < 5:
        return False
    rows, columns = (side // 2 for side in weights.shape)
    halves = weights[:rows], weights[rows:]
    quarters = [quarter for half in halves for quarter in (half[:, :columns], half[:, columns:])]
    if min(quarter.sum() for quarter in quarters) < 0.02 * weights.sum():
        return False
    return _spread(np.fft.fftshift(weights)) < 0.2 * _spread(weights)


def _spread(weights: NDArray[np.float64]) -> float:
    """Return the mean squared distance of the weights from the middle."""
    down, right = (np.arange(side) - side // 2 for side in weights.shape)
    return float((weights * (down[:, None] ** 2 + right[None] ** 2)).sum() / weights.sum())


def _like_a_photograph(weights: NDArray[np.float64]) -> bool:
    """Return whether weight lies on all sides of a large kernel, without the symmetry of wide Gaussians and boxes.

    Photographs are seldom 0; coded apertures and the crumbs of estimated kernels are so in places.
    """
    sides = weights[0], weights[-1], weights[:, 0], weights[:, -1]
    if (
        min(weights.shape) < _LARGE
        or (_ring(weights) == 0).mean() > _ZEROS
        or min(side.mean() for side in sides) < _BORDER * weights.mean()
    ):
        return False
    return not np.allclose(weights, weights[::-1, ::-1], rtol=0, atol=0.01 * weights.max())
