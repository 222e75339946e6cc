"""The folder that results are in: made, or known by its format, and written to only while it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nidbench.errors import NewerError, ResultsError
from nidbench.system.whole_files import GONE, results_errors, write_whole

from .record import DAMAGE, FORMAT

#: The file that marks a folder as one of results, and has its format.
MARKER = "nidbench.json"


class ResultsRoot:
    """A folder of results.

    Args:
        root: the folder; created where it does not exist.
        create: False to refuse a folder that is not one of results.

    Raises:
        ResultsError: where it cannot be used, or is of a newer format.
    """

    def __init__(self, root: Path | str, *, create: bool = True) -> None:
        self.root = Path(root)
        self._made = False
        marker = self.root / MARKER
        with results_errors(self.root):
            if marker.exists():
                self._check_format(marker)
            elif create:
                self._made = not self.root.exists()
                self.root.mkdir(parents=True, exist_ok=True)
                write_whole(marker, json.dumps({"format": FORMAT}).encode())
            else:
                raise ResultsError(f"{self.root} holds no nidbench results: give the --output folder of a run")

    @staticmethod
    def _check_format(marker: Path) -> None:
        try:
            version = int(json.loads(marker.read_text(encoding="utf-8"))["format"])
        except DAMAGE as error:
            raise ResultsError(f'{marker} is damaged ({error}): write {{"format": {FORMAT}}} into it') from error
        if version > FORMAT:
            raise NewerError(
                f"{marker.parent} was written by a newer nidbench (format {version}, this one reads {FORMAT}): "
                "upgrade with pip install -U nidbench, or give another --output"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Refuse to write into a folder that was deleted meanwhile, which would make it anew without what it held."""
        with results_errors(self.root):
            if not (self.root / MARKER).exists():
                raise ResultsError(f"cannot write to {self.root}: {GONE}")
            yield
