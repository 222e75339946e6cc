"""The table of a sweep as text: every planned cell counts in it, however the cell ended.

>>> from nidbench.analysis.cells import SweepCells
>>> from nidbench.records import Store
>>> store = Store("results")  # doctest: +SKIP
>>> sweep_cells = SweepCells.read(store, store.sweep("ours-dip-sample-1f2e3d"))  # doctest: +SKIP
>>> print(render(sweep_cells, "latex"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from nidbench.analysis.cells import SweepCells, counted
from nidbench.analysis.groups import GROUP, case_key, group_starts, named
from nidbench.analysis.intervals import FEWEST
from nidbench.analysis.scope import kernel_scope
from nidbench.analysis.summary import INPUT, distinct, summary_frame, with_names
from nidbench.records import STATUSES, Store, Sweep
from nidbench.scoring import protocols
from nidbench.scoring.protocols import DEFAULT
from nidbench.system.counts import count_of

from .beside import Beside
from .typeset import UNKNOWN, Sheet, check_format, number, write


def failure_lines(cells: pd.DataFrame, limit: int = 20) -> list[str]:
    """Return a line for each cell that ended badly: method, case, status and what went wrong.

    Missing cells, which are yet to be computed, share one line, and so do those whose files are yet to be scored.

    Args:
        cells: from `SweepCells.frame`.
        limit: at most so many failures have a line of their own.
    """
    failed = cells[~cells["status"].isin(["done", "missing"])]
    lines = [_failure_line(row) for _, row in failed.head(limit).iterrows()]
    if len(failed) > limit:
        lines.append(f"... and {len(failed) - limit} more ({counted(failed['status'].iloc[limit:])})")
    missing = cells[cells["status"] == "missing"]
    files = missing["source"] == "files"
    remedies = {"run the sweep again to compute them": ~files, "score their files, once they are there": files}
    for remedy, which in remedies.items():
        if which.any():
            lines.append(f"missing: {counted(missing['label'][which])} ({remedy})")
    return lines


def _failure_line(row: pd.Series[Any]) -> str:
    seed = f" seed {row['seed']}" if row["seed"] else ""
    return f"{row['label']}{seed} on {case_key(row)}: {row['status']}" + (f": {row['error']}" if row["error"] else "")


def traceback_lines(store: Store, sweep_cells: SweepCells, limit: int = 3) -> list[str]:
    """Return where the tracebacks of failed cells are, each with its cell; those beyond the limit share a line.

    Args:
        store: the results folder.
        sweep_cells: the sweep, read.
        limit: at most so many have a line of their own.
    """
    failed = [cell for cell in sweep_cells.cells if cell.record is not None and cell.record.status == "failed"]
    lines = [
        f"traceback {path} ({cell.planned.label} on {cell.planned.case})"
        for cell in failed[:limit]
        if cell.record is not None and (path := store.file(cell.record, "log.json")) is not None
    ]
    more = [f"          and {len(failed) - limit} more: nidbench report shows them all"] if len(failed) > limit else []
    return lines + more


def render(
    sweep_cells: SweepCells,
    format: str = "md",  # noqa: A002 - the name of the command line's option
    protocol: str = DEFAULT.name,
    beside: Sequence[Callable[[pd.DataFrame], Beside]] = (),
) -> str:
    """Return a sweep's summary as text: Markdown, LaTeX (booktabs) or HTML, or all of `summary_frame` as CSV.

    Args:
        sweep_cells: the sweep, read.
        format: one of `typeset.FORMATS`.
        protocol: the metric protocol's name; captions name it.
        beside: each makes further columns, of the cells' frame.

    Raises:
        InputError: no such format.
        UnknownNameError: no such protocol.
    """
    check_format(format)
    protocol = protocols.protocol(protocol).name
    cells = sweep_cells.frame(protocol)
    notes = lacking_lines(cells, sweep_cells.sweep, protocol)
    return _renderings(cells, (format,), protocol, notes, [columns(cells) for columns in beside])[format]


def renderings(sweep_cells: SweepCells, formats: Sequence[str], protocol: str = DEFAULT.name) -> dict[str, str]:
    """Return a sweep's summary as text in several formats, from one calculation.

    Arguments and errors are those of `render`.
    """
    protocol = protocols.protocol(protocol).name
    cells = sweep_cells.frame(protocol)
    return _renderings(cells, formats, protocol, lacking_lines(cells, sweep_cells.sweep, protocol))


def _renderings(
    cells: pd.DataFrame, formats: Sequence[str], protocol: str, notes: Sequence[str], beside: Sequence[Beside] = ()
) -> dict[str, str]:
    summary = summary_frame(cells)
    numbers = pd.concat([summary, *(each.of(summary, cells) for each in beside)], axis="columns")
    texts = {"csv": numbers.to_csv(index=False)} if "csv" in formats else {}
    others = [form for form in formats if form != "csv"]
    if others:
        sheet = _with_columns(summary_sheet(cells, summary, protocol), numbers, beside)
        texts |= {form: write(replace(sheet, notes=[*notes, *sheet.notes]), form) for form in others}
    return texts


def _with_columns(sheet: Sheet, numbers: pd.DataFrame, beside: Sequence[Beside]) -> Sheet:
    """Return a table with further columns behind its SSIM, and what they are behind its caption.

    Args:
        sheet: from `summary_sheet`.
        numbers: those of the summary, and of the columns, a row for each of the table.
        beside: the columns.
    """
    place = sheet.header.index(NUMBERS["ssim"][0]) + 1
    rows = [
        [*texts[:place], *(text for each in beside for text in _beside_texts(each, row)), *texts[place:]]
        for texts, row in zip(sheet.rows, numbers.to_dict("records"), strict=True)
    ]
    titles = [title for each in beside for title in each.columns]
    header = [*sheet.header[:place], *titles, *sheet.header[place:]]
    return replace(
        sheet, header=header, rows=rows, caption=" ".join([sheet.caption, *(each.caption for each in beside)])
    )


def _beside_texts(beside: Beside, row: Mapping[Any, Any]) -> list[str]:
    there = any(not pd.isna(row[name]) for name in beside.names)
    return [text(row) if there else UNKNOWN for text in beside.columns.values()]


def lacking_lines(cells: pd.DataFrame, sweep: Sweep, protocol: str) -> list[str]:
    """Return how to score the cells that have a score, but none under the protocol; no line where there are none."""
    lacking = int((cells["stop_psnr"].notna() & cells["psnr"].isna()).sum())
    if not lacking:
        return []
    command = f"nidbench rescore {sweep.name} --protocol {protocol}"
    return [
        f"{count_of(lacking, 'cell has', 'cells have')} no score under {protocol}: {command} adds it, or says why not"
    ]


#: Column of `summary_frame` -> title, format; in the order of display.
NUMBERS = {
    "psnr": ("PSNR", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "image_std": ("± images", ".2f"),
    "seed_std": ("± seeds", ".2f"),
    "oracle_psnr": ("oracle", ".2f"),
    "end_psnr": ("end", ".2f"),
    "chi_squared": ("chi2", ".2f"),
    "whiteness": ("white", ".3f"),
    "seconds": ("s", "seconds"),
    "iterations": ("it.", ".0f"),
    "peak_memory_mb": ("MB", ".0f"),
}
_LABELS = {"dataset": "dataset", "kernel_set": "kernels", "noise": "noise", "method": "method", "preset": "preset"}
_LABELS |= {"declared": "declared", "device": "device", "precision": "precision", "cells": "cells"}


def summary_sheet(cells: pd.DataFrame, summary: pd.DataFrame, protocol: str) -> Sheet:
    """Return the table of a sweep: its texts, before they are written in a format.

    Args:
        cells: from `SweepCells.frame`.
        summary: their `summary_frame`, whose rows are those of the table, in their order.
        protocol: the name of their metric protocol.
    """
    methods = summary[summary["method"] != INPUT]
    # What is the same for all methods is said once, in the caption or a note.
    said_once = ("preset", "declared", "device", "precision")
    labels = [name for name in _LABELS if name not in said_once or methods[name].nunique() > 1]
    numbers = shown_numbers(summary, protocol)
    begins = group_starts(summary, GROUP)
    scenarios = _scenarios(cells)
    rows = []
    for index, row in enumerate(summary.to_dict("records")):
        row["kernel_set"] = scenarios.get(tuple(row[name] for name in GROUP), row["kernel_set"])
        texts = [_label(row[name], name in GROUP and index not in begins) for name in labels]
        rows.append(texts + [number(row[name], NUMBERS[name][1]) for name in numbers])
    psnr = len(labels) + numbers.index("psnr")
    bold, italic = (
        {(index, psnr) for index, marked in enumerate(summary[name]) if marked} for name in ("best", "leading")
    )
    header = [_LABELS[name] for name in labels] + [NUMBERS[name][0] for name in numbers]
    notes = [*_row_notes(with_names(summary, list(named(cells)["method"].unique()))), *failure_lines(cells)]
    caption = _caption(cells, summary, numbers, protocol)
    return Sheet(caption, header, len(labels), rows, set(begins), notes, bold, italic)


def _scenarios(cells: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Return the kernel of each group that has one only, where its set has others under other noise: `danielyan/4`."""
    of_group: dict[tuple[str, ...], set[str]] = defaultdict(set)
    of_set: dict[str, set[str]] = defaultdict(set)
    for dataset, kernel_set, noise, kernel in set(cells[[*GROUP, "kernel"]].itertuples(index=False, name=None)):
        of_group[dataset, kernel_set, noise].add(kernel)
        of_set[kernel_set].add(kernel)
    return {group: min(kernels) for group, kernels in of_group.items() if len(kernels) == 1 < len(of_set[group[1]])}


def shown_numbers(summary: pd.DataFrame, protocol: str) -> list[str]:
    """Return the columns of `summary_frame` over which the table has numbers, in their order."""
    return [name for name in NUMBERS if _worth_showing(summary, name, protocol)]


def _worth_showing(summary: pd.DataFrame, name: str, protocol: str) -> bool:
    """Return whether a column has content; curves are left out beside the scores of another protocol than theirs."""
    if name in ("psnr", "ssim"):
        return True
    if name == "image_std":
        return bool(summary["seed_std"].notna().any())  # shown to tell the two spreads apart
    curve = name in ("oracle_psnr", "end_psnr")
    return bool(summary[name].notna().any()) and not (curve and protocol != DEFAULT.name)


def _label(value: Any, repeated: bool) -> str:
    return "" if repeated else UNKNOWN if pd.isna(value) else str(value)


def _row_notes(summary: pd.DataFrame) -> Iterator[str]:
    """Yield each note once, with the methods and groups it is about."""
    groups = len(summary.drop_duplicates(GROUP))
    for text, rows in summary.dropna(subset=["notes"]).groupby("notes", sort=False):
        yield f"{whereabouts(rows, groups)}: {text}"


def whereabouts(rows: pd.DataFrame, groups: int) -> str:
    """Return which methods rows are of, and in which groups: `ours, dip (everywhere); tv (set12 levin gaussian:0.05)`.

    Args:
        rows: with `method` and the columns of `GROUP`.
        groups: how many groups the table has.
    """
    methods: dict[tuple[str, ...], list[str]] = {}
    for method, own in rows.groupby("method", sort=False):
        places = tuple(own[GROUP].agg(" ".join, axis=1).unique())
        methods.setdefault(places, []).append(str(method))
    return "; ".join(
        f"{', '.join(names)} ({'everywhere' if len(places) == groups > 1 else ', '.join(places)})"
        for places, names in methods.items()
    )


def _caption(cells: pd.DataFrame, summary: pd.DataFrame, numbers: Sequence[str], protocol: str) -> str:
    sentences = [f"Mean PSNR (dB) and SSIM under the protocol {protocol}: {protocols.protocol(protocol).title}."]
    old = int((cells["old"] != "").sum())
    sentences.append(ended_text(cells) + (f"; {old} old." if old else "."))
    threads = ", ".join(f"{count:.0f}" for count in sorted(cells["threads"].dropna().unique()))
    how = {"Preset": distinct(cells["preset"]), "device": distinct(cells["device"])}
    how |= {"precision": distinct(cells["precision"]), "threads": threads}
    if any(how.values()):
        sentences.append(", ".join(f"{name} {value}" for name, value in how.items() if value) + ".")
    sentences.append(kernel_scope(cells))
    sentences += _mark_lines(cells, summary)
    if "seed_std" in numbers:
        sentences.append("± images, ± seeds: standard deviation over images of their mean, and over method seeds.")
    if "oracle_psnr" in numbers:
        sentences.append("oracle, end: PSNR at the best and at the last observed iteration.")
    if "chi_squared" in numbers:
        sentences.append(
            "chi2, white: of what is left of images without a truth, in units of the noise (1: as large as the noise), "
            "and its autocorrelation over small lags (0: as white as noise); neither says that a restoration is right."
        )
    return " ".join(sentences)


def ended_text(cells: pd.DataFrame) -> str:
    """Return how many cells, from `SweepCells.frame`, ended how: `12 cells: 10 done, 1 failed, 1 missing`."""
    counts = cells["status"].value_counts()
    known = [status for status in (*STATUSES, "corrupt", "missing") if status in counts]
    return f"{count_of(len(cells), 'cell')}: {', '.join(f'{counts[status]} {status}' for status in known)}"


def _mark_lines(cells: pd.DataFrame, summary: pd.DataFrame) -> Iterator[str]:
    """Yield what the marks of the summary mean, those that it has."""
    if summary["best"].any():
        yield (
            "Bold: ahead of every other method that has all its cells, beyond the 95 % interval of the mean difference "
            "paired by image."
        )
    if (summary["leading"] & ~summary["best"]).any():
        yield "Italics: the highest mean, and what is not told apart from it by the 95 % interval paired by image."
    if cells["label"].nunique() > 1 and cells.groupby(GROUP)["image"].nunique().min() < FEWEST:
        yield f"Nothing is marked on fewer than {FEWEST} images, which give no interval."
