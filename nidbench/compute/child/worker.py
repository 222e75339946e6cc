"""The computing process: methods run here, one task after the other, and never receive a truth.

Methods are trusted code, not sandboxed: a method that looked for the truth, in the data or in another process, could
find it. `nidbench.compute.children` starts the process with two connections. One is for messages. On the other, the
control line, the parent asks for checkpoints; when it closes, the parent has ended.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import torch

from nidbench import versions
from nidbench.compute.messages import (
    CHECKPOINT,
    FORKED,
    SAVED,
    Began,
    Check,
    Checked,
    ComparePrecisions,
    Draw,
    Greet,
    Hello,
    Imported,
    Kept,
    Message,
    MethodFacts,
    Observation,
    Outcome,
    PrecisionRatios,
    Progress,
    Refusal,
    Request,
    Resolve,
    Task,
)
from nidbench.compute.pace import Meter, Span
from nidbench.compute.wire import pack, read_frame, unpack_request, write_frame
from nidbench.contract import handed
from nidbench.contract.global_state import GlobalState, seed_generators
from nidbench.contract.method import BatchMethod, Method, NeedsFiles, StopsItself
from nidbench.contract.restored import check_restored
from nidbench.contract.run import Run
from nidbench.errors import NidbenchError, UnstableError
from nidbench.files import download
from nidbench.registry import entry_points
from nidbench.registry.fingerprint import fingerprint
from nidbench.registry.method_spec import MethodSpec, Resolved, all_settings, resolve
from nidbench.system import processes
from nidbench.system.signals import STOPPING, left_to_parent

from .environment import environment
from .memory import in_a_line, is_out_of_memory, limit_memory, peak_memory, reset_peak_memory
from .precisions import bf16_ratios

Send = Callable[[Message], None]

#: Spans of time that a pilot measures at least: they are compared, so that a short disturbance of one has no effect.
FEWEST_SPANS = 4

#: Iterations that it measures at least, where they are not slow: some optimizers do more work in every tenth.
FEWEST_ITERATIONS = 20


class PilotOver(BaseException):
    """Ends a pilot when the method reports progress; a BaseException, so that no `except Exception` catches it."""


class Worker:
    """Answers requests.

    Args:
        saved: called after a checkpoint that the parent asked for.
        alone: True in a process that does nothing else: a SystemExit or KeyboardInterrupt of a method is then a failure
            of the method and not an order to the process, and changes of global state are reported.
        memory: bytes that a task may use beyond those that the process has before it; None for no limit. Only Linux
            enforces it.
    """

    def __init__(
        self, saved: Callable[[], None] = lambda: None, *, alone: bool = False, memory: int | None = None
    ) -> None:
        self._saved = saved
        self._alone = alone
        self._memory = memory
        self._run: Run | None = None
        self._before: GlobalState | None = None

    def hello(self) -> Hello:
        """Return the devices and the environment of this process."""
        cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        native = [name for name in cuda if torch.cuda.get_device_capability(name) >= (8, 0)]
        if torch.cpu._is_avx512_bf16_supported():
            native.append("cpu")
        return Hello([*cuda, "cpu"], native, environment(), os.getpid())

    def answer(self, request: Request, send: Send = lambda _: None) -> Message:
        """Return the answer to a request; an error becomes an answer, too.

        Args:
            request: what to do.
            send: receives the messages that come before the answer.
        """
        try:
            match request:
                case Greet():
                    return self.hello()
                case ComparePrecisions():
                    return PrecisionRatios(bf16_ratios(request.device, request.threads))
                case Resolve():
                    return self._facts(request, send)
                case Check():
                    return self._make_checks(request, send)
                case Task():
                    return self._compute(request, send)
        except NidbenchError as error:
            return Refusal(handed.text(str(error)))
        except self._failures as error:  # raised by a method's class or its settings
            if isinstance(request, Task):
                return Outcome("failed", error=_traceback(error))
            return Refusal(f"{getattr(request, 'spec', 'nidbench')} cannot be used: {in_a_line(error)}")

    def request_checkpoint(self) -> None:
        """Ask the task in progress to save its state at its next opportunity."""
        if self._run is not None:
            self._run.request_checkpoint(self._saved)
        else:
            self._saved()  # no task runs: there is nothing to save

    def _facts(self, request: Resolve, send: Send) -> MethodFacts:
        resolved = self._resolve(request, send)
        method = resolved.method
        if isinstance(method, NeedsFiles):  # missing files end the sweep here, before its first cell
            download.fetch(method.files())
        return MethodFacts(
            spec=request.spec,
            file=request.file,
            preset=resolved.preset,
            note=handed.text(resolved.note),
            version=handed.count(f"version of {request.spec.name}", method.info.version),
            settings=_plain_settings(request.spec, method),
            fingerprint=fingerprint(registered(request.file).target(request.spec.name)),
            batch=isinstance(method, BatchMethod),
            stops_itself=isinstance(method, StopsItself) and bool(method.stops_itself()),
        )

    def _resolve(self, request: Resolve | Check, send: Send) -> Resolved:
        resolved = _resolve(request.spec, request.preset, request.file)
        send(Imported())
        return resolved

    @property
    def _failures(self) -> type[BaseException]:
        """The exceptions of a method that count as its failure."""
        return BaseException if self._alone else Exception

    def _make_checks(self, request: Check, send: Send) -> Checked:
        from nidbench.contract import conformance  # the cells of a sweep do not need it
        from nidbench.contract.probe import Probe

        probe = Probe(self._resolve(request, send).method, request.device)
        for check in conformance.checks():
            if conformance.title(check) in request.names:
                send(Began(conformance.title(check)))
                finding = conformance.find(check, probe)
                send(msgspec.structs.replace(finding, message=handed.text(finding.message)))
        return Checked()

    def _compute(self, task: Task, send: Send) -> Outcome:
        torch.set_num_threads(task.threads)
        method = _resolve(task.spec, task.preset, task.file).method
        reporter = _Reporter(send, task)
        resumed = task.checkpoint is not None and task.checkpoint.exists()
        run = self._run = _run(task, reporter)
        versions.begin()
        if self._alone and self._before is None:  # once is enough: a process that a cell has changed gets no other cell
            self._before = GlobalState.now()
        baseline = reset_peak_memory(task.device)
        seed_generators(run.seed("global"))
        try:
            with limit_memory(self._memory if task.device == "cpu" else None):
                outcome = self._restore(method, task, run, reporter)
        finally:
            self._run = None
            run.end()
        peak = max(0, peak_memory(task.device) - baseline)
        if task.device.startswith("cuda"):
            torch.cuda.empty_cache()  # the processes of other methods share the device
        left_behind = [] if self._before is None else _left_behind(self._before)
        return msgspec.structs.replace(
            outcome, peak_memory=peak, resumed=resumed, versions=versions.used(), left_behind=left_behind
        )

    def _restore(self, method: Any, task: Task, run: Run, reporter: _Reporter) -> Outcome:
        try:
            restored = check_restored(method.restore(method.info.given(task.problem), run), task.problem)
        except PilotOver:
            return Outcome("pilot", iterations=reporter.done, planned=reporter.planned, spans=reporter.spans)
        except self._failures as error:
            status = "out-of-memory" if is_out_of_memory(error) else "failed"
            status = "unstable" if isinstance(error, UnstableError) else status
            return Outcome(status, seconds=run.elapsed, iterations=reporter.done, error=_traceback(error))
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


def _run(task: Task, reporter: _Reporter) -> Run:
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


def _resolve(spec: MethodSpec, preset: str | None, file: Path | None) -> Resolved:
    file_of_method = file if file is not None and file.stem == spec.name else None
    return resolve(spec, _method(spec.name, file_of_method), preset)


@cache
def _method(name: str, file: Path | None) -> type[Method]:
    return entry_points.load_method(registered(file), name)


@cache
def registered(file: Path | None = None) -> entry_points.Registry:
    """Return the registry of methods, read once: a search through all packages takes longer than a short cell."""
    return entry_points.methods(file)


def _plain_settings(spec: MethodSpec, method: Method) -> dict[str, Any]:
    settings = all_settings(method)
    for name, value in settings.items():
        if type(value) not in (int, float, str, bool, type(None)):
            raise NidbenchError(
                f"setting {name} of {spec.name} is of type {type(value).__name__}: settings identify a result, so give "
                "it a default of int, float, str, bool or None"
            )
    return settings


def _left_behind(before: GlobalState) -> list[str]:
    """Return what a method left behind in this process and its children, as short printable texts."""
    running = [processes.command(child) for child in processes.children(os.getpid())]
    return [handed.text(description, 200) for description in (*before.changes(), *running)][:20]


def _traceback(error: BaseException) -> str:
    """Return an exception with its traceback; the middle of a long one is cut."""
    return handed.text("".join(traceback.format_exception(error)))


class ForkedError(NidbenchError):
    """A copy of this process, which a method has made, sends a message: only the original may do that."""


def _default_signals() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def serve(messages: socket.socket, control: socket.socket, memory: int | None = None) -> None:
    """Answer the requests of the parent until it closes the connection; this ends the process.

    Args:
        messages: connection for requests and messages.
        control: connection on which the parent asks for checkpoints.
        memory: see `Worker`.
    """
    # getpid is looked up now, because a method could replace it
    original, getpid, sending = os.getpid(), os.getpid, threading.Lock()
    # copies of this process close the connection: they would write into its messages and keep it open after its end
    os.register_at_fork(after_in_child=messages.close)
    os.register_at_fork(after_in_child=_default_signals)  # process pools rely on the default signal handlers

    def say(number: str, message: Message) -> None:
        if getpid() != original:
            control.sendall(FORKED)
            raise ForkedError("a forked process speaks to the harness: call run's methods where restore was called")
        content = pack(number, message)
        with sending:  # a method may have threads
            write_frame(messages, content)

    def listen() -> None:
        try:
            while CHECKPOINT in control.recv(4096):
                worker.request_checkpoint()
        finally:
            os._exit(0)  # the parent has ended: an unfinished cell will resume from its checkpoint

    worker = Worker(lambda: control.sendall(SAVED), alone=True, memory=memory)
    threading.Thread(target=listen, daemon=True).start()
    try:
        while True:
            number, request = unpack_request(read_frame(messages))
            answer = worker.answer(request, partial(say, number))
            say(number, answer)
    except (ForkedError, EOFError, OSError):
        os._exit(0)


def main() -> None:
    """Serve the parent that started this process with two inherited sockets and a memory limit, or `none`."""
    left_to_parent()
    messages, control = (socket.socket(fileno=int(handle)) for handle in sys.argv[1:3])
    serve(messages, control, None if sys.argv[3] == "none" else int(sys.argv[3]))
