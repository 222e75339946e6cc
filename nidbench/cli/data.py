"""The group `data`: files of datasets, kernel sets and methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from .shared import make_console


@click.group()
def data() -> None:
    """Fetch, verify and find the files of datasets, kernel sets and methods."""


@data.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download what is missing of NAME: a dataset with its kernels, a kernel set, or a method's weights."""
    from rich.progress import Progress

    from nidbench.fetch import fetch as fetch_files
    from nidbench.needed import files_of, terms_of

    files = files_of(name)
    for terms in terms_of(name):
        click.echo(terms)
    if not files:
        click.echo(f"{name} needs no files")
        return
    with Progress(console=make_console()) as progress:
        task = progress.add_task(name, total=sum(file.bytes for file in files))
        fetch_files(files, lambda file, _done, _count: progress.advance(task, file.bytes))
    click.echo(f"{name}: {len(files)} files are there and whole")


@data.command()
@click.argument("name")
@click.pass_context
def verify(context: click.Context, name: str) -> None:
    """Compare the files of NAME with their SHA-256."""
    from nidbench.fetch import verify as verify_files
    from nidbench.needed import files_of

    states = verify_files(files_of(name))
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
    from nidbench.fetch import destination
    from nidbench.fetch import verify as verify_files
    from nidbench.needed import files_of
    from nidbench.provide import provide

    files = files_of(name)
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
    from nidbench.fetch import cache_folder, destination
    from nidbench.needed import files_of

    lines = [cache_folder()] if name is None else [destination(file) for file in files_of(name)]
    click.echo("\n".join(map(str, lines)))


COMMANDS = (data,)
