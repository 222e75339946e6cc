"""Differences to an anchor, published beside measured: what images and kernels have in common drops out of them.

The anchor is a method that runs here as in the paper, such as `fdn` with its authors' weights (all 96 cells of Set12 at
5 %: 26.46 dB / .762 here, 26.46 / .757 there). A verdict is as of `verdicts`, on PSNR and SSIM differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from nidbench.analysis.pairs import CASE, GROUP, subtract
from nidbench.errors import InputError, UnknownNameError, unknown

from .comparison import grids_of, quoted_rows, reasons
from .conditions import Condition, base_label, table
from .verdicts import columns, judge, measured

_TYPES: dict[str, Any] = {
    **dict.fromkeys(("table", *GROUP, "method", "anchor", "preset", "declared", "verdict", "by", "protocol"), "str"),
    **dict.fromkeys(("published", "measured", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("published_ssim", "measured_ssim", "difference_ssim", "low_ssim", "high_ssim"), "float64"),
    **dict.fromkeys(("images", "measurements", "paper_images", "paper_measurements"), "int64"),
    "why": "str",
}


def anchor_frame(cells: pd.DataFrame, name: str, anchor: str) -> pd.DataFrame:
    """Return how far methods are from an anchor in a table of the paper and in a sweep, a row for each and condition.

    Columns are as of `compare.compare_frame`, with `anchor`; `published` and `measured` are differences, method minus
    anchor, on the measurements that have a score of both.

    Args:
        cells: from `compare.scored_cells`.
        name: `table2` to `table9`.
        anchor: a label of the sweep, or what is before its preset and settings where that is of one method only.

    Raises:
        UnknownNameError: for another table, or an anchor that the sweep has not.
        InputError: for an anchor of several methods, or where the table has no difference to it that was measured.
    """
    found, label, rows = table(name), _label(cells, anchor), []
    for condition, about, part in grids_of(cells, found):
        quoted = quoted_rows(found, condition)
        quotes = {row["label"]: row for row in quoted.to_dict("records") if row["label"]}
        if base_label(label) in quotes:
            rows += [{"table": name, "anchor": label} | about | row for row in _rows(condition, part, label, quotes)]
    if not rows:
        raise InputError(
            f"{name} has no difference between {base_label(label)} and another method of the sweep: choose an --anchor "
            "that the table has beside them, such as fdn"
        )
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _label(cells: pd.DataFrame, anchor: str) -> str:
    labels = list(cells["label"].unique())
    fitting = [each for each in labels if each == anchor] or [each for each in labels if base_label(each) == anchor]
    if not fitting:
        raise UnknownNameError(unknown("method of the sweep", anchor, labels))
    if len(fitting) > 1 or cells.loc[cells["label"] == fitting[0], "preset"].nunique() > 1:
        raise InputError(f"anchor {anchor!r} is several methods of the sweep: name one of {', '.join(fitting)}")
    return str(fitting[0])


def _rows(condition: Condition, cells: pd.DataFrame, anchor: str, quotes: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    anchors = {str(declared): part for declared, part in cells[cells["label"] == anchor].groupby("declared")}
    others = cells[cells["label"] != anchor]
    for names, part in others.groupby(["label", "preset", "declared"], sort=False):
        label, preset, declared = map(str, names)
        if base_label(label) not in quotes or declared not in anchors:
            continue
        quote, other = quotes[base_label(label)], quotes[base_label(anchor)]
        psnr, ssim = quote["psnr"] - other["psnr"], quote["ssim"] - other["ssim"]
        otherwise = [*reasons(condition, part), *(f"{anchor}: {why}" for why in reasons(condition, anchors[declared]))]
        found = measured(condition, _apart(part, anchors[declared]))
        verdict = judge(found, psnr, ssim, list(dict.fromkeys(otherwise)))
        yield {
            "method": label,
            "preset": preset,
            "declared": declared,
            "protocol": part["protocol"].iloc[0],
            **columns(condition, found, verdict, psnr, ssim),
        }


def _apart(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return differences of PSNR and SSIM on each measurement with a score of both, method seeds averaged first."""
    own, other = (part.groupby(CASE, sort=False)[["psnr", "ssim"]].mean() for part in (first, second))
    both = own.index.intersection(other.index)
    apart = {name: subtract(own.loc[both, name], other.loc[both, name]) for name in ("psnr", "ssim")}
    return pd.DataFrame(apart).reset_index()
