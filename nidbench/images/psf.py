"""Reads kernels from files, as their weights are stored, and refuses files that are not point spread functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError
from nidbench.physics.arrays import Kernel
from nidbench.physics.kernel import check_kernel, normalised
from nidbench.system.home import expanded

from .fits import FITS_SUFFIXES
from .psf_faults import BACKGROUNDS as BACKGROUNDS
from .psf_faults import Background as Background
from .psf_faults import Say as Say
from .psf_faults import as_argument, border, fault, is_dark_inside, unwrapped, without_background
from .read import JPEG_SUFFIXES, read_stored
from .stored import Stored

#: Suffixes of kernel files: arrays lose nothing, pictures are rounded.
KERNEL_SUFFIXES = (".mat", ".npy", ".npz", ".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", *FITS_SUFFIXES)

#: Names of kernels in array files that hold several arrays.
_KERNELS = ("kernel", "ker", "k", "psf", "f", "h")

_ALONE = "save one of them alone, as (kh, kw)"

_WAY_OUT = f"give a gray picture or a two-dimensional array, {', '.join(KERNEL_SUFFIXES)}"

#: Smallest side in pixels of kernels for which weight along the border is noted.
_SMALL = 5

#: Largest difference of weights that are taken for equal, relative to the largest.
_EQUAL = 1e-5

#: Least weight, relative to the mean, of nine tenths of the border for which it is noted.
_ALONG = 0.15

#: Largest share of a kernel's weight that has none of its kind opposite the centre of mass, in kernels that are taken
#: for symmetric: those of the datasets that lie more than a pixel off their middle have 0.36 or more, measured beads of
#: a standard deviation of a pixel 0.15, as their centres lie between pixels.
_LOPSIDED = 0.3

#: Words after a kernel file's name: turn it by 180 degrees, and move its weights to the middle.
TURNED, CENTRED = "turned", "centred"

#: All words after a kernel file's name.
WORDS = (*BACKGROUNDS, TURNED, CENTRED)


@dataclass(frozen=True, kw_only=True)
class KernelFile:
    """A kernel file, and what is done to its kernel.

    Attributes:
        path: the file.
        background: what is taken off it.
        turned: whether it is turned by 180 degrees, as one for correlation is.
        centred: whether its weights are moved to the middle.
    """

    path: Path
    background: Background = "none"
    turned: bool = False
    centred: bool = False

    @staticmethod
    def is_meant(text: str) -> bool:
        """Return whether a text is the name of a kernel file, by its suffix."""
        return KernelFile.parse(text).path.suffix.lower() in KERNEL_SUFFIXES

    @classmethod
    def parse(cls, text: str) -> KernelFile:
        """Read `PATH[:BACKGROUND][:turned][:centred]`, the words in any order."""
        words: list[str] = []
        path, _, word = text.rpartition(":")
        while path and word in WORDS:
            words, text = [*words, word], path
            path, _, word = text.rpartition(":")
        background = next((known for known in BACKGROUNDS if known in words), BACKGROUNDS[0])
        return cls(path=Path(text), background=background, turned=TURNED in words, centred=CENTRED in words)

    @property
    def label(self) -> str:
        """The file's name without its folder, and what is done to its kernel."""
        words = [self.background] * (self.background != "none") + [TURNED] * self.turned + [CENTRED] * self.centred
        return ":".join([self.path.name, *words])

    def __str__(self) -> str:
        return str(self.path.with_name(self.label))

    def say(self, word: str) -> str:
        """Return how a person says what else is to be done to the kernel: by the file's name with a word after it."""
        changed = replace(self, centred=True) if word == CENTRED else replace(self, background=cast("Background", word))
        return f"name it as {changed}"

    def kernel(self) -> Kernel:
        """Return the kernel, see `read_kernel`."""
        kernel = read_kernel(expanded(self.path), self.background, centred=self.centred, say=self.say)
        return np.ascontiguousarray(kernel[::-1, ::-1]) if self.turned else kernel


def read_kernel(
    path: Path, background: Background = "none", *, centred: bool = False, say: Say = as_argument
) -> Kernel:
    """Return the kernel of a file as it is stored, not rotated or shifted, divided by its sum.

    Args:
        path: a gray picture of any bit depth (or a colour picture with equal channels), a NumPy array, or a MATLAB file
            before v7.3. In files with several arrays the kernel is named `kernel`, `ker`, `k`, `psf`, `f` or `h`. Axes
            with a single element, for batch or channel, are dropped, and so are two of three equal planes.
        background: the background to take off, see `Background`.
        centred: whether to move its weights to the middle, see `centred_kernel`; those that are wrapped around its
            corners or sides, as a Fourier transform leaves them, are joined first.
        say: how a person says what to do about a fault.

    Returns:
        Shape (kh, kw), float64, not negative, sum 1.

    Raises:
        InputError: where the file cannot be read or holds no kernel: weights with other dimensions, in several planes
            that differ, negative, all zero, on a background, brighter at the border than inside, wrapped around the
            corners, or along all of the border, as those of photographs.
    """
    try:
        weights = without_background(_plane(read_stored(path, _KERNELS)), background)
        if not (_is_finite(weights) and (weights > 0).any()):
            check_kernel(weights)
        if centred:
            weights = unwrapped(weights)
    except InputError as error:
        raise InputError(f"{path} is not a kernel ({error}): {_WAY_OUT}") from error
    if problem := fault(weights, kept=background == "keep", say=say):  # before zeros around it would hide a background
        reason, way_out = problem
        raise InputError(f"{path} is not a kernel ({reason}): {way_out}")
    if centred:
        weights = centred_kernel(weights)
    return normalised(weights.clip(0, None))


def _is_finite(weights: NDArray[np.float64]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(weights).all() and np.isfinite(np.abs(weights).sum()))


def centred_kernel(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights moved by whole pixels, so that their centre of mass is in the middle of an odd rectangle.

    Restorations are then not shifted against the blurred image, except by less than half a pixel.
    """
    mass = weights.clip(0, None)
    centroid = np.indices(mass.shape).reshape(2, -1) @ mass.ravel() / mass.sum()
    rows, columns = (round(float(place)) for place in centroid)
    height, width = weights.shape
    reach = max(rows, height - 1 - rows), max(columns, width - 1 - columns)
    moved = np.zeros((2 * reach[0] + 1, 2 * reach[1] + 1))
    moved[reach[0] - rows : reach[0] - rows + height, reach[1] - columns : reach[1] - columns + width] = weights
    return moved


def kernel_notice(kernel: Kernel, *, shift: float | None = None, say: Say = as_argument) -> str:
    """Return notes on a kernel that may be right: weight along its border, or off its middle; empty for none.

    Args:
        kernel: Shape (kh, kw), sum 1.
        shift: pixels off the middle that are worth a note; None for more than a pixel of a symmetric kernel, such as a
            bead, and more than a quarter of a side of others, as the kernels of cameras that shook are seldom in the
            middle.
        say: how a person says what to do about it.
    """
    return "; ".join(filter(None, (_border_notice(kernel, say), _middle_notice(kernel, shift, say))))


def lossy_notice(path: Path) -> str:
    """Return a note on a kernel file that is a JPEG; empty for others."""
    if path.suffix.lower() not in JPEG_SUFFIXES:
        return ""
    return "is a JPEG, which changes weights, and leaves some where there were none: save the kernel as .npy or .png"


def _border_notice(kernel: Kernel, say: Say) -> str:
    if np.count_nonzero(kernel) == 1:
        return "is a single pixel, which blurs nothing"
    ring = border(kernel)
    if is_dark_inside(kernel):
        return "is darker in its middle than along all of its border, as in an inverted picture"
    is_box = np.ptp(kernel) < _EQUAL * kernel.max()
    if min(kernel.shape) < _SMALL or is_box or np.percentile(ring, 10) < _ALONG * kernel.mean():
        return ""
    remedy = f"; {said} to take it off" if (said := say("border")) else ""
    return (
        f"has weight all along its border, {ring.sum():.0%} of its sum in its outermost pixels: it was cut off there, "
        f"or lies on a background{remedy}"
    )


def _middle_notice(kernel: Kernel, shift: float | None, say: Say) -> str:
    middles = [side // 2 for side in kernel.shape]
    centroid = [float(place) for place in np.indices(kernel.shape).reshape(2, -1) @ kernel.ravel()]
    down, right = (place - middle for place, middle in zip(centroid, middles, strict=True))
    if shift is None and _is_symmetric(kernel, centroid):
        shift = 1.0
    allowed = [max(2.0, side / 4) if shift is None else shift for side in kernel.shape]
    if all(abs(off) <= most for off, most in zip((down, right), allowed, strict=True)):
        return ""
    return (
        f"has its weights {down:+.1f} rows and {right:+.1f} columns off its middle, by which restorations are shifted "
        "against the blurred image" + (f"; {said} to move them there" if (said := say(CENTRED)) else "")
    )


def _is_symmetric(kernel: Kernel, centroid: Sequence[float]) -> bool:
    """Return whether a kernel, turned by 180 degrees around its centre of mass, is much the same."""
    row, column = (round(2 * place) for place in centroid)
    rows, columns = kernel.shape
    opposite = np.zeros((2 * rows, 2 * columns))
    opposite[:rows, :columns] = kernel[::-1, ::-1]
    opposite = np.roll(opposite, (row - rows + 1, column - columns + 1), (0, 1))[:rows, :columns]
    return float(np.abs(kernel - opposite).sum()) / 2 < _LOPSIDED


def _plane(stored: Stored) -> NDArray[np.float64]:
    """Return the weights, Shape (kh, kw), of a file's numbers, which may have batch, channel or colour axes."""
    shape = stored.values.shape
    if len(shape) < 2:
        raise InputError(f"kernel has shape {shape}: give two dimensions (kh, kw)")
    planes = _planes(stored)
    if not planes:
        raise InputError(
            f"it has shape {shape}, which may mean several kernels, or its colours or planes differ: {_ALONE}"
        )
    if any(not np.array_equal(planes[0], plane) for plane in planes[1:]):
        raise InputError(f"it has shape {shape}, which may mean several kernels: {_ALONE}")
    return np.asarray(planes[0], np.float64)


def _planes(stored: Stored) -> list[NDArray[Any]]:
    """Return the kernels that numbers may hold, without their redundant axes; none where they are a stack."""
    values = stored.values
    if values.ndim == 2:
        return [values]
    if stored.picture:
        return _equal(values, (-1,))
    kept = [axis for axis, side in enumerate(values.shape) if side > 1]
    if len(kept) == 3:
        return _gray(values.squeeze())
    if len(kept) == 2:
        return [values.squeeze(), *_lines_in_colour(values)] if kept[1] - kept[0] == 1 else []
    # a line or a point: two neighbouring axes that hold all of its elements
    starts = [axis for axis in range(values.ndim - 1) if set(kept) <= {axis, axis + 1}]
    return [values.reshape(values.shape[axis : axis + 2]) for axis in starts] if len(kept) < 2 else []


def _gray(values: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the kernels of which an array with three axes may be three equal planes; none for several kernels.

    Of 3x3 kernels in a stack, a side looks like colours; and with 3 at both ends, what varies along one of these alone
    may also be three kernels that are constant.
    """
    height, depth = values.shape[0], values.shape[-1]
    if (height == 3) != (depth == 3) and (3, 3) in (values.shape[1:], values.shape[:-1]):
        return []
    if height == depth == 3 and _is_constant(values, 1) and _is_constant(values, 0) != _is_constant(values, 2):
        return []
    return _equal(values, (0, 2))


def _is_constant(values: NDArray[Any], axis: int) -> bool:
    return bool((values == values.take([0], axis)).all())


def _equal(values: NDArray[Any], axes: Sequence[int]) -> list[NDArray[Any]]:
    """Return the first plane along each of the axes that has three equal ones."""
    return [values.take(0, axis) for axis in axes if values.shape[axis] == 3 and _is_constant(values, axis)]


def _lines_in_colour(values: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the rows and columns of which an array may be three equal planes."""
    planes = _equal(values, sorted({0, values.ndim - 3, values.ndim - 1}))
    return [plane.reshape(plane.shape[-2:]) for plane in planes if plane.size == np.prod(plane.shape[-2:])]
