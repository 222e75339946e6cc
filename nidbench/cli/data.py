"""Commands about files: the group `data`, of datasets, kernel sets and methods, and `kernels`, of estimates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nidbench.system.counts import count_of

from . import completion, options
from .shared import make_console, open_sweep

if TYPE_CHECKING:
    from nidbench.files.download import Fetched
    from nidbench.files.remote import RemoteFile


@click.group()
def data() -> None:
    """Fetch, verify and find the files of datasets, kernel sets and methods."""


@data.command()
@click.argument("name", shell_complete=completion.anything)
@click.pass_context
def fetch(context: click.Context, name: str) -> None:
    """Download what is missing of NAME: a dataset with its kernels, a kernel set, or a method's weights.

    A file that cannot be fetched does not keep the others from it. Exit code 1 where something is still missing; what
    only a person can get does not count.
    """
    from rich.progress import Progress

    from nidbench.files.download import fetch_all
    from nidbench.registry.required_files import files_of, terms_of

    files = files_of(name)
    for terms in terms_of(name):
        click.echo(terms)
    if not files:
        click.echo(f"{name} needs no files")
        return
    with Progress(console=make_console()) as progress:
        task = progress.add_task(name, total=sum(file.bytes for file in files))
        fetched = fetch_all(files, lambda file, _done, _count: progress.advance(task, file.bytes))
    _tell_fetched(name, fetched, len(files))
    if fetched.failures:
        context.exit(1)


def _tell_fetched(name: str, fetched: Fetched, wanted: int) -> None:
    from nidbench.files.cache import verify as verify_files
    from nidbench.registry.required_files import by_hand_of

    missing = len(fetched.failures)
    for failure in () if fetched.stopped else fetched.failures:
        _tell(failure.file, "missing", f" ({failure.reason()})")
    by_hand = [(file, state) for file, state in verify_files(by_hand_of(name)) if state != "ok"]
    for file, state in by_hand:
        _tell(file, f"{state}, by hand")
    there = wanted - missing - len(fetched.taken)
    click.echo(f"{name}: {len(fetched.taken)} fetched, {there} there before, {missing} missing")
    if fetched.stopped:
        click.echo(f"{fetched.stopped}; nidbench data verify {name} lists what is missing", err=True)
    elif missing:
        click.echo("try again, or set NIDBENCH_DATA_MIRROR to another copy of the files", err=True)
    if by_hand or missing:
        click.echo(f"what you download by hand, take with: nidbench data add {name} FILES", err=True)


def _tell(file: RemoteFile, state: str, why: str = "") -> None:
    """Say how a file is, what it is known by, where it belongs and where it comes from."""
    from nidbench.files.cache import destination

    address = f"; from {file.url.replace(' ', ' or ')}" if file.url else ""
    click.echo(f"{state}: {file}, {file.known_by}, at {destination(file)}{address}{why}")


@data.command()
@click.argument("name", shell_complete=completion.anything)
@click.pass_context
def verify(context: click.Context, name: str) -> None:
    """Compare the files of NAME with their SHA-256.

    Exit code 1 where one is missing or altered, also of those that only a person can get.
    """
    if not _all_whole(name):
        click.echo(f"get it with: nidbench data fetch {name}, or by hand: nidbench data add {name} FILES", err=True)
        context.exit(1)


def _all_whole(name: str) -> bool:
    """Say what is missing or altered of a name, and how many files are whole; return whether all are."""
    from nidbench.files.cache import verify as verify_files
    from nidbench.registry.required_files import by_hand_of, files_of

    by_hand = by_hand_of(name)
    states = verify_files([*files_of(name), *by_hand])
    if not states:
        click.echo(f"{name} needs no files")
        return True
    for file, state in states:
        if state != "ok":
            _tell(file, f"{state}, by hand" if file in by_hand else state)
    whole = sum(state == "ok" for _, state in states)
    click.echo(f"{name}: {whole} of {count_of(len(states), 'file is', 'files are')} there and whole")
    return whole == len(states)


@data.command()
@click.argument("name", shell_complete=completion.anything)
@click.argument("given", nargs=-1, required=True, metavar="FILES...", type=click.Path(path_type=Path))
@click.pass_context
def add(context: click.Context, name: str, given: Sequence[Path]) -> None:
    """Take FILES of NAME that were downloaded by hand: recognised by their hash, copied into place.

    FILES are files of any name, folders that are searched, or zip archives that are looked into. Exit code 1 where
    something is still missing or was refused.
    """
    from nidbench.files.by_hand import provide
    from nidbench.registry.required_files import by_hand_of, files_of

    files = [*files_of(name), *by_hand_of(name)]
    if not files:
        click.echo(f"{name} needs no files")
        return
    provided = provide(files, given)
    for file, where in provided.taken.items():
        click.echo(f"taken: {file} from {where}")
    for where, reason in provided.refused.items():
        click.echo(f"refused: {where} {reason}")
    if not _all_whole(name) or provided.refused:
        context.exit(1)


@data.command()
@click.argument("name", required=False)
def path(name: str | None) -> None:
    """Print where files are kept: the cache folder, or each file of NAME."""
    from nidbench.files.cache import cache_folder, destination
    from nidbench.registry.required_files import by_hand_of, files_of

    files = [] if name is None else [*files_of(name), *by_hand_of(name)]
    lines = [cache_folder()] if name is None else [destination(file) for file in files]
    click.echo("\n".join(map(str, lines)))


@click.command()
@options.sweep
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write them to, as IMAGE/KERNEL.npy.",
)
@click.option(
    "--method", default="", metavar="LABEL", help="The method, as tables name it, where several have kernels."
)
@click.option("--noise", default="", help="Of the measurements, where the sweep has several.")
@options.output
@click.pass_context
def kernels(context: click.Context, sweep: str | None, folder: Path, method: str, noise: str, output: Path) -> None:
    """Write the kernels that a blind method estimated in a SWEEP, by default the latest, as files.

    --kernels estimated:FOLDER:keep of `nidbench run` and `nidbench reproduce` gives them, as they are, to non-blind
    methods. The exit code is 1 where cells of the method have none.
    """
    from nidbench.api.estimates import write_kernels

    written = write_kernels(*open_sweep(output, sweep), folder, method, noise)
    click.echo("\n".join(written.lines()))
    if written.lacking:
        context.exit(1)


COMMANDS = (data, kernels)
