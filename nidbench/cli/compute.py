"""Commands that compute cells: `run` and `reproduce`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from click.core import ParameterSource

from nidbench.system.signals import exit_code

from . import options
from .draw import SHEETS
from .shared import make_console, say
from .track import to_mlflow

if TYPE_CHECKING:
    from rich.console import Console

    from nidbench.compute.computer import Computer
    from nidbench.records import Planned, Store, Sweep
    from nidbench.sweep.cost import Rates
    from nidbench.sweep.options import RunOptions
    from nidbench.sweep.plan import Plan
    from nidbench.sweep.request import Ask
    from nidbench.sweep.runner import Summary

#: Seconds beyond which `run` asks before it starts, where it takes at least as long: a wrong guess must not hold it up.
ASK_BEYOND = 3600.0


@click.command()
@click.option("--methods", help="Such as ours,dip@fast or 'ours:no-sa[iterations=500,lr=2e-3]'.")
@click.option("--dataset", help="Names separated by commas, or folder:PATH; each brings its own kernels and noise.")
@options.measurements
@options.seeds
@click.option("--preset", help="For methods that name none: paper, released, fast, smoke.")
@click.option("--declared", default="known", show_default=True, help="Noise level told: known, estimated or x1.2.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file in place of the above.")
@options.computing
@options.protocol
@options.output
def run(output: Path, protocol: str, **given: Any) -> None:
    """Compute what is missing of a sweep, then show its table.

    Finished cells are never computed again: run the same command after an interruption, or with one more method,
    image or seed. Ctrl-C, SIGTERM and SIGHUP let the cell in progress save its state, for 10 s at most. Exit code: 0
    all cells are done, 1 some are not, 2 a wrong call, 130, 143 or 129 interrupted by Ctrl-C, SIGTERM or SIGHUP.
    """
    from nidbench.records import Store
    from nidbench.scoring.protocols import protocol as find_protocol
    from nidbench.sweep.plan import make_plan

    find_protocol(protocol)
    ask = _ask(given)
    done = _run(Store(output), lambda computer, _: (make_plan(ask, computer), None), lambda _: protocol, given)
    if done is not None:
        sweep, summary = done
        _publish(Store(output), sweep, protocol, summary, given)
        _end(summary)


#: Makes the plan of a run, and what its pilots told where it needed them.
_Planner: TypeAlias = "Callable[[Computer, RunOptions], tuple[Plan, Rates | None]]"


def _run(
    store: Store, planner: _Planner, protocol_of: Callable[[Planned], str], given: Mapping[str, Any]
) -> tuple[Sweep, Summary] | None:
    """Compute and score a sweep; return it and how it went, or None for a dry run."""
    from nidbench.sweep.rescore import renew, score_by

    console, settings = make_console(), _run_options(given)
    with _computing_in(store, settings, given) as computer:
        say(console, "starting the computing process, reading methods and measurements")
        plan, rates = planner(computer, settings)
        summary = _compute(console, store, computer, plan, settings, rates, dry_run=given["dry_run"], yes=given["yes"])
        if summary is None:
            return None
        if not summary.interrupted:
            renew(store, plan.sweep, lambda line: say(console, line))
            score_by(store, plan.sweep, protocol_of, lambda line: say(console, line))
    return plan.sweep, summary


@contextmanager
def _computing_in(store: Store, settings: RunOptions, given: Mapping[str, Any]) -> Iterator[Computer]:
    """Keep other runs out of the results and lend who computes."""
    with store.lock():
        computer = _computer(store, settings.threads, given)
        try:
            yield computer
        finally:
            computer.close()


def _end(summary: Summary) -> None:
    """Leave with the exit code that tells how a sweep went."""
    console = make_console()
    if summary.interrupted is not None:
        click.get_current_context().exit(exit_code(summary.interrupted))
    if not summary.complete:
        failures = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if status != "done")
        console.print(f"[bold red]not all cells are done[/]: {failures}; --retry tries failed cells again")
        click.get_current_context().exit(1)


@click.command()
@click.argument("table")
@click.option("--methods", default="", help="In place of the table's methods that can be run here.")
@click.option("--dataset", default="", help="Some of the table's datasets, separated by commas.")
@click.option("--budget", default="", help="Time for a part with something of every condition: 90s, 30m or 1.5h.")
@click.option(
    "--kernels", default="", help="estimated:PATH, in place of the paper's estimated kernels: only rows that have them."
)
@options.rotate_kernels
@options.images
@options.limit
@options.crop
@options.seeds
@options.noise_seeds
@click.option("--preset", default="paper", show_default=True, help="For methods that name none.")
@click.option("--write", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the sweep file and stop.")
@options.computing
@options.protocol_of_the_paper
@options.output
def reproduce(table: str, output: Path, protocol: str, file: Path | None, **given: Any) -> None:
    """Measure a TABLE of the paper, table2 to table9, and show its numbers beside those measured.

    The sweep is written as a file that `nidbench run --config` reads: into the results, or with --write where you want
    it, without computing anything. With --budget, conditions take turns, and images and kernels within them, until the
    estimate is the time given; the same command goes on with the same measurements. Exit codes are those of `run`.
    """
    from nidbench.api.progress import Display
    from nidbench.paper.experiments import lacking
    from nidbench.paper.reproduction import Reproduction
    from nidbench.paper.tables import paper_protocol
    from nidbench.records import Store
    from nidbench.scoring.protocols import DEFAULT
    from nidbench.scoring.protocols import protocol as find_protocol

    if protocol:
        find_protocol(protocol)
    ask = _paper_ask(table, given)
    for line in lacking(table, given["dataset"], given["kernels"]):
        click.echo(line)
    store = Store(output)
    target = file or store.root / "sweeps" / f"{ask.name}.toml"
    part = given["dataset"], given["kernels"]
    wanted = Reproduction(table, *part, ask, given["budget"], target, resume=file is None)

    def protocol_of(planned: Planned) -> str:
        return protocol or paper_protocol(table, planned.case)

    def planner(computer: Computer, settings: RunOptions) -> tuple[Plan, Rates | None]:
        events = Display(make_console())
        return wanted.plan(store, computer, settings, events, click.echo, write=not given["dry_run"])

    if file is not None:
        settings = _run_options(given)
        with _computing_in(store, settings, given) as computer:
            planner(computer, settings)
        click.echo(f"written: nidbench run --config {file}")
        return
    done = _run(store, planner, protocol_of, {**given, "yes": given["yes"] or bool(given["budget"])})
    if done is not None:
        sweep, summary = done
        used = {protocol_of(planned) for planned in sweep.cells}
        _publish(store, sweep, used.pop() if len(used) == 1 else DEFAULT.name, summary, given, (table, protocol))
        say(make_console(), f"sweep     {target}")
        _end(summary)


def _paper_ask(table: str, given: Mapping[str, Any]) -> Ask:
    from dataclasses import replace

    from nidbench.paper.experiments import experiments
    from nidbench.paper.reproduction import whole
    from nidbench.sweep.request import Ask

    keys = ("rotate_kernels", "images", "limit", "crop", "seeds", "noise_seeds", "preset")
    grids = experiments(table, given["methods"], given["dataset"], given["kernels"])
    grids = [replace(grid, **{key: given[key] for key in keys}) for grid in grids]
    own = {"method_file": given["method_file"] and given["method_file"].resolve()}
    own |= {key: given[key] for key in ("device", "precision", "name")}
    return whole(table, grids, Ask((), **own), given["budget"])


def _ask(given: dict[str, Any]) -> Ask:
    from dataclasses import replace

    from nidbench.sweep.request import Ask, Experiment
    from nidbench.sweep.sweep_file import read_ask

    keys = (
        "kernels",
        "rotate_kernels",
        "noise",
        "response",
        "images",
        "limit",
        "crop",
        "seeds",
        "noise_seeds",
        "preset",
        "declared",
    )
    own = {"method_file": given["method_file"] and given["method_file"].resolve(), "name": given["name"]}
    own |= {key: given[key] for key in ("device", "precision")}
    if given["config"] is not None:
        _refuse_beside_config(("methods", "dataset", *keys))
        return replace(
            read_ask(given["config"]), **{key: own[key] for key in own if own[key] not in (None, "", "auto")}
        )
    if not given["methods"] or not given["dataset"]:
        raise click.UsageError(
            "give --methods and --dataset, such as --methods ours,dip --dataset sample, or --config FILE"
        )
    experiment = Experiment(given["methods"], given["dataset"], **{key: given[key] for key in keys})
    return Ask((experiment,), **own)


def _refuse_beside_config(keys: Sequence[str]) -> None:
    source = click.get_current_context().get_parameter_source
    typed = [f"--{key.replace('_', '-')}" for key in keys if source(key) is ParameterSource.COMMANDLINE]
    if typed:
        raise click.UsageError(f"{', '.join(typed)} beside --config: the file alone says what is asked, write it there")


def _run_options(given: Mapping[str, Any]) -> RunOptions:
    from nidbench.contract.run import Clock
    from nidbench.sweep.options import RunOptions
    from nidbench.sweep.request import words

    threads = given["threads"] or _cores()
    clock = Clock(given["observe"])
    keep = words(given["keep"])
    return RunOptions(
        given["cell_timeout"], given["retry"], threads, clock, given["checkpoint_every"], keep, given["renew"]
    )


def _cores() -> int:
    """Return the cores this process may use, where the system tells them from those there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _computer(store: Store, threads: int, given: Mapping[str, Any]) -> Computer:
    from nidbench.compute.child_process import ChildProcess
    from nidbench.compute.same_process import SameProcess

    if given["in_process"]:
        return SameProcess()
    return ChildProcess(store.root / "work" / "worker.log", threads, given["memory_limit"])


def _compute(
    console: Console,
    store: Store,
    computer: Computer,
    plan: Plan,
    settings: RunOptions,
    rates: Rates | None,
    *,
    dry_run: bool,
    yes: bool,
) -> Summary | None:
    from nidbench.api.progress import Display
    from nidbench.sweep.cost import cost, method_rates
    from nidbench.sweep.pending import pending_jobs
    from nidbench.sweep.runner import Runner

    display = Display(console)
    pending = pending_jobs(plan, store, settings, display)
    notes = [(job.planned.label, job.facts.note) for job in plan.jobs]
    notes += [(job.case.key.dataset, job.case.notice) for job in plan.jobs]
    for name, note in dict.fromkeys(notes):
        if note:
            display.noted(f"{name}: {note}")
    if pending:
        if rates is None:
            rates = method_rates(plan, pending, store, computer, settings, lambda line: say(console, line))
        told = cost(pending, rates)
        about = f"about {_duration(told.seconds)} ({_range(told.low, told.high)})"
        about += " and more" if told.unknown else ""
        about += f", less where {', '.join(told.most)} stops by itself" if told.most else ""
        console.print(
            f"{plan.sweep.name}: {len(pending)} cells to compute on {plan.jobs[0].device}, {about}", highlight=False
        )
        if told.unknown:
            display.warned(f"no pilot told how long these take: {', '.join(told.unknown)}")
        if not dry_run and not yes and told.low > ASK_BEYOND:
            _confirm(told.low)
    if dry_run:
        _show_plan(console, plan, {job.planned.id for job in pending})
        return None
    with display:
        summary = Runner(store, computer, display, settings).run(plan, pending)
    if summary.interrupted is not None:
        # now: who sent the signal may not wait for the tables
        console.print(f"interrupted by {summary.interrupted.name}: run the same command again to go on")
    return summary


def _confirm(seconds: float) -> None:
    least = f"at least {_duration(seconds)}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"that is {least}: add --yes to start it, or --limit or --preset fast for less")
    click.confirm(f"That is {least}. Start?", abort=True)


def _show_plan(console: Console, plan: Plan, pending: set[str]) -> None:
    for planned in plan.sweep.cells:
        state = "to compute" if planned.id in pending else "there"
        console.print(
            f"{planned.id}  {planned.label} ({planned.preset})  {planned.case}  seed {planned.seed}  {state}",
            highlight=False,
            soft_wrap=True,
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _range(low: float, high: float) -> str:
    """Return two durations, the unit once where they share it."""
    least, most = _duration(low), _duration(high)
    if least == most:
        return most
    number, _, unit = least.partition(" ")
    return f"{number if most.endswith(f' {unit}') else least} to {most}"


def _publish(
    store: Store,
    sweep: Sweep,
    protocol: str,
    summary: Summary,
    given: Mapping[str, Any],
    compared: tuple[str, str] | None = None,
) -> None:
    """Write what people look at and say where it is; `compared` names a table of the paper and a protocol for it."""
    from nidbench.analysis.cells import SweepCells
    from nidbench.api.outputs import write_comparison, write_sheets, write_tables

    console, sweep_cells = make_console(), SweepCells.read(store, sweep)
    tables = write_tables(store, sweep_cells, protocol)
    told = tables if compared is None else write_comparison(store, sweep_cells, *compared)
    say(console, told["md"].read_text())
    say(console, f"results   {store.root / 'cells'}")
    for title, files in {"tables": tables, "compared": told}.items():
        if title == "tables" or compared is not None:
            say(console, f"{title:9} {files['md'].with_suffix('')}.{{md,csv,tex,html}}")
    sheets: Sequence[Path] = ()
    if given["pictures"] and not summary.interrupted:
        sheets, cases = write_sheets(store, sweep, SHEETS)
        more = f" (the first {len(sheets)} of {cases} cases; nidbench report draws more)" if len(sheets) < cases else ""
        say(console, f"pictures  {store.root / 'sheets' / sweep.name}{more}")
    if given["tracking"] == "mlflow":
        to_mlflow(console, store, sweep_cells, sheets, tables)


COMMANDS = (run, reproduce)
