"""The paper's numbers as columns beside those of a sweep's table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from nidbench.analysis.groups import named
from nidbench.errors import InputError
from nidbench.report.beside import KEY, Beside, differences_beside
from nidbench.report.typeset import number

from .comparison import grids_of, paper_methods, quoted_rows
from .tables import table

_NUMBERS = ["published_psnr", "published_ssim"]


def columns_beside(against: str = "", name: str = "") -> Iterator[Callable[[pd.DataFrame], Beside]]:
    """Yield what makes the further columns of a sweep's table, of its cells' frame.

    Args:
        against: a method whose differences to the others are wanted; empty for none.
        name: a table of the paper whose numbers are wanted; empty for none.
    """
    if against:
        yield partial(differences_beside, against=against)
    if name:
        yield partial(published_beside, name=name)


def published_beside(cells: pd.DataFrame, name: str) -> Beside:
    """Return what the paper published of each method of a sweep, whatever its preset and settings.

    Args:
        cells: from `SweepCells.frame`.
        name: `table2` to `table9`.

    Raises:
        UnknownNameError: for another table.
        InputError: where the table has no method of the sweep under its conditions.
    """
    paper_table, frames = table(name), []
    own = named(cells).assign(own_set=cells["kernel_set"])  # a grid names cells of blind methods as of others' kernels
    for condition, _, grid_cells in grids_of(own, paper_table):
        quotes = quoted_rows(paper_table, condition)
        by_method: dict[Any, Any] = quotes.set_index("method")[["psnr", "ssim"]].to_dict("index")
        rows = grid_cells.assign(kernel_set=grid_cells["own_set"], quoted=paper_methods(grid_cells, quotes))
        quoted = rows[[*KEY, "quoted"]].drop_duplicates()
        quoted = quoted[quoted["quoted"] != ""]
        scores = [[by_method[method][score] for score in ("psnr", "ssim")] for method in quoted["quoted"]]
        frames.append(quoted[KEY].join(pd.DataFrame(scores, quoted.index, _NUMBERS)))
    values = pd.concat(frames).drop_duplicates(KEY) if frames else pd.DataFrame(columns=[*KEY, *_NUMBERS])
    if values.empty:
        there = sorted({condition.text for condition in paper_table.conditions})
        raise InputError(f"{name} has no method of the sweep where that was measured; it has {'; '.join(there)}")
    return Beside(
        values,
        {
            "PSNR paper": lambda row: number(row["published_psnr"], ".2f"),
            "SSIM paper": lambda row: number(row["published_ssim"], ".3f"),
        },
        f"paper: {paper_table.title}, the mean over all of its images and kernels, by its settings; nidbench compare "
        "tells what is reproduced.",
    )
