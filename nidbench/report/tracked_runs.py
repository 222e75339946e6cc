"""The runs of a sweep in MLflow, and what they hold.

A sweep is a parent run in the experiment `nidbench`; each method on each dataset, noise, declared level and seed is a
run below it. What has not changed since it was last written is left alone; what has is written anew in its place.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import named
from nidbench.analysis.summary import image_means, input_scores
from nidbench.errors import ResultsError
from nidbench.records import Log, Record, Store, Sweep
from nidbench.scoring.measures import MEASURES
from nidbench.scoring.protocols import DEFAULT

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

_T = TypeVar("_T")

#: Raised when runs get other content, so that those there are get written again.
LAYOUT = 4

#: What one child run is about.
CHILD = ["label", "preset", "dataset", "noise", "declared", "seed"]

_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100
_PAGE = 1000


class SweepRuns:
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
        output = _quotable(store.root.resolve().as_posix())
        self._tags = {"nidbench.sweep": self._sweep.name, "nidbench.output": output}

    def write(self, sheets: Sequence[Path], tables: Mapping[str, str], report: Path | None) -> str:
        """Write the parent and whichever children have changed, and return the parent's id."""
        cells, parent, others = self._cells, self._parent(), self._children()
        for _, child_cells in cells.groupby(CHILD, sort=False):
            content = hash_of(child_cells)
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
        from .html.pictures import levels  # here and not at the top, because of the libraries that draw

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
        run_id, content = parent.info.run_id, hash_of(cells)
        changed = parent.data.tags.get("nidbench.cell_set_hash") != content
        if changed:
            self._log(run_id, {}, _counts(cells) | _of_methods(cells), int(time.time() * 1000))
            self._client.log_text(run_id, cells.to_csv(index=False), "cells.csv")
            self._client.log_text(run_id, asked_text(self._sweep), "asked.json")
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


def _quotable(value: str) -> str:
    """Return a value that `_quoted` can quote: of one with both quotes, the double ones are written as in addresses."""
    return value.replace('"', "%22") if "'" in value else value


def _quoted(value: str) -> str:
    """Return a value as MLflow's filters want it: they have no escape for the quote that surrounds it."""
    return f'"{value}"' if "'" in value else f"'{value}'"


def _name(cells: pd.DataFrame) -> str:
    label, preset, dataset, noise, declared, seed = (str(cells[key].iloc[0]) for key in CHILD)
    other = "" if declared == "known" else f"declared {declared}"
    return " ".join(filter(None, (label, preset, dataset, noise, other, f"seed {seed}")))


def hash_of(cells: pd.DataFrame) -> str:
    """Return a hash of what runs hold of cells, from `SweepCells.frame`."""
    return hashlib.sha256(f"{LAYOUT}\n{cells.to_csv(index=False)}".encode()).hexdigest()[:20]


def asked_text(sweep: Sweep) -> str:
    """Return what a sweep was asked for as JSON text."""
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
    """Return PSNR and SSIM of each method as means over images, and its mean seconds of a cell, as `psnr/ours`.

    Where methods were told several noise levels, each level has its own: `psnr/ours declared x1.2`.
    """
    done = named(cells[cells["status"] == "done"])
    if cells["declared"].nunique() > 1:
        done = done.assign(method=done["method"] + " declared " + done["declared"])
    return {
        _key(f"{what}/{_plain(str(method))}"): float(value)
        for method, method_cells in done.groupby("method", sort=False)
        for what, value in _means(method_cells, ("psnr", "ssim"), ("seconds",)).items()
    }


def _means(done: pd.DataFrame, quality: Sequence[str], cost: Sequence[str]) -> dict[str, float]:
    """Return means of done cells: of quality over images, as in tables, of cost over cells."""
    by_image = image_means(done, quality)
    return {name: by_image[name].mean() for name in quality} | {name: done[name].mean() for name in cost}


def _plain(label: str) -> str:
    """Return a label in which a slash does not make a folder of MLflow's."""
    return label.replace("/", "_")


def _metrics(cells: pd.DataFrame) -> dict[str, float]:
    done = cells[cells["status"] == "done"]
    values = _means(done, ("psnr", "ssim", "oracle_psnr", "end_psnr", *MEASURES), ("seconds", "iterations"))
    inputs = input_scores(cells)
    values |= image_means(inputs.reset_index(), list(inputs.columns)).mean()
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
