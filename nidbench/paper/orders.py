"""Which of the paper's orders of methods a sweep bears out, as text and as a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from nidbench.analysis.differences import ordering
from nidbench.analysis.groups import GROUP, PAIRED, named
from nidbench.analysis.scope import kernel_scope
from nidbench.errors import InputError
from nidbench.report.differences import HOLM, paired_rows
from nidbench.report.typeset import Sheet, check_format, number, signed_texts, write
from nidbench.scoring import protocols

from .comparison import OF_KERNELS, cells_of, paper_methods, quoted_rows, reasons
from .tables import table as paper_table

#: Column, made from one or several of `differences.ordering` -> title.
_COLUMNS = {
    "dataset": "dataset",
    "kernel_set": "kernels",
    "noise": "noise",
    "declared": "declared",
    "pair": "published order",
    "verdict": "verdict",
    "holm": "Holm",
    "published": "published",
    "difference": "measured",
    "interval": "95 % interval",
    "pairs": "pairs",
    "images": "images",
    "resolution": "resolution",
}


def orders_frame(cells: pd.DataFrame, table: str) -> pd.DataFrame:
    """Return `differences.ordering` of every group of a sweep that a table of the paper has.

    Args:
        cells: from `comparison.scored_cells`.
        table: `table2` to `table9`.

    Where the table has one dataset only, that stands for any: an order of ablations, say, is a claim beyond it.

    Raises:
        UnknownNameError: for another table.
        InputError: where the table has none of the groups, or no two of their methods.
    """
    known, frames = paper_table(table), []
    for condition in known.conditions:
        condition_cells = cells_of(cells, known, condition)
        if not condition_cells.empty:
            condition_cells = condition_cells if condition.noise else condition_cells.assign(noise=OF_KERNELS)
            quoted = quoted_rows(known, condition)
            psnr = dict(zip(quoted["method"], quoted["psnr"], strict=True))
            methods = named(condition_cells)["method"]
            stands_for = {
                name: method
                for name, method in zip(methods, paper_methods(condition_cells, quoted), strict=True)
                if method
            }
            frames.append(ordering(condition_cells, psnr, stands_for))
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if frame.empty:
        there = ", ".join(" ".join(group) for group in cells[GROUP].drop_duplicates().to_numpy().tolist())
        raise InputError(
            f"{table} has no two methods of the sweep under {there}: choose another table, or run more methods"
        )
    return frame


def render_orders(
    cells: pd.DataFrame,
    table: str,
    format: str = "md",  # noqa: A002 - the name of the command line's option
    notes: Sequence[str] = (),
) -> str:
    """Return the verdict on every pair of methods of a table: as Markdown, LaTeX or HTML, or `orders_frame` as CSV.

    `notes` stand below it.

    Raises:
        InputError: no such format, or what `orders_frame` refuses.
        UnknownNameError: no such table.
    """
    check_format(format)
    frame = orders_frame(cells, table)
    return (
        frame.to_csv(index=False)
        if format == "csv"
        else write(_sheet(frame, _caption(cells, frame, table), [*_departures(cells, frame, table), *notes]), format)
    )


def _departures(cells: pd.DataFrame, frame: pd.DataFrame, table: str) -> Iterator[str]:
    """Yield what was done otherwise than in the paper, with the methods with which it was: a line each."""
    found: dict[str, dict[str, None]] = {}
    for condition in paper_table(table).conditions:
        condition_cells = named(cells_of(cells, paper_table(table), condition))
        for method in dict.fromkeys([*frame["first"], *frame["second"]]):
            method_cells = condition_cells[condition_cells["method"] == method]
            for reason in reasons(condition, method_cells) if len(method_cells) else ():
                found.setdefault(reason, {})[method] = None
    for reason, methods in found.items():
        yield f"{', '.join(methods)}: {reason}"


def _sheet(frame: pd.DataFrame, caption: str, notes: Sequence[str]) -> Sheet:
    hidden = {"declared"} if frame["declared"].nunique() == 1 else set()
    shown = [name for name in _COLUMNS if name not in hidden]
    rows, begins = paired_rows(frame, shown, _texts)
    header = [_COLUMNS[name] for name in shown]
    return Sheet(caption, header, shown.index("holm") + 1, rows, begins, list(notes))


def _texts(row: Mapping[Any, Any]) -> dict[str, str]:
    difference, interval = signed_texts(row["difference"], row["low"], row["high"])
    return {
        **{name: str(row[name]) for name in (*PAIRED, "verdict", "holm", "images")},
        "pair": f"{row['first']} > {row['second']}",
        "published": number(row["published"], "+.2f"),
        "difference": difference,
        "interval": interval,
        "resolution": number(row["resolution"], ".2f"),
        "pairs": f"{row['pairs']}/{row['planned']}",
    }


def _caption(cells: pd.DataFrame, frame: pd.DataFrame, table: str) -> str:
    titles = "; ".join(f"{name}: {protocols.protocol(name).title}" for name in cells["protocol"].unique())
    table_cells = named(
        pd.concat([cells_of(cells, paper_table(table), condition) for condition in paper_table(table).conditions])
    )
    shown = table_cells[table_cells["method"].isin([*frame["first"], *frame["second"]])]
    return (
        f"The order of methods in {table} of Chen et al., IJCV 2022, and here: differences in PSNR (dB) of each pair, "
        f"the one published as better first, paired by image, under the protocol {titles}. {kernel_scope(shown)} "
        f"{_counted(frame['verdict'])}: whether the 95 % interval (Student's t over images) lies on the published side "
        f"of 0, on the other, or holds it, each pair by itself: of {len(frame)} pairs that are truly equal, 1 in 40 "
        f"would contradict by chance. {HOLM} By Holm: {_counted(frame['holm'])}. What was done otherwise than in "
        "the paper stands below: a verdict is on that."
    )


def _counted(verdicts: pd.Series[str]) -> str:
    counts = verdicts.value_counts()
    return ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in ("confirms", "contradicts", "open"))
