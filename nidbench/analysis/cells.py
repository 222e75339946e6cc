"""The cells of a sweep, read once, and a row for each of them under a metric protocol.

Commands read a sweep with `SweepCells.read`, take a frame of it for each protocol they need, and render frames:

    sweep_cells = SweepCells.read(store, store.sweep("ours-dip-sample-1f2e3d"))
    cells = sweep_cells.frame("half-kernel")
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nidbench.errors import ResultsError
from nidbench.records import Planned, Record, Store, Sweep, error_line
from nidbench.registry.entry_points import declared_versions
from nidbench.registry.fingerprint import fingerprint
from nidbench.scoring import protocols
from nidbench.scoring.measures import MEASURES
from nidbench.scoring.protocols import DEFAULT
from nidbench.versions import outdated

from .groups import CASE

_TYPES: dict[str, Any] = {
    **dict.fromkeys(("label", "preset", "note", "dataset", "image", "kernel_set", "kernel", "noise"), "str"),
    **dict.fromkeys(("noise_seed", "seed"), "int64"),
    "status": "str",
    **dict.fromkeys(("psnr", "ssim", "input_psnr", "input_ssim"), "float64"),
    **dict.fromkeys(("oracle_psnr", "oracle_iteration", "end_psnr", "stop_psnr"), "float64"),
    **dict.fromkeys(MEASURES, "float64"),
    **dict.fromkeys(("seconds", "iterations"), "float64"),
    "stopped": "str",
    **dict.fromkeys(("batch", "peak_memory_mb"), "float64"),
    **dict.fromkeys(("device", "precision"), "str"),
    "threads": "float64",
    **dict.fromkeys(("declared", "response", "source"), "str"),
    "old": "str",
    **dict.fromkeys(("measurement_hash", "truth_hash", "kernel_hash", "image_hash"), "str"),
    **dict.fromkeys(("error", "finished", "id"), "str"),
}

#: What stands in a column where nothing is known.
_UNKNOWN = {name: "" if kind == "str" else math.nan for name, kind in _TYPES.items()}

#: Fields of a planned cell that are columns.
_PLANNED = ("label", "preset", "note", "declared", "source", "seed", "id")


@dataclass(frozen=True)
class ReadCell:
    """A cell of a sweep with its record as it was read.

    Attributes:
        planned: the cell as the sweep asks for it.
        record: how it ended, without its log; None where there is no record, or none that can be read.
        fault: in a line why a record that is there cannot be read; empty where it can.
    """

    planned: Planned
    record: Record | None = None
    fault: str = ""


@dataclass(frozen=True, eq=False)
class SweepCells:
    """A sweep and the records of its cells, each read once: what all tables of a command are made from.

    Attributes:
        sweep: the sweep.
        cells: its cells, in its order.
        declared_versions: method -> the version that it declares today, of the methods that are still there.
        fingerprints: method -> the fingerprint of its source today, where it is a plain file that is still there.
    """

    sweep: Sweep
    cells: Sequence[ReadCell]
    declared_versions: Mapping[str, int]
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    _frames: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def read(cls, store: Store, sweep: Sweep) -> SweepCells:
        """Read the records of a sweep; one that cannot be read costs no other.

        Args:
            store: the results folder.
            sweep: which of its sweeps.
        """
        known: dict[str, ReadCell] = {}  # by id: two labels may be one cell
        for planned in sweep.cells:
            if planned.id not in known:
                known[planned.id] = _read_cell(store, planned)
        cells = [ReadCell(planned, known[planned.id].record, known[planned.id].fault) for planned in sweep.cells]
        names = {planned.method for planned in sweep.cells}
        file = sweep.asked.get("method_file")
        return cls(sweep, cells, declared_versions(names, file), _fingerprints(file))

    def frame(self, protocol: str = DEFAULT.name) -> pd.DataFrame:
        """Return one row for each cell, whatever became of it.

        The columns, beside the names of the cell:

        - `status` is one of `records.STATUSES`, `missing` (no record) or `corrupt` (an unreadable one).
        - `psnr` and `ssim` are those of done cells under `protocol`, `input_*` those of the blurred image.
        - `oracle_psnr`, `end_psnr` and `stop_psnr` (the best point of the curve, its last one, the method's own stop)
          are always under half-kernel, as curves are.
        - `null_mse` and `seen_mse` are the parts of the mean squared error at frequencies that the kernel nearly erases
          (`null_share` of all) and at the others; `null_ratio`, `noisy_share` and `noisy_error` say more of what was
          hidden, see `scoring.null_band`.
        - `variance_correlation`, `mean_variance` and `coverage_*` say how far the method's variance tells its error,
          see `scoring.calibration`.
        - `brightness` is the mean of what was restored over that of the blurred image.
        - `chi_squared`, `whiteness`: of the residual, where there is no truth, see `scoring.residual`.
        - `seconds` are divided by `batch`, `peak_memory_mb` is in 10^6 bytes.
        - `source` is `computed`, or `files` where the restoration is a file that somebody submitted.
        - `old` says what has another version today: `method`, `an edited method file` (of the same version) or
          names of `nidbench.versions`, separated by commas; empty where nothing has.

        Numbers not known are NaN, text not known is empty. Cells of one measurement's name that were computed from
        other bytes, told another kernel or noise level, or scored against other sharp images, cannot be compared: they
        have no scores, and `old` says so. Nor have several done cells of one method, measurement and seed, such as of
        two precisions: their mean would be of neither.

        Args:
            protocol: the metric protocol's name.

        Raises:
            UnknownNameError: no such protocol.
        """
        name = protocols.protocol(protocol).name
        if name not in self._frames:
            rows = [_cell_row(cell, self.declared_versions, self.fingerprints, name) for cell in self.cells]
            frame = pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)
            self._frames[name] = _without_mixed_scores(frame)
        return self._frames[name].copy()  # callers may change theirs


def _fingerprints(file: str | None) -> dict[str, str]:
    """Return the fingerprint of a sweep's method file under its method's name; the file is read, never imported."""
    path = Path(file or "")
    if path.suffix != ".py" or not path.is_file():
        return {}
    try:
        return {path.stem: fingerprint(str(path))}
    except OSError:  # not ours to read: nothing is known of it
        return {}


def _read_cell(store: Store, planned: Planned) -> ReadCell:
    try:
        return ReadCell(planned, store.read(planned.id))
    except ResultsError as error:
        return ReadCell(planned, fault=error_line(str(error)))


#: What cells of one measurement must share -> what tables say of those that do not, and what to do about it.
SHARED = {
    "measurement_hash": ("measured on other bytes", "run the older sweep again"),
    "truth_hash": ("scored against other sharp images", "nidbench rescore scores them anew"),
    "kernel_hash": ("told another kernel", "run the older sweep again"),
    "image_hash": ("told another noise level", "run the older sweep again"),  # of the same bytes
}

#: What is said of done cells of one method, measurement and seed, such as of two sweeps shown as one.
SEVERAL = ("computed in several ways", "show their sweeps one by one")

#: What tables say of cells that cannot be compared -> what to do about it.
INCOMPARABLE = dict((*SHARED.values(), SEVERAL))

#: The columns that name a computation: two cells that share them are one method's with one seed.
_ONE_WAY = ["label", "preset", "declared", "seed", *CASE]


def _without_mixed_scores(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells, without scores of those that share their names and not their bytes, or not their way."""
    for column, (reason, _) in SHARED.items():
        same_bytes = cells["old"].str.contains(SHARED["measurement_hash"][0]).eq(False)  # others have that said
        known = cells[(cells[column] != "") & (same_bytes | (column == "truth_hash"))]
        several = known.groupby(CASE)[column].transform("nunique") > 1
        _withhold(cells, several[several].index, reason)
    done = cells[(cells["status"] == "done") & ~incomparable(cells)]
    several = done.groupby(_ONE_WAY)["id"].transform("nunique") > 1
    _withhold(cells, several[several].index, SEVERAL[0])
    return cells


def _withhold(cells: pd.DataFrame, mixed: pd.Index[Any], reason: str) -> None:
    """Take the scores of some of the cells away, and say why in `old`."""
    if len(mixed):
        before = cells.loc[mixed, "old"]
        cells.loc[mixed, "old"] = before.where(before == "", before + ", ") + reason
        cells.loc[mixed, list(_SCORES)] = math.nan


#: Columns of `SweepCells.frame` that compare with a truth.
_SCORES = ("psnr", "ssim", "input_psnr", "input_ssim", "oracle_psnr", "end_psnr", "stop_psnr", *MEASURES)


def _cell_row(
    cell: ReadCell, versions: Mapping[str, int], fingerprints: Mapping[str, str], protocol: str
) -> dict[str, Any]:
    planned, record, case = cell.planned, cell.record, cell.planned.case
    row: dict[str, Any] = _UNKNOWN.copy()
    row |= {name: getattr(case, name) for name in CASE}
    row |= {name: getattr(planned, name) for name in _PLANNED}
    row |= {"kernel_set": case.kernel_set, "status": "missing"}
    if cell.fault:
        return row | {"status": "corrupt", "error": cell.fault}
    if record is None:
        return row
    method = _old_method(record, versions, fingerprints)
    return row | _record_columns(record, protocol) | {"old": ", ".join((*method, *outdated(record.versions)))}


def _old_method(record: Record, versions: Mapping[str, int], fingerprints: Mapping[str, str]) -> tuple[str, ...]:
    """Return what `old` says of a record's method."""
    name, version = record.cell.method, record.cell.version
    if versions.get(name, version) != version:
        return ("method",)
    edited = record.source != "" and fingerprints.get(name, record.source) != record.source
    return ("an edited method file",) if edited and record.status == "done" else ()


def _record_columns(record: Record, protocol: str) -> dict[str, Any]:
    scores = record.scores if record.status == "done" else {}
    score, own_stop = scores.get(protocol), scores.get(DEFAULT.name)
    blurred, oracle, end = record.input_scores.get(protocol), record.oracle, record.end
    return {
        "status": record.status,
        "psnr": math.nan if score is None else score.psnr,
        "ssim": math.nan if score is None else score.ssim,
        "input_psnr": math.nan if blurred is None else blurred.psnr,
        "input_ssim": math.nan if blurred is None else blurred.ssim,
        "oracle_psnr": math.nan if oracle is None else oracle.psnr,
        "oracle_iteration": math.nan if oracle is None else oracle.iteration,
        "end_psnr": math.nan if end is None else end.psnr,
        "stop_psnr": math.nan if own_stop is None else own_stop.psnr,
        **{name: record.measures.get(name, math.nan) for name in MEASURES},
        "seconds": record.seconds,
        "iterations": record.iterations,
        "stopped": record.stopped,
        "batch": record.batch,
        "peak_memory_mb": None if record.peak_memory is None else record.peak_memory / 1e6,
        "device": record.cell.device,
        "precision": record.cell.precision,
        "threads": record.threads,
        "response": record.cell.response,
        "error": record.error,
        "measurement_hash": record.measurement_hash,
        "truth_hash": record.truth_hash,
        "kernel_hash": record.cell.kernel_hash,
        "image_hash": record.cell.image_hash,
        "finished": record.finished,
    }


def incomparable(cells: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows of `SweepCells.frame` have no scores, because others of their names are of something else."""
    return cells["old"].str.contains("|".join(INCOMPARABLE))


def counted(statuses: pd.Series[str]) -> str:
    """Return how many there are of each status: `2 failed, 1 missing`."""
    return ", ".join(f"{count} {status}" for status, count in statuses.value_counts().items())
