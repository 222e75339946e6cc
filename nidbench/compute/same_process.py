"""Computing in this process, for debuggers."""

from __future__ import annotations

from typing import Any

from .computer import Heard, WorkerDiedError
from .messages import Hello, Imported, MessageError, Request, Said, check


class SameProcess:
    """Computes in this process: for debuggers. Deadlines and limits hold for nothing here, and state stays."""

    def __init__(self) -> None:
        from .worker import Worker

        self._worker = Worker()

    def hello(self) -> Hello:
        """Return what there is to compute with."""
        return self._worker.hello()

    def ask(self, request: Request, heard: Heard, seconds: float | None = None) -> Any:  # noqa: ARG002
        """Return the answer to a request."""

        def checked(said: Said) -> Said:
            check(said, request)
            return said

        def hear(said: Said) -> None:
            if not isinstance(said, Imported):
                heard(checked(said))

        try:
            return checked(self._worker.answer(request, hear))
        except MessageError as error:
            raise WorkerDiedError(str(error), again=False) from error

    def checkpoint(self, seconds: float) -> None:
        """Do nothing: the interrupt has already left the method."""

    def close(self) -> None:
        """Do nothing."""
