"""The process that computing processes are copied from: it has imported all modules and has run no method.

A copy takes some ten milliseconds, while starting Python and importing PyTorch takes seconds. So every method can have
a process that no other method has used. The process also adopts and ends whatever outlives a method's process, in any
session; when the parent ends, in whatever way, it ends all of its copies and itself.
"""

from __future__ import annotations

import array
import gc
import json
import os
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from nidbench.system import processes, signals

from . import methods, worker

#: Sent to the parent when all modules are imported.
READY = b"ready"

#: Where memory runs out, the system kills a process with a higher score first: a computing process, not the parent.
_LIKELIER_TO_BE_KILLED = "500"

#: Seconds that the kernel may take to end a process that was killed.
_PATIENCE = 10.0


class _NurseryServer:
    def __init__(self, line: socket.socket, memory: int | None) -> None:
        self._line = line
        self._memory = memory
        self._living: set[int] = set()
        self._codes: dict[int, int] = {}

    def obey(self) -> None:
        """Carry out the orders of the parent, until it closes the connection."""
        while True:
            content, handles = _receive(self._line)
            if not content:
                processes.kill_descendants(os.getpid())
                return
            order: dict[str, Any] = json.loads(content)
            answer = self._fork(*handles) if "fork" in order else self._end(order["end"], order["grace"])
            self._line.send(json.dumps(answer).encode())

    def _fork(self, messages: int, control: int) -> dict[str, Any]:
        parent = os.getpid()
        with warnings.catch_warnings():  # Python warns of threads, but those of OpenBLAS pause during a fork
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._line.close()
            processes.end_with_parent()
            if os.getppid() != parent:
                os._exit(0)
            with suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text(_LIKELIER_TO_BE_KILLED)
            try:
                worker.serve(socket.socket(fileno=messages), socket.socket(fileno=control), self._memory)
            finally:
                os._exit(1)
        os.close(messages)
        os.close(control)
        self._living.add(pid)
        self._codes.pop(pid, None)  # the code of an orphan that had the same number
        return {"pid": pid}

    def _end(self, pid: int | None, grace: float) -> dict[str, Any]:
        """End a process and all orphans; the answer has its exit code if it ended by itself within `grace` seconds."""
        code = None if pid is None else self._wait(pid, grace)
        self._living.discard(pid or 0)
        killed = processes.kill_descendants(os.getpid(), self._living)
        if pid is not None and code is None:
            self._wait(pid, _PATIENCE)
        self._reap()
        return {"code": code, "killed": killed}

    def _wait(self, pid: int, seconds: float) -> int | None:
        """Return the exit code, negative for a signal, of a process that ends within some seconds; None otherwise."""
        deadline = monotonic() + seconds
        while True:
            self._reap()
            if pid in self._codes or monotonic() >= deadline:
                return self._codes.pop(pid, None)
            sleep(0.002)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])


def _receive(line: socket.socket) -> tuple[bytes, list[int]]:
    handles = array.array("i")
    content, ancillary, _, _ = line.recvmsg(4096, socket.CMSG_SPACE(2 * handles.itemsize))
    for _, _, data in ancillary:
        handles.frombytes(data[: len(data) - len(data) % handles.itemsize])
    return content, list(handles)


def main() -> None:
    """Serve the parent that started this process with an inherited socket and a limit of memory, or `none`."""
    line = socket.socket(fileno=int(sys.argv[1]))
    signals.left_to_parent()
    processes.adopt_orphans()
    methods.registered()
    gc.collect()
    gc.freeze()  # otherwise the collector of a copy would touch, and so copy, all of its memory
    line.send(READY)
    _NurseryServer(line, None if sys.argv[2] == "none" else int(sys.argv[2])).obey()
    os._exit(0)
