"""One cell: its method computes, its restoration is scored, and a record says how it ended.

A request, the measurement and its truths are plain data and cross processes; who runs the method, and who is informed
on the way, belong to the process that calls. How a cell ends, whatever way, is a value and never an exception, but for
an interruption.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

from numpy.typing import NDArray

from nidbench import versions
from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import MethodFacts, Outcome, Refusal, Task
from nidbench.contract.run import DRAWS
from nidbench.contract.truth import Truth
from nidbench.physics.arrays import Image, array_hash
from nidbench.physics.problem import Problem
from nidbench.records import Cell, Log, Record
from nidbench.scoring.scorer import Scorer

from .events import CellEvents
from .options import RunOptions
from .watch import CellWatch, Nobody

#: File of an unfinished cell that says what its other files rest on.
_BASIS = "basis.json"


class ScoredCase:
    """A case with its problem made and its scorer ready, for all methods that restore it.

    Args:
        problem: the problem, which methods receive.
        truths: none, one or many, which methods do not receive.
        truth_hash: SHA-256 of the truths and their offsets; empty for none.

    Attributes:
        problem, truth_hash: as above.
        scorer: scores restorations against the truths.
        measurement_hash: SHA-256 of the blurred image.
    """

    def __init__(self, problem: Problem, truths: Sequence[Truth], truth_hash: str) -> None:
        self.problem = problem
        self.truth_hash = truth_hash
        self.scorer = Scorer(problem, truths)
        self.measurement_hash = array_hash(problem.blurred)


@dataclass(frozen=True, kw_only=True, eq=False)
class CellRequest:
    """The request to compute a cell.

    Attributes:
        cell: the facts that determine its result.
        method: the method that restores.
        device: torch device, `cpu` or `cuda:N`.
        threads: CPU threads that the method has.
        keep: extra arrays to keep: words of `nidbench.contract.run.KEEPS`.
        work: folder for the checkpoint and the curve of an unfinished cell.
        basis: what those rest on, as text, see `begin_work`.
    """

    cell: Cell
    method: MethodFacts
    device: str
    threads: int
    keep: Sequence[str]
    work: Path
    basis: str

    @property
    def checkpoint(self) -> Path:
        """File with the state of the unfinished cell, where its method saves one."""
        return self.work / "checkpoint"


@dataclass(frozen=True, kw_only=True, eq=False)
class ComputedCell:
    """A cell that has ended, with its arrays.

    Attributes:
        record: describes how it ended, with its log.
        arrays: `image` and, where the method has one, `variance`, Shape (C, H, W) in the frame of x.
        kept: extra arrays by name; None where none were requested or the cell is not done.
        left_behind: what the method left in its process, and estimates that could not be scored, in words.
    """

    record: Record
    arrays: Mapping[str, Image]
    kept: Mapping[str, NDArray[Any]] | None
    left_behind: Sequence[str]


def compute_cell(
    request: CellRequest, case: ScoredCase, computer: Computer, options: RunOptions, events: CellEvents
) -> ComputedCell:
    """Compute a cell: restore it, score the restoration and describe it in a record.

    A cell that resumes from a checkpoint in `request.work` gives the same result as an uninterrupted one.

    Args:
        request: the cell.
        case: its problem and scorer.
        computer: runs the method.
        options: time limit, checkpoints and observation.
        events: receives reports on the way.

    Raises:
        KeyboardInterrupt: where a signal asks to stop; the cell can then resume from `request.work`.
    """
    watch = watch_of(request, case, events)
    outcome = outcome_of(request, case.problem, computer, options, watch)
    return ended(request, case, outcome, watch, computer.hello().environment)


def watch_of(request: CellRequest, case: ScoredCase, events: CellEvents) -> CellWatch:
    """Return what receives the messages about a cell."""
    return CellWatch(case.scorer, events, request.work, keeps_draws=DRAWS in request.keep)


def ended(
    request: CellRequest,
    case: ScoredCase,
    outcome: Outcome,
    watch: CellWatch,
    environment: Mapping[str, str],
    batch: int = 1,
) -> ComputedCell:
    """Return a cell with its score and its record.

    Args:
        request: the cell.
        case: its problem and scorer.
        outcome: how its task ended.
        watch: received the messages about it.
        environment: of the computing process.
        batch: how many cells were computed side by side.
    """
    record = replace(_record(request, case, outcome, watch), batch=batch)
    log = Log(
        curve=tuple(watch.curve()),
        passes=tuple(watch.averages.points),
        details={**outcome.details, **watch.trouble(outcome.details)},
        error=outcome.error,
        environment=environment,
    )
    images = {"image": outcome.image, "variance": outcome.variance}
    return ComputedCell(
        record=record.with_log(log),
        arrays={name: image for name, image in images.items() if image is not None},
        kept=watch.kept() if record.kept else None,
        left_behind=[*outcome.left_behind, *watch.faults],
    )


def basis(method: MethodFacts, truth_hash: str) -> str:
    """Return what the checkpoint and the curve of a cell rest on besides the cell: truth, versions and source."""
    return json.dumps([truth_hash, dict(versions.CURRENT), method.fingerprint])


def same_work(request: CellRequest) -> bool:
    """Return whether the folder of a request is there, with work that rests on the same."""
    try:
        return (request.work / _BASIS).read_text() == request.basis
    except (OSError, ValueError):  # it is missing or cannot be read
        return False


def begin_work(request: CellRequest) -> str:
    """Remove the checkpoint and curve of an earlier attempt that had another truth, version or source.

    Returns:
        What differs, in words, where a checkpoint was lost by that; empty where none was.
    """
    if same_work(request):
        return ""
    lost = _changed(request) if request.checkpoint.exists() else ""
    rmtree(request.work, ignore_errors=True)
    with suppress(OSError):  # a full disk has no room for a checkpoint either
        request.work.mkdir(parents=True, exist_ok=True)
        (request.work / _BASIS).write_text(request.basis)
    return lost


def _changed(request: CellRequest) -> str:
    """Return, in words, what the work in a request's folder was begun with and today is another."""
    parts = ("the sharp image that scores it", "the version of a component", "the source of its method")
    try:
        before, now = json.loads((request.work / _BASIS).read_text()), json.loads(request.basis)
        return " and ".join(part for part, was, is_now in zip(parts, before, now, strict=True) if was != is_now)
    except (OSError, ValueError, TypeError):  # it is missing, cannot be read or is of another form
        return "nidbench"


def failed_cell(request: CellRequest, case: ScoredCase, error: str) -> ComputedCell:
    """Return a cell that failed, by what became of those who were to compute it."""
    watch = CellWatch(case.scorer, Nobody(), request.work)
    record = _record(request, case, Outcome("failed", error=error), watch).with_log(Log(error=error))
    return ComputedCell(record=record, arrays={}, kept=None, left_behind=())


def _record(request: CellRequest, case: ScoredCase, outcome: Outcome, watch: CellWatch) -> Record:
    image = outcome.image
    return Record(
        id=request.cell.id,
        cell=request.cell,
        status=outcome.status,
        scores={} if image is None else case.scorer.scores(image),
        input_scores=case.scorer.input_scores,
        seconds=outcome.seconds,
        iterations=outcome.iterations,
        stopped=outcome.stopped,
        peak_memory=outcome.peak_memory,
        threads=request.threads,
        resumed=watch.resumed + outcome.resumed,
        measurement_hash=case.measurement_hash,
        truth_hash=case.truth_hash,
        versions={**outcome.versions, **versions.of("measurement", "metric")},
        source=request.method.fingerprint,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        measures={} if image is None else case.scorer.measures(image, outcome.variance),
        kept=tuple(request.keep) if outcome.status == "done" else (),
    )


def outcome_of(
    request: CellRequest, problem: Problem, computer: Computer, options: RunOptions, watch: CellWatch
) -> Outcome:
    """Return the outcome of the method's task; a process that died or did not answer in time gives an outcome, too."""
    task = task_of(request, problem, options)
    try:
        answer = _ask_twice(task, computer, options, watch)
    except DeadlineError as error:
        return Outcome("timeout", seconds=options.cell_timeout or 0.0, iterations=watch.done, error=str(error))
    except WorkerDiedError as error:
        status = "out-of-memory" if error.out_of_memory else "failed"
        return Outcome(status, iterations=watch.done, error=str(error))
    return Outcome("failed", error=answer.message) if isinstance(answer, Refusal) else answer


def task_of(request: CellRequest, problem: Problem, options: RunOptions) -> Task:
    """Return what a computing process is asked to do for a cell."""
    return Task(
        spec=request.method.spec,
        preset=request.method.preset,
        file=request.method.file,
        problem=problem,
        seed=request.cell.seed,
        device=request.device,
        precision=request.cell.precision,
        threads=request.threads,
        clock=options.clock,
        checkpoint=request.checkpoint,
        checkpoint_seconds=options.checkpoint_seconds,
        keep=request.keep,
        settings=request.cell.settings,
    )


def _ask_twice(task: Task, computer: Computer, options: RunOptions, watch: CellWatch) -> Outcome | Refusal:
    """Ask for the task, and ask once more where the process was killed from outside: it resumes from its checkpoint."""
    watch.begin()
    try:
        answer: Outcome | Refusal = computer.ask(task, watch.receive, options.cell_timeout)
    except WorkerDiedError as error:
        if not error.retry:
            raise
        watch.killed(f"{error}; the cell is tried once more")
        watch.begin()
        answer = computer.ask(task, watch.receive, options.cell_timeout)
    return answer
