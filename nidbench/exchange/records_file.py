"""A file of records alone as the place that results come from: what a reference result has of its cells."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from nidbench.errors import InputError, PackError
from nidbench.records import checked_name, read_records
from nidbench.sweep.recorded import sweep_of_records

from .source import MOST_TEXT, Source

#: What reference results call their file, which is then known by its folder.
USUAL = "records"


class RecordsFile(Source):
    """A file with one record a line, and the sweep of all of them.

    Args:
        place: the file.
        most: bytes that it may have.
        name: of the sweep; empty for that of the file, or of its folder where the file is `records.jsonl`.

    Raises:
        PackError: where it has too many bytes, or its name can be none of a sweep.
        InputError: for a name that is none.
        ResultsError: where it is no file of records, or has a method twice on a measurement.
    """

    remedy = "ask for the file again"

    def __init__(self, place: Path, most: int, name: str = "") -> None:
        super().__init__(place, min(most, MOST_TEXT))
        if place.is_file():
            self.check_total(place.stat().st_size)
        records = read_records([place])
        if not records:
            raise PackError(f"{place} holds no record: give a file of nidbench pack that has some")
        sweep = sweep_of_records(checked_name("sweep name", name) if name else _name_of(place), records)
        self._files = {f"cells/{record.id}/record.json": record.to_json().encode() for record in records}
        self._files[f"sweeps/{sweep.name}.json"] = sweep.to_json().encode()

    @property
    def names(self) -> Collection[str]:
        """The names of all files."""
        return self._files.keys()

    def _content(self, name: str, most: int) -> bytes:
        content = self._files[name]
        if len(content) > most:
            raise PackError(f"{self.place}: {name} has more than {most} bytes: {self.remedy}")
        return content


def _name_of(place: Path) -> str:
    name = place.resolve().parent.name if place.stem == USUAL else place.stem
    try:
        return checked_name("sweep name", name)
    except InputError as error:
        raise PackError(f"{place}: its name, or its folder's, can be none of a sweep; give one with --name") from error
