"""Results as Python has them: frames of numbers, restorations as arrays, tables as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nidbench.errors import ResultsError, UnknownNameError, unknown
from nidbench.physics.arrays import Image
from nidbench.records import Store, Sweep
from nidbench.system.counts import count_of

if TYPE_CHECKING:
    import pandas as pd

    from nidbench.analysis.cells import SweepCells
    from nidbench.records import Record


@dataclass(frozen=True, eq=False)
class Restoration:
    """What a cell restored.

    Attributes:
        image: x, Shape (C, H, W) in the frame of x, linear (before the camera's response), float32, not clipped.
        variance: pixel variance of the estimate, same shape; None where the method has none.
        record: how the cell ended: scores, cost, settings, and the log with its curve.
    """

    image: Image
    variance: Image | None
    record: Record


class Results:
    """A sweep in a results folder. What is asked for is read from its records, once.

    Args:
        store: the folder.
        sweep: which of its sweeps.
        protocol: the metric protocol of its scores.
    """

    def __init__(self, store: Store, sweep: Sweep, protocol: str = "half-kernel") -> None:
        self.store = store
        self.sweep = sweep
        self.protocol = protocol

    @property
    def name(self) -> str:
        """The name of the sweep."""
        return self.sweep.name

    def under(self, protocol: str) -> Results:
        """Return the same results under another protocol; `nidbench rescore` computes scores that are lacking."""
        return Results(self.store, self.sweep, protocol)

    @cached_property
    def _read(self) -> SweepCells:
        from nidbench.analysis.cells import SweepCells

        return SweepCells.read(self.store, self.sweep)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row for each cell: what it is, how it ended, scores in dB, seconds, iterations, memory."""
        return self._read.frame(self.protocol)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row for each method under each dataset, kernel set and noise: means over its cells."""
        from nidbench.analysis.summary import summary_frame

        return summary_frame(self.cells)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """How far each method is from `ours`, else from the first: see `differences_from`."""
        return self.differences_from("")

    def differences_from(self, label: str) -> pd.DataFrame:
        """Return how far each method is from one of them, on the same measurements, with 95 % intervals.

        Args:
            label: the method as tables name it; empty for `ours`, else the first.

        Returns:
            A row for each group and method, see `nidbench.analysis.differences`; none where there is one method only.

        Raises:
            UnknownNameError: where the sweep has no such method.
        """
        from nidbench.analysis.differences import differences_frame

        return differences_frame(self.cells, label)

    @property
    def failures(self) -> pd.DataFrame:
        """The rows of `cells` that are not done: failed, timeout, out-of-memory, unstable, missing or corrupt."""
        return self.cells[self.cells["status"] != "done"]

    @property
    def complete(self) -> bool:
        """Whether all cells are done."""
        return self.failures.empty

    def restoration(self, cell: str | pd.Series[Any]) -> Restoration:
        """Return what a cell restored.

        Args:
            cell: its id, or a row of `cells`.

        Raises:
            UnknownNameError: where the sweep has no such cell.
            ResultsError: where it is not done, or its files are damaged or gone.
        """
        cell_id = cell if isinstance(cell, str) else str(cell["id"])
        ids = [planned.id for planned in self.sweep.cells]
        if cell_id not in ids:
            raise UnknownNameError(unknown(f"cell of {self.name}", cell_id, ids))
        record = self.store.whole(cell_id)
        if record is None or record.status != "done":
            state = "not computed yet" if record is None else f"ended as {record.status}: {record.error}"
            raise ResultsError(f"cell {cell_id} has no restoration: it is {state}")
        arrays = self.store.arrays(cell_id)
        return Restoration(arrays["image"], arrays.get("variance"), record)

    @property
    def pictures(self) -> list[Path]:
        """The contact sheets that were drawn, PNG files, one for each measurement: see `pictures` of `run`."""
        from .outputs import existing_sheets

        return existing_sheets(self.store, self.sweep)

    def table(self, form: str = "md", *, against: str = "", paper: str = "") -> str:
        """Return the table of the sweep as text.

        Args:
            form: `md`, `latex` (booktabs), `html` or `csv`.
            against: a method to which differences are shown, with 95 % intervals; empty for none.
            paper: a table of the paper whose numbers stand beside, such as `table2`; empty for none.

        Raises:
            InputError: for another form, or a table of the paper that has nothing of the sweep.
            UnknownNameError: where the sweep has no such method, or the paper no such table.
        """
        from nidbench.paper.quotes import columns_beside
        from nidbench.report.results_table import render

        return render(self._read, form, self.protocol, list(columns_beside(against, paper)))

    def report(self, file: str | Path | None = None, *, folder: str | Path | None = None) -> Path:
        """Write the sweep as an HTML page to look at, and return the page.

        Args:
            file: where to; None for `reports/<sweep>.html` in the results folder.
            folder: for a page with its pictures as files beside it, which sweeps of more than 50 cells need.

        Raises:
            InputError: for pictures that are too many for one page, or a place that holds something else.
            ResultsError: where nothing can be written.
        """
        from .reporting import write_report

        page, beside = (None if place is None else Path(place) for place in (file, folder))
        return write_report(self.store, self._read, self.protocol, file=page, folder=beside)

    def __repr__(self) -> str:
        counts = self.cells["status"].value_counts()
        states = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"<Results {self.name} in {self.store.root}: {count_of(len(self.cells), 'cell')} ({states})>"

    def _repr_html_(self) -> str:
        return self.table("html")


class ResultsFolder(Mapping[str, Results]):
    """A folder of results: its sweeps by name, the latest first; `first+second` shows two as one.

    Args:
        store: the folder.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getitem__(self, name: str) -> Results:
        """Return a sweep.

        Raises:
            UnknownSweepError: where there is none of this name.
            ResultsError: where its file is damaged, or of a newer nidbench.
        """
        return Results(self.store, self.store.sweep(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.store.sweep_names())

    def __len__(self) -> int:
        return len(self.store.sweep_names())

    def __contains__(self, name: object) -> bool:
        known = self.store.sweep_names()
        return isinstance(name, str) and all(single in known for single in name.split("+"))

    @property
    def latest(self) -> Results:
        """The sweep that was run last.

        Raises:
            ResultsError: where there is none.
        """
        return self[self.store.latest()]

    def __repr__(self) -> str:
        return f"<ResultsFolder {self.store.root}: {', '.join(self) or 'no sweeps'}>"


def open_results(folder: str | Path = "results") -> ResultsFolder:
    """Return the sweeps of a results folder.

    Args:
        folder: as given to `nidbench run --output`.

    Raises:
        ResultsError: where it is no results folder.
    """
    return ResultsFolder(Store(Path(folder), create=False))
