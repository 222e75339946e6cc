"""Images from files, read the same way for every dataset, or refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

#: One SSIM window in pixels: a smaller image cannot be scored.
SMALLEST_SIDE = 11

_WAY_OUT = "convert it to 8-bit gray or RGB without alpha"


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
