"""The cases of a report: what each method scored on each, and where its pictures are."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from nidbench.analysis.groups import CASE
from nidbench.physics.case_key import CaseKey
from nidbench.records import Store, Sweep
from nidbench.report.image_table import image_frame, image_sheet
from nidbench.report.typeset import UNKNOWN, number
from nidbench.rescoring.measurements import Measurements

from .numbers import Content, Text
from .pictures import Panel, Shown, shown

#: Puts a picture, a PNG file, somewhere and returns its address.
Place = Callable[[bytes], str]


def inline(picture: bytes) -> str:
    """Return the address of a picture that is a part of the page."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def in_folder(folder: Path, write: Callable[[Path, bytes], None]) -> Place:
    """Return what puts pictures as files into `pictures` in a folder; their addresses are relative to the folder.

    A file's name says what is in it, so that a page keeps its pictures while those of the next are written.

    Args:
        folder: of the page.
        write: writes a file.
    """

    def place(picture: bytes) -> str:
        address = f"pictures/{hashlib.sha256(picture).hexdigest()[:20]}.png"
        if not _is_there(folder / address, picture):
            write(folder / address, picture)
        return address

    return place


def _is_there(path: Path, picture: bytes) -> bool:
    """Return whether a picture was written before, all of it: a power cut may have left its name and no bytes."""
    try:
        return path.stat().st_size == len(picture)
    except OSError:
        return False


def scores(cells: pd.DataFrame, protocol: str, text: Text) -> Content:
    """Return the table of scores by case: titles, rows of texts with marks, and how many columns are text.

    Args:
        cells: from `SweepCells.frame`.
        protocol: the name of their metric protocol.
        text: makes the texts of the page.
    """
    sheet, keys = image_sheet(cells, protocol), order(cells)
    row_keys = [CaseKey(*key[: len(CASE)]) for key in image_frame(cells).index]
    rows = [
        {
            "case": keys.index(key),
            "cells": [{"text": text(value), "best": (place, column) in sheet.bold} for column, value in enumerate(row)],
        }
        for place, (row, key) in enumerate(zip(sheet.rows, row_keys, strict=True))
    ]
    return {"columns": list(map(text, sheet.header)), "labels": sheet.labels, "rows": rows, "caption": sheet.caption}


def order(cells: pd.DataFrame) -> list[CaseKey]:
    """Return the cases in the order of the cells, from `SweepCells.frame`."""
    keys = cells[CASE].drop_duplicates().itertuples(index=False, name=None)
    return [CaseKey(*key) for key in keys]


def named_cases(keys: Sequence[CaseKey], text: Text) -> list[Content]:
    """Return what a page calls its cases, in its texts: in full, and by what differs between them."""
    names = [name for name in CASE if len({getattr(key, name) for key in keys}) > 1] or ["image"]
    return [
        {"title": text(str(key)), "name": text(" · ".join(str(getattr(key, name)) for name in names))} for key in keys
    ]


def pictured(
    store: Store, sweep: Sweep, keys: Sequence[CaseKey], protocol: str, place: Place, text: Text
) -> Iterator[Content]:
    """Yield for each case its panels, with the addresses of their pictures; pictures are placed as they are made.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        keys: its cases.
        protocol: the name of the protocol of the scores beside the pictures.
        place: puts a picture somewhere.
        text: makes the texts of the page.
    """
    measurements, cells = Measurements(sweep), sweep.by_case()
    for key in keys:
        found = shown(store, key, cells[key], measurements)
        yield {
            "panels": [_panel(panel, found, protocol, place) | {"name": text(panel.name)} for panel in found.panels],
            "shape": found.shape,
            "scales": {name: number(value, "seconds") for name, value in found.scales.items()},
            "kernel": None if found.kernel is None else place(found.kernel),
            "lacking": list(map(text, found.lacking)),
            "note": text(found.note),
        }


def addresses(case: Content) -> list[str]:
    """Return the addresses of a case's pictures."""
    found = [address for panel in case["panels"] for address in panel["pictures"].values()]
    return found if case["kernel"] is None else [*found, case["kernel"]]


def _panel(panel: Panel, found: Shown, protocol: str, place: Place) -> Content:
    return {
        "score": _score(panel, found, protocol),
        "pictures": {kind: place(picture) for kind, picture in panel.pictures.items()},
    }


def _score(panel: Panel, found: Shown, protocol: str) -> str:
    records = [each.record for each in found.panels if each.record is not None]
    if panel.name == "truth" or not records:
        return ""
    score = (panel.record.scores if panel.record else records[0].input_scores).get(protocol)
    spent = panel.record.seconds if panel.record else None
    texts = [UNKNOWN] if score is None else [f"{number(score.psnr, '.2f')} dB", f"SSIM {number(score.ssim, '.3f')}"]
    return " · ".join([*texts, *([] if spent is None else [f"{number(spent, 'seconds')} s"])])
