"""Commands that draw: `report`, `sheets` and `figure`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import completion, options
from .shared import open_sweep


@click.command()
@options.sweep
@click.option(
    "-o",
    "--file",
    type=click.Path(path_type=Path),
    help="File to write  [default: reports/SWEEP.html in the results folder]",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write a page to, with its pictures as files beside it: for more than 50 cells.",
)
@click.option(
    "--against",
    shell_complete=completion.labels,
    default="",
    metavar="LABEL",
    help="The method that others are compared with at first  [default: ours, else the first]",
)
@click.option("--pictures/--no-pictures", default=True, show_default=True, help="Show restorations.")
@options.protocol
@options.output
def report(sweep: str | None, protocol: str, output: Path, **given: Any) -> None:
    """Write a SWEEP, by default the latest, as one HTML file: tables, figures, pictures, failures, how it was run.

    It needs a browser and no network. What it says is what the records say; make it again when there are more.
    """
    from nidbench.analysis.cells import SweepCells
    from nidbench.api.reporting import write_report

    store, chosen = open_sweep(output, sweep)
    click.echo(write_report(store, SweepCells.read(store, chosen), protocol, **given))


@click.command()
@options.sweep
@click.option("--most", type=click.IntRange(1), help="Draw at most this number of cases  [default: 24]")
@options.output
def sheets(sweep: str | None, most: int | None, output: Path) -> None:
    """Draw the contact sheets of a SWEEP again, by default of the latest: a PNG for each case."""
    from nidbench.api.outputs import SHEETS, write_sheets

    store, chosen = open_sweep(output, sweep)
    drawn, cases = write_sheets(store, chosen, most or SHEETS)
    click.echo(f"{len(drawn)} of {cases} cases in {store.root / 'sheets' / chosen.name}")


@click.command()
@click.argument(
    "name", type=click.Choice(["fig1", "fig3", "fig5", "fig11", "fig12", "curves", "pareto", "differences"])
)
@options.sweep
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="LABEL",
    shell_complete=completion.labels,
    help="A method as tables name it; may be given several times.",
)
@click.option("--image", default="", help="Name of the image.")
@click.option("--kernel", default="", help="Kernel, or kernel set.")
@click.option("--noise", default="", help="Noise, such as gaussian:0.05.")
@click.option(
    "--case",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Which case, counted from 1, of those that --image, --kernel and --noise leave.",
)
@click.option("--together", is_flag=True, help="curves: all methods on one axis.")
@click.option(
    "--against",
    shell_complete=completion.labels,
    default="",
    metavar="LABEL",
    help="differences: the method that others are compared with  [default: ours, else the first]",
)
@click.option("--layer", type=click.IntRange(1), help="fig5: layer whose channels are shown  [default: 17 or the last]")
@click.option(
    "--threshold",
    type=float,
    default=0.05,
    show_default=True,
    help="fig1: threshold of the band, a fraction of max |K|.",
)
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), help="File to write  [default: in the results folder]"
)
@options.output
def figure(name: str, sweep: str | None, output: Path, file: Path | None, **choice: Any) -> None:
    """Draw a figure, most of them the paper's, from a SWEEP, by default the latest, and print its numbers.

    fig1: error inside and outside the near-null band of the kernel, side by side for methods, or as in the paper for
    one after several numbers of iterations (run --methods 'dip[iterations=100],dip[iterations=1000]'). fig3: posterior
    draws in their PCA plane, beside the truth (run --keep draws). fig5: variance of what enters its layers (run --keep
    layers). fig11: deviation of the output beside its error. fig12: PSNR against the number of averaged passes. Not the
    paper's: curves, PSNR against iterations and seconds, with the factor that each preset gains over paper or released
    at equal PSNR; pareto, mean PSNR over mean seconds; differences, a forest plot of what `nidbench differences`
    prints. A --file that ends in .pdf or .svg has text as text.
    """
    from nidbench.api.outputs import write_figure
    from nidbench.report.figures import Choice

    store, chosen = open_sweep(output, sweep)
    path, lines = write_figure(store, chosen, name, Choice(**choice), file)
    click.echo("\n".join([*lines, str(path)]))


COMMANDS = (report, sheets, figure)
