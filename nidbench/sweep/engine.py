"""The interface through which a sweep has its cells computed, and the engine that computes one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nidbench.compute.computer import Computer
from nidbench.system.signals import check

from .cell import CellRequest, ComputedCell, ScoredCase, ended, outcome_of, watch_of
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

    While a cell is written, the measurement of the next one is made. Nothing else is done while a method computes,
    whose time is measured.

    Args:
        computer: runs the methods.
        options: time limits, checkpoints and observation.
    """

    def __init__(self, computer: Computer, options: RunOptions) -> None:
        self._computer, self._options = computer, options
        self._cases = Latest(scored_case)
        self._beside = ThreadPoolExecutor(1, "nidbench makes the next measurement")

    def cells(self, works: Iterable[Work], events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Yield every cell as it ends, see `Engine`."""
        remaining = iter(works)
        work = next(remaining, None)
        made = self._made(work)
        while work is not None:
            check()
            watch = watch_of(work.request, case := made.result(), events.started(work.job))
            outcome = outcome_of(work.request, case.problem, self._computer, self._options, watch)
            cell = ended(work.request, case, outcome, watch, self._computer.hello().environment)
            following = next(remaining, None)
            made = self._made(following)
            yield work, cell
            work = following

    def _made(self, work: Work | None) -> Future[ScoredCase]:
        """Return what will have the case of a work."""
        return Future() if work is None else self._beside.submit(self._cases.of, work.job)

    def checkpoint(self, seconds: float) -> None:
        """Make the cell under way save its state, see `Engine`."""
        self._computer.checkpoint(seconds)

    def close(self) -> None:
        """End all computing processes."""
        self._beside.shutdown(cancel_futures=True)
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
