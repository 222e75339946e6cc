"""The cells of a results folder: of each a record, and what is beside it, each file whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import DamagedError, ResultsError
from nidbench.system.signals import shielded
from nidbench.system.whole_files import results_errors, write_naming, write_whole

from .attempts import ARRAYS, file_name, forget_others, packed, unpacked
from .mark import Mark
from .record import DAMAGE, Log, Record
from .results_root import ResultsRoot


class CellFiles(ResultsRoot):
    """The cells of a results folder.

    A record that was read is kept in memory, and read again only where its file is another by now: the steps of a
    command that look at all records of a sweep read each of them once.
    """

    def __init__(self, root: Path | str, *, create: bool = True) -> None:
        super().__init__(root, create=create)
        self._known: dict[str, tuple[Mark, Record]] = {}

    def read(self, cell_id: str) -> Record | None:
        """Return a cell's record without its log, or None where it has none.

        Raises:
            DamagedError: where the record is there but damaged, or of another cell.
            ResultsError: where it cannot be read, or is of a newer format.
        """
        known = self._known.get(cell_id)
        if known is not None:
            with suppress(OSError):  # reading it says what is wrong
                if Mark.of(os.stat(self._record_path(cell_id))) == known[0]:  # noqa: PTH116 - see `_record_path`
                    return known[1]
        return self._read_anew(cell_id)

    def _read_anew(self, cell_id: str) -> Record | None:
        self._known.pop(cell_id, None)
        found = self._read(cell_id)
        if found is None:
            return None
        mark, record = found
        if record.log is not None:  # of the first format
            record = replace(record, log=None)
        if mark.is_settled:
            self._known[cell_id] = mark, record
        return record

    def whole(self, cell_id: str) -> Record | None:
        """Return a cell's record with its log, or None where it has none; a log that is lost is empty.

        Raises:
            DamagedError: where record or log are there but damaged.
            ResultsError: where they cannot be read, or are of a newer format.
        """
        record = self._with_its_log(cell_id)
        if record is None or record.log is not None:
            return record
        log = self._log(record)
        if log is None and self._attempt(cell_id) != record.attempt:  # it was computed again in between
            return self.whole(cell_id)
        return replace(record, log=log or Log())

    def with_log(self, record: Record) -> Record | None:
        """Return a record that was read before with its log; what is there now where it was replaced meanwhile.

        Only the log is read, unless the record has none beside it: one of the first format holds it itself.

        Raises:
            DamagedError: where the log is there but damaged.
            ResultsError: where it cannot be read, or is of a newer format.
        """
        log = self._log(record)
        return self.whole(record.id) if log is None else replace(record, log=log)

    def _log(self, record: Record) -> Log | None:
        """Return the log beside a record; None where there is none."""
        path = self._beside(record.id, "log.json", record.attempt)
        with _reading(path):
            try:
                return Log.from_json(path.read_bytes(), path)
            except FileNotFoundError:
                return None

    def _record_path(self, cell_id: str) -> str:
        # text: making a `Path` takes longer than opening the file
        return f"{self.root}/cells/{cell_id}/record.json"

    def _with_its_log(self, cell_id: str) -> Record | None:
        """Return a cell's record as its file has it: one of the first format holds its log."""
        found = self._read(cell_id)
        return None if found is None else found[1]

    def _read(self, cell_id: str) -> tuple[Mark, Record] | None:
        path = self._record_path(cell_id)
        with _reading(path):
            try:
                with open(path, "rb") as file:  # noqa: PTH123 - see `_record_path`
                    mark = Mark.of(os.fstat(file.fileno()))
                    record = Record.from_json(file.read(), path)
            except FileNotFoundError:
                return None
            if record.id != cell_id:
                raise ValueError(f"it is of the cell {record.id}")
            if record.cell.id != cell_id:
                raise ValueError("what it says of its cell is not what the cell's id was made of")
            return mark, record

    def set_aside(self, cell_id: str, why: str = "damaged") -> Path:
        """Rename a record that no longer counts to `record.<why>`, so that its cell is missing; return that path."""
        path = self.root / "cells" / cell_id / "record.json"
        with results_errors(self.root):
            return path.rename(path.with_suffix(f".{why}"))

    def write(
        self, record: Record, arrays: Mapping[str, NDArray[Any]], kept: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        """Keep a record and its arrays, replacing those of an earlier attempt, and forget the cell's work folder.

        The files have names of this attempt's own, and the record, written last, says which these are: at any moment
        a reader has all of the attempt before or all of this one.

        Args:
            record: how the cell ended, with its log.
            arrays: what `arrays` returns, stored as float32.
            kept: what `kept` returns, stored as it is; None where nothing was asked for.

        Raises:
            ResultsError: where the folder cannot be written, as on a full disk; the work folder is kept then.
        """
        single = {name: array.astype(np.float32) for name, array in arrays.items()}
        beside = {
            "arrays.npz": packed(single) if single else None,
            "kept.npz": None if kept is None else packed(kept),
        }
        self._replace(record, beside)
        shutil.rmtree(self.work(record.id), ignore_errors=True)

    def bring(self, record: Record, beside: Mapping[str, bytes]) -> None:
        """Keep a cell that another folder has, as `write` does, and its arrays as the bytes that they are there.

        An unfinished attempt from here is forgotten where the cell is done.

        Args:
            record: how the cell ended, with its log.
            beside: content of `arrays.npz` and `kept.npz`, where it has them.

        Raises:
            ResultsError: where the folder cannot be written, as on a full disk.
        """
        self._replace(record, {name: beside.get(name) for name in ARRAYS})
        if record.status == "done":  # else a checkpoint from here may still be of use
            shutil.rmtree(self.work(record.id), ignore_errors=True)

    def complete(self, record: Record, name: str, content: bytes) -> None:
        """Put arrays beside a record that lacks them.

        Args:
            record: the record, which stays as it is.
            name: one of `ARRAYS`.
            content: what its file holds.

        Raises:
            ResultsError: where the folder cannot be written, as on a full disk.
        """
        with self._writing():
            write_whole(self._beside(record.id, name, record.attempt), content)

    def _replace(self, record: Record, arrays: Mapping[str, bytes | None]) -> None:
        """Write a cell's files under names of a new attempt, the record last, and remove those of the one before."""
        folder = self.root / "cells" / record.id
        with self._writing(), shielded():
            folder.mkdir(parents=True, exist_ok=True)
            attempt = self._next_attempt(record.id)
            beside = {**arrays, "log.json": (record.log or Log()).to_json().encode()}
            there: dict[Path, bytes] = {}
            for name, content in beside.items():
                path = self._beside(record.id, name, attempt)
                if content is None:
                    path.unlink(missing_ok=True)  # of an attempt that was killed before it had a record
                else:
                    there[path] = content
            write_naming(folder / "record.json", replace(record, attempt=attempt).to_json().encode(), there)
            forget_others(folder, attempt)

    def update(self, record: Record) -> None:
        """Replace a record by one that says more of the same restoration; its arrays stay, and its log without another.

        Raises:
            ResultsError: where the folder cannot be written; the record is as before then.
        """
        folder = self.root / "cells" / record.id
        before = self._with_its_log(record.id)
        # a record of the first format holds its log itself
        log = record.log or (before and before.log)
        with self._writing():
            if log is not None:
                write_whole(self._beside(record.id, "log.json", record.attempt), log.to_json().encode())
            write_whole(folder / "record.json", record.to_json().encode())

    def _attempt(self, cell_id: str) -> int:
        record = self.read(cell_id)
        return 1 if record is None else record.attempt

    def _next_attempt(self, cell_id: str) -> int:
        try:
            record = self.read(cell_id)
        except DamagedError:
            return 1
        return 1 if record is None else record.attempt + 1

    def _beside(self, cell_id: str, name: str, attempt: int) -> Path:
        return self.root / "cells" / cell_id / file_name(name, attempt)

    def _now_beside(self, cell_id: str, name: str) -> Iterator[Path]:
        """Yield the file of the attempt that the record is of, and again where the record was replaced meanwhile."""
        before, attempt = None, self._attempt(cell_id)
        while attempt != before:
            yield self._beside(cell_id, name, attempt)
            before, attempt = attempt, self._attempt(cell_id)

    def _arrays_beside(self, cell_id: str, name: str) -> dict[str, NDArray[Any]]:
        for path in self._now_beside(cell_id, name):
            try:
                return unpacked(path)
            except ResultsError as error:
                fault = error
        raise fault

    def has_arrays(self, cell_id: str) -> bool:
        """Return whether a restoration of the cell is stored, whole or not."""
        return any(path.exists() for path in self._now_beside(cell_id, "arrays.npz"))

    def arrays(self, cell_id: str) -> dict[str, NDArray[np.float32]]:
        """Return what a cell's method restored: `image` and, where it has one, `variance`, Shape (C, H, W).

        Raises:
            ResultsError: where they are missing or damaged.
        """
        return self._arrays_beside(cell_id, "arrays.npz")

    def kept(self, cell_id: str) -> dict[str, NDArray[Any]]:
        """Return the further arrays that a cell was asked to keep.

        `draws` are the posterior draws, Shape (n, C, H, W), float16; other names are the method's own, such as
        `layer 01`; `kernel` is a kernel that it estimated, Shape (kh, kw). Names that do not occur had nothing to be
        kept.

        Raises:
            ResultsError: where it is missing or damaged.
        """
        return self._arrays_beside(cell_id, "kept.npz")

    def holds(self, record: Record, wanted: Iterable[str]) -> bool:
        """Return whether a cell was asked to keep all that is wanted, and what it kept is still there."""
        asked = set(wanted)
        return not asked or (asked <= set(record.kept) and self._beside(record.id, "kept.npz", record.attempt).exists())

    def file(self, record: Record, name: str) -> Path | None:
        """Return the file beside a record, `log.json` or one of `ARRAYS`; None where it is not there."""
        path = self._beside(record.id, name, record.attempt)
        return path if path.exists() else None

    def cell_ids(self) -> list[str]:
        """Return the ids of all cells that have a record, whole or not."""
        return sorted(path.parent.name for path in self.root.glob("cells/*/record.json"))

    def work(self, cell_id: str) -> Path:
        """Return the folder for a cell's unfinished work."""
        return self.root / "work" / cell_id

    def forget_work(self, cell_ids: Collection[str]) -> None:
        """Remove the unfinished work of cells: those that are done may have some from before a kill."""
        for folder in (self.root / "work").glob("*"):
            if folder.name in cell_ids:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _reading(path: Path | str) -> Iterator[None]:
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
