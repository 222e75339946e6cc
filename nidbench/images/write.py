"""Makes the bytes of an image file in the format of its suffix, with what another file says beside its pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from . import fits
from .metadata import PNG, Metadata
from .tiffs import ORIENTATION

#: Suffixes of formats that can be written -> the types of numbers that they hold; any type where none is named.
_TYPES: Mapping[str, tuple[str, ...]] = {
    ".png": ("uint8", "uint16"),
    ".jpg": ("uint8",),
    ".jpeg": ("uint8",),
    ".bmp": ("uint8",),
    ".tif": (),
    ".tiff": (),
    **dict.fromkeys(fits.FITS_SUFFIXES, ("uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")),
    ".npy": (),
    ".npz": (),
    ".mat": (),
}

#: Suffixes of formats that hold a single image.
_SINGLE = (".png", ".jpg", ".jpeg", ".bmp")

#: Suffixes of formats that can be written.
WRITTEN_SUFFIXES = tuple(_TYPES)

#: Quality at which JPEG is written, without subsampled colours.
_QUALITY = 95

_IMAGEJ_TYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True, eq=False)
class Pixels:
    """The numbers of an image file that is to be written.

    Attributes:
        values: as they are stored, Shape (..., H, W), or with an axis of colours, see `axes`.
        axes: the axes, slowest first: Y, X, S for colours, 1 for an axis with a single element; others count images.
        corner: row and column of the measurement's first pixel in it, for coordinates of FITS.
    """

    values: NDArray[Any]
    axes: str
    corner: tuple[int, int] = (0, 0)


def held_type(suffix: str, kind: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which a format holds numbers of some type: itself, or the nearest that the format has.

    Args:
        suffix: of the format, one of `WRITTEN_SUFFIXES`.
        kind: type of the numbers.

    Raises:
        InputError: for a format that cannot be written.
    """
    if suffix.lower() not in _TYPES:
        raise InputError(f"{suffix or 'a file without suffix'} cannot be written: use {', '.join(WRITTEN_SUFFIXES)}")
    types = _TYPES[suffix.lower()]
    if not types or kind.name in types:
        return np.dtype(np.float64) if kind == np.longdouble else kind
    if kind.kind == "f" and "float32" in types:
        return np.dtype(np.float32 if kind.itemsize <= 4 else np.float64)
    if kind.kind in "iu" and "float64" in types:
        return np.dtype(np.int16 if kind == np.int8 else np.float64)
    return np.dtype(types[-1])


def encoded(suffix: str, pixels: Pixels, metadata: Metadata) -> bytes:
    """Return the bytes of an image file.

    Args:
        suffix: of its format.
        pixels: its numbers, of a type that `held_type` returns.
        metadata: what it says beside them, as far as the format can.

    Raises:
        InputError: for a stack, where the format holds a single image.
    """
    form = suffix.lower()
    stacked = any(letter not in "1YXS" for letter in pixels.axes)
    check_holds(suffix, pixels.axes)
    if stacked:
        pixels = _counted(pixels, last=form == ".mat")
    if form in _SINGLE:
        image = _channels_last(pixels)
        if form == ".png":
            return _png(image, _png_chunks(metadata))
        return _by_pillow(image, "BMP" if form == ".bmp" else "JPEG", metadata)
    if form in (".tif", ".tiff"):
        return _tiff(pixels, metadata, stacked=stacked)
    if form in fits.FITS_SUFFIXES:
        return fits.encoded(_channels_before(pixels), metadata.header, pixels.corner)
    return _array(form, pixels.values)


def _counted(pixels: Pixels, *, last: bool) -> Pixels:
    """Return a stack with the axes that count images before its rows, or as its last ones, as in MATLAB."""
    counting = [place for place, letter in enumerate(pixels.axes) if letter not in "1YXS"]
    if (min(counting) > pixels.axes.index("Y")) == last:
        return pixels
    others = [place for letter in "1YXS" for place, axis in enumerate(pixels.axes) if axis == letter]
    order = [*others, *counting] if last else [*counting, *others]
    axes = "".join(pixels.axes[place] for place in order)
    return Pixels(np.ascontiguousarray(pixels.values.transpose(order)), axes, pixels.corner)


def check_holds(suffix: str, axes: str) -> None:
    """Refuse a stack where a format holds a single image.

    Args:
        suffix: of the format.
        axes: of the numbers, as in `Pixels`.

    Raises:
        InputError: naming formats that hold stacks.
    """
    if suffix.lower() in _SINGLE and any(letter not in "1YXS" for letter in axes):
        raise InputError(f"{suffix} holds a single image, and this is a stack: use .tif, .fits or .npy")


def _channels_last(pixels: Pixels) -> NDArray[Any]:
    """Return a single image, Shape (H, W) or (H, W, 3)."""
    image = pixels.values.reshape(
        [side for side, axis in zip(pixels.values.shape, pixels.axes, strict=True) if axis != "1"]
    )
    axes = pixels.axes.replace("1", "")
    image = np.moveaxis(image, axes.index("S"), -1) if "S" in axes else image
    return image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image


def _channels_before(pixels: Pixels) -> NDArray[Any]:
    """Return images with their colours before rows and columns, as FITS has them."""
    return np.moveaxis(pixels.values, -1, -3) if pixels.axes.endswith("S") else pixels.values


def _png(image: NDArray[Any], chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG by the format's definition, as Pillow writes no colours of 16 bit."""
    height, width = image.shape[:2]
    depth = 8 * image.dtype.itemsize
    rows = np.ascontiguousarray(image, image.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    header = struct.pack(">IIBBBBB", width, height, depth, 2 if image.ndim == 3 else 0, 0, 0, 0)
    # each row begins with its filter: none
    lines = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes(), 6)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", lines), (b"IEND", b"")]
    return PNG + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_chunks(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """Return the chunks that say what a file said beside its pixels: those of a PNG as they were."""
    if metadata.chunks:
        return list(metadata.chunks)
    chunks = []
    if metadata.profile:
        chunks.append((b"iCCP", b"profile\0\0" + zlib.compress(metadata.profile)))
    if metadata.per_metre:
        horizontal, vertical = (round(each) for each in metadata.per_metre)
        if min(horizontal, vertical) > 0 and max(horizontal, vertical) < 2**31:
            chunks.append((b"pHYs", struct.pack(">IIB", horizontal, vertical, 1)))
    if exif := _exif(metadata):
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    return chunks


def _exif(metadata: Metadata) -> bytes:
    """Return the EXIF block of a JPEG or PNG, or one of an orientation that another format stated; empty for none."""
    if metadata.exif or metadata.orientation == 1:
        return metadata.exif or b""
    from PIL import Image

    made = Image.Exif()
    made[ORIENTATION] = metadata.orientation
    return made.tobytes()


def _by_pillow(image: NDArray[Any], form: str, metadata: Metadata) -> bytes:
    from PIL import Image

    said: dict[str, Any] = {}
    if metadata.per_metre:
        said["dpi"] = tuple(each * 0.0254 for each in metadata.per_metre)
    if form == "JPEG":
        said |= {"quality": _QUALITY, "subsampling": 0}
        exif = _exif(metadata)
        said |= {"exif": exif} if exif else {}
        said |= {"icc_profile": metadata.profile} if metadata.profile else {}
    file = BytesIO()
    Image.fromarray(image).save(file, form, **said)
    return file.getvalue()


def _tiff(pixels: Pixels, metadata: Metadata, *, stacked: bool) -> bytes:
    from tifffile import imwrite

    said = dict(metadata.tiff) or _tiff_of(metadata)
    imagej, description = said.pop("imagej", None), said.pop("description", None)
    values, axes = _colours_last(pixels)
    coloured = axes.endswith("S")
    if imagej is not None and pixels.values.dtype.name in _IMAGEJ_TYPES and (values.dtype == np.uint8 or not coloured):
        said.pop("compression", None)
        # ImageJ counts channels, slices and frames, and has no other axes
        named = {"axes": axes} if stacked and set(axes) <= set("TZCYXS") else {}
        said |= {"imagej": True, "metadata": {**imagej, **named}}
    else:
        said["metadata"] = {"axes": axes} if stacked and not description else None
        said |= {"description": description.encode()} if description else {}
    file = BytesIO()
    imwrite(
        file,
        values,
        photometric="rgb" if coloured else "minisblack",
        software="nidbench",
        iccprofile=metadata.profile,
        **said,
    )
    return file.getvalue()


def _colours_last(pixels: Pixels) -> tuple[NDArray[Any], str]:
    """Return images without axes of a single element, colours last, and the names of the axes."""
    kept = [place for place, axis in enumerate(pixels.axes) if axis != "1"]
    values = pixels.values.reshape([pixels.values.shape[place] for place in kept])
    axes = "".join(pixels.axes[place] for place in kept)
    if "S" not in axes:
        return values, axes
    values, axes = np.moveaxis(values, axes.index("S"), -1), axes.replace("S", "") + "S"
    return (values[..., 0], axes[:-1]) if values.shape[-1] == 1 else (values, axes)


def _tiff_of(metadata: Metadata) -> dict[str, Any]:
    """Return the arguments that say in a TIFF what another format said beside its pixels."""
    said: dict[str, Any] = {}
    if metadata.per_metre:
        horizontal, vertical = metadata.per_metre
        said |= {"resolution": (horizontal / 100, vertical / 100), "resolutionunit": 3}
    if metadata.orientation != 1:
        said["extratags"] = [(ORIENTATION, 3, 1, metadata.orientation, True)]
    return said


def _array(form: str, values: NDArray[Any]) -> bytes:
    """Return an array file; where it names its array, readers know the name for sharp, blurred and restored images."""
    file = BytesIO()
    if form == ".npy":
        np.save(file, values)
    elif form == ".npz":
        np.savez(file, image=values)
    else:
        from scipy.io import savemat

        # its types know no file in memory
        savemat(file, {"image": values}, do_compression=True)  # type: ignore[arg-type]
    return file.getvalue()


def suffix_of(path: Path) -> str:
    """Return the suffix of a file that is to be written, in lower case.

    Raises:
        InputError: for a format that cannot be written.
    """
    held_type(path.suffix, np.dtype(np.uint8))
    return path.suffix.lower()
