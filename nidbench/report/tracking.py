"""MLflow's view of a sweep, made from its records and remade at any time: the only module that knows of MLflow.

A sweep is a parent run in the experiment `nidbench`; each method on each dataset, noise and seed is a run below it.
What has not changed since it was last written is left alone; what has is written anew in place of the old.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import sqlite3
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import CASE, named
from nidbench.errors import NidbenchError, ResultsError
from nidbench.records import Log, Record, Store, Sweep
from nidbench.scoring.protocols import DEFAULT
from nidbench.scoring.scorer import MEASURES

from .html.pictures import levels
from .told import Told, content_hash

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

_T = TypeVar("_T")

EXPERIMENT = "nidbench"

#: Raised when runs get other content, so that those there are get written again.
LAYOUT = 3

#: What one child run is about.
CHILD = ["label", "preset", "dataset", "noise", "declared", "seed"]

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
_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100
_PAGE = 1000


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
    cells, asked = sweep_cells.frame(), _asked(sweep_cells.sweep)
    files = [*sheets, *([] if report is None else [report])]
    content = content_hash((uri, asked, _hash(cells)), tables or {}, files)
    is_local = uri == _local_uri(store)
    known = told.run(content) if is_local else None
    if known is not None:  # without importing MLflow, which takes longer than all the rest
        return Tracked(*known)
    begins()
    with _quiet(), _tracking_errors(uri):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, uri, store)
        run = _Sync(client, experiment, store, sweep_cells).write(sheets, tables or {}, report)
    if is_local:
        told.keep(experiment, run, content)
    return Tracked(experiment, run)


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
        raise TrackingError(
            f"MLflow at {uri} cannot be written ({_reason(error)}): the records are complete; "
            "put that right, then call nidbench sync"
        ) from error


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


class _Sync:
    """Brings MLflow up to date with one sweep.

    Args:
        client: of the server or database.
        experiment: its id.
        store: the results folder.
        sweep_cells: what is written.
    """

    def __init__(self, client: MlflowClient, experiment: str, store: Store, sweep_cells: SweepCells) -> None:
        self._client, self._experiment, self._store = client, experiment, store
        self._sweep, self._cells = sweep_cells.sweep, sweep_cells.frame()
        self._records = {cell.planned.id: cell.record for cell in sweep_cells.cells}
        # The folder is part of a sweep's identity: on one server the sweeps of several may have the same name.
        self._tags = {"nidbench.sweep": self._sweep.name, "nidbench.output": store.root.resolve().as_posix()}

    def write(self, sheets: Sequence[Path], tables: Mapping[str, str], report: Path | None) -> str:
        """Write the parent and whichever children have changed, and return the parent's id."""
        cells, parent, others = self._cells, self._parent(), self._children()
        for _, child_cells in cells.groupby(CHILD, sort=False):
            content = _hash(child_cells)
            name = _name(child_cells)
            old = others.pop(name, None)
            if old is not None and old.data.tags.get("nidbench.cell_set_hash") == content:
                self._adopt(old, parent.info.run_id)
                continue
            self._write_child(name, child_cells, parent.info.run_id, content)
            if old is not None:  # last, so that an interruption leaves one run too many rather than none
                self._client.delete_run(old.info.run_id)
        for leftover in others.values():
            self._client.delete_run(leftover.info.run_id)
        self._write_parent(parent, cells, sheets, tables, report)
        return str(parent.info.run_id)

    def _adopt(self, child: Run, parent: str) -> None:
        """Give a child to the parent, where an earlier one was deleted."""
        if child.data.tags.get("mlflow.parentRunId") != parent:
            self._client.set_tag(child.info.run_id, "mlflow.parentRunId", parent)

    def _search(self, role: str) -> list[Run]:
        tags = self._tags | {"nidbench.role": role}
        wanted = " and ".join(f"tags.`{name}` = {_quoted(value)}" for name, value in tags.items())
        page = self._client.search_runs([self._experiment], wanted, max_results=_PAGE)
        runs = list(page)
        while page.token:
            page = self._client.search_runs([self._experiment], wanted, max_results=_PAGE, page_token=page.token)
            runs += page
        return runs

    def _parent(self) -> Run:
        parents = self._search("sweep")
        if parents:
            return parents[0]
        tags = self._tags | {"nidbench.role": "sweep"}
        return self._client.create_run(self._experiment, tags=tags, run_name=self._sweep.name)

    def _children(self) -> dict[str, Run]:
        """Return the child runs by name; of duplicates, which an interruption can leave, the newest."""
        runs: dict[str, Run] = {}
        for run in self._search("method"):  # newest first
            name = run.data.tags["mlflow.runName"]
            if name in runs:
                self._client.delete_run(run.info.run_id)
            else:
                runs[name] = run
        return runs

    def _write_child(self, name: str, child_cells: pd.DataFrame, parent: str, content: str) -> None:
        records = [record for record in map(self._read, child_cells["id"]) if record is not None]
        start, end = _times(child_cells)
        about = {key: str(child_cells[key].iloc[0]) for key in CHILD}
        tags = self._tags | {"nidbench.role": "method", "mlflow.parentRunId": parent}
        tags |= {f"nidbench.{key}": value for key, value in about.items() if value}
        run = self._client.create_run(self._experiment, start_time=start, tags=tags, run_name=name)
        run_id = run.info.run_id
        self._log(run_id, _params(about, records), _metrics(child_cells), end)
        self._log_curve(run_id, records, end)
        self._client.log_text(run_id, child_cells.to_csv(index=False), "cells.csv")
        self._log_picture(run_id, records)
        # The hash goes last: a run without it was cut off while it was written, and is written again.
        self._client.set_tag(run_id, "nidbench.cell_set_hash", content)
        self._client.set_terminated(run_id, _status(child_cells), end)

    def _read(self, cell_id: str) -> Record | None:
        record = self._records[cell_id]
        try:
            return None if record is None else self._store.with_log(record)
        except ResultsError:  # `cells.csv` says so
            return None

    def _log(self, run_id: str, params: Mapping[str, str], values: Mapping[str, float], when: int) -> None:
        from mlflow.entities import Metric, Param, RunTag

        # MLflow stores infinity as a large number, and a mean that does not exist had better not be there.
        metrics = [Metric(name, value, when, 0) for name, value in values.items() if math.isfinite(value)]
        tags = [RunTag(f"nidbench.{name}", str(value)) for name, value in values.items() if math.isinf(value)]
        entries = [Param(_key(name), value) for name, value in params.items() if value]
        self._client.log_batch(run_id, metrics=metrics, tags=tags)
        for chunk in _chunks(entries, _PARAMS_PER_BATCH):
            self._client.log_batch(run_id, params=chunk)

    def _log_curve(self, run_id: str, records: Sequence[Record], when: int) -> None:
        metrics = list(_curve(records, when))
        for chunk in _chunks(metrics, _METRICS_PER_BATCH):
            self._client.log_batch(run_id, metrics=chunk)

    def _log_picture(self, run_id: str, records: Sequence[Record]) -> None:
        """Keep the restoration of the first done cell, x on [0, 1] in 8 bit, to be recognised by."""
        for record in records:
            if record.status == "done" and self._store.file(record, "arrays.npz") is not None:
                with suppress(ResultsError, KeyError):  # it is a view: records say what is wrong with their arrays
                    shown = levels(self._store.arrays(record.id)["image"])
                    if len(shown) in (1, 3):
                        self._client.log_image(run_id, shown.transpose(1, 2, 0), artifact_file="restoration.png")
                return

    def _write_parent(
        self,
        parent: Run,
        cells: pd.DataFrame,
        sheets: Sequence[Path],
        tables: Mapping[str, str],
        report: Path | None,
    ) -> None:
        run_id, content = parent.info.run_id, _hash(cells)
        changed = parent.data.tags.get("nidbench.cell_set_hash") != content
        if changed:
            self._log(run_id, {}, _counts(cells) | _of_methods(cells), int(time.time() * 1000))
            self._client.log_text(run_id, cells.to_csv(index=False), "cells.csv")
            self._client.log_text(run_id, _asked(self._sweep), "asked.json")
            self._client.log_dict(run_id, self._environments(cells), "environment.json")
        for name, text in tables.items():
            self._client.log_text(run_id, text, f"tables/{name}")
        if report is not None:
            self._client.log_artifact(run_id, str(report))
        known = _files(self._client, run_id, "sheets")
        for path in sheets:
            if changed or known.get(f"sheets/{path.name}") != path.stat().st_size:
                self._client.log_artifact(run_id, str(path), "sheets")
        if changed:
            self._client.set_tag(run_id, "nidbench.cell_set_hash", content)
            self._client.set_terminated(run_id, _status(cells))

    def _environments(self, cells: pd.DataFrame) -> dict[str, Any]:
        """Return each environment that computed cells, with how many of them."""
        counts: dict[str, int] = defaultdict(int)
        for record in map(self._read, cells["id"].unique()):
            if record is not None:
                counts[json.dumps(dict(_log(record).environment), sort_keys=True)] += 1
        environments = [{"cells": count, "environment": json.loads(text)} for text, count in counts.items()]
        return {"environments": environments}


def _log(record: Record) -> Log:
    return record.log or Log()


def _quoted(value: str) -> str:
    """Return a value as MLflow's filters want it: they have no escape for the quote that surrounds it."""
    return f'"{value}"' if "'" in value else f"'{value}'"


def _name(cells: pd.DataFrame) -> str:
    label, preset, dataset, noise, declared, seed = (str(cells[key].iloc[0]) for key in CHILD)
    other = "" if declared == "known" else f"declared {declared}"
    return " ".join(filter(None, (label, preset, dataset, noise, other, f"seed {seed}")))


def _hash(cells: pd.DataFrame) -> str:
    return hashlib.sha256(f"{LAYOUT}\n{cells.to_csv(index=False)}".encode()).hexdigest()[:20]


def _asked(sweep: Sweep) -> str:
    return json.dumps(sweep.asked, indent=1, default=str)


def _status(cells: pd.DataFrame) -> str:
    """Return MLflow's word for how far a run came: missing cells were never reached."""
    statuses = set(cells["status"])
    return "FINISHED" if statuses <= {"done"} else "KILLED" if statuses <= {"done", "missing"} else "FAILED"


def _times(cells: pd.DataFrame) -> tuple[int, int]:
    """Return start and end in milliseconds since 1970: the last cell's end, and the computing time before it."""
    ended = [when for when in map(_milliseconds, cells["finished"]) if when is not None]
    end = max(ended, default=int(time.time() * 1000))
    return end - int(1000 * cells["seconds"].sum()), end


def _milliseconds(text: str) -> int | None:
    try:
        return int(1000 * datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def _counts(cells: pd.DataFrame) -> dict[str, float]:
    missing, done = (cells["status"] == "missing").sum(), (cells["status"] == "done").sum()
    return {"cells": len(cells), "done": done, "missing": missing, "failures": len(cells) - done - missing}


def _of_methods(cells: pd.DataFrame) -> dict[str, float]:
    """Return the mean PSNR, SSIM and seconds of each method over all its done cells, as `psnr/ours`.

    Where methods were told several noise levels, each level has its own: `psnr/ours declared x1.2`.
    """
    done = named(cells[cells["status"] == "done"])
    if cells["declared"].nunique() > 1:
        done = done.assign(method=done["method"] + " declared " + done["declared"])
    means = done.groupby("method", sort=False)[["psnr", "ssim", "seconds"]].mean()
    return {
        _key(f"{what}/{_plain(str(method))}"): float(value)
        for method, row in means.iterrows()
        for what, value in row.items()
    }


def _plain(label: str) -> str:
    """Return a label in which a slash does not make a folder of MLflow's."""
    return label.replace("/", "_")


def _metrics(cells: pd.DataFrame) -> dict[str, float]:
    done = cells[cells["status"] == "done"]
    means = ("psnr", "ssim", "oracle_psnr", "end_psnr", "seconds", "iterations", *MEASURES)
    inputs = cells.groupby(CASE, sort=False)[["input_psnr", "input_ssim"]].first()
    values = {name: done[name].mean() for name in means} | {name: inputs[name].mean() for name in inputs.columns}
    values |= {"peak_memory_mb": done["peak_memory_mb"].max()} | _counts(cells)
    return {name: float(value) for name, value in values.items()}


def _params(about: Mapping[str, str], records: Sequence[Record]) -> dict[str, str]:
    """Return what the cells have in common as text; where they differ, all there is of it."""
    texts: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        cell = record.cell
        values: dict[str, Any] = {"method": cell.method, "version": cell.version, "declared": cell.declared}
        values |= {"response": cell.response, "precision": cell.precision, "device": cell.device}
        values |= {"threads": record.threads, "batch": record.batch}
        values |= {f"settings.{name}": value for name, value in cell.settings.items()}
        values |= {f"version.{what}": version for what, version in record.versions.items()}
        values |= {f"environment.{name}": value for name, value in _log(record).environment.items()}
        for name, value in values.items():
            texts[name][str(value)] = None
    joined = {name: " | ".join(values) for name, values in texts.items()}
    return dict(about) | {"protocol": DEFAULT.name} | joined


def _curve(records: Sequence[Record], when: int) -> Iterator[Metric]:
    """Yield the mean PSNR of the cells observed at each iteration, and how many they are: cells differ in length."""
    from mlflow.entities import Metric

    values: dict[int, list[float]] = defaultdict(list)
    for record in records:
        for point in _log(record).curve:
            if math.isfinite(point.psnr):
                values[point.iteration].append(point.psnr)
    for iteration, psnr in sorted(values.items()):
        yield Metric("curve/psnr", sum(psnr) / len(psnr), when, iteration)
        yield Metric("curve/cells", float(len(psnr)), when, iteration)


def _key(name: str) -> str:
    """Return a name as MLflow takes it."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:250]


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _files(client: MlflowClient, run_id: str, folder: str) -> dict[str, int | None]:
    """Return the files that a run keeps in a folder, with their sizes."""
    return {file.path: file.file_size for file in client.list_artifacts(run_id, folder)}
