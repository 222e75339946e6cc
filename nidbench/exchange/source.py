"""Where results come from: the files of a packed file or of a results folder, checked before they are used."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nidbench.errors import PackError
from nidbench.records import ARRAYS, DAMAGE, Cell, Log, Planned, Record, Sweep, file_name
from nidbench.system.sizes import size_text

from .arrays import check_arrays
from .names import cell_name, cell_of, shown, sweep_of
from .questions import check_sweep

#: Bytes of the largest record, log or sweep that is taken: reading JSON takes several times its size.
MOST_TEXT = 256 << 20

#: Bytes of the largest file of arrays that is taken; a method may keep 1 GiB.
MOST_ARRAYS = 2 << 30


@dataclass(frozen=True)
class Brought:
    """A cell from elsewhere.

    Attributes:
        record: how it ended, with its log.
        files: name in its source -> content, of all its files.
        arrays: those of `records.ARRAYS` that it has -> content.
    """

    record: Record
    files: Mapping[str, bytes]
    arrays: Mapping[str, bytes]


class Source(ABC):
    """Files of cells and sweeps from elsewhere.

    Each is hashed whenever it is read, and what was checked once is the same ever after, or an error.

    Args:
        place: the file or folder, for messages.
        most: bytes that all files may have together.
    """

    #: What to do about a file of a cell that is damaged, and about a sweep's.
    remedy = sweep_remedy = "ask for it again"

    def __init__(self, place: Path, most: int) -> None:
        self.place = place
        self._most = most
        self._hashes: dict[str, str] = {}
        self._bytes = 0

    @property
    @abstractmethod
    def names(self) -> Collection[str]:
        """The names of all files, of the forms of `names.check_name`."""

    @abstractmethod
    def _content(self, name: str, most: int) -> bytes:
        """Return what a file holds; refuse one of more than so many bytes without reading them all."""

    @property
    def cell_ids(self) -> list[str]:
        """The ids of all cells."""
        return sorted({cell_id for name in self.names if (cell_id := cell_of(name)) is not None})

    def read(self, name: str) -> bytes:
        """Return what a file holds.

        Raises:
            PackError: where there is no such file, all that was read is too much, or it is not what it was before.
        """
        if name not in self.names:
            raise PackError(f"{self.place} lacks {name}: {self.remedy}")
        content = self._content(name, MOST_TEXT if name.endswith(".json") else MOST_ARRAYS)
        digest = hashlib.sha256(content).hexdigest()
        if name not in self._hashes:
            self._hashes[name] = digest
            self._bytes += len(content)
            self.check_total(self._bytes)
        if self._hashes[name] != digest:
            raise PackError(f"{self.place}: {name} was changed while it was read: run the same command again")
        return content

    def check_total(self, size: int) -> None:
        """Refuse more bytes than may be taken.

        Raises:
            PackError: where it is more.
        """
        if size > self._most:
            raise PackError(
                f"{self.place} holds {size_text(size)} or more, and no more than {size_text(self._most)} may be taken: "
                "if you expect that much of it, allow it with --most"
            )

    def cell(self, cell_id: str) -> Brought:
        """Return a cell, its files checked.

        Raises:
            PackError: where one of them is damaged, made up, or of another cell.
            NewerError: where a newer nidbench wrote it.
        """
        head = f"cells/{cell_id}/record.json"
        files, arrays = {head: self.read(head)}, {}
        with self._parsing(head):
            record = Record.from_json(files[head], self._where(head))
            if record.id != cell_id or record.cell.id != cell_id:
                raise ValueError("its id is not that of the cell that it tells of")
        for name in ("log.json", *ARRAYS):
            path = f"cells/{cell_id}/{file_name(name, record.attempt)}"
            if path not in self.names:
                continue
            files[path] = self.read(path)
            if name in ARRAYS:
                check_arrays(self._where(path), name, files[path], self.remedy)
                arrays[name] = files[path]
            else:
                with self._parsing(path):
                    record = replace(record, log=Log.from_json(files[path], self._where(path)))
        return Brought(replace(record, log=record.log or Log()), files, arrays)

    def sweeps(self) -> Iterator[Sweep]:
        """Yield all sweeps, checked.

        Raises:
            PackError: where one of them is damaged or made up.
            NewerError: where a newer nidbench wrote it.
        """
        for path in sorted(self.names):
            name = sweep_of(path)
            if name is None:
                continue
            content = self.read(path)
            with self._parsing(path):
                sweep = Sweep.from_json(content.decode(), self._where(path))
                check_sweep(sweep, name)
            yield sweep

    @contextmanager
    def _parsing(self, name: str) -> Iterator[None]:
        """Turn what reading a file's content raises into an error that says what to do."""
        try:
            yield
        except DAMAGE as error:
            reason = shown(f"{type(error).__name__}: {error}")
            remedy = self.remedy if sweep_of(name) is None else self.sweep_remedy
            raise PackError(f"{self._where(name)} is damaged ({reason}): {remedy}") from error

    def _where(self, name: str) -> str:
        return f"{self.place}: {name}"


def check_planned(place: object, planned: Planned, cell: Cell) -> None:
    """Refuse a sweep that says of a cell what its record does not.

    Raises:
        PackError: where it does.
    """
    said = (planned.method, planned.case, planned.declared, planned.seed)
    if said != (cell.method, cell.case, cell.declared, cell.seed):
        raise PackError(
            f"{place}: a sweep says that the cell {cell_name(cell)} is {shown(planned.method)} on "
            f"{shown(str(planned.case))}, seed {planned.seed}: nothing of it is taken"
        )
