"""What pending cells will cost, from finished ones and from short pilots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    """What a whole cell of a method costs, in seconds per pixel of x.

    Attributes:
        about: most likely.
        low: at least: had nothing else wanted the cores.
        high: at most, as far as was seen.
    """

    about: float
    low: float
    high: float


Rates: TypeAlias = "Mapping[tuple[str, int], Rate | None]"
"""`Kind` of cells -> what they cost, None where their pilot told nothing."""


def kind(job: Job) -> tuple[str, int]:
    """Return what makes cells cost alike but for their size: the label of the method and the number of channels.

    Three channels cost a network little more than one, and a method that restores each by itself three times as much.
    """
    return job.planned.label, job.case.shape[0]


def seconds(job: Job, per_pixel: float) -> float:
    """Return what a cell costs by a rate per pixel."""
    _, height, width = job.case.shape
    return per_pixel * height * width


@dataclass(frozen=True)
class CostEstimate:
    """What the pending cells will cost.

    Attributes:
        seconds: most likely; without the methods of `unknown`, as the others.
        low: at least, where all iterations planned are done.
        high: at most.
        unknown: labels of methods whose pilot told nothing.
        most: labels of methods that stop by themselves, so that their part is the most that it can be.
    """

    seconds: float
    low: float
    high: float
    unknown: tuple[str, ...]
    most: tuple[str, ...] = ()


def method_rates(
    plan: Plan,
    pending: Sequence[Job],
    store: Store,
    computer: Computer,
    options: RunOptions,
    say: Callable[[str], None],
    pilot_seconds: float = 2.0,
) -> dict[tuple[str, int], Rate | None]:
    """Return what pending jobs cost, by their kind.

    Of a kind with finished cells in the plan by some of them; of others by what a short pilot on the first case tells,
    None where it tells nothing. A pilot sees all iterations planned, of which a method that stops by itself may
    do few. Methods are named before their pilots begin, which take some seconds each.
    """
    rates: dict[tuple[str, int], Rate | None] = dict(_finished_rates(plan, pending, store))
    pilots: dict[tuple[str, int], Job] = {}
    for job in pending:
        if kind(job) not in rates:
            pilots.setdefault(kind(job), job)
    if pilots:
        say(f"timing {', '.join(dict.fromkeys(label for label, _ in pilots))}: a short pilot of each")
    return rates | {each: _pilot(job, computer, options, pilot_seconds) for each, job in pilots.items()}


#: Finished cells of a kind that tell what the others cost: reading all of a large sweep would take seconds.
_ENOUGH = 20


def _finished_rates(plan: Plan, pending: Sequence[Job], store: Store) -> dict[tuple[str, int], Rate]:
    waiting = {job.planned.id for job in pending}
    paces: dict[tuple[str, int], list[float]] = {kind(job): [] for job in pending}
    for job in plan.jobs:
        known = paces.get(kind(job))
        if known is not None and len(known) < _ENOUGH and job.planned.id not in waiting:
            record = store.read(job.planned.id)
            if record is not None and record.status == "done" and record.seconds is not None:
                known.append(record.seconds / seconds(job, 1.0))
    return {each: Rate(fmean(known), min(known), max(known)) for each, known in paces.items() if known}


def stops_by_itself(job: Job) -> bool:
    """Return whether a rule may end a job before all of its iterations."""
    return job.cell.settings.get("stop", "iterations") not in ("iterations", "lowest-residual")


def cost(pending: Sequence[Job], rates: Rates) -> CostEstimate:
    """Return the cost of the pending jobs, whose kinds are all in `rates`."""
    costs = [(job, rate) for job in pending if (rate := rates[kind(job)]) is not None]
    unknown = dict.fromkeys(job.planned.label for job in pending if rates[kind(job)] is None)
    most = dict.fromkeys(job.planned.label for job in pending if stops_by_itself(job))
    return CostEstimate(
        sum(seconds(job, rate.about) for job, rate in costs),
        sum(seconds(job, rate.low) for job, rate in costs),
        sum(seconds(job, rate.high) for job, rate in costs),
        tuple(unknown),
        tuple(most),
    )


#: Pilots of a method that is soon done: its first run loads libraries and is no measure of the next.
_REPEATS = 3

#: What no pilot sees, as factors of the least and the most that it saw: other cases, later iterations, other times.
_LESS, _MORE = 0.5, 1.25


def _pilot(job: Job, computer: Computer, options: RunOptions, pilot_seconds: float) -> Rate | None:
    """Return what a whole cell costs, or None where that cannot be told."""
    spans: list[Span] = []
    planned = 1
    while len(spans) < _REPEATS and sum(span.seconds for span in spans) <= pilot_seconds:
        outcome = _ask(job, computer, options, pilot_seconds)
        if outcome is None:
            return None
        spans += outcome.spans
        if outcome.status == "pilot":
            planned = outcome.planned or 1
            break
    paces = [span.seconds / span.iterations for span in spans]
    alone = [span.alone(options.threads) / span.iterations for span in spans]
    whole = planned / seconds(job, 1.0)
    return Rate(median(paces) * whole, _LESS * min(alone) * whole, _MORE * max(paces) * whole)


def _ask(job: Job, computer: Computer, options: RunOptions, pilot_seconds: float) -> Outcome | None:
    task = Task(
        job.facts.spec,
        job.facts.preset,
        job.facts.file,
        job.case.problem(),
        job.cell.seed,
        job.device,
        job.cell.precision,
        options.threads,
        pilot_seconds=pilot_seconds,
    )
    try:
        allowed = min(10 * pilot_seconds + 20, options.cell_timeout or math.inf)
        outcome = computer.ask(task, lambda _: None, allowed)
    except (DeadlineError, WorkerDiedError):
        return None
    return outcome if isinstance(outcome, Outcome) and outcome.status in ("done", "pilot") else None
