"""Scores one file of a submission, and stores its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nidbench import versions
from nidbench.cases.case import Case
from nidbench.contract.truth import Truth
from nidbench.errors import DamagedError, InputError
from nidbench.images import RESTORED, misread, other_contrast, other_level, other_mean, read_pixels, unlike
from nidbench.physics.arrays import Image, array_hash
from nidbench.physics.problem import Problem
from nidbench.records import Cell, Log, Record, Store
from nidbench.scoring.scorer import Scorer

from .placement import linear, origin_note, placed
from .submission import Submission

#: Name of the assumption about a file in the details of its record.
ASSUMED = "assumed"


def score_file(store: Store, submission: Submission, case: Case, cell: Cell, path: Path) -> bool:
    """Score a file and store its record; return False where the stored record is valid today."""
    details = submission.details(path)
    if _is_stored(store, cell, details, case):
        return False
    problem, truths = case.problem(), case.truths()
    image, shows_y, assumed = _read_file(submission, case, problem, truths, path)
    scorer = Scorer(problem, truths)
    record = Record(
        id=cell.id,
        cell=cell,
        status="done",
        scores=scorer.scores(image, problem.valid if shows_y else None),
        input_scores=scorer.input_scores,
        measurement_hash=array_hash(problem.blurred),
        truth_hash=case.truth_hash(),
        versions=versions.of("measurement", "metric"),
        shows_y=shows_y,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        measures=scorer.measures(image, None),
    )
    if assumed:
        details[ASSUMED] = assumed
    store.write(record.with_log(Log(details=details)), {"image": image})
    return True


def _is_stored(store: Store, cell: Cell, details: Mapping[str, Any], case: Case) -> bool:
    """Return whether a cell has a record of the same file, scored against today's truth by today's metric."""
    try:
        record = store.whole(cell.id)
    except DamagedError:
        return False
    if record is None or record.log is None or not details.items() <= record.log.details.items():
        return False
    return record.truth_hash == case.truth_hash() and not versions.outdated(record.versions)


def _read_file(
    submission: Submission, case: Case, problem: Problem, truths: Sequence[Truth], path: Path
) -> tuple[Image, bool, str]:
    """Return x in the frame of the problem, whether the file has the pixels of y only, and the assumptions made.

    Raises:
        InputError: where the file cannot be read, or is no restoration of the case.
    """
    reading = read_pixels(path, RESTORED, submission.units)
    x = linear(reading.image, case.response, submission.encoded)
    try:
        image, has_border = placed(x, problem, truths)
    except InputError as error:
        raise InputError(f"{path}, of {case.key}, {error}") from error
    brightness = _check_scale(submission, path, image, problem)
    origin = "" if has_border else origin_note(problem)
    rows, columns = problem.valid
    shown, corner = (image, (0, 0)) if has_border else (image[:, rows, columns], (rows.start, columns.start))
    scale = brightness or other_contrast(problem, shown, corner) or other_level(problem, shown, corner)
    assumed = (reading.assumed, scale, origin, _misread(problem, shown, corner))
    return image, not has_border, "; ".join(filter(None, assumed))


def _misread(problem: Problem, shown: Image, corner: tuple[int, int]) -> str:
    """Return a note where a part of x, from a corner on, gives y only if it, or the kernel, is turned or moved."""
    better = misread(problem, shown, corner)
    return f"a blurred image that contradicts it: {better}" if better else ""


def _check_scale(submission: Submission, path: Path, image: Image, problem: Problem) -> str:
    """Return a note where a restoration, in the frame of x, is much brighter or darker than the blurred image.

    Raises:
        InputError: where it is on another scale; the message says how they are related, and how to state the scale.
    """
    shown = problem.response.apply(np.asarray(image[:, *problem.valid], np.float64))
    if fitting := unlike(shown, problem.blurred):
        raise InputError(
            f"{path} is not on the scale of the blurred image, which is {fitting}: save it on [0, 1], or say with "
            f"{submission.units.say('scale', 'VALUE')} which value is intensity 1"
        )
    return other_mean(shown, problem.blurred)
