"""What a method returns, and the checks that it passes."""

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
    """What a method found.

    Attributes:
        image: x, Shape (C, H, W) in the frame of x, linear (before g), nominally in [0, 1]; the harness clips.
        variance: pixel variance of the estimate, same shape, or None.
        iterations: steps done, 0 for a closed form.
        stopped: why it ended: `closed form`, `iterations`, `noise level`, ...
        details: what else is worth keeping, as JSON-able values.
    """

    image: Image
    variance: Image | None = None
    iterations: int = 0
    stopped: str = "iterations"
    details: Mapping[str, Any] = field(default_factory=dict)


def check_restored(restored: Restored, problem: Problem) -> Restored:
    """Return a method's answer as float32, or refuse it: the one place where the contract is enforced.

    Each of its attributes is looked at once, so that one that is computed is what was checked. NumPy's numbers in
    `iterations` and `details` become Python's, text becomes printable.

    Raises:
        TypeError: where it is no `Restored`, or holds no NumPy arrays of floats, or details that JSON does not know.
        ValueError: where an array has not the frame of x, or a number is out of range.
        UnstableError: where it holds values that are not finite.
    """
    if not isinstance(restored, Restored):
        raise TypeError(f"restore returned {type(restored).__name__}: return a nidbench.contract.Restored")
    shape = problem.blurred.shape[0], *problem.frame
    given = restored.variance
    stopped = restored.stopped
    if not isinstance(stopped, str):
        raise TypeError(f"stopped is {type(stopped).__name__}: give a few words, such as 'iterations'")
    return Restored(
        _finite("image", restored.image, shape),
        None if given is None else _finite("variance", given, shape),
        handed.whole("iterations", restored.iterations),
        handed.text(stopped, handed.LONGEST_NAME),
        handed.details(restored.details),
    )


def _finite(name: str, value: object, shape: tuple[int, ...]) -> Image:
    array = handed.floats(name, value, shape)
    finite = np.isfinite(array)
    if not finite.all():
        raise UnstableError(f"{name} holds {np.count_nonzero(~finite)} values that are not finite")
    return array
