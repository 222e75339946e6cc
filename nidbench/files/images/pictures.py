"""Pictures other than TIFF: their stored pixels, by Pillow, neither turned, converted nor rounded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .stored import Stored, check_size, without_alpha

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: What Pillow may take a file for: no format that runs another program or draws by commands.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")

#: Pillow's modes that hold pixels without loss -> how many of their channels are colours.
_COLOURS = {"1": 1, "L": 1, "LA": 1, "I": 1, "I;16": 1, "F": 1, "RGB": 3, "RGBA": 3}


@contextmanager
def opened(path: Path) -> Iterator[ImageFile]:
    """Lend a picture of which the header was read.

    Raises:
        InputError: of several pictures, with a palette or a transparent colour, in another colour space, too large.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of metadata that nobody asks for
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=_FORMATS) as file:
            check(file)
            yield file


def check(file: ImageFile) -> None:
    """Refuse what is more than one picture, or is not made of gray or RGB pixels. Errors as of `opened`."""
    check_size((file.height, file.width))
    if (frames := getattr(file, "n_frames", 1)) > 1:
        raise InputError(f"it holds {frames} pictures (frames): save the one that is meant as a file by itself")
    if file.mode in ("P", "PA"):
        raise InputError("it has a palette")
    if "transparency" in file.info:
        raise InputError("it has an alpha channel or a transparent colour")
    if file.mode not in _COLOURS:
        raise InputError(f"it is of mode {file.mode}, not gray or RGB")


def shape_of(path: Path) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of a picture from its header. Errors as of `opened`."""
    with opened(path) as file:
        return 1 if _is_gray_with_alpha(file) else _COLOURS[file.mode], file.height, file.width


def read(path: Path) -> Stored:
    """Return the pixels of a picture. Errors as of `opened`, and `InputError` for an alpha channel that says something.

    A PNG of 16 bit a channel is read whole: Pillow itself keeps the upper byte of each value in colour.
    """
    with opened(path) as file:
        gray, colours = _is_gray_with_alpha(file), _COLOURS[file.mode]
        deep = file.mode in ("RGB", "RGBA") and ";16" in str(file.tile)
        pixels = _sixteen_bit(path, gray=gray) if deep else np.asarray(file)
    if file.mode == "I":  # of unsigned 16 bit, in some versions of Pillow
        pixels = pixels.astype(np.uint16)
    return Stored(without_alpha(pixels, 1 if gray else colours), picture=True)


def _is_gray_with_alpha(file: Image) -> bool:
    """Return whether what Pillow has as RGBA is 16-bit gray with alpha."""
    return "LA;16" in str(getattr(file, "tile", ""))


def _sixteen_bit(path: Path, *, gray: bool) -> NDArray[Any]:
    """Return the 16-bit values of a PNG in colour, or gray with alpha, Shape (H, W, C)."""
    if gray:  # four bytes a pixel, in the file's order: upper and lower of gray, upper and lower of alpha
        return _decoded(path, "RGBA").view(">u2").astype(np.uint16)
    with opened(path) as file:
        mode = file.mode
    upper, lower = (_decoded(path, f"{mode};16{order}").astype(np.uint16) for order in "BL")
    return np.asarray(upper << 8 | lower)


def _decoded(path: Path, raw: str) -> NDArray[np.uint8]:
    """Return a picture with its bytes taken as another of Pillow's raw modes."""
    with opened(path) as file:
        decoder, extents, offset, _ = file.tile[0]
        file.tile = [type(file.tile[0])(decoder, extents, offset, raw)]
        return np.asarray(file, np.uint8)
