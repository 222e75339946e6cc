"""The interface through which a sweep has its cells computed, and the engine that computes one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nidbench.compute.computer import Computer
from nidbench.system.signals import check

from .cell import CellRequest, ComputedCell, ScoredCase, compute_cell
from .events import Events
from .options import RunOptions
from .plan import Job

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Work:
    """A cell that is to be computed.

    Attributes:
        job: the cell.
        request: what is handed to the function of a cell.
    """

    job: Job
    request: CellRequest


class Engine(Protocol):
    """Computes cells: one after the other in this process, or many at once in others."""

    def cells(self, works: Iterable[Work], events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Yield every cell as it ends, in any order; take the next one only when there is room for it.

        Args:
            works: the cells.
            events: is told of every cell that begins, and receives reports on it.

        Raises:
            KeyboardInterrupt: where a signal asks to stop; `checkpoint` then saves what is under way.
        """
        ...

    def checkpoint(self, seconds: float) -> None:
        """Make the cells under way save their state, and wait for that, but no longer than a number of seconds."""
        ...

    def close(self) -> None:
        """End all that computes."""
        ...


class Serial:
    """Computes one cell after the other.

    Args:
        computer: runs the methods.
        options: time limits, checkpoints and observation.
    """

    def __init__(self, computer: Computer, options: RunOptions) -> None:
        self._computer, self._options = computer, options
        self._cases = Latest(scored_case)

    def cells(self, works: Iterable[Work], events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Yield every cell as it ends, see `Engine`."""
        for work in works:
            check()
            reports = events.started(work.job)
            case = self._cases.of(work.job)
            yield work, compute_cell(work.request, case, self._computer, self._options, reports)

    def checkpoint(self, seconds: float) -> None:
        """Make the cell under way save its state, see `Engine`."""
        self._computer.checkpoint(seconds)

    def close(self) -> None:
        """End all computing processes."""
        self._computer.close()


class Latest(Generic[T]):
    """Makes something of the cases of jobs; the last one is kept for the next method.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[Job], T]) -> None:
        self._make = make
        self._latest: tuple[object, T] | None = None

    def of(self, job: Job) -> T:
        """Return what is made of the case of a job."""
        case = job.case
        key = case.key, case.image_hash, case.kernel_hash, case.declared
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self._make(job)
        return self._latest[1]


def scored_case(job: Job) -> ScoredCase:
    """Return the case of a job, ready to score."""
    return ScoredCase(job.case.problem(), job.case.truths(), job.case.truth_hash())
