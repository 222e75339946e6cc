"""Commands that score restorations without computing them: `rescore` and `score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import options
from .shared import make_console, open_sweep


@click.command()
@options.sweep
@click.option("--protocol", required=True, help="The protocol; nidbench list protocols shows all.")
@click.option("--dry-run", is_flag=True, help="Show which cells would be scored, and stop.")
@options.output
@click.pass_context
def rescore(context: click.Context, sweep: str | None, protocol: str, dry_run: bool, output: Path) -> None:
    """Score the restorations of a SWEEP, by default the latest, under another metric protocol; no method runs again.

    Scores are added to the records; what is there stays, unless it is against another sharp image than today's or by an
    older version of the metric. The exit code is 1 where cells cannot be scored.
    """
    from rich.progress import Progress

    from nidbench.rescoring.rescore import rescore as rescore_cells
    from nidbench.rescoring.rescore import review

    store, chosen = open_sweep(output, sweep)
    if dry_run:
        tally = review(store, chosen, protocol)
    else:
        with store.lock(), Progress(console=make_console()) as progress:
            task = progress.add_task(protocol)
            tally = rescore_cells(
                store, chosen, protocol, lambda done, planned: progress.update(task, completed=done, total=planned)
            )
    click.echo("\n".join(tally.lines(protocol)))
    if tally.refused:
        context.exit(1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dataset", required=True, help="The dataset whose images were restored.")
@click.option("--label", required=True, help="The name of the method in tables.")
@options.measurements
@click.option("--pattern", default="{image}_{kernel}_{noise}.png", show_default=True, help="Pattern of the file names.")
@click.option("--encoded/--linear", default=None, help="Whether files hold x after or before the camera's response.")
@click.option(
    "--scale",
    type=float,
    help="Value that stands for intensity 1 in the files, such as 255, where their type does not say it.",
)
@click.option(
    "--bits", type=int, help="Bit depth of the files, such as 12, where their integers are stored in a deeper type."
)
@options.name
@options.protocol
@options.output
def score(folder: Path, output: Path, protocol: str, **given: Any) -> None:
    """Score the restored images in FOLDER, whoever computed them, as a method of their own.

    The pattern makes each file's name: {image}, {kernel} and {set} (of levin/4: 4 and levin), {noise} (gaussian-0.05
    for gaussian:0.05), {level} (0.05), {seed} of the noise and {dataset}. Files are pictures, or arrays as computed
    (.npy, or .mat of MATLAB). They have the size of x, by the true kernel or by the one that methods know, or the size
    of the blurred image. They become a sweep of their own; nidbench table FIRST+SECOND shows it beside another. The
    exit code is 1 where files are missing.
    """
    from nidbench.analysis.cells import SweepCells
    from nidbench.images import Units
    from nidbench.records import Store
    from nidbench.report.results_table import render
    from nidbench.rescoring.submission import Submission
    from nidbench.rescoring.take import take
    from nidbench.scoring.protocols import protocol as find_protocol
    from nidbench.sweep.request import Experiment

    find_protocol(protocol)
    keys = ("kernels", "rotate_kernels", "noise", "response", "images", "limit", "noise_seeds", "crop")
    experiment = Experiment(given["label"], given["dataset"], **{key: given[key] for key in keys})
    units = Units(given["scale"], given["bits"], "--{name} {value}")
    submission = Submission(folder, experiment, given["pattern"], given["encoded"], given["name"], units)
    store = Store(output)
    with store.lock():
        taken = take(store, submission)
    click.echo(render(SweepCells.read(store, taken.sweep), "md", protocol))
    click.echo("\n".join(taken.lines()))
    others = [name for name in store.sweep_names() if name != taken.sweep.name]
    beside = f"{others[0] if others else 'ANOTHER'}+{taken.sweep.name}"
    click.echo(f"sweep {taken.sweep.name}; nidbench table {beside} shows it beside another")
    if taken.missing:
        click.get_current_context().exit(1)


COMMANDS = (rescore, score)
