"""Records from files as entries of the leaderboard: read, named by method and settings, each measurement once."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from nidbench.analysis.cells import ReadCell, SweepCells
from nidbench.contract.method import Setting
from nidbench.errors import NidbenchError, ResultsError
from nidbench.records import Cell, Planned, Record, Sweep
from nidbench.records.record import DAMAGE
from nidbench.registry.entry_points import declared_versions, load_method, methods
from nidbench.registry.method_spec import DEFAULT_PRESET
from nidbench.scoring.protocols import DEFAULT
from nidbench.versions import outdated

from .fixed_set import LEVELS, PAIRS, of_table


def read_records(files: Iterable[Path]) -> list[Record]:
    """Return the records of files with one record a line, as `results/reference` has them, each cell's latest.

    Args:
        files: paths of such files.

    Raises:
        ResultsError: where a file cannot be read, or a line of it is no record.
    """
    latest: dict[str, Record] = {}
    for file in files:
        for record in _records_of(file):
            if record.id not in latest or record.finished >= latest[record.id].finished:
                latest[record.id] = record
    return list(latest.values())


def _records_of(file: Path) -> Iterator[Record]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{file} cannot be read as records, one a line: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"line {number} of {file}"
        try:
            record = Record.from_json(line, place)
        except DAMAGE as error:
            raise ResultsError(f"{place} is no record: {error}") from error
        if record.id != record.cell.id:
            raise ResultsError(f"{place} was edited: its cell is {record.cell.id}, it says {record.id}")
        yield record


def entries(records: Sequence[Record]) -> SweepCells:
    """Return what records hold of the paper's measurements on Set12 as cells of one sweep.

    What was told another noise level than the true one, has a response, or was scored from files is left out. Where one
    label was computed in several ways, such as precisions, devices or versions, they are never mixed: the way that
    covers most of the fixed set stands for it, by today's versions if any of it is, whatever else it has records of.

    Args:
        records: of any cells.

    Raises:
        ResultsError: where there is none of these measurements.
    """
    fitting = [record for record in records if _is_asked(record)]
    if not fitting:
        raise ResultsError("no record is of the leaderboard's measurements: see docs/leaderboard.md for what they are")
    today = declared_versions({record.cell.method for record in fitting})
    by_label: dict[str, dict[_Way, list[Record]]] = {}
    for record in fitting:
        ways = by_label.setdefault(label_of(record.cell), {})
        ways.setdefault(_way(record), []).append(record)
    chosen = [
        record
        for ways in by_label.values()
        for record in max(ways.values(), key=lambda way_records: _coverage(way_records, today))
    ]
    cells = [ReadCell(_planned(record), record) for record in chosen]
    sweep = Sweep(name="leaderboard", asked={}, cells=tuple(cell.planned for cell in cells))
    return SweepCells(sweep, cells, today)


def _is_asked(record: Record) -> bool:
    cell = record.cell
    computed = cell.precision != ""  # restorations that came as files have none
    return computed and of_table(cell.case) and (cell.declared, cell.response) == ("known", "identity")


_Way: TypeAlias = "tuple[object, ...]"


def _way(record: Record) -> _Way:
    """Return what all records of a label have to share.

    Of a registered method the version says whether two sources give the same results: its golden results hold it to
    that. Of others only an equal source does.
    """
    cell = record.cell
    source = record.source if info_of(cell.method) is None else ""
    settings = json.dumps(dict(cell.settings), sort_keys=True)
    versions = tuple(sorted(record.versions.items()))
    return cell.precision, cell.device, cell.version, versions, settings, source


def _coverage(records: Sequence[Record], today: Mapping[str, int]) -> tuple[object, ...]:
    """Return what the records of one way cover of the fixed set: the more, the greater; of equal ones the latest."""
    done = {(record.cell.case.noise, *_pair(record)) for record in records if _counts(record)}
    whole = sum((noise, *pair) in done for noise in LEVELS for pair in PAIRS)
    first = records[0]
    cell = first.cell
    is_today = today.get(cell.method, cell.version) == cell.version and not outdated(first.versions)
    levels = sum(all((noise, *pair) in done for pair in PAIRS) for noise in LEVELS)
    return is_today and whole > 0, levels, whole, len(records), max(record.finished for record in records)


def _pair(record: Record) -> tuple[str, str]:
    return record.cell.case.image, record.cell.case.kernel


def _counts(record: Record) -> bool:
    return record.status == "done" and DEFAULT.name in record.scores


def _planned(record: Record) -> Planned:
    cell = record.cell
    return Planned(
        id=record.id,
        label=label_of(cell),
        preset=_named(cell)[0],
        note="",
        case=cell.case,
        declared=cell.declared,
        seed=cell.seed,
        method=cell.method,
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
