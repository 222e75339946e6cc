"""One request to a child process, and what it says until the answer."""

from __future__ import annotations

import contextlib
import secrets
import selectors
import time
from collections.abc import Iterator

from nidbench.system import processes

from .children import Child
from .computer import DeadlineError, WorkerDiedError
from .lines import frame
from .messages import FORKED, Request, Said, Task, check, pack_request, unpack
from .output import Output

#: Seconds between looks at the memory of a task.
_WATCH = 0.25


class Exchange:
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
