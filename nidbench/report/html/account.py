"""What failed, how it was run, and how to run it again."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from nidbench.analysis.groups import case_key
from nidbench.errors import NidbenchError, ResultsError
from nidbench.records import OF_RECORDS, Log, Record, Store, Sweep
from nidbench.report.typeset import one_line
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.sweep_file import ask_text

from .numbers import Content, Text


def logged(store: Store, records: Iterable[Record]) -> dict[str, Record | None]:
    """Return records with their logs by their id; None for one whose log cannot be read, which costs no other."""
    found: dict[str, Record | None] = {}
    for record in records:
        try:
            found[record.id] = store.with_log(record)
        except ResultsError:
            found[record.id] = None
    return found


def logs_of(records: Mapping[str, Record | None]) -> dict[str, Log]:
    """Return the logs of records from `logged`, by their id; one that could not be read is empty."""
    return {name: Log() if record is None or record.log is None else record.log for name, record in records.items()}


def readable(lines: str) -> str:
    """Return a text of several lines without characters that are none to be seen, such as orders to a terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in lines)


def failures(
    store: Store, cells: Iterable[Mapping[Any, Any]], records: Mapping[str, Record], logs: Mapping[str, Log], text: Text
) -> list[Content]:
    """Return the cells that ended badly, each with its traceback and the file that has it.

    Args:
        store: the results folder.
        cells: the rows of `SweepCells.frame`.
        records: by id of the cell.
        logs: by id of the cell.
        text: makes the texts of the page.
    """
    found = []
    for row in cells:
        if row["status"] in ("done", "missing"):
            continue
        record = records.get(row["id"])
        file = None if record is None else store.file(record, "log.json")
        error = "" if record is None else logs[record.id].error
        found.append(
            {
                "method": text(row["label"]),
                "case": text(case_key(row)),
                "seed": row["seed"],
                "status": row["status"],
                "line": text(row["error"]),
                "traceback": readable(error),
                "file": str((file or store.root / "cells" / row["id"]).relative_to(store.root)),
            }
        )
    return found


def environments(logs: Iterable[Log]) -> list[Content]:
    """Return the environments that computed cells, most of them first: how many cells, and names with values."""
    counts = Counter(json.dumps(dict(log.environment), sort_keys=True) for log in logs if log.environment)
    return [
        {"cells": count, "values": {one_line(name): one_line(str(value)) for name, value in json.loads(found).items()}}
        for found, count in counts.most_common()
    ]


def commands(sweep: Sweep, root: Path) -> Content:
    """Return the commands that repeat a sweep and show it; with a sweep file where one command does not say it.

    Args:
        sweep: the sweep.
        root: the results folder.
    """
    output = [] if root == Path("results") else ["--output", str(root)]
    shown = [shlex.join(["nidbench", name, sweep.name, *output]) for name in ("table", "differences", "report")]
    if "files" in sweep.asked:
        return {"run": [], "show": shown, "file": "", "note": "Its restorations came as files: nidbench score made it."}
    if sweep.asked.get(OF_RECORDS):
        note = "It has cells of a file of records, which does not say how they were asked for: who published it may."
        return {"run": [], "show": shown, "file": "", "note": note}
    try:
        asks = [Experiment(**experiment) for experiment in sweep.asked["experiments"]]
        device, precision = (str(sweep.asked.get(name, "auto")) for name in ("device", "precision"))
        file = sweep.asked.get("method_file") or None
        if len(asks) == 1:
            return {
                "run": [_run(asks[0], sweep, device, precision, file, output)],
                "show": shown,
                "file": "",
                "note": "",
            }
        ask = Ask(tuple(asks), device, precision, Path(file) if file else None, sweep.name)
        run = shlex.join(["nidbench", "run", "--config", "sweep.toml", *_chosen(sweep), *output])
        return {"run": [run], "show": shown, "file": ask_text(ask), "note": ""}
    except (KeyError, IndexError, TypeError, ValueError, NidbenchError):  # of another version, or made by hand
        return {"run": [], "show": shown, "file": "", "note": "How it was asked for is not known to this version."}


def _run(asked: Experiment, sweep: Sweep, device: str, precision: str, file: str | None, output: Sequence[str]) -> str:
    words = ["nidbench", "run"]
    for field in fields(Experiment):
        value = getattr(asked, field.name)
        if value != field.default:
            option = f"--{field.name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    words += ["--method-file", file] if file else []
    words += [] if device == "auto" else ["--device", device]
    chosen = sweep.choices.precision if sweep.choices is not None and precision == "auto" else precision
    words += ["--precision", chosen] if chosen not in (None, "auto") else []
    return shlex.join([*words, "--name", sweep.name, *_chosen(sweep), *output])


def _chosen(sweep: Sweep) -> list[str]:
    """Return the options that choose as the sweep did what it left to the machine."""
    return [] if sweep.choices is None else ["--threads", str(sweep.choices.threads)]
