"""Cells that are known by their records alone, as a sweep would ask for them: named by preset, variant and settings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from nidbench.contract.method import Setting
from nidbench.errors import NidbenchError, ResultsError
from nidbench.records import FROM_FILES, OF_RECORDS, Cell, Names, Planned, Record, Sweep
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import DEFAULT_PRESET

#: The preset that only shows that a method runs.
_TRIAL = "smoke"


def sweep_of_records(name: str, records: Iterable[Record]) -> Sweep:
    """Return records as a sweep, which asks for their cells in their order.

    Args:
        name: of the sweep.
        records: of any cells.

    Raises:
        ResultsError: where a method was computed twice on a measurement, as in two precisions or by two versions, so
            that tables could not tell which to show.
    """
    cells: dict[Names, tuple[Planned, Record]] = {}
    for record in records:
        planned = planned_of(record)
        _, other = cells.setdefault(planned.names, (planned, record))
        if other is not record:
            raise ResultsError(
                f"{planned.label} on {planned.case}, seed {planned.seed}, is there twice, "
                f"{_way(other.cell)} and {_way(record.cell)}: put the two into files of their own, with names of "
                "their own"
            )
    asked = {"experiments": [], OF_RECORDS: True}
    return Sweep(name=name, asked=asked, cells=[planned for planned, _ in cells.values()])


def _way(cell: Cell) -> str:
    return f"by version {cell.version} in {cell.precision} on {cell.device}"


def planned_of(record: Record) -> Planned:
    """Return the cell of a record as a sweep asks for it."""
    cell = record.cell
    from_files = cell.precision == ""
    return Planned(
        id=record.id,
        label=cell.method if from_files else label_of(cell),
        preset="" if from_files else _named(cell)[0],
        note=FROM_FILES if from_files else "",
        case=cell.case,
        declared=cell.declared,
        seed=cell.seed,
        method=cell.method,
        source="files" if from_files else "computed",
    )


def label_of(cell: Cell) -> str:
    """Return the method of a cell as tables name it: its preset, where that is not the first, variants, and settings.

    Settings that a method fills in by itself, which it has as None, are named where they are numbers or short words:
    hashes of files are cut to eight digits.
    """
    preset, variant, others = _named(cell)
    presets = _presets(cell.method)
    name = cell.method + (f"@{preset}" if preset != next(iter(presets)) else "") + (f":{variant}" if variant else "")
    told = ",".join(f"{key}={_short(value)}" for key, value in others.items())
    return f"{name}[{told}]" if told else name


def _short(value: Setting) -> str:
    text = str(value)
    return text[:8] if re.fullmatch("[0-9a-f]{64}", text) else text


def _named(cell: Cell) -> tuple[str, str, dict[str, Setting]]:
    """Return the preset and the variant that are nearest to a cell's settings, and the settings that differ from them.

    The method is not made: that might need packages or files which are not here.
    """
    defaults, presets = _defaults(cell.method), _presets(cell.method)
    variants: Mapping[str, Mapping[str, Setting]] = {"": {}, **_variants(cell.method)}
    settings = {**defaults, **cell.settings}  # a setting that came after the record is as it was before: its default
    best: tuple[str, str, dict[str, Setting]] | None = None
    for preset, chosen in presets.items():
        for variant, changed in variants.items():
            known = {**defaults, **chosen, **changed}
            others = {key: value for key, value in settings.items() if key not in known or known[key] != value}
            if preset == _TRIAL and others:  # it has few settings, and no fit of length is one of it
                continue
            if best is None or len(others) < len(best[2]):
                best = (preset, variant, others)
    return best or (DEFAULT_PRESET, "", settings)


@cache
def _class(name: str) -> Any:
    """Return the class of a method; None where it is not registered or cannot be loaded."""
    try:
        return load_method(methods(), name)
    except NidbenchError:
        return None


def info_of(name: str) -> Any:
    """Return `MethodInfo` of a method; None where it is not registered or cannot be loaded."""
    return getattr(_class(name), "info", None)


def _presets(name: str) -> Mapping[str, Mapping[str, Setting]]:
    info = info_of(name)
    return (info.presets if info is not None else {}) or {DEFAULT_PRESET: {}}


def _variants(name: str) -> Mapping[str, Mapping[str, Setting]]:
    info = info_of(name)
    return info.variants if info is not None else {}


def _defaults(name: str) -> dict[str, Setting]:
    kind = _class(name)
    fields: Sequence[Any] = () if kind is None else dataclasses.fields(kind)
    return {field.name: field.default for field in fields}
