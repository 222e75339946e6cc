"""Reads all images of a file, one or many of the same size, and remembers how the file arranges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from . import tiffs
from .arrays import ARRAY_SUFFIXES
from .read import SMALLEST_SIDE, is_of_planes, read_stored
from .stored import Stored, reading

#: Numbers of colour channels that an axis may have.
_COLOURS = (1, 3)

#: Numbers of channels that a last axis of colours with alpha has -> what they are.
_ALPHA = {2: "gray and alpha", 4: "RGBA"}

#: Names of axes that count images, of arrays whose axes have none.
_COUNTERS = "ZTCPQ"


@dataclass(frozen=True, eq=False)
class Stack:
    """The images of a file.

    Attributes:
        stored: their values, Shape (N, H, W, C), C = 1 (gray) or 3 (colour).
        axes: the axes of the file, slowest first: Y, X, S for colours, 1 for an axis with a single element; all others
            count images.
        lengths: the sides of the axes that count images; empty for a single image.
    """

    stored: Stored
    axes: str
    lengths: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.stored.values)

    @property
    def may_be_frames(self) -> bool:
        """Whether it is one image whose colours are three planes of an array or FITS, as of `Reading`."""
        planes = self.axes.endswith("SYX") and self.stored.values.shape[-1] == 3
        return planes and not self.lengths and not self.stored.picture

    def only(self, page: int) -> Stack:
        """Return one image alone, counted from 1, without the axes that count images."""
        axes = "".join(letter for letter in self.axes if letter in "1YXS")
        return Stack(replace(self.stored, values=self.stored.values[page - 1 : page]), axes)

    def arranged(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return images, Shape (N, h, w, C) of any h and w, as the file arranges them."""
        array = values.reshape(*self.lengths, *values.shape[1:])
        counted = len(self.lengths)
        if "S" not in self.axes:
            array = array[..., 0]
        kept = [letter for letter in self.axes if letter != "1"]
        places = {"Y": counted, "X": counted + 1, "S": counted + 2}
        counters = iter(range(counted))
        array = array.transpose([places[letter] if letter in places else next(counters) for letter in kept])
        ones = [place for place, letter in enumerate(self.axes) if letter == "1"]
        return np.ascontiguousarray(np.expand_dims(array, ones))


def count_images(path: Path, names: Sequence[str]) -> tuple[int, tuple[int, int]]:
    """Return how many images a file holds, where it is read as it stands, and their (h, w).

    Raises:
        InputError: where it cannot be read; the message does not name the file.
    """
    with reading(path):
        if tiffs.is_tiff(path):
            return tiffs.pages_in(path)
    stored = read_stored(path, names)
    shape = stored.values.shape
    if stored.picture:
        return 1, (shape[0], shape[1])
    _check_alpha(path, shape, paged=False)
    axes = _axes(shape, paged=False) or _axes(shape, paged=True, last=_counts_last(path))
    sides = list(zip(axes, shape, strict=False))
    size = dict(sides)
    count = int(np.prod([side for axis, side in sides if axis not in "1YXS"]))
    return count, (size.get("Y", 0), size.get("X", 0))


def read_stack(path: Path, names: Sequence[str], *, paged: bool) -> Stack:
    """Return the images of a file.

    Args:
        path: a picture, FITS or an array file.
        names: names that the array may have in a file with several.
        paged: whether it is read as a stack: the first axes of its array count images, the last ones in a MATLAB file.
            A colour image is otherwise (H, W, 3) or (3, H, W).

    Raises:
        InputError: where it cannot be read, or is no image or no stack; the message does not name the file.
    """
    if paged:
        with reading(path):
            if tiffs.is_tiff(path):
                stored, axes = tiffs.read_pages(path)
                return _stack(stored, axes)
    stored = read_stored(path, names)
    shape = stored.values.shape
    if stored.picture:
        return _stack(stored, "YXS" if len(shape) == 3 else "YX")
    _check_alpha(path, shape, paged=paged)
    axes = _axes(shape, paged=paged, last=_counts_last(path))
    if not axes:
        raise InputError(f"it has shape {shape}")
    return _stack(stored, axes)


def _counts_last(path: Path) -> bool:
    """Return whether the last axes of a file's array count images, as in MATLAB."""
    return path.suffix.lower() == ".mat"


def _check_alpha(path: Path, shape: tuple[int, ...], *, paged: bool) -> None:
    """Refuse an array whose last axis is one of colours with alpha.

    Raises:
        InputError: naming what it seems to be.
    """
    if path.suffix.lower() not in ARRAY_SUFFIXES or len(shape) < 3 or shape[-1] not in _ALPHA:
        return
    of_matlab = _counts_last(path)
    if of_matlab and paged:
        return
    stack = f"; --pages all restores a stack of {shape[-1]} images" if of_matlab else ""
    raise InputError(
        f"it has shape {shape}, whose last axis of {shape[-1]} seems to be {_ALPHA[shape[-1]]}: save it without alpha, "
        f"such as its [..., :{shape[-1] - 1}]{stack}"
    )


def _axes(shape: tuple[int, ...], *, paged: bool, last: bool = False) -> str:
    """Return the axes of an array that is no picture; empty where it cannot be one image, or a stack.

    Args:
        shape: of the array.
        paged: whether it is a stack.
        last: whether the last axes of a stack count images.
    """
    ones = 0
    while len(shape) > 3 and shape[0] == 1:
        ones, shape = ones + 1, shape[1:]
    if len(shape) == 2:
        return "1" * ones + "YX"
    if len(shape) < 2:
        return ""
    if not paged:
        if is_of_planes(shape):
            return "1" * ones + "SYX"
        return "1" * ones + "YXS" if len(shape) == 3 and shape[2] in _COLOURS else ""
    if last:
        coloured = len(shape) > 3 and shape[2] in _COLOURS
        return "1" * ones + ("YXS" + _COUNTERS[: len(shape) - 3] if coloured else "YX" + _COUNTERS[: len(shape) - 2])
    if len(shape) > 3 and shape[-1] in _COLOURS:
        return "1" * ones + _COUNTERS[: len(shape) - 3] + "YXS"
    if len(shape) > 3 and shape[-3] in _COLOURS:
        return "1" * ones + _COUNTERS[: len(shape) - 3] + "SYX"
    return "1" * ones + _COUNTERS[: len(shape) - 2] + "YX"


def _stack(stored: Stored, axes: str) -> Stack:
    shape = dict(enumerate(stored.values.shape))
    place = {letter: axes.index(letter) for letter in "YXS" if letter in axes}
    counted = [axis for axis, letter in enumerate(axes) if letter not in "1YXS"]
    ones = [axis for axis, letter in enumerate(axes) if letter == "1"]
    order = [*ones, *counted, *place.values()]
    height, width = shape[place["Y"]], shape[place["X"]]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"it is {height}x{width} pixels: use an image of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}")
    channels = shape[place["S"]] if "S" in place else 1
    values = stored.values.transpose(order).reshape(-1, height, width, channels)
    return Stack(replace(stored, values=values), axes, tuple(shape[axis] for axis in counted))
