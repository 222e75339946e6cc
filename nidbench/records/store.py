"""A results folder: records, restorations and sweeps, each file whole or not there."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import DamagedError, ResultsError
from nidbench.whole_files import results_errors, write_whole

from .record import DAMAGE, FORMAT, Log, Record
from .sweep import Sweep, joined


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
        except DAMAGE as error:
            raise ResultsError(f'{marker} is damaged ({error}): write {{"format": {FORMAT}}} into it') from error
        if version > FORMAT:
            raise ResultsError(
                f"{marker.parent} was written by a newer nidbench (format {version}, this one reads {FORMAT}): "
                "upgrade with pip install -U nidbench, or give another --output"
            )

    def read(self, cell_id: str) -> Record | None:
        """Return a cell's record without its log, or None where it has none.

        Raises:
            DamagedError: where the record is there but damaged, or of another cell.
            ResultsError: where it cannot be read, or is of a newer format.
        """
        record = self._read(cell_id)
        return None if record is None else replace(record, log=None)

    def whole(self, cell_id: str) -> Record | None:
        """Return a cell's record with its log, or None where it has none; a log that is lost is empty.

        Raises:
            DamagedError: where record or log are there but damaged.
            ResultsError: where they cannot be read, or are of a newer format.
        """
        record = self._read(cell_id)
        if record is None or record.log is not None:
            return record
        path = self.root / "cells" / cell_id / "log.json"
        with _reading(path):
            try:
                return replace(record, log=Log.from_json(path.read_bytes()))
            except FileNotFoundError:
                return replace(record, log=Log())

    def _read(self, cell_id: str) -> Record | None:
        path = self.root / "cells" / cell_id / "record.json"
        with _reading(path):
            try:
                record = Record.from_json(path.read_bytes())
            except FileNotFoundError:
                return None
            if record.id != cell_id:
                raise ValueError(f"it is of the cell {record.id}")
            return record

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
            record: how the cell ended, with its log.
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
            write_whole(folder / "log.json", (record.log or Log()).to_json().encode())
            write_whole(folder / "record.json", record.to_json().encode())
        shutil.rmtree(self.work(record.id), ignore_errors=True)

    def update(self, record: Record) -> None:
        """Replace a record by one that says more of the same restoration; its arrays stay, and its log without another.

        Raises:
            ResultsError: where the folder cannot be written; the record is as before then.
        """
        folder = self.root / "cells" / record.id
        with results_errors(self.root):
            if record.log is not None:
                write_whole(folder / "log.json", record.log.to_json().encode())
            write_whole(folder / "record.json", record.to_json().encode())

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
        except DAMAGE as error:
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


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what reading a cell's file raises into errors that say what to do."""
    try:
        yield
    except ResultsError:
        raise
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from error
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        raise DamagedError(f"{path} is damaged ({reason}): rerun the sweep to compute the cell again") from error


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
