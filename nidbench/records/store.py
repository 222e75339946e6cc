"""A results folder: records, restorations and sweeps, each file whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nidbench.errors import ResultsError
from nidbench.system.whole_files import sweep_partials

from .attempts import attempt_of, forget_others
from .cell_files import CellFiles
from .lock import locked
from .results_root import MARKER
from .sweep_files import SweepFiles


class Store(CellFiles, SweepFiles):
    """A results folder, with its cells and its sweeps.

    Args:
        root: the folder; created where it does not exist.
        create: False to refuse a folder that is not one of results.

    Raises:
        ResultsError: where it cannot be used, or is of a newer format.
    """

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the folder, see `lock.locked`, and put in order what a killed run left behind.

        Where an error ends the block, a folder that was made for it and holds nothing yet is removed.

        Raises:
            ResultsError: where another run is in it, or it cannot be written.
        """
        with locked(self.root) as tidy:
            if not tidy:
                self._tidy()
            try:
                yield
            except BaseException:
                self.remove_unused()
                raise

    def remove_unused(self) -> None:
        """Remove the folder, of which this process has the lock, where it was made for this object and holds nothing.

        What computing processes printed is something: a message may name that file.
        """
        if not self._made:  # first: looking at all of a large folder takes seconds
            return
        content = {str(path.relative_to(self.root)): path for path in self.root.glob("**/*")}
        if content.keys() - {MARKER, ".lock", ".lock.holder", "work"}:
            return
        with suppress(OSError):  # somebody else has just put something there
            for path in content.values():
                path.rmdir() if path.is_dir() else path.unlink()
            self.root.rmdir()

    def _tidy(self) -> None:
        cells = [folder for folder in (self.root / "cells").glob("*") if folder.is_dir()]
        kinds = ("tables", "sheets", "figures", "reports")
        written = [folder for kind in kinds for folder in (self.root / kind).glob("**")]
        for folder in (
            self.root,
            self.root / "sweeps",
            self.root / "tracked",
            *written,
            *(self.root / "work").glob("*"),
            *cells,
        ):
            sweep_partials(folder)
        for folder in cells:
            if any(attempt_of(path) > 1 for path in folder.iterdir()):
                with suppress(ResultsError):  # a damaged record: its cell's files are of no use, and in nobody's way
                    forget_others(folder, self._attempt(folder.name))
        # under the lock nobody writes a checkpoint: this one is of a version whose names do not say who wrote them
        for path in self.root.glob("work/*/checkpoint.partial"):
            path.unlink(missing_ok=True)
