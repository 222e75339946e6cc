"""The curves of a report: PSNR against iterations and seconds, all methods of a group on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nidbench.analysis.curves import Curve, curve_of, mean_curve
from nidbench.analysis.groups import PAIRED, named
from nidbench.analysis.speedup import Group, Line
from nidbench.analysis.summary import image_means, input_scores
from nidbench.physics.case_key import CaseKey
from nidbench.report.speedup import group_text

from .numbers import Content, Text, known

#: Points of a curve that a page shows: more are not told apart.
_POINTS = 90


def curves(
    lines: Sequence[Line], cells: pd.DataFrame, places: Mapping[CaseKey, int], names: Sequence[str], text: Text
) -> Content:
    """Return the curves of a sweep, of single cases and their means, and what methods without one returned.

    Args:
        lines: from `speedup.lines_of`.
        cells: from `SweepCells.frame`, under half-kernel, as curves are.
        places: of the cases on the page.
        names: of all methods, as `groups.named` has them.
        text: makes the texts of the page.
    """
    groups = {group: place for place, group in enumerate(_groups(cells))}
    return {
        "groups": [{"title": text(group_text(group)), "input": _input(cells, group)} for group in groups],
        "means": [
            {"method": names.index(line.name), "group": place, "of": len(found)}
            | {unit: _thin(*mean_curve(found, unit, line.weights(group))) for unit in ("iteration", "seconds")}
            for line in lines
            for group, place in groups.items()
            if (found := line.curves(group))
        ],
        "single": [
            {"method": names.index(line.name), "case": places[matched.case], "group": groups[matched.group]}
            | _points(curve)
            for line in lines
            for matched, record in line.records.items()
            if (curve := curve_of(record))
        ],
        "ends": _ends(lines, cells, groups, names),
    }


def _groups(cells: pd.DataFrame) -> list[Group]:
    return list(cells[PAIRED].drop_duplicates().itertuples(index=False, name=None))


def _input(cells: pd.DataFrame, group: Group) -> float | None:
    here = cells[(cells[PAIRED] == list(group)).all(axis=1)]
    return known(image_means(input_scores(here).reset_index(), ["input_psnr"])["input_psnr"].mean())


def _ends(
    lines: Sequence[Line], cells: pd.DataFrame, groups: Mapping[Group, int], names: Sequence[str]
) -> list[Content]:
    """Return where the methods of a group end that have no curve in it: they are shown as points."""
    having = {(line.name, group) for line in lines for group in groups if line.curves(group)}
    ends = []
    done = named(cells)
    done = done[done["status"] == "done"]
    for (name, *group), rows in done.groupby(["method", *PAIRED], sort=False):
        if (name, tuple(group)) not in having:
            spent = {"iteration": known(rows["iterations"].mean()), "seconds": known(rows["seconds"].mean())}
            place = {"method": names.index(name), "group": groups[tuple(group)]}  # type: ignore[index]
            ends.append(place | spent | {"psnr": known(image_means(rows, ["stop_psnr"])["stop_psnr"].mean())})
    return ends


def _points(curve: Curve) -> Content:
    finite = [point for point in curve if np.isfinite(point.psnr)]
    chosen = [finite[place] for place in _chosen(len(finite))]
    return {
        "iteration": [point.iteration for point in chosen],
        "seconds": [_digits(point.seconds) for point in chosen],
        "psnr": [round(point.psnr, 3) for point in chosen],
    }


def _thin(places: np.ndarray, means: np.ndarray) -> list[list[float]]:
    chosen = _chosen(len(places))
    return [[_digits(places[place]) for place in chosen], [round(float(means[place]), 3) for place in chosen]]


def _chosen(count: int) -> list[int]:
    """Return places of a curve's points, dense at its start as on a logarithmic axis; first and last are among them."""
    if count <= _POINTS:
        return list(range(count))
    return sorted({0, count - 1, *np.geomspace(1, count, _POINTS).astype(int) - 1})


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
