"""Scores stored restorations under further protocols, without running a method again.

The restoration of a cell is in its `arrays.npz`; its measurement and truths are made again from its sweep. New scores
are added to the record of the cell, which is replaced as a whole, so that a call that is stopped can be repeated and
goes on. If the scores of a record are of another truth than today's, or of another version of the metric, all of them
are replaced. The curve, whose estimates are not stored, is then dropped.
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
from nidbench.records import Log, Planned, Record, Store, Sweep
from nidbench.scoring.protocols import CROPS, DEFAULT, PROTOCOLS, AnyProtocol
from nidbench.scoring.protocols import protocol as find_protocol
from nidbench.scoring.score import Score
from nidbench.scoring.scorer import Region, Scorer, covers
from nidbench.system.counts import count_of

from .measurements import OTHER_FILES, Measurements


@dataclass(frozen=True)
class Tally:
    """The cells of a sweep, by their state under a protocol.

    Attributes:
        pending: cells that are to be scored; none after `rescore`.
        scored: number of cells that were scored by this call.
        complete: number of cells that had all scores before.
        refused: reason why cells cannot be scored -> method and measurement of these cells, as text.
    """

    pending: Sequence[Planned] = ()
    scored: int = 0
    complete: int = 0
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def lines(self, protocol: str) -> list[str]:
        """Return a report for a person."""
        lines = [f"{protocol}: {count_of(self.scored, 'cell')} scored, {self.complete} had it already"]
        if self.pending:
            there = count_of(self.complete, "has", "have")
            lines = [f"{protocol}: {count_of(len(self.pending), 'cell')} to score, {there} it already"]
        return [*lines, *self.refused_lines()]

    def refused_lines(self) -> list[str]:
        """Return a line for every reason why cells cannot be scored."""
        lines = []
        for reason, cells in self.refused.items():
            further = "" if len(cells) == 1 else f" and {len(cells) - 1} more"
            lines.append(f"{len(cells)} cannot be scored: {reason} ({cells[0]}{further})")
        return lines


def review(store: Store, sweep: Sweep, protocol: str) -> Tally:
    """Return the state of a sweep under a protocol: what `rescore` would do.

    Only records are read, except for measurements that a dataset gives, whose truths are read, too.

    Args:
        store: the results folder.
        sweep: one of its sweeps.
        protocol: name of the protocol.

    Raises:
        UnknownNameError: for an unknown protocol.
        DataError: where a dataset's files cannot be downloaded.
    """
    return _review(store, sweep, find_protocol(protocol).name, Measurements(sweep))


def _review(store: Store, sweep: Sweep, name: str, measurements: Measurements) -> Tally:
    pending, complete, refused = [], 0, _Refused()
    for planned in {planned.id: planned for planned in sweep.cells}.values():
        try:
            state = _state(store, planned, name, measurements)
        except ResultsError as error:
            state = str(error)
        if state == _PENDING:
            pending.append(planned)
        elif state == _COMPLETE:
            complete += 1
        else:
            refused.add(state, planned)
    return Tally(pending, 0, complete, refused.reasons)


def rescore(
    store: Store, sweep: Sweep, protocol: str, progress: Callable[[int, int], None] = lambda _done, _planned: None
) -> Tally:
    """Add the scores of a protocol, and missing ones of the protocols that crop, to the records of a sweep.

    Measures of restorations are added, too, where the record of an older version has none.

    Args:
        store: the results folder; keep other runs out of it with `Store.lock`.
        sweep: one of its sweeps.
        protocol: name of the protocol.
        progress: called after every cell with the number of cells done and the number of cells to do.

    Raises:
        UnknownNameError: for an unknown protocol.
        ResultsError: where a record cannot be written; those before it are kept.
        DataError: where a dataset's files cannot be downloaded.
    """
    rule = find_protocol(protocol)
    scoring = _Rescoring(Measurements(sweep), rule)
    tally = _review(store, sweep, rule.name, scoring.measurements)
    refused, scored = _Refused(tally.refused), 0
    for done, planned in enumerate(tally.pending, 1):
        try:
            store.update(scoring.record(store, planned))
            scored += 1
        except _CannotError as error:
            refused.add(str(error), planned)
        progress(done, len(tally.pending))
    return Tally((), scored, tally.complete, refused.reasons)


def score_by(
    store: Store, sweep: Sweep, protocol_of: Callable[[Planned], str], say: Callable[[str], None] = lambda _line: None
) -> None:
    """Add the scores of cells under the protocols of their datasets, where these are not among those of every cell.

    Args:
        store: the results folder; keep other runs out of it with `Store.lock`.
        sweep: one of its sweeps.
        protocol_of: cell -> name of its protocol.
        say: receives a line before the scoring, and a line for every reason why cells cannot be scored.

    Raises:
        NidbenchError: the errors of `rescore`.
    """
    cells: dict[str, list[Planned]] = {}
    for planned in sweep.cells:
        cells.setdefault(find_protocol(protocol_of(planned)).name, []).append(planned)
    for name in (protocol for protocol in cells if protocol not in CROPS):
        subset = replace(sweep, cells=cells[name])
        pending = len(review(store, subset, name).pending)
        if pending:
            say(f"scoring {count_of(pending, 'cell')} under {name}")
            for line in rescore(store, subset, name).lines(name)[1:]:
                say(line)


def renew(store: Store, sweep: Sweep, say: Callable[[str], None] = lambda _line: None) -> None:
    """Score the cells of a sweep again whose scores are of another truth or metric than today's.

    Args:
        store: the results folder; keep other runs out of it with `Store.lock`.
        sweep: one of its sweeps.
        say: receives a line about the scored cells, and a line for every reason why cells cannot be scored.

    Raises:
        ResultsError: where a record cannot be written.
        DataError: where a dataset's files cannot be downloaded.
    """
    scoring = _Rescoring(Measurements(sweep), DEFAULT)
    refused, renewed = _Refused(), 0
    for planned in {planned.id: planned for planned in sweep.cells}.values():
        try:
            record = store.read(planned.id)
            if record is not None and record.status == "done" and _outdated(record, scoring.measurements):
                store.update(scoring.record(store, planned))
                renewed += 1
        except (ResultsError, _CannotError) as error:
            refused.add(str(error), planned)
    if renewed:
        say(f"{count_of(renewed, 'cell')} scored anew: sharp images, or the metric, have changed since")
    for line in Tally(refused=refused.reasons).refused_lines():
        say(line)


_PENDING, _COMPLETE = "pending", "complete"

_UNCOMPUTED = "not computed yet, run the sweep again"


def _state(store: Store, planned: Planned, name: str, measurements: Measurements) -> str:
    """Return `_PENDING`, `_COMPLETE`, or the reason why the cell cannot be scored."""
    record = store.read(planned.id)
    if record is None:
        return "no file was given, nidbench score takes it" if planned.source == "files" else _UNCOMPUTED
    if record.status != "done":
        return f"ended as {record.status}"
    if name in record.scores and record.measures and not _outdated(record, measurements):
        return _COMPLETE
    return _PENDING if store.has_arrays(planned.id) else "its restoration, arrays.npz, is not there"


def _outdated(record: Record, measurements: Measurements) -> bool:
    """Return whether the scores of a record are of another truth or metric than today's.

    Only measurements that a dataset gives can have another truth: that of a made one is its image.
    """
    is_given = record.cell.case.noise == MEASURED
    return bool(measurements.outdated_score(record)) if is_given else "metric" in versions.outdated(record.versions)


class _CannotError(Exception):
    """A cell cannot be scored; the message is the reason."""


class _Refused:
    """Collects the reasons why cells cannot be scored, see `Tally.refused`."""

    def __init__(self, reasons: Mapping[str, Sequence[str]] | None = None) -> None:
        self.reasons = {reason: list(cells) for reason, cells in (reasons or {}).items()}

    def add(self, reason: str, planned: Planned) -> None:
        self.reasons.setdefault(reason, []).append(f"{planned.label} on {planned.case}")


class _Rescoring:
    """Scores cells under a protocol; the case of the last cell is kept for the next one."""

    def __init__(self, measurements: Measurements, protocol: AnyProtocol) -> None:
        self.measurements = measurements
        self._protocol = protocol
        self._latest: tuple[Case, Problem, Sequence[Truth]] | None = None

    def record(self, store: Store, planned: Planned) -> Record:
        """Return the record of a cell with its missing scores, or with new ones where its scores are outdated.

        Raises:
            _CannotError: where the cell cannot be scored.
        """
        record = store.read(planned.id)
        if record is None:  # removed since the review
            raise _CannotError(_UNCOMPUTED)
        case, problem, truths = self._case(record)
        try:
            arrays = store.arrays(planned.id)
        except ResultsError as error:
            raise _CannotError(str(error)) from error
        image, variance = arrays["image"], arrays.get("variance")
        if image.shape != problem.shape:
            raise _CannotError(f"its restoration has shape {image.shape}, and x has {problem.shape}")
        known = shown(record, problem)
        if fault := _fault(self._protocol, problem, truths, known):
            raise _CannotError(fault)
        before = replace(record, scores={}, input_scores={}, measures={}) if self._stale(record) else record
        names = dict.fromkeys((*CROPS, self._protocol.name, *record.scores))
        scorer = Scorer(problem, truths, names)
        renewed = replace(
            before,
            scores=_ordered({**scorer.scores(image, known), **before.scores}),
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
    """Return the log of a record without its curve and its averages, whose scores are of another truth or metric."""
    stored = store.whole(record.id)
    log = Log() if stored is None or stored.log is None else stored.log
    return replace(log, curve=(), passes=())


def _ordered(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Return scores in an order that does not depend on the order in which protocols were computed."""
    places = {name: place for place, name in enumerate(PROTOCOLS)}
    return dict(sorted(scores.items(), key=lambda item: (places.get(item[0].partition(":")[0], len(places)), item[0])))


def shown(record: Record, problem: Problem) -> Region | None:
    """Return the rows and columns of x that the restoration of a record covers; None for all."""
    return problem.valid if record.shows_y else None


def _fault(protocol: AnyProtocol, problem: Problem, truths: Sequence[Truth], known: Region | None) -> str:
    """Return why a protocol does not apply; empty where it does."""
    if not truths:
        return "there is no sharp image to compare with"
    try:
        reach = protocol.reach(problem, truths[0])
    except InputError as error:
        return str(error)
    if known is not None and not covers(known, reach):
        return f"its file has the size of the blurred image, and the protocol {protocol.name} looks beyond"
    return ""
