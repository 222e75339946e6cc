"""Reads TIFF files of one page, as they are stored: with tifffile, or with Pillow for compressions it cannot read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .pictures import check_mode
from .stored import Stored, check_size, native, without_alpha

if TYPE_CHECKING:
    from tifffile import TiffPage

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

#: Photometric interpretations that are gray or RGB -> number of colour channels.
_COLOURS = {"MINISWHITE": 1, "MINISBLACK": 1, "RGB": 3, "YCBCR": 3}

#: The tag of TIFF and EXIF with the orientation in which a viewer is to show the pixels.
ORIENTATION = 274

#: What tifffile says of compressions and depths that it decodes only with another library, or never.
_LACKING = ("imagecodecs", "not supported")

#: Bits whose levels Pillow stretches to 0 to 255.
_STRETCHED = (2, 4)

#: Most bits that Pillow keeps; and up to which it keeps them in colours, and inverts where 0 is white.
_MOST_BITS, _SHALLOW = 32, 8


def is_tiff(path: Path) -> bool:
    """Return whether a file begins with the bytes of a TIFF file."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


@contextmanager
def opened(path: Path) -> Iterator[TiffPage]:
    """Open a file for the block, and yield its only page.

    Raises:
        InputError: for several pages or planes, a palette, complex numbers, another colour space, too many pixels, or a
            file that is cut off.
    """
    from tifffile import TiffFile

    with quiet(), TiffFile(path) as file:
        page = _only_page(file)
        _check(page)
        yield page


@contextmanager
def quiet() -> Iterator[None]:
    """Keep tifffile from logging damage in the block: it goes on after it, and `_check` refuses it."""
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _only_page(file: Any) -> TiffPage:
    pages = [page for page in file.pages if not (page.is_reduced or page.is_mask)]  # not previews
    planes = max((int(np.prod(series.shape)) for series in file.series), default=0)
    if len(pages) != 1 or planes > int(np.prod(pages[0].shape)):
        held = ", ".join(f"{series.axes} of {'x'.join(map(str, series.shape))}" for series in file.series[:3])
        raise InputError(
            f"it holds {len(pages)} pages ({held}): save the page to read as a separate file, such as with "
            "tifffile.imwrite(NEW, tifffile.imread(OLD)[INDEX])"
        )
    page: TiffPage = pages[0].aspage() if hasattr(pages[0], "aspage") else pages[0]
    return page


def _may_be_stack(page: TiffPage) -> bool:
    """Return whether a page has three planes that tifffile marks as colours, although they may be a stack."""
    return page.axes == "SYX" and page.software.startswith("tifffile")


def _check(page: TiffPage, *, planes: bool = False) -> None:
    """Refuse a page that is no image; `planes` says that planes are meant where they may be colours.

    Raises:
        InputError: naming what it is.
    """
    check_size(page.shape)
    photometric = _photometric(page)
    if photometric == "PALETTE":
        raise InputError("it has a palette")
    if photometric == "YCBCR" and "JPEG" not in _compression(page):
        raise InputError("it holds luminance and chrominance (YCbCr), not RGB")
    if photometric not in _COLOURS or page.axes not in ("YX", "YXS", "SYX"):
        raise InputError(f"it is {photometric} with the axes {page.axes}, not gray or RGB")
    if _may_be_stack(page) and not planes:
        raise InputError(
            "it holds three planes, which tifffile marks as colours although they may be a stack: save colours as "
            "(H, W, 3), or a single page as a separate file"
        )
    if page.dtype is None or page.dtype.kind not in "buif":
        raise InputError(f"it holds {page.dtype}, not real numbers")
    end = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if not segments or any(size == 0 or start + size > end for start, size in segments):
        raise InputError("it cannot be read: some of its pixels are missing")


def _photometric(page: TiffPage) -> str:
    return getattr(page.photometric, "name", str(page.photometric))


def _compression(page: TiffPage) -> str:
    return getattr(page.compression, "name", str(page.compression))


def shape_of(path: Path) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of a file's only page from its header.

    Raises:
        InputError: where `opened` refuses it.
    """
    with opened(path) as page:
        sizes = dict(zip(page.axes, page.shape, strict=True))
        return min(_COLOURS[_photometric(page)], sizes.get("S", 1)), sizes["Y"], sizes["X"]


def read(path: Path) -> Stored:
    """Return the pixels of a file's only page, and their bits where their type has more.

    In the result 0 is black, also for files in which it is white.

    Raises:
        InputError: where `opened` refuses the file, its alpha channel is not opaque, or no library here decodes it.
    """
    with opened(path) as page:
        pixels, bits = _decoded(path, [page], page.asarray)
        channels_last = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
        colours = _COLOURS[_photometric(page)]
    return Stored(without_alpha(channels_last, min(colours, channels_last.shape[-1])), picture=True, bits=bits)


def pages_in(path: Path) -> tuple[int, tuple[int, int]]:
    """Return how many images a file holds, previews and masks not counted, and their (h, w).

    Raises:
        InputError: for images of several sizes or types.
    """
    from tifffile import TiffFile

    with quiet(), TiffFile(path) as file:
        series = _series(file)
        page = series.keyframe
        count = int(series.shape[0]) if _may_be_stack(page) else _count(series)
        return count, (int(page.imagelength), int(page.imagewidth))


def read_pages(path: Path) -> tuple[Stored, str]:
    """Return all images of a file, Shape (..., H, W) or (..., H, W, 3), and the names of their axes: `ZYX`.

    In the result 0 is black, also for files in which it is white.

    Raises:
        InputError: for what `read` refuses in a single page, and for images of several sizes or types.
    """
    from tifffile import TiffFile

    with quiet(), TiffFile(path) as file:
        series = _series(file)
        page = series.keyframe
        planes = _may_be_stack(page)
        _check(page, planes=planes)
        check_size(series.shape)
        colours = _COLOURS[_photometric(page)]
        axes = series.axes.replace("S", "Z") if planes else series.axes
        if not axes.endswith(("YX", "YXS")):
            raise InputError(f"its axes are {axes}: save it with rows, columns and colours last")
        pixels, bits = _decoded(path, series.pages, series.asarray)
        pixels = pixels.reshape(series.shape)
    if axes.endswith("S"):
        pixels = without_alpha(pixels, min(colours, pixels.shape[-1]))
        axes = axes if pixels.ndim == len(axes) else axes[:-1]
    return Stored(pixels, picture=True, bits=bits), axes


def _series(file: Any) -> Any:
    """Return the one series of images of a file, without previews.

    Raises:
        InputError: where there are several, or none.
    """
    held = [each for each in file.series if not (each.keyframe.is_reduced or each.keyframe.is_mask)]
    if len(held) != 1:
        sizes = ", ".join("x".join(map(str, each.shape)) for each in held[:3]) or "none"
        raise InputError(f"it holds images of several sizes or types ({sizes}): save those to read as a separate file")
    return held[0]


def _count(series: Any) -> int:
    of_an_image = int(np.prod(series.keyframe.shape))
    return max(1, int(np.prod(series.shape)) // max(1, of_an_image))


def _inverted(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    if pixels.dtype.kind == "b":
        return ~pixels
    if pixels.dtype.kind != "u":
        raise InputError(f"its 0 is white and it holds {pixels.dtype}, whose black is not known")
    return np.asarray(2**bits - 1 - pixels, pixels.dtype)


def _decoded(
    path: Path, pages: Sequence[TiffPage], decode: Callable[[], NDArray[Any]]
) -> tuple[NDArray[Any], int | None]:
    """Return pixels in which 0 is black, and their bits where their type has more; else None.

    Args:
        path: the file.
        pages: its pages that are meant, all of the kind of the first.
        decode: returns their pixels, and raises where tifffile lacks a library for their compression or depth.

    Raises:
        InputError: where no other library here decodes them, or what is black in them is not known.
    """
    page, bits = pages[0], int(pages[0].bitspersample)
    _check_mask(page)
    try:
        pixels = native(np.asarray(decode()))
    except (ValueError, NotImplementedError, ImportError) as error:
        if not (isinstance(error, ImportError) or any(word in str(error) for word in _LACKING)):
            raise
        pixels = _pixels_by_pillow(path, pages)
        bits = 8 if bits in _STRETCHED else bits
    else:
        pixels = _inverted(pixels, bits) if _photometric(page) == "MINISWHITE" else pixels
    return pixels, bits if pixels.dtype.kind == "u" and bits < 8 * pixels.dtype.itemsize else None


def _check_mask(page: TiffPage) -> None:
    """Refuse black-and-white pixels of which their writer and the format say the opposite.

    Raises:
        InputError: for an array of True and False by tifffile, which marks True as black and reads it as True.
    """
    if page.bitspersample == 1 and _photometric(page) == "MINISWHITE" and page.software.startswith("tifffile"):
        raise InputError(
            "it holds True and False, and by what tifffile wrote beside them True is black and False is white, which "
            "tifffile.imread does not heed: save them as numbers, such as with "
            "tifffile.imwrite(NEW, tifffile.imread(OLD).astype('uint8'))"
        )


def _pixels_by_pillow(path: Path, pages: Sequence[TiffPage]) -> NDArray[Any]:
    """Return the pixels of pages, one behind the other, as Pillow decodes them, where it neither converts nor rounds.

    In the result 0 is black. Levels of 2 and 4 bit are stretched to those of 8.

    Raises:
        InputError: for depths and colours that it would convert, and for what it does not decode.
    """
    from PIL import Image, UnidentifiedImageError

    page = pages[0]
    bits = int(page.bitspersample)
    if bits > _MOST_BITS or (bits > _SHALLOW and (page.samplesperpixel > 1 or _photometric(page) == "MINISWHITE")):
        raise InputError(_undecoded(page))
    if any(each is None or each.parent is not page.parent for each in pages):
        raise InputError(f"it keeps pages in other files, and {_undecoded(page)}")
    whole = [each.aspage() if hasattr(each, "aspage") else each for each in pages]
    decoded = []
    try:
        with Image.open(_upright(path, whole), formats=("TIFF",)) as file:
            for each in whole:
                file.seek(each.index)
                check_mode(file)
                decoded.append(np.asarray(file).astype(page.dtype))
    except UnidentifiedImageError:
        raise InputError(_undecoded(page)) from None
    except OSError as error:
        raise InputError(f"it is damaged ({error}), or {_undecoded(page)}") from error
    pixels = np.stack([np.moveaxis(each, -1, 0) if page.axes == "SYX" else each for each in decoded])
    return pixels if len(pixels) > 1 else pixels[0]


def _undecoded(page: TiffPage) -> str:
    compression = _compression(page)
    kind = "" if compression == "NONE" else f" compressed by {compression}"
    return (
        f"its pixels of {page.bitspersample} bit{kind} are not read by what is installed here: save it without "
        "compression, with 8 or 16 bit, or pip install imagecodecs"
    )


def _upright(path: Path, pages: Sequence[TiffPage]) -> BytesIO:
    """Return the bytes of a file with neutral orientation tags, because Pillow would rotate the pixels by them."""
    content = bytearray(path.read_bytes())
    for page in pages:
        if tag := page.tags.get(ORIENTATION):
            value = slice(tag.valueoffset, tag.valueoffset + tag.valuebytecount)
            content[value] = (1).to_bytes(tag.valuebytecount, "little" if page.parent.byteorder == "<" else "big")
    return BytesIO(content)
