"""The paper's numbers beside those measured here, as text; the numbers are those of `comparison` and `anchor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import GROUP, group_starts
from nidbench.analysis.summary import source_lines
from nidbench.report.differences import render_differences
from nidbench.report.results_table import whereabouts
from nidbench.report.typeset import UNKNOWN, Sheet, check_format, interval_text, number, write
from nidbench.scoring import protocols

from .anchor import anchor_frame
from .comparison import comparison_frame, default_table, scored_cells, unscored_lines
from .latex_layout import Row, paper_layout
from .tables import table
from .verdicts import NOT_COMPARABLE, WITHIN, WITHIN_SSIM, with_reason

#: Of an interval where the whole of the paper's grid was measured.
WHOLE = "whole grid"


def render_comparison(
    sweep_cells: SweepCells,
    name: str = "",
    format: str = "md",  # noqa: A002 - the name of the command line's option
    protocol: str = "",
    anchor: str = "",
) -> str:
    """Return a table of the paper beside a sweep: Markdown, HTML, LaTeX in the paper's layout, or the frame as CSV.

    Below it the differences to the anchor, where one is asked for, and the paired differences between the sweep's own
    methods, where there are several. CSV is one frame: `anchor.anchor_frame` with an anchor, else `comparison_frame`.

    Args:
        sweep_cells: the sweep, read.
        name: `table2` to `table9`; by default the table that most of the sweep is in.
        format: one of `typeset.FORMATS`.
        protocol: as of `scored_cells`.
        anchor: a method that differences are judged to, as of `anchor_frame`; empty for none.

    Raises:
        InputError: no such format, or what `comparison_frame`, `anchor_frame` or `default_table` refuse.
        UnknownNameError: no such table, protocol or anchor.
    """
    check_format(format)
    sweep = sweep_cells.sweep
    name = name or default_table(sweep)
    cells = scored_cells(sweep_cells, name, protocol)
    anchored = [render_anchored(cells, name, anchor, format)] if anchor else []
    if anchored and format == "csv":
        return anchored[0]
    compared = render_scored(cells, name, format, [*unscored_lines(cells, sweep), *source_lines(cells)])
    if format == "csv":
        return compared
    by_protocol = cells.groupby("protocol", sort=False)
    several = [(str(used), group) for used, group in by_protocol if group["label"].nunique() > 1]
    return "\n".join([compared, *anchored, *(render_differences(group, "", format, used) for used, group in several)])


def render_scored(
    cells: pd.DataFrame,
    name: str,
    format: str = "md",  # noqa: A002 - as `render_comparison`
    more: Sequence[str] = (),
) -> str:
    """Return a table of the paper beside cells.

    Args:
        cells: from `comparison.scored_cells`.
        name: `table2` to `table9`.
        format: one of `typeset.FORMATS`.
        more: further notes below the table.

    Raises:
        InputError: no such format, or what `comparison_frame` refuses.
        UnknownNameError: no such table.
    """
    check_format(format)
    frame = comparison_frame(cells, name)
    if format == "csv":
        return frame.to_csv(index=False)
    caption, notes = _caption(frame, name), [*_notes(frame), *more]
    if format == "latex":
        return paper_layout([_row(row) for row in frame.to_dict("records")], name, caption, notes)
    return write(_sheet(frame, caption, notes, sign=""), format)


def render_anchored(
    cells: pd.DataFrame,
    name: str,
    anchor: str,
    format: str = "md",  # noqa: A002 - as `render_comparison`
) -> str:
    """Return differences to an anchor, published beside measured.

    Args:
        cells: from `comparison.scored_cells`.
        name: `table2` to `table9`.
        anchor: the method that differences are to, as `anchor_frame` takes it.
        format: one of `typeset.FORMATS`.

    Raises:
        InputError: no such format, or what `anchor_frame` refuses.
        UnknownNameError: no such table or anchor.
    """
    check_format(format)
    frame = anchor_frame(cells, name, anchor)
    if format == "csv":
        return frame.to_csv(index=False)
    return write(_sheet(frame, _anchor_caption(frame, name), list(_reasons(frame)), sign="+"), format)


def _row(row: dict[Any, Any]) -> Row:
    condition = tuple(str(row[name]) for name in GROUP)
    published, measured = ((row[kind], row[f"{kind}_ssim"]) for kind in ("published", "measured"))
    method = row["paper_method"] or row["method"]
    return Row(condition, method, row["category"], published, measured, row["verdict"] != NOT_COMPARABLE)


#: Column, made from one or several of `comparison_frame` -> title; in the order of display, texts first.
_COLUMNS = {
    "dataset": "dataset",
    "kernel_set": "kernels",
    "noise": "noise",
    "method": "method",
    "preset": "preset",
    "declared": "declared",
    "verdict": "verdict",
    "published": "published",
    "measured": "measured",
    "difference": "difference",
    "interval": "95 % interval",
    "published_ssim": "SSIM published",
    "measured_ssim": "SSIM measured",
    "difference_ssim": "SSIM difference",
    "measurements": "measurements",
}


def _sheet(frame: pd.DataFrame, caption: str, notes: list[str], sign: str) -> Sheet:
    """Return a frame as a table; with the sign `+`, its scores are differences."""
    several = [name for name in ("preset", "declared") if frame.loc[frame[name] != "", name].nunique() > 1]
    shown = [name for name in _COLUMNS if name not in ("preset", "declared") or name in several]
    begins, rows = group_starts(frame, GROUP), []
    for index, row in enumerate(frame.to_dict("records")):
        texts = _texts(row, sign)
        rows.append(["" if name in GROUP and index not in begins else texts[name] for name in shown])
    header = [_COLUMNS[name] for name in shown]
    return Sheet(caption, header, shown.index("verdict") + 1, rows, set(begins), notes)


def _texts(row: dict[Any, Any], sign: str) -> dict[str, str]:
    count = f"{row['measurements']}/{row['paper_measurements']}" if row["measured"] == row["measured"] else UNKNOWN
    whole = row["measurements"] == row["paper_measurements"] and row["low"] == row["high"] == row["measured"]
    return {
        **{name: str(row[name]) for name in (*GROUP, "preset", "declared")},
        "verdict": with_reason(row["verdict"], row["by"]),
        "method": row["method"] or row["paper_method"],
        **{name: number(row[name], f"{sign}.2f") for name in ("published", "measured")},
        "difference": number(row["difference"], "+.2f"),
        "interval": WHOLE if whole else interval_text(row["low"], row["high"], f"{sign}.2f"),
        **{name: number(row[name], f"{sign}.3f") for name in ("published_ssim", "measured_ssim")},
        "difference_ssim": number(row["difference_ssim"], "+.3f"),
        "measurements": count,
    }


#: What verdicts and intervals are, of tables of means and of differences.
_JUDGED = (
    f"reproduced: PSNR within {WITHIN} dB of the published and SSIM within {WITHIN_SSIM}; differs: what is named is "
    "further off; undecided: too little of the paper's grid of images and kernels was measured to tell, for what is "
    "named; not comparable: something else was measured than in the paper, as told below. 95 % interval: of the mean "
    f"over the whole grid, for the part of it not measured (nidbench.analysis.grids); {WHOLE}: all of it was, and "
    "numbers alone decide. measurements: pairs of image and kernel with a score, of those in the paper."
)


def _caption(frame: pd.DataFrame, name: str) -> str:
    return (
        f"{table(name).title}, beside what was measured here: mean PSNR (dB) and SSIM under the protocol "
        f"{_protocols(frame)}. {_counted(frame)}. quoted: a system that cannot be run here, with the table's number; "
        f"{_JUDGED}"
    )


def _anchor_caption(frame: pd.DataFrame, name: str) -> str:
    return (
        f"{table(name).title}: differences in PSNR (dB) and SSIM to {frame['anchor'].iloc[0]}, published, and measured "
        f"on what has a score of both, under the protocol {_protocols(frame)}. {_counted(frame)}. {_JUDGED}"
    )


def _protocols(frame: pd.DataFrame) -> str:
    used = [name for name in frame["protocol"].unique() if name]
    return "; ".join(f"{name}: {protocols.protocol(name).title}" for name in used)


def _counted(frame: pd.DataFrame) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in frame["verdict"].value_counts().items())


def _notes(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what the table says of itself, then the reasons."""
    note = table(frame["table"].iloc[0]).note
    if note:
        yield note
    yield from _reasons(frame)


def _reasons(frame: pd.DataFrame) -> Iterator[str]:
    """Yield each reason once, with the methods and conditions it is about."""
    reasons = frame[frame["why"] != ""]
    reasons = reasons.assign(why=reasons["why"].str.split("; ")).explode("why")
    conditions = len(frame.drop_duplicates(GROUP))
    for why, rows in reasons.groupby("why", sort=False):
        names = rows["method"].where(rows["method"] != "", rows.get("paper_method", ""))
        yield f"{whereabouts(rows.assign(method=names), conditions)}: {why}"
