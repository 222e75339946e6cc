"""The array types that all of nidbench shares, and the hash that identifies an array."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

WHITE = 255  #: level of 8 bit that stands for 1


def plain_array(name: str, array: Any) -> NDArray[Any]:
    """Return an array as NumPy has it.

    Raises:
        InputError: where it is masked, or no array.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise InputError(f"{name} is a masked array: fill what is masked, as methods know no missing pixels")
    try:
        return np.asarray(array)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"{name} is no array ({error}): give numbers of one shape") from error
    except (TypeError, RuntimeError) as error:  # tensors of a network's output, of bfloat16 or of a GPU
        raise InputError(
            f"{name} is no array ({error}): give one of NumPy, of a tensor t.detach().float().cpu().numpy()"
        ) from error


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Refuse an array that holds NaN or infinity.

    Raises:
        InputError: naming how many, and what to do.
    """
    if missing := array.size - np.count_nonzero(np.isfinite(array)):
        raise InputError(
            f"{name} holds values that are not finite, {missing} of {array.size}: fill these, or cut them off where "
            "they are its border, as methods know no missing pixels"
        )


def array_hash(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and values."""
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def eight_bit_levels(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return values, any Shape, as a file of 8 bit holds them: clipped to [0, 1], and rounded to levels 0 to 255."""
    levels: NDArray[np.float64] = np.rint(image.clip(0, 1).astype(np.float64) * WHITE)
    return levels


Image: TypeAlias = NDArray[Any]
"""An image: Shape (C, H, W), C = 1 (gray) or 3 (colour), floating point, nominally in [0, 1]."""

Kernel: TypeAlias = NDArray[Any]
"""A blur kernel: Shape (kh, kw), float64, sum 1, to be used for *true* convolution."""
