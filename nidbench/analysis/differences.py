"""Differences of methods as frames: of all methods to one of them, and of pairs in a published order.

>>> import pandas as pd
>>> rows = [("a", 27.0, 26.0), ("b", 28.5, 27.0), ("c", 30.0, 28.5)]
>>> cells = pd.DataFrame(rows, columns=["image", "ours", "dip"]).melt("image", var_name="label", value_name="psnr")
>>> cells = cells.assign(dataset="sample", kernel_set="levin", kernel="levin/1", noise="gaussian:0.05", noise_seed=0)
>>> cells = cells.assign(seed=0, preset="fast", declared="known")
>>> differences_frame(cells, "dip")[["method", "difference", "low", "high", "verdict"]].round(2)
  method  difference   low  high verdict
0   ours        1.33  0.62  2.05  better
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from .groups import PAIRED, named, paired_groups, reference
from .intervals import CONFIDENCE, holm
from .pairs import Difference, Scores

_DIFFERENCE_TYPES: dict[str, Any] = {
    **dict.fromkeys((*PAIRED, "method", "against", "verdict", "holm", "kernels"), "str"),
    **dict.fromkeys(
        (
            "difference",
            "low",
            "high",
            "bootstrap_low",
            "bootstrap_high",
            "resolution",
            "p_value",
            "p_student",
            "p_holm",
            "image_std",
            "seed_std",
        ),
        "float64",
    ),
    **dict.fromkeys(("wins", "ties", "losses", "pairs", "planned", "images", "unscored"), "int64"),
}

_ORDERING_TYPES: dict[str, Any] = {
    **dict.fromkeys((*PAIRED, "first", "second", "verdict", "holm", "kernels"), "str"),
    **dict.fromkeys(
        (
            "published",
            "difference",
            "low",
            "high",
            "bootstrap_low",
            "bootstrap_high",
            "resolution",
            "p_value",
            "p_student",
            "p_holm",
        ),
        "float64",
    ),
    **dict.fromkeys(("pairs", "planned", "images", "unscored"), "int64"),
}


def differences_frame(cells: pd.DataFrame, against: str = "") -> pd.DataFrame:
    """Return how far each method is from one of them, a row for each group and method.

    A group is one dataset, kernel set, noise and declared level. Columns are those of `Difference`, which is the
    method's PSNR minus the reference's, with `method`, `against` and `verdict`: `better` or `worse` than the reference
    where the interval leaves out 0, else `open`. `p_holm` is Holm's adjusted `p_student`, the family being the rows of
    a group; `holm` is the verdict where that is below 5 %, else `open`.

    Args:
        cells: from `SweepCells.frame`.
        against: the reference, as `named` has it; empty for `ours` where it is there, else the first.

    Raises:
        UnknownNameError: no such method.
        InputError: no cells.
    """
    cells = named(cells)
    second = reference(list(cells["method"].unique()), against)
    rows: list[dict[str, Any]] = []
    for about, group in paired_groups(cells):
        scores, family = Scores(group), [name for name in group["method"].unique() if name != second]
        rows += _adjusted(
            about | {"method": first, "against": second} | vars(scores.difference(first, second)) for first in family
        )
    return pd.DataFrame(rows, columns=list(_DIFFERENCE_TYPES)).astype(_DIFFERENCE_TYPES)


def ordering(
    cells: pd.DataFrame, published: Mapping[str, float], stands_for: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return whether measurements bear out a published order of methods, a row for each group and pair.

    Of a pair, `first` is the one published as better; `published` is by how many dB, `difference` what was measured,
    first minus second, with the columns of `Difference`. The verdict is `confirms` where the interval lies above 0,
    `contradicts` where it lies below, else `open`, as always for a published tie. `p_holm` and `holm` are as in
    `differences_frame`, the family being all pairs of a group.

    Args:
        cells: from `SweepCells.frame`.
        published: published method -> PSNR in dB. Methods without cells are passed over.
        stands_for: method, as `named` has it -> the published one that it is compared as; None for methods that are
            called as the published ones. Two that stand for one are in no published order, and no pair.
    """
    rows: list[dict[str, Any]] = []
    stands_for = {name: name for name in published} if stands_for is None else stands_for
    psnr, places = {name: published[quoted] for name, quoted in stands_for.items()}, list(published)
    for about, group in paired_groups(named(cells)):
        scores, there = Scores(group), set(group["method"])
        ranked = sorted(there & psnr.keys(), key=lambda name: (-psnr[name], places.index(stands_for[name]), name))
        family = []
        for first, second in combinations(ranked, 2):
            if stands_for[first] == stands_for[second]:
                continue
            gap, difference = psnr[first] - psnr[second], scores.difference(first, second)
            pair = {"first": first, "second": second, "published": gap}
            family.append(about | pair | vars(difference) | {"verdict": _agreement(gap, difference)})
        rows += _adjusted(family)
    return pd.DataFrame(rows, columns=list(_ORDERING_TYPES)).astype(_ORDERING_TYPES)


def _agreement(published: float, measured: Difference) -> str:
    if not published > 0:
        return "open"
    return {"better": "confirms", "worse": "contradicts", "open": "open"}[measured.verdict]


def _adjusted(family: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of one family with what Holm leaves of their verdicts."""
    rows = list(family)
    adjusted = holm([row["p_student"] for row in rows])
    return [
        row | {"p_holm": value, "holm": row["verdict"] if value < 1 - CONFIDENCE else "open"}
        for row, value in zip(rows, adjusted, strict=True)
    ]
