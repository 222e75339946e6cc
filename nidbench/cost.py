"""What pending cells will cost, from finished ones and from short pilots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .messages import Outcome, Task
from .plan import Job, Plan
from .records import Store
from .runner import RunOptions
from .supervise import Computer, DeadlineError, WorkerDiedError


@dataclass(frozen=True)
class Estimate:
    """What the pending cells will cost.

    Attributes:
        seconds: all told; a lower bound where `unknown` is not empty.
        unknown: labels of methods whose pilot told nothing.
        most: labels of methods that stop by themselves, so that their part is the most that it can be.
    """

    seconds: float
    unknown: tuple[str, ...]
    most: tuple[str, ...] = ()


def method_rates(
    plan: Plan,
    pending: Sequence[Job],
    store: Store,
    computer: Computer,
    options: RunOptions,
    pilot_seconds: float = 2.0,
) -> dict[str, float | None]:
    """Return what the methods of pending jobs cost, by label: seconds per pixel value of a whole cell.

    Of a method with finished cells in the plan the mean of some of them; of others what a short pilot on the first case
    tells, None where it tells nothing. A pilot sees all iterations planned, of which a method that stops by itself may
    do few.
    """
    found: dict[str, float | None] = dict(_finished_rates(plan, pending, store))
    for job in pending:
        if job.planned.label not in found:
            found[job.planned.label] = _pilot(job, computer, options, pilot_seconds)
    return found


#: Finished cells of a method that tell what the others cost: reading all of a large sweep would take seconds.
_ENOUGH = 20


def _finished_rates(plan: Plan, pending: Sequence[Job], store: Store) -> dict[str, float]:
    waiting = {job.planned.id for job in pending}
    seconds: dict[str, list[float]] = {job.planned.label: [] for job in pending}
    for job in plan.jobs:
        known = seconds.get(job.planned.label)
        if known is not None and len(known) < _ENOUGH and job.planned.id not in waiting:
            record = store.read(job.planned.id)
            if record is not None and record.status == "done" and record.seconds is not None:
                known.append(record.seconds / job.case.pixels)
    return {label: sum(each) / len(each) for label, each in seconds.items() if each}


def stops_by_itself(job: Job) -> bool:
    """Return whether a rule may end a job before all of its iterations."""
    return job.cell.settings.get("stop", "iterations") not in ("iterations", "lowest-residual")


def cost(pending: Sequence[Job], rates: Mapping[str, float | None]) -> Estimate:
    """Return the cost of the pending jobs, whose methods are all in `method_rates`."""
    known = [(job, rates[job.planned.label]) for job in pending]
    seconds = sum(rate * job.case.pixels for job, rate in known if rate is not None)
    most = dict.fromkeys(job.planned.label for job in pending if stops_by_itself(job))
    return Estimate(
        seconds, tuple(dict.fromkeys(job.planned.label for job, rate in known if rate is None)), tuple(most)
    )


def _pilot(job: Job, computer: Computer, options: RunOptions, pilot_seconds: float) -> float | None:
    """Return seconds per pixel value of a whole cell, or None where they cannot be told."""
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
    if not isinstance(outcome, Outcome) or outcome.status not in ("done", "pilot"):
        return None
    whole = 1.0 if outcome.status == "done" or not outcome.planned else outcome.planned / max(1, outcome.iterations)
    return outcome.seconds * whole / job.case.pixels
