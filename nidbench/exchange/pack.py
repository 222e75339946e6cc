"""Packs sweeps of a results folder into one file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from nidbench.errors import InputError, ResultsError
from nidbench.records import ENDING, Store, as_line
from nidbench.system.counts import count_of
from nidbench.system.sizes import size_text
from nidbench.system.whole_files import sweep_partials, writing_whole

from .archive import ArchiveWriter
from .folder import Folder
from .names import first_of
from .source import Brought

#: Which arrays go along: none, the restorations with their variances, or all that was kept besides.
Arrays: TypeAlias = Literal["none", "restorations", "all"]

_TAKEN: Mapping[str, Sequence[str]] = {
    "none": (),
    "restorations": ("arrays.npz",),
    "all": ("arrays.npz", "kept.npz"),
}

#: More than any disk holds: what somebody packs is their own.
_ANY_SIZE = 1 << 62


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Attributes:
        file: the packed file.
        sweeps: names of the sweeps.
        cells: how many cells have a record, done or not.
        missing: ids of cells that were not computed.
        damaged: ids of cells whose records cannot be read, which were left out.
        bytes: size of the file.
        records_only: whether it is a file of records alone, one a line.
    """

    file: Path
    sweeps: Sequence[str]
    cells: int
    missing: Sequence[str]
    damaged: Sequence[str]
    bytes: int
    records_only: bool = False

    def lines(self) -> list[str]:
        """Return a report for a person."""
        lines = [
            f"{count_of(self.cells, 'cell')} of {', '.join(self.sweeps)} packed: {self.file}, {size_text(self.bytes)}"
        ]
        if self.records_only:
            lines.append("records alone, one a line: no curves, no restorations")
        if self.missing:
            lines.append(f"{count_of(len(self.missing), 'cell is', 'cells are')} not computed yet, and not in it")
        if self.damaged:
            cells = count_of(
                len(self.damaged), "cell has a damaged record, and was", "cells have damaged records, and were"
            )
            lines.append(f"{cells} left out: {first_of(self.damaged)}")
        return lines


def pack(store: Store, name: str, file: Path, arrays: Arrays = "restorations", *, overwrite: bool = False) -> Packed:
    """Write sweeps and their cells into one file, the same bytes for the same content.

    A file whose name ends in `.jsonl` gets the records alone, one a line, in the order of the sweeps, whatever `arrays`
    says.

    Args:
        store: the results folder; it is only read.
        name: of the sweep, or `first+second` for several.
        file: where to.
        arrays: which arrays go along.
        overwrite: whether a file that is there is replaced.

    Raises:
        InputError: where the file is there already, or for another word for arrays.
        PackError: where a file of the folder is damaged, or was replaced meanwhile.
        ResultsError: where there is no such sweep, it has no cells yet, or the file cannot be written.
    """
    if arrays not in get_args(Arrays):
        raise InputError(f"arrays {arrays!r}: give one of {', '.join(get_args(Arrays))}")
    if file.is_dir() or (os.path.lexists(file) and not overwrite):
        remedy = "give" if file.is_dir() else "allow with --overwrite that it is replaced, or give"
        raise InputError(f"{file} is there already: {remedy} another file with --to")
    names = list(dict.fromkeys(name.split("+")))
    ids = dict.fromkeys(planned.id for each in names for planned in store.sweep(each).cells)
    source = Folder(store, _ANY_SIZE, names, ids)
    if not source.cell_ids:
        raise ResultsError(f"{name} in {store.root} has no computed cell yet: run it first")
    sweep_partials(file.parent, file.name)
    records_only = file.suffix == ENDING
    with _errors_of(file), writing_whole(file) as handle:
        if records_only:
            there = set(source.cell_ids)
            handle.write("".join(_line(source, each) for each in ids if each in there).encode())
        else:
            with ArchiveWriter(handle) as archive:
                _write(archive, source, arrays)
        size = handle.tell()
    return Packed(file, names, len(source.cell_ids), source.missing, source.damaged, size, records_only)


def _line(source: Folder, cell_id: str) -> str:
    return as_line(source.cell(cell_id).record) + "\n"


def _write(archive: ArchiveWriter, source: Folder, arrays: Arrays) -> None:
    for sweep in source.sweeps():
        name = f"sweeps/{sweep.name}.json"
        archive.add(name, source.read(name))
    environments: Counter[str] = Counter()
    for cell_id in source.cell_ids:
        cell = source.cell(cell_id)
        environments[_environment(cell)] += 1
        left_out = [content for name, content in cell.arrays.items() if name not in _TAKEN[arrays]]
        for path, content in cell.files.items():
            if not any(content is other for other in left_out):
                archive.add(path, content)
    archive.close(nidbench=version("nidbench"), arrays=arrays, environments=_counted(environments))


def _environment(cell: Brought) -> str:
    log = cell.record.log
    return json.dumps({} if log is None else dict(log.environment), sort_keys=True)


def _counted(environments: Counter[str]) -> list[dict[str, Any]]:
    return [{"cells": count, "environment": json.loads(text)} for text, count in sorted(environments.items())]


@contextmanager
def _errors_of(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"cannot write {file}: {error.strerror or error}; nothing half-written is left: give another place with "
            "--to, or free some space, then run the same command again"
        ) from error
