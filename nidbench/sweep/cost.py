"""Estimates the run time of pending cells, from finished cells and from short pilots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TypeAlias

from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import Outcome, Task
from nidbench.compute.pace import Span
from nidbench.records import Store

from .options import RunOptions
from .plan import Job, Plan


@dataclass(frozen=True)
class Rate:
    """The run time of a cell of a method, in seconds per pixel of x.

    Attributes:
        about: most likely value.
        low: least value, on an idle machine.
        high: largest value that was seen.
    """

    about: float
    low: float
    high: float


Rates: TypeAlias = "Mapping[tuple[str, int], Rate | None]"
"""Kind of cells, see `kind`, -> their rate; None where the pilot failed."""


def kind(job: Job) -> tuple[str, int]:
    """Return the kind of a cell: its method's label and its number of channels.

    Cells of a kind cost the same per pixel. Three channels cost a network little more than one, but a method that
    restores channels separately three times as much.
    """
    return job.planned.label, job.case.shape[0]


def seconds(job: Job, per_pixel: float) -> float:
    """Return the seconds of a cell for a rate in seconds per pixel."""
    _, height, width = job.case.shape
    return per_pixel * height * width


@dataclass(frozen=True)
class CostEstimate:
    """The estimated run time of pending cells, in seconds and without the methods of `unknown`.

    Attributes:
        seconds: most likely value.
        low: least value, if all planned iterations are done.
        high: largest value.
        unknown: labels of methods whose pilot failed.
        most: labels of methods that stop by themselves, so that they may take less than estimated.
    """

    seconds: float
    low: float
    high: float
    unknown: tuple[str, ...]
    most: tuple[str, ...] = ()

    def shared(self, at_once: int) -> CostEstimate:
        """Return the estimate where so many cells are computed at once, none slower for it."""
        seconds, low, high = (time / at_once for time in (self.seconds, self.low, self.high))
        return replace(self, seconds=seconds, low=low, high=high)


def method_rates(
    plan: Plan,
    pending: Sequence[Job],
    store: Store,
    computer: Computer,
    options: RunOptions,
    say: Callable[[str], None],
    pilot_seconds: float = 2.0,
) -> dict[tuple[str, int], Rate | None]:
    """Return the rates of pending jobs, by their kind.

    The rate of a kind with finished cells in the plan comes from some of these. That of another kind comes from a short
    pilot on its first case; it is None where the pilot fails. A pilot assumes all planned iterations, of which a method
    that stops by itself may do only a few.

    Args:
        plan: the plan, with finished and pending cells.
        pending: the jobs that are still to be computed.
        store: records of the finished cells.
        computer: runs the pilots.
        options: time limits.
        say: receives a line with the names of the methods before their pilots begin.
        pilot_seconds: time of a pilot.
    """
    rates: dict[tuple[str, int], Rate | None] = dict(_finished_rates(plan, pending, store))
    pilots: dict[tuple[str, int], Job] = {}
    for job in pending:
        if kind(job) not in rates:
            pilots.setdefault(kind(job), job)
    if pilots:
        say(f"timing {', '.join(dict.fromkeys(label for label, _ in pilots))}: a short pilot of each")
    return rates | {cells: _pilot(job, computer, options, pilot_seconds) for cells, job in pilots.items()}


#: Number of finished cells of a kind from which its rate is estimated: reading all of a large sweep would take seconds.
_ENOUGH = 20


def _finished_rates(plan: Plan, pending: Sequence[Job], store: Store) -> dict[tuple[str, int], Rate]:
    waiting = {job.planned.id for job in pending}
    paces: dict[tuple[str, int], list[float]] = {kind(job): [] for job in pending}
    for job in plan.jobs:
        known = paces.get(kind(job))
        if known is not None and len(known) < _ENOUGH and job.planned.id not in waiting:
            record = store.read(job.planned.id)
            same = record is not None and record.status == "done" and (record.threads, record.batch) == (job.threads, 1)
            if same and record is not None and record.seconds is not None:
                known.append(record.seconds / seconds(job, 1.0))
    return {cells: Rate(fmean(known), min(known), max(known)) for cells, known in paces.items() if known}


def estimate(pending: Sequence[Job], rates: Rates) -> CostEstimate:
    """Return the estimated cost of pending jobs, from `rates` with all of their kinds."""
    costs = [(job, rate) for job in pending if (rate := rates[kind(job)]) is not None]
    unknown = dict.fromkeys(job.planned.label for job in pending if rates[kind(job)] is None)
    most = dict.fromkeys(job.planned.label for job in pending if job.method.stops_itself)
    return CostEstimate(
        sum(seconds(job, rate.about) for job, rate in costs),
        sum(seconds(job, rate.low) for job, rate in costs),
        sum(seconds(job, rate.high) for job, rate in costs),
        tuple(unknown),
        tuple(most),
    )


#: Number of pilots of a method that ends within a pilot's time: the first one is slow because it loads libraries.
_REPEATS = 3

#: Factors on the least and the largest value of a pilot, which sees no other cases, later iterations or other times.
_LESS, _MORE = 0.5, 1.25

#: Factor for what a cell does beside its iterations, and a pilot does not: observations, averaged passes, scores.
_BESIDE = 1.1


@dataclass(frozen=True)
class Pilot:
    """What a short run of a task shows of a full one.

    Attributes:
        rate: seconds per pixel of x.
        memory: bytes that the short run took, beyond what its process had before.
    """

    rate: Rate
    memory: int


def pilot(task: Task, computer: Computer, most_seconds: float | None = None) -> Pilot | None:
    """Return what short runs of a task show; None where they fail.

    Args:
        task: the task, with `pilot_seconds`.
        computer: runs it.
        most_seconds: time limit of each run; None for one that follows from `pilot_seconds`.
    """
    pilot_seconds = task.pilot_seconds or 0.0
    spans: list[Span] = []
    planned, memory = None, 0
    while planned is None and len(spans) < _REPEATS and sum(span.seconds for span in spans) <= pilot_seconds:
        outcome = _ask(task, computer, min(10 * pilot_seconds + 20, most_seconds or math.inf))
        if outcome is None:
            return None
        spans += outcome.spans
        memory = max(memory, outcome.peak_memory or 0)
        if outcome.status == "pilot":
            planned = outcome.planned or 1
    paces = [span.seconds / span.iterations for span in spans]
    alone = [span.alone(task.threads) / span.iterations for span in spans]
    about = median(paces) if planned is None else _BESIDE * _pace(spans, task.threads)
    per_pixel = (planned or 1) / (task.shape[1] * task.shape[2])
    rate = Rate(about * per_pixel, _LESS * min(alone) * per_pixel, max(_MORE * max(paces), about) * per_pixel)
    return Pilot(rate, memory)


def _pilot(job: Job, computer: Computer, options: RunOptions, pilot_seconds: float) -> Rate | None:
    """Return the rate of a job from pilots; None where they fail."""
    task = Task(
        spec=job.method.spec,
        preset=job.method.preset,
        file=job.method.file,
        problem=job.case.problem(),
        seed=job.cell.seed,
        device=job.device,
        precision=job.cell.precision,
        threads=job.threads,
        pilot_seconds=pilot_seconds,
    )
    shown = pilot(task, computer, options.cell_timeout)
    return None if shown is None else shown.rate


def _pace(spans: Sequence[Span], threads: int) -> float:
    """Return the seconds of an iteration, from spans of one pilot.

    The work is that of all spans, as some iterations do more than others; how much longer it takes beside what else the
    machine does is the median of the spans, so that a short disturbance is no matter.
    """
    alone = [span.alone(threads) for span in spans]
    longer = median(span.seconds / time if time > 0 else 1.0 for span, time in zip(spans, alone, strict=True))
    return longer * sum(alone) / sum(span.iterations for span in spans)


def _ask(task: Task, computer: Computer, allowed: float) -> Outcome | None:
    try:
        outcome = computer.ask(task, lambda _: None, allowed)
    except (DeadlineError, WorkerDiedError):
        return None
    return outcome if isinstance(outcome, Outcome) and outcome.status in ("done", "pilot") else None
