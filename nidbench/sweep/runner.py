"""The loop over cells: compute what is missing, score it here, and write each record the moment its cell ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from nidbench import versions
from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import Hello, Outcome, Refusal, Task
from nidbench.contract.run import DRAWS
from nidbench.errors import ResultsError
from nidbench.physics.arrays import array_hash
from nidbench.physics.case_key import CaseKey
from nidbench.physics.problem import Problem
from nidbench.records import Log, Record, Store
from nidbench.scoring.scorer import Scorer
from nidbench.system.signals import check, stopped_by

from .events import Events
from .options import RunOptions
from .plan import Job, Plan
from .watch import CellWatch

#: Seconds that an interrupted cell has for a last checkpoint.
GRACE = 10.0


@dataclass(frozen=True)
class Summary:
    """How a sweep went.

    Attributes:
        counts: status -> number of its cells, `missing` for those not computed.
        computed: cells computed in this run.
        interrupted: the signal by which a person or the system stopped it; None where it went to its end.
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
        store: where records go.
        computer: who computes.
        events: whom to tell.
        options: how.
    """

    def __init__(self, store: Store, computer: Computer, events: Events, options: RunOptions) -> None:
        self._store = store
        self._computer = computer
        self._events = events
        self._options = options
        self._hello: Hello = computer.hello()
        self._warned: set[tuple[str, str]] = set()
        self._latest: tuple[tuple[CaseKey, str, str, str], Problem, Scorer, str] | None = None

    def run(self, plan: Plan, pending: Sequence[Job]) -> Summary:
        """Compute the pending jobs and return how the whole plan stands.

        Raises:
            ResultsError: where the results folder cannot be written; what was finished before is kept.
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
        problem, scorer, measurement_hash = self._case(job)
        self._begin_work(job)
        before = self._done_before(job)
        keep = sorted({*self._options.keep, *(before.kept if before else ())})
        watch = CellWatch(scorer, self._events, self._store.work(job.cell.id), keeps_draws=DRAWS in keep)
        outcome = self._ask(job, problem, watch, keep)
        self._warn_of(job, [*outcome.left, *watch.faults])
        arrays = {} if outcome.image is None else {"image": outcome.image}
        if outcome.variance is not None:
            arrays["variance"] = outcome.variance
        record = Record(
            id=job.cell.id,
            cell=job.cell,
            status=outcome.status,
            scores={} if outcome.image is None else scorer.scores(outcome.image),
            input_scores=scorer.input_scores,
            seconds=outcome.seconds,
            iterations=outcome.iterations,
            stopped=outcome.stopped,
            peak_memory=outcome.peak_memory,
            threads=self._options.threads,
            resumed=watch.resumed + outcome.resumed,
            measurement_hash=measurement_hash,
            truth_hash=job.case.truth_hash(),
            versions={**outcome.versions, **versions.of("measurement", "metric")},
            source=job.facts.fingerprint,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            measures={} if outcome.image is None else scorer.measures(outcome.image, outcome.variance),
            kept=tuple(keep) if outcome.status == "done" else (),
        )
        details = {**outcome.details, **watch.trouble(outcome.details)}
        told = details, outcome.error, self._hello.environment
        record = record.with_log(Log(tuple(watch.curve()), tuple(watch.averages.points), *told))
        if before is not None and outcome.status != "done":
            self._events.warned(f"it could not be computed again ({record.error}): the cell stays as it was")
        else:
            self._store.write(record, arrays, watch.kept() if record.kept else None)
        return record

    def _begin_work(self, job: Job) -> None:
        """Forget what an attempt that was cut off left, where its checkpoint and curve are not of what is here now."""
        file = self._store.work(job.cell.id) / "basis.json"
        basis = json.dumps([job.case.truth_hash(), dict(versions.CURRENT), job.facts.fingerprint])
        with suppress(OSError, ValueError):  # none is there, or none that can be read
            if file.read_text() == basis:
                return
        self._store.forget_work({job.cell.id})
        with suppress(OSError):  # on a full disk there is no checkpoint either
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(basis)

    def _warn_of(self, job: Job, left: Sequence[str]) -> None:
        """Say once for each method what it left behind, and that its next cell does not meet it."""
        new = [each for each in left if (job.planned.label, each.partition(" (")[0]) not in self._warned]
        self._warned |= {(job.planned.label, each.partition(" (")[0]) for each in new}
        if new:
            self._events.warned(f"{job.planned.label} left behind: {', '.join(new)}; its next cell begins without")

    def _done_before(self, job: Job) -> Record | None:
        """Return the record of a cell that is computed again only for what it did not keep."""
        record = self._store.read(job.cell.id)
        return record if record is not None and record.status == "done" else None

    def _case(self, job: Job) -> tuple[Problem, Scorer, str]:
        """Return the job's measurement and scorer; those of the last case are kept for the next method."""
        case = job.case
        key = case.key, case.image_hash, case.kernel_hash, case.declared
        if self._latest is None or self._latest[0] != key:
            problem = case.problem()
            self._latest = key, problem, Scorer(problem, case.truths()), array_hash(problem.blurred)
        return self._latest[1:]

    def _ask(self, job: Job, problem: Problem, watch: CellWatch, keep: Sequence[str]) -> Outcome:
        options = self._options
        task = Task(
            job.facts.spec,
            job.facts.preset,
            job.facts.file,
            problem,
            job.cell.seed,
            job.device,
            job.cell.precision,
            options.threads,
            options.clock,
            self._store.work(job.cell.id) / "checkpoint",
            options.checkpoint_seconds,
            keep,
        )
        try:
            answer = self._twice(task, watch)
        except DeadlineError as error:
            return Outcome("timeout", seconds=options.cell_timeout or 0.0, iterations=watch.done, error=str(error))
        except WorkerDiedError as error:
            status = "out-of-memory" if error.out_of_memory else "failed"
            return Outcome(status, iterations=watch.done, error=str(error))
        return Outcome("failed", error=answer.message) if isinstance(answer, Refusal) else answer

    def _twice(self, task: Task, watch: CellWatch) -> Outcome | Refusal:
        """Ask, and once more where the process was killed from outside: the cell resumes from its checkpoint."""
        for last in (False, True):
            watch.begin()
            try:
                answer: Outcome | Refusal = self._computer.ask(task, watch.heard, self._options.cell_timeout)
            except WorkerDiedError as error:
                if last or not error.again:
                    raise
                watch.resumed += 1
                self._events.warned(f"{error}; the cell is tried once more")
            else:
                return answer
        raise AssertionError("unreachable")


def count_statuses(plan: Plan, store: Store) -> dict[str, int]:
    """Return how many cells of a plan stand how; `missing` and `corrupt` are without a readable record."""
    counts: dict[str, int] = {}
    for cell_id in dict.fromkeys(job.planned.id for job in plan.jobs):
        try:
            record = store.read(cell_id)
            status = "missing" if record is None else record.status
        except ResultsError:
            status = "corrupt"
        counts[status] = counts.get(status, 0) + 1
    return counts
