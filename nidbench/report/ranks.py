"""Ranks of methods under several protocols, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import GROUP, PAIRED, group_starts
from nidbench.analysis.ranks import ranks_frame
from nidbench.analysis.summary import source_lines
from nidbench.scoring.protocols import DEFAULT

from .typeset import UNKNOWN, Sheet, check_format, write


def render_ranks(
    sweep_cells: SweepCells,
    format: str = "md",  # noqa: A002 - the name of the command line's option
) -> str:
    """Return the ranks as Markdown, LaTeX or HTML, a column for each protocol, or `ranks_frame` as CSV.

    Raises:
        InputError: no such format, or what `ranks_frame` refuses.
    """
    check_format(format)
    frame = ranks_frame(sweep_cells)
    if format == "csv":
        return frame.to_csv(index=False)
    return write(_sheet(frame, source_lines(sweep_cells.frame())), format)


def _sheet(frame: pd.DataFrame, notes: Sequence[str]) -> Sheet:
    protocols = list(frame["protocol"].unique())
    labels = [name for name in (*PAIRED, "method") if name != "declared" or frame["declared"].nunique() > 1]
    lines = frame.drop_duplicates([*PAIRED, "method"]).reset_index(drop=True)
    begins = group_starts(lines, PAIRED)
    values = {(*map(str, row[[*PAIRED, "method", "protocol"]]),): row for _, row in frame.iterrows()}
    rows = []
    for index, line in lines.iterrows():
        key = tuple(map(str, line[[*PAIRED, "method"]]))
        names = ["" if name in PAIRED and index not in begins else str(line[name]) for name in labels]
        rows.append([*names, *(_text(values.get((*key, protocol))) for protocol in protocols)])
    titles = ["kernels" if name == "kernel_set" else name for name in labels]
    return Sheet(_caption(), [*titles, *protocols], len(labels), rows, set(begins), [*_tau_lines(frame), *notes])


def _text(row: Any) -> str:
    return UNKNOWN if row is None or math.isnan(row["rank"]) else f"{row['rank']:.0f} ({row['psnr']:.2f})"


def _caption() -> str:
    return (
        "Rank of each method by its mean PSNR (dB, in brackets) under each metric protocol that the records have. "
        "Methods without a score for every measurement have no rank. Ranks say nothing of whether methods can be told "
        f"apart: see nidbench differences. The default protocol is {DEFAULT.name}."
    )


def _tau_lines(frame: pd.DataFrame) -> list[str]:
    lines = []
    compared = frame[frame["protocol"] != DEFAULT.name].drop_duplicates([*PAIRED, "protocol"])
    for _, row in compared.dropna(subset=["tau"]).iterrows():
        where = " ".join(str(row[name]) for name in GROUP)
        lines.append(f"{where}: Kendall's tau of {row['protocol']} with {DEFAULT.name} {row['tau']:.2f}")
    return lines
