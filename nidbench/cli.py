"""The `nidbench` command: parse, call, print. The only importer of click; what is heavy is imported where used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from .errors import NidbenchError

if TYPE_CHECKING:
    from rich.console import Console

    from .plan import Ask, Plan
    from .records import Store, Sweep
    from .runner import RunOptions, Summary
    from .supervise import Computer

#: Estimated seconds beyond which `run` asks before it starts.
ASK_BEYOND = 3600.0
#: Contact sheets drawn at the end of a run; `report --most` draws more.
SHEETS = 24


class _WrongCall(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """Shows nidbench's own errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NidbenchError as error:
            raise _WrongCall(str(error)) from error
        except KeyboardInterrupt:
            click.echo("interrupted: nothing was lost, run the same command again", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="nidbench")
def main() -> None:
    """Benchmark of dataset-free methods for non-blind image deconvolution.

    Try it: nidbench run --methods ours,dip --dataset sample --preset fast
    """


def _output(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("results"),
        show_default=True,
        help="Folder of results.",
    )(command)


def _protocol(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--protocol", default="half-kernel", show_default=True, help="Metric protocol of the table.")(
        command
    )


#: How cells are computed: options of the commands that do so.
_COMPUTING = (
    click.option(
        "--method-file", type=click.Path(path_type=Path), help="A file with your method; its stem is its name."
    ),
    click.option("--name", default="", help="Of the sweep; made from the question by default."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option("--precision", default="auto", show_default=True, help="auto (bf16 where native), float32 or bf16."),
    click.option(
        "--threads", type=click.IntRange(1), help="CPU threads of the computing process  [default: all cores]"
    ),
    click.option(
        "--cell-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds after which a cell is killed."
    ),
    click.option("--retry", is_flag=True, help="Try cells again that failed before."),
    click.option(
        "--observe", type=click.IntRange(0), default=25, show_default=True, help="Iterations between observations."
    ),
    click.option("--keep", default="", help="What figures need besides: draws, layers or both, separated by a comma."),
    click.option("--checkpoint-every", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds."),
    click.option("--dry-run", is_flag=True, help="Show what would be computed, and stop."),
    click.option("--yes", is_flag=True, help="Do not ask, however long it will take."),
    click.option("--tracking", type=click.Choice(["mlflow", "none"]), default="mlflow", show_default=True),
    click.option("--pictures/--no-pictures", default=True, show_default=True, help="Draw contact sheets."),
    click.option("--in-process", is_flag=True, help="Compute in this process, for debuggers; no limit holds then."),
)


def _computing(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_COMPUTING):
        command = option(command)
    return command


def _protocol_of_the_paper(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--protocol", default="", help="Metric protocol  [default: the one nearest to the paper's]")(
        command
    )


@main.command()
@click.option("--methods", help="Such as ours,dip@fast or 'ours:no-sa[iterations=500,lr=2e-3]'.")
@click.option("--dataset", help="Names separated by commas, or folder:PATH; each brings its own kernels and noise.")
@click.option(
    "--kernels",
    default="",
    help="Kernel sets or kernels: levin or levin/1,levin/4; with kernel errors: perturbed:noise=0.1 or "
    "levin/4@estimated:PATH.",
)
@click.option("--noise", default="", help="gaussian:SIGMA, poisson:PEAK or bsnr:DB, separated by commas.")
@click.option("--images", default="", help="Names of images.")
@click.option("--limit", type=int, help="At most so many images of each dataset.")
@click.option("--crop", type=click.IntRange(1), help="Side of a square from the middle of each image, in pixels.")
@click.option("--seeds", default="0", show_default=True, help="Method seeds: 0, 0,3 or 0-4.")
@click.option("--noise-seeds", default="0", show_default=True, help="Noise draws: 0, 0,3 or 0-4.")
@click.option("--preset", help="For methods that name none: paper, released, fast, smoke.")
@click.option("--declared", default="known", show_default=True, help="Noise level told: known, estimated or x1.2.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file in place of the above.")
@_computing
@_protocol
@_output
def run(output: Path, protocol: str, **options: Any) -> None:
    """Compute what is missing of a sweep, then show its table.

    Finished cells are never computed again: run the same command after an interruption, or with one more method,
    image or seed. Exit code: 0 all cells are done, 1 some are not, 2 a wrong call, 130 interrupted.
    """
    from .metrics import protocol as find_protocol
    from .plan import make_plan
    from .records import Store

    find_protocol(protocol)
    ask = _ask(options)
    done = _run(Store(output), lambda computer, _: (make_plan(ask, computer), None), protocol, options)
    if done is not None:
        _end(done[1])


#: Makes the plan of a run, and what its pilots told where it needed them.
_Planner: TypeAlias = "Callable[[Computer, RunOptions], tuple[Plan, Mapping[str, float | None] | None]]"


def _run(store: Store, planner: _Planner, protocol: str, options: Mapping[str, Any]) -> tuple[Sweep, Summary] | None:
    """Compute and publish a sweep; return it and how it went, or None for a dry run."""
    console, settings = _console(), _run_options(options)
    with _computing_in(store, settings, options) as computer:
        plan, rates = planner(computer, settings)
        summary = _compute(
            console, store, computer, plan, settings, rates, dry_run=options["dry_run"], yes=options["yes"]
        )
        if summary is None:
            return None
        pictures = options["pictures"] and not summary.interrupted
        _publish(console, store, plan.sweep, protocol, options["tracking"], pictures)
    return plan.sweep, summary


@contextmanager
def _computing_in(store: Store, settings: RunOptions, options: Mapping[str, Any]) -> Iterator[Computer]:
    """Keep other runs out of the results and lend who computes."""
    with store.lock():
        computer = _computer(store, settings.threads, options["in_process"])
        try:
            yield computer
        finally:
            computer.close()


def _end(summary: Summary) -> None:
    """Leave with the exit code that tells how a sweep went."""
    console = _console()
    if summary.interrupted:
        console.print("interrupted: run the same command again to go on")
        click.get_current_context().exit(130)
    if not summary.complete:
        failures = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if status != "done")
        console.print(f"[bold red]not all cells are done[/]: {failures}; --retry tries failed cells again")
        click.get_current_context().exit(1)


@main.command()
@click.argument("table")
@click.option("--methods", default="", help="In place of the table's methods that can be run here.")
@click.option("--dataset", default="", help="Some of the table's datasets, separated by commas.")
@click.option("--budget", default="", help="Time for a part with something of every condition: 90s, 30m or 1.5h.")
@click.option("--limit", type=int, help="At most so many images of each dataset.")
@click.option("--crop", type=click.IntRange(1), help="Side of a square from the middle of each image, in pixels.")
@click.option("--seeds", default="0", show_default=True, help="Method seeds: 0, 0,3 or 0-4.")
@click.option("--noise-seeds", default="0", show_default=True, help="Noise draws: 0, 0,3 or 0-4.")
@click.option("--preset", default="paper", show_default=True, help="For methods that name none.")
@click.option("--write", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the sweep file and stop.")
@_computing
@_protocol_of_the_paper
@_output
def reproduce(table: str, output: Path, protocol: str, file: Path | None, **options: Any) -> None:
    """Measure a TABLE of the paper, table2 to table9, and show its numbers beside those measured.

    The sweep is written as a file that `nidbench run --config` reads: into the results, or with --write where you want
    it, without computing anything. With --budget, conditions take turns, and images and kernels within them, until the
    estimate is the time given; the same command goes on with the same measurements. Exit codes are those of `run`.
    """
    from .display import Display
    from .experiments import lacking
    from .experiments import protocol as protocol_of
    from .metrics import protocol as find_protocol
    from .publish import write_comparison
    from .records import Store
    from .reproduction import Reproduction

    shown = find_protocol(protocol or protocol_of(table)).name
    ask = _paper_ask(table, options)
    for line in lacking(table, options["dataset"]):
        click.echo(line)
    store = Store(output)
    target = file or store.root / "sweeps" / f"{ask.name}.toml"
    wanted = Reproduction(table, options["dataset"], ask, options["budget"], target, resume=file is None)

    def planner(computer: Computer, settings: RunOptions) -> tuple[Plan, Mapping[str, float | None] | None]:
        events = Display(_console())
        return wanted.plan(store, computer, settings, events, click.echo, write=not options["dry_run"])

    if file is not None:
        settings = _run_options(options)
        with _computing_in(store, settings, options) as computer:
            planner(computer, settings)
        click.echo(f"written: nidbench run --config {file}")
        return
    done = _run(store, planner, shown, {**options, "yes": options["yes"] or bool(options["budget"])})
    if done is not None:
        paths = write_comparison(store, done[0], table, protocol)
        _say(_console(), paths["md"].read_text())
        _say(
            _console(),
            f"compared  {paths['md'].with_suffix('')}.{{md,csv,tex,html}}, nidbench compare makes them again",
        )
        _say(_console(), f"sweep     {target}")
        _end(done[1])


def _paper_ask(table: str, options: Mapping[str, Any]) -> Ask:
    from dataclasses import replace

    from .experiments import experiments
    from .plan import Ask
    from .reproduction import whole

    keys = ("limit", "crop", "seeds", "noise_seeds", "preset")
    grids = experiments(table, options["methods"], options["dataset"])
    grids = [replace(grid, **{key: options[key] for key in keys}) for grid in grids]
    own = {"method_file": options["method_file"] and options["method_file"].resolve()}
    own |= {key: options[key] for key in ("device", "precision", "name")}
    return whole(table, grids, Ask((), **own), options["budget"])


def _ask(options: dict[str, Any]) -> Ask:
    from dataclasses import replace

    from .plan import Ask, Experiment, read_ask

    keys = ("kernels", "noise", "images", "limit", "crop", "seeds", "noise_seeds", "preset", "declared")
    own = {"method_file": options["method_file"] and options["method_file"].resolve(), "name": options["name"]}
    own |= {key: options[key] for key in ("device", "precision")}
    if options["config"] is not None:
        if options["methods"] or options["dataset"]:
            raise click.UsageError("give --config, or --methods and --dataset, not both")
        given = {key: value for key, value in own.items() if value not in (None, "", "auto")}
        return replace(read_ask(options["config"]), **given)
    if not options["methods"] or not options["dataset"]:
        raise click.UsageError(
            "give --methods and --dataset, such as --methods ours,dip --dataset sample, or --config FILE"
        )
    experiment = Experiment(options["methods"], options["dataset"], **{key: options[key] for key in keys})
    return Ask((experiment,), **own)


def _run_options(options: Mapping[str, Any]) -> RunOptions:
    from .contract import Clock
    from .plan import words
    from .runner import RunOptions

    threads = options["threads"] or _cores()
    clock = Clock(options["observe"])
    keep = words(options["keep"])
    return RunOptions(options["cell_timeout"], options["retry"], threads, clock, options["checkpoint_every"], keep)


def _cores() -> int:
    """Return the cores this process may use, where the system tells them from those there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _computer(store: Store, threads: int, in_process: bool) -> Computer:
    from .supervise import ChildProcess, SameProcess

    return SameProcess() if in_process else ChildProcess(store.root / "work" / "worker.log", threads)


def _compute(
    console: Console,
    store: Store,
    computer: Computer,
    plan: Plan,
    settings: RunOptions,
    rates: Mapping[str, float | None] | None,
    *,
    dry_run: bool,
    yes: bool,
) -> Summary | None:
    from .display import Display
    from .runner import Runner, cost, estimate, pending_jobs

    display = Display(console)
    pending = pending_jobs(plan, store, settings, display)
    notes = [(job.planned.label, job.facts.note) for job in plan.jobs]
    notes += [(job.case.key.dataset, job.case.notice) for job in plan.jobs]
    for name, note in dict.fromkeys(notes):
        if note:
            display.warned(f"{name}: {note}")
    if pending:
        told = estimate(pending, computer, settings) if rates is None else cost(pending, rates)
        about = f"about {_duration(told.seconds)}" + (" and more" if told.unknown else "")
        console.print(
            f"{plan.sweep.name}: {len(pending)} cells to compute on {plan.jobs[0].device}, {about}", highlight=False
        )
        if told.unknown:
            display.warned(f"no pilot told how long these take: {', '.join(told.unknown)}")
        if not dry_run and not yes and told.seconds > ASK_BEYOND:
            _confirm()
    if dry_run:
        _show_plan(console, plan, {job.planned.id for job in pending})
        return None
    with display:
        return Runner(store, computer, display, settings).run(plan, pending)


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("that is more than an hour: add --yes to start it, or --limit or --preset fast for less")
    click.confirm("That is more than an hour. Start?", abort=True)


def _show_plan(console: Console, plan: Plan, pending: set[str]) -> None:
    for planned in plan.sweep.cells:
        state = "to compute" if planned.id in pending else "there"
        console.print(
            f"{planned.id}  {planned.label} ({planned.preset})  {planned.case}  seed {planned.seed}  {state}",
            highlight=False,
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _publish(console: Console, store: Store, sweep: Sweep, protocol: str, tracking: str, pictures: bool) -> None:
    from .publish import write_sheets, write_tables

    tables = write_tables(store, sweep, protocol)
    _say(console, tables["md"].read_text())
    _say(console, f"results   {store.root / 'cells'}")
    _say(console, f"tables    {tables['md'].with_suffix('')}.{{md,csv,tex,html}}")
    sheets: Sequence[Path] = ()
    if pictures:
        sheets, cases = write_sheets(store, sweep, SHEETS)
        more = f" (the first {len(sheets)} of {cases} cases; nidbench report draws more)" if len(sheets) < cases else ""
        _say(console, f"pictures  {store.root / 'sheets' / sweep.name}{more}")
    if tracking == "mlflow":
        _sync(console, store, sweep, sheets, tables)


def _sync(
    console: Console, store: Store, sweep: Sweep, sheets: Sequence[Path] = (), tables: Mapping[str, Path] | None = None
) -> bool:
    from .tracking import TrackingError, default_uri, sync

    texts = {path.name: path.read_text() for path in (tables or {}).values()}
    try:
        sync(store, sweep, sheets=sheets, tables=texts)
    except TrackingError as error:
        _say(console, f"warning: {error}; the records are complete, nidbench sync tries again")
        return False
    _say(console, f"mlflow    {os.environ.get('MLFLOW_TRACKING_URI') or default_uri(store)}; nidbench ui opens it")
    return True


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _open(output: Path, name: str | None) -> tuple[Store, Sweep]:
    from .records import Store

    store = Store(output, create=False)
    if name is None:
        names = store.sweep_names()
        if not names:
            raise NidbenchError(f"{output} holds no sweep yet: nidbench run makes one")
        name = names[0]
    return store, store.sweep(name)


@main.command()
@click.argument("sweep", required=False)
@click.option("--format", "form", type=click.Choice(["md", "csv", "latex", "html"]), default="md", show_default=True)
@_protocol
@_output
def table(sweep: str | None, form: str, protocol: str, output: Path) -> None:
    """Print the table of a SWEEP, by default the latest."""
    from .publish import fingerprints
    from .tables import render

    store, found = _open(output, sweep)
    click.echo(render(store, found, form, protocol, fingerprints(found)))


@main.command()
@click.argument("sweep", required=False)
@click.option("--against", default="", metavar="LABEL", help="The method compared with; ours, else the first.")
@click.option("--format", "form", type=click.Choice(["md", "csv", "latex", "html"]), default="md", show_default=True)
@_protocol
@_output
def differences(sweep: str | None, against: str, form: str, protocol: str, output: Path) -> None:
    """Print how far the methods of a SWEEP, by default the latest, are from one of them, with 95 % intervals."""
    from .differences import render_differences
    from .tables import cells_frame, lacking_lines

    store, found = _open(output, sweep)
    cells = cells_frame(store, found, protocol=protocol)
    _tell(lacking_lines(cells, found, protocol))
    click.echo(render_differences(cells, against, form, protocol))


@main.command()
@click.argument("sweep", required=False)
@click.option("--paper", "published", default="", help="Such as table9  [default: the table with most of the sweep]")
@click.option("--format", "form", type=click.Choice(["md", "csv", "latex", "html"]), default="md", show_default=True)
@_protocol
@_output
def orders(sweep: str | None, published: str, form: str, protocol: str, output: Path) -> None:
    """Print which orders of methods in the paper's tables a SWEEP, by default the latest, confirms or contradicts."""
    from .compare import default_table
    from .orders import render_orders
    from .tables import cells_frame, lacking_lines

    store, found = _open(output, sweep)
    cells = cells_frame(store, found, protocol=protocol)
    _tell(lacking_lines(cells, found, protocol))
    click.echo(render_orders(cells, published or default_table(found), form, protocol))


@main.command()
@click.argument("sweep", required=False)
@click.option("--format", "form", type=click.Choice(["md", "csv", "latex", "html"]), default="md", show_default=True)
@_output
def ranks(sweep: str | None, form: str, output: Path) -> None:
    """Print how the ranks of a SWEEP's methods, by default the latest's, move between its metric protocols."""
    from .ranks import render_ranks

    click.echo(render_ranks(*_open(output, sweep), form))


@main.command()
@click.argument("sweep", required=False)
@click.option("--protocol", required=True, help="nidbench list protocols tells which there are.")
@click.option("--dry-run", is_flag=True, help="Show what would be scored, and stop.")
@_output
@click.pass_context
def rescore(context: click.Context, sweep: str | None, protocol: str, dry_run: bool, output: Path) -> None:
    """Score the restorations of a SWEEP, by default the latest, under another metric protocol; no method runs again.

    Scores are added to the records; what is there stays. Exit code: 1 where cells cannot be scored.
    """
    from rich.progress import Progress

    from .rescore import rescore as rescore_cells
    from .rescore import review

    store, found = _open(output, sweep)
    if dry_run:
        tally = review(store, found, protocol)
    else:
        with store.lock(), Progress(console=_console()) as progress:
            task = progress.add_task(protocol)
            tally = rescore_cells(
                store, found, protocol, lambda done, planned: progress.update(task, completed=done, total=planned)
            )
    click.echo("\n".join(tally.lines(protocol)))
    if tally.refused:
        context.exit(1)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dataset", required=True, help="Whose images these restore.")
@click.option("--label", required=True, help="The method's name in tables.")
@click.option("--kernels", default="", help="Kernel sets or kernels: levin or levin/1,levin/4.")
@click.option("--noise", default="", help="gaussian:SIGMA, poisson:PEAK or bsnr:DB, separated by commas.")
@click.option("--images", default="", help="Names of images.")
@click.option("--limit", type=int, help="At most so many images of each dataset.")
@click.option("--crop", type=click.IntRange(1), help="Side of a square from the middle of each image, in pixels.")
@click.option("--noise-seeds", default="0", show_default=True, help="Noise draws: 0, 0,3 or 0-4.")
@click.option("--pattern", default="{image}_{kernel}_{noise}.png", show_default=True, help="Of the files' names.")
@click.option("--encoded/--linear", default=None, help="Whether files hold x after or before the camera's response.")
@click.option("--name", default="", help="Of the sweep; made from the question by default.")
@_protocol
@_output
def score(folder: Path, output: Path, protocol: str, **options: Any) -> None:
    """Score the restored images in FOLDER, whoever computed them, as a method of their own.

    The pattern makes each file's name: {image}, {kernel} and {set} (of levin/4: 4 and levin), {noise} (gaussian-0.05
    for gaussian:0.05), {level} (0.05), {seed} of the noise and {dataset}. Files are 8-bit images of the size of x or
    of the blurred image. They become a sweep of their own; nidbench table FIRST+SECOND shows it beside another. Exit
    code: 1 where files are missing.
    """
    from .metrics import protocol as find_protocol
    from .plan import Experiment
    from .records import Store
    from .restorations import Submission, take
    from .tables import render

    find_protocol(protocol)
    keys = ("kernels", "noise", "images", "limit", "noise_seeds", "crop")
    experiment = Experiment(options["label"], options["dataset"], **{key: options[key] for key in keys})
    submission = Submission(folder, experiment, options["pattern"], options["encoded"], options["name"])
    store = Store(output)
    with store.lock():
        taken = take(store, submission)
    click.echo(render(store, taken.sweep, "md", protocol))
    click.echo("\n".join(taken.lines()))
    others = [name for name in store.sweep_names() if name != taken.sweep.name]
    beside = f"{others[0] if others else 'ANOTHER'}+{taken.sweep.name}"
    click.echo(f"sweep {taken.sweep.name}; nidbench table {beside} shows it beside another")
    if taken.missing:
        click.get_current_context().exit(1)


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


@main.command()
@click.argument("sweep", required=False)
@click.option("--paper", "published", default="", help="Such as table9  [default: the table with most of the sweep]")
@click.option("--format", "form", type=click.Choice(["md", "csv", "latex", "html"]), default="md", show_default=True)
@_protocol_of_the_paper
@_output
def compare(sweep: str | None, published: str, form: str, protocol: str, output: Path) -> None:
    """Print a table of the paper beside a SWEEP, by default the latest, and which numbers that reproduces.

    LaTeX is laid out as in the paper; Markdown, HTML and CSV have a row for each method.
    """
    from .compare import render_compare

    store, found = _open(output, sweep)
    click.echo(render_compare(store, found, published, form, protocol))


@main.command()
@click.argument("sweep", required=False)
@click.option("--most", type=click.IntRange(1), default=SHEETS, show_default=True, help="At most so many cases.")
@_output
def report(sweep: str | None, most: int, output: Path) -> None:
    """Draw the contact sheets of a SWEEP again, by default of the latest."""
    from .publish import write_sheets

    store, found = _open(output, sweep)
    sheets, cases = write_sheets(store, found, most)
    click.echo(f"{len(sheets)} of {cases} cases in {store.root / 'sheets' / found.name}")


@main.command()
@click.argument("name", type=click.Choice(["fig1", "fig3", "fig5", "fig11", "fig12", "curves"]))
@click.argument("sweep", required=False)
@click.option("--method", "methods", multiple=True, metavar="LABEL", help="As in tables; may be given several times.")
@click.option("--image", default="", help="Name of the image.")
@click.option("--kernel", default="", help="Kernel, or set of kernels.")
@click.option("--noise", default="", help="Noise, such as gaussian:0.05.")
@click.option("--case", type=click.IntRange(1), default=1, show_default=True, help="Which of the cases left.")
@click.option("--layer", type=click.IntRange(1), help="fig5: layer whose channels are shown  [default: 17 or the last]")
@click.option("--threshold", type=float, default=0.05, show_default=True, help="fig1: of the band, a part of max |K|.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Where to  [default: in the results]")
@_output
def figure(name: str, sweep: str | None, output: Path, file: Path | None, **choice: Any) -> None:
    """Draw a figure, most of them the paper's, from a SWEEP, by default the latest, and print its numbers.

    fig1: error inside and outside the near-null band of the kernel. fig3: posterior draws in their PCA plane, beside
    the truth (run --keep draws). fig5: variance of the network's layers (run --keep layers). fig11: deviation of the
    output beside its error. fig12: PSNR against the number of averaged passes. Not the paper's: curves, PSNR against
    iterations and seconds, with the factor that each preset gains over paper or released at equal PSNR.
    """
    from .figures import Choice
    from .publish import write_figure

    store, found = _open(output, sweep)
    path, lines = write_figure(store, found, name, Choice(**choice), file)
    click.echo("\n".join([*lines, str(path)]))


@main.command()
@click.argument("sweep", required=False)
@_output
@click.pass_context
def sync(context: click.Context, sweep: str | None, output: Path) -> None:
    """Write a SWEEP's records, by default the latest's, to MLflow, beside them or where MLFLOW_TRACKING_URI says."""
    from .metrics import DEFAULT
    from .publish import existing_sheets, write_tables

    store, found = _open(output, sweep)
    tables = write_tables(store, found, DEFAULT.name)
    if not _sync(_console(), store, found, existing_sheets(store, found), tables):
        context.exit(1)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@_output
def ui(arguments: Sequence[str], output: Path) -> None:
    """Open the results in MLflow's own pages; ARGUMENTS go to `mlflow ui`, such as --port 5001."""
    from .records import Store
    from .tracking import ui_command

    command = [*ui_command(Store(output, create=False)), *arguments]
    # no word to its makers: a benchmark machine may have no internet
    os.execvpe(command[0], command, {"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ})


@main.command(name="list")
@click.argument("kind", type=click.Choice(["methods", "datasets", "kernels", "kernel-errors", "protocols"]))
def list_(kind: str) -> None:
    """List what is registered."""
    if kind == "protocols":
        from .metrics import PROTOCOLS

        lines = [f"{each.name:20s} {each.title}" for each in PROTOCOLS.values()]
    else:
        from .registry import Registry

        kinds = {"methods": "method", "datasets": "dataset", "kernels": "kernel set", "kernel-errors": "kernel error"}
        registry = Registry.installed(kinds[kind])
        lines = [f"{name:20s} {registry.targets[name]}" for name in registry.names()]
    click.echo("\n".join(lines))


@main.command()
@click.argument("method")
def info(method: str) -> None:
    """Show a METHOD's source, presets, variants and settings; METHOD is a name or a Python file."""
    import dataclasses

    from .registry import load_method

    registry, name = _method_registry(method)
    kind: Any = load_method(registry, name)
    facts = kind.info
    click.echo(f"{name}: {facts.title} ({facts.year or 'no year'}), version {facts.version}")
    for text in filter(None, (facts.paper, facts.licence and f"licence: {facts.licence}", facts.notice)):
        click.echo(f"  {text}")
    for title, sets in (("presets", facts.presets), ("variants", facts.variants)):
        for key, settings in sets.items():
            values = ", ".join(f"{each}={value}" for each, value in settings.items()) or "the defaults"
            click.echo(f"{title[:-1]} {key}: {values}")
    for field in dataclasses.fields(kind):
        click.echo(f"setting {field.name} = {field.default}")


@main.command()
@click.argument("method")
@click.option("--device", default="cpu", show_default=True)
@click.pass_context
def check(context: click.Context, method: str, device: str) -> None:
    """Run the conformance suite on a METHOD: a name or a Python file."""
    from . import conformance
    from .registry import load_method
    from .specs import MethodSpec, resolve

    registry, name = _method_registry(method)
    found = resolve(MethodSpec(name), load_method(registry, name), "smoke")
    if found.note:
        click.echo(f"note {found.note}")
    findings = conformance.check(found.method, device=device)
    for finding in findings:
        mark = "ok  " if finding.passed else "FAIL"
        click.echo(f"{mark} {finding.name} ({finding.seconds:.1f} s) {finding.message}")
    if not all(finding.passed for finding in findings):
        context.exit(1)


def _method_registry(method: str) -> tuple[Any, str]:
    from .registry import methods

    file = Path(method) if method.endswith(".py") else None
    return methods(file), file.stem if file else method


@main.group()
def data() -> None:
    """Fetch, verify and find the files of datasets, kernel sets and methods."""


def _files(name: str) -> Sequence[Any]:
    """Return the files of a dataset (with those of its default kernels, or its own), of a kernel set, or of a method.

    Raises:
        UnknownNameError: where nothing has the name.
    """
    from .contract import MeasuredDataset, NeedsFiles
    from .errors import UnknownNameError
    from .registry import Registry, load_dataset, load_kernels, load_method, unknown

    datasets, kernels, methods = map(Registry.installed, ("dataset", "kernel set", "method"))
    if name.partition(":")[0] in datasets.targets:
        dataset = load_dataset(name)
        if isinstance(dataset, MeasuredDataset):
            return dataset.files()
        return [*dataset.files(), *load_kernels(dataset.info.kernels.partition("/")[0]).files()]
    if name in kernels.targets:
        return load_kernels(name).files()
    if name in methods.targets:
        method: Any = load_method(methods, name)
        return method.files() if isinstance(method, NeedsFiles) else []
    known = {*datasets.targets, *kernels.targets, *methods.targets}
    raise UnknownNameError(unknown("dataset, kernel set or method", name, known))


def _terms(name: str) -> Iterator[str]:
    """Yield on what terms the files of `_files` come, a line for each of what NAME stands for."""
    from .registry import Registry, load_dataset, load_kernels, load_method

    datasets, kernels, methods = map(Registry.installed, ("dataset", "kernel set", "method"))
    infos: list[Any] = []
    if name.partition(":")[0] in datasets.targets:
        infos.append(load_dataset(name).info)
        own = infos[0].kernels.partition("/")[0]
        infos += [load_kernels(own).info] if own in kernels.targets else []
    elif name in kernels.targets:
        infos.append(load_kernels(name).info)
    elif name in methods.targets:
        infos.append(load_method(methods, name).info)
    for info in infos:
        source = getattr(info, "source", "") or getattr(info, "paper", "")
        yield f"{info.title}: licence {info.licence or 'not known'}" + (f"; from {source}" if source else "")


@data.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download what is missing of NAME: a dataset with its kernels, a kernel set, or a method's weights."""
    from rich.progress import Progress

    from .fetch import fetch as fetch_files

    files = _files(name)
    for terms in _terms(name):
        click.echo(terms)
    if not files:
        click.echo(f"{name} needs no files")
        return
    with Progress(console=_console()) as progress:
        task = progress.add_task(name, total=sum(file.bytes for file in files))
        fetch_files(files, lambda file, _done, _count: progress.advance(task, file.bytes))
    click.echo(f"{name}: {len(files)} files are there and whole")


@data.command()
@click.argument("name")
@click.pass_context
def verify(context: click.Context, name: str) -> None:
    """Compare the files of NAME with their SHA-256."""
    from .fetch import verify as verify_files

    states = verify_files(_files(name))
    for file, state in states:
        if state != "ok":
            click.echo(f"{state}: {file}")
    if not _whole(name, [state for _, state in states]):
        context.exit(1)


def _whole(name: str, states: Sequence[str]) -> bool:
    whole = sum(state == "ok" for state in states)
    click.echo(f"{name}: {whole} of {len(states)} files are there and whole")
    return whole == len(states)


@data.command()
@click.argument("name")
@click.argument("given", nargs=-1, required=True, metavar="FILES...", type=click.Path(path_type=Path))
@click.pass_context
def add(context: click.Context, name: str, given: Sequence[Path]) -> None:
    """Take FILES of NAME that were downloaded by hand: recognised by SHA-256, copied into place.

    FILES are files of any name, folders that are searched, or zip archives that are looked into. Exit code 1 where
    something is still missing or was refused.
    """
    from .fetch import destination
    from .fetch import verify as verify_files
    from .provide import provide

    files = _files(name)
    if not files:
        click.echo(f"{name} needs no files")
        return
    provided = provide(files, given)
    for file, where in provided.taken.items():
        click.echo(f"taken: {file} from {where}")
    for where, reason in provided.refused.items():
        click.echo(f"refused: {where} {reason}")
    states = verify_files(files)
    for file, state in states:
        if state != "ok":
            address = f"; from {file.url.replace(' ', ' or ')}" if file.url else ""
            click.echo(f"{state}: {file}, {file.bytes} bytes, SHA-256 {file.sha256}, at {destination(file)}{address}")
    if not _whole(name, [state for _, state in states]) or provided.refused:
        context.exit(1)


@data.command()
@click.argument("name", required=False)
def path(name: str | None) -> None:
    """Print where files are kept: the cache folder, or each file of NAME."""
    from .fetch import cache_folder, destination

    lines = [cache_folder()] if name is None else [destination(file) for file in _files(name)]
    click.echo("\n".join(map(str, lines)))
