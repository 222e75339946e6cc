"""The page: its parts as JSON, put with style and script into a template that escapes everything else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import named
from nidbench.analysis.speedup import lines_of
from nidbench.analysis.summary import summary_frame
from nidbench.records import Store
from nidbench.report.levels import colour_table
from nidbench.report.results_table import ended_text, lacking_lines
from nidbench.scoring import protocols
from nidbench.scoring.protocols import DEFAULT

from . import account, cases, curves, numbers
from .numbers import Content, text_of


def page(store: Store, sweep_cells: SweepCells, pictured: Sequence[Content] | None, protocol: str, against: str) -> str:
    """Return the report of a sweep as HTML: it needs no other file but the pictures that are addressed as such.

    The same records give the same page.

    Args:
        store: the results folder.
        sweep_cells: the sweep, read.
        pictured: what `cases.pictured` made of each of `cases.order`; None for a page without pictures.
        protocol: the metric protocol of its numbers.
        against: the method that others are compared with at first; empty for that of `nidbench differences`.

    Raises:
        UnknownNameError: no such protocol or method.
    """
    protocol = protocols.protocol(protocol).name
    sweep, cells = sweep_cells.sweep, sweep_cells.frame(protocol)
    summary, names = summary_frame(cells), list(named(cells)["method"].unique())
    keys, text = cases.order(cells), text_of(cells)
    records = {cell.record.id: cell.record for cell in sweep_cells.cells if cell.record}
    whole = account.logged(store, records.values())
    logs = account.logs_of(whole)
    shown = cases.named_cases(keys, text)
    lines = lines_of([(planned, whole.get(planned.id)) for planned in sweep.cells])
    places = {key: place for place, key in enumerate(keys)}
    differences = numbers.differences(cells, summary, protocol, against, text)
    pictures: Sequence[Content | None] = [None] * len(shown) if pictured is None else pictured
    data = {
        "methods": list(map(text, names)),
        "differences": differences,
        "curves": curves.curves(lines, sweep_cells.frame(DEFAULT.name), places, names, text),
        "cost": numbers.cost(summary, names, text),
        "cases": [each | {"pictures": of_case} for each, of_case in zip(shown, pictures, strict=True)],
    }
    table = numbers.summary(cells, summary, protocol, text)
    table["notes"] = [*map(text, lacking_lines(cells, sweep, protocol)), *table["notes"]]
    script, style = _file("report.js"), _style()
    written: str = _template().render(
        name=text(sweep.name),
        facts=_facts(cells, protocol),
        summary=table,
        has_differences=bool(differences["references"]),
        scores=cases.scores(cells, protocol, text),
        cost_note=_cost_note(cells),
        failures=account.failures(store, cells.to_dict("records"), records, logs, text),
        missing=int((cells["status"] == "missing").sum()),
        planned=len(cells),
        environments=account.environments(logs.values()),
        commands=account.commands(sweep, store.root),
        footer=f"Made by nidbench {version('nidbench')} from the records of {store.root.name}.",
        no_pictures="This report was made without pictures: nidbench report --folder DIR has them as files beside it.",
        data=embedded(data),
        script=Markup(script),
        script_hash=_hash(script),
        style=Markup(style),
    )
    return written


def embedded(data: Any) -> Markup:
    """Return data as JSON for a script element, which nothing in it can end; infinite numbers and NaN are null."""
    escapes = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
    encoded = msgspec.json.encode(data).decode()
    for character, escape in escapes.items():
        encoded = encoded.replace(character, escape)
    return Markup(encoded)


def _facts(cells: Any, protocol: str) -> list[str]:
    last = max(cells["finished"], default="")
    return [ended_text(cells), f"protocol {protocol}", *([f"last cell {last[:10]}"] if last else [])]


def _cost_note(cells: Any) -> str:
    done = cells[cells["status"] == "done"]
    differing = [name for name in ("device", "threads", "batch") if done[name].dropna().nunique() > 1]
    if not differing:
        return ""
    return f"Seconds were not taken alike: cells differ in {', '.join(differing)}."


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_file("report.html.j2"))


@cache
def _style() -> str:
    style = _file("report.css")
    for name, colours in (("error_gradient", "RdBu_r"), ("deviation_gradient", "magma")):
        stops = [colour_table(colours)[place] for place in range(0, 256, 15)]
        style = style.replace(f"{{{{ {name} }}}}", ", ".join("#" + bytes(stop).hex() for stop in stops))
    return style


@cache
def _file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
