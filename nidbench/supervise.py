"""The computing processes as their parent sees them: started, asked, watched and, past a deadline or limit, killed.

Each method has a process of its own, kept for its next cells; what a method leaves behind in it ends it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from . import processes
from .children import START_SECONDS, Child, Nursery, Source, Starts
from .errors import NidbenchError
from .lines import frame
from .messages import (
    ANSWERS,
    CHECKPOINT,
    FORKED,
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
    Task,
    check,
    pack_request,
    unpack,
)
from .output import Output

Heard = Callable[[Any], None]

#: Seconds in which a method must be imported, and in which its files must then be there.
IMPORT_SECONDS, FILES_SECONDS = 60.0, 3600.0

#: Seconds between looks at the memory of a task.
_WATCH = 0.25

#: Processes that are kept for the next cell of their method; on a GPU each holds some of its memory.
_KEPT, _KEPT_ON_GPU = 8, 2

#: Has OpenMP's threads (GNU's, Intel's) wait for each other asleep. By default they spin, which burns a core and, where
#: something else wants the cores too, keeps the thread that they wait for from running. A moment of spinning (GNU's)
#: costs nothing then, and makes an iteration a quarter faster on an idle machine than none.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "0"}


class Computer(Protocol):
    """Something that answers requests: child processes, or this one for debugging."""

    def hello(self) -> Hello:
        """Return what there is to compute with."""
        ...

    def ask(self, request: Request, heard: Heard, seconds: float | None = None) -> Any:
        """Return the answer; `heard` takes what is said on the way. Both are checked against the request.

        Raises:
            DeadlineError: where it takes longer than `seconds`, or importing a method longer than it may.
            WorkerDiedError: where the process ends before it answers, or says what does not fit the request.
        """
        ...

    def checkpoint(self, seconds: float) -> None:
        """Have the task in progress save its state, waiting at most so long."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class DeadlineError(NidbenchError):
    """An answer that did not come in time."""


class WorkerDiedError(NidbenchError):
    """A computing process that ended in the middle of a task.

    Args:
        message: what happened.
        out_of_memory: whether it took more memory than there is, or than it may.
        again: whether another attempt may go better.
    """

    def __init__(self, message: str, *, out_of_memory: bool = False, again: bool = True) -> None:
        super().__init__(message)
        self.out_of_memory = out_of_memory
        self.again = again and not out_of_memory


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
        exchange = _Exchange(child, output, request, self._memory)
        try:
            answer = self._answer(key, exchange, request, heard, seconds)
        except Exception:  # what was interrupted, which is none, may still save a checkpoint
            self._end(key)
            raise
        self._active = None
        return self._tidied(key, answer, exchange)

    def _answer(self, key: _Key, exchange: _Exchange, request: Request, heard: Heard, seconds: float | None) -> Said:
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

    def _tidied(self, key: _Key, answer: Said, exchange: _Exchange) -> Said:
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

    def _death(self, key: _Key, exchange: _Exchange) -> WorkerDiedError:
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


class _Exchange:
    """One request and what is said to it, until its answer, its deadline or its end."""

    def __init__(self, child: Child, output: Output, request: Request, memory: int | None) -> None:
        self.child, self.output = child, output
        self.kills = processes.kernel_kills()
        self._request = request
        self._number = secrets.token_hex(8)
        self._memory = memory if isinstance(request, Task) else None
        self._stood = processes.memory(child.pid)
        self._unsent = memoryview(frame(pack_request(self._number, request)))
        self._strays: dict[str, None] = {}
        self._deadline: float | None = None
        self._seconds: float | None = None
        self._next_watch = 0.0

    def limit(self, seconds: float | None) -> None:
        """Set the time that is left from now on; None for all there is."""
        self._seconds = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def messages(self) -> Iterator[Said]:
        """Yield what is said to this request, checked, until the line ends.

        Raises:
            DeadlineError: past the deadline.
            WorkerDiedError: where it takes more memory than it may.
            MessageError: for what is no message, or does not fit the request.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.messages, selectors.EVENT_READ | selectors.EVENT_WRITE)
            selector.register(self.output.reader, selectors.EVENT_READ)
            while True:
                selector.select(self._wait())
                self.output.pump()
                if self._unsent and not self._send():
                    selector.modify(self.child.messages, selectors.EVENT_READ)
                try:
                    content = self.child.messages.recv(1 << 20)
                except BlockingIOError:
                    self._check_limits()
                    continue
                except OSError:
                    return
                if not content:
                    return
                yield from self._said(content)
                self._check_limits()

    def strays(self) -> list[str]:
        """Return what came that belongs to no request or to an earlier one, and was dropped."""
        if FORKED in self.child.said_aside():
            self._strays["a forked process that went on as this one: what it said was dropped"] = None
        return list(self._strays)

    def _send(self) -> bool:
        with contextlib.suppress(OSError):  # full, or gone, which reading tells
            self._unsent = self._unsent[self.child.messages.send(self._unsent) :]
        return bool(self._unsent)

    def _said(self, content: bytes) -> Iterator[Said]:
        for whole in self.child.frames.take(content):
            number, said = unpack(whole)
            if number != self._number:
                self._strays["something that ran on after an earlier cell: what it said was dropped"] = None
                continue
            check(said, self._request)
            yield said

    def _wait(self) -> float | None:
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        watch = _WATCH if self._memory is not None and processes.LINUX else None
        return min((each for each in (left, watch) if each is not None), default=None)

    def _check_limits(self) -> None:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise DeadlineError(f"no answer within {self._seconds:g} s")
        if self._memory is not None and now >= self._next_watch:
            self._next_watch = now + _WATCH
            tree = (self.child.pid, *processes.descendants(self.child.pid))
            if sum(map(processes.memory, tree)) - self._stood > self._memory:
                raise WorkerDiedError(
                    f"it took more memory than its limit of {self._memory / 2**30:.3g} GiB and was killed: give "
                    "--memory-limit more, or the method a smaller image",
                    out_of_memory=True,
                )


class SameProcess:
    """Computes in this process: for debuggers. Deadlines and limits hold for nothing here, and state stays."""

    def __init__(self) -> None:
        from .worker import Worker

        self._worker = Worker()

    def hello(self) -> Hello:
        """Return what there is to compute with."""
        return self._worker.hello()

    def ask(self, request: Request, heard: Heard, seconds: float | None = None) -> Any:  # noqa: ARG002
        """Return the answer to a request."""

        def checked(said: Said) -> Said:
            check(said, request)
            return said

        def hear(said: Said) -> None:
            if not isinstance(said, Imported):
                heard(checked(said))

        try:
            return checked(self._worker.answer(request, hear))
        except MessageError as error:
            raise WorkerDiedError(str(error), again=False) from error

    def checkpoint(self, seconds: float) -> None:
        """Do nothing: the interrupt has already left the method."""

    def close(self) -> None:
        """Do nothing."""
