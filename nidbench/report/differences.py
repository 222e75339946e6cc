"""How far methods are from one of them, as text; the numbers are those of `analysis.differences`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nidbench.analysis.differences import differences_frame
from nidbench.analysis.groups import GROUP, PAIRED, group_starts, named, reference
from nidbench.analysis.intervals import FEWEST, TIE
from nidbench.analysis.scope import kernel_scope
from nidbench.errors import InputError
from nidbench.scoring import protocols
from nidbench.scoring.protocols import DEFAULT
from nidbench.system.counts import count_of

from .results_table import failure_lines
from .typeset import Sheet, check_format, number, signed_texts, write

#: Column, made from one or several of `differences_frame` -> title; in the order of display, texts first.
_COLUMNS = {
    "dataset": "dataset",
    "kernel_set": "kernels",
    "noise": "noise",
    "declared": "declared",
    "method": "method",
    "verdict": "verdict",
    "holm": "Holm",
    "difference": "difference",
    "interval": "95 % interval",
    "image_std": "± images",
    "seed_std": "± seeds",
    "ahead": "won/tied/lost",
    "pairs": "pairs",
    "images": "images",
    "resolution": "resolution",
}

#: What captions say of Holm's verdicts.
HOLM = (
    "Holm: what is left of a verdict where the chance of at least one false one among all rows of a dataset, kernel "
    "set, noise and declared level is kept at 5 %."
)

#: What captions say where a difference is infinite.
INFINITE = (
    "A restoration equal to its truth has infinite PSNR, which gives no interval: the verdict goes by who is ahead on "
    "every image, or by a sign test."
)


def render_differences(
    cells: pd.DataFrame,
    against: str = "",
    format: str = "md",  # noqa: A002 - the name of the command line's option
    protocol: str = DEFAULT.name,
    notes: Sequence[str] = (),
) -> str:
    """Return how far each method is from one of them: as Markdown, LaTeX or HTML, or all of `differences_frame` as CSV.

    Args:
        cells: from `SweepCells.frame`.
        against: the method that the others are compared with; by default `ours` where it is there, else the first.
        format: one of `typeset.FORMATS`.
        protocol: the name of the cells' metric protocol, for the caption.
        notes: further notes below the table.

    Raises:
        InputError: no such format, or fewer than two methods.
        UnknownNameError: no such method or protocol.
    """
    check_format(format)
    names = list(named(cells)["method"].unique())
    second = reference(names, against)
    if len(names) < 2:
        raise InputError(f"the sweep has one method, {second}: differences need two, so run it with one more")
    frame = differences_frame(cells, second)
    return frame.to_csv(index=False) if format == "csv" else write(_sheet(cells, frame, protocol, notes), format)


def _sheet(cells: pd.DataFrame, frame: pd.DataFrame, protocol: str, more: Sequence[str]) -> Sheet:
    hidden = {"declared"} if frame["declared"].nunique() == 1 else set()
    hidden |= set() if frame["seed_std"].notna().any() else {"image_std", "seed_std"}
    shown = [name for name in _COLUMNS if name not in hidden]
    rows, begins = paired_rows(frame, shown, difference_texts)
    header = [_COLUMNS[name] for name in shown]
    notes = [*_notes(cells, frame), *failure_lines(cells), *more]
    return Sheet(differences_caption(cells, frame, protocol), header, shown.index("holm") + 1, rows, begins, notes)


def paired_rows(
    frame: pd.DataFrame, shown: Sequence[str], texts: Callable[[Mapping[Any, Any]], Mapping[str, str]]
) -> tuple[list[list[str]], set[int]]:
    """Return the texts of a frame's rows, a group's name in the first of its rows only, and which rows those are."""
    begins = set(group_starts(frame, PAIRED))
    rows = []
    for index, row in enumerate(frame.to_dict("records")):
        row_texts = texts(row)
        rows.append(["" if name in PAIRED and index not in begins else row_texts[name] for name in shown])
    return rows, begins


def difference_texts(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return what stands in each column of a row of `differences_frame`."""
    difference, interval = signed_texts(row["difference"], row["low"], row["high"])
    return {
        **{name: str(row[name]) for name in (*PAIRED, "method", "verdict", "holm", "images")},
        "difference": difference,
        "interval": interval,
        **{name: number(row[name], ".2f") for name in ("image_std", "seed_std", "resolution")},
        "ahead": "/".join(str(row[name]) for name in ("wins", "ties", "losses")),
        "pairs": f"{row['pairs']}/{row['planned']}",
    }


def differences_caption(cells: pd.DataFrame, frame: pd.DataFrame, protocol: str) -> str:
    """Return what a table of `differences_frame`, made from cells under a protocol, is about and how it is read."""
    sentences = [
        f"Mean difference in PSNR (dB) to {frame['against'].iloc[0]}, paired by measurement, under the protocol",
        f"{protocol}: {protocols.protocol(protocol).title}.",
        kernel_scope(cells),
        "Method seeds are averaged within a measurement, measurements within an image; 95 % interval: Student's t over",
        "images. verdict: better or worse where it leaves out 0, else open, each row by itself;",
        HOLM,
        f"won/tied/lost: measurements, a tie below {TIE} dB. pairs: measurements with a score of both, of those asked.",
        "resolution: the true difference that would be detected with 80 % power.",
    ]
    if (~np.isfinite(frame["difference"]) & (frame["pairs"] > 0)).any():
        sentences.append(INFINITE)
    if frame["seed_std"].notna().any():
        sentences.append("± images, ± seeds: standard deviation of the difference over images, and over method seeds.")
    if (frame["images"] < FEWEST).any():
        sentences.append(f"Fewer than {FEWEST} images give no interval.")
    return " ".join(sentences)


def _notes(cells: pd.DataFrame, frame: pd.DataFrame) -> Iterator[str]:
    """Yield what each row lacks, and where its pairs are under fewer kernels than the caption names."""
    used = cells[cells["psnr"].notna()].groupby(PAIRED)["kernel"].nunique()
    for row in frame.to_dict("records"):
        lacking = f"{row['pairs']} of {count_of(row['planned'], 'pair')}" if row["pairs"] < row["planned"] else ""
        unscored = f"{count_of(row['unscored'], 'cell')} of the two without a score" if row["unscored"] else ""
        kernels = row["kernels"].split(", ") if row["kernels"] else []
        fewer = 0 < len(kernels) < used[tuple(row[name] for name in PAIRED)]
        under = f"under {row['kernels']} only" if fewer else ""
        if lacking or unscored or under:
            where = " ".join(str(row[name]) for name in GROUP)
            yield f"{row['method']} ({where}): {', '.join(filter(None, (lacking, unscored, under)))}"
