"""What a page was made from, as a line at its end, by which one that would be the same is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from nidbench.analysis.cells import SweepCells
from nidbench.records import Record, Store
from nidbench.scoring.protocols import DEFAULT

#: Within the first bytes of every report, by which one is known again.
MARK = b'<meta name="generator" content="nidbench report">'

#: Packages whose sources decide what a page says of records: while they are worked on, the version stays.
_SOURCES = ("nidbench.analysis", "nidbench.report", "nidbench.scoring")


def made_from(store: Store, sweep_cells: SweepCells, protocol: str, against: str, *, pictures: bool) -> str:
    """Return a hash of all that a page is made from but the data of its measurements, which records have hashes of.

    Args:
        store: the results folder.
        sweep_cells: the sweep, read.
        protocol: the metric protocol of its numbers.
        against: the method that others are compared with at first.
        pictures: whether it has pictures.
    """
    made = hashlib.sha256(json.dumps([_sources(), str(store.root), protocol, against, pictures]).encode())
    made.update(sweep_cells.sweep.to_json().encode())
    for name in dict.fromkeys((protocol, DEFAULT.name)):
        made.update(sweep_cells.frame(name).to_csv(index=False).encode())
    records = {cell.record.id: cell.record for cell in sweep_cells.cells if cell.record}
    for record in records.values():
        made.update(repr(list(_beside(store, record))).encode())
    return made.hexdigest()[:32]


def _beside(store: Store, record: Record) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, size and times of the files beside a record, which are written anew where they change."""
    for name in ("log.json", "arrays.npz"):
        with suppress(OSError):
            file = store.file(record, name)
            if file is not None:
                found = file.stat()
                # who copies a file may keep the time of its content, but not that of the change
                yield file.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@cache
def _sources() -> str:
    """Return the version of nidbench, and a hash of the sources of what makes pages."""
    made = hashlib.sha256()
    for package in _SOURCES:
        for content in _contents(files(package)):
            made.update(content)
    return f"{version('nidbench')} {made.hexdigest()}"


def _contents(folder: Traversable) -> Iterator[bytes]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _contents(entry)
        elif entry.is_file():
            yield entry.name.encode()
            yield entry.read_bytes()


_BEGIN = b"<!-- made from "


def signed(page: bytes, made: str) -> bytes:
    """Return a page with a last line that says what it was made from, and that it is whole."""
    return page + _line(page, made)


def is_made_from(path: Path, made: str) -> bool:
    """Return whether a file is a page that was made from this, whole and as it was written."""
    try:
        content = path.read_bytes()
    except OSError:  # there is none
        return False
    page, _, _ = content.rpartition(_BEGIN)
    return content == page + _line(page, made)


def _line(page: bytes, made: str) -> bytes:
    return _BEGIN + f"{made} {hashlib.sha256(page).hexdigest()[:32]} -->\n".encode()
