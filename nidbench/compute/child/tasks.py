"""Computes tasks: a method restores one problem, or several side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import torch

from nidbench import versions
from nidbench.compute.messages import Draw, Kept, Message, Observation, Outcome, Progress, Task
from nidbench.compute.pace import Meter, Span
from nidbench.contract import handed
from nidbench.contract.global_state import GlobalState, seed_generators
from nidbench.contract.restored import check_restored
from nidbench.contract.run import Run
from nidbench.contract.stopwatch import Stopwatch
from nidbench.errors import UnstableError
from nidbench.system import processes

from .memory import is_out_of_memory, limit_memory, peak_memory, reset_peak_memory
from .methods import check_settings, resolved, traceback_of

Send = Callable[[Message], None]

#: Spans of time that a pilot measures at least: they are compared, so that a short disturbance of one has no effect.
FEWEST_SPANS = 4

#: Iterations that it measures at least, where they are not slow: some optimizers do more work in every tenth.
FEWEST_ITERATIONS = 20


class PilotOver(BaseException):
    """Ends a pilot when the method reports progress; a BaseException, so that no `except Exception` catches it."""


class Tasks:
    """Computes tasks, and takes note of what methods leave behind in this process.

    Args:
        alone, memory: see `nidbench.compute.child.worker.Worker`.
    """

    def __init__(self, *, alone: bool, memory: int | None) -> None:
        self._alone, self._memory = alone, memory
        self._runs: Sequence[Run] = ()
        self._before: GlobalState | None = None

    @property
    def failures(self) -> type[BaseException]:
        """The exceptions of a method that count as its failure."""
        return BaseException if self._alone else Exception

    def request_checkpoint(self, then: Callable[[], None]) -> None:
        """Ask the tasks in progress to save their states at their next opportunity, and call `then` afterwards."""
        if runs := self._runs:
            saved = _AfterAll(len(runs), then)
            for run in runs:
                run.request_checkpoint(saved)
        else:
            then()  # no task runs: there is nothing to save

    def compute(self, tasks: Sequence[Task], sends: Sequence[Send]) -> list[Outcome]:
        """Return how tasks end that are computed together: one, or several side by side."""
        first = tasks[0]
        torch.set_num_threads(first.threads)
        method = resolved(first.spec, first.preset, first.file).method
        check_settings(first, method)
        reporters = [_Reporter(send, task) for send, task in zip(sends, tasks, strict=True)]
        before = [task.checkpoint is not None and task.checkpoint.exists() for task in tasks]
        stopwatch = Stopwatch(len(tasks))
        runs = self._runs = [_run(*each, stopwatch) for each in zip(tasks, reporters, strict=True)]
        versions.begin()
        if self._alone and self._before is None:  # once is enough: a process that a cell has changed gets no other cell
            self._before = GlobalState.now()
        baseline = reset_peak_memory(first.device)
        seed_generators(runs[0].seed("global"))
        try:
            with limit_memory(self._memory if first.device == "cpu" else None):
                outcomes = self._restore(method, tasks, runs, reporters)
        finally:
            self._runs = ()
            for run in runs:
                run.end()
        peak = max(0, peak_memory(first.device) - baseline)
        if first.device.startswith("cuda"):
            torch.cuda.empty_cache()  # the processes of other methods share the device
        left_behind = [] if self._before is None else _left_behind(self._before)
        shared = {"peak_memory": peak, "versions": versions.used(), "left_behind": left_behind}
        return [
            msgspec.structs.replace(outcome, resumed=resumed, **shared)
            for outcome, resumed in zip(outcomes, before, strict=True)
        ]

    def _restore(
        self, method: Any, tasks: Sequence[Task], runs: Sequence[Run], reporters: Sequence[_Reporter]
    ) -> list[Outcome]:
        try:
            problems = [method.info.given(task.problem) for task in tasks]
            if len(tasks) == 1:
                found: Sequence[object] = [method.restore(problems[0], runs[0])]
            else:
                found = method.restore_many(problems, runs)
            if len(found) != len(tasks):
                raise ValueError(f"restore_many returned {len(found)} outcomes for {len(tasks)} problems")
        except PilotOver:
            (reporter,) = reporters
            return [Outcome("pilot", iterations=reporter.done, planned=reporter.planned, spans=reporter.spans)]
        except self.failures as error:
            found = [error] * len(tasks)
        return [self._outcome(*each) for each in zip(found, tasks, runs, reporters, strict=True)]

    def _outcome(self, found: object, task: Task, run: Run, reporter: _Reporter) -> Outcome:
        """Return the outcome of a task by what a method returned or raised."""
        try:
            if isinstance(found, BaseException):
                raise found
            restored = check_restored(found, task.problem)
        except self.failures as error:
            status = "out-of-memory" if is_out_of_memory(error) else "failed"
            status = "unstable" if isinstance(error, UnstableError) else status
            told = traceback_of(error, task.spec, task.file)
            return Outcome(status, seconds=run.elapsed, iterations=reporter.done, error=told)
        return Outcome(
            "done",
            restored.image,
            restored.variance,
            seconds=run.elapsed,
            iterations=restored.iterations,
            stopped=restored.stopped,
            details={**restored.details, **({"trouble": handed.text(run.trouble)} if run.trouble else {})},
            spans=[] if task.pilot_seconds is None else [reporter.total.span(1)],
        )


class _AfterAll:
    """Calls something once it was itself called a number of times."""

    def __init__(self, times: int, then: Callable[[], None]) -> None:
        self._left, self._then = times, then
        self._counting = threading.Lock()

    def __call__(self) -> None:
        with self._counting:  # it is called where a method saves, and where the parent's request finds a run ended
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._then()


def _run(task: Task, reporter: _Reporter, stopwatch: Stopwatch) -> Run:
    """Return the run that a method gets for a task; a pilot shows no estimates and keeps no arrays."""
    pilot = task.pilot_seconds is not None
    return Run(
        task.seed,
        device=task.device,
        precision=task.precision,
        clock=task.clock,
        checkpoint=task.checkpoint,
        checkpoint_seconds=task.checkpoint_seconds,
        on_observe=None if pilot else reporter.observe,
        on_sample=None if pilot else reporter.sample,
        on_progress=reporter.progress,
        keep=task.keep,
        on_keep=reporter.keep if task.keep and not pilot else None,
        shape=task.shape,
        stopwatch=stopwatch,
    )


class _Reporter:
    """Sends what a method reports while it runs, measures a pilot, and ends it when it has run long enough."""

    def __init__(self, send: Send, task: Task) -> None:
        self._send = send
        self._pilot_seconds = task.pilot_seconds
        self._meter: Meter | None = None
        self.total = Meter()
        self.spans: list[Span] = []
        self.done = 0
        self.planned: int | None = None

    def observe(self, iteration: int, seconds: float, image: Any) -> None:
        self._send(Observation(iteration, seconds, image))

    def sample(self, image: Any) -> None:
        self._send(Draw(image))

    def keep(self, name: str, array: Any) -> None:
        self._send(Kept(name, array))

    def progress(self, done: int, planned: int) -> None:
        self.done, self.planned = done, planned
        if self._pilot_seconds is not None:
            self._time(done)
            if done < planned and self._enough(self._pilot_seconds):
                raise PilotOver
        self._send(Progress(done, planned))

    def _time(self, done: int) -> None:
        if self._meter is None:  # the work before the first report is done once, not in every iteration
            self._meter = Meter(done)
        elif done > self._meter.done:
            self.spans.append(self._meter.span(done))

    def _enough(self, pilot_seconds: float) -> bool:
        seconds = sum(span.seconds for span in self.spans)
        iterations = sum(span.iterations for span in self.spans)
        measured = len(self.spans) >= FEWEST_SPANS and iterations >= FEWEST_ITERATIONS
        return seconds > pilot_seconds and (measured or seconds > 5 * pilot_seconds)


def _left_behind(before: GlobalState) -> list[str]:
    """Return what a method left behind in this process and its children, as short printable texts."""
    running = [processes.command(child) for child in processes.children(os.getpid())]
    return [handed.text(description, 200) for description in (*before.changes(), *running)][:20]
