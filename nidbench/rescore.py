"""Scores of stored restorations under further protocols, without running a method again.

A cell's record says what it was, its `arrays.npz` holds what its method restored, and its measurement and sharp images
are made anew from its sweep. What is found is added to the record, which is replaced whole: stopped at any time, a
second call goes on where the first was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .cases import cases
from .contract import Case, CaseKey, Problem, Truth
from .errors import InputError, ResultsError
from .metrics import CROPS, PROTOCOLS, AnyProtocol, Score
from .metrics import protocol as find_protocol
from .plan import Experiment
from .records import FROM_FILES, Planned, Record, Store, Sweep
from .scoring import Part, Scorer, holds

#: In the details of a record whose restoration shows only what y shows; the rest of its frame repeats the edges.
SHOWS_Y = {"shows": "y"}


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
        for reason, which in self.refused.items():
            more = "" if len(which) == 1 else f" and {len(which) - 1} more"
            lines.append(f"{len(which)} cannot be scored: {reason} ({which[0]}{more})")
        return lines


def review(store: Store, sweep: Sweep, protocol: str) -> Tally:
    """Return what `rescore` would do, from the records alone.

    Raises:
        UnknownNameError: no such protocol.
    """
    name = find_protocol(protocol).name
    pending, there, refused = [], 0, _Refused()
    for planned in {planned.id: planned for planned in sweep.cells}.values():
        try:
            state = _state(store, planned, name)
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
    tally = review(store, sweep, protocol)
    refused, scored = _Refused(tally.refused), 0
    again = _Again(sweep, find_protocol(protocol))
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


_PENDING, _THERE = "pending", "there"

_UNCOMPUTED = "not computed yet, run the sweep again"


def _state(store: Store, planned: Planned, name: str) -> str:
    """Return `_PENDING`, `_THERE` or why the cell cannot be scored."""
    record = store.read(planned.id)
    if record is None:
        return "no file was given, nidbench score takes it" if planned.note == FROM_FILES else _UNCOMPUTED
    if record.status != "done":
        return f"ended as {record.status}"
    if name in record.scores and record.measures:
        return _THERE
    return _PENDING if store.has_arrays(planned.id) else "its restoration, arrays.npz, is not there"


class _CannotError(Exception):
    """Why a cell cannot be scored."""


class _Refused:
    def __init__(self, reasons: Mapping[str, Sequence[str]] | None = None) -> None:
        self.reasons = {reason: list(which) for reason, which in (reasons or {}).items()}

    def add(self, reason: str, planned: Planned) -> None:
        self.reasons.setdefault(reason, []).append(f"{planned.label} on {planned.case}")


class _Again:
    """Scores cells anew; the measurement of the last one is kept for the next."""

    def __init__(self, sweep: Sweep, protocol: AnyProtocol) -> None:
        self._lookup = case_lookup(sweep)
        self._protocol = protocol
        self._latest: tuple[Case, Problem, Sequence[Truth], Scorer] | None = None

    def record(self, store: Store, planned: Planned) -> Record:
        """Return a cell's record with what it lacked.

        Raises:
            _CannotError: where that cannot be known.
        """
        record = store.read(planned.id)
        if record is None:  # removed since it was looked at
            raise _CannotError(_UNCOMPUTED)
        problem, truths, scorer = self._case(record)
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
        found, measures = scorer.scores(image, shows), record.measures or scorer.measures(image, variance)
        return replace(
            record,
            scores=_ordered({**found, **record.scores}),
            input_scores=_ordered({**scorer.input_scores, **record.input_scores}),
            measures=measures,
        )

    def _case(self, record: Record) -> tuple[Problem, Sequence[Truth], Scorer]:
        cell = record.cell
        case = self._lookup(cell.case, cell.image_hash, cell.kernel_hash)
        if case is None:
            raise _CannotError("its image or kernel is another than when it was computed, or is no longer there")
        if self._latest is None or self._latest[0] is not case:
            problem, truths = case.problem(), case.truths()
            names = dict.fromkeys((*CROPS, self._protocol.name))
            self._latest = case, problem, truths, Scorer(problem, truths, names)
        return self._latest[1:]


def _ordered(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Return scores in an order that does not depend on which protocol was asked for first."""
    places = {name: place for place, name in enumerate(PROTOCOLS)}
    return dict(sorted(scores.items(), key=lambda item: (places.get(item[0].partition(":")[0], len(places)), item[0])))


def shown(record: Record, problem: Problem) -> Part | None:
    """Return the rows and columns of x that a record's restoration shows; None for all."""
    return problem.valid if SHOWS_Y.items() <= record.details.items() else None


def _fault(protocol: AnyProtocol, problem: Problem, truths: Sequence[Truth], shows: Part | None) -> str:
    """Return why a protocol does not apply, or nothing."""
    if not truths:
        return "there is no sharp image to compare with"
    try:
        reach = protocol.reach(problem, truths[0])
    except InputError as error:
        return str(error)
    if shows is not None and not holds(shows, reach):
        return f"its file shows what y shows, and the protocol {protocol.name} looks beyond"
    return ""


def case_lookup(sweep: Sweep) -> Callable[[CaseKey, str, str], Case | None]:
    """Return a function that finds a measurement of a sweep by its names and the hashes of its image and kernel."""
    wanted = {planned.case for planned in sweep.cells}
    found: dict[tuple[CaseKey, str, str], Case] = {}

    def look(key: CaseKey, image_hash: str, kernel_hash: str) -> Case | None:
        if not found:
            found.update(
                {
                    (case.key, case.image_hash, case.kernel_hash): case
                    for case in _all_cases(sweep)
                    if case.key in wanted
                }
            )
        return found.get((key, image_hash, kernel_hash))

    return look


def _all_cases(sweep: Sweep) -> Iterator[Case]:
    for asked in sweep.asked["experiments"]:
        for request in Experiment(**asked).requests():
            yield from cases(request)
