"""Computes in child processes: every method has a separate one, which is killed when it exceeds a limit."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import threading
import time
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from nidbench.errors import NidbenchError
from nidbench.system import processes

from .children import START_SECONDS, Child, FreshProcesses, Nursery, ProcessSource
from .computer import Listener, WorkerDiedError
from .exchange import Exchange
from .messages import (
    ANSWERS,
    CHECKPOINT,
    SAVED,
    Check,
    Checked,
    ComparePrecisions,
    CompareThreads,
    Greet,
    Hello,
    Imported,
    Message,
    MessageError,
    Outcome,
    Outcomes,
    Request,
    Resolve,
)
from .output import Output

#: Seconds in which a method must be imported, and then seconds in which its files must be downloaded.
IMPORT_SECONDS, FILES_SECONDS = 60.0, 3600.0

#: Number of processes that are kept for the next cell of their method; on a GPU every process holds some memory.
_KEPT, _KEPT_ON_GPU = 8, 2

#: Environment that makes OpenMP's threads (GNU's, Intel's) sleep while they wait for each other. By default they spin,
#: which uses a core and, where other programs want the cores, keeps the awaited thread from running. A short spin
#: (GNU's) saves some of the sleeps: of 2 threads, an iteration of `ours` (96x96, AMD EPYC) took 74 ms without any, 69
#: with 1,000 turns and 72 with 10,000 (a run each); beside a busy core, which other programs used as well, about 230,
#: 290 and 540 (two runs each).
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}

#: Spec, preset and file of the method that a process runs; None for a process that has run none.
_Key: TypeAlias = "tuple[Any, ...] | None"


class ChildProcess:
    """Answers requests in computing processes, one for every method.

    A process is started when its method is first needed, and again after it was killed. It is kept for the next cells
    of its method, and ended where the method leaves something behind in it.

    Args:
        log: file for what methods and libraries print.
        threads: CPU threads that a process may use.
        memory: bytes that a task, with the processes that it starts, may use beyond what its process has before it;
            None for the memory of this machine or its control group.
        import_seconds: time in which a method must be imported.
        copy: True to copy processes, which only Linux can; False to start Python for every process.
        stop: where another thread sets it, `ask` is interrupted within a quarter of a second; None for never.
    """

    def __init__(
        self,
        log: Path,
        threads: int,
        memory: int | None = None,
        *,
        import_seconds: float = IMPORT_SECONDS,
        copy: bool = processes.LINUX,
        stop: threading.Event | None = None,
    ) -> None:
        self.log = log
        self._threads = threads
        self._memory = processes.memory_here() if memory is None else memory
        self._import_seconds = import_seconds
        self._copy = copy
        self._stop = stop
        self._source: ProcessSource | None = None
        self._output: Output | None = None
        self._children: dict[_Key, Child] = {}
        self._active: Child | None = None
        self._hello: Hello | None = None

    def use_threads(self, threads: int) -> None:
        """Compute with this number of CPU threads from now on, in new processes where it was another one."""
        if threads != self._threads:
            self._end_all()  # libraries take the number when they are loaded
            self._threads = threads

    def hello(self) -> Hello:
        """Return the devices and the environment of computing processes."""
        if self._hello is None:
            hello: Hello = self.ask(Greet(), lambda _: None, START_SECONDS)
            self._hello = hello
        return self._hello

    def ask(self, request: Request, listener: Listener, seconds: float | None = None) -> Any:
        """Return the answer to a request, see `Computer.ask`."""
        key = None
        if not isinstance(request, Greet | ComparePrecisions | CompareThreads):
            key = str(request.spec), request.preset, request.file
        kept = _KEPT_ON_GPU if getattr(request, "device", "cpu").startswith("cuda") else _KEPT
        child, output = self._child_for(key, kept), self._open_output()
        output.begin()
        self._active = child
        exchange = Exchange(child, output, request, self._memory, self._stop)
        try:
            answer = self._answer(key, exchange, request, listener, seconds)
        except Exception:  # after an interruption, which is no Exception, the process may still save a checkpoint
            self._end(key)
            raise
        self._active = None
        return self._with_left_behind(key, answer, exchange)

    def _answer(
        self, key: _Key, exchange: Exchange, request: Request, listener: Listener, seconds: float | None
    ) -> Message:
        imports = isinstance(request, Resolve | Check)
        exchange.limit(self._import_seconds if imports and seconds is None else seconds)
        try:
            for message in exchange.messages():
                if isinstance(message, ANSWERS[type(request)]):
                    return message
                if isinstance(message, Imported):
                    exchange.limit(FILES_SECONDS if isinstance(request, Resolve) else None)
                else:
                    listener(message)
        except MessageError as error:
            raise WorkerDiedError(str(error), retry=False) from error
        raise self._end_error(key, exchange)

    def _with_left_behind(self, key: _Key, answer: Message, exchange: Exchange) -> Message:
        """Return the answer with all that the method left behind; where that is anything, its process is ended."""
        if not isinstance(answer, Outcome | Outcomes | Checked):
            return answer
        source = self._source
        orphans = [] if source is None else source.tidy()
        left_behind = [*answer.left_behind, *exchange.dropped(), *orphans]
        if left_behind:
            self._end(key)
        return msgspec.structs.replace(answer, left_behind=tuple(dict.fromkeys(left_behind)))

    def checkpoint(self, seconds: float) -> None:
        """Ask for a checkpoint and wait for it, at most some seconds; a method without checkpoints uses them up."""
        child = self._active
        if child is None:
            return
        with contextlib.suppress(OSError):  # the process has already ended
            child.control.send(CHECKPOINT)
            deadline = time.monotonic() + seconds
            with selectors.DefaultSelector() as selector:
                selector.register(child.control, selectors.EVENT_READ)
                selector.register(child.messages, selectors.EVENT_READ)
                selector.register(self._open_output().reader, selectors.EVENT_READ)
                while time.monotonic() < deadline:
                    selector.select(max(0.0, deadline - time.monotonic()))
                    self._open_output().pump()
                    with contextlib.suppress(BlockingIOError):
                        while child.messages.recv(1 << 16):  # drop messages, so that the process is not blocked
                            pass
                        return
                    if SAVED in child.read_control():
                        return

    def close(self) -> None:
        """Kill the processes and all that they started; a later request starts new ones."""
        self._end_all()

    def _end_all(self) -> None:
        for child in self._children.values():
            child.hang_up()
        self._children.clear()
        self._active = None
        source, self._source = self._source, None
        if source is not None:
            source.close()
        output, self._output = self._output, None
        if output is not None:
            output.pump()
            output.close()

    def _open_output(self) -> Output:
        if self._output is None:
            self._output = Output(self.log)
        return self._output

    def _child_for(self, key: _Key, kept: int) -> Child:
        """Return the process of a method: its earlier one, one that no method has used, or a new one."""
        child = self._children.pop(key, None) or self._children.pop(None, None)
        if child is None:
            while len(self._children) >= kept:
                self._end(next(iter(self._children)))
            child = self._new_child()
        self._children[key] = child
        return child

    def _new_child(self) -> Child:
        try:
            return self._open_source().start()
        except OSError:  # the source was killed, and all processes that came from it ended with it
            self._end_all()
            return self._open_source().start()

    def _open_source(self) -> ProcessSource:
        if self._source is None:
            output = self._open_output()
            source_type = Nursery if self._copy else FreshProcesses
            try:
                self._source = source_type(_environment(self._threads), self._memory, output.writer)
            except NidbenchError as error:
                output.pump()
                raise NidbenchError(f"{error}: see {self.log}") from None
        return self._source

    def _end(self, key: _Key, grace: float = 0.0) -> int | None:
        child = self._children.pop(key, None)
        self._active = None
        return None if child is None or self._source is None else self._source.end(child, grace)

    def _end_error(self, key: _Key, exchange: Exchange) -> WorkerDiedError:
        code = self._end(key, grace=1.0)
        if code == -signal.SIGKILL and processes.kernel_kills() > exchange.kills:
            return WorkerDiedError("killed by the system, which had run out of memory", out_of_memory=True)
        if code is None:
            alive = self._source is not None and self._source.alive()
            how = "closed its line to the parent and was killed" if alive else "ended with its source process"
        else:
            how = f"ended by signal {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return WorkerDiedError("\n".join([f"the computing process {how}", *exchange.output.tail()]))


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of computing processes; a way of waiting that the user has set is kept."""
    waiting = {} if PASSIVE.keys() & os.environ.keys() else PASSIVE
    # the hash seed makes the order of sets of strings the same in all processes
    fixed = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0"}
    return {**os.environ, **waiting, **fixed}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)
