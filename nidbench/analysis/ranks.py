"""How the ranks of methods move between metric protocols: what an order owes to the rule of comparison."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from nidbench.errors import InputError
from nidbench.records import Record, Store, Sweep
from nidbench.scoring.protocols import DEFAULT, PROTOCOLS

from .cells import cells_frame, incomparable
from .pairs import CASE, PAIRED, named

_TYPES: dict[str, Any] = {
    **dict.fromkeys((*PAIRED, "protocol", "method"), "str"),
    **dict.fromkeys(("psnr", "rank", "tau"), "float64"),
    **dict.fromkeys(("methods", "measurements"), "int64"),
}


def ranks_frame(store: Store, sweep: Sweep) -> pd.DataFrame:
    """Return the rank by mean PSNR of each method under each protocol that the sweep has scores of.

    A row for each group (dataset, kernel set, noise, declared level), protocol and method. Among the `methods` that
    have a score under the protocol for each of the group's `measurements`, seeds averaged, `rank` 1 is the highest
    mean; equal means share the better rank, and other methods have none (NaN). `tau` is Kendall's rank correlation
    (tau-b) of the protocol's means with those of the default protocol, over methods ranked under both; NaN for fewer
    than two.

    Raises:
        InputError: where the sweep has no score.
    """
    return ranks_of(*cells_and_scores(store, sweep))


def cells_and_scores(store: Store, sweep: Sweep) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells of a sweep, and the PSNR of those that are done, see `_scores`.

    Raises:
        InputError: where the sweep has no score.
    """
    read = _Read(store.root)
    cells = named(cells_frame(read, sweep))
    scores = _scores(read.psnr)
    if scores.empty:
        raise InputError(f"sweep {sweep.name} has no scores: run it, with a dataset that has sharp images")
    return cells, scores


def ranks_of(cells: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return the ranks of `ranks_frame` from what `cells_and_scores` returns."""
    rows: list[dict[str, Any]] = []
    for group, part in cells.groupby(PAIRED, sort=False):
        means = _means(part, scores)
        for protocol in map(str, means.columns):
            rows += _ranked(means, protocol, dict(zip(PAIRED, group, strict=True)), len(part.drop_duplicates(CASE)))
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


class _Read(Store):
    """A results folder that remembers, of the done records it reads, the PSNR under each protocol.

    Attributes:
        psnr: cell's id -> protocol -> PSNR.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, create=False)
        self.psnr: dict[str, dict[str, float]] = {}

    def read(self, cell_id: str) -> Record | None:
        """Return a cell's record, as `Store.read` does."""
        record = super().read(cell_id)
        if record is not None and record.status == "done":
            self.psnr[cell_id] = {name: score.psnr for name, score in record.scores.items()}
        return record


def _scores(psnr: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Return the PSNR of done cells, a row for each cell and a column for each protocol, as `PROTOCOLS` has them."""
    frame = pd.DataFrame.from_dict(psnr, orient="index")
    places = {name: place for place, name in enumerate(PROTOCOLS)}
    order = sorted(map(str, frame.columns), key=lambda name: (places.get(name.partition(":")[0], len(places)), name))
    return frame[order]


def _means(part: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean PSNR, a row for each method and a column for each protocol; NaN where a measurement has no score."""
    joined = part[["method", "id", *CASE]].join(scores, on="id")
    joined.loc[incomparable(part), scores.columns] = math.nan
    each = joined.groupby(["method", *CASE], sort=False)[list(scores.columns)].mean()
    measurements = len(part.drop_duplicates(CASE))
    by_method = each.groupby(level="method", sort=False)
    whole = by_method.count() == measurements
    return by_method.mean().where(whole).dropna(axis=1, how="all")


def _ranked(means: pd.DataFrame, protocol: str, group: dict[str, Any], measurements: int) -> list[dict[str, Any]]:
    values = means[protocol]
    ranks = values.rank(ascending=False, method="min")
    told = {**group, "protocol": protocol, "methods": int(values.notna().sum()), "measurements": measurements}
    told["tau"] = _tau(means, protocol)
    return [
        {**told, "method": method, "psnr": values[method], "rank": ranks[method]} for method in map(str, means.index)
    ]


def _tau(means: pd.DataFrame, protocol: str) -> float:
    if DEFAULT.name not in means:
        return math.nan
    pair = means[[DEFAULT.name, protocol]].set_axis(["first", "second"], axis=1).dropna()
    if len(pair) < 2:
        return math.nan
    return float(pair["first"].corr(pair["second"], method="kendall"))
