"""Brings MLflow up to date with a sweep, made from its records and remade at any time: where it is, and what can fail.

`tracked_runs` writes the runs. No other modules know of MLflow.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from nidbench.analysis.cells import SweepCells
from nidbench.errors import NidbenchError
from nidbench.records import Store
from nidbench.system.garbage import collector_paused
from nidbench.system.whole_files import settle

from .told import Told, content_hash
from .tracked_runs import SweepRuns, asked_text, hash_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "nidbench"

#: What is switched off or shortened while syncing, unless the user's environment says otherwise. MLflow would wait four
#: minutes for a server that is down, and report its use to its makers.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_LOGGERS = ("mlflow", "alembic", "urllib3", "git")


class TrackingError(NidbenchError):
    """MLflow could not be written; records are complete all the same, and `nidbench sync` makes up for it."""


class Tracked(NamedTuple):
    """Where a sweep is in MLflow.

    Attributes:
        experiment: id of the experiment.
        run: id of the sweep's run.
    """

    experiment: str
    run: str

    @property
    def page(self) -> str:
        """The address of the run below that of MLflow's pages."""
        return f"/#/experiments/{self.experiment}/runs/{self.run}"


def sync(
    store: Store,
    sweep_cells: SweepCells,
    *,
    tracking_uri: str | None = None,
    sheets: Sequence[Path] = (),
    tables: Mapping[str, str] | None = None,
    report: Path | None = None,
    begins: Callable[[], None] = lambda: None,
) -> Tracked:
    """Bring MLflow up to date with a sweep's records, and return where its parent run is.

    Args:
        store: the results folder, for the logs beside the records.
        sweep_cells: the sweep, read.
        tracking_uri: where to; else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the results folder.
        sheets: contact sheets to keep with the parent run.
        tables: file name -> text to keep with it.
        report: the page to keep with it.
        begins: called before MLflow is imported and written, which takes seconds.

    Raises:
        TrackingError: MLflow is not installed, cannot be reached or written, or its database is damaged.
    """
    uri, told = tracking_uri or default_uri(store), Told(store, sweep_cells.sweep.name)
    cells, asked = sweep_cells.frame(), asked_text(sweep_cells.sweep)
    files = [*sheets, *([] if report is None else [report])]
    content = content_hash((uri, asked, hash_of(cells)), tables or {}, files)
    is_local = uri == _local_uri(store)
    known = told.run(content) if is_local else None
    if known is not None:  # without importing MLflow, which takes longer than all the rest
        return Tracked(*known)
    begins()
    if is_local:
        _refuse_damaged(store.root / "mlflow.db")
    with _quiet(), _tracking_errors(uri), _settled_at_the_end(store) if is_local else nullcontext():
        client = _client(uri)
        experiment = _experiment(client, uri, store)
        run = SweepRuns(client, experiment, store, sweep_cells).write(sheets, tables or {}, report)
    if is_local:
        told.keep(experiment, run, content)
    return Tracked(experiment, run)


def _client(uri: str) -> MlflowClient:
    with collector_paused():  # what is imported stays; a client makes its database at once
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=uri)


def default_uri(store: Store) -> str:
    """Return where runs are tracked: `MLFLOW_TRACKING_URI`, or a database in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _local_uri(store)


def _local_uri(store: Store) -> str:
    return f"sqlite:///{(store.root / 'mlflow.db').resolve().as_posix()}"


def ui_command(store: Store) -> list[str]:
    """Return the command that shows a results folder's runs in a browser, on this machine only.

    Raises:
        TrackingError: the runs are on a server, which has a page of its own.
    """
    uri = default_uri(store)
    if uri.startswith(("http://", "https://")):
        raise TrackingError(f"the runs are on a server: open {uri} in a browser")
    artifacts = (store.root / "mlartifacts").resolve().as_uri()
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--workers", "1"]
    return [*command, "--backend-store-uri", uri, "--default-artifact-root", artifacts]


def experiment_page(store: Store, arguments: Sequence[str] = ()) -> str:
    """Return the address at which `ui_command` shows the runs of a results folder; that of the server for none yet.

    Args:
        store: the results folder.
        arguments: those of `mlflow ui`, which may choose a port.
    """
    words = [word for argument in arguments for word in argument.split("=", 1)]
    ports = [after for word, after in pairwise(words) if word in ("--port", "-p")]
    address = f"http://127.0.0.1:{ports[-1] if ports else 5000}"
    path = default_uri(store).removeprefix("sqlite:///")
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as database:
        wanted = "SELECT experiment_id FROM experiments WHERE name = ?"
        for (experiment,) in database.execute(wanted, (EXPERIMENT,)):
            return f"{address}/#/experiments/{experiment}/runs"
    return address


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's chatter and its libraries' deprecations away from the user, and its waits short."""
    added = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    os.environ.update(added)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _silence()
            yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _silence() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _tracking_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow and what lies below it raise into errors of one line."""
    try:
        # Imported here and not at the top, because this takes 2.5 s; it also sets its loggers' levels.
        from alembic.util import CommandError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise TrackingError(
            f"MLflow cannot be imported ({error}): pip install mlflow, "
            "or run with --tracking none and call nidbench sync where it is installed"
        ) from error
    _silence()
    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        raise _unwritable(uri, _reason(error)) from error


def _unwritable(uri: str, reason: str) -> TrackingError:
    return TrackingError(
        f"MLflow at {uri} cannot be written ({reason}): the records are complete; put that right, then call "
        "nidbench sync"
    )


def _refuse_damaged(path: Path) -> None:
    """Refuse a database that is none: MLflow would wait for it for minutes.

    Raises:
        TrackingError: saying so.
    """
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:  # it is locked, or not to be opened: MLflow says what there is to say
        return
    except sqlite3.DatabaseError as error:
        raise _unwritable(f"sqlite:///{path}", str(error)) from error


@contextmanager
def _settled_at_the_end(store: Store) -> Iterator[None]:
    """Let the results folder's own database wait for the disk once, and not at each of a hundred changes.

    It is made from the records, and can be again: what a power cut takes of it in between is no loss.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def unwaiting(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", unwaiting)
    try:
        yield
    finally:
        event.remove(Engine, "connect", unwaiting)
    settle([store.root / "mlflow.db"])


def _reason(error: Exception) -> str:
    """Return the line of an error that says why; SQLAlchemy puts advice to programmers before it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "Error) " in line), next(iter(lines), type(error).__name__))[:300]


def _experiment(client: MlflowClient, uri: str, store: Store) -> str:
    """Return the id of the experiment, made where there is none."""
    from mlflow.exceptions import MlflowException

    location = (store.root / "mlartifacts").resolve().as_uri() if uri.startswith("sqlite:") else None
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException:  # another process was faster, or the reason shows below
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                raise
    if uri == _local_uri(store) and experiment.artifact_location != location:
        raise TrackingError(
            f"{store.root / 'mlflow.db'} was made elsewhere and keeps its files in {experiment.artifact_location}: "
            "delete it, then call nidbench sync to make it anew from the records"
        )
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)
