"""The loop over cells: computes the pending cells of a plan, and writes every record as soon as its cell ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from nidbench import versions
from nidbench.compute.computer import Computer
from nidbench.errors import ResultsError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Record, Store
from nidbench.system.signals import check, stopped_by

from .cell import CellRequest, ScoredCase, compute_cell
from .events import Events
from .options import RunOptions
from .plan import Job, Plan

#: Seconds that an interrupted cell has for a last checkpoint.
GRACE = 10.0


@dataclass(frozen=True)
class Summary:
    """The state of a sweep after a run.

    Attributes:
        counts: status -> number of cells; `missing` for those that are not computed.
        computed: number of cells that this run computed.
        interrupted: the signal by which a person or the system stopped the run; None where it was not stopped.
    """

    counts: Mapping[str, int]
    computed: int
    interrupted: signal.Signals | None = None

    @property
    def complete(self) -> bool:
        """Whether all cells are done."""
        return set(self.counts) <= {"done"}


class Runner:
    """Computes the cells of a plan.

    Args:
        store: stores the records.
        computer: runs the methods.
        events: receives reports on the way.
        options: time limits, checkpoints and observation.
    """

    def __init__(self, store: Store, computer: Computer, events: Events, options: RunOptions) -> None:
        self._store = store
        self._computer = computer
        self._events = events
        self._options = options
        self._warned: set[tuple[str, str]] = set()
        self._latest: tuple[tuple[CaseKey, str, str, str], ScoredCase] | None = None

    def run(self, plan: Plan, pending: Sequence[Job]) -> Summary:
        """Compute the pending jobs, and return the state of the whole plan.

        Raises:
            ResultsError: where the results folder cannot be written; the cells finished before are kept.
        """
        self._store.write_sweep(plan.sweep)
        self._store.forget_work({job.cell.id for job in plan.jobs} - {job.cell.id for job in pending})
        self._events.planned(plan, len(pending))
        computed, interrupted = 0, None
        try:
            for job in pending:
                check()
                self._events.started(job)
                record = self._compute(job)
                computed += 1
                self._events.ended(job, record)
        except KeyboardInterrupt as stop:
            interrupted = stopped_by(stop)
            self._events.warned(f"{stop}: the cell in progress has {GRACE:g} s to save its state; again to end at once")
            self._computer.checkpoint(GRACE)
        finally:
            self._computer.close()
        return Summary(count_statuses(plan, self._store), computed, interrupted)

    def _compute(self, job: Job) -> Record:
        before = self._done_before(job)
        request = CellRequest(
            cell=job.cell,
            method=job.method,
            device=job.device,
            threads=job.threads,
            keep=sorted({*self._options.keep, *(before.kept if before else ())}),
            work=self._store.work(job.cell.id),
        )
        case = self._case(job)
        self._begin_work(job)
        computed = compute_cell(request, case, self._computer, self._options, self._events)
        self._warn_of(job, computed.left_behind)
        record = computed.record
        if before is not None and record.status != "done":
            self._events.warned(f"it could not be computed again ({record.error}): the cell stays as it was")
        else:
            self._store.write(record, computed.arrays, computed.kept)
        return record

    def _begin_work(self, job: Job) -> None:
        """Remove the checkpoint and curve of an earlier attempt that had another truth, version or source."""
        file = self._store.work(job.cell.id) / "basis.json"
        basis = json.dumps([job.case.truth_hash(), dict(versions.CURRENT), job.method.fingerprint])
        with suppress(OSError, ValueError):  # the file is missing or cannot be read
            if file.read_text() == basis:
                return
        self._store.forget_work({job.cell.id})
        with suppress(OSError):  # a full disk has no room for a checkpoint either
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(basis)

    def _warn_of(self, job: Job, left_behind: Sequence[str]) -> None:
        """Warn of what a method left behind, every kind once, and say that its next cell does not meet it."""
        label = job.planned.label
        new = [trace for trace in left_behind if (label, trace.partition(" (")[0]) not in self._warned]
        self._warned |= {(label, trace.partition(" (")[0]) for trace in new}
        if new:
            self._events.warned(f"{label} left behind: {', '.join(new)}; its next cell begins without")

    def _done_before(self, job: Job) -> Record | None:
        """Return the record of a cell that is done and computed again; None for another cell."""
        record = self._store.read(job.cell.id)
        return record if record is not None and record.status == "done" else None

    def _case(self, job: Job) -> ScoredCase:
        """Return the case of a job; the last one is kept for the next method."""
        case = job.case
        key = case.key, case.image_hash, case.kernel_hash, case.declared
        if self._latest is None or self._latest[0] != key:
            self._latest = key, ScoredCase(case.problem(), case.truths(), case.truth_hash())
        return self._latest[1]


def count_statuses(plan: Plan, store: Store) -> dict[str, int]:
    """Return status -> number of cells of a plan; `missing` and `corrupt` cells have no readable record."""
    counts: dict[str, int] = {}
    for cell_id in dict.fromkeys(job.planned.id for job in plan.jobs):
        try:
            record = store.read(cell_id)
            status = "missing" if record is None else record.status
        except ResultsError:
            status = "corrupt"
        counts[status] = counts.get(status, 0) + 1
    return counts
