"""Commands around MLflow: `sync` and `ui`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options
from .shared import make_console, open_sweep, say

if TYPE_CHECKING:
    from rich.console import Console

    from nidbench.records import Store, Sweep


def to_mlflow(
    console: Console, store: Store, sweep: Sweep, sheets: Sequence[Path] = (), tables: Mapping[str, Path] | None = None
) -> bool:
    """Write a sweep to MLflow and say where it is, or warn why it is not; return whether it is."""
    from nidbench.tracking import TrackingError, default_uri, sync

    texts = {path.name: path.read_text() for path in (tables or {}).values()}
    try:
        sync(store, sweep, sheets=sheets, tables=texts)
    except TrackingError as error:
        say(console, f"warning: {error}; the records are complete, nidbench sync tries again")
        return False
    say(console, f"mlflow    {os.environ.get('MLFLOW_TRACKING_URI') or default_uri(store)}; nidbench ui opens it")
    return True


@click.command()
@options.sweep
@options.output
@click.pass_context
def sync(context: click.Context, sweep: str | None, output: Path) -> None:
    """Write a SWEEP's records, by default the latest's, to MLflow, beside them or where MLFLOW_TRACKING_URI says."""
    from nidbench.metrics import DEFAULT
    from nidbench.publish import existing_sheets, write_tables

    store, found = open_sweep(output, sweep)
    tables = write_tables(store, found, DEFAULT.name)
    if not to_mlflow(make_console(), store, found, existing_sheets(store, found), tables):
        context.exit(1)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@options.output
def ui(arguments: Sequence[str], output: Path) -> None:
    """Open the results in MLflow's own pages; ARGUMENTS go to `mlflow ui`, such as --port 5001."""
    from nidbench.records import Store
    from nidbench.tracking import ui_command

    command = [*ui_command(Store(output, create=False)), *arguments]
    # no word to its makers: a benchmark machine may have no internet
    os.execvpe(command[0], command, {"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ})


COMMANDS = (sync, ui)
