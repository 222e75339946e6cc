"""The interface through which the parent computes, and the errors of a computing process.

`ChildProcess` runs every method in a separate process, `SameProcess` runs all of them in this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from nidbench.errors import NidbenchError

from .messages import Hello, Request

#: Receives the messages that come before an answer.
Listener = Callable[[Any], None]


class Computer(Protocol):
    """Answers requests: in child processes, or in this one for debugging."""

    def use_threads(self, threads: int) -> None:
        """Compute with this number of CPU threads from now on."""
        ...

    def hello(self) -> Hello:
        """Return the devices and the environment to compute with."""
        ...

    def ask(self, request: Request, listener: Listener, seconds: float | None = None) -> Any:
        """Return the answer to a request; both the answer and the messages before it are checked against the request.

        Args:
            request: what to compute.
            listener: receives the messages that come before the answer.
            seconds: time limit of the answer; None for no limit.

        Raises:
            DeadlineError: where the answer takes longer than `seconds`, or the import of a method too long.
            WorkerDiedError: where the process ends before it answers, or sends a message that does not fit.
        """
        ...

    def checkpoint(self, seconds: float) -> None:
        """Make the task in progress save its state, and wait for that, but no longer than a number of seconds."""
        ...

    def close(self) -> None:
        """End all computing processes."""
        ...


class DeadlineError(NidbenchError):
    """An answer that did not come in time."""


class WorkerDiedError(NidbenchError):
    """A computing process that ended before it answered.

    Args:
        message: what happened.
        out_of_memory: whether it used more memory than there is, or than its limit.
        retry: whether another attempt may succeed.
    """

    def __init__(self, message: str, *, out_of_memory: bool = False, retry: bool = True) -> None:
        super().__init__(message)
        self.out_of_memory = out_of_memory
        self.retry = retry and not out_of_memory
