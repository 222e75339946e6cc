"""The numbers of a report: summary, paired differences and cost, from the functions that tables are made by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from nidbench.analysis.differences import differences_frame
from nidbench.analysis.groups import CASE, GROUP, PAIRED, group_starts, named, reference
from nidbench.analysis.pareto import method_front
from nidbench.analysis.summary import INPUT, input_psnr, with_names
from nidbench.report.differences import difference_texts, differences_caption
from nidbench.report.results_table import NUMBERS, failure_lines, shown_numbers, summary_sheet
from nidbench.report.speedup import group_text
from nidbench.report.typeset import Sheet, interval_text, one_line, shortener

Content = dict[str, Any]

Text: TypeAlias = Callable[[object], str]
"""Returns a name or number as a page shows it: one line, long decimals cut where that keeps names apart."""

#: Methods up to which the page has the differences to each of them.
_REFERENCES = 12

#: What the columns of the summary mean.
MEANINGS = {
    "cells": "done of planned",
    "PSNR": "mean over images of their done cells, dB",
    "95 % interval": "of the mean PSNR over images like these, Student's t; pairs of methods are told apart below",
    "SSIM": "mean over images of their done cells",
    "± images": "standard deviation over images of their mean, dB",
    "± seeds": "standard deviation over method seeds, dB",
    "oracle": "best observed point of the curve, dB: only who knows the truth can pick it",
    "end": "last observed iteration, dB",
    "chi2": "mean square of y - k * x in units of the noise, without a truth: 1 is as large as the noise",
    "white": "autocorrelation of y - k * x over small lags, without a truth: 0 is as white as noise",
    "s": "seconds of the method for a cell",
    "it.": "iterations",
    "MB": "memory beyond what the process had before, largest of the cells",
}


def text_of(cells: pd.DataFrame) -> Text:
    """Return what makes the texts of a page that shows cells, from `SweepCells.frame`."""
    names: Iterable[str] = (str(name) for column in ("label", *CASE) for name in cells[column].unique())
    short = shortener(names)
    return lambda value: short(one_line(str(value)))


def known(value: float) -> float | None:
    """Return a number, None for what is not finite: JSON has no word for it."""
    return float(value) if math.isfinite(value) else None


def summary(cells: pd.DataFrame, frame: pd.DataFrame, protocol: str, text: Text) -> Content:
    """Return the summary table: titles of columns, and rows in groups, each cell with its text, value and mark.

    Args:
        cells: from `SweepCells.frame`.
        frame: their `summary_frame`.
        protocol: the name of their metric protocol.
        text: makes the texts of the page.
    """
    sheet, names = summary_sheet(cells, frame, protocol), shown_numbers(frame, protocol)
    # the group stands above its rows, and what is text but tells no rows apart goes behind the numbers
    labels = range(len(GROUP), sheet.labels)
    telling = [place for place in labels if sheet.header[place] in ("method", "preset", "declared")]
    others = [place for place in labels if place not in telling]
    with_interval = bool(frame["psnr_low"].notna().any())
    headed = [NUMBERS[name][0] for name in names]
    if with_interval:
        headed.insert(names.index("psnr") + 1, "95 % interval")
    columns = [_column(sheet.header[place], is_number=False) for place in telling]
    columns += [_column(title, is_number=True) for title in headed]
    columns += [_column(sheet.header[place], is_number=False) for place in others]
    groups: list[Content] = []
    begins = group_starts(frame, GROUP)
    for place, row in enumerate(frame.to_dict("records")):
        if place in begins:
            groups.append({"title": text(" ".join(str(row[name]) for name in GROUP)), "rows": []})
        shown = [_text_cell(text(sheet.rows[place][at])) for at in telling]
        for at, name in enumerate(names, start=sheet.labels):
            shown.append(_cell(sheet, place, at, row[name]))
            if name == "psnr" and with_interval:
                ends = row["psnr_low"], row["psnr_high"]
                shown.append({"text": interval_text(*ends, ".2f"), "value": known(ends[0]), "mark": ""})
        shown += [_text_cell(text(sheet.rows[place][at])) for at in others]
        groups[-1]["rows"].append({"input": row["method"] == INPUT, "cells": shown})
    failed = failure_lines(cells)  # the page has a section of them
    notes = [text(note) for note in sheet.notes if note not in failed]
    return {"columns": columns, "groups": groups, "caption": text(sheet.caption), "notes": notes}


def _column(title: str, *, is_number: bool) -> Content:
    return {"title": title, "number": is_number, "meaning": MEANINGS.get(title, "")}


def _text_cell(shown: str) -> Content:
    return {"text": shown, "value": None, "mark": ""}


def _cell(sheet: Sheet, row: int, column: int, value: float) -> Content:
    mark = "best" if (row, column) in sheet.bold else "leading" if (row, column) in sheet.italic else ""
    return {"text": sheet.rows[row][column], "value": known(value), "mark": mark}


def differences(cells: pd.DataFrame, frame: pd.DataFrame, protocol: str, against: str, text: Text) -> Content:
    """Return how far methods are apart: for each reference, groups of rows with numbers and texts.

    Args:
        cells: from `SweepCells.frame`.
        frame: their `summary_frame`.
        protocol: the name of their metric protocol.
        against: the reference that is shown first; empty for that of `nidbench differences`.
        text: makes the texts of the page.

    Raises:
        UnknownNameError: no such method.
    """
    names = list(named(cells)["method"].unique())
    first = reference(names, against)
    if len(names) < 2:
        return {"first": first, "references": []}
    leading = set(with_names(frame, names).loc[frame["leading"], "method"])
    chosen = [name for name in names if len(names) <= _REFERENCES or name == first or name in leading]
    references = [_compared(cells, protocol, name, names, text) for name in chosen]
    return {"first": names.index(first), "references": references}


def _compared(cells: pd.DataFrame, protocol: str, against: str, names: Sequence[str], text: Text) -> Content:
    frame = differences_frame(cells, against)
    several = frame["declared"].nunique() > 1
    groups: list[Content] = []
    begins = group_starts(frame, PAIRED)
    for place, row in enumerate(frame.to_dict("records")):
        if place in begins:
            groups.append({"title": text(_title(row, several=several)), "rows": []})
        numbers = {name: known(row[name]) for name in ("difference", "low", "high")}
        texts = difference_texts(row)
        shown = {name: texts[name] for name in ("difference", "interval", "verdict", "holm", "ahead", "pairs")}
        shown |= {name: texts[name] for name in ("images", "resolution")}
        groups[-1]["rows"].append(
            {"method": names.index(row["method"]), **numbers, "lacking": row["pairs"] < row["planned"], "texts": shown}
        )
    caption = text(differences_caption(cells, frame, protocol))
    return {"method": names.index(against), "caption": caption, "groups": groups}


def _title(row: Mapping[Any, Any], *, several: bool) -> str:
    """Return the group that a row's methods are paired within, with the declared level where there are several."""
    return group_text([*(str(row[name]) for name in GROUP), row["declared"] if several else "known"])


def cost(frame: pd.DataFrame, names: Sequence[str], text: Text) -> list[Content]:
    """Return groups of points: mean seconds and mean PSNR of each method, and which of them are on the Pareto front.

    Methods of a group were told the same of the noise level.

    Args:
        frame: from `summary_frame`.
        names: of all methods, as `groups.named` has them.
        text: makes the texts of the page.
    """
    groups = []
    frame = with_names(frame, names)
    inputs = input_psnr(frame)
    several = frame["declared"].nunique() > 1
    for group, methods in frame[frame["method"] != INPUT].groupby(PAIRED, sort=False):
        points = [
            {"method": names.index(row["method"]), "seconds": known(row["seconds"]), "psnr": known(row["psnr"])}
            | {"low": known(row["psnr_low"]), "high": known(row["psnr_high"]), "front": is_on_front}
            for row, is_on_front in zip(methods.to_dict("records"), method_front(methods), strict=True)
        ]
        title = text(_title(methods.iloc[0].to_dict(), several=several))
        blurred = inputs[tuple(map(str, group))[: len(GROUP)]]
        groups.append({"title": title, "input": known(blurred), "points": points})
    return groups
