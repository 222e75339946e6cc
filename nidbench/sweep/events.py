"""What the runner reports on the way."""

from __future__ import annotations

from typing import Protocol

from nidbench.records import Point, Record

from .plan import Job, Plan


class Events(Protocol):
    """What the runner tells a display on the way."""

    def planned(self, plan: Plan, pending: int) -> None:
        """A sweep begins, with so many cells to compute."""
        ...

    def started(self, job: Job) -> None:
        """A cell begins."""
        ...

    def progress(self, done: int, planned: int) -> None:
        """The cell has done so many of its iterations."""
        ...

    def observed(self, point: Point) -> None:
        """The cell's estimate was scored."""
        ...

    def ended(self, job: Job, record: Record) -> None:
        """A cell ended and its record is written."""
        ...

    def warned(self, message: str) -> None:
        """Something a person should know, that stops nothing."""
        ...
