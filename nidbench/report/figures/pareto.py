"""Not the paper's: mean PSNR over mean seconds of each method, and which of them no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import GROUP, PAIRED, named
from nidbench.analysis.pareto import method_front
from nidbench.analysis.summary import INPUT, input_psnr, summary_frame, with_names
from nidbench.errors import InputError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Store, Sweep
from nidbench.report.contact_sheet import wrapped
from nidbench.report.speedup import group_text
from nidbench.report.typeset import number
from nidbench.scoring.protocols import DEFAULT

from .canvas import COLOURS, MARKS, decorate, empty_figure
from .view import Choice, Drawn, chosen_cells

#: What is said of a method that has no score for some measurement of its group.
LACKING = "lacks measurements, so not comparable"


def pareto(store: Store, sweep: Sweep, keys: Sequence[CaseKey], choice: Choice) -> Drawn:
    """Draw the mean PSNR of each method over its mean seconds, a panel for each group of measurements.

    Methods of a panel were told the same of the noise level.

    Bars are the 95 % interval of the mean over images. The line joins the methods that no other beats in both, of those
    that have a score for every measurement.
    """
    cells = named(chosen_cells(SweepCells.read(store, sweep).frame(), keys, choice))
    names = list(cells["method"].unique())
    summary = with_names(summary_frame(cells), names)
    inputs = input_psnr(summary)
    known = summary[(summary["method"] != INPUT) & summary["psnr"].notna() & (summary["seconds"] > 0)]
    groups = {tuple(map(str, group)): methods for group, methods in known.groupby(PAIRED, sort=False)}
    if not groups:
        raise InputError(f"no done cell of the sweep {sweep.name} has both a score and seconds: run it first")
    figure = empty_figure(5.6, 3.8 * len(groups) + 0.3, f"{sweep.name}   ({DEFAULT.name})")
    panels = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    lines: list[str] = []
    for axes, (group, methods) in zip(panels, groups.items(), strict=True):
        lines += _show(axes, group_text(group), methods, inputs[group[: len(GROUP)]], names)
    return Drawn(figure, None, lines)


def _show(axes: Axes, title: str, methods: pd.DataFrame, blurred: float, names: Sequence[str]) -> list[str]:
    """Show the methods of a group beside the PSNR of its blurred images, and return its numbers as lines."""
    on_front = method_front(methods)
    lines = [f"{title}: mean PSNR and mean seconds of a cell"]
    for row, is_on_front in zip(methods.to_dict("records"), on_front, strict=True):
        place = names.index(row["method"])
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKS[place % len(MARKS)]}
        has_interval = pd.notna(row["psnr_low"])
        ends = [[row["psnr"] - row["psnr_low"]], [row["psnr_high"] - row["psnr"]]] if has_interval else None
        label = "\n".join(wrapped(row["method"] + ("" if row["comparable"] else f" ({LACKING})"), 40))
        axes.errorbar(
            row["seconds"], row["psnr"], ends, label=label, linestyle="", markersize=6, elinewidth=1, capsize=2, **style
        )
        interval = f" [{row['psnr_low']:.2f}, {row['psnr_high']:.2f}]" if has_interval else ""
        spent = number(row["seconds"], "seconds")
        said = "; no other method beats both" if is_on_front else "" if row["comparable"] else f"; {LACKING}"
        lines.append(f"{row['method']}: {row['psnr']:.2f} dB{interval} in {spent} s{said}")
    best = methods[on_front].sort_values("seconds")
    axes.plot(best["seconds"], best["psnr"], drawstyle="steps-post", color="0.5", linewidth=1, zorder=1)
    if not math.isnan(blurred):
        axes.axhline(blurred, color="0.4", linewidth=1, linestyle="--", label="blurred input")
    axes.set_xscale("log")
    axes.set_xlabel("mean seconds of a cell", fontsize=8)
    axes.set_ylabel("mean PSNR, dB", fontsize=8)
    decorate(axes, title)
    return lines
