"""The computing processes as their parent sees them: started, asked, watched and, past a deadline or limit, killed.

Each method has a process of its own, kept for its next cells; what a method leaves behind in it ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from nidbench.errors import NidbenchError

from .messages import Hello, Request

Heard = Callable[[Any], None]


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
