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
from collections.abc import Callable
from functools import partial

import msgspec
import torch

from nidbench.compute.messages import (
    CHECKPOINT,
    FORKED,
    SAVED,
    Batch,
    Began,
    Check,
    Checked,
    ComparePrecisions,
    CompareThreads,
    Greet,
    Hello,
    Imported,
    Message,
    MethodFacts,
    Of,
    Outcome,
    Outcomes,
    Ratios,
    Refusal,
    Request,
    Resolve,
    Task,
)
from nidbench.compute.wire import pack, read_frame, unpack_request, write_frame
from nidbench.contract import handed
from nidbench.contract.method import BatchMethod, NeedsFiles, StopsItself
from nidbench.errors import NidbenchError
from nidbench.files import download
from nidbench.registry.fingerprint import fingerprint
from nidbench.registry.method_spec import Resolved
from nidbench.system.signals import STOPPING, left_to_parent

from .convolution import bf16_ratios, thread_ratios
from .environment import environment
from .memory import in_a_line
from .methods import plain_settings, registered, resolved, traceback_of
from .tasks import Send, Tasks


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
        self._tasks = Tasks(alone=alone, memory=memory)

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
                    return Ratios(bf16_ratios(request.device, request.threads))
                case CompareThreads():
                    return Ratios(thread_ratios(request.precision, request.threads))
                case Resolve():
                    return self._facts(request, send)
                case Check():
                    return self._make_checks(request, send)
                case Task():
                    (outcome,) = self._tasks.compute([request], [send])
                    return outcome
                case Batch():
                    return self._compute_side_by_side(request, send)
        except NidbenchError as error:
            return Refusal(handed.text(str(error)))
        except self._tasks.failures as error:  # raised by a method's class or its settings
            if isinstance(request, Task):
                return Outcome("failed", error=traceback_of(error, request.spec, request.file))
            return Refusal(f"{getattr(request, 'spec', 'nidbench')} cannot be used: {in_a_line(error)}")

    def request_checkpoint(self) -> None:
        """Ask the tasks in progress to save their states at their next opportunity."""
        self._tasks.request_checkpoint(self._saved)

    def _facts(self, request: Resolve, send: Send) -> MethodFacts:
        of_request = self._resolve(request, send)
        method = of_request.method
        if isinstance(method, NeedsFiles):  # missing files end the sweep here, before its first cell
            download.fetch(method.files())
        return MethodFacts(
            spec=request.spec,
            file=request.file,
            preset=of_request.preset,
            note=handed.text(of_request.note),
            version=handed.count(f"version of {request.spec.name}", method.info.version),
            settings=plain_settings(request.spec, method),
            fingerprint=fingerprint(registered(request.file).target(request.spec.name)),
            batch=isinstance(method, BatchMethod),
            stops_itself=isinstance(method, StopsItself) and bool(method.stops_itself()),
            bounded=bool(method.info.bounded),
        )

    def _resolve(self, request: Resolve | Check, send: Send) -> Resolved:
        of_request = resolved(request.spec, request.preset, request.file)
        send(Imported())
        return of_request

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

    def _compute_side_by_side(self, batch: Batch, send: Send) -> Outcomes:
        def about(place: int) -> Send:
            return lambda message: send(Of(place, message))  # type: ignore[arg-type] # a task's interim messages only

        outcomes = self._tasks.compute(batch.tasks, [about(place) for place in range(len(batch.tasks))])
        left_behind = dict.fromkeys(trace for outcome in outcomes for trace in outcome.left_behind)
        return Outcomes([msgspec.structs.replace(each, left_behind=()) for each in outcomes], list(left_behind))


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
