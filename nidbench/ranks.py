"""How the ranks of methods move between metric protocols: what an order owes to the rule of comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import InputError
from .metrics import DEFAULT, PROTOCOLS
from .records import Record, Store, Sweep
from .statistics import CASE, GROUP, PAIRED, group_starts, named
from .tables import cells_frame, incomparable, source_lines
from .typeset import UNKNOWN, Sheet, check_format, write

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
    return _ranks(*_cells_and_scores(store, sweep))


def _cells_and_scores(store: Store, sweep: Sweep) -> tuple[pd.DataFrame, pd.DataFrame]:
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


def _ranks(cells: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
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


def render_ranks(store: Store, sweep: Sweep, format: str = "md") -> str:  # noqa: A002 - as `tables.render`
    """Return the ranks as Markdown, LaTeX or HTML, a column for each protocol, or `ranks_frame` as CSV.

    Raises:
        InputError: no such format, or what `ranks_frame` refuses.
    """
    check_format(format)
    cells, scores = _cells_and_scores(store, sweep)
    frame = _ranks(cells, scores)
    return frame.to_csv(index=False) if format == "csv" else write(_sheet(frame, source_lines(cells)), format)


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
    told = frame[frame["protocol"] != DEFAULT.name].drop_duplicates([*PAIRED, "protocol"])
    for _, row in told.dropna(subset=["tau"]).iterrows():
        where = " ".join(str(row[name]) for name in GROUP)
        lines.append(f"{where}: Kendall's tau of {row['protocol']} with {DEFAULT.name} {row['tau']:.2f}")
    return lines
