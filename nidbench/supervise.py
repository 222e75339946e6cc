"""The computing processes as their parent sees them: started, asked, watched and, past a deadline or limit, killed.

Each method has a process of its own, kept for its next cells; what a method leaves behind in it ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from . import handed, processes
from .errors import InputError, NidbenchError
from .lines import Frames, frame
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

Heard = Callable[[Any], None]

#: Seconds in which the first process must have imported what it needs.
START_SECONDS = 120.0

#: Seconds in which a method must be imported, and in which its files must then be there.
IMPORT_SECONDS, FILES_SECONDS = 60.0, 3600.0

#: Bytes below which a memory limit would let no method work.
LEAST_MEMORY = 16 << 20

#: Seconds between looks at the memory of a task.
_WATCH = 0.25

#: Processes that are kept for the next cell of their method.
_KEPT = 4

#: Bytes of a log, after which the next one is begun; the one before it is kept.
_LOG_SIZE = 1 << 20


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


class _Child:
    """One computing process, with what is between it and this one."""

    def __init__(self) -> None:
        self.messages, theirs = socket.socketpair()
        self.control, control = socket.socketpair()
        self.theirs = theirs, control
        self.messages.setblocking(False)
        self.control.setblocking(False)
        self.frames = Frames()
        self.pid = 0

    def begun(self, pid: int) -> _Child:
        """Note the process and close its ends here."""
        self.pid = pid
        for each in self.theirs:
            each.close()
        return self

    def hang_up(self) -> None:
        for each in (self.messages, self.control, *self.theirs):
            each.close()

    def said_aside(self) -> bytes:
        """Return what came on the control line."""
        with contextlib.suppress(OSError):
            return self.control.recv(4096)
        return b""


class _Nursery:
    """Makes computing processes by copying one, on Linux; see `nidbench.nursery`."""

    def __init__(self, environment: dict[str, str], memory: int | None, output: int) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        handle = theirs.fileno()
        command = _python("nidbench.nursery", handle, memory)
        self._process = _popen(command, (handle,), environment, output)
        theirs.close()
        self._line.settimeout(START_SECONDS)
        if not self._receive():
            self.close()
            raise NidbenchError("the computing process did not start")
        self.pids: set[int] = set()

    def start(self) -> _Child:
        child = _Child()
        try:
            socket.send_fds(self._line, [b'{"fork": true}'], [each.fileno() for each in child.theirs])
            answer = self._line.recv(1 << 16)
            if not answer:
                raise BrokenPipeError
        except OSError:
            child.hang_up()
            raise
        self.pids.add(json.loads(answer)["pid"])
        return child.begun(json.loads(answer)["pid"])

    def end(self, child: _Child, grace: float = 0.0) -> int | None:
        """End a process and what descends from it; return its exit code where it had ended by itself, or soon does."""
        child.hang_up()
        self.pids.discard(child.pid)
        code: int | None = self._order(child.pid, grace).get("code")
        return code

    def tidy(self) -> list[str]:
        """End what has lost its parent, and return what it was."""
        if self.pids >= set(processes.children(self._process.pid)):
            return []
        found: list[str] = self._order(None, 0.0).get("killed", [])
        return found

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._line.close()  # it ends all that it has started, and itself
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        _kill(self._process)

    def _order(self, pid: int | None, grace: float) -> dict[str, Any]:
        with contextlib.suppress(OSError):  # it was killed: the kernel ends its children with it
            self._line.send(json.dumps({"end": pid, "grace": grace}).encode())
        answer: dict[str, Any] = json.loads(self._receive() or b"{}")
        return answer

    def _receive(self) -> bytes:
        with contextlib.suppress(OSError):
            return self._line.recv(1 << 16)
        return b""


class _Starts:
    """Makes computing processes by starting Python anew, where there is no Linux."""

    def __init__(self, environment: dict[str, str], memory: int | None, output: int) -> None:
        self._environment, self._memory, self._output = environment, memory, output
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> _Child:
        child = _Child()
        handles = tuple(each.fileno() for each in child.theirs)
        command = _python("nidbench.worker", *handles, self._memory)
        process = _popen(command, handles, self._environment, self._output)
        self._processes[process.pid] = process
        return child.begun(process.pid)

    def end(self, child: _Child, grace: float = 0.0) -> int | None:
        child.hang_up()
        process = self._processes.pop(child.pid)
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(grace)
        _kill(process)
        return code

    def tidy(self) -> list[str]:
        return []

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        for process in self._processes.values():
            _kill(process)


def _python(module: str, *arguments: int | None) -> list[str]:
    words = ["none" if each is None else str(each) for each in arguments]
    # -P: the working directory must not shadow what is installed
    return [sys.executable, "-P", "-c", f"from {module} import main; main()", *words]


def _popen(
    command: list[str], handles: tuple[int, ...], environment: dict[str, str], output: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=handles,
        env=environment,
        start_new_session=True,  # Ctrl-C is the parent's to handle
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Output:
    """What the computing processes print: the last of it in memory, more of it in a log of bounded size.

    Args:
        log: file for it; it and the one before it, `.old`, take at most 2 MiB.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._tail: deque[bytes] = deque(maxlen=16)

    def begin(self) -> None:
        """Forget what was printed before."""
        self.pump()
        self._tail.clear()

    def pump(self) -> None:
        """Take what there is, at most some mebibytes."""
        for _ in range(64):
            try:
                content = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                return
            self._tail.append(content)
            self._write(content)

    def tail(self) -> list[str]:
        """Return the last lines printed since `begin`."""
        self.pump()
        printed = b"".join(self._tail).decode(errors="replace")
        return [handed.text(line, 500) for line in printed.splitlines()[-20:]]

    def close(self) -> None:
        for handle in (self.reader, self.writer):
            os.close(handle)

    def _write(self, content: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk ends no cell for what it prints
            self._log.parent.mkdir(parents=True, exist_ok=True)
            if self._log.exists() and self._log.stat().st_size + len(content) > _LOG_SIZE:
                self._log.replace(self._log.with_suffix(".old"))
            with self._log.open("ab") as log:
                log.write(content)


def read_memory(text: str) -> int:
    """Return the bytes that a limit such as `8G`, `1.5GiB` or `500M` stands for; units are powers of 1024.

    Raises:
        InputError: where it is something else or too little for any method, or this system cannot hold to it.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise InputError(f"--memory-limit {text!r}: give a number and a unit, such as 8G or 500M")
    found = int(float(match[1]) * 1024 ** (1 + "KMGT".index(match[2].upper())))
    if found < LEAST_MEMORY:
        raise InputError(f"--memory-limit {text!r}: give at least {LEAST_MEMORY >> 20}M, which one image takes")
    if not processes.LINUX:
        raise InputError("--memory-limit works on Linux only: leave it out")
    return found


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
        self._source: _Nursery | _Starts | None = None
        self._output: _Output | None = None
        self._children: dict[_Key, _Child] = {}
        self._active: _Child | None = None
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
        child, output = self._child(key), self._prints()
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

    def _prints(self) -> _Output:
        if self._output is None:
            self._output = _Output(self.log)
        return self._output

    def _child(self, key: _Key) -> _Child:
        """Return the process of a method: the one that it had, one that no method has used yet, or a new one."""
        child = self._children.pop(key, None) or self._children.pop(None, None)
        if child is None:
            while len(self._children) >= _KEPT:
                self._end(next(iter(self._children)))
            child = self._started()
        self._children[key] = child
        return child

    def _started(self) -> _Child:
        try:
            return self._begun().start()
        except OSError:  # something killed it: all that came from it ended with it
            self._shut()
            return self._begun().start()

    def _begun(self) -> _Nursery | _Starts:
        if self._source is None:
            output = self._prints()
            threads = str(self._threads)
            # strings are hashed alike in all processes: the order of a set is no draw of luck
            more = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONHASHSEED": "0"}
            kind = _Nursery if self._copy else _Starts
            try:
                self._source = kind({**os.environ, **more}, self._memory, output.writer)
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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return str(number)


class _Exchange:
    """One request and what is said to it, until its answer, its deadline or its end."""

    def __init__(self, child: _Child, output: _Output, request: Request, memory: int | None) -> None:
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
