"""The result of a method, and the checks that it has to pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nidbench.errors import UnstableError
from nidbench.physics.arrays import Image as Image
from nidbench.physics.problem import Problem

from . import handed


@dataclass(frozen=True, eq=False)
class Restored:
    """The result of a method: the restored image, and how the method ended.

    Attributes:
        image: x, Shape (C, H, W) in the frame of x, linear (before g), nominally in [0, 1]; scoring clips it.
        variance: pixel variance of the estimate, same shape, or None.
        iterations: steps done; 0 for a closed form.
        stopped: why the method ended: `closed form`, `iterations`, `noise level`, ...
        details: other facts to keep with the record, as values that JSON can hold.
    """

    image: Image
    variance: Image | None = None
    iterations: int = 0
    stopped: str = "iterations"
    details: Mapping[str, Any] = field(default_factory=dict)


def check_restored(restored: object, problem: Problem) -> Restored:
    """Return a method's result with arrays as float32, or refuse it; the contract is enforced here and nowhere else.

    Every attribute is read once, so that a computed attribute cannot differ from the one that was checked. NumPy's
    numbers in `iterations` and `details` become Python's, and text becomes printable.

    Args:
        restored: what the method returned.
        problem: what it restored.

    Raises:
        TypeError: where it is no `Restored`, holds no NumPy arrays of floats, or holds details that JSON cannot.
        ValueError: where an array does not have the frame of x, a variance is negative, or a number is out of range.
        UnstableError: where an array holds values that are not finite.
    """
    if not isinstance(restored, Restored):
        raise TypeError(f"restore returned {type(restored).__name__}: return a nidbench.contract.Restored")
    shape = problem.shape
    variance = restored.variance
    stopped = restored.stopped
    if not isinstance(stopped, str):
        raise TypeError(f"stopped is {type(stopped).__name__}: give a few words, such as 'iterations'")
    return Restored(
        _finite("image", restored.image, shape),
        None if variance is None else _squared("variance", variance, shape),
        handed.count("iterations", restored.iterations),
        handed.text(stopped, handed.LONGEST_NAME),
        handed.details(restored.details),
    )


def _finite(name: str, value: object, shape: tuple[int, ...]) -> Image:
    array = handed.floats(name, value, shape)
    finite = np.isfinite(array)
    if not finite.all():
        raise UnstableError(f"{name} holds {np.count_nonzero(~finite)} values that are not finite")
    return array


def _squared(name: str, value: object, shape: tuple[int, ...]) -> Image:
    array = _finite(name, value, shape)
    if array.size and array.min() < 0:
        raise ValueError(
            f"{name} goes down to {array.min():.3g}; it cannot be negative: give squares of x's unit, or None"
        )
    return array
