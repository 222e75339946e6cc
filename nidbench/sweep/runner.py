"""The loop over cells: has the pending cells of a plan computed, and writes every record as soon as its cell ends."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nidbench.errors import ResultsError
from nidbench.records import Record, Store
from nidbench.system.signals import stopped_by

from .cell import CellRequest, ComputedCell, basis, begin_work
from .engine import Engine, Work
from .events import Events
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
    """Has the cells of a plan computed, and alone writes their records.

    Args:
        store: stores the records.
        engine: computes the cells.
        events: receives reports on the way.
        keep: extra arrays to store, see `RunOptions.keep`.
    """

    def __init__(self, store: Store, engine: Engine, events: Events, keep: Sequence[str] = ()) -> None:
        self._store = store
        self._engine = engine
        self._events = events
        self._keep = keep
        self._warned: set[tuple[str, str]] = set()

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
            for work, cell in self._engine.cells(map(self._work, pending), self._events):
                record = self._written(work.job, cell)
                computed += 1
                self._events.ended(work.job, record)
        except KeyboardInterrupt as stop:
            interrupted = stopped_by(stop)
            self._events.warned(f"{stop}: the cell in progress has {GRACE:g} s to save its state; again to end at once")
            self._engine.checkpoint(GRACE)
        finally:
            self._engine.close()
        return Summary(count_statuses(plan, self._store), computed, interrupted)

    def _work(self, job: Job) -> Work:
        before = self._done_before(job)
        request = CellRequest(
            cell=job.cell,
            method=job.method,
            device=job.device,
            threads=job.threads,
            keep=sorted({*self._keep, *(before.kept if before else ())}),
            work=self._store.work(job.cell.id),
            basis=basis(job.method, job.case.truth_hash()),
        )
        if changed := begin_work(request):
            self._events.warned(
                f"{job.planned.label} on {job.planned.case}: {changed} changed since its checkpoint was saved, "
                "so the cell begins anew"
            )
        return Work(job, request)

    def _written(self, job: Job, computed: ComputedCell) -> Record:
        """Return the record of a cell that ended, after writing it."""
        self._warn_of(job, computed.left_behind)
        record = computed.record
        if record.status != "done" and self._done_before(job) is not None:
            self._events.warned(f"it could not be computed again ({record.error}): the cell stays as it was")
        else:
            self._store.write(record, computed.arrays, computed.kept)
        return record

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
