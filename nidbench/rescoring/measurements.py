"""Makes the measurements of a sweep again, and finds out which of its records agree with today's files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from nidbench.cases.case import Case
from nidbench.cases.source import cases
from nidbench.errors import ResultsError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Cell, Record, Sweep
from nidbench.sweep.request import Experiment
from nidbench.versions import outdated

#: Reason why a record is of another measurement.
OTHER_FILES = "its image or kernel is another than when it was computed, or is no longer there"

#: Reason why a score is not valid.
OTHER_TRUTH = "it was scored against another sharp image than today's"


class Measurements:
    """The measurements that a sweep asks for, by their names and hashes; data are read at the first use.

    Args:
        sweep: the sweep.

    Raises:
        ResultsError: at the first use, where another version asked for the sweep, in words that this one has not.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def case(self, cell: Cell) -> Case | None:
        """Return the case of a cell, with the same names, image and kernel; None where there is none today."""
        return self._cases.get((cell.case, cell.image_hash, cell.kernel_hash))

    def named(self, key: CaseKey) -> Case | None:
        """Return the case of a key as today's files give it; None where there is none."""
        return self._by_name.get(key)

    def outdated_score(self, record: Record) -> str:
        """Return why the scores of a record differ from those of today; empty where they do not."""
        case = self.case(record.cell)
        if case is None:
            return OTHER_FILES
        if record.truth_hash != case.truth_hash():
            return OTHER_TRUTH
        metric = bool(record.scores) and "metric" in outdated(record.versions)
        return "the metric has changed since it was scored" if metric else ""

    def today(self, record: Record) -> tuple[Record | None, str]:
        """Return the record of a done cell as far as it agrees with today's files, and the reason for what is missing.

        The record is None where it restored another measurement. It has no scores where they are of another truth or
        metric.
        """
        fault = self.outdated_score(record)
        if fault in ("", OTHER_FILES):
            return (None, "of another image or kernel than today's") if fault else (record, "")
        return replace(record, scores={}, input_scores={}), f"{fault}: nidbench rescore mends that"

    @cached_property
    def _cases(self) -> dict[tuple[CaseKey, str, str], Case]:
        keys = {planned.case for planned in self._sweep.cells}
        return {(case.key, case.image_hash, case.kernel_hash): case for case in self._all() if case.key in keys}

    @cached_property
    def _by_name(self) -> dict[CaseKey, Case]:
        return {key: case for (key, _, _), case in self._cases.items()}

    def _all(self) -> Iterator[Case]:
        try:
            experiments = [Experiment(**asked) for asked in self._sweep.asked["experiments"]]
        except (KeyError, TypeError) as error:  # of another version, or made by hand
            raise ResultsError(
                f"what sweep {self._sweep.name} asks for is not known to this version ({error}), so that its "
                "measurements cannot be made again: upgrade nidbench to the one that ran it"
            ) from error
        for experiment in experiments:
            for request in experiment.requests():
                yield from cases(request)
