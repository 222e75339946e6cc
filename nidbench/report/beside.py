"""Numbers that stand beside those of a sweep's table, such as differences to one of its methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nidbench.analysis.differences import differences_frame
from nidbench.analysis.groups import PAIRED, named, reference
from nidbench.analysis.summary import with_names

from .typeset import signed_texts

#: The columns that say which row of a table numbers are for.
KEY = [*PAIRED, "method"]


@dataclass(frozen=True, eq=False)
class Beside:
    """Columns for a sweep's table.

    Attributes:
        values: a frame with the columns of `KEY`, methods as `analysis.groups.named` has them, and numbers.
        columns: title -> the text of that column, from the numbers of a row; not asked of rows without numbers.
        caption: what they are, in sentences.
    """

    values: pd.DataFrame
    columns: Mapping[str, Callable[[Mapping[Any, Any]], str]]
    caption: str

    @property
    def names(self) -> list[str]:
        """The names of its numbers."""
        return [name for name in self.values.columns if name not in KEY]

    def of(self, summary: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
        """Return the numbers for each row of a summary of cells, NaN where there are none.

        Args:
            summary: from `summary_frame`.
            cells: those of the summary, from `SweepCells.frame`.
        """
        rows = with_names(summary, list(named(cells)["method"].unique()))[KEY]
        found = rows.merge(self.values, on=KEY, how="left")
        return found[self.names].set_index(summary.index)


def differences_beside(cells: pd.DataFrame, against: str) -> Beside:
    """Return how far each method is from one of them in PSNR, and the 95 % interval of that.

    Args:
        cells: from `SweepCells.frame`.
        against: the method, as `analysis.groups.named` has it.

    Raises:
        UnknownNameError: for a method that the sweep has not.
    """
    against = reference(list(named(cells)["method"].unique()), against)
    ends = {"difference": "difference", "low": "difference_low", "high": "difference_high"}
    values = differences_frame(cells, against)[[*KEY, *ends]].rename(columns=ends)

    def texts(row: Mapping[Any, Any]) -> tuple[str, str]:
        return signed_texts(*(row[name] for name in ends.values()))

    return Beside(
        values,
        {f"to {against}": lambda row: texts(row)[0], "95 %": lambda row: texts(row)[1]},
        f"to {against}: mean difference in PSNR (dB) to {against} on the measurements that have a score of both, with "
        "its 95 % interval over images, paired by image.",
    )
