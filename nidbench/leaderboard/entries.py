"""Records as entries of the leaderboard: each method on each measurement once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from nidbench.analysis.cells import ReadCell, SweepCells
from nidbench.errors import ResultsError
from nidbench.records import Record, Sweep
from nidbench.registry.entry_points import declared_versions
from nidbench.scoring.protocols import DEFAULT
from nidbench.sweep.recorded import info_of, label_of, planned_of
from nidbench.versions import outdated

from .fixed_set import LEVELS, PAIRS, of_table


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
    cells = [ReadCell(planned_of(record), record) for record in chosen]
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
