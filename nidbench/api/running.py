"""A sweep from its question to its records: plan, estimate, compute, score. Command line and Python go this way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nidbench.contract.run import Clock
from nidbench.errors import InputError
from nidbench.records import Planned, Store, Sweep, left_out
from nidbench.rescoring.rescore import renew, score_by
from nidbench.sweep.choices import Chooser
from nidbench.sweep.cost import CostEstimate, Rates, estimate, method_rates
from nidbench.sweep.engine import Serial
from nidbench.sweep.options import RunOptions
from nidbench.sweep.pending import pending_jobs
from nidbench.sweep.plan import Plan
from nidbench.sweep.request import words
from nidbench.sweep.runner import Runner, Summary
from nidbench.sweep.side_by_side import arranged
from nidbench.system.garbage import collector_paused
from nidbench.system.importing import imported_beside
from nidbench.workers.cluster import Asked

from .given import seconds_of, whole_number
from .progress import Display
from .workplace import workplace

if TYPE_CHECKING:
    from nidbench.compute.computer import Computer

Planner: TypeAlias = "Callable[[Computer, RunOptions, Chooser], tuple[Plan, Rates | None]]"
"""Makes the plan of a sweep, and what pilots showed of its cost where it needed them."""


@dataclass(frozen=True, kw_only=True)
class Computing:
    """How a sweep is computed, in the words of the command line; none of it changes a result.

    Attributes:
        threads: CPU threads of a computing process; None for what the sweep had before or, in a new one, for the cores
            that are free.
        cell_timeout: seconds after which a cell is killed; None for never.
        memory_limit: bytes that a cell may take; None for what this machine or its control group has.
        retry: whether cells that failed before are tried again.
        renew: whether cells are computed again that rest on an older engine or measurement.
        observe: iterations between observations of an estimate.
        keep: arrays to store besides the restorations: `draws`, `layers`, `kernel`, several separated by commas.
        checkpoint_every: seconds between checkpoints.
        in_process: whether to compute in this process, for debuggers; no limit holds then.
        workers: processes of this machine that compute cells at once; None for one cell after the other.
        scheduler: address or file of a running dask scheduler, whose workers compute; empty for none.
        per_device: cells at once on one card of a worker.
        wait_for_workers: seconds to wait for a worker where the scheduler has none.
        batch: how many cells of one method and image size are fitted side by side, as one network; workers take one
            cell at a time.

    Raises:
        InputError: for a number that breaks its rule.
    """

    threads: int | None = None
    cell_timeout: float | None = None
    memory_limit: int | None = None
    retry: bool = False
    renew: bool = False
    observe: int = 25
    keep: str = ""
    checkpoint_every: float = 30.0
    in_process: bool = False
    workers: int | None = None
    scheduler: str = ""
    per_device: int = 1
    wait_for_workers: float = 120.0
    batch: int = 1

    def __post_init__(self) -> None:
        if self.threads is not None:
            whole_number("threads", self.threads, 1)
        if self.cell_timeout is not None:
            seconds_of("cell_timeout", self.cell_timeout, zero=False)
        if self.memory_limit is not None:
            whole_number("memory_limit", self.memory_limit, 1)
        whole_number("observe", self.observe)
        seconds_of("checkpoint_every", self.checkpoint_every, zero=True)
        seconds_of("wait_for_workers", self.wait_for_workers, zero=True)
        whole_number("batch", self.batch, 1)
        if self.batch > 1 and self.asked().any:
            raise InputError(
                f"batch {self.batch} with workers or a scheduler: their places take one cell at a time; use per_device "
                "for more cells on a card, or batch without workers"
            )

    def options(self) -> RunOptions:
        """Return the options of the loop over cells.

        Raises:
            InputError: for arrays that cannot be kept.
        """
        return RunOptions(
            cell_timeout=self.cell_timeout,
            retry=self.retry,
            renew=self.renew,
            clock=Clock(self.observe),
            checkpoint_seconds=self.checkpoint_every,
            keep=words(self.keep),
            batch=self.batch,
        )

    def computer(self, store: Store) -> Computer:
        """Return who computes: child processes or, for debuggers, this one."""
        from nidbench.compute.child_process import ChildProcess
        from nidbench.compute.same_process import SameProcess

        if self.in_process:
            return SameProcess()
        return ChildProcess(store.root / "work" / "worker.log", self.threads or 1, self.memory_limit)

    def asked(self) -> Asked:
        """Return which workers are asked for.

        Raises:
            InputError: for numbers and combinations that are not allowed.
        """
        return Asked(self.workers, self.scheduler, self.per_device, self.wait_for_workers)


@dataclass(frozen=True)
class Ran:
    """A sweep that was run.

    Attributes:
        sweep: its cells.
        summary: how they ended.
    """

    sweep: Sweep
    summary: Summary


def run_sweep(
    store: Store,
    planner: Planner,
    protocol_of: Callable[[Planned], str],
    computing: Computing,
    display: Display,
    *,
    confirm: Callable[[CostEstimate], None] = lambda _estimate: None,
    dry_run: bool = False,
) -> Ran | None:
    """Compute and score what is missing of a sweep; return how it went, or None for a dry run.

    Args:
        store: where records go; other runs are kept out of it meanwhile.
        planner: makes the plan.
        protocol_of: cell -> name of the protocol that it is scored by besides those that every cell is.
        computing: how cells are computed.
        display: shows it.
        confirm: is shown the estimate of the cost and raises to stop before anything is computed.
        dry_run: whether to show the cells and stop.

    Raises:
        NidbenchError: for unknown names, settings or devices, missing data, and where records cannot be written.
    """
    options = computing.options()
    # tables need pandas, which takes long to import: that is done while the computing process starts
    tables = nullcontext() if dry_run else imported_beside("nidbench.report.results_table")
    with store.lock(), tables, workplace(computing, store, display.say) as place:
        display.say("starting the computing process, reading methods and measurements")
        computer = place.computer
        with collector_paused():
            plan, rates = planner(computer, options, Chooser(store, computing.threads, place.free_cores, display.say))
            if remark := left_out(store, plan.sweep):
                display.warned(remark)
            pending = pending_jobs(plan, store, options, display)
            display.notes(plan)
            if pending:
                if rates is None:
                    rates = method_rates(plan, pending, store, computer, options, display.say)
                expected = estimate(pending, rates).shared(place.at_once())
                display.estimated(plan, len(pending), expected)
                if not dry_run:
                    confirm(expected)
            if dry_run:
                display.cells(plan, {job.planned.id for job in pending})
                store.remove_unused()
                return None
        with place.engine(plan, options) if pending else nullcontext(Serial(computer, options)) as engine, display:
            summary = Runner(store, engine, display, options.keep).run(plan, arranged(pending, options.batch))
        if summary.interrupted is None:
            renew(store, plan.sweep, display.say)
            score_by(store, plan.sweep, protocol_of, display.say)
        else:
            # now: who sent the signal may not wait for the tables
            display.say(f"interrupted by {summary.interrupted.name}: run the same command again to go on")
    return Ran(plan.sweep, summary)
