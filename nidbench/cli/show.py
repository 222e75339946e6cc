"""Commands that print tables made from records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from nidbench.errors import InputError

from . import completion, options
from .shared import read_sweep, tell


@click.command()
@options.sweep
@click.option("--by-image", is_flag=True, help="A row for each measurement, a column for each method: PSNR.")
@click.option(
    "--against",
    shell_complete=completion.labels,
    default="",
    metavar="LABEL",
    help="Also how far each method is from this one, with 95 % intervals.",
)
@click.option("--paper", "published", default="", help="Also the numbers of a table of the paper, such as table2.")
@options.form
@options.protocol
@options.output
def table(
    sweep: str | None, by_image: bool, against: str, published: str, form: str, protocol: str, output: Path
) -> None:
    """Print the table of a SWEEP, by default the latest.

    With --against and --paper, means, differences with their intervals, costs and published numbers are one table.
    """
    from nidbench.paper.quotes import columns_beside
    from nidbench.report.image_table import render_images
    from nidbench.report.results_table import render

    if by_image and (against or published):
        raise InputError("--by-image has a column for each method: leave it out for --against and --paper")
    sweep_cells = read_sweep(output, sweep)
    if by_image:
        click.echo(render_images(sweep_cells, form, protocol))
    else:
        click.echo(render(sweep_cells, form, protocol, list(columns_beside(against, published))))


@click.command()
@options.sweep
@click.option(
    "--against",
    shell_complete=completion.labels,
    default="",
    metavar="LABEL",
    help="The method that others are compared with  [default: ours, else the first]",
)
@options.form
@options.protocol
@options.output
def differences(sweep: str | None, against: str, form: str, protocol: str, output: Path) -> None:
    """Print how far the methods of a SWEEP, by default the latest, are from one of them, with 95 % intervals."""
    from nidbench.analysis.summary import source_lines
    from nidbench.report.differences import render_differences
    from nidbench.report.results_table import lacking_lines

    sweep_cells = read_sweep(output, sweep)
    cells = sweep_cells.frame(protocol)
    tell(lacking_lines(cells, sweep_cells.sweep, protocol))
    click.echo(render_differences(cells, against, form, protocol, source_lines(cells)))


@click.command()
@options.sweep
@options.published
@options.form
@options.protocol_of_the_paper
@options.output
def orders(sweep: str | None, published: str, form: str, protocol: str, output: Path) -> None:
    """Print which orders of methods in the paper's tables a SWEEP, by default the latest, confirms or contradicts."""
    from nidbench.analysis.summary import source_lines
    from nidbench.paper.comparison import default_table, scored_cells, unscored_lines
    from nidbench.paper.orders import render_orders

    sweep_cells = read_sweep(output, sweep)
    name = published or default_table(sweep_cells.sweep)
    cells = scored_cells(sweep_cells, name, protocol)
    click.echo(render_orders(cells, name, form, [*unscored_lines(cells, sweep_cells.sweep), *source_lines(cells)]))


@click.command()
@options.sweep
@options.form
@options.output
def ranks(sweep: str | None, form: str, output: Path) -> None:
    """Print how the ranks of a SWEEP's methods, by default the latest's, move between its metric protocols."""
    from nidbench.report.ranks import render_ranks

    click.echo(render_ranks(read_sweep(output, sweep), form))


@click.command()
@options.sweep
@options.published
@options.form
@options.protocol_of_the_paper
@click.option("--anchor", default="", metavar="LABEL", help="Also judge differences to this method, such as fdn.")
@options.output
def compare(sweep: str | None, published: str, form: str, protocol: str, anchor: str, output: Path) -> None:
    """Print a table of the paper beside a SWEEP, by default the latest, and say which published numbers it reproduces.

    LaTeX is laid out as in the paper; Markdown, HTML and CSV have a row for each method. Below it, but not in CSV, are
    the differences between the sweep's own methods. With --anchor, differences to one of them are judged too, published
    beside measured; CSV then has these alone.
    """
    from nidbench.paper.comparison_table import render_comparison

    click.echo(render_comparison(read_sweep(output, sweep), published, form, protocol, anchor=anchor))


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.form
def leaderboard(records: Sequence[Path], form: str) -> None:
    """Print the leaderboard from files of RECORDS, one a line, as results/reference has them.

    Methods are ranked on the whole images of Set12, each under two of Levin's kernels, at 1, 3 and 5 % noise. Those
    that lack some of these 24 measurements a level are listed without a rank.
    """
    from nidbench.leaderboard.board import render
    from nidbench.leaderboard.entries import entries
    from nidbench.records import read_records

    click.echo(render(entries(read_records(records)), form), nl=False)


COMMANDS = (table, differences, orders, ranks, compare, leaderboard)
