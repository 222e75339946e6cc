"""What is kept of every cell: records, restorations and sweeps in a results folder, each file whole or not there.

    <output>/nidbench.json            the folder's format
    <output>/cells/<id>/record.json   how the cell ended; there only when everything else of the cell is
    <output>/cells/<id>/arrays.npz    the restoration and its variance, float32
    <output>/cells/<id>/kept.npz      what else was asked for: posterior draws, maps of layers
    <output>/work/<id>/               checkpoint and curve of a cell in flight
    <output>/sweeps/<name>.json       a list of cell ids and how they were asked for

Records are the truth; MLflow runs, tables and pictures are made from them and can be made again at any time.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import math
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import CaseKey, Setting
from .errors import DamagedError, ResultsError
from .metrics import Score

#: Raised when a newer nidbench writes what an older one cannot read.
FORMAT = 1

#: What reading JSON raises where it is cut off, overwritten or of another form.
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)

#: The ways a cell ends. `missing` and `corrupt` are said of cells without a readable record.
STATUSES = ("done", "failed", "timeout", "out-of-memory", "unstable")


@dataclass(frozen=True)
class Cell:
    """One unit of work: what determines its result, and nothing else.

    Attributes:
        method, version: which adapter.
        settings: all of its settings, resolved.
        case: the measurement's names, which key its noise.
        image_hash, kernel_hash: SHA-256 of their values.
        declared: what the method is told of the noise level.
        response: the camera's, as text.
        seed: method seed.
        precision: `float32` or `bf16`.
        device: kind of device, `cpu` or `cuda`.
    """

    method: str
    version: int
    settings: Mapping[str, Setting]
    case: CaseKey
    image_hash: str
    kernel_hash: str
    declared: str
    response: str
    seed: int
    precision: str
    device: str

    @property
    def id(self) -> str:
        """SHA-256 of all of it, 20 hexadecimal digits."""
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Point:
    """One observation of an estimate on the way.

    Attributes:
        iteration: iterations done.
        seconds: time spent on them.
        psnr, ssim: under the half-kernel protocol.
    """

    iteration: int
    seconds: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Record:
    """How a cell ended.

    Attributes:
        id: the cell's.
        cell: what determined it.
        status: one of `STATUSES`.
        scores: protocol name -> score of the restoration at the method's own stop; empty unless done, or without truth.
        input_scores: protocol name -> score of the blurred input.
        curve: observations on the way, by iteration.
        passes: (n, PSNR of the mean of the first n posterior draws), where the method sampled.
        seconds: time of the method, divided by `batch`.
        iterations: steps done.
        stopped: why it ended.
        batch: cells fitted side by side.
        peak_memory: largest resident size of the computing process in the cell, in bytes; on CUDA that of the device.
        threads: CPU threads.
        resumed: times that the cell went on from a checkpoint.
        measurement_hash: SHA-256 of the blurred image's bytes.
        fingerprint: of the method's source.
        details: what else the method tells.
        error: message or traceback where it failed.
        environment: versions and machine.
        finished: UTC time, ISO 8601.
        measures: what else is known of the restoration, by the names of `scoring.MEASURES`; without what has
            no truth, no variance or no defined value.
        kept: what the method was asked to hand over besides, see `run.KEEPS`; `kept.npz` holds what it had of that.
    """

    id: str
    cell: Cell
    status: str
    scores: Mapping[str, Score] = field(default_factory=dict)
    input_scores: Mapping[str, Score] = field(default_factory=dict)
    curve: Sequence[Point] = ()
    passes: Sequence[tuple[int, float]] = ()
    seconds: float | None = None
    iterations: int | None = None
    stopped: str = ""
    batch: int = 1
    peak_memory: int | None = None
    threads: int | None = None
    resumed: int = 0
    measurement_hash: str = ""
    fingerprint: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    finished: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    kept: Sequence[str] = ()

    @property
    def oracle(self) -> Point | None:
        """The best point of the curve: what someone who knows the truth would have picked."""
        finite = [point for point in self.curve if math.isfinite(point.psnr)]
        return max(finite, key=lambda point: point.psnr, default=None)

    @property
    def end(self) -> Point | None:
        """The last point of the curve."""
        return self.curve[-1] if self.curve else None

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=True)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read `to_json`'s text.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: where it is not a whole record.
        """
        content = json.loads(text)
        if content.pop("format") > FORMAT:
            raise ResultsError("the record was written by a newer nidbench: upgrade with pip install -U nidbench")
        content["cell"] = Cell(**{**content["cell"], "case": CaseKey(**content["cell"]["case"])})
        for name in ("scores", "input_scores"):
            content[name] = {protocol: Score(**score) for protocol, score in content[name].items()}
        content["curve"] = tuple(Point(**point) for point in content["curve"])
        content["passes"] = tuple((int(n), float(value)) for n, value in content["passes"])
        content["kept"] = tuple(content.get("kept", ()))  # not in the first records
        return cls(**content)


#: The note of planned cells whose restorations are files, see `restorations`.
FROM_FILES = "restored elsewhere, scored from files"


@dataclass(frozen=True)
class Planned:
    """A cell as a sweep asks for it.

    Attributes:
        id: the cell's.
        label: the method as tables name it, such as `ours:no-sa`.
        preset: the one in force.
        note: what tables should say, such as that the preset asked for does not exist.
        case: the measurement.
        declared: what the method is told of the noise level.
        seed: method seed.
        method: registered name.
    """

    id: str
    label: str
    preset: str
    note: str
    case: CaseKey
    declared: str
    seed: int
    method: str


@dataclass(frozen=True)
class Sweep:
    """A list of cells and how they were asked for.

    Attributes:
        name: the file's.
        asked: the options of the command, as text or lists of text.
        cells: in the order of computation.
    """

    name: str
    asked: Mapping[str, Any]
    cells: Sequence[Planned]

    def to_json(self) -> str:
        """Return the sweep as JSON text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Sweep:
        """Read `to_json`'s text."""
        content = json.loads(text)
        if content.pop("format") > FORMAT:
            raise ResultsError("the sweep was written by a newer nidbench: upgrade with pip install -U nidbench")
        cells = [Planned(**{**cell, "case": CaseKey(**cell["case"])}) for cell in content["cells"]]
        return cls(content["name"], content["asked"], cells)


def joined(sweeps: Sequence[Sweep]) -> Sweep:
    """Return the cells of several sweeps of one folder as one sweep, each once; `asked` is that of the first.

    Its experiments are those of all, so that all measurements can be made again.
    """
    first = sweeps[0]
    experiments = [asked for sweep in sweeps for asked in sweep.asked["experiments"]]
    files = [file for sweep in sweeps if (file := sweep.asked.get("method_file"))]
    asked = {**first.asked, "experiments": experiments, "method_file": files[0] if files else ""}
    cells = {(cell.id, cell.label): cell for sweep in sweeps for cell in sweep.cells}
    return Sweep("+".join(sweep.name for sweep in sweeps), asked, list(cells.values()))


class Store:
    """A results folder.

    Args:
        root: the folder; created where it does not exist.
        create: False to refuse a folder that is not one of results.

    Raises:
        ResultsError: where it cannot be used, or is of a newer format.
    """

    def __init__(self, root: Path | str, *, create: bool = True) -> None:
        self.root = Path(root)
        marker = self.root / "nidbench.json"
        with results_errors(self.root):
            if marker.exists():
                self._check_format(marker)
            elif create:
                self.root.mkdir(parents=True, exist_ok=True)
                write_whole(marker, json.dumps({"format": FORMAT}).encode())
            else:
                raise ResultsError(f"{self.root} holds no nidbench results: give the --output folder of a run")

    @staticmethod
    def _check_format(marker: Path) -> None:
        try:
            version = int(json.loads(marker.read_text())["format"])
        except _DAMAGE as error:
            raise ResultsError(f'{marker} is damaged ({error}): write {{"format": {FORMAT}}} into it') from error
        if version > FORMAT:
            raise ResultsError(
                f"{marker.parent} was written by a newer nidbench (format {version}, this one reads {FORMAT}): "
                "upgrade with pip install -U nidbench, or give another --output"
            )

    def read(self, cell_id: str) -> Record | None:
        """Return a cell's record, or None where it has none.

        Raises:
            DamagedError: where the record is there but damaged.
            ResultsError: where it cannot be read, or is of a newer format.
        """
        path = self.root / "cells" / cell_id / "record.json"
        try:
            return Record.from_json(path.read_text())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResultsError(f"{path} cannot be read: {error.strerror}") from error
        except _DAMAGE as error:
            raise DamagedError(
                f"{path} is damaged ({type(error).__name__}: {error}): rerun the sweep to compute the cell again"
            ) from error

    def set_aside(self, cell_id: str) -> Path:
        """Rename a damaged record, so that its cell counts as missing; return its new place."""
        path = self.root / "cells" / cell_id / "record.json"
        with results_errors(self.root):
            return path.rename(path.with_suffix(".damaged"))

    def write(
        self, record: Record, arrays: Mapping[str, NDArray[Any]], kept: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        """Keep a record and its arrays, replacing those of an earlier attempt, and forget the cell's work folder.

        Args:
            record: how the cell ended.
            arrays: what `arrays` returns, stored as float32.
            kept: what `kept` returns, stored as it is; None where nothing was asked for.

        Raises:
            ResultsError: where the folder cannot be written, as on a full disk; the work folder is kept then.
        """
        folder = self.root / "cells" / record.id
        with results_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "record.json").unlink(missing_ok=True)
            if arrays:
                single = {name: array.astype(np.float32) for name, array in arrays.items()}
                write_whole(folder / "arrays.npz", _packed(single))
            (folder / "kept.npz").unlink(missing_ok=True)
            if kept is not None:
                write_whole(folder / "kept.npz", _packed(kept))
            write_whole(folder / "record.json", record.to_json().encode())
        shutil.rmtree(self.work(record.id), ignore_errors=True)

    def update(self, record: Record) -> None:
        """Replace a record by one that says more of the same restoration; its arrays stay.

        Raises:
            ResultsError: where the folder cannot be written; the record is as before then.
        """
        with results_errors(self.root):
            write_whole(self.root / "cells" / record.id / "record.json", record.to_json().encode())

    def has_arrays(self, cell_id: str) -> bool:
        """Return whether a restoration of the cell is stored, whole or not."""
        return (self.root / "cells" / cell_id / "arrays.npz").exists()

    def arrays(self, cell_id: str) -> dict[str, NDArray[np.float32]]:
        """Return what a cell's method restored: `image` and, where it has one, `variance`, Shape (C, H, W).

        Raises:
            ResultsError: where they are missing or damaged.
        """
        return _unpacked(self.root / "cells" / cell_id / "arrays.npz")

    def kept(self, cell_id: str) -> dict[str, NDArray[Any]]:
        """Return what a cell was asked to keep besides.

        `draws` are the posterior draws, Shape (n, C, H, W), float16; other names are the method's own, such as
        `layer 01`. Names that do not occur had nothing to be kept.

        Raises:
            ResultsError: where it is missing or damaged.
        """
        return _unpacked(self._kept_file(cell_id))

    def holds(self, record: Record, wanted: Iterable[str]) -> bool:
        """Return whether a cell was asked to keep all that is wanted, and what it kept is still there."""
        asked = set(wanted)
        return not asked or (asked <= set(record.kept) and self._kept_file(record.id).exists())

    def _kept_file(self, cell_id: str) -> Path:
        return self.root / "cells" / cell_id / "kept.npz"

    def work(self, cell_id: str) -> Path:
        """Return the folder for a cell's unfinished work."""
        return self.root / "work" / cell_id

    def write_sweep(self, sweep: Sweep) -> Path:
        """Keep a sweep under its name and return its file."""
        path = self.root / "sweeps" / f"{sweep.name}.json"
        with results_errors(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, sweep.to_json().encode())
        return path

    def sweep_names(self) -> list[str]:
        """Return the names of the sweeps, latest first."""
        paths = list((self.root / "sweeps").glob("*.json"))
        return [path.stem for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]

    def sweep(self, name: str) -> Sweep:
        """Return a sweep by name, or several as one: `first+second`.

        Raises:
            ResultsError: where there is none of that name, or it is damaged.
        """
        if "+" in name:
            return joined([self.sweep(part) for part in name.split("+")])
        path = self.root / "sweeps" / f"{name}.json"
        try:
            return Sweep.from_json(path.read_text())
        except FileNotFoundError:
            known = ", ".join(self.sweep_names()) or "none yet"
            raise ResultsError(f"no sweep {name!r} in {self.root}: there are {known}") from None
        except _DAMAGE as error:
            raise ResultsError(f"{path} is damaged ({error}): run the same command again to write it anew") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the folder.

        Raises:
            ResultsError: where another run is in it, or it cannot be written.
        """
        with results_errors(self.root):
            handle = (self.root / ".lock").open("a+")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                handle.seek(0)
                raise ResultsError(
                    f"another run (process {handle.read().strip() or 'unknown'}) is writing to {self.root}: "
                    "wait for it, or give another --output"
                ) from None
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    content = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(content, **named)
    return content.getvalue()


def _unpacked(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # not np.load(path): it leaves damaged files open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise ResultsError(f"{path} cannot be read ({error}): delete its folder and rerun the sweep") from error


@contextmanager
def results_errors(root: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        remedies = {
            errno.ENOSPC: "the disk is full: free some space, then run the same command again; finished cells are kept",
            errno.EDQUOT: "the quota is spent: free some space, then run the same command again; finished cells stay",
            errno.EROFS: "it is read-only: give another --output",
            errno.EACCES: "permission is denied: give another --output, or change the folder's permissions",
            errno.ENOTDIR: "a file is in the way: give another --output",
            errno.EEXIST: "a file is in the way: give another --output",
        }
        remedy = remedies.get(error.errno or 0, f"{error.strerror or error}: give another --output")
        raise ResultsError(f"cannot write to {root}: {remedy}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is, even after a power cut, either whole or as before."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def array_hash(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and values."""
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()
