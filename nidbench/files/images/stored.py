"""What a file holds, as it holds it: the numbers before anybody says what they mean."""

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

#: Values of the largest file that is read: they take eight bytes each, several times over.
MOST_VALUES = 2**27


@dataclass(frozen=True, eq=False)
class Stored:
    """The numbers of a file.

    Attributes:
        values: of a picture Shape (H, W) or (H, W, C), C = 3, without alpha; of an array file as it is there. In the
            byte order of this machine.
        picture: whether it comes from a picture, whose axes are known.
        bits: of the range of unsigned integers where the format states one that their type does not, such as 12 of a
            12-bit TIFF in uint16; else None.
    """

    values: NDArray[Any]
    picture: bool = False
    bits: int | None = None


def native(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the byte order of this machine, which is no part of what it holds."""
    return np.asarray(values, dtype=values.dtype.newbyteorder("="))


def check_size(shape: Sequence[int]) -> None:
    """Refuse, before it is read, what would fill the memory.

    Raises:
        InputError: for more values than `MOST_VALUES`, or a shape that is none.
    """
    if min(shape, default=0) < 0 or math.prod(shape) > MOST_VALUES:
        raise InputError(
            f"it is {'x'.join(map(str, shape))}, more than the {MOST_VALUES} values that are read: cut it into parts"
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an `InputError` that says so, without the file's name.

    Raises:
        InputError: also where there is no file, or something that is no file: a folder, a pipe, a device.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("it is a folder, a pipe or a device, not a file")
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what decoders raise of damaged bytes is no part of their interface
        raise InputError(f"it cannot be read: {type(error).__name__}: {error}") from error


def without_alpha(pixels: NDArray[Any], colours: int) -> NDArray[Any]:
    """Return the first so many channels of (H, W, C), as (H, W) where that is one; others must say nothing.

    Raises:
        InputError: where a further channel differs between pixels, or is not opaque.
    """
    if pixels.ndim == 2:
        return pixels
    further = pixels[..., colours:]
    if further.size and (further != _opaque(pixels.dtype)).any():
        raise InputError("it has an alpha channel that is not opaque, or other channels beside its colours")
    return pixels[..., 0] if colours == 1 else pixels[..., :colours]


def _opaque(kind: np.dtype[Any]) -> float:
    return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
