"""Puts the image of a submitted file at its place in the frame of x, before the camera's response."""

from __future__ import annotations

from collections.abc import Sequence

from nidbench.contract.truth import Truth
from nidbench.errors import InputError
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response
from nidbench.scoring.protocols import Region, crop_to, extent


def linear(image: Image, response: Response, encoded: bool | None) -> Image:
    """Return the image of a file, Shape (C, H, W), before the camera's response.

    Args:
        image: as in the file.
        response: the camera's response.
        encoded: whether the file has it after the response; None where that is not stated.

    Raises:
        InputError: where there is a response and `encoded` is None.
    """
    if response.kind != "gamma":
        return image
    if encoded is None:
        raise InputError(
            f"the camera has the response {response}: say with --encoded that the files are as it shows them, or with "
            "--linear that they are as before it"
        )
    return response.scene(image) if encoded else image


def placed(image: Image, problem: Problem, truths: Sequence[Truth] = ()) -> tuple[Image, bool]:
    """Return an image at its place in the frame of x, and whether it has more pixels than y; edges are repeated.

    Args:
        image: Shape (C, H, W) of x for the kernel that methods know or for the true kernel, or (C, h, w) of y.
        problem: the problem.
        truths: its truths, which have the size of the true kernel.

    Raises:
        InputError: for an image of another shape; the message names all allowed ones.
    """
    channels, places = problem.blurred.shape[0], _places(problem, truths)
    height, width = image.shape[1:]
    if image.shape[0] != channels or (height, width) not in places:
        kinds = {1: "gray", 3: "in colour"}
        *first, last = (f"{rows}x{columns} ({owner})" for (rows, columns), (owner, _) in places.items())
        raise InputError(
            f"is {height}x{width} and {kinds[image.shape[0]]}: expected {', '.join(first)} or {last}, {kinds[channels]}"
        )
    owner, place = places[height, width]
    rows, columns = (slice(-span.start, size - span.start) for span, size in zip(place, problem.frame, strict=True))
    return crop_to(image, (rows, columns)), owner != _OF_Y


#: Owner of the size of y, in messages.
_OF_Y = "of the blurred image, which is x without the border that the kernel hides"


def _places(problem: Problem, truths: Sequence[Truth]) -> dict[tuple[int, int], tuple[str, Region]]:
    """Return the sizes that a file may have -> the owner of the size, in words, and its place in the frame of x."""
    height, width = problem.frame
    known = [("of x", (slice(0, height), slice(0, width)))]
    if truths and (true := extent(problem, truths[0])) != known[0][1]:
        known = [("of x for the known kernel", known[0][1]), ("of x for the true kernel", true)]
    places: dict[tuple[int, int], tuple[str, Region]] = {}
    for owner, (rows, columns) in (*known, (_OF_Y, problem.valid)):
        places.setdefault((rows.stop - rows.start, columns.stop - columns.start), (owner, (rows, columns)))
    return places


def origin_note(problem: Problem) -> str:
    """Return a note on the place of an image with the size of y, which is ambiguous for kernels of even size."""
    if all(side % 2 for side in problem.kernel.shape):
        return ""
    rows, columns = problem.kernel.shape
    return f"the size of the blurred image, put where the kernel of even size {rows}x{columns} has its origin, k//2"
