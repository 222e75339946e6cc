"""Differences of methods to an anchor, published beside measured.

What images and kernels do to all methods alike drops out of a difference. The anchor is a method that runs here as in
the paper, such as `fdn` with its authors' weights (all 96 cells of Set12 at 5 %: 26.46 dB / .762 here, 26.46 / .757
there). Verdicts are those of `verdicts`, on differences of PSNR and SSIM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from nidbench.analysis.groups import CASE, GROUP
from nidbench.analysis.pairs import subtract
from nidbench.errors import InputError, UnknownNameError, unknown

from .comparison import grids_of, quoted_rows, reasons
from .conditions import Condition
from .labels import base_label
from .tables import table
from .verdicts import columns, judge, measured

_TYPES: dict[str, Any] = {
    **dict.fromkeys(("table", *GROUP, "method", "anchor", "preset", "declared", "verdict", "by", "protocol"), "str"),
    **dict.fromkeys(("published", "measured", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("published_ssim", "measured_ssim", "difference_ssim", "low_ssim", "high_ssim"), "float64"),
    **dict.fromkeys(("images", "measurements", "paper_images", "paper_measurements"), "int64"),
    "why": "str",
}


def anchor_frame(cells: pd.DataFrame, name: str, anchor: str) -> pd.DataFrame:
    """Return how far methods are from an anchor, in a table of the paper and in a sweep.

    There is a row for each method and condition.

    The columns are those of `comparison.comparison_frame`, and `anchor`. `published` and `measured` are differences,
    method minus anchor, on the measurements that have a score of both.

    Args:
        cells: from `comparison.scored_cells`.
        name: `table2` to `table9`.
        anchor: a label of the sweep, or what is before its preset and settings where that is of one method only.

    Raises:
        UnknownNameError: for another table, or an anchor that the sweep has not.
        InputError: for an anchor of several methods, or where the table has no difference to it that was measured.
    """
    paper_table, label = table(name), _label(cells, anchor)
    rows: list[dict[str, Any]] = []
    for condition, names, grid_cells in grids_of(cells, paper_table):
        about = {"table": name, "anchor": label} | names
        quoted = quoted_rows(paper_table, condition)
        quotes = {row["label"]: row for row in quoted.to_dict("records") if row["label"]}
        if base_label(label) in quotes:
            rows += [about | row for row in _rows(condition, grid_cells, label, quotes)]
    if not rows:
        raise InputError(
            f"{name} has no difference between {base_label(label)} and another method of the sweep: choose an --anchor "
            "that the table has beside them, such as fdn"
        )
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _label(cells: pd.DataFrame, anchor: str) -> str:
    """Return the one label of the cells that an anchor stands for."""
    labels = list(cells["label"].unique())
    fitting = [anchor] if anchor in labels else [label for label in labels if base_label(label) == anchor]
    if not fitting:
        raise UnknownNameError(unknown("method of the sweep", anchor, labels))
    if len(fitting) > 1 or cells.loc[cells["label"] == fitting[0], "preset"].nunique() > 1:
        raise InputError(f"anchor {anchor!r} is several methods of the sweep: name one of {', '.join(fitting)}")
    return str(fitting[0])


def _rows(condition: Condition, cells: pd.DataFrame, anchor: str, quotes: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    is_anchor = cells["label"] == anchor
    anchors = {str(declared): of_level for declared, of_level in cells[is_anchor].groupby("declared")}
    for names, method_cells in cells[~is_anchor].groupby(["label", "preset", "declared"], sort=False):
        label, preset, declared = map(str, names)
        if base_label(label) not in quotes or declared not in anchors:
            continue
        quote, other = quotes[base_label(label)], quotes[base_label(anchor)]
        psnr, ssim = quote["psnr"] - other["psnr"], quote["ssim"] - other["ssim"]
        otherwise = [
            *reasons(condition, method_cells),
            *(f"{anchor}: {why}" for why in reasons(condition, anchors[declared])),
        ]
        means = measured(condition, _apart(method_cells, anchors[declared]))
        verdict = judge(means, psnr, ssim, list(dict.fromkeys(otherwise)))
        yield {
            "method": label,
            "preset": preset,
            "declared": declared,
            "protocol": method_cells["protocol"].iloc[0],
            **columns(condition, means, verdict, psnr, ssim),
        }


def _apart(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return differences of PSNR and SSIM on each measurement with a score of both, method seeds averaged first."""
    first_means, second_means = (cells.groupby(CASE, sort=False)[["psnr", "ssim"]].mean() for cells in (first, second))
    both = first_means.index.intersection(second_means.index)
    apart = {
        name: subtract(*(means.loc[both, name].to_numpy() for means in (first_means, second_means)))
        for name in ("psnr", "ssim")
    }
    return pd.DataFrame(apart, index=both).reset_index()
