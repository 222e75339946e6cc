"""Which methods nobody beats in cost and quality at once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def front(costs: Sequence[float], scores: Sequence[float]) -> list[bool]:
    """Return which points are on the Pareto front: no other costs at most as much and scores at least as high.

    Two equal points are both on it. A point with a cost or score that is not known (NaN) is not.

    >>> front([1.0, 2.0, 3.0], [20.0, 19.0, 25.0])
    [True, False, True]

    Args:
        costs: such as seconds; less is better.
        scores: such as PSNR; more is better.
    """
    points = list(zip(costs, scores, strict=True))
    return [
        cost == cost
        and score == score
        and not any(other <= cost and better >= score and (other, better) != (cost, score) for other, better in points)
        for cost, score in points
    ]


def method_front(methods: pd.DataFrame) -> list[bool]:
    """Return which methods of a group are on the front of mean seconds and mean PSNR.

    One that lacks measurements is not, and beats no other: its means are of easier ones, perhaps.

    Args:
        methods: rows of a `summary.summary_frame`, of one group and declared level.
    """
    return front(methods["seconds"].tolist(), methods["psnr"].where(methods["comparable"]).tolist())
