"""What datasets of blurred images that are given share: a problem, and sharp images at their place in it.

Whoever calls this names the image; the errors here say what is wrong with it and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nidbench.contract import IDENTITY, Image, Kernel, Noise, Problem, Response, Truth, normalised
from nidbench.errors import InputError

#: What to do in a folder about planes of a file that are no colours.
FRAMES_APART = "save each as a file of its own"


def first_of(whats: Sequence[str]) -> str:
    """Return the first of what is said of several files, and how many there are."""
    others = len(dict.fromkeys(whats)) - 1
    return whats[0] + (f" (and likewise {others} more)" if others else "")


def given(blurred: Image, kernel: Kernel, level: float | None, response: Response = IDENTITY) -> Problem:
    """Return the problem of a blurred image that is given.

    Args:
        blurred: y, Shape (C, h, w), in [0, 1], encoded as the camera does.
        kernel: for true convolution, Shape (kh, kw).
        level: standard deviation of the noise on [0, 1]; None where nobody knows it.
        response: of the camera.
    """
    return Problem(np.asarray(blurred, np.float32), normalised(kernel), Noise("gaussian", level), response)


def truth_of(problem: Problem, sharp: Image, encoded: bool = False) -> Truth:
    """Return a sharp image, Shape (C, H', W'), at its place in the frame of x.

    Args:
        problem: the measurement.
        sharp: shows what y shows, or all of x.
        encoded: whether it went through the camera's response, as y did.

    Raises:
        InputError: as of `offset_of`.
    """
    return Truth(sharp, offset_of(problem, sharp.shape), encoded)


def offset_of(problem: Problem, shape: Sequence[int]) -> tuple[int, int]:
    """Return where the first pixel of a sharp image of shape (C, H', W') is in the frame of x, see `truth_of`.

    Raises:
        InputError: of another size than y and x, or gray where y is in colour or the other way round.
    """
    (channels, *shown), frame = problem.blurred.shape, problem.frame
    if shape[0] != channels:
        kinds = {1: "gray", 3: "in colour"}
        raise InputError(
            f"the sharp image is {kinds.get(shape[0], 'odd')}, the blurred one {kinds[channels]}: convert one of them"
        )
    size = list(shape[1:])
    if size not in (shown, list(frame)):
        raise InputError(
            f"the sharp image has {size[0]}x{size[1]} pixels, the blurred one {shown[0]}x{shown[1]}: give it the same "
            f"size, or {frame[0]}x{frame[1]}, which with this kernel is all that the blurred one depends on"
        )
    rows, columns = problem.valid
    return (rows.start, columns.start) if size == shown else (0, 0)
