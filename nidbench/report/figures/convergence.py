"""Not the paper's: PSNR against iterations and seconds, and the factor that a preset gains over another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from nidbench.analysis.curves import curve_of, mean_curve
from nidbench.analysis.speedup import Group, Line, cell_factors_frame, compared_lines, factors_frame, read_lines
from nidbench.errors import InputError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Store, Sweep
from nidbench.report.contact_sheet import wrapped
from nidbench.report.speedup import factor_text, group_text, speedup_lines
from nidbench.scoring.protocols import DEFAULT

from .canvas import COLOURS, decorate, empty_figure
from .view import Choice, Drawn, planned_of

_UNITS = ("iterations", "seconds")
_LEGEND = 40  #: characters of a line of the legend


def convergence(store: Store, sweep: Sweep, keys: Sequence[CaseKey], choice: Choice) -> Drawn:
    """Draw the PSNR of each method's lines over what was spent, a row for each method and group of measurements.

    Where they are asked for together, the lines of all methods share the row of their group.
    """
    lines = read_lines(store, planned_of(sweep, keys, choice))
    rows = _rows(lines, together=choice.together)
    if not rows:
        raise InputError(
            f"no done cell of the sweep {sweep.name} has a curve: choose a method that iterates, such as dip, "
            "and run it with --observe 25"
        )
    cell_factors = cell_factors_frame(lines)
    factors = factors_frame(cell_factors)
    figure = empty_figure(8.6, 2.8 * len(rows) + 0.6, _heading(sweep.name, lines, together=choice.together))
    grid = figure.subplots(len(rows), 2, squeeze=False, sharex="col", sharey="row")
    for (group, shown), panels in zip(rows, grid, strict=True):
        _show_row(panels, group, shown, None if choice.together else factors)
    single = "thick: mean, thin: single cases, dots: their own stops"
    shown_as = "mean over images, dot: end" if choice.together else single
    for axes, unit in zip(grid[-1], _UNITS, strict=True):
        axes.set_xlabel(f"{unit} ({shown_as})", fontsize=8)
    return Drawn(figure, None, [*speedup_lines(cell_factors), *_without_factor(lines)])


def _rows(lines: Sequence[Line], *, together: bool) -> list[tuple[Group, list[Line]]]:
    """Return the group and the lines of each row: those of a method that have a curve in it, or of all together."""
    groups = list(dict.fromkeys(matched.group for line in lines for matched in line.records))
    methods = dict.fromkeys(line.method for line in lines)
    families = [set(methods)] if together else [{method} for method in methods]
    return [
        (group, shown)
        for family in families
        for group in groups
        if (shown := [line for line in lines if line.method in family and line.curves(group)])
    ]


def _heading(name: str, lines: Sequence[Line], *, together: bool) -> str:
    heading = f"{name}   ({DEFAULT.name})"
    if not together:
        heading += "\nfactor: to first reach what the reference returns, in how many cases"
    if without := [line.name for line in lines if not any(map(curve_of, line.records.values()))]:
        heading += f"\nwithout a curve: {', '.join(without)}"
    return heading


def _show_row(panels: Sequence[Axes], group: Group, lines: Sequence[Line], factors: pd.DataFrame | None) -> None:
    """Show the lines of a group over iterations and over seconds.

    Args:
        panels: one for each of the two.
        group: the group.
        lines: those that have curves in it.
        factors: of `factors_frame`, for lines of one method; None for lines of several, without factors.
    """
    names = {
        unit: [_named(line, "" if factors is None else factor_text(factors, line.name, group, unit)) for line in lines]
        for unit in _UNITS
    }
    panels[0].set_ylim(_range(lines, group, max(sum(map(len, texts)) for texts in names.values())))
    about = "" if factors is None else f"{lines[0].method}, "
    for axes, unit in zip(panels, _UNITS, strict=True):
        _show_lines(axes, lines, group, unit, names[unit], single=factors is not None)
        decorate(axes, f"{about}{group_text(group)}")
    panels[0].set_ylabel("PSNR, dB", fontsize=8)


def _named(line: Line, gained: str) -> list[str]:
    """Return what the legend says of a line, in lines of text."""
    *settings, last = wrapped(line.name, _LEGEND)
    if gained and len(last) + len(gained) > _LEGEND:
        return [*settings, f"{last}:", gained]
    return [*settings, f"{last}: {gained}" if gained else last]


def _show_lines(
    axes: Axes, lines: Sequence[Line], group: Group, unit: str, names: Sequence[Sequence[str]], *, single: bool
) -> None:
    """Show the mean curve, in which a case that has stopped keeps what it returned; thin each case's own, if asked."""
    attribute = unit.replace("iterations", "iteration")
    for place, (line, name) in enumerate(zip(lines, names, strict=True)):
        curves = line.curves(group)
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": "o", "markevery": [-1]}
        for curve in curves if single and len(curves) > 1 else ():
            spent = [getattr(point, attribute) for point in curve]
            axes.plot(spent, [point.psnr for point in curve], linewidth=0.7, alpha=0.45, markersize=2.5, **style)
        places, means = mean_curve(curves, attribute, line.weights(group))
        axes.plot(places, means, linewidth=1.8, markersize=5, label="\n".join(name), **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _range(lines: Sequence[Line], group: Group, height: int) -> tuple[float, float]:
    """Return the range of the PSNR axis: without the climb from the first, random predictions, with room for names.

    `height` is that of the legend, in lines of text.
    """
    curves = [curve for line in lines for curve in line.curves(group)]
    values = [point.psnr for curve in curves for point in curve if math.isfinite(point.psnr)]
    bottom = max(min(values), min(curve[-1].psnr for curve in curves) - 4) - 0.3
    names = min(0.5, 0.08 * height + 0.06)
    return bottom, bottom + (max(values) - bottom) / (1 - names)


def _without_factor(lines: Sequence[Line]) -> Iterable[str]:
    """Yield what has no factor, and why."""
    compared = {line.method for pair in compared_lines(lines) for line in pair}
    for line in lines:
        if not any(map(curve_of, line.records.values())):
            yield f"{line.name}: no curve, so no factor"
        elif line.method not in compared:
            yield f"{line.name}: alone, so no factor; run another preset of {line.method} beside it"
