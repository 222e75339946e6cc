"""What a sweep reports on the way, to whoever shows it."""

from __future__ import annotations

from typing import Protocol

from nidbench.records import Point, Record

from .plan import Job, Plan


class CellEvents(Protocol):
    """What is reported of one cell while it is computed."""

    def progress(self, done: int, planned: int) -> None:
        """The cell has done so many of its iterations."""
        ...

    def observed(self, point: Point) -> None:
        """The cell's estimate was scored."""
        ...

    def warned(self, message: str) -> None:
        """Something a person should know, that stops nothing."""
        ...


class Events(CellEvents, Protocol):
    """What is reported of a sweep while its cells are computed."""

    def planned(self, plan: Plan, pending: int) -> None:
        """A sweep begins, with so many cells to compute."""
        ...

    def started(self, job: Job) -> None:
        """A cell begins."""
        ...

    def ended(self, job: Job, record: Record) -> None:
        """A cell ended and its record is written."""
        ...
