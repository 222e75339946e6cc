"""The interface through which a sweep reports its progress to a display."""

from __future__ import annotations

from typing import Protocol

from nidbench.records import Point, Record

from .plan import Job, Plan


class CellEvents(Protocol):
    """Receives reports on a cell while it is computed."""

    def progress(self, done: int, planned: int) -> None:
        """The cell has done a number of its planned iterations."""
        ...

    def observed(self, point: Point) -> None:
        """An estimate of the cell was scored."""
        ...

    def warned(self, message: str) -> None:
        """A person should know the message; the sweep goes on."""
        ...


class Events(Protocol):
    """Receives reports on a sweep while its cells are computed."""

    def planned(self, plan: Plan, pending: int) -> None:
        """A sweep begins, with a number of cells to compute."""
        ...

    def started(self, job: Job) -> CellEvents:
        """A cell begins; return who receives the reports on it. Several cells may be under way."""
        ...

    def ended(self, job: Job, record: Record) -> None:
        """A cell ended, and its record is written."""
        ...

    def warned(self, message: str) -> None:
        """A person should know the message; the sweep goes on."""
        ...
