"""The lossy compression of a file's pixels, and what it has taken: no estimate of their noise knows of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile
    from tifffile import TiffPage

#: Compressions of TIFF that lose values, or may, and of which it is not read here how much.
_MAY_LOSE = ("JPEG2000", "JP2000", "JPEGXR", "JPEGXL", "WEBP", "LERC", "OJPEG")

#: Begins the pixels of a WebP, lossy or lossless.
_WEBP = re.compile(rb"VP8[ L]")


@dataclass(frozen=True)
class Compression:
    """A lossy compression.

    Attributes:
        name: what it is called.
        rounding: the standard deviation of what its rounding may add to gray values, on [0, 1]; None where not known.
    """

    name: str
    rounding: float | None = None


def compression_of_picture(file: ImageFile) -> Compression | None:
    """Return the lossy compression of an open picture, or None."""
    if file.format == "JPEG":
        return _of_jpeg(file)
    if file.format == "WEBP" and file.fp is not None:
        file.fp.seek(0)
        kind = _WEBP.search(file.fp.read())
        return Compression("WebP") if kind and kind.group() == b"VP8 " else None
    return None


def compression_of_tiff(page: TiffPage) -> Compression | None:
    """Return the compression of a page that is lossy, or may be, or None."""
    name = getattr(page.compression, "name", str(page.compression))
    if name == "JPEG":
        return _of_jpeg_within(page)
    return Compression(name) if any(lossy in name for lossy in _MAY_LOSE) else None


def _of_jpeg_within(page: TiffPage) -> Compression:
    """Return that of the first JPEG of a page, whose tables may stand apart from it."""
    from PIL import Image, UnidentifiedImageError

    file = page.parent.filehandle
    file.seek(next(iter(page.dataoffsets), 0))
    content = file.read(next(iter(page.databytecounts), 0))
    if page.jpegtables:  # a JPEG without pixels, which ends with two bytes as each begins with two
        content = page.jpegtables[:-2] + content[2:]
    try:
        with Image.open(BytesIO(content), formats=("JPEG",)) as jpeg:
            return _of_jpeg(jpeg)
    except UnidentifiedImageError:  # such as one of 12 bit, which other libraries read
        return Compression("JPEG")


def _of_jpeg(file: ImageFile) -> Compression:
    """Return that of a JPEG, with what rounding its coefficients may have taken.

    That is as of uniform errors as large as the steps, a bound: where a coefficient is smaller than its step, what was
    lost is smaller, too.
    """
    steps: Mapping[int, Sequence[int]] = getattr(file, "quantization", None) or {}
    if 0 not in steps:
        return Compression("JPEG")
    return Compression("JPEG", float(np.sqrt(np.mean(np.square(steps[0], dtype=np.float64)) / 12)) / 255)
