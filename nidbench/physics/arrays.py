"""The array types that all of nidbench shares, and the hash that identifies an array."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray


def array_hash(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and values."""
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


Image: TypeAlias = NDArray[Any]
"""An image: Shape (C, H, W), C = 1 (gray) or 3 (colour), floating point, nominally in [0, 1]."""

Kernel: TypeAlias = NDArray[Any]
"""A blur kernel: Shape (kh, kw), float64, sum 1, to be used for *true* convolution."""
