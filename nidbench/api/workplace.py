"""Who plans a sweep and who computes it: this process's children, workers of this machine, or a running cluster."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from nidbench.errors import InputError
from nidbench.records import Store
from nidbench.sweep.engine import Engine, Serial
from nidbench.sweep.options import RunOptions
from nidbench.sweep.plan import Plan
from nidbench.sweep.side_by_side import SideBySide
from nidbench.system import cores

if TYPE_CHECKING:
    from distributed import Client

    from nidbench.compute.computer import Computer
    from nidbench.workers.cluster import Asked

    from .running import Computing


class Workplace(Protocol):
    """Who plans a sweep and who computes it.

    Attributes:
        computer: resolves methods, knows devices and makes pilots.
    """

    computer: Computer

    def free_cores(self) -> int:
        """Return how many cores each of those who compute may use now."""
        ...

    def at_once(self) -> int:
        """Return how many cells are computed at once."""
        ...

    def engine(self, plan: Plan, options: RunOptions) -> AbstractContextManager[Engine]:
        """Lend who computes the cells of a plan."""
        ...


@contextmanager
def workplace(computing: Computing, store: Store, say: Callable[[str], None]) -> Iterator[Workplace]:
    """Lend who plans a sweep and who computes it.

    Args:
        computing: what was asked for.
        store: where computing processes print to.
        say: receives a line on the workers.

    Raises:
        InputError: for workers in this process, or without dask.
        NidbenchError: where no scheduler answers.
    """
    asked = computing.asked()
    if not asked.any:
        with closing(computing.computer(store)) as computer:
            yield _Here(computer, cores.usable if computing.in_process else cores.free)
        return
    if computing.in_process:
        raise InputError("in_process with workers or a scheduler: debug one cell at a time, without them")
    from nidbench.workers.cluster import cluster, require

    require(asked)
    if asked.workers is not None:
        with closing(computing.computer(store)) as computer:
            yield _Workers(computer, asked, computing, say)
        return
    from nidbench.workers.remote import RemoteComputer

    with cluster(asked, 1) as client, closing(RemoteComputer(client, asked.wait, say)) as remote:
        yield _Cluster(remote, client, asked, computing, say)


class _Here:
    """One cell after the other, or some side by side, in child processes of this one or in itself."""

    def __init__(self, computer: Computer, free_cores: Callable[[], int]) -> None:
        self.computer, self.free_cores = computer, free_cores

    def at_once(self) -> int:
        return 1

    def engine(self, plan: Plan, options: RunOptions) -> AbstractContextManager[Engine]:  # noqa: ARG002 - one signature
        if options.batch > 1:
            return nullcontext(SideBySide(self.computer, options, options.batch))
        return nullcontext(Serial(self.computer, options))


class _Workers:
    """Workers of this machine, which share its cores and its cards; they start when there is something to compute."""

    def __init__(self, computer: Computer, asked: Asked, computing: Computing, say: Callable[[str], None]) -> None:
        self.computer, self._asked, self._computing, self._say = computer, asked, computing, say

    def free_cores(self) -> int:
        return max(1, cores.free() // self.at_once())

    def at_once(self) -> int:
        return self._asked.workers or 1

    @contextmanager
    def engine(self, plan: Plan, options: RunOptions) -> Iterator[Engine]:
        from nidbench.workers.cluster import cluster, visible

        job = plan.jobs[0]
        cards = visible(self.computer.hello().devices) if job.device.startswith("cuda") else ()
        if int(job.device.partition(":")[2] or 0):  # one that was asked for
            cards = [cards[int(job.device.partition(":")[2])]]
        self.computer.close()  # its memory is the workers' now
        with cluster(self._asked, job.threads, cards) as client:
            self._say(f"workers: {self.at_once()}, threads of each: {job.threads}" + _on(cards))
            # a worker is a cell's place, and sees its own card only
            yield _parallel(client, plan, options, self._computing, "cuda:0" if cards else "cpu", 1, self._asked.wait)


class _Cluster:
    """The workers of a running cluster."""

    def __init__(
        self, computer: Computer, client: Client, asked: Asked, computing: Computing, say: Callable[[str], None]
    ) -> None:
        self.computer, self._client, self._asked, self._computing, self._say = computer, client, asked, computing, say

    def free_cores(self) -> int:
        return max(1, min((int(info["nthreads"]) for info in self._infos()), default=1))

    def at_once(self) -> int:
        return max(1, len(self._infos()))

    def _infos(self) -> list[dict[str, Any]]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"].values())

    @contextmanager
    def engine(self, plan: Plan, options: RunOptions) -> Iterator[Engine]:
        threads = plan.jobs[0].threads
        self._say(f"workers: {self.at_once()} of {self._asked.scheduler}, threads of a cell: {threads}")
        device = plan.jobs[0].device
        asked = self._asked
        yield _parallel(self._client, plan, options, self._computing, device, asked.per_device, asked.wait)


def _parallel(
    client: Client, plan: Plan, options: RunOptions, computing: Computing, device: str, per_device: int, wait: float
) -> Engine:
    from nidbench.workers.engine import Parallel
    from nidbench.workers.handed import Wanted

    job = plan.jobs[0]
    precisions = {job.cell.precision for job in plan.jobs}
    wanted = Wanted(
        topic=f"nidbench-{secrets.token_hex(8)}",
        methods=list({id(job.method): job.method for job in plan.jobs}.values()),
        device=device,
        precision="bf16" if "bf16" in precisions else "float32",
        threads=job.threads,
        memory=computing.memory_limit,
    )
    return Parallel(client, wanted, options, per_device, wait)


def _on(cards: object) -> str:
    return f", cards: {cards}" if cards else ""
