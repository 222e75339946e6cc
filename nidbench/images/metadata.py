"""What a picture file says beside its pixels: resolution, orientation, colour profile, description, a FITS header."""

from __future__ import annotations

import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import fits, tiffs
from .arrays import ARRAY_SUFFIXES
from .compression import Compression, compression_of_picture, compression_of_tiff
from .pictures import opened
from .stored import reading
from .tiffs import ORIENTATION

#: First bytes of a PNG.
PNG = b"\x89PNG\r\n\x1a\n"

#: Chunks of a PNG that say how its pixels are stored: what is written says that anew.
_OF_STORAGE = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"sBIT", b"bKGD", b"hIST")

#: Tags of TIFF that are kept as they stand -> their names in the format.
_KEPT_TAGS = {271: "Make", 272: "Model", 274: "Orientation", 286: "XPosition", 287: "YPosition", 315: "Artist"}
_KEPT_TAGS |= {306: "DateTime", 33432: "Copyright"}

#: Tags of TIFF.
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _DATE_TIME, _PROFILE = 282, 283, 296, 306, 34675

#: Begins a description by tifffile of how pages are stored: what is written says that anew.
_SHAPE = '{"shape"'

#: Units of TIFF's resolution -> pixels per metre for one pixel per unit.
_PER_METRE = {2: 1 / 0.0254, 3: 100.0}

#: Units of TIFF's resolution that are written: none, inch, centimetre, and tifffile's millimetre and micrometre.
_UNITS = (1, 2, 3, 4, 5)

_NO_UNIT, _INCH = 1, 2

#: The number by which TIFF says that a tag is text.
_TEXT = 2

#: The only form in which TIFF has a date.
_DATE = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", re.ASCII)


@dataclass(frozen=True, eq=False)
class Metadata:
    """What a file says beside its pixels, as far as another one of the same or of another format can say it.

    Attributes:
        per_metre: pixels per metre, along x and y; None where it is not stated in a unit of length.
        profile: the ICC colour profile, or None.
        exif: the EXIF block of a JPEG or PNG, or None.
        orientation: how a viewer turns the pixels, 1 to 8 as in EXIF; 1 for not at all.
        chunks: a PNG's further chunks, type and content.
        tiff: arguments of `tifffile.imwrite` that say the same of a TIFF; empty for other files.
        header: of a FITS file, or None.
        alpha: whether it has an alpha channel, which readers here accept where it is opaque everywhere.
        compression: the lossy one of its pixels, or None.
        damaged: names of what it says in a way that no file may, which is left out.
    """

    per_metre: tuple[float, float] | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    orientation: int = 1
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    tiff: Mapping[str, Any] = field(default_factory=dict)
    header: Any = None
    alpha: bool = False
    compression: Compression | None = None
    damaged: tuple[str, ...] = ()


def metadata_of(path: Path) -> Metadata:
    """Return what a file says beside its pixels; nothing for array files.

    Raises:
        InputError: where it cannot be read; the message does not name the file.
    """
    with reading(path):
        if fits.is_fits(path):
            header, damaged = fits.header_of(path)
            return Metadata(header=header, damaged=damaged)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return Metadata()
        return _of_tiff(path) if tiffs.is_tiff(path) else _of_picture(path)


def _of_tiff(path: Path) -> Metadata:
    from tifffile import TiffFile

    with tiffs.quiet(), TiffFile(path) as file:
        page = file.pages.first
        read = (*_KEPT_TAGS, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _PROFILE)
        tags = {tag.code: tag.value for tag in page.tags if tag.code in read}
        description = page.description
        alpha = len(page.extrasamples) > 0
        imagej = dict(file.imagej_metadata or {}) if file.is_imagej else None
        compressed, compression = int(page.compression) != 1, compression_of_tiff(page)
        extra = [_as_written(tag) for tag in page.tags if tag.code in _KEPT_TAGS and _is_kept(tag)]
    said: dict[str, Any] = {"extratags": extra}
    unit = tags.get(_RESOLUTION_UNIT, _INCH)
    unit = int(unit) if unit in _UNITS else _NO_UNIT
    resolution = (tags.get(_X_RESOLUTION), tags.get(_Y_RESOLUTION))
    if all(math.isfinite(_ratio(each)) for each in resolution):
        said |= {"resolution": resolution, "resolutionunit": unit}
    if _DATE.fullmatch(str(tags.get(_DATE_TIME))):
        said["datetime"] = str(tags[_DATE_TIME])
    if imagej is not None:
        said["imagej"] = {key: _of_imagej(key, value) for key, value in imagej.items() if key not in _IMAGEJ_STORAGE}
    elif description and not description.startswith(_SHAPE):
        said["description"] = description
    if compressed:
        said["compression"] = "zlib"
    profile = tags.get(_PROFILE)
    per_metre = None
    if "resolution" in said and unit in _PER_METRE:
        horizontal, vertical = (_ratio(each) * _PER_METRE[unit] for each in said["resolution"])
        per_metre = (horizontal, vertical)
    return Metadata(
        per_metre=per_metre,
        profile=None if profile is None else bytes(profile),
        orientation=_orientation(tags.get(ORIENTATION)),
        tiff=said,
        alpha=alpha,
        compression=compression,
    )


#: What ImageJ's description says of how pixels are stored: what is written says that anew.
_IMAGEJ_STORAGE = ("ImageJ", "images", "slices", "frames", "channels", "hyperstack", "mode", "axes", "Labels", "Ranges")


#: What ImageJ keeps apart from its description, in UTF-16.
_IMAGEJ_APART = ("Info", "Labels", "Ranges", "LUTs", "Plot", "ROI", "Overlays", "Properties")


def _of_imagej(key: str, value: Any) -> Any:
    """Return a value as ImageJ writes it in its description, which is ASCII: a letter beyond as its number."""
    if not isinstance(value, str) or key in _IMAGEJ_APART:
        return value
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in value)


def _is_kept(tag: Any) -> bool:
    """Return whether a tag of those that are kept says something: a date has an argument of its own."""
    if tag.code == ORIENTATION:
        return bool(_orientation(tag.value) == tag.value)
    return bool(tag.code != _DATE_TIME)


def _as_written(tag: Any) -> tuple[int, int, int, Any, bool]:
    """Return a tag as `tifffile.imwrite` takes it; text beyond ASCII as UTF-8, as most readers expect it."""
    value = tag.value.encode() if tag.dtype == _TEXT and isinstance(tag.value, str) else tag.value
    return tag.code, int(tag.dtype), tag.count, value, True


def _orientation(value: Any) -> int:
    """Return an orientation of EXIF or TIFF, or 1 where it is none of the eight that there are."""
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1


def _ratio(value: Any) -> float:
    """Return a rational number of TIFF; NaN where it is none, as with a denominator of 0."""
    numerator, denominator = value if isinstance(value, tuple) and len(value) == 2 else (value, 1)
    numbers = isinstance(numerator, int | float) and isinstance(denominator, int | float)
    return float(numerator) / float(denominator) if numbers and denominator else math.nan


def _of_picture(path: Path) -> Metadata:
    with opened(path) as file:
        form, info, alpha, compression = file.format, dict(file.info), "A" in file.mode, compression_of_picture(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF, which is then left out
            orientation = _orientation(file.getexif().get(ORIENTATION))
    dpi = [float(each) for each in info.get("dpi", ())[:2]]
    stated = len(dpi) == 2 and all(0 < each < math.inf for each in dpi)
    per_metre = (dpi[0] / 0.0254, dpi[1] / 0.0254) if stated else None
    return Metadata(
        per_metre=per_metre,
        profile=info.get("icc_profile"),
        exif=info.get("exif"),
        orientation=orientation,
        chunks=tuple(_chunks(path.read_bytes())) if form == "PNG" else (),
        alpha=alpha,
        compression=compression,
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of the chunks of a PNG that say something beside its pixels."""
    place = len(PNG)
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        if kind not in _OF_STORAGE and zlib.crc32(kind + data).to_bytes(4, "big") == content[place + 8 + length :][:4]:
            yield kind, data
        place += 12 + length
