"""The process that computing processes come from: it has imported what they need and has run nothing.

A copy of it takes some ten milliseconds, where starting Python and importing PyTorch takes seconds, so that each method
can have a process that no other one has touched. On Linux it also takes in whatever outlives a method's process and
ends it, in whatever session it is; when the parent ends, however that is, it ends all of them and itself.
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

from . import worker

#: Said once when all is imported.
READY = b"ready"

#: Among processes that may be ended where memory runs out, a computing one comes before the one that scores.
_LIKELIER_TO_BE_KILLED = "500"

#: Seconds for the kernel to end a process that was killed.
_PATIENCE = 10.0


class _Nursery:
    def __init__(self, line: socket.socket, memory: int | None) -> None:
        self._line = line
        self._memory = memory
        self._living: set[int] = set()
        self._codes: dict[int, int] = {}

    def obey(self) -> None:
        """Do what the parent orders, until it hangs up."""
        while True:
            content, handles = _receive(self._line)
            if not content:
                processes.kill_descendants(os.getpid())
                return
            order: dict[str, Any] = json.loads(content)
            answer = self._fork(*handles) if "fork" in order else self._end(order["end"], order["grace"])
            self._line.send(json.dumps(answer).encode())

    def _fork(self, messages: int, control: int) -> dict[str, Any]:
        above = os.getpid()
        with warnings.catch_warnings():  # the threads of OpenBLAS, which holds them still at a fork
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._line.close()
            processes.end_with_parent()
            if os.getppid() != above:
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
        self._codes.pop(pid, None)  # of an orphan that had the same number
        return {"pid": pid}

    def _end(self, pid: int | None, grace: float) -> dict[str, Any]:
        """End a process, and whatever has lost its parent; tell how it ended by itself within the time, if it did."""
        code = None if pid is None else self._wait(pid, grace)
        self._living.discard(pid or 0)
        killed = processes.kill_descendants(os.getpid(), self._living)
        if pid is not None and code is None:
            self._wait(pid, _PATIENCE)
        self._reap()
        return {"code": code, "killed": killed}

    def _wait(self, pid: int, seconds: float) -> int | None:
        """Return the exit code of a process that ends within a time, minus the number of the signal that ended it."""
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
    content, more, _, _ = line.recvmsg(4096, socket.CMSG_SPACE(2 * handles.itemsize))
    for _, _, some in more:
        handles.frombytes(some[: len(some) - len(some) % handles.itemsize])
    return content, list(handles)


def main() -> None:
    """Serve the parent that started this process with an inherited socket and a limit of memory, or `none`."""
    line = socket.socket(fileno=int(sys.argv[1]))
    signals.left_to_parent()
    processes.adopt_orphans()
    worker.registered()
    gc.collect()
    gc.freeze()  # a copy whose collector looked at all that is there would copy all of it
    line.send(READY)
    _Nursery(line, None if sys.argv[2] == "none" else int(sys.argv[2])).obey()
    os._exit(0)
