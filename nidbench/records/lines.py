"""Files of records alone, one a line, as reference results have them: no curves, no restorations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from nidbench.errors import ResultsError

from .record import DAMAGE, Record

#: How the name of such a file ends.
ENDING = ".jsonl"


def read_records(files: Iterable[Path]) -> list[Record]:
    """Return the records of files with one record a line, each cell's latest.

    Args:
        files: paths of such files.

    Raises:
        ResultsError: where a file cannot be read, or a line of it is no record.
        NewerError: where a newer nidbench wrote one of them.
    """
    latest: dict[str, Record] = {}
    for file in files:
        for record in _records_of(file):
            if record.id not in latest or record.finished >= latest[record.id].finished:
                latest[record.id] = record
    return list(latest.values())


def as_line(record: Record) -> str:
    """Return a record as a line of such a file, without its log."""
    return json.dumps(json.loads(replace(record, log=None).to_json()))


def _records_of(file: Path) -> Iterator[Record]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{file} cannot be read as records, one a line: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"line {number} of {file}"
        try:
            record = Record.from_json(line, place)
        except DAMAGE as error:
            raise ResultsError(f"{place} is no record: {error}") from error
        if record.id != record.cell.id:
            raise ResultsError(f"{place} was edited: its cell is {record.cell.id}, it says {record.id}")
        yield record
