"""Sends a request to a computing process, and receives its messages within limits of time and memory."""

from __future__ import annotations

import contextlib
import secrets
import selectors
import threading
import time
from collections.abc import Iterator

from nidbench.system import processes

from .children import Child
from .computer import DeadlineError, WorkerDiedError
from .message_rules import check
from .messages import FORKED, Batch, Message, Request, Task
from .output import Output
from .wire import frame, pack_request, unpack

#: Seconds between measurements of a task's memory.
_WATCH = 0.25


class Exchange:
    """A request to a computing process, and the messages about it.

    Args:
        child: the computing process.
        output: what it prints.
        request: what to compute.
        memory: bytes that a task may use beyond what its process has before it; None for no limit.
        stop: interrupts it where another thread sets this; None for never.

    Attributes:
        kills: how many processes the system had killed for lack of memory when the request was made.
    """

    def __init__(
        self,
        child: Child,
        output: Output,
        request: Request,
        memory: int | None,
        stop: threading.Event | None = None,
    ) -> None:
        self.child, self.output = child, output
        self.kills = processes.kernel_kills()
        self._request = request
        self._number = secrets.token_hex(8)
        self._memory = memory if isinstance(request, Task | Batch) else None
        self._stop = stop
        self._baseline = processes.memory(child.pid)
        self._unsent = memoryview(frame(pack_request(self._number, request)))
        self._dropped: dict[str, None] = {}
        self._deadline: float | None = None
        self._seconds: float | None = None
        self._next_watch = 0.0

    def limit(self, seconds: float | None) -> None:
        """Set the time limit, in seconds from now; None for no limit."""
        self._seconds = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def messages(self) -> Iterator[Message]:
        """Yield the checked messages about this request, until the connection ends.

        Raises:
            DeadlineError: past the deadline.
            WorkerDiedError: where the task uses more memory than its limit.
            MessageError: for bytes that are no message, and for a message that does not fit the request.
            KeyboardInterrupt: where it is interrupted.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.messages, selectors.EVENT_READ | selectors.EVENT_WRITE)
            selector.register(self.output.reader, selectors.EVENT_READ)
            while True:
                selector.select(self._wait())
                if self._stop is not None and self._stop.is_set():
                    raise KeyboardInterrupt
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
                yield from self._messages_in(content)
                self._check_limits()

    def dropped(self) -> list[str]:
        """Return the sources of messages that were dropped because they do not belong to this request, in words."""
        if FORKED in self.child.read_control():
            self._dropped["a forked process that went on as this one: its messages were dropped"] = None
        return list(self._dropped)

    def _send(self) -> bool:
        with contextlib.suppress(OSError):  # the buffer is full, or the process has ended, which reading will show
            self._unsent = self._unsent[self.child.messages.send(self._unsent) :]
        return bool(self._unsent)

    def _messages_in(self, content: bytes) -> Iterator[Message]:
        for content_of_frame in self.child.frames.take(content):
            number, message = unpack(content_of_frame)
            if number != self._number:
                self._dropped["something that ran on after an earlier cell: its messages were dropped"] = None
                continue
            check(message, self._request)
            yield message

    def _wait(self) -> float | None:
        remaining = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        watched = self._stop is not None or (self._memory is not None and processes.LINUX)
        watch = _WATCH if watched else None
        return min((seconds for seconds in (remaining, watch) if seconds is not None), default=None)

    def _check_limits(self) -> None:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise DeadlineError(f"no answer within {self._seconds:g} s")
        if self._memory is not None and now >= self._next_watch:
            self._next_watch = now + _WATCH
            tree = (self.child.pid, *processes.descendants(self.child.pid))
            if sum(map(processes.memory, tree)) - self._baseline > self._memory:
                raise WorkerDiedError(
                    f"it used more memory than its limit of {self._memory / 2**30:.3g} GiB and was killed: give "
                    "--memory-limit more, or the method a smaller image",
                    out_of_memory=True,
                )
