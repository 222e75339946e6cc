"""The computing process as its parent sees it: started, asked, watched and, past a deadline, killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from .errors import NidbenchError
from .messages import CHECKPOINT, Hello, MethodFacts, Outcome, Refusal, Resolve, Task

Heard = Callable[[Any], None]

#: Seconds in which the computing process must have started.
START_SECONDS = 120.0

#: Has OpenMP's threads (GNU's, Intel's) wait for each other asleep. By default they spin, which burns a core and, where
#: something else wants the cores too, keeps the thread that they wait for from running.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


class Computer(Protocol):
    """Something that answers requests: a child process, or this one for debugging."""

    def hello(self) -> Hello:
        """Return what there is to compute with."""
        ...

    def ask(self, request: Resolve | Task, heard: Heard, seconds: float | None = None) -> Any:
        """Return the answer; `heard` takes what is said on the way.

        Raises:
            DeadlineError: where it takes longer than `seconds`.
            WorkerDiedError: where the process ends before it answers.
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
        out_of_memory: whether the system's out-of-memory killer did it.
    """

    def __init__(self, message: str, *, out_of_memory: bool) -> None:
        super().__init__(message)
        self.out_of_memory = out_of_memory


class ChildProcess:
    """The computing process, started when first asked and again after it was killed.

    Args:
        log: file for what methods and libraries print.
        threads: CPU threads it may use.
    """

    def __init__(self, log: Path, threads: int) -> None:
        self._log = log
        self._threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: Connection | None = None
        self._control: Connection | None = None
        self._hello: Hello | None = None

    def hello(self) -> Hello:
        """Return the process's first words, starting it where there is none."""
        if self._process is None or self._hello is None:
            self._start()
        if self._hello is None:
            raise NidbenchError(f"the computing process did not start: see {self._log}")
        return self._hello

    def ask(self, request: Resolve | Task, heard: Heard, seconds: float | None = None) -> Any:
        """Return the answer to a request, or raise what `Computer.ask` raises."""
        self.hello()
        kills = _kernel_kills()
        connection = self._connection()
        deadline = None if seconds is None else time.monotonic() + seconds
        message: Any = request
        while True:
            try:
                if message is request:
                    connection.send(request)
                if deadline is not None and not connection.poll(max(0.0, deadline - time.monotonic())):
                    self.close()
                    raise DeadlineError(f"no answer within {seconds:g} s")
                message = connection.recv()
            except (EOFError, OSError):  # an OSError where the end came in the middle of a message
                raise self._death(kills) from None
            if isinstance(message, Outcome | MethodFacts | Refusal):
                return message
            heard(message)

    def checkpoint(self, seconds: float) -> None:
        """Ask for a checkpoint and wait for it; a method that keeps none lets the time pass."""
        if self._control is None or self._messages is None:
            return
        try:
            self._control.send_bytes(CHECKPOINT)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and not self._control.poll(0.05):
                # keep the line free; not by recv, as the interrupt may have cut a message
                while self._messages.poll():
                    if not os.read(self._messages.fileno(), 1 << 16):
                        return  # it is gone already
        except (OSError, EOFError):
            return  # it is gone already

    def close(self) -> None:
        """Kill the process and all that it started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for connection in (self._messages, self._control):
            if connection is not None:
                connection.close()
        self._messages = self._control = None

    def _connection(self) -> Connection:
        if self._messages is None:
            raise NidbenchError("the computing process is not running")
        return self._messages

    def _start(self) -> None:
        self.close()
        self._messages, theirs = Pipe()
        self._control, control = Pipe()
        handles = (theirs.fileno(), control.fileno())
        self._log.parent.mkdir(parents=True, exist_ok=True)
        # -P: the working directory must not shadow what is installed
        command = [sys.executable, "-P", "-c", "from nidbench.worker import main; main()", *map(str, handles)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=handles,
                env=_environment(self._threads),
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        theirs.close()
        control.close()
        try:
            if not self._messages.poll(START_SECONDS):
                raise EOFError
            self._hello = self._messages.recv()
        except (EOFError, ConnectionResetError):
            self.close()
            raise NidbenchError(f"the computing process did not start: see {self._log}") from None

    def _death(self, kills: int) -> WorkerDiedError:
        process, self._process = self._process, None
        code = process.wait() if process is not None else 0
        self.close()
        if -code == signal.SIGKILL and _kernel_kills() > kills:
            return WorkerDiedError("killed by the system, which had run out of memory", out_of_memory=True)
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        tail = self._log.read_text(errors="replace").splitlines()[-20:] if self._log.exists() else []
        return WorkerDiedError("\n".join([f"the computing process ended {how}", *tail]), out_of_memory=False)


class SameProcess:
    """Computes in this process: for debuggers. Deadlines and memory limits hold for nothing here."""

    def __init__(self) -> None:
        from .worker import Worker

        self._heard: Heard = lambda _: None
        self._worker = Worker(lambda message: self._heard(message))

    def hello(self) -> Hello:
        """Return what there is to compute with."""
        return self._worker.hello()

    def ask(self, request: Resolve | Task, heard: Heard, seconds: float | None = None) -> Any:  # noqa: ARG002
        """Return the answer to a request."""
        self._heard = heard
        return self._worker.answer(request)

    def checkpoint(self, seconds: float) -> None:
        """Do nothing: the interrupt has already left the method."""

    def close(self) -> None:
        """Do nothing."""


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of the computing process; a way of waiting that the user chose stays."""
    waiting = {} if PASSIVE.keys() & os.environ.keys() else PASSIVE
    return {**os.environ, **waiting, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def _kernel_kills() -> int:
    """Return how many processes the system's out-of-memory killer has ended; 0 where it does not say."""
    counts = 0
    for path, key in ((Path("/proc/vmstat"), "oom_kill"), (Path("/sys/fs/cgroup/memory.events"), "oom_kill")):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        counts += sum(int(line.split()[1]) for line in lines if line.split()[0] == key)
    return counts
