"""Reads images from files in the same way for every dataset, or refuses them with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from . import arrays, fits, pictures, tiffs
from .arrays import ARRAY_SUFFIXES
from .stored import Stored, reading
from .units import UNSTATED, Units, in_units

#: Smallest side of an image in pixels: that of an SSIM window, so that it can be scored.
SMALLEST_SIDE = 11

#: Suffixes of JPEG files, whose noise no estimate sees.
JPEG_SUFFIXES = (".jpg", ".jpeg")

#: Suffixes of image files.
IMAGE_SUFFIXES = (".png", *JPEG_SUFFIXES, ".bmp", ".tif", ".tiff", *fits.FITS_SUFFIXES)

#: Suffixes of files that hold images and are not read as those of data sets.
UNREAD_SUFFIXES = (
    *(".webp", ".gif", ".avif", ".heic", ".jp2", ".j2k", ".jxl", ".jfif", ".pgm", ".ppm", ".pnm", ".pfm", ".exr"),
    *(".hdr", ".dng", ".cr2", ".nef", ".arw", ".svg", ".czi", ".nd2", ".lif", ".h5", ".hdf5", ".fz"),
)

#: Names of a restored, sharp and blurred image in array files that hold several arrays.
RESTORED = ("x", "image", "img", "im", "deblurred", "restored", "output", "result")
SHARP = ("x", "sharp", "truth", "gt", "image", "img", "im")
BLURRED = ("y", "blurred", "blurry", "blur", "image", "img", "im")

_WAY_OUT = "give an 8-bit gray or RGB picture without alpha, such as PNG"

_DEEP_WAY_OUT = (
    "give a gray or RGB picture without alpha, or an array of (H, W) or (H, W, 3), .npy or .mat, of 8-bit or 16-bit "
    "integers or of real numbers on [0, 1]"
)


@dataclass(frozen=True, eq=False)
class Reading:
    """An image that was read from a file.

    Attributes:
        image: Shape (C, H, W), C = 1 (gray) or 3 (colour), float64, nominally in [0, 1].
        assumed: an assumption about its values, for readers of the results; empty where none was made.
        may_be_frames: whether its colours are three planes of an array or FITS, which does not say what they are.
    """

    image: NDArray[np.float64]
    assumed: str = ""
    may_be_frames: bool = False


def read_stored(path: Path, names: Sequence[str]) -> Stored:
    """Return the stored numbers of a file.

    Args:
        path: a picture or an array file.
        names: names that the array may have in a file with several.

    Raises:
        InputError: where it cannot be read; the message does not name the file.
    """
    with reading(path):
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return arrays.read(path, names)
        if fits.is_fits(path):
            return fits.read(path)
        return tiffs.read(path) if tiffs.is_tiff(path) else pictures.read(path)


def read_image(path: Path) -> NDArray[np.float64]:
    """Return an 8-bit gray or RGB image file as it is stored: not linearised, rotated or converted.

    Args:
        path: PNG, JPEG, BMP, TIFF or another format that Pillow reads.

    Returns:
        Shape (C, H, W), C = 1 (gray) or 3 (colour), float64, multiples of 1/255 in [0, 1].

    Raises:
        InputError: where it is not an image, is cut off, holds several images or more than 8 bit, has a palette, an
            alpha channel that is not opaque or another colour space, is black-and-white, or has a side of less than
            11 pixels.
    """
    try:
        stored = read_stored(path, ())
        if stored.values.dtype not in (np.uint8, np.bool):
            raise InputError(f"it has more than 8 bit a channel, {stored.values.dtype}")
        return _channels_first(stored, UNSTATED).image
    except InputError as error:
        raise InputError(f"{path} cannot be read as an image ({error}): {_WAY_OUT}") from error


def read_pixels(path: Path, names: Sequence[str], units: Units = UNSTATED) -> Reading:
    """Return an image with values of any type: a picture as it is stored, or an array, which is not rounded.

    Args:
        path: a picture as in `read_image`, of 8 or 16 bit or of real numbers; FITS; a NumPy array; or a MATLAB file
            before v7.3. Arrays have Shape (H, W) or (H, W, 3), those of FITS (H, W) or (3, H, W).
        names: names that it may have in an array file with several: `RESTORED`, `SHARP` or `BLURRED`.
        units: what is stated about its values.

    Raises:
        InputError: where it cannot be read, is not a single image, or the range of its values is not clear.
    """
    try:
        return _channels_first(read_stored(path, names), units)
    except InputError as error:
        raise InputError(f"{path} cannot be read as an image ({error}): {_DEEP_WAY_OUT}") from error


def read_restored(path: Path) -> NDArray[np.float64]:
    """Return a restored image, Shape (C, H, W), see `read_pixels`; array files may name it `x`, `image`, `restored`."""
    return read_pixels(path, RESTORED).image


def read_blurred(path: Path) -> NDArray[np.float64]:
    """Return a blurred image as `read_restored` does; array files may name it `y`, `blurred`, `blurry` or `blur`."""
    return read_pixels(path, BLURRED).image


def read_sharp(path: Path) -> NDArray[np.float64]:
    """Return a sharp image as `read_restored` does; array files may name it `x`, `sharp`, `truth` or `gt`."""
    return read_pixels(path, SHARP).image


def sharp_shape(path: Path) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of a sharp image; the pixels of a picture are not read.

    Raises:
        InputError: where it cannot be read.
    """
    try:
        with reading(path):
            if path.suffix.lower() in (*ARRAY_SUFFIXES, *fits.FITS_SUFFIXES):
                height, width, channels = channels_last(read_stored(path, SHARP).values).shape
                return channels, height, width
            return tiffs.shape_of(path) if tiffs.is_tiff(path) else pictures.shape_of(path)
    except InputError as error:
        raise InputError(f"{path} cannot be read as an image ({error}): {_DEEP_WAY_OUT}") from error


def _channels_first(stored: Stored, units: Units) -> Reading:
    pixels = channels_last(stored.values)
    intensities, assumed = in_units(replace(stored, values=pixels), units)
    may_be_frames = pixels.shape[2] == 3 and is_of_planes(stored.values.shape)
    return Reading(np.ascontiguousarray(intensities.transpose(2, 0, 1)), assumed, may_be_frames)


def is_of_planes(shape: Sequence[int]) -> bool:
    """Return whether an array is read as (C, H, W), rather than as (H, W, C): where its last axis cannot be C.

    Args:
        shape: of the array; axes of 1 before the last three count for nothing.
    """
    *ones, channels, _, last = shape if len(shape) > 2 else (0, 0, 0)
    return set(ones) <= {1} and channels in (1, 3) and last not in (1, 3)


def unread_note(paths: Iterable[Path]) -> str:
    """Return what is said of files among some that hold images in formats which are not read; empty for none."""
    shown = [path for path in paths if not path.name.startswith(".")]
    unread = sorted(path.name for path in shown if path.suffix.lower() in UNREAD_SUFFIXES)
    if not unread:
        return ""
    others = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
    left_out = "are of formats that are not read, and left out" if others else "is of a format that is not read"
    return f"{unread[0]}{others} {left_out}: save {'them' if others else 'it'} as PNG or TIFF"


def frames_note(name: str, way_out: str) -> str:
    """Return what is said of an image that `Reading.may_be_frames`.

    Args:
        name: of its file.
        way_out: what to do where its planes are frames.
    """
    return f"{name}, of three planes, is read as one colour image; if they are frames, {way_out}"


def channels_last(values: NDArray[Any]) -> NDArray[Any]:
    """Return an image as (H, W, C).

    Args:
        values: Shape (H, W) or (H, W, C); or (C, H, W) or (1, C, H, W) where the last axis cannot be C.

    Raises:
        InputError: for any other shape, and for a side that is too short.
    """
    shape, pixels = values.shape, values
    while pixels.ndim > 3 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    elif is_of_planes(pixels.shape):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise InputError(f"it has shape {shape}")
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        size = f"{pixels.shape[0]}x{pixels.shape[1]}"
        raise InputError(f"it is {size} pixels: use an image of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}")
    return pixels
