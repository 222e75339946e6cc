"""A measurement as a file: its images as methods take them, and restored ones as numbers of the same kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError
from nidbench.images import BLURRED, JPEG_SUFFIXES, UNSTATED, Units, frames_note
from nidbench.images.fits import is_fits
from nidbench.images.metadata import Metadata, metadata_of
from nidbench.images.stack import Stack, count_images, read_stack
from nidbench.images.stored import Stored
from nidbench.images.units import check_finite, check_unit, depth_of, white_of
from nidbench.images.write import Pixels, encoded, held_type, suffix_of
from nidbench.physics.arrays import Image

#: The option that says which images of a stack to restore.
ALL = "all"

#: Planes that may be the colours of one image.
_COLOURS = 3

#: Real numbers beyond this are counts or another unit, not intensities on [0, 1].
_COUNTS = 3.0

_WAY_OUT = "give a gray or RGB image: TIFF, PNG, JPEG, BMP, FITS, .npy, .npz or .mat"

#: What the orientations 2 to 8 of EXIF and TIFF mean.
_ORIENTED = (
    "mirrored",
    "turned by 180 degrees",
    "flipped",
    "mirrored and turned",
    "turned by 90 degrees clockwise",
    "mirrored and turned",
    "turned by 90 degrees anticlockwise",
)


@dataclass(frozen=True, eq=False)
class Source:
    """A measurement as a file.

    Attributes:
        path: the file.
        stack: its images that are to be restored.
        white: the value that is intensity 1.
        bits: bits of its integers, where they are fewer than those of their type; else None.
        metadata: what it says beside its pixels.
        notes: what was assumed or left out, in sentences.
        whole: whether all of the file's images are to be restored.
        plain: suffixes of the formats to which its metadata cannot be written.
        relative: whether the largest value was taken for intensity 1, as nothing says it.
    """

    path: Path
    stack: Stack
    white: float
    bits: int | None
    metadata: Metadata
    notes: Sequence[str] = ()
    whole: bool = True
    plain: frozenset[str] = frozenset()
    relative: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of its images."""
        height, width = self.stack.stored.values.shape[1:3]
        return height, width

    @property
    def colours(self) -> int:
        """The number of channels, 1 or 3."""
        return int(self.stack.stored.values.shape[3])

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of its numbers."""
        return self.stack.stored.values.dtype

    def image(self, page: int) -> Image:
        """Return an image, counted from 0: Shape (C, h, w), float32, nominally in [0, 1]."""
        values = self.stack.stored.values[page].astype(np.float64) / self.white
        return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)


def read_source(path: Path, units: Units = UNSTATED, pages: str = "") -> Source:
    """Read a measurement.

    Args:
        path: a picture, FITS or an array file.
        units: what is stated about its values. Where nothing is, and their range is not known, as of counts in real
            numbers, the largest is taken for intensity 1.
        pages: of a stack, `all` or the number of one image, from 1; empty for a file that holds a single image.

    Raises:
        InputError: where it cannot be read, is a stack and `pages` is empty, or has no such page.
    """
    try:
        stack = _chosen(path, pages)
        white, assumed, relative = _white(stack.stored, units)
        check_unit(stack.stored.values[:: max(1, stack.count // 8)].astype(np.float64) / white)
        metadata = metadata_of(path)
    except InputError as error:
        raise InputError(f"{path} cannot be restored ({error}): {_WAY_OUT}") from error
    bits = depth_of(stack.stored, units)
    notes = [f"{path.name} has {assumed}"] if assumed else []
    if stack.may_be_frames and pages == "":
        notes.append(frames_note(path.name, "say --pages all"))
    if metadata.alpha:
        notes.append(f"{path.name} has an alpha channel, opaque everywhere, which is left out")
    if metadata.damaged:
        notes.append(f"{path.name} says {', '.join(metadata.damaged)} as FITS does not allow it, which is left out")
    return Source(path, stack, white, bits, metadata, notes, whole=pages in ("", ALL), relative=relative)


def _chosen(path: Path, pages: str) -> Stack:
    """Return the images of a file that are asked for."""
    if pages == "":
        count, (height, width) = count_images(path, BLURRED)
        if count > 1:
            colours = "; where they are the colours of one, save it as (H, W, 3)" if count == _COLOURS else ""
            raise InputError(
                f"it holds {count} images of {height}x{width}: --pages all restores each by itself, in two dimensions, "
                f"--pages 1 the first{colours}"
            )
        return read_stack(path, BLURRED, paged=False)
    if pages != ALL and not (pages.isascii() and pages.isdecimal() and int(pages) >= 1):
        raise InputError(f"pages {pages!r} are not {ALL} or a number from 1")
    stack = read_stack(path, BLURRED, paged=True)
    if pages == ALL:
        return stack
    if int(pages) > stack.count:
        raise InputError(f"there is no page {pages} among its {stack.count}")
    return stack.only(int(pages))


def _white(stored: Stored, units: Units) -> tuple[float, str, bool]:
    """Return the value of intensity 1, what was assumed, and whether nothing says it, so that it is the largest one."""
    check_finite(stored.values)
    try:
        return (*white_of(stored, units), False)
    except InputError:
        low, high = float(stored.values.min()), float(stored.values.max())
        of_reals = stored.values.dtype.kind == "f"
        counts = stored.values.dtype.kind in "iuf" and high > max(_COUNTS, -low)
        if units.stated() or stored.bits is not None or not counts:
            raise
    what = "real numbers" if of_reals else f"{stored.values.dtype} values"
    said = (
        f"{what} up to {high:.6g}, whose range is not known: the largest is taken for intensity 1; if {high:.6g} is "
        "not white, say --scale VALUE"
    )
    return high, said, True


@dataclass(frozen=True, eq=False)
class Numbers:
    """Restored images as numbers of a file.

    Attributes:
        pixels: the numbers.
        clipped: how many values lay beyond what the numbers can be.
        notes: what the format cannot hold, in sentences.
    """

    pixels: Pixels
    clipped: int
    notes: Sequence[str] = ()


def numbers(source: Source, out: Path, images: Sequence[Image], corner: tuple[int, int] = (0, 0)) -> Numbers:
    """Return restored images as numbers of the kind that the measurement has, as far as the format can hold them.

    Args:
        source: the measurement.
        out: the file to be written, for its format.
        images: as the camera would show them, Shape (C, h, w) each, of any h and w.
        corner: row and column of the measurement's first pixel in them.
    """
    kind = source.kind
    held = held_type(suffix_of(out), kind)
    white, bits, notes = source.white, source.bits, []
    if held.kind in "iu" and held != kind:
        white, bits = float(np.iinfo(held).max), None
        notes.append(
            f"{out.suffix} holds no {kind}: rounded to {8 * held.itemsize} bit, where {white:g} stands for the "
            f"{source.white:g} of {source.path.name}"
        )
    elif held != kind:
        notes.append(f"{out.suffix} holds no {kind}: written as {held}")
    values = np.stack([image.transpose(1, 2, 0) for image in images]) * np.float64(white)
    stored, clipped = _as_type(values, held, bits)
    if out.suffix.lower() in JPEG_SUFFIXES:
        notes.append("JPEG loses detail: .png or .tif keep every value")
    if bits is not None and held.kind in "iu" and bits < 8 * held.itemsize:
        notes.append(f"values are {bits} bit, 0 to {2**bits - 1}, in {8 * held.itemsize}-bit numbers")
    return Numbers(Pixels(source.stack.arranged(stored), source.stack.axes, corner), clipped, notes)


def _as_type(values: NDArray[np.float64], kind: np.dtype[Any], bits: int | None) -> tuple[NDArray[Any], int]:
    """Return values in a type, and how many of them had to be clipped."""
    if kind.kind == "f":
        low, high = float(np.finfo(kind).min), float(np.finfo(kind).max)
        rounded = values
    else:
        most = np.iinfo(kind).max
        low, high = float(np.iinfo(kind).min), float(most if bits is None else min(most, 2**bits - 1))
        high = high if high <= most else float(np.nextafter(high, 0))  # the largest of 64 bit is no real number
        rounded = np.rint(values)
    clipped = int(np.count_nonzero((rounded < low) | (rounded > high)))
    return rounded.clip(low, high).astype(kind), clipped


def file_bytes(source: Source, out: Path, pixels: Pixels) -> tuple[bytes, Sequence[str]]:
    """Return the bytes of a file with restored images, and what it cannot say of the measurement, in sentences.

    Raises:
        InputError: where the format's writer refuses them.
    """
    notes = []
    suffix = suffix_of(out)
    metadata = Metadata() if suffix in source.plain else source.metadata
    if is_fits(out) != is_fits(source.path):
        notes.append("rows are kept in their order, and viewers of FITS show row 0 at the bottom, others at the top")
    if metadata.orientation != 1:
        how = _ORIENTED[metadata.orientation - 2]
        if suffix in (*JPEG_SUFFIXES, ".png", ".tif", ".tiff"):
            notes.append(f"the pixels are as stored, and {out.name} says as {source.path.name} does: shown {how}")
        else:
            notes.append(f"the pixels are as stored; {suffix} cannot say that they are to be shown {how}")
    of_size = source.whole and pixels.values.shape == source.stack.arranged(source.stack.stored.values).shape
    if "<OME" in metadata.tiff.get("description", "")[:600] and not of_size:
        metadata = replace(metadata, tiff={**metadata.tiff, "description": ""})
        notes.append(f"the OME description of {source.path.name} is of other images, and was left out")
    try:
        return encoded(suffix, pixels, metadata), notes
    except (InputError, MemoryError):
        raise
    except Exception as error:  # writers raise undocumented exceptions for what they cannot say
        reason = " ".join(str(error).split())
        raise InputError(f"the writer of {suffix} refuses it ({type(error).__name__}: {reason})") from error


def tried(
    source: Source, images: Iterable[tuple[Path, np.dtype[Any]]], frame: Sequence[int], corner: tuple[int, int]
) -> Source:
    """Return a measurement without what the writers of some files refuse of its metadata, and with notes of that.

    Black images are encoded in place of restored ones, so that none is lost for what its file cannot say.

    Args:
        source: the measurement.
        images: files that are to be written, and the type of their numbers.
        frame: (h, w) of the restored images.
        corner: row and column of the measurement's first pixel in them.
    """
    black = np.zeros((source.stack.count, *frame, source.colours), np.uint8)
    for out, kind in images:
        held = held_type(suffix_of(out), kind)
        pixels = Pixels(source.stack.arranged(black.astype(held)), source.stack.axes, corner)
        if refused := _refusal(source, out, pixels):
            note = f"{out.name} says nothing of what {source.path.name} says beside its pixels: {refused}"
            source = replace(source, plain=source.plain | {suffix_of(out)}, notes=[*source.notes, note])
    return source


def _refusal(source: Source, out: Path, pixels: Pixels) -> str:
    """Return why a measurement's metadata cannot be written; empty where it can."""
    try:
        file_bytes(source, out, pixels)
    except InputError as error:
        return str(error)
    return ""
