"""Commands around MLflow: `sync` and `ui`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from nidbench.system.signals import stopped_by

from . import options
from .shared import make_console, open_sweep, read_cells, say

#: Seconds that MLflow has to end.
PATIENCE = 10.0


@click.command()
@options.sweep
@options.output
@click.pass_context
def sync(context: click.Context, sweep: str | None, output: Path) -> None:
    """Write a SWEEP's records, by default the latest's, to MLflow, beside them or where MLFLOW_TRACKING_URI says."""
    from nidbench.api.outputs import existing_sheets, track, write_tables
    from nidbench.api.reporting import CELLS, write_report
    from nidbench.scoring.protocols import DEFAULT

    store, chosen = open_sweep(output, sweep)
    sweep_cells = read_cells(store, chosen)
    tables = write_tables(store, sweep_cells, DEFAULT.name)
    pictures = len(sweep_cells.cells) <= CELLS
    page = None
    if sweep_cells.cells:
        # pictures are made from today's data as well, which records do not tell of
        page = write_report(store, sweep_cells, DEFAULT.name, pictures=pictures, anew=pictures)
    if not track(store, sweep_cells, partial(say, make_console()), existing_sheets(store, chosen), tables, page):
        context.exit(1)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@options.output
@click.pass_context
def ui(context: click.Context, arguments: Sequence[str], output: Path) -> None:
    """Open the results in MLflow's own pages; ARGUMENTS go to `mlflow ui`, such as --port 5001.

    Ctrl-C, SIGTERM and SIGHUP end it with all that it started; the exit code is 130, 143 or 129 then.
    """
    from nidbench.records import Store
    from nidbench.report.tracking import experiment_page, ui_command

    store = Store(output, create=False)
    command = [*ui_command(store), *arguments]
    click.echo(f"open {experiment_page(store, arguments)} once the server is ready")
    # no word to its makers: a benchmark machine may have no internet
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ}
    # of its own session: a signal to it alone would leave its servers running
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        code = server.wait()
    except KeyboardInterrupt as stop:
        code = 128 + (stopped_by(stop) or signal.SIGINT)
    finally:
        _end(server)
    context.exit(code if code >= 0 else 128 - code)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a process and what it started: asked to at first, killed where it takes long or a second signal comes."""
    try:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


COMMANDS = (sync, ui)
