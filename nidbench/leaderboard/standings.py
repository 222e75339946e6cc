"""Who stands where on the fixed set: ranks among those that have all of it, and how far behind the others are."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.grids import GridMean, grid_mean
from nidbench.analysis.pairs import Scores
from nidbench.errors import ResultsError
from nidbench.paper.comparison import comparison_frame, scored_cells
from nidbench.registry.method_spec import tuned_on_tested
from nidbench.sweep.recorded import info_of

from .fixed_set import IMAGES, KERNELS, LEVELS, PAIRS

#: Of the paper, which has these measurements.
TABLE = "table2"

_TYPES: dict[str, Any] = {
    **dict.fromkeys(("noise", "method", "registered"), "str"),
    **dict.fromkeys(("rank", "psnr", "low", "high", "ssim", "behind", "behind_low", "behind_high"), "float64"),
    **dict.fromkeys(("shared", "measurements"), "int64"),
    "first": "bool",
    **dict.fromkeys(("seconds", "peak_memory_mb", "year"), "float64"),
    "blind": "bool",
    **dict.fromkeys(("kind", "verdict", "by", "tuned_on", "precision", "device", "threads", "batch", "old"), "str"),
}


def standings_frame(sweep_cells: SweepCells) -> pd.DataFrame:
    """Return a row for each method at each noise level that it has a measurement of.

    - `rank` is by mean PSNR among the methods that have a score for each of the 24 measurements of the level, computed
      by what is today's version; NaN for others. Equal means share the better rank. A method that is `blind` is told
      less than the others, and its x may be shifted against the truth: it has no rank and is not compared.
    - `psnr` and `ssim` are means over the method's `measurements` of the set. `low` and `high` are the 95 % interval of
      the mean PSNR over all 96 pairs of image and kernel, of which these are some; NaN where it is not known.
    - `behind` is how far it is behind the first, in dB, on the `shared` measurements that both have, paired by image,
      with its 95 % interval by Student's t; `first` marks the first and what is not told apart from it.
    - `seconds` is the mean over its measurements, `peak_memory_mb` the largest, in 10^6 bytes. `threads` and `batch`,
      the number of restorations side by side, are those of its records, separated by commas where they differ, empty
      where they are not known: seconds compare between methods that have the same.
    - `kind` is `dataset-free` or `supervised`, empty for a method that is not installed here.
    - `verdict` says whether it reproduces the paper's Table 2 at this level, from all its records of that table, not
      only those of the set, and `by` by which quantities.
    - `tuned_on` names the images of a dataset by whose scores the preset was chosen; empty where it was on none.
    - `old` says what of it is not today's version.

    Args:
        sweep_cells: from `entries`.

    Raises:
        ResultsError: where no record has a score on the set.
    """
    cells = sweep_cells.frame()
    verdicts = _verdicts(sweep_cells)
    settings = {cell.planned.label: cell.record.cell.settings for cell in sweep_cells.cells if cell.record is not None}
    methods = {cell.planned.label: cell.planned.method for cell in sweep_cells.cells}
    presets = {cell.planned.label: cell.planned.preset for cell in sweep_cells.cells}
    pairs = pd.MultiIndex.from_frame(cells[["image", "kernel"]])
    on_set = cells[pairs.isin(PAIRS) & cells["psnr"].notna()]
    rows: list[dict[str, Any]] = []
    for noise in LEVELS:
        level = on_set[on_set["noise"] == noise]
        for row in _level_rows(level, {label for label, method in methods.items() if _is_blind(method)}):
            label = row["method"]
            verdict, by = verdicts.get((noise, label), ("", ""))
            about = {"noise": noise, "registered": methods[label], "verdict": verdict, "by": by}
            rows.append(about | row | _facts(methods[label], presets[label], settings[label]))
    if not rows:
        raise ResultsError("no record has a score on the leaderboard's measurements: see docs/leaderboard.md")
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _level_rows(level: pd.DataFrame, blind: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of one noise level: the ranked by rank, then the others by name; `blind` labels have no rank."""
    if level.empty:
        return []
    scores = Scores(level.assign(method=level["label"]))
    rows = {str(label): _own(cells) for label, cells in level.groupby("label", sort=True)}
    whole = [
        label
        for label, row in rows.items()
        if row["measurements"] == len(PAIRS) and not row["old"] and label not in blind
    ]
    ranks = pd.Series({label: rows[label]["psnr"] for label in whole}, dtype=float).rank(ascending=False, method="min")
    first = str(ranks.idxmin()) if whole else ""
    leaders = set(scores.leaders(whole)) if len(whole) > 1 else set(whole)
    for label, row in rows.items():
        row |= {"method": label, "rank": float(ranks.get(label, math.nan)), "first": label in leaders}
        row |= {"blind": label in blind} | _behind(scores, "" if label in blind else first, label)
    return sorted(rows.values(), key=lambda row: (math.isnan(row["rank"]), row["rank"], row["method"]))


def _own(cells: pd.DataFrame) -> dict[str, Any]:
    """Return what a method's cells at one level say by themselves."""
    by_pair = cells.groupby(["image", "kernel"], sort=True)[["psnr", "ssim"]].mean().reset_index()
    mean = _mean(by_pair)
    return {
        "psnr": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "ssim": float(by_pair["ssim"].mean()),
        "measurements": len(by_pair),
        "seconds": float(cells["seconds"].mean()),
        "peak_memory_mb": float(cells["peak_memory_mb"].max()),
        "precision": ", ".join(sorted(cells["precision"].unique())),
        "device": ", ".join(sorted(cells["device"].unique())),
        "threads": _counts(cells["threads"]),
        "batch": _counts(cells["batch"]),
        "old": "; ".join(sorted(set(cells["old"]) - {""})),
    }


def _counts(numbers: pd.Series[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in sorted(numbers.dropna().unique()))


def _mean(by_pair: pd.DataFrame) -> GridMean:
    return grid_mean(
        by_pair["psnr"].to_numpy(float), list(by_pair["image"]), list(by_pair["kernel"]), (IMAGES, KERNELS)
    )


def _behind(scores: Scores, first: str, label: str) -> dict[str, Any]:
    if first in ("", label):
        lacking = math.nan if not first else 0.0
        return {"behind": lacking, "behind_low": math.nan, "behind_high": math.nan, "shared": 0}
    apart = scores.difference(first, label)
    return {
        "behind": apart.difference,
        "behind_low": apart.low,
        "behind_high": apart.high,
        "shared": apart.pairs,
    }


def _is_blind(method: str) -> bool:
    info = info_of(method)
    return info is not None and info.blind


def _facts(method: str, preset: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return year and kind of a method and on what its preset was tuned, as it says itself."""
    info = info_of(method)
    if info is None:
        return {"year": math.nan, "kind": "", "tuned_on": ""}
    learned = info.supervised
    supervised = settings.get(learned) is not None if isinstance(learned, str) else learned
    kind = "supervised" if supervised else "dataset-free"
    return {"year": info.year or math.nan, "kind": kind, "tuned_on": tuned_on_tested(info, preset)}


def _verdicts(sweep_cells: SweepCells) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the verdict of each noise level and label in the paper's table, and what it rests on."""
    frame = comparison_frame(scored_cells(sweep_cells, TABLE), TABLE)
    ours = frame[frame["measured"].notna()]
    keys = zip(ours["noise"], ours["method"], strict=True)
    return dict(zip(keys, zip(ours["verdict"], ours["by"], strict=True), strict=True))
