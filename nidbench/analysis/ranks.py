"""How the ranks of methods move between metric protocols: what an order owes to the rule of comparison."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from nidbench.errors import InputError
from nidbench.scoring.protocols import DEFAULT, PROTOCOLS

from .cells import SweepCells, incomparable
from .groups import CASE, PAIRED, named

_TYPES: dict[str, Any] = {
    **dict.fromkeys((*PAIRED, "protocol", "method"), "str"),
    **dict.fromkeys(("psnr", "rank", "tau"), "float64"),
    **dict.fromkeys(("methods", "measurements"), "int64"),
}


def ranks_frame(sweep_cells: SweepCells) -> pd.DataFrame:
    """Return the rank by mean PSNR of each method under each protocol that the sweep has scores of.

    A row for each group (dataset, kernel set, noise, declared level), protocol and method. Among the `methods` that
    have a score under the protocol for each of the group's `measurements`, seeds averaged, `rank` 1 is the highest
    mean, over images as in `summary_frame`; equal means share the better rank, and other methods have none (NaN). `tau`
    is Kendall's rank correlation (tau-b) of the protocol's means with those of the default protocol, over methods
    ranked under both; NaN for fewer than two.

    Raises:
        InputError: where the sweep has no score.
    """
    scores = _scores(sweep_cells)
    if scores.empty:
        raise InputError(f"sweep {sweep_cells.sweep.name} has no scores: run it, with a dataset that has sharp images")
    cells = named(sweep_cells.frame())
    rows: list[dict[str, Any]] = []
    for group, group_cells in cells.groupby(PAIRED, sort=False):
        means = _means(group_cells, scores)
        for protocol in map(str, means.columns):
            rows += _ranked(
                means, protocol, dict(zip(PAIRED, group, strict=True)), len(group_cells.drop_duplicates(CASE))
            )
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _scores(sweep_cells: SweepCells) -> pd.DataFrame:
    """Return the PSNR of done cells, a row for each id and a column for each protocol, as `PROTOCOLS` has them."""
    done = [cell.record for cell in sweep_cells.cells if cell.record is not None and cell.record.status == "done"]
    psnr = {record.id: {name: score.psnr for name, score in record.scores.items()} for record in done}
    frame = pd.DataFrame.from_dict(psnr, orient="index")
    places = {name: place for place, name in enumerate(PROTOCOLS)}
    order = sorted(map(str, frame.columns), key=lambda name: (places.get(name.partition(":")[0], len(places)), name))
    return frame[order]


def _means(group_cells: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean PSNR, a row for each method and a column for each protocol; NaN where a measurement has no score."""
    joined = group_cells[["method", "id", *CASE]].join(scores, on="id")
    joined.loc[incomparable(group_cells), scores.columns] = math.nan
    by_measurement = joined.groupby(["method", *CASE], sort=False)[list(scores.columns)].mean()
    measurements = len(group_cells.drop_duplicates(CASE))
    whole = by_measurement.groupby(level="method", sort=False).count() == measurements
    by_image = by_measurement.groupby(level=["method", "image"], sort=False).mean()
    return by_image.groupby(level="method", sort=False).mean().where(whole).dropna(axis=1, how="all")


def _ranked(means: pd.DataFrame, protocol: str, group: dict[str, Any], measurements: int) -> list[dict[str, Any]]:
    values = means[protocol]
    ranks = values.rank(ascending=False, method="min")
    common = {**group, "protocol": protocol, "methods": int(values.notna().sum()), "measurements": measurements}
    common["tau"] = _tau(means, protocol)
    return [
        {**common, "method": method, "psnr": values[method], "rank": ranks[method]} for method in map(str, means.index)
    ]


def _tau(means: pd.DataFrame, protocol: str) -> float:
    if DEFAULT.name not in means:
        return math.nan
    pair = means[[DEFAULT.name, protocol]].set_axis(["first", "second"], axis=1).dropna()
    if len(pair) < 2:
        return math.nan
    return float(pair["first"].corr(pair["second"], method="kendall"))
