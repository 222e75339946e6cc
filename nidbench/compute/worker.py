"""The computing process: methods run here, one task after the other, and are handed no truth.

They are trusted code, not sandboxed: a method that looked for the truth, in the data or in another process, could find
it. Started by `nidbench.supervise` with two connections: one for messages, and a control line by which the parent asks
for checkpoints and whose end says that the parent is gone.
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
from nidbench.contract import handed
from nidbench.contract.global_state import GlobalState, seed_generators
from nidbench.contract.method import BatchMethod, Method, NeedsFiles
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
from .lines import read_frame, write_frame
from .memory import in_a_line, is_out_of_memory, limit_memory, peak_memory, reset_peak_memory
from .messages import (
    CHECKPOINT,
    FORKED,
    SAVED,
    Began,
    Check,
    Checked,
    Draw,
    Greet,
    Hello,
    Imported,
    Kept,
    MethodFacts,
    Observation,
    Outcome,
    Progress,
    Refusal,
    Request,
    Resolve,
    Said,
    Task,
    pack,
    unpack_request,
)
from .pace import Meter, Span

Send = Callable[[Said], None]

#: A pilot's spans of time are compared with each other, so that a moment's disturbance of one does not count.
FEWEST_SPANS = 4


class PilotOver(BaseException):
    """Ends a pilot from inside the method, at a report of progress; a BaseException so that no method catches it."""


class Worker:
    """Answers requests.

    Args:
        saved: called after a checkpoint that the parent asked for.
        alone: whether the process is there for this alone, so that a method's SystemExit or KeyboardInterrupt is its
            own failure and not an order to this process; only then is global state looked at.
        memory: bytes that a task may ask for beyond what the process has before it, where the system can hold to that.
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
        """Return what there is to compute with."""
        cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        native = [name for name in cuda if torch.cuda.get_device_capability(name) >= (8, 0)]
        if torch.cpu._is_avx512_bf16_supported():
            native.append("cpu")
        return Hello([*cuda, "cpu"], native, environment(), os.getpid())

    def answer(self, request: Request, send: Send = lambda _: None) -> Said:
        """Return the answer to a request; errors become part of it. `send` takes what is said on the way."""
        try:
            match request:
                case Greet():
                    return self.hello()
                case Resolve():
                    return self._facts(request, send)
                case Check():
                    return self._checked(request, send)
                case Task():
                    return self._outcome(request, send)
        except NidbenchError as error:
            return Refusal(handed.text(str(error)))
        except self._whatever as error:  # of what a method is made of, where it is asked for it
            if isinstance(request, Task):
                return Outcome("failed", error=_traceback(error))
            return Refusal(f"{getattr(request, 'spec', 'nidbench')} cannot be used: {in_a_line(error)}")

    def request_checkpoint(self) -> None:
        """Have the task in progress save its state at its next opportunity."""
        if self._run is not None:
            self._run.request_checkpoint(self._saved)
        else:
            self._saved()  # there is nothing to wait for

    def _facts(self, request: Resolve, send: Send) -> MethodFacts:
        found = self._resolve(request, send)
        method = found.method
        if isinstance(method, NeedsFiles):  # a lack of them ends the run here, before its first cell
            download.fetch(method.files())
        return MethodFacts(
            request.spec,
            request.file,
            found.preset,
            handed.text(found.note),
            handed.count(f"version of {request.spec.name}", method.info.version),
            _plain_settings(request.spec, method),
            fingerprint(registered(request.file).target(request.spec.name)),
            isinstance(method, BatchMethod),
        )

    def _resolve(self, request: Resolve | Check, send: Send) -> Resolved:
        found = _resolve(request.spec, request.preset, request.file)
        send(Imported())
        return found

    @property
    def _whatever(self) -> type[BaseException]:
        """What of a method's exceptions is its own failure."""
        return BaseException if self._alone else Exception

    def _checked(self, request: Check, send: Send) -> Checked:
        from nidbench.contract import conformance  # the cells of a sweep do not need it
        from nidbench.contract.probe import Probe

        probe = Probe(self._resolve(request, send).method, request.device)
        for each in conformance.checks():
            if conformance.title(each) in request.names:
                send(Began(conformance.title(each)))
                found = conformance.find(each, probe)
                send(msgspec.structs.replace(found, message=handed.text(found.message)))
        return Checked()

    def _outcome(self, task: Task, send: Send) -> Outcome:
        torch.set_num_threads(task.threads)
        method = _resolve(task.spec, task.preset, task.file).method
        watch = _Watch(send, task)
        resumed = task.checkpoint is not None and task.checkpoint.exists()
        run = self._run = Run(
            task.seed,
            device=task.device,
            precision=task.precision,
            clock=task.clock,
            checkpoint=task.checkpoint,
            checkpoint_seconds=task.checkpoint_seconds,
            on_observe=watch.observe if task.pilot_seconds is None else None,
            on_sample=watch.sample if task.pilot_seconds is None else None,
            on_progress=watch.progress,
            keep=task.keep,
            on_keep=watch.keep if task.keep and task.pilot_seconds is None else None,
            shape=task.shape,
        )
        versions.begin()
        if self._alone and self._before is None:  # once: a process that a cell changed has no other cell
            self._before = GlobalState.now()
        stood = reset_peak_memory(task.device)
        seed_generators(run.seed("global"))
        try:
            with limit_memory(self._memory if task.device == "cpu" else None):
                outcome = self._restore(method, task, run, watch)
        finally:
            self._run = None
            run.end()
        peak = max(0, peak_memory(task.device) - stood)
        if task.device.startswith("cuda"):
            torch.cuda.empty_cache()  # processes of other methods share the device
        left = [] if self._before is None else _left(self._before)
        return msgspec.structs.replace(outcome, peak_memory=peak, resumed=resumed, versions=versions.used(), left=left)

    def _restore(self, method: Any, task: Task, run: Run, watch: _Watch) -> Outcome:
        try:
            restored = check_restored(method.restore(task.problem, run), task.problem)
        except PilotOver:
            return Outcome("pilot", iterations=watch.done, planned=watch.planned, spans=watch.spans)
        except self._whatever as error:
            status = "out-of-memory" if is_out_of_memory(error) else "failed"
            status = "unstable" if isinstance(error, UnstableError) else status
            return Outcome(status, seconds=run.elapsed, iterations=watch.done, error=_traceback(error))
        return Outcome(
            "done",
            restored.image,
            restored.variance,
            seconds=run.elapsed,
            iterations=restored.iterations,
            stopped=restored.stopped,
            details={**restored.details, **({"trouble": handed.text(run.trouble)} if run.trouble else {})},
            spans=[] if task.pilot_seconds is None else [watch.whole.span(1)],
        )


class _Watch:
    """Passes on what a method tells on the way."""

    def __init__(self, send: Send, task: Task) -> None:
        self._send = send
        self._pilot_seconds = task.pilot_seconds
        self._meter: Meter | None = None
        self.whole = Meter()
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
        if self._meter is None:  # what comes before the first report is not repeated
            self._meter = Meter(done)
        elif done > self._meter.done:
            self.spans.append(self._meter.span(done))

    def _enough(self, pilot_seconds: float) -> bool:
        seconds = sum(span.seconds for span in self.spans)
        return seconds > pilot_seconds and (len(self.spans) >= FEWEST_SPANS or seconds > 5 * pilot_seconds)


def _resolve(spec: MethodSpec, preset: str | None, file: Path | None) -> Resolved:
    own = file if file is not None and file.stem == spec.name else None
    return resolve(spec, _method(spec.name, own), preset)


@cache
def _method(name: str, file: Path | None) -> type[Method]:
    return entry_points.load_method(registered(file), name)


@cache
def registered(file: Path | None = None) -> entry_points.Registry:
    """Return `registry.methods`, read once: to look through all that is installed takes longer than a short cell."""
    return entry_points.methods(file)


def _plain_settings(spec: MethodSpec, method: Method) -> dict[str, Any]:
    found = all_settings(method)
    for name, value in found.items():
        if type(value) not in (int, float, str, bool, type(None)):
            raise NidbenchError(
                f"setting {name} of {spec.name} is of type {type(value).__name__}: settings identify a result, give it "
                "a default of int, float, str, bool or None"
            )
    return found


def _left(before: GlobalState) -> list[str]:
    """Return what a method left behind in this process and below it, each in a few printable words."""
    running = [processes.command(child) for child in processes.children(os.getpid())]
    return [handed.text(each, 200) for each in (*before.changes(), *running)][:20]


def _traceback(error: BaseException) -> str:
    """Return an exception with its traceback; the middle of a long one is cut."""
    return handed.text("".join(traceback.format_exception(error)))


class ForkedError(NidbenchError):
    """Said in a copy of this process that a method made: only the process that was asked has anything to say."""


def _heed_signals() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def serve(messages: socket.socket, control: socket.socket, memory: int | None = None) -> None:
    """Answer the parent's requests until it hangs up.

    Args:
        messages: where requests come from and messages go to.
        control: where it asks for checkpoints.
        memory: see `Worker`.
    """
    here, getpid, sending = os.getpid(), os.getpid, threading.Lock()
    # closed in copies of this process: they would write into what this one says, and hold the line open after its end
    os.register_at_fork(after_in_child=messages.close)
    os.register_at_fork(after_in_child=_heed_signals)  # as the pools of a method count on

    def say(number: str, said: Said) -> None:
        if getpid() != here:
            control.sendall(FORKED)
            raise ForkedError("a forked process speaks to the harness: call run's methods where restore was called")
        content = pack(number, said)
        with sending:  # a method may have threads
            write_frame(messages, content)

    def listen() -> None:
        try:
            while CHECKPOINT in control.recv(4096):
                worker.request_checkpoint()
        finally:
            os._exit(0)  # the parent is gone: what is unfinished resumes from its checkpoint

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
    """Serve the parent that started this process with two inherited sockets and a limit of memory, or `none`."""
    left_to_parent()
    messages, control = (socket.socket(fileno=int(handle)) for handle in sys.argv[1:3])
    serve(messages, control, None if sys.argv[3] == "none" else int(sys.argv[3]))
