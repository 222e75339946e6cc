"""The leaderboard as text: a table over the levels, and one for each level with intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.paper.verdicts import with_reason
from nidbench.report.typeset import UNKNOWN, Sheet, check_format, interval_text, number, signed_texts, write
from nidbench.scoring.protocols import DEFAULT

from .fixed_set import LEVELS, PAIRS
from .standings import standings_frame

#: Noise levels as headings have them.
PERCENT = dict(zip(LEVELS, ("1 %", "3 %", "5 %"), strict=True))

#: Columns that decide whether seconds compare -> what notes say of them.
_COSTS = (("threads", "seconds with threads: {}"), ("batch", "seconds with restorations side by side: {}"))

#: Cells of a method over all levels.
ALL = len(PAIRS) * len(LEVELS)


def render(sweep_cells: SweepCells, form: str = "md") -> str:
    """Return the leaderboard as `md`, `latex` or `html`, or `standings_frame` as `csv`.

    Args:
        sweep_cells: from `entries.entries`.
        form: the format.

    Raises:
        InputError: no such format.
        ResultsError: what `standings_frame` raises.
    """
    check_format(form)
    frame = standings_frame(sweep_cells)
    if form == "csv":
        return frame.to_csv(index=False)
    sheets = [_overview(frame), *(_level(frame, noise) for noise in LEVELS if (frame["noise"] == noise).any())]
    return "\n".join(write(sheet, form) for sheet in sheets)


def order(frame: pd.DataFrame) -> list[str]:
    """Return the methods: those ranked at every level by the mean of their ranks, then the others by name."""
    ranks = frame.pivot(index="method", columns="noise", values="rank").reindex(columns=LEVELS)
    mean = ranks.mean(axis=1).where(ranks.notna().all(axis=1), math.inf)
    return sorted(map(str, ranks.index), key=lambda method: (mean[method], method))


def _overview(frame: pd.DataFrame) -> Sheet:
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    italic: set[tuple[int, int]] = set()
    for method in order(frame):
        own = frame[frame["method"] == method].set_index("noise")
        by_level = {str(noise): row for noise, row in own.iterrows()}
        first = own.iloc[0]
        cells = int(own["measurements"].sum())
        words = [method, number(first["year"], ".0f"), _kind(first), _reproduced(own)]
        levels = [_ranked(by_level[noise]) if noise in by_level else UNKNOWN for noise in LEVELS]
        seconds, memory = _seconds(own), own["peak_memory_mb"].max()
        for column, noise in enumerate(LEVELS, len(words)):
            if noise in by_level and by_level[noise]["first"]:
                alone = int(frame[frame["noise"] == noise]["first"].sum()) == 1
                (bold if alone else italic).add((len(rows), column))
        rows.append([*words, *levels, f"{cells}/{ALL}", number(seconds, "seconds"), number(memory, ".0f")])
    header = ["method", "year", "kind", "of the paper", *PERCENT.values(), "cells", "s", "MB"]
    return Sheet(_caption(), header, 4, rows, set(), _notes(frame), bold, italic)


def _seconds(own: pd.DataFrame) -> float:
    """Return the mean seconds over a method's cells of all levels; NaN where they are not known."""
    timed = own.dropna(subset=["seconds"])
    return float(np.average(timed["seconds"], weights=timed["measurements"])) if len(timed) else math.nan


def _ranked(row: pd.Series[Any]) -> str:
    """Return PSNR and rank; of a method without a rank, over how many measurements the mean is."""
    place = f"#{row['rank']:.0f}" if not math.isnan(row["rank"]) else f"n={row['measurements']}"
    return f"{row['psnr']:.2f} ({place})"


def _kind(row: pd.Series[Any]) -> str:
    return ", ".join(filter(None, (row["kind"], "blind" if row["blind"] else ""))) or UNKNOWN


def _reproduced(own: pd.DataFrame) -> str:
    """Return in a word whether a method reproduces the paper; where levels differ, each with its own."""
    verdicts = {PERCENT[str(noise)]: with_reason(row["verdict"], row["by"]) for noise, row in own.iterrows()}
    words = set(verdicts.values())
    if len(words) == 1:
        return next(iter(words)) or UNKNOWN
    return "; ".join(f"{level} {word}" for level, word in verdicts.items())


def _level(frame: pd.DataFrame, noise: str) -> Sheet:
    level = frame[frame["noise"] == noise]
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    italic: set[tuple[int, int]] = set()
    alone = int(level["first"].sum()) == 1
    for _, row in level.iterrows():
        if row["first"]:
            (bold if alone else italic).add((len(rows), 2))
        ranked = not math.isnan(row["rank"])
        behind, behind_interval = signed_texts(row["behind"], row["behind_low"], row["behind_high"])
        rows.append(
            [
                f"{row['rank']:.0f}" if ranked else UNKNOWN,
                row["method"],
                number(row["psnr"], ".2f"),
                interval_text(row["low"], row["high"], ".2f"),
                number(row["ssim"], ".3f"),
                behind if row["shared"] else UNKNOWN,
                behind_interval,
                f"{row['measurements']}/{len(PAIRS)}",
                number(row["seconds"], "seconds"),
                number(row["peak_memory_mb"], ".0f"),
            ]
        )
    header = ["rank", "method", "PSNR", "96 pairs, 95 %", "SSIM", "behind", "95 %", "cells", "s", "MB"]
    caption = (
        f"Noise of {PERCENT[noise]}. PSNR and SSIM: means over the cells of the row. 96 pairs: the interval of the "
        "mean over all twelve images and eight kernels. Behind: how far the first is ahead, in dB, on the cells that "
        "both have, paired by image."
    )
    return Sheet(caption, header, 2, rows, set(), [], bold, italic)


def _caption() -> str:
    return (
        f"{len(PAIRS)} measurements a level: the images of Set12, whole, each under two of Levin's kernels. PSNR in dB "
        f"under {DEFAULT.name}, with the rank among methods that have all {len(PAIRS)}; n: the mean is over so many "
        "and not ranked. Bold is ahead of every other ranked method by 95 % intervals paired by image; italics are the "
        "first and what is not told apart from it. Seconds are means over the cells, memory the largest of them."
    )


def _notes(frame: pd.DataFrame) -> list[str]:
    notes: list[str] = []
    for column, words in (("precision", "computed in {}"), ("device", "computed on {}"), *_COSTS):
        usual = frame[column].mode().iloc[0]
        others = frame[frame[column] != usual].groupby(column)["method"].unique()
        notes += [
            f"{words.format(value or 'unknown')}, others {usual or 'unknown'}: {', '.join(sorted(names))}"
            for value, names in others.items()
        ]
    blind = sorted(frame[frame["blind"]]["method"].unique())
    if blind:
        notes.append(f"blind, told only the size of the kernel, and therefore not ranked: {', '.join(blind)}")
    tuned = frame[frame["tuned_on"] != ""].groupby("tuned_on")["method"].unique()
    notes += [f"tuned on images of a dataset ({what}): {', '.join(sorted(names))}" for what, names in tuned.items()]
    old = frame[frame["old"] != ""].groupby("old")["method"].unique()
    notes += [f"not ranked for an older version ({what}): {', '.join(sorted(names))}" for what, names in old.items()]
    return notes
