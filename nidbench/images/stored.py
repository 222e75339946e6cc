"""The numbers of a file as it stores them, before their meaning is known."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

#: Largest number of values that is read: a value takes eight bytes, and several copies of it are made.
MOST_VALUES = 2**27


@dataclass(frozen=True, eq=False)
class Stored:
    """The numbers of a file.

    Attributes:
        values: for a picture Shape (H, W) or (H, W, C), C = 3, without alpha; for an array file the array as it is; in
            the byte order of this machine.
        picture: whether the file is a picture, whose axes are known.
        bits: bits of the unsigned integers where the format states a number that their type does not show, such as 12
            for a 12-bit TIFF in uint16; else None.
    """

    values: NDArray[Any]
    picture: bool = False
    bits: int | None = None


def native(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the byte order of this machine; its values stay the same."""
    return np.asarray(values, dtype=values.dtype.newbyteorder("="))


def check_size(shape: Sequence[int]) -> None:
    """Refuse an array that would fill the memory, before it is read.

    Raises:
        InputError: for more than `MOST_VALUES` values, or a negative side.
    """
    if min(shape, default=0) < 0 or math.prod(shape) > MOST_VALUES:
        raise InputError(
            f"it is {'x'.join(map(str, shape))}, more than the {MOST_VALUES} values that can be read: cut it up"
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every error of the block, which reads a file, into an `InputError`; its message does not name the file.

    Raises:
        InputError: also where the path does not exist, or is a folder, a pipe or a device.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("it is a folder, a pipe or a device, not a file")
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or error}") from error
    except Exception as error:  # decoders raise undocumented exceptions for damaged bytes
        raise InputError(f"it cannot be read: {type(error).__name__}: {error}") from error


def without_alpha(pixels: NDArray[Any], colours: int) -> NDArray[Any]:
    """Return the colour channels of a picture of Shape (H, W) or (H, W, C); a single one as Shape (H, W).

    Args:
        pixels: the picture.
        colours: its number of colour channels, which come first.

    Raises:
        InputError: where a further channel is not opaque everywhere.
    """
    if pixels.ndim == 2:
        return pixels
    further = pixels[..., colours:]
    if further.size and (further != _opaque(pixels.dtype)).any():
        raise InputError("it has an alpha channel that is not opaque, or other channels beside its colours")
    return pixels[..., 0] if colours == 1 else pixels[..., :colours]


def _opaque(kind: np.dtype[Any]) -> float:
    return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
