"""Reads pictures other than TIFF with Pillow: the stored pixels, not rotated, converted or rounded."""

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

#: Formats that Pillow may read: none that runs another program or executes drawing commands.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")

#: Modes of Pillow that hold pixels without loss -> number of their colour channels.
_COLOURS = {"1": 1, "L": 1, "LA": 1, "I": 1, "I;16": 1, "F": 1, "RGB": 3, "RGBA": 3}


@contextmanager
def opened(path: Path) -> Iterator[ImageFile]:
    """Open a picture for the block; only its header is read.

    Raises:
        InputError: where `check` refuses it.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of metadata that is not used here
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=_FORMATS) as file:
            check(file)
            _check_depth(file)
            yield file


def check(file: ImageFile) -> None:
    """Refuse a file that is not a single picture of gray or RGB pixels.

    Raises:
        InputError: for several pictures, a palette, a transparent colour, another colour space, or too many pixels.
    """
    check_size((file.height, file.width))
    if (frames := getattr(file, "n_frames", 1)) > 1:
        raise InputError(f"it holds {frames} pictures (frames): save the one to read as a separate file")
    check_mode(file)


def check_mode(file: ImageFile) -> None:
    """Refuse a picture that is not of gray or RGB pixels.

    Raises:
        InputError: for a palette, a transparent colour, or another colour space.
    """
    if file.mode in ("P", "PA"):
        raise InputError("it has a palette")
    if "transparency" in file.info:
        raise InputError("it has an alpha channel or a transparent colour")
    if file.mode not in _COLOURS:
        raise InputError(f"it is of mode {file.mode}, not gray or RGB")


def _check_depth(file: ImageFile) -> None:
    """Refuse a PPM of which Pillow keeps the upper 8 bit only.

    Raises:
        InputError: for colours of more than 8 bit.
    """
    if file.format != "PPM" or file.mode != "RGB":
        return
    decoded_by = file.tile[0].args  # with the value of white at the end where it is not 255
    if isinstance(decoded_by, tuple) and decoded_by[-1] > 255:
        raise InputError("it holds colours of more than 8 bit as PPM, which would be rounded: save it as PNG or TIFF")


def shape_of(path: Path) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of a picture from its header.

    Raises:
        InputError: where `check` refuses it.
    """
    with opened(path) as file:
        return 1 if _is_gray_with_alpha(file) else _COLOURS[file.mode], file.height, file.width


def read(path: Path) -> Stored:
    """Return the pixels of a picture.

    All 16 bit of a colour PNG are read, of which Pillow by itself keeps the upper 8.

    Raises:
        InputError: where `check` refuses it, or its alpha channel is not opaque.
    """
    with opened(path) as file:
        gray, colours = _is_gray_with_alpha(file), _COLOURS[file.mode]
        deep = file.mode in ("RGB", "RGBA") and ";16" in str(file.tile)
        pixels = _sixteen_bit(path, gray=gray) if deep else np.asarray(file)
    if file.mode == "I":  # some versions of Pillow read unsigned 16 bit so
        pixels = pixels.astype(np.uint16)
    return Stored(without_alpha(pixels, 1 if gray else colours), picture=True)


def _is_gray_with_alpha(file: Image) -> bool:
    """Return whether a file that Pillow reads as RGBA is 16-bit gray with alpha."""
    return "LA;16" in str(getattr(file, "tile", ""))


def _sixteen_bit(path: Path, *, gray: bool) -> NDArray[Any]:
    """Return the 16-bit values of a PNG, colour or gray with alpha, Shape (H, W, C)."""
    if gray:  # four bytes per pixel: upper and lower byte of gray, then of alpha
        return _decoded(path, "RGBA").view(">u2").astype(np.uint16)
    with opened(path) as file:
        mode = file.mode
    upper, lower = (_decoded(path, f"{mode};16{order}").astype(np.uint16) for order in "BL")
    return np.asarray(upper << 8 | lower)


def _decoded(path: Path, raw: str) -> NDArray[np.uint8]:
    """Return the pixels of a picture decoded with another of Pillow's raw modes."""
    with opened(path) as file:
        decoder, extents, offset, _ = file.tile[0]
        file.tile = [type(file.tile[0])(decoder, extents, offset, raw)]
        return np.asarray(file, np.uint8)
