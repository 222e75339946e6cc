"""Runs methods in this process, so that a debugger can step into them."""

from __future__ import annotations

from typing import Any

from .computer import Listener, WorkerDiedError
from .message_rules import check
from .messages import Hello, Imported, Message, MessageError, Request


class SameProcess:
    """Answers requests in this process. There are no deadlines and no limits, and methods share their state."""

    def __init__(self) -> None:
        from .child.worker import Worker

        self._worker = Worker()

    def use_threads(self, threads: int) -> None:
        """Do nothing: every task says how many threads it has."""

    def hello(self) -> Hello:
        """Return the devices and the environment of this process."""
        return self._worker.hello()

    def ask(self, request: Request, listener: Listener, seconds: float | None = None) -> Any:  # noqa: ARG002
        """Return the answer to a request; `seconds` is ignored.

        Raises:
            WorkerDiedError: where a message does not fit the request.
        """

        def checked(message: Message) -> Message:
            check(message, request)
            return message

        def receive(message: Message) -> None:
            if not isinstance(message, Imported):
                listener(checked(message))

        try:
            return checked(self._worker.answer(request, receive))
        except MessageError as error:
            raise WorkerDiedError(str(error), retry=False) from error

    def checkpoint(self, seconds: float) -> None:
        """Do nothing: the interrupt has already ended the method."""

    def close(self) -> None:
        """Do nothing: no process was started."""
