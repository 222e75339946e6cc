"""What MLflow's database in the results folder was last told of a sweep, so that nothing new costs next to nothing.

    <output>/tracked/<sweep>.json     a hash of what was written, and what the database was like right after it

It is made from what was written and never needed: where the file is not there, is damaged, or anything differs, such as
a database that somebody else has written to since, MLflow itself is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from nidbench.records import Store
from nidbench.system.whole_files import write_whole

#: Where SQLite keeps a number that each change of a database raises.
_COUNTER = slice(24, 28)

#: The database, what SQLite has beside it while it is written, and the folder of the runs' files.
_FILES = ("mlflow.db", "mlflow.db-journal", "mlflow.db-wal", "mlartifacts")


class _Told(msgspec.Struct):
    """The file's content: ids of experiment and run, the hash of what was written, and `_state` after it."""

    experiment: str
    run: str
    content: str
    state: str


class Told:
    """What the database of a results folder was last told of one sweep.

    Args:
        store: the folder.
        sweep: the name of the sweep.
    """

    def __init__(self, store: Store, sweep: str) -> None:
        self._root = store.root
        self._path = store.root / "tracked" / f"{sweep}.json"

    def run(self, content: str) -> tuple[str, str] | None:
        """Return the ids of the experiment and the sweep's run, if the database was told this and is as it was then."""
        try:
            told = msgspec.json.decode(self._path.read_bytes(), type=_Told)
        except (OSError, ValueError):  # there is none, or it is damaged
            return None
        return (told.experiment, told.run) if (told.content, told.state) == (content, _state(self._root)) else None

    def keep(self, experiment: str, run: str, content: str) -> None:
        """Note that the database has just been told."""
        with suppress(OSError):  # nothing depends on it
            self._path.parent.mkdir(exist_ok=True)
            write_whole(self._path, msgspec.json.encode(_Told(experiment, run, content, _state(self._root))))


def _state(root: Path) -> str:
    """Return what differs where the database or the folder of its files was changed."""
    marks: list[tuple[int, int, int] | None] = []
    counter = b""
    for name in _FILES:
        try:
            found = (root / name).stat()
            marks.append((found.st_mtime_ns, found.st_size if name != "mlartifacts" else 0, found.st_ino))
        except OSError:
            marks.append(None)
    with suppress(OSError), (root / _FILES[0]).open("rb") as file:
        counter = file.read(_COUNTER.stop)[_COUNTER]
    return f"{counter.hex()} {json.dumps(marks)}"


def content_hash(texts: Sequence[str], tables: Mapping[str, str], sheets: Sequence[Path]) -> str:
    """Return a hash of what a sweep tells MLflow: texts, tables by their names, and pictures by name, size and time."""
    pictures = [(path.name, found.st_size, found.st_mtime_ns) for path in sheets for found in (path.stat(),)]
    return hashlib.sha256(json.dumps([texts, dict(tables), pictures]).encode()).hexdigest()
