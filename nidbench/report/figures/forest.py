"""Not the paper's: how far methods are from one of them, with intervals, as a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.differences import differences_frame
from nidbench.analysis.groups import PAIRED
from nidbench.errors import InputError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Store, Sweep
from nidbench.report.contact_sheet import wrapped
from nidbench.report.speedup import group_text
from nidbench.report.typeset import signed_texts
from nidbench.scoring.protocols import DEFAULT
from nidbench.system.counts import count_of

from .canvas import decorate, empty_figure
from .view import Choice, Drawn, chosen_cells


def forest(store: Store, sweep: Sweep, keys: Sequence[CaseKey], choice: Choice) -> Drawn:
    """Draw the paired differences of `differences_frame` with their 95 % intervals, a panel for each group."""
    cells = chosen_cells(SweepCells.read(store, sweep).frame(), keys, choice)
    whole = differences_frame(cells, choice.against)
    frame = whole[whole["difference"].notna()]
    if frame.empty:
        raise InputError(f"the sweep {sweep.name} has no two methods with scores of the same measurements: run another")
    groups = [group for _, group in frame.groupby(PAIRED, sort=False)]
    rows = [len(group) for group in groups]
    heading = f"Paired difference in PSNR to {frame['against'].iloc[0]}\n{sweep.name}   ({DEFAULT.name})"
    lacking = whole[whole["difference"].isna()]
    if not lacking.empty:
        heading += f"\nwithout a difference: {', '.join(lacking['method'].unique())}"
    figure = empty_figure(6.4, 0.34 * sum(rows) + 0.75 * len(groups) + 0.6, heading)
    panels = figure.subplots(len(groups), 1, squeeze=False, sharex=True, height_ratios=[n + 1 for n in rows])[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        _show(axes, group)
    panels[-1].set_xlabel("difference in PSNR, dB (right: better than the reference)", fontsize=8)
    return Drawn(figure, None, [_line(row) for row in [*frame.to_dict("records"), *lacking.to_dict("records")]])


def _line(row: Mapping[Any, Any]) -> str:
    """Return what a row of `differences_frame` says, and how many pairs it is of where some lack a score."""
    about = f"{row['method']} to {row['against']}, {group_text([str(row[name]) for name in PAIRED])}"
    pairs = f", {row['pairs']} of {count_of(row['planned'], 'pair')}" if row["pairs"] < row["planned"] else ""
    difference, interval = signed_texts(row["difference"], row["low"], row["high"])
    return f"{about}: {difference} dB {interval}, {row['verdict']}{pairs}"


def _show(axes: Axes, group: pd.DataFrame) -> None:
    axes.axvline(0, color="0.4", linewidth=1)
    names = []
    for height, row in enumerate(group.to_dict("records")):
        names.append("\n".join(wrapped(row["method"], 30)))
        if pd.notna(row["low"]):
            axes.plot([row["low"], row["high"]], [height, height], color="black", linewidth=1.5)
        inside = "white" if row["verdict"] == "open" else "black"
        axes.plot(row["difference"], height, marker="o", markersize=5, color="black", markerfacecolor=inside)
        text = " ".join(signed_texts(row["difference"], row["low"], row["high"]))
        axes.annotate(
            text, (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize=7, annotation_clip=False
        )
    axes.set_yticks(range(len(names)), names)
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    decorate(axes, group_text([str(value) for value in group[PAIRED].iloc[0]]), legend=False)
    axes.grid(visible=False, axis="y")
