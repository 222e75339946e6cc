"""Scores of stored restorations under further protocols, without running a method again.

A cell's record says what it was, its `arrays.npz` holds what its method restored, and its measurement and sharp images
are made anew from its sweep. What is found is added to the record, which is replaced whole: stopped at any time, a
second call goes on where the first was. Scores against another sharp image than today's, or by another version of the
metric, are replaced, all of them; what was scored on the way then, the curve, cannot be made again and is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nidbench import versions
from nidbench.cases.case import Case
from nidbench.contract.truth import Truth
from nidbench.errors import InputError, ResultsError
from nidbench.physics.arrays import array_hash
from nidbench.physics.case_key import MEASURED
from nidbench.physics.problem import Problem
from nidbench.records import FROM_FILES, Log, Planned, Record, Store, Sweep
from nidbench.scoring.metrics import Score
from nidbench.scoring.protocols import CROPS, DEFAULT, PROTOCOLS, AnyProtocol
from nidbench.scoring.protocols import protocol as find_protocol
from nidbench.scoring.scorer import Region, Scorer, covers

from .measurements import OTHER_FILES, Measurements


@dataclass(frozen=True)
class Tally:
    """How the cells of a sweep stand to a protocol.

    Attributes:
        pending: cells to score; after `rescore`, none.
        scored: cells scored by this call.
        there: cells that had all before.
        refused: why cells cannot be scored -> which, each as method and measurement.
    """

    pending: Sequence[Planned] = ()
    scored: int = 0
    there: int = 0
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def lines(self, protocol: str) -> list[str]:
        """Return what to tell a person."""
        lines = [f"{protocol}: {self.scored} cells scored, {self.there} had it already"]
        if self.pending:
            lines = [f"{protocol}: {len(self.pending)} cells to score, {self.there} have it already"]
        return [*lines, *self.refused_lines()]

    def refused_lines(self) -> list[str]:
        """Return why which cells cannot be scored."""
        lines = []
        for reason, which in self.refused.items():
            more = "" if len(which) == 1 else f" and {len(which) - 1} more"
            lines.append(f"{len(which)} cannot be scored: {reason} ({which[0]}{more})")
        return lines


def review(store: Store, sweep: Sweep, protocol: str) -> Tally:
    """Return what `rescore` would do: from the records alone, but for given images, whose truths are looked at.

    Raises:
        UnknownNameError: no such protocol.
        DataError: where a dataset's files cannot be fetched.
    """
    return _review(store, sweep, find_protocol(protocol).name, Measurements(sweep))


def _review(store: Store, sweep: Sweep, name: str, measurements: Measurements) -> Tally:
    pending, there, refused = [], 0, _Refused()
    for planned in {planned.id: planned for planned in sweep.cells}.values():
        try:
            state = _state(store, planned, name, measurements)
        except ResultsError as error:
            state = str(error)
        if state == _PENDING:
            pending.append(planned)
        elif state == _THERE:
            there += 1
        else:
            refused.add(state, planned)
    return Tally(pending, 0, there, refused.reasons)


def rescore(
    store: Store, sweep: Sweep, protocol: str, told: Callable[[int, int], None] = lambda _done, _planned: None
) -> Tally:
    """Add the scores of a protocol, and of the cropping ones that are lacking, to the records of a sweep.

    The restorations' measures are added too where a record, of an older version, has none.

    Args:
        store: the results folder; keep other runs out of it with `Store.lock`.
        sweep: which of its sweeps.
        protocol: name of the protocol.
        told: called with the numbers of cells looked at and to look at.

    Raises:
        UnknownNameError: no such protocol.
        ResultsError: where a record cannot be written; those before it are kept.
        DataError: where a dataset's files cannot be fetched.
    """
    found = find_protocol(protocol)
    again = _Again(Measurements(sweep), found)
    tally = _review(store, sweep, found.name, again.measurements)
    refused, scored = _Refused(tally.refused), 0
    for done, planned in enumerate(tally.pending, 1):
        try:
            store.update(again.record(store, planned))
            scored += 1
        except _CannotError as error:
            refused.add(str(error), planned)
        told(done, len(tally.pending))
    return Tally((), scored, tally.there, refused.reasons)


def score_by(
    store: Store, sweep: Sweep, protocol_of: Callable[[Planned], str], say: Callable[[str], None] = lambda _line: None
) -> None:
    """Add the score of each cell under its own protocol, where that is none of those by which every cell is scored.

    Args:
        store: the results folder; keep other runs out of it with `Store.lock`.
        sweep: which of its sweeps.
        protocol_of: cell -> name of its protocol.
        say: takes a line before, and one for each reason why cells cannot be scored.

    Raises:
        NidbenchError: what `rescore` raises.
    """
    cells: dict[str, list[Planned]] = {}
    for planned in sweep.cells:
        cells.setdefault(find_protocol(protocol_of(planned)).name, []).append(planned)
    for name in (each for each in cells if each not in CROPS):
        part = replace(sweep, cells=cells[name])
        pending = len(review(store, part, name).pending)
        if pending:
            say(f"scoring {pending} cells under {name}")
            for line in rescore(store, part, name).lines(name)[1:]:
                say(line)


def renew(store: Store, sweep: Sweep, say: Callable[[str], None] = lambda _line: None) -> None:
    """Score anew the cells of a sweep whose scores are not those of today, where their restorations are stored.

    Args:
        store: the results folder; keep other runs out of it with `Store.lock`.
        sweep: which of its sweeps.
        say: takes a line for what was done, and one for each reason why cells cannot be scored.

    Raises:
        ResultsError: where a record cannot be written.
        DataError: where a dataset's files cannot be fetched.
    """
    again = _Again(Measurements(sweep), DEFAULT)
    refused, renewed = _Refused(), 0
    for planned in {planned.id: planned for planned in sweep.cells}.values():
        try:
            record = store.read(planned.id)
            if record is not None and record.status == "done" and _outdated(record, again.measurements):
                store.update(again.record(store, planned))
                renewed += 1
        except (ResultsError, _CannotError) as error:
            refused.add(str(error), planned)
    if renewed:
        say(f"{renewed} cells scored anew: their sharp images, or the metric, have changed since")
    for line in Tally(refused=refused.reasons).refused_lines():
        say(line)


_PENDING, _THERE = "pending", "there"

_UNCOMPUTED = "not computed yet, run the sweep again"


def _state(store: Store, planned: Planned, name: str, measurements: Measurements) -> str:
    """Return `_PENDING`, `_THERE` or why the cell cannot be scored."""
    record = store.read(planned.id)
    if record is None:
        return "no file was given, nidbench score takes it" if planned.note.startswith(FROM_FILES) else _UNCOMPUTED
    if record.status != "done":
        return f"ended as {record.status}"
    if name in record.scores and record.measures and not _outdated(record, measurements):
        return _THERE
    return _PENDING if store.has_arrays(planned.id) else "its restoration, arrays.npz, is not there"


def _outdated(record: Record, measurements: Measurements) -> bool:
    """Return whether scores are to be made anew; the truth of a made measurement is its image, and is what it was."""
    given = record.cell.case.noise == MEASURED
    return bool(measurements.outdated_score(record)) if given else "metric" in versions.outdated(record.versions)


class _CannotError(Exception):
    """Why a cell cannot be scored."""


class _Refused:
    def __init__(self, reasons: Mapping[str, Sequence[str]] | None = None) -> None:
        self.reasons = {reason: list(which) for reason, which in (reasons or {}).items()}

    def add(self, reason: str, planned: Planned) -> None:
        self.reasons.setdefault(reason, []).append(f"{planned.label} on {planned.case}")


class _Again:
    """Scores cells anew; the measurement of the last one is kept for the next."""

    def __init__(self, measurements: Measurements, protocol: AnyProtocol) -> None:
        self.measurements = measurements
        self._protocol = protocol
        self._latest: tuple[Case, Problem, Sequence[Truth]] | None = None

    def record(self, store: Store, planned: Planned) -> Record:
        """Return a cell's record with what it lacked, or with all scores of today where it had none of those.

        Raises:
            _CannotError: where that cannot be known.
        """
        record = store.read(planned.id)
        if record is None:  # removed since it was looked at
            raise _CannotError(_UNCOMPUTED)
        case, problem, truths = self._case(record)
        try:
            arrays = store.arrays(planned.id)
        except ResultsError as error:
            raise _CannotError(str(error)) from error
        image, variance = arrays["image"], arrays.get("variance")
        if image.shape != (problem.blurred.shape[0], *problem.frame):
            raise _CannotError(f"its restoration has shape {image.shape}, the frame of x is {problem.frame}")
        shows = shown(record, problem)
        if fault := _fault(self._protocol, problem, truths, shows):
            raise _CannotError(fault)
        before = replace(record, scores={}, input_scores={}, measures={}) if self._stale(record) else record
        names = dict.fromkeys((*CROPS, self._protocol.name, *record.scores))
        scorer = Scorer(problem, truths, names)
        renewed = replace(
            before,
            scores=_ordered({**scorer.scores(image, shows), **before.scores}),
            input_scores=_ordered({**scorer.input_scores, **before.input_scores}),
            measures=before.measures or scorer.measures(image, variance),
            truth_hash=case.truth_hash(),
            versions={**record.versions, **versions.of("metric")},
        )
        return renewed if before is record else renewed.with_log(_without_curve(store, record))

    def _stale(self, record: Record) -> bool:
        return bool(self.measurements.outdated_score(record))

    def _case(self, record: Record) -> tuple[Case, Problem, Sequence[Truth]]:
        case = self.measurements.case(record.cell)
        if case is None:
            raise _CannotError(OTHER_FILES)
        if self._latest is None or self._latest[0] is not case:
            self._latest = case, case.problem(), case.truths()
        if record.measurement_hash not in ("", array_hash(self._latest[1].blurred)):
            raise _CannotError("the measurement made today is not the one it restored: compute it again with --renew")
        return self._latest


def _without_curve(store: Store, record: Record) -> Log:
    """Return the log of a record without what was scored on the way, against a truth or by a metric of before."""
    whole = store.whole(record.id)
    log = Log() if whole is None or whole.log is None else whole.log
    return replace(log, curve=(), passes=())


def _ordered(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Return scores in an order that does not depend on which protocol was asked for first."""
    places = {name: place for place, name in enumerate(PROTOCOLS)}
    return dict(sorted(scores.items(), key=lambda item: (places.get(item[0].partition(":")[0], len(places)), item[0])))


def shown(record: Record, problem: Problem) -> Region | None:
    """Return the rows and columns of x that a record's restoration shows; None for all."""
    return problem.valid if record.shows_y else None


def _fault(protocol: AnyProtocol, problem: Problem, truths: Sequence[Truth], shows: Region | None) -> str:
    """Return why a protocol does not apply, or nothing."""
    if not truths:
        return "there is no sharp image to compare with"
    try:
        reach = protocol.reach(problem, truths[0])
    except InputError as error:
        return str(error)
    if shows is not None and not covers(shows, reach):
        return f"its file shows what y shows, and the protocol {protocol.name} looks beyond"
    return ""
