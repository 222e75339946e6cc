"""The square in the middle of an image or a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nidbench.errors import InputError
from nidbench.physics.arrays import Image
from nidbench.physics.measure import SMALLEST_VALID
from nidbench.physics.problem import Problem


def middle_of(problem: Problem, side: int | None) -> tuple[Problem, tuple[int, int]]:
    """Return the measurement of the square in the middle of x, and where that begins in the frame of x.

    Args:
        problem: the whole measurement.
        side: of the square, in pixels of x; y shows less of the square, by the kernel. None for the whole. An axis
            that is not longer stays whole.

    Raises:
        InputError: where y would show less than one SSIM window.
    """
    frame = problem.frame
    wanted = [length if side is None else min(length, side) for length in frame]
    shown = [length - taps + 1 for length, taps in zip(wanted, problem.kernel.shape, strict=True)]
    if min(shown) < SMALLEST_VALID:
        raise InputError(
            f"{wanted[0]}x{wanted[1]} pixels of x and a kernel of {problem.kernel.shape[0]}x{problem.kernel.shape[1]} "
            f"leave {max(shown[0], 0)}x{max(shown[1], 0)} of the blurred image, and a score takes "
            f"{SMALLEST_VALID}x{SMALLEST_VALID}: use a larger --crop or a larger image"
        )
    top, left = ((length - side) // 2 for length, side in zip(frame, wanted, strict=True))
    blurred = problem.blurred[:, top : top + shown[0], left : left + shown[1]]
    return replace(problem, blurred=blurred), (top, left)


def check_crop(image: str, side: int | None, size: Sequence[int]) -> None:
    """Refuse a crop larger than an image, which would be the same pixels under another name, with other noise.

    Raises:
        InputError: naming the size, (H, W) of x.
    """
    if side is not None and side > max(size):
        raise InputError(
            f"crop {side}: image {image} has {size[0]}x{size[1]} pixels, less than that: give a smaller --crop, or "
            "leave it out"
        )


def middle(image: Image, side: int | None) -> Image:
    """Return the square in the middle of an image, Shape (C, H, W), or as much of it as there is."""
    if side is None:
        return image
    rows, columns = ((max(0, (length - side) // 2), min(length, side)) for length in image.shape[1:])
    return image[:, rows[0] : rows[0] + rows[1], columns[0] : columns[0] + columns[1]]
