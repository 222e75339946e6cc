"""Blur kernels: the rules that an array has to keep, and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .arrays import Kernel


def check_kernel(kernel: Kernel) -> None:
    """Refuse an array that is not a kernel.

    Raises:
        InputError: where it is not two-dimensional, is empty, is not finite, is all zero, or has no positive sum.
    """
    if kernel.ndim != 2 or 0 in kernel.shape:
        raise InputError(f"kernel has shape {kernel.shape}: give two dimensions (kh, kw), for gray kernels only")
    if not np.isfinite(kernel).all():
        raise InputError("kernel holds values that are not finite: give real numbers, at least one of them positive")
    if not kernel.any():
        raise InputError("kernel is zero everywhere: give one with a positive sum")
    with np.errstate(over="ignore"):
        total = kernel.sum(dtype=np.float64)
    if not 0 < total < np.inf:
        raise InputError(f"kernel sums to {total:.4g}: give one with a positive sum that is finite")


def normalised(kernel: NDArray[Any]) -> Kernel:
    """Return a kernel, Shape (kh, kw), as float64 with sum 1.

    Raises:
        InputError: where `check_kernel` refuses it.
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    check_kernel(kernel)
    unit: Kernel = kernel / kernel.sum()
    return unit
