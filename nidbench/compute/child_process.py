"""Child processes that compute: one for each method, watched and, past a limit, killed."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from nidbench.errors import NidbenchError
from nidbench.system import processes

from .children import START_SECONDS, Child, Nursery, Source, Starts
from .computer import Heard, WorkerDiedError
from .exchange import Exchange
from .messages import (
    ANSWERS,
    CHECKPOINT,
    SAVED,
    Check,
    Checked,
    Greet,
    Hello,
    Imported,
    MessageError,
    Outcome,
    Request,
    Resolve,
    Said,
)
from .output import Output

#: Seconds in which a method must be imported, and in which its files must then be there.
IMPORT_SECONDS, FILES_SECONDS = 60.0, 3600.0

#: Processes that are kept for the next cell of their method; on a GPU each holds some of its memory.
_KEPT, _KEPT_ON_GPU = 8, 2

#: Has OpenMP's threads (GNU's, Intel's) wait for each other asleep. By default they spin, which burns a core and, where
#: something else wants the cores too, keeps the thread that they wait for from running. A moment of spinning (GNU's)
#: costs nothing then, and makes an iteration a quarter faster on an idle machine than none.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "0"}
_Key: TypeAlias = "tuple[Any, ...] | None"


class ChildProcess:
    """Computing processes, started when first asked and again after they were killed: one for each method.

    Args:
        log: file for what methods and libraries print.
        threads: CPU threads that each may use.
        memory: bytes that a task and what it starts may take beyond what its process has before it; None for what
            this machine, or its control group, has.
        import_seconds: time in which a method must be imported.
        copy: whether to copy a process for each method, which only Linux can, or to start each.
    """

    def __init__(
        self,
        log: Path,
        threads: int,
        memory: int | None = None,
        *,
        import_seconds: float = IMPORT_SECONDS,
        copy: bool = processes.LINUX,
    ) -> None:
        self.log = log
        self._threads = threads
        self._memory = processes.memory_here() if memory is None else memory
        self._import_seconds = import_seconds
        self._copy = copy
        self._source: Source | None = None
        self._output: Output | None = None
        self._children: dict[_Key, Child] = {}
        self._active: Child | None = None
        self._hello: Hello | None = None

    def hello(self) -> Hello:
        """Return what there is to compute with."""
        if self._hello is None:
            hello: Hello = self.ask(Greet(), lambda _: None, START_SECONDS)
            self._hello = hello
        return self._hello

    def ask(self, request: Request, heard: Heard, seconds: float | None = None) -> Any:
        """Return the answer to a request, or raise what `Computer.ask` raises."""
        key = None if isinstance(request, Greet) else (str(request.spec), request.preset, request.file)
        kept = _KEPT_ON_GPU if getattr(request, "device", "cpu").startswith("cuda") else _KEPT
        child, output = self._child(key, kept), self._prints()
        output.begin()
        self._active = child
        exchange = Exchange(child, output, request, self._memory)
        try:
            answer = self._answer(key, exchange, request, heard, seconds)
        except Exception:  # what was interrupted, which is none, may still save a checkpoint
            self._end(key)
            raise
        self._active = None
        return self._tidied(key, answer, exchange)

    def _answer(self, key: _Key, exchange: Exchange, request: Request, heard: Heard, seconds: float | None) -> Said:
        imports = isinstance(request, Resolve | Check)
        exchange.limit(self._import_seconds if imports and seconds is None else seconds)
        try:
            for said in exchange.messages():
                if isinstance(said, ANSWERS[type(request)]):
                    return said
                if isinstance(said, Imported):
                    exchange.limit(FILES_SECONDS if isinstance(request, Resolve) else None)
                else:
                    heard(said)
        except MessageError as error:
            raise WorkerDiedError(str(error), again=False) from error
        raise self._death(key, exchange)

    def _tidied(self, key: _Key, answer: Said, exchange: Exchange) -> Said:
        """Return the answer with what the method left behind; where there is anything, its process has ended."""
        if not isinstance(answer, Outcome | Checked):
            return answer
        source = self._source
        left = [*answer.left, *exchange.strays(), *([] if source is None else source.tidy())]
        if left:
            self._end(key)
        return msgspec.structs.replace(answer, left=tuple(dict.fromkeys(left)))

    def checkpoint(self, seconds: float) -> None:
        """Ask for a checkpoint and wait for it; a method that keeps none lets the time pass."""
        child = self._active
        if child is None:
            return
        with contextlib.suppress(OSError):  # it is gone already
            child.control.send(CHECKPOINT)
            deadline = time.monotonic() + seconds
            with selectors.DefaultSelector() as selector:
                selector.register(child.control, selectors.EVENT_READ)
                selector.register(child.messages, selectors.EVENT_READ)
                selector.register(self._prints().reader, selectors.EVENT_READ)
                while time.monotonic() < deadline:
                    selector.select(max(0.0, deadline - time.monotonic()))
                    self._prints().pump()
                    with contextlib.suppress(BlockingIOError):
                        while child.messages.recv(1 << 16):  # keep the line free
                            pass
                        return
                    if SAVED in child.said_aside():
                        return

    def close(self) -> None:
        """Kill the processes and all that they started."""
        self._shut()

    def _shut(self) -> None:
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

    def _prints(self) -> Output:
        if self._output is None:
            self._output = Output(self.log)
        return self._output

    def _child(self, key: _Key, kept: int) -> Child:
        """Return the process of a method: the one that it had, one that no method has used yet, or a new one."""
        child = self._children.pop(key, None) or self._children.pop(None, None)
        if child is None:
            while len(self._children) >= kept:
                self._end(next(iter(self._children)))
            child = self._started()
        self._children[key] = child
        return child

    def _started(self) -> Child:
        try:
            return self._begun().start()
        except OSError:  # something killed it: all that came from it ended with it
            self._shut()
            return self._begun().start()

    def _begun(self) -> Source:
        if self._source is None:
            output = self._prints()
            kind = Nursery if self._copy else Starts
            try:
                self._source = kind(_environment(self._threads), self._memory, output.writer)
            except NidbenchError as error:
                output.pump()
                raise NidbenchError(f"{error}: see {self.log}") from None
        return self._source

    def _end(self, key: _Key, grace: float = 0.0) -> int | None:
        child = self._children.pop(key, None)
        self._active = None
        return None if child is None or self._source is None else self._source.end(child, grace)

    def _death(self, key: _Key, exchange: Exchange) -> WorkerDiedError:
        code = self._end(key, grace=1.0)
        if code == -signal.SIGKILL and processes.kernel_kills() > exchange.kills:
            return WorkerDiedError("killed by the system, which had run out of memory", out_of_memory=True)
        if code is None:
            alive = self._source is not None and self._source.alive()
            how = "closed its line to the parent and was killed" if alive else "ended with the one that it came from"
        else:
            how = f"ended by signal {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return WorkerDiedError("\n".join([f"the computing process {how}", *exchange.output.tail()]))


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of computing processes; a way of waiting that the user chose stays."""
    waiting = {} if PASSIVE.keys() & os.environ.keys() else PASSIVE
    # strings are hashed alike in all processes: the order of a set is no draw of luck
    more = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0"}
    return {**os.environ, **waiting, **more}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return str(number)
