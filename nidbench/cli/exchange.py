"""Commands that carry results from one lab to another: `pack` and `merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nidbench.system.sizes import read_size

from . import options
from .shared import make_console

if TYPE_CHECKING:
    from nidbench.exchange import Arrays


def _size(_context: click.Context, option: click.Parameter, text: str) -> int:
    return read_size(option.opts[0], text)


@click.command()
@options.sweep
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path),
    help="The file to write  [default: SWEEP.zip in the current folder]",
)
@click.option(
    "--arrays",
    type=click.Choice(["none", "restorations", "all"]),
    default="restorations",
    show_default=True,
    help="Arrays that go along: none, restorations and their variances, or also what --keep kept.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@options.output
def pack(sweep: str | None, file: Path | None, arrays: Arrays, overwrite: bool, output: Path) -> None:
    """Pack a SWEEP, by default the latest, into one file that another lab can merge.

    It holds the sweep, the records and logs of its cells, arrays as asked, the environments that they were computed in,
    and a SHA-256 of each file. FIRST+SECOND packs two sweeps. Cells that are not computed yet are left out. The same
    results make the same bytes. A file that is called *.jsonl gets the records alone, one a line, as people publish
    them beside a table.
    """
    from nidbench.exchange import pack as pack_sweep
    from nidbench.records import Store

    store = Store(output, create=False)
    name = sweep or store.latest()
    packed = pack_sweep(store, name, file or Path(f"{name}.zip"), arrays, overwrite=overwrite)
    click.echo("\n".join(packed.lines()))


@click.command()
@click.argument("given", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option("--most", default="20G", show_default=True, callback=_size, help="Take no more than this, unpacked.")
@click.option(
    "--name", default="", help="Name of the sweep that a file of records becomes  [default: made from its own]"
)
@click.option("--keep-mine", is_flag=True, help="Keep your own results of cells that have other ones there.")
@options.output
def merge(given: Path, most: int, name: str, keep_mine: bool, output: Path) -> None:
    """Bring the results in a packed FILE, or in another results FOLDER, into this one.

    A file with one record a line (*.jsonl), or the folder of a published result, which has one, becomes a sweep: tables
    and differences are made of it without any image.

    All of it is checked before anything is written: hashes, sizes, names, records and arrays. Nothing in it is
    executed. A result of yours is never replaced: cells that have another result there are a conflict, which is
    refused by name. Cells that failed here and are done there come. Sweeps of one name become one where they ask for
    the same kinds of cells. Interrupted? Run the same command again.
    """
    from rich.progress import Progress

    from nidbench.exchange import merge as merge_results

    console = make_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("checking")

        def tell(word: str, done: int, planned: int) -> None:
            progress.update(task, description=word, completed=done, total=planned)

        merged = merge_results(given, output, most, name=name, keep_mine=keep_mine, progress=tell)
    click.echo("\n".join(merged.lines()))


COMMANDS = (pack, merge)
