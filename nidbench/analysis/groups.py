"""Which rows of `SweepCells.frame` belong together: what a measurement, a group and a pair of methods share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.case_key import CaseKey

#: The columns that name a measurement, in the order of `CaseKey`.
CASE = ["dataset", "image", "kernel", "noise", "noise_seed"]

#: The columns of a group: its methods saw the same measurements, and are compared with each other.
GROUP = ["dataset", "kernel_set", "noise"]

#: The columns within which methods are paired: they were also told the same of the noise level.
PAIRED = [*GROUP, "declared"]

#: The method that others are compared with, where it is there and no other is asked for.
REFERENCE = "ours"


def case_key(row: Mapping[Any, Any] | pd.Series[Any]) -> CaseKey:
    """Return the names of the measurement of a row of `SweepCells.frame`."""
    return CaseKey(*(row[name] for name in CASE))


def named(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `SweepCells.frame` with `method`: the label, and the preset where one label has several."""
    several = cells.groupby("label")["preset"].transform("nunique") > 1
    return cells.assign(method=cells["label"].mask(several, cells["label"] + " (" + cells["preset"] + ")"))


def reference(names: Sequence[str], against: str = "") -> str:
    """Return the method that others are compared with: the one asked for, else `ours`, else the first.

    Args:
        names: the methods, as `named` has them.
        against: the one asked for; empty for none.

    Raises:
        UnknownNameError: where the one asked for is not among them.
        InputError: where there are none.
    """
    if not names:
        raise InputError("the sweep has no cells, so there is no method to compare with: give it methods and a dataset")
    if against and against not in names:
        raise UnknownNameError(unknown("method of the sweep", against, names))
    return against or (REFERENCE if REFERENCE in names else names[0])


def natural(names: Iterable[str]) -> list[str]:
    """Return names in order, numbers in them by size: `levin/2` before `levin/10`."""
    return sorted(names, key=lambda name: [(piece.isdigit(), piece.zfill(9)) for piece in re.split(r"(\d+)", name)])


def paired_groups(cells: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the names of each group that methods are paired within, by the columns of `PAIRED`, and its cells."""
    for names, group in cells.groupby(PAIRED, sort=False):
        yield dict(zip(PAIRED, names, strict=True)), group


def group_starts(frame: pd.DataFrame, names: list[str]) -> list[int]:
    """Return the positions of the rows that begin a group, which is where one of the named columns changes."""
    return [index for index, differs in enumerate(frame[names].ne(frame[names].shift()).any(axis=1)) if differs]
