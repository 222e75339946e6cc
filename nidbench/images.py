"""Images and kernels from files, read the same way for every dataset, or refused with a reason."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .contract import Kernel, normalised
from .errors import InputError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

#: One SSIM window in pixels: a smaller image cannot be scored.
SMALLEST_SIDE = 11

_WAY_OUT = "convert it to 8-bit gray or RGB without alpha"

#: How the names of image files end.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

#: How the names of kernel files end: arrays lose nothing, pictures are rounded.
KERNEL_SUFFIXES = (".mat", ".npy", ".png", ".tif", ".tiff", ".bmp")

#: Names of kernels in MATLAB files that hold several matrices, by preference.
_VARIABLES = ("kernel", "ker", "k", "psf", "f", "h")

_KERNEL_WAY_OUT = f"give a gray picture or a two-dimensional array, {', '.join(KERNEL_SUFFIXES)}"


def read_image(path: Path) -> NDArray[np.float64]:
    """Return an 8-bit gray or RGB image file as it is stored: not linearised, turned or converted.

    Args:
        path: PNG, or another format that Pillow reads.

    Returns:
        Shape (C, H, W), C = 1 (gray) or 3 (colour), float64, multiples of 1/255 in [0, 1].

    Raises:
        InputError: not an image, cut off, more than 8 bit, palette, alpha, black-and-white, another colour space, or
            smaller than 11 pixels a side.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            if fault := _fault(file):
                raise InputError(f"{path} {fault}: {_WAY_OUT}")
            pixels = np.asarray(file)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's for broken files
        raise InputError(f"{path} cannot be read as an image ({error}): give an 8-bit gray or RGB PNG") from error
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"{path} is {height}x{width} pixels: use an image of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}")
    return np.ascontiguousarray(pixels.reshape(height, width, -1).transpose(2, 0, 1)) / 255


def _fault(file: ImageFile) -> str | None:
    """Return what keeps an image from being read without loss, or None."""
    # Pillow opens 16-bit colour as 8-bit RGB without a word: only the raw mode of its data tells
    if file.mode.startswith(("I", "F")) or ";16" in str(file.tile):
        return f"has more than 8 bit a channel (mode {file.mode})"
    if file.mode in ("P", "PA"):
        return "has a palette"
    if file.mode.endswith(("A", "a")) or "transparency" in file.info:
        return f"has an alpha channel or a transparent colour (mode {file.mode})"
    return None if file.mode in ("L", "RGB") else f"is of mode {file.mode}, not gray (L) or RGB"


def read_kernel(path: Path) -> Kernel:
    """Return a kernel file as it is stored, neither turned nor shifted, divided by its sum.

    Args:
        path: a gray picture of any bit depth (or one in colour with equal channels), a NumPy array, or a MATLAB
            file before v7.3 whose only matrix it is, or where it is named `kernel`, `ker`, `k`, `psf`, `f` or `h`.

    Returns:
        Shape (kh, kw), float64, not negative, sum 1.

    Raises:
        InputError: where it cannot be read or is not a kernel: of other dimensions, in colour, negative, all zero.
    """
    try:
        kernel = normalised(_plane(_stored(path)))
    except InputError as error:
        raise InputError(f"{path} is not a kernel ({error}): {_KERNEL_WAY_OUT}") from error
    if kernel.min() < 0:
        raise InputError(f"{path} is not a kernel (it is negative in places, down to {kernel.min():.3g} of its sum)")
    return kernel


def _stored(path: Path) -> NDArray[Any]:
    """Return the array that a kernel file holds."""
    from PIL import Image

    foreign = (SyntaxError, ValueError, TypeError, NotImplementedError, Image.DecompressionBombError)
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:  # np.load(path) leaves damaged files open
                return np.asarray(np.load(file, allow_pickle=False))
        if path.suffix.lower() == ".mat":
            return _matrix(path)
        with Image.open(path) as picture:
            if picture.mode in ("P", "PA"):
                raise InputError("it has a palette")
            return np.asarray(picture)
    except InputError:
        raise
    except (OSError, EOFError, *foreign) as error:
        raise InputError(f"it cannot be read: {error}") from error


def _matrix(path: Path) -> NDArray[Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        variables = loadmat(path)
    except (MatReadError, EOFError, zlib.error) as error:
        raise InputError(f"it cannot be read: {error}") from error
    found = {name: np.asarray(value) for name, value in variables.items() if not name.startswith("__")}
    matrices = {name: value for name, value in found.items() if value.ndim == 2 and value.dtype.kind in "fiu"}
    names = list(matrices) if len(matrices) == 1 else [name for name in _VARIABLES if name in matrices]
    if not names:
        raise InputError(f"of its variables ({', '.join(found) or 'none'}) one must be a matrix named kernel")
    return matrices[names[0]]


def _plane(stored: NDArray[Any]) -> NDArray[Any]:
    """Return an array of shape (kh, kw), or the one that all colours of (kh, kw, C) have; alpha is dropped."""
    if stored.dtype.kind not in "buif":
        raise InputError(f"it holds {stored.dtype}, not numbers")
    if stored.ndim != 3:
        return stored
    colours = stored[..., :3] if stored.shape[2] > 2 else stored[..., :1]
    if (colours != colours[..., :1]).any():
        raise InputError("its colours differ: kernels are gray")
    return np.asarray(colours[..., 0])
