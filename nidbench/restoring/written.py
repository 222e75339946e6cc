"""What is written of a restoration: its files, and what a person should know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nidbench.compute.messages import Outcome
from nidbench.errors import InputError
from nidbench.images.write import Pixels
from nidbench.physics.arrays import Image
from nidbench.physics.noise import Noise
from nidbench.physics.problem import Problem
from nidbench.scoring.calibration import shown_variance
from nidbench.scoring.residual import ResidualTests

from .preview import preview
from .request import Request, check_room, write_file
from .source import Source, file_bytes, numbers
from .twin import Ranked


@dataclass(frozen=True)
class PageResult:
    """What became of one image.

    Attributes:
        sigma: standard deviation of its noise, on [0, 1].
        seconds: time of the method.
        iterations: its steps.
        stopped: why it ended, or empty.
        tests: of its residual.
    """

    sigma: float
    seconds: float
    iterations: int
    stopped: str
    tests: ResidualTests


@dataclass(frozen=True)
class Done:
    """A restoration that is written.

    Attributes:
        method: its label.
        pages: what became of each image.
        estimated: whether the noise was estimated.
        white: value of the measurement's file that is intensity 1.
        clipped, values: how many values of how many were clipped.
        notes: what a person should know, in sentences.
        files: what each file is -> the file.
        twin: methods by a twin experiment, the best first; empty where none was asked for.
        complete: whether all files that were asked for are there.
    """

    method: str
    pages: Sequence[PageResult]
    estimated: bool
    white: float
    clipped: int
    values: int
    notes: Sequence[str]
    files: Sequence[tuple[str, str]]
    twin: Sequence[Ranked] = ()
    complete: bool = True


def write(
    request: Request,
    source: Source,
    label: str,
    noise: Noise,
    results: Sequence[tuple[Problem, Outcome, PageResult]],
) -> Done:
    """Write what was asked for of a method's restorations: all files are made before the first is written.

    Raises:
        InputError: where a file has no room, or the method returned no image.
        NidbenchError: where it cannot be written.
    """
    first, outcome, _ = results[0]
    shown = [_cut(problem, _encoded(problem, image_of(outcome)), request) for problem, outcome, _ in results]
    made = numbers(source, request.out, shown, corner_of(first, request))
    content, further = file_bytes(source, request.out, made.pixels)
    files, notes = [("restored", request.out, content)], [*made.notes, *further]
    if request.variance is not None:
        if any(outcome.variance is None for _, outcome, _ in results):
            notes.append(f"{label} gives no variance: {request.variance} was not written; ours and bpdip give one")
        else:
            files.append(("variance", request.variance, _variance_bytes(request, request.variance, source, results)))
    if request.preview is not None:
        inside = _encoded(first, image_of(outcome))[:, *first.valid]
        files.append(("preview", request.preview, preview(first.blurred, inside)))
    written, elsewhere = _placed(files, label, overwrite=request.overwrite)
    return Done(
        method=label,
        pages=[page for _, _, page in results],
        estimated=noise.level is None,
        white=source.white,
        clipped=made.clipped,
        values=made.pixels.values.size,
        notes=[*notes, *elsewhere],
        files=written,
        complete=request.variance is None or any(name == "variance" for name, _ in written),
    )


def _placed(
    files: Sequence[tuple[str, Path, bytes]], label: str, *, overwrite: bool
) -> tuple[list[tuple[str, str]], list[str]]:
    """Write files, and return where each is, with a note for each that is not where it was asked for."""
    for _, path, content in files:
        check_room(path, len(content))
    written, notes = [], []
    for name, asked, content in files:
        path = write_file(asked, content, overwrite=overwrite)
        written.append((name, str(path)))
        if path != asked:
            notes.append(f"{asked} was made by somebody else while {label} ran, and stays: {name} is {path.name}")
    return written, notes


def corner_of(problem: Problem, request: Request) -> tuple[int, int]:
    """Return where the first pixel of y is in what is written of x."""
    if request.frame == "y":
        return 0, 0
    rows, columns = problem.valid
    return rows.start, columns.start


def _encoded(problem: Problem, image: Image) -> Image:
    """Return x as the camera stores it: through its gamma; highlights beyond a saturating camera's white stay."""
    return problem.response.apply(image) if problem.response.kind == "gamma" else image


def _shown_variance(problem: Problem, outcome: Outcome) -> Image:
    """Return the pixel variance of x as the camera stores it, like `_encoded` x."""
    image, variance = image_of(outcome), outcome.variance
    if variance is None:
        raise InputError("the method returned no variance")
    if problem.response.kind != "gamma":
        return variance
    return shown_variance(image, variance, lambda linear: _encoded(problem, linear)).astype(np.float32)


def _cut(problem: Problem, image: Image, request: Request) -> Image:
    """Return what is asked for of an image in the frame of x: all of it, or what y shows."""
    return image[:, *problem.valid] if request.frame == "y" else image


def _variance_bytes(
    request: Request, out: Path, source: Source, results: Sequence[tuple[Problem, Outcome, PageResult]]
) -> bytes:
    """Return the bytes of a file of the pixel variance, in squares of the unit of the measurement's file."""
    images = [_cut(problem, _shown_variance(problem, outcome), request) for problem, outcome, _ in results]
    values = np.stack([image.transpose(1, 2, 0) for image in images]) * np.float64(source.white) ** 2
    corner = corner_of(results[0][0], request)
    pixels = Pixels(source.stack.arranged(values.astype(np.float32)), source.stack.axes, corner)
    return file_bytes(source, out, pixels)[0]


def image_of(outcome: Outcome) -> Image:
    """Return the restoration of a task that is done."""
    if outcome.image is None:
        raise InputError("the method returned no image")
    return outcome.image
