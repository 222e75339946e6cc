"""The engine that computes cells of one method, frame and noise side by side, where the method can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from shutil import rmtree

import msgspec

from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import Batch, Of, Outcomes, Refusal
from nidbench.system.signals import check

from .cell import ComputedCell, ScoredCase, begin_work, compute_cell, ended, task_of, watch_of
from .engine import Latest, Work, scored_case
from .events import CellEvents, Events
from .options import RunOptions
from .plan import Job


def arranged(jobs: Sequence[Job], size: int) -> list[Job]:
    """Return jobs in an order in which those that can go side by side follow each other, `size` at a time.

    With a size of 1 the order stays. Groups come in the order of their first jobs.
    """
    places: dict[object, list[int]] = {}
    for place, job in enumerate(jobs):
        places.setdefault(_alike(job), []).append(place)
    groups = [found[start : start + size] for found in places.values() for start in range(0, len(found), size)]
    return [jobs[place] for group in sorted(groups) for place in group]


def _alike(job: Job) -> object:
    """Return what jobs have in common that can go side by side; a job whose method cannot is alike with none."""
    if not job.method.batch:
        return id(job)
    method, case = job.method, job.case
    # how many iterations a fit takes may follow the noise: those of different lengths gain nothing together
    known = case.key.noise, case.declared, case.shape
    return str(method.spec), method.preset, method.file, *known, job.device, job.threads, job.cell.precision


class SideBySide:
    """Computes cells of one method, frame and noise side by side, and others one after the other.

    A cell that does not end well among others is computed alone, so that none is blamed for what another did.

    Args:
        computer: runs the methods.
        options: time limits, checkpoints and observation; a limit of time is for each cell's share.
        size: most cells side by side, 2 or more.
    """

    def __init__(self, computer: Computer, options: RunOptions, size: int) -> None:
        self._computer, self._options, self._size = computer, options, size
        self._cases = Latest(scored_case)

    def cells(self, works: Iterable[Work], events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Yield every cell as it ends, see `Engine`; works that can go side by side are to follow each other."""
        for group in self._groups(works):
            check()
            reports = [events.started(work.job) for work in group]
            cases = [self._cases.of(work.job) for work in group]
            done = self._together(group, cases, reports) if len(group) > 1 else {}
            yield from ((work, done[work.job.cell.id]) for work in group if work.job.cell.id in done)
            for work, case, report in zip(group, cases, reports, strict=True):
                if work.job.cell.id not in done:
                    yield work, compute_cell(work.request, case, self._computer, self._options, report)

    def checkpoint(self, seconds: float) -> None:
        """Make the cells under way save their states, see `Engine`."""
        self._computer.checkpoint(seconds)

    def close(self) -> None:
        """End all computing processes."""
        self._computer.close()

    def _groups(self, works: Iterable[Work]) -> Iterator[Sequence[Work]]:
        """Yield works that go side by side, or one alone."""
        for _, alike in groupby(works, key=lambda work: (_alike(work.job), tuple(work.request.keep))):
            group: list[Work] = []
            for work in alike:
                group.append(work)
                if len(group) == self._size:
                    yield group
                    group = []
            if group:
                yield group

    def _together(
        self, works: Sequence[Work], cases: Sequence[ScoredCase], reports: Sequence[CellEvents]
    ) -> dict[str, ComputedCell]:
        """Return those cells that are done, by their ids."""
        watches = [
            watch_of(work.request, case, report) for work, case, report in zip(works, cases, reports, strict=True)
        ]
        tasks = [task_of(work.request, case.problem, self._options) for work, case in zip(works, cases, strict=True)]

        def receive(message: object) -> None:
            if isinstance(message, Of):
                watches[message.place].receive(message.message)

        limit = self._options.cell_timeout
        try:
            answer: Outcomes | Refusal = self._computer.ask(Batch(tasks), receive, limit and limit * len(tasks))
        except (DeadlineError, WorkerDiedError) as error:
            reports[0].warned(f"{len(works)} cells side by side: {error}; each is computed alone")
            return {}
        if isinstance(answer, Refusal):
            return {}
        environment = self._computer.hello().environment
        done: dict[str, ComputedCell] = {}
        for place, (work, outcome) in enumerate(zip(works, answer.outcomes, strict=True)):
            if outcome.status == "done":
                left = msgspec.structs.replace(outcome, left_behind=answer.left_behind)
                cell = ended(work.request, cases[place], left, watches[place], environment, len(works))
                done[work.job.cell.id] = cell
            else:
                reports[place].warned(f"{outcome.status} beside {len(works) - 1} others: it is computed alone")
                rmtree(work.request.work, ignore_errors=True)  # what others may have spoiled
                begin_work(work.request)
        return done
