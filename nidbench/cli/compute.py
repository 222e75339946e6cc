"""Commands that compute cells: `run` and `reproduce`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from nidbench.errors import NidbenchError
from nidbench.system.signals import exit_code

from . import completion, options
from .shared import make_console, say

if TYPE_CHECKING:
    from nidbench.analysis.cells import SweepCells
    from nidbench.api.running import Ran
    from nidbench.records import Store
    from nidbench.sweep.cost import CostEstimate
    from nidbench.sweep.request import Ask
    from nidbench.sweep.runner import Summary

#: Seconds beyond which `run` asks before it starts, where it takes at least as long: a wrong guess must not hold it up.
ASK_BEYOND = 3600.0

#: Options of `run` that a sweep file takes the place of.
_IN_A_SWEEP_FILE = (
    "methods",
    "dataset",
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

_T = TypeVar("_T")


@click.command()
@click.option(
    "--methods",
    shell_complete=completion.methods,
    help="Methods, such as ours,dip@fast or 'ours:no-sa[iterations=500,lr=2e-3]'.",
)
@click.option(
    "--dataset",
    shell_complete=completion.datasets,
    help="Datasets, separated by commas, or folder:PATH; each has its own kernels and noise.",
)
@options.measurements
@options.seeds
@click.option("--preset", help="Preset of methods that name none: paper, released, fast or smoke.")
@click.option(
    "--declared",
    default="known",
    show_default=True,
    help="Noise level that methods are given: known, estimated, or a factor such as x1.2.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A sweep file (TOML). It says what is asked; give none of the options above with it.",
)
@options.computing
@options.asking
@options.publishing
@options.protocol
@options.output
def run(output: Path, protocol: str, config: Path | None, dry_run: bool, yes: bool, **given: Any) -> None:
    """Compute what is missing of a sweep, then show its table.

    Finished cells are never computed again: run the same command after an interruption, or with one more method,
    image or seed. Ctrl-C, SIGTERM and SIGHUP let the cell in progress save its state, for 10 s at most. The exit code
    is 0 where all cells are done, 1 where some are not, 2 for a wrong call, and 130, 143 or 129 after an interruption
    by Ctrl-C, SIGTERM or SIGHUP.
    """
    from nidbench.api.progress import Display
    from nidbench.api.running import Computing, run_sweep
    from nidbench.records import Store
    from nidbench.scoring.protocols import protocol as find_protocol
    from nidbench.sweep.plan import make_plan

    find_protocol(protocol)
    ask = _ask(config, given)
    ran = run_sweep(
        Store(output),
        lambda computer, _, chooser: (make_plan(ask, computer, chooser), None),
        lambda _: protocol,
        _chosen(Computing, given),
        Display(make_console()),
        confirm=_confirm(yes),
        dry_run=dry_run,
    )
    if ran is not None:
        _publish(Store(output), ran, protocol, given)
        _end(ran.summary)


@click.command()
@click.argument("table")
@click.option("--methods", default="", help="Methods in place of those of the table that can run here.")
@click.option("--dataset", default="", help="Datasets of the table, separated by commas  [default: all]")
@click.option("--budget", default="", help="Select cells that fit this time and cover every condition: 90s, 30m, 1.5h.")
@click.option(
    "--kernels",
    default="",
    help="estimated:PATH takes the place of the paper's estimated kernels; only rows that have them are measured.",
)
@options.rotate_kernels
@options.images
@options.limit
@options.crop
@options.seeds
@options.noise_seeds
@click.option("--preset", default="paper", show_default=True, help="Preset of methods that name none.")
@click.option(
    "--write", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the sweep file there, and stop."
)
@options.computing
@options.asking
@options.publishing
@options.protocol_of_the_paper
@options.output
def reproduce(
    table: str, output: Path, protocol: str, file: Path | None, budget: str, dry_run: bool, yes: bool, **given: Any
) -> None:
    """Measure a TABLE of the paper, table2 to table9, and show its numbers beside those measured.

    The sweep is written as a file that `nidbench run --config` reads: into the results, or with --write where you want
    it, without computing anything. With --budget, conditions take turns, and images and kernels within them, until the
    estimate is the time given; the same command goes on with the same measurements. Exit codes are those of `run`.
    """
    from nidbench.api.progress import Display
    from nidbench.api.reproducing import reproduce_table, write_sweep_file
    from nidbench.api.running import Computing
    from nidbench.paper.experiments import lacking
    from nidbench.paper.reproduction import Reproduction
    from nidbench.records import Store
    from nidbench.scoring.protocols import protocol as find_protocol

    if protocol:
        find_protocol(protocol)
    dataset, kernels = given["dataset"], given["kernels"]
    ask = _paper_ask(table, budget, given)
    for line in lacking(table, dataset, kernels, given["methods"]):
        click.echo(line)
    store, display, computing = Store(output), Display(make_console()), _chosen(Computing, given)
    target = file or store.root / "sweeps" / f"{ask.name}.toml"
    wanted = Reproduction(table, dataset, kernels, ask, budget, target, resume=file is None)
    if file is not None:
        write_sweep_file(store, wanted, computing, display, write=not dry_run)
        click.echo(f"written: nidbench run --config {file}")
        return
    confirm = _confirm(yes or bool(budget))
    done = reproduce_table(store, wanted, protocol, computing, display, confirm=confirm, dry_run=dry_run)
    if done is not None:
        _publish(store, done.ran, done.protocol, given, (table, protocol))
        say(make_console(), f"sweep     {done.file}")
        _end(done.ran.summary)


def _chosen(kind: type[_T], given: Mapping[str, Any], **more: Any) -> _T:
    """Return a dataclass whose fields are options, with what was given of them."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: given[name] for name in names if name in given}, **more)


def _ask(config: Path | None, given: Mapping[str, Any]) -> Ask:
    """Return what a sweep asks for: of a sweep file, or of the options.

    Raises:
        UsageError: where neither says it, or both do.
    """
    from nidbench.sweep.request import Ask, Experiment
    from nidbench.sweep.sweep_file import read_ask

    here = _where_and_name(given)
    if config is not None:
        _refuse_beside_config()
        return read_ask(config).chosen(**here)
    if not given["methods"] or not given["dataset"]:
        raise click.UsageError(
            "give --methods and --dataset, such as --methods ours,dip --dataset sample, or --config FILE"
        )
    return Ask((_chosen(Experiment, given),), **here)


def _paper_ask(table: str, budget: str, given: Mapping[str, Any]) -> Ask:
    """Return what asks for a table of the paper, with the options that say how much of it."""
    from dataclasses import replace

    from nidbench.paper.experiments import experiments
    from nidbench.paper.reproduction import whole
    from nidbench.sweep.request import Ask

    keys = ("rotate_kernels", "images", "limit", "crop", "seeds", "noise_seeds", "preset")
    grids = experiments(table, given["methods"], given["dataset"], given["kernels"])
    grids = [replace(grid, **{key: given[key] for key in keys}) for grid in grids]
    return whole(table, grids, Ask((), **_where_and_name(given)), budget)


def _where_and_name(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields of an `Ask` that are options."""
    file: Path | None = given["method_file"]
    return {key: given[key] for key in ("device", "precision", "name")} | {"method_file": file and file.resolve()}


def _refuse_beside_config() -> None:
    source = click.get_current_context().get_parameter_source
    typed = [f"--{key.replace('_', '-')}" for key in _IN_A_SWEEP_FILE if source(key) is ParameterSource.COMMANDLINE]
    if typed:
        raise click.UsageError(f"{', '.join(typed)} beside --config: the file alone says what is asked, write it there")


def _confirm(yes: bool) -> Callable[[CostEstimate], None]:
    """Return what asks a person before a long run, or refuses to start one where nobody can answer."""
    from nidbench.api.progress import duration

    def confirm(estimate: CostEstimate) -> None:
        if yes or estimate.low <= ASK_BEYOND:
            return
        least = f"at least {duration(estimate.low)}"
        if not sys.stdin.isatty():
            raise click.UsageError(f"that is {least}: add --yes to start it, or --limit or --preset fast for less")
        click.confirm(f"That is {least}. Start?", abort=True)

    return confirm


def _publish(
    store: Store, ran: Ran, protocol: str, given: Mapping[str, Any], compared: tuple[str, str] | None = None
) -> None:
    """Write what people look at and say where it is; `compared` names a table of the paper and a protocol for it."""
    from nidbench.analysis.cells import SweepCells
    from nidbench.api.outputs import SHEETS, track, write_comparison, write_sheets, write_tables
    from nidbench.report.results_table import traceback_lines

    console, sweep = make_console(), ran.sweep
    sweep_cells = SweepCells.read(store, sweep)
    tables = write_tables(store, sweep_cells, protocol)
    shown = tables if compared is None else write_comparison(store, sweep_cells, *compared)
    say(console, shown["md"].read_text(encoding="utf-8"))
    say(console, f"results   {store.root / 'cells'}")
    for title, files in {"tables": tables, "compared": shown}.items():
        if title == "tables" or compared is not None:
            say(console, f"{title:9} {files['md'].with_suffix('')}.{{md,csv,tex,html}}")
    sheets: Sequence[Path] = ()
    if given["pictures"] and not ran.summary.interrupted:
        sheets, cases = write_sheets(store, sweep, SHEETS)
        more = f" (the first {len(sheets)} of {cases} cases; nidbench sheets draws more)" if len(sheets) < cases else ""
        say(console, f"pictures  {store.root / 'sheets' / sweep.name}{more}")
    is_tracked = given["tracking"] == "mlflow"
    page = (
        _report(store, sweep_cells, protocol, pictures=given["pictures"]) if given["pictures"] or is_tracked else None
    )
    if is_tracked:
        track(store, sweep_cells, partial(say, console), sheets, tables, page)
    for line in traceback_lines(store, sweep_cells):
        say(console, line)


def _report(store: Store, sweep_cells: SweepCells, protocol: str, *, pictures: bool) -> Path | None:
    """Write the report, without its pictures where these are too many for one page, and say where it is."""
    from nidbench.api.reporting import CELLS, write_report

    console, few = make_console(), len(sweep_cells.cells) <= CELLS
    try:
        path = write_report(store, sweep_cells, protocol, pictures=pictures and few, anew=False)
    except NidbenchError as error:  # the results are there all the same
        say(console, f"warning: no report: {error}")
        return None
    more = "" if few or not pictures else "; nidbench report --folder DIR has pictures of all cells"
    say(console, f"report    {path}{more}")
    return path


def _end(summary: Summary) -> None:
    """Leave with the exit code that says how a sweep went."""
    if summary.interrupted is not None:
        click.get_current_context().exit(exit_code(summary.interrupted))
    if not summary.complete:
        failures = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if status != "done")
        make_console().print(f"[bold red]not all cells are done[/]: {failures}; --retry tries failed cells again")
        click.get_current_context().exit(1)


COMMANDS = (run, reproduce)
