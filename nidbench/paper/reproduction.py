"""A table of the paper as a sweep: what to ask for, cut to a budget, written as a file that `run --config` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nidbench.compute.computer import Computer
from nidbench.errors import DataError
from nidbench.records import Store
from nidbench.sweep.budget import affordable, read_budget, restrict
from nidbench.sweep.choices import Chooser
from nidbench.sweep.cost import Rates, method_rates
from nidbench.sweep.events import Events
from nidbench.sweep.options import RunOptions
from nidbench.sweep.pending import pending_jobs
from nidbench.sweep.plan import Plan, make_plan
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.sweep_file import ask_text, read_ask
from nidbench.system.whole_files import results_errors, write_whole

from .experiments import coverage_line


@dataclass(frozen=True)
class Reproduction:
    """A table to be measured.

    Attributes:
        table: `table2` to `table9`.
        dataset: some of its datasets, separated by commas; empty for all.
        kernels: a kernel error in place of the paper's estimated kernels, see `experiments.experiments`.
        ask: all that the table asks for.
        budget: how long it may take, such as `30m`; empty for as long as all of it takes.
        file: where the sweep is written.
        resume: whether the measurements of a file that is there are taken again. Pilots never take the same time twice,
            so that a new choice would be another one.
    """

    table: str
    dataset: str
    kernels: str
    ask: Ask
    budget: str
    file: Path
    resume: bool = True

    def plan(
        self,
        store: Store,
        computer: Computer,
        settings: RunOptions,
        events: Events,
        say: Callable[[str], None],
        chooser: Chooser | None = None,
        *,
        write: bool = True,
    ) -> tuple[Plan, Rates | None]:
        """Return the plan that fits the budget and the rates that pilots measured, where they were needed.

        Its sweep file is written, too.

        Args:
            store: whose cells are there already, and cost nothing.
            computer: who resolves methods and computes pilots.
            settings: how cells are run.
            events: whom to tell of records that cannot be read.
            say: takes a line on what was chosen.
            chooser: as of `make_plan`.
            write: whether the file is written.

        Raises:
            InputError: for a budget that is no time, or too short for one measurement of every condition.
            ResultsError: where the file cannot be written.
        """
        asked = f"asked as {question(self.table, self.ask, self.budget)}"
        if self.budget and self.resume and self.file.exists() and asked in self.file.read_text(encoding="utf-8"):
            say(f"goes on with the measurements of {self.file}: remove it to choose anew")
            return make_plan(read_ask(self.file), computer, chooser), None
        seconds = read_budget(self.budget) if self.budget else None
        chosen, rates, plan = self.ask, None, self._whole(computer, chooser)
        if seconds is not None:
            pending = pending_jobs(plan, store, settings, events, only_damage=True)
            rates = method_rates(plan, pending, store, computer, settings, say)
            chosen = restrict(self.ask, affordable(pending, [job.case.key for job in plan.jobs], rates, seconds))
            plan = make_plan(chosen, computer, chooser)
        keys, methods = [job.case.key for job in plan.jobs], ",".join(grid.methods for grid in self.ask.experiments)
        about = coverage_line(self.table, keys, self.dataset, self.kernels, methods)
        say(about)
        if write:
            with results_errors(self.file.parent):
                self.file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self.file, ask_text(chosen, [about, asked]).encode())
        return plan, rates

    def _whole(self, computer: Computer, chooser: Chooser | None) -> Plan:
        try:
            return make_plan(self.ask, computer, chooser)
        except DataError as error:
            raise DataError(f"{error}; choose what is there with --dataset, --images or --limit") from error


def whole(table: str, grids: Sequence[Experiment], base: Ask, budget: str) -> Ask:
    """Return the sweep that grids make, named as `base` is; without a name there, by what tells it from other sweeps.

    Args:
        table: `table2` to `table9`.
        grids: the experiments of the table.
        base: the other options of the sweep.
        budget: how long it may take, which is a part of the name; empty for as long as all of it takes.
    """
    ask = replace(base, experiments=tuple(grids))
    return ask if base.name else replace(ask, name=question(table, ask, budget))


def question(table: str, ask: Ask, budget: str) -> str:
    """Return a name for all that was asked, whichever measurements a budget chose."""
    return "-".join(filter(None, (table, budget.strip(), replace(ask, name="").sweep_name()[-6:])))
