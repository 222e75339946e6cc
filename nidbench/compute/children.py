"""Starts and ends computing processes: on Linux by copying a prepared process, elsewhere by starting Python."""

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

from .wire import Frames

#: Seconds in which the first process must have imported its modules.
START_SECONDS = 120.0


class Child:
    """A computing process, and the two connections to it.

    Attributes:
        messages: connection for requests and messages.
        control: connection for checkpoints.
        far_ends: the process's ends of both.
        frames: the frames that have arrived.
        pid: number of the process; 0 before it has started.
    """

    def __init__(self) -> None:
        self.messages, far_messages = socket.socketpair()
        self.control, far_control = socket.socketpair()
        self.far_ends = far_messages, far_control
        self.messages.setblocking(False)
        self.control.setblocking(False)
        self.frames = Frames()
        self.pid = 0

    def attached(self, pid: int) -> Child:
        """Return this object after noting the number of its process and closing the far ends in this process."""
        self.pid = pid
        for end in self.far_ends:
            end.close()
        return self

    def hang_up(self) -> None:
        """Close the connections."""
        for end in (self.messages, self.control, *self.far_ends):
            end.close()

    def read_control(self) -> bytes:
        """Return the bytes that arrived on the control line; empty where there are none."""
        with contextlib.suppress(OSError):
            return self.control.recv(4096)
        return b""


class ProcessSource(Protocol):
    """Starts and ends computing processes."""

    def start(self) -> Child:
        """Return a new process.

        Raises:
            OSError: where the process that is copied has ended.
        """
        ...

    def end(self, child: Child, grace: float = 0.0) -> int | None:
        """End a process and its descendants.

        Args:
            child: the process.
            grace: seconds to wait for it to end by itself.

        Returns:
            Its exit code where it ended by itself within that time, else None.
        """
        ...

    def tidy(self) -> list[str]:
        """End processes whose parent has ended, and return what they were, in words."""
        ...

    def alive(self) -> bool:
        """Return whether more processes can be started."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...


class Nursery:
    """Makes computing processes on Linux by copying a process that has imported all modules.

    `nidbench.compute.child.nursery` is the other side.

    Args:
        environment: variables of the processes.
        memory: limit in bytes, see `nidbench.compute.child.worker.Worker`.
        output: file descriptor for what they print.

    Raises:
        NidbenchError: where the process to copy does not start.
    """

    def __init__(self, environment: dict[str, str], memory: int | None, output: int) -> None:
        self._line, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        handle = far_end.fileno()
        self._mark = f"NIDBENCH_NURSERY={secrets.token_hex(16)}"
        name, _, value = self._mark.partition("=")
        command = _python("nidbench.compute.child.nursery", handle, memory)
        self._process = _popen(command, (handle,), environment | {name: value}, output)
        far_end.close()
        self._line.settimeout(START_SECONDS)
        if not self._receive():
            self.close()
            raise NidbenchError("the computing process did not start")
        self.pids: set[int] = set()

    def start(self) -> Child:
        """Return a new process."""
        child = Child()
        try:
            socket.send_fds(self._line, [b'{"fork": true}'], [end.fileno() for end in child.far_ends])
            answer = self._line.recv(1 << 16)
            if not answer:
                raise BrokenPipeError
        except OSError:
            child.hang_up()
            raise
        self.pids.add(json.loads(answer)["pid"])
        return child.attached(json.loads(answer)["pid"])

    def end(self, child: Child, grace: float = 0.0) -> int | None:
        """End a process, see `ProcessSource`."""
        child.hang_up()
        self.pids.discard(child.pid)
        code: int | None = self._order(child.pid, grace).get("code")
        return code

    def tidy(self) -> list[str]:
        """End processes whose parent has ended, and return what they were, in words."""
        if self.pids >= set(processes.children(self._process.pid)):
            return []
        killed: list[str] = self._order(None, 0.0).get("killed", [])
        return killed

    def alive(self) -> bool:
        """Return whether more processes can be started."""
        return self._process.poll() is None

    def close(self) -> None:
        """End all processes."""
        self._line.close()  # the other process then ends all that it has started, and itself
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        died = self._process.returncode != 0
        _kill(self._process)
        if died:  # it could no longer end others: those in another session are recognised by their environment
            processes.kill_marked(self._mark)

    def _order(self, pid: int | None, grace: float) -> dict[str, Any]:
        with contextlib.suppress(OSError):  # it was killed, and the kernel ends its children with it
            self._line.send(json.dumps({"end": pid, "grace": grace}).encode())
        answer: dict[str, Any] = json.loads(self._receive() or b"{}")
        return answer

    def _receive(self) -> bytes:
        with contextlib.suppress(OSError):
            return self._line.recv(1 << 16)
        return b""


class FreshProcesses:
    """Makes computing processes by starting Python for every one, on systems other than Linux.

    Args:
        environment, memory, output: as of `Nursery`.
    """

    def __init__(self, environment: dict[str, str], memory: int | None, output: int) -> None:
        self._environment, self._memory, self._output = environment, memory, output
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> Child:
        """Return a new process."""
        child = Child()
        handles = tuple(end.fileno() for end in child.far_ends)
        command = _python("nidbench.compute.child.worker", *handles, self._memory)
        process = _popen(command, handles, self._environment, self._output)
        self._processes[process.pid] = process
        return child.attached(process.pid)

    def end(self, child: Child, grace: float = 0.0) -> int | None:
        """End a process, see `ProcessSource`."""
        child.hang_up()
        process = self._processes.pop(child.pid)
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(grace)
        _kill(process)
        return code

    def tidy(self) -> list[str]:
        """Return nothing: only Linux shows which processes have lost their parent."""
        return []

    def alive(self) -> bool:
        """Return whether more processes can be started."""
        return True

    def close(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            _kill(process)


def _python(module: str, *arguments: int | None) -> list[str]:
    words = ["none" if argument is None else str(argument) for argument in arguments]
    # -P: modules in the working directory must not replace installed ones
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
        start_new_session=True,  # so that Ctrl-C reaches the parent only
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
