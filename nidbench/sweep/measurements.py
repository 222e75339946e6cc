"""The measurements of a sweep made again, and what of its records still holds beside today's files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from nidbench.cases.case import Case
from nidbench.cases.source import cases
from nidbench.physics.case_key import CaseKey
from nidbench.records import Cell, Record, Sweep
from nidbench.versions import outdated

from .request import Experiment

#: Why a record is of another measurement.
OTHER_FILES = "its image or kernel is another than when it was computed, or is no longer there"

#: Why a score does not hold.
OTHER_TRUTH = "it was scored against another sharp image than today's"


class Measurements:
    """The measurements that a sweep asks for, found by what identifies them; data are read at the first look.

    Args:
        sweep: whose.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def case(self, cell: Cell) -> Case | None:
        """Return the measurement of a cell: of its names and of the same image and kernel, or None."""
        return self._cases.get((cell.case, cell.image_hash, cell.kernel_hash))

    def named(self, key: CaseKey) -> Case | None:
        """Return the measurement of these names as files have it today, or None."""
        return self._by_name.get(key)

    def outdated_score(self, record: Record) -> str:
        """Return why a record's scores are not those of today, or nothing; its case must be there."""
        case = self.case(record.cell)
        if case is None:
            return OTHER_FILES
        if record.truth_hash != case.truth_hash():
            return OTHER_TRUTH
        metric = bool(record.scores) and "metric" in outdated(record.versions)
        return "the metric has changed since it was scored" if metric else ""

    def today(self, record: Record) -> tuple[Record | None, str]:
        """Return what of a done record stands beside today's files, and why it is not all.

        None where it restored another measurement; without scores where those are of another truth or metric.
        """
        fault = self.outdated_score(record)
        if fault in ("", OTHER_FILES):
            return (None, "of another image or kernel than today's") if fault else (record, "")
        return replace(record, scores={}, input_scores={}), f"{fault}: nidbench rescore mends that"

    @cached_property
    def _cases(self) -> dict[tuple[CaseKey, str, str], Case]:
        wanted = {planned.case for planned in self._sweep.cells}
        return {(case.key, case.image_hash, case.kernel_hash): case for case in self._all() if case.key in wanted}

    @cached_property
    def _by_name(self) -> dict[CaseKey, Case]:
        return {key: case for (key, _, _), case in self._cases.items()}

    def _all(self) -> Iterator[Case]:
        for asked in self._sweep.asked["experiments"]:
            for request in Experiment(**asked).requests():
                yield from cases(request)
