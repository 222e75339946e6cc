"""The loop over cells: compute what is missing, score it here, and write each record the moment its cell ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import versions
from .contract import CaseKey, Clock, Problem
from .errors import DamagedError, InputError, ResultsError
from .messages import Draw, Hello, Kept, MessageError, Observation, Outcome, Progress, Refusal, Task
from .plan import Job, Plan
from .records import Log, Point, Record, Store, array_hash
from .run import DRAWS, KEEPS
from .scoring import Averages, Scorer
from .signals import check, stopped_by
from .supervise import Computer, DeadlineError, WorkerDiedError

#: The usual clock.
EVERY = Clock()

#: Bytes of arrays that are kept of one cell.
MOST_KEPT = 1 << 30

#: Seconds that an interrupted cell has for a last checkpoint.
GRACE = 10.0


@dataclass(frozen=True)
class RunOptions:
    """How cells are run; none of it changes a result.

    Attributes:
        cell_timeout: seconds after which a cell is killed, or None.
        retry: whether cells that failed before are tried again.
        renew: whether cells are computed again that rest on another version of the engine or the measurement.
        threads: CPU threads of the computing process.
        clock: when estimates are observed.
        checkpoint_seconds: time between checkpoints.
        keep: which arrays to keep besides the restoration: words of `run.KEEPS`.

    Raises:
        InputError: where there is no such word.
    """

    cell_timeout: float | None = None
    retry: bool = False
    threads: int = 1
    clock: Clock = EVERY
    checkpoint_seconds: float = 30.0
    keep: Sequence[str] = ()
    renew: bool = False

    def __post_init__(self) -> None:
        for word in self.keep:
            if word not in KEEPS:
                raise InputError(f"cannot keep {word!r}: use {' or '.join(KEEPS)}, or both separated by a comma")


class Events(Protocol):
    """What the runner tells a display on the way."""

    def planned(self, plan: Plan, pending: int) -> None:
        """A sweep begins, with so many cells to compute."""
        ...

    def started(self, job: Job) -> None:
        """A cell begins."""
        ...

    def progress(self, done: int, planned: int) -> None:
        """The cell has done so many of its iterations."""
        ...

    def observed(self, point: Point) -> None:
        """The cell's estimate was scored."""
        ...

    def ended(self, job: Job, record: Record) -> None:
        """A cell ended and its record is written."""
        ...

    def warned(self, message: str) -> None:
        """Something a person should know, that stops nothing."""
        ...


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


def pending_jobs(
    plan: Plan, store: Store, options: RunOptions, events: Events, *, only_damage: bool = False
) -> list[Job]:
    """Return the jobs to compute, each cell once.

    Those without a record; those that are done but did not keep what `options.keep` asks for; with `retry`, those
    that failed, and with `renew` those that are old.

    Args:
        plan: the cells.
        store: their records; damaged ones are set aside.
        options: what is asked for.
        events: whom to tell of damaged records, and how many cells lack something, are old or of an edited file.
        only_damage: to leave the numbers to another call, with the plan that is computed in the end.
    """
    pending: dict[str, Job] = {}
    lacking = old = edited = 0
    for job in plan.jobs:
        if job.planned.id in pending:
            continue
        try:
            record = store.read(job.planned.id)
        except DamagedError as error:
            kept = store.set_aside(job.planned.id)
            events.warned(f"{error}; kept as {kept.name}, computed again")
            record = None
        bare = record is not None and record.status == "done" and not store.holds(record, options.keep)
        lacking += bare
        again = record is not None and (_is_old(record) if record.status == "done" else options.retry)
        old += again and not options.renew and record is not None and record.status == "done"
        edited += record is not None and _was_edited(record, job)
        if record is None or bare or (again and (options.renew or record.status != "done")):
            pending[job.planned.id] = job
    if only_damage:
        return list(pending.values())
    if lacking:
        told = (
            "1 cell is done without {}: it is" if lacking == 1 else f"{lacking} cells are done without {{}}: they are"
        )
        events.warned(f"{told.format(' and '.join(options.keep))} computed again")
    if old:
        events.warned(
            f"{old} cells rest on an older version of the engine or the measurement: --renew computes them again"
        )
    if edited:
        events.warned(
            f"{edited} cells were computed before their method's file was edited, and stay: raise version in its "
            "MethodInfo to compute them again"
        )
    return list(pending.values())


def _is_old(record: Record) -> bool:
    """Return whether a result rests on an older version of what computes; scores are made anew without computing."""
    return bool({"engine", "measurement", "noise level"} & set(versions.outdated(record.versions)))


def _was_edited(record: Record, job: Job) -> bool:
    """Return whether a done cell's method is a plain file, which has no golden results, and reads otherwise now."""
    file = job.facts.file
    plain = file is not None and file.stem == job.facts.spec.name
    return plain and record.status == "done" and record.source not in ("", job.facts.fingerprint)


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
        watch = _Watch(scorer, self._events, self._store.work(job.cell.id), keeps_draws=DRAWS in keep)
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

    def _ask(self, job: Job, problem: Problem, watch: _Watch, keep: Sequence[str]) -> Outcome:
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

    def _twice(self, task: Task, watch: _Watch) -> Outcome | Refusal:
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


class _Watch:
    """Scores what a method shows on the way, and keeps the curve of an unfinished cell."""

    def __init__(self, scorer: Scorer, events: Events, work: Path, *, keeps_draws: bool = False) -> None:
        self._scorer = scorer
        self._keeps_draws = keeps_draws
        self._events = events
        self._file = work / "curve.jsonl"
        self._points = {point.iteration: point for point in _read_curve(self._file)}
        self._unwritten: list[Point] = []
        self._trouble = ""
        self.done = 0
        self.resumed = 0
        self.begin()

    def begin(self) -> None:
        """Forget the draws and arrays of an attempt that was cut off: the next one shows them all."""
        self.averages = Averages(self._scorer)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._draws: list[NDArray[np.float16]] = []
        self._bytes = 0
        self.faults: Sequence[str] = ()

    def heard(self, message: object) -> None:
        """Take one message of the computing process."""
        if isinstance(message, Progress):
            self.done = message.done
            self._events.progress(message.done, message.planned)
        elif isinstance(message, Draw):
            self.averages.add(message.image)
            if self._keeps_draws:
                self._take(message.image)
                with np.errstate(over="ignore"):  # a draw that is so far off is infinite, and a record all the same
                    self._draws.append(message.image.astype(np.float16))
        elif isinstance(message, Kept):
            self._take(message.array)
            self._arrays[message.name] = message.array
        elif isinstance(message, Observation):
            self.done = max(self.done, message.iteration)
            if not np.isfinite(message.image).all():
                self.faults = ("an estimate that is not finite, which the curve has no point for",)
                return
            point = self._scorer.point(message)
            if point is not None:
                self._points[point.iteration] = point
                self._keep(point)
                self._events.observed(point)

    def _take(self, array: NDArray[Any]) -> None:
        self._bytes += array.nbytes
        if self._bytes > MOST_KEPT:
            raise MessageError(f"it handed over more than {MOST_KEPT >> 30} GiB to be kept: keep less")

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return the method's arrays by name and, where they were asked for, its draws, Shape (n, C, H, W)."""
        return self._arrays | ({DRAWS: np.stack(self._draws)} if self._draws else {})

    def curve(self) -> list[Point]:
        """Return the points by iteration; one that was computed again after an interruption counts once."""
        return [self._points[iteration] for iteration in sorted(self._points)]

    def trouble(self, details: Mapping[str, Any]) -> dict[str, str]:
        """Return what a record should say besides of trouble, where there was any."""
        told = [text for text in (details.get("trouble"), self._trouble) if text]
        return {"trouble": "; ".join(map(str, told))} if told else {}

    def _keep(self, point: Point) -> None:
        """Write a point down for the case that the cell is cut off; a disk that is full costs no more than that."""
        self._unwritten.append(point)
        lines = [json.dumps(asdict(each)) for each in self._unwritten]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                # a line of its own, even after one that was cut off
                file.write("".join(f"\n{line}" for line in lines))
        except OSError as error:
            if not self._trouble:
                self._events.warned(f"the curve cannot be written ({error}): it is lost if the cell is cut off now")
            self._trouble = f"the curve could not be written: {error}"
        else:
            self._unwritten.clear()


def _read_curve(path: Path) -> list[Point]:
    points = []
    for line in _lines(path):
        try:
            point = json.loads(line)
            numbers = (float(point[name]) for name in ("seconds", "psnr", "ssim"))
            points.append(Point(int(point["iteration"]), *numbers))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # cut off while it was written
            continue
    return points


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:  # none is there, or none that can be read: the record will have the points from here on
        return []


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
