"""Computing processes as their parent holds them: made, by copying on Linux and by starting elsewhere, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from typing import Any, Protocol

from nidbench.errors import NidbenchError
from nidbench.system import processes

from .lines import Frames

#: Seconds in which the first process must have imported what it needs.
START_SECONDS = 120.0


class Child:
    """One computing process, with what is between it and this one."""

    def __init__(self) -> None:
        self.messages, theirs = socket.socketpair()
        self.control, control = socket.socketpair()
        self.theirs = theirs, control
        self.messages.setblocking(False)
        self.control.setblocking(False)
        self.frames = Frames()
        self.pid = 0

    def begun(self, pid: int) -> Child:
        """Note the process and close its ends here."""
        self.pid = pid
        for each in self.theirs:
            each.close()
        return self

    def hang_up(self) -> None:
        """Close what is between."""
        for each in (self.messages, self.control, *self.theirs):
            each.close()

    def said_aside(self) -> bytes:
        """Return what came on the control line."""
        with contextlib.suppress(OSError):
            return self.control.recv(4096)
        return b""


class Source(Protocol):
    """Where computing processes come from."""

    def start(self) -> Child:
        """Return a new process.

        Raises:
            OSError: where what they come from has ended.
        """
        ...

    def end(self, child: Child, grace: float = 0.0) -> int | None:
        """End a process and what descends from it; return its exit code where it had ended by itself, or soon does."""
        ...

    def tidy(self) -> list[str]:
        """End what has lost its parent, and return what it was."""
        ...

    def alive(self) -> bool:
        """Return whether more can be started."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...


class Nursery:
    """Makes computing processes by copying one, on Linux; see `nidbench.nursery`."""

    def __init__(self, environment: dict[str, str], memory: int | None, output: int) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        handle = theirs.fileno()
        self._mark = f"NIDBENCH_NURSERY={secrets.token_hex(16)}"
        name, _, value = self._mark.partition("=")
        command = _python("nidbench.compute.nursery", handle, memory)
        self._process = _popen(command, (handle,), environment | {name: value}, output)
        theirs.close()
        self._line.settimeout(START_SECONDS)
        if not self._receive():
            self.close()
            raise NidbenchError("the computing process did not start")
        self.pids: set[int] = set()

    def start(self) -> Child:
        """Return a new process."""
        child = Child()
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

    def end(self, child: Child, grace: float = 0.0) -> int | None:
        """End a process, see `Source`."""
        child.hang_up()
        self.pids.discard(child.pid)
        code: int | None = self._order(child.pid, grace).get("code")
        return code

    def tidy(self) -> list[str]:
        """End what has lost its parent, where that can be known."""
        if self.pids >= set(processes.children(self._process.pid)):
            return []
        found: list[str] = self._order(None, 0.0).get("killed", [])
        return found

    def alive(self) -> bool:
        """Return whether more can be started."""
        return self._process.poll() is None

    def close(self) -> None:
        """End all processes."""
        self._line.close()  # it ends all that it has started, and itself
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        died = self._process.returncode != 0
        _kill(self._process)
        if died:  # it could end nothing any more: what is in a session of its own is known by its environment
            processes.kill_marked(self._mark)

    def _order(self, pid: int | None, grace: float) -> dict[str, Any]:
        with contextlib.suppress(OSError):  # it was killed: the kernel ends its children with it
            self._line.send(json.dumps({"end": pid, "grace": grace}).encode())
        answer: dict[str, Any] = json.loads(self._receive() or b"{}")
        return answer

    def _receive(self) -> bytes:
        with contextlib.suppress(OSError):
            return self._line.recv(1 << 16)
        return b""


class Starts:
    """Makes computing processes by starting Python anew, where there is no Linux."""

    def __init__(self, environment: dict[str, str], memory: int | None, output: int) -> None:
        self._environment, self._memory, self._output = environment, memory, output
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> Child:
        """Return a new process."""
        child = Child()
        handles = tuple(each.fileno() for each in child.theirs)
        command = _python("nidbench.compute.worker", *handles, self._memory)
        process = _popen(command, handles, self._environment, self._output)
        self._processes[process.pid] = process
        return child.begun(process.pid)

    def end(self, child: Child, grace: float = 0.0) -> int | None:
        """End a process, see `Source`."""
        child.hang_up()
        process = self._processes.pop(child.pid)
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(grace)
        _kill(process)
        return code

    def tidy(self) -> list[str]:
        """End what has lost its parent, where that can be known."""
        return []

    def alive(self) -> bool:
        """Return whether more can be started."""
        return True

    def close(self) -> None:
        """End all processes."""
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
