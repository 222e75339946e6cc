"""Checks files of arrays that come from elsewhere before NumPy reads them: no objects, and no more than is there."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.lib import format as npy

from nidbench.errors import PackError
from nidbench.records import ARRAYS_DAMAGE

from .names import shown

_ENDING = ".npy"


def check_arrays(place: str, name: str, content: bytes, remedy: str) -> None:
    """Refuse a file of arrays that no results folder of ours could have.

    Args:
        place: where it comes from, for messages.
        name: `arrays.npz` or `kept.npz`.
        content: its bytes.
        remedy: what to do about it, for messages.

    Raises:
        PackError: where it cannot be read, holds Python objects, claims to be larger than it is, or has other arrays.
    """
    try:
        shapes = _shapes(content)
        if name == "arrays.npz":
            _check_restoration(shapes)
        else:
            _check_kept(shapes)
    except ARRAYS_DAMAGE as error:
        raise PackError(f"{place} is no file of arrays that can be taken ({error}): {remedy}") from error


_Shapes: TypeAlias = "dict[str, tuple[tuple[int, ...], np.dtype[Any]]]"


def _shapes(content: bytes) -> _Shapes:
    """Return shape and type of each array, without reading more than there is."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        _check_entries(entries, len(content))
        return {entry.filename.removesuffix(_ENDING): _shape(archive, entry) for entry in entries}


def _check_entries(entries: Iterable[zipfile.ZipInfo], size: int) -> None:
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names) or not all(name.endswith(_ENDING) for name in names):
        raise ValueError("it holds other files than arrays of different names")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        raise ValueError("its arrays are compressed or encrypted")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its arrays are larger than the file")


def _shape(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    content = archive.read(entry)  # which compares its checksum
    file = io.BytesIO(content)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    shape, _, kind = readers[version](file)
    if kind.hasobject:
        raise ValueError("it holds Python objects, which would be unpickled")
    if min(shape, default=1) < 1 or math.prod(shape) * kind.itemsize != len(content) - file.tell():
        raise ValueError(f"an array says that its shape is {shape}, and its bytes are others")
    return shape, kind


def _check_restoration(shapes: _Shapes) -> None:
    image = shapes.get("image")
    if image is None or not set(shapes) <= {"image", "variance"}:
        raise ValueError(f"it has arrays {', '.join(map(shown, sorted(shapes)))}, and not image and, at most, variance")
    if len(set(shapes.values())) > 1 or len(image[0]) != 3 or image[1] != np.float32:
        raise ValueError(f"it has arrays {shapes}, and not float32 of one shape (C, H, W)")


def _check_kept(shapes: _Shapes) -> None:
    draws = shapes.get("draws")
    if draws is not None and len(draws[0]) != 4:
        raise ValueError(f"it has draws of shape {draws[0]}, and not (n, C, H, W)")
    if not all(kind.kind in "biuf" for _, kind in shapes.values()):
        raise ValueError("it has arrays that are no numbers")
