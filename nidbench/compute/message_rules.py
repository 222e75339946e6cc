"""Refuses messages of a computing process that do not fit the request, whatever a method did to that process."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nidbench.contract import handed
from nidbench.physics.arrays import Image
from nidbench.versions import CURRENT

from .messages import (
    ANSWERS,
    INTERIM,
    Batch,
    Draw,
    Kept,
    Message,
    MessageError,
    MethodFacts,
    Observation,
    Of,
    Outcome,
    Outcomes,
    Progress,
    Ratios,
    Request,
    Resolve,
    Task,
)

#: Statuses that a computing process may report of a task.
_STATUSES = ("done", "failed", "out-of-memory", "unstable")


def check(message: Message, request: Request) -> None:
    """Refuse a message that does not fit the request.

    Raises:
        MessageError: naming the value that does not fit.
    """
    if not isinstance(message, (*ANSWERS[type(request)], *INTERIM[type(request)])):
        raise MessageError(f"it said {type(message).__name__}, which does not answer the request")
    try:
        if isinstance(request, Task):
            _check_task_message(message, request)
        elif isinstance(request, Batch):
            _check_batch_message(message, request)
        elif isinstance(request, Resolve) and isinstance(message, MethodFacts):
            same = (message.spec, message.file) == (request.spec, request.file)
            _require(same, f"it described {message.spec}, the request was for {request.spec}")
        elif isinstance(message, Ratios):
            usable = bool(message.ratios) and all(0 < ratio < np.inf for ratio in message.ratios)
            _require(usable, f"the ratios are {list(message.ratios)}")
    except (TypeError, ValueError, ArithmeticError) as error:
        raise MessageError(f"it sent a value that no method can hand over: {error}") from error


def _check_batch_message(message: Message, batch: Batch) -> None:
    if isinstance(message, Of):
        _require(0 <= message.place < len(batch.tasks), f"there is no task {message.place}")
        _check_task_message(message.message, batch.tasks[message.place])
    elif isinstance(message, Outcomes):
        _check_texts(message.left_behind)
        for outcome, task in zip(message.outcomes, batch.tasks, strict=True):
            _check_task_message(outcome, task)


def _check_task_message(message: Message, task: Task) -> None:
    if isinstance(message, Progress):
        handed.count("done", message.done), handed.count("planned", message.planned)
    elif isinstance(message, Observation):
        handed.count("iteration", message.iteration)
        _require(0 <= message.seconds < np.inf, f"seconds are {message.seconds}")
        _check_image("the estimate", message.image, task.shape)
    elif isinstance(message, Draw):
        _check_image("the draw", message.image, task.shape)
        _require(bool(np.isfinite(message.image).all()), "the draw is not finite")
    elif isinstance(message, Kept):
        handed.name(message.name)
    elif isinstance(message, Outcome):
        _check_outcome(message, task)


def _check_outcome(outcome: Outcome, task: Task) -> None:
    allowed = _STATUSES if task.pilot_seconds is None else (*_STATUSES, "pilot")
    _require(outcome.status in allowed, f"the status is {handed.text(outcome.status, 60)!r}")
    _require((outcome.image is not None) == (outcome.status == "done"), "an image goes with the status done only")
    for name, image in (("the image", outcome.image), ("the variance", outcome.variance)):
        if image is not None:
            _check_image(name, image, task.shape)
            _require(bool(np.isfinite(image).all()), f"{name} is not finite")
    handed.count("iterations", outcome.iterations)
    _require(0 <= outcome.seconds < np.inf, f"seconds are {outcome.seconds}")
    for span in outcome.spans:
        _require(span.iterations > 0 and 0 <= span.seconds < np.inf and 0 <= span.cpu < np.inf, f"a span is {span}")
    timed = bool(outcome.spans) or task.pilot_seconds is None or outcome.status not in ("done", "pilot")
    _require(timed, "a pilot without times")
    for name, count in (("planned", outcome.planned), ("peak_memory", outcome.peak_memory)):
        if count is not None:
            handed.count(name, count)
    _require(set(outcome.versions) <= set(CURRENT), "there are no such versions")
    plain = repr(handed.details(outcome.details))  # compared as text, because NaN does not equal NaN
    _require(plain == repr(outcome.details), "the details are not plain")
    _check_texts((outcome.stopped, outcome.error, *outcome.left_behind))


def _check_texts(texts: Iterable[str]) -> None:
    for text in texts:
        _require(handed.text(text, 2 * handed.LONGEST_TEXT) == text, "a text is long or holds control characters")


def _check_image(name: str, image: Image, shape: tuple[int, ...]) -> None:
    _require(image.dtype == np.float32 and image.shape == shape, f"{name} is {image.dtype} of shape {image.shape}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
