"""Brings results from elsewhere into a results folder: all that is new, and nothing over what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from nidbench.errors import ConflictError, DamagedError, InputError, PackError
from nidbench.records import ENDING, MARKER, Record, Store, Sweep
from nidbench.system.counts import count_of

from .archive import Archive
from .folder import Folder
from .names import cell_name, first_of, listed, shown, sweep_of
from .questions import united
from .records_file import USUAL, RecordsFile
from .results import differences, missing_arrays, restorations_differ
from .source import Brought, Source, check_planned

#: What becomes of a cell from elsewhere.
#:
#: new        it was not there
#: mended     its record here is damaged, and set aside
#: replaced   it is done there, and ended without a result here
#: completed  it is the same result here, and gets arrays that it lacked
#: there      it is the same result here
#: kept       it is done here and not there, or ended without a result in both
#: preferred  it has another result here, which stays because that was asked for
#: conflict   it has another result here
Fate: TypeAlias = Literal["new", "mended", "replaced", "completed", "there", "kept", "preferred", "conflict"]

#: Reports progress: a word, how many cells of how many.
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes:
        root: the results folder.
        fates: id of each cell from elsewhere -> what became of it, one of `Fate`.
        sweeps: name of each sweep from elsewhere -> `new`, `joined` with the one of that name, or `there` already.
        damaged: ids of cells whose records cannot be read in the folder that they should have come from.
    """

    root: Path
    fates: Mapping[str, Fate]
    sweeps: Mapping[str, str]
    damaged: Sequence[str] = ()

    def count(self, *fates: Fate) -> int:
        """Return how many cells had one of these fates."""
        return sum(fate in fates for fate in self.fates.values())

    def lines(self) -> list[str]:
        """Return a report for a person."""
        came = self.count("new", "mended", "replaced")
        kept = self.count("kept", "preferred")
        there = count_of(self.count("there", "completed"), "was there already", "were there already")
        lines = [f"{count_of(came, 'cell')} came, {there}, {count_of(kept, 'of yours was', 'of yours were')} kept"]
        remarks: Mapping[Fate, tuple[str, str]] = {
            "replaced": (
                "had failed here and is done there: theirs came",
                "had failed here and are done there: theirs came",
            ),
            "mended": ("had a damaged record here: theirs came, yours is kept as record.damaged",) * 2,
            "completed": ("was there and got arrays that it lacked", "were there and got arrays that they lacked"),
            "kept": ("has no result there: yours stayed as it is", "have no result there: yours stayed as they are"),
            "preferred": (
                "has another result there: yours stayed, as --keep-mine asks",
                "have another result there: yours stayed, as --keep-mine asks",
            ),
        }
        lines += [f"  {count_of(self.count(fate), *remark)}" for fate, remark in remarks.items() if self.count(fate)]
        if self.damaged:
            cells = count_of(
                len(self.damaged), "has a damaged record there, and was", "have a damaged record there, and were"
            )
            lines.append(f"  {cells} left out: {first_of(self.damaged)}")
        done = {"new": "came", "joined": "was joined with yours", "there": "was there already"}
        return lines + [f"sweep {name} {done[state]}" for name, state in self.sweeps.items()]


def merge(
    given: Path,
    output: Path,
    most: int,
    *,
    name: str = "",
    keep_mine: bool = False,
    progress: Progress = lambda *_: None,
) -> Merged:
    """Bring what a packed file, a file of records or another results folder has into a results folder.

    All of it is checked before anything is written, and a conflict leaves everything as it was. Whoever is killed in
    the middle has whole cells and runs it again.

    Args:
        given: the packed file; the file with one record a line (`*.jsonl`), or the folder of a published result, which
            has one; or the other results folder.
        output: the results folder; created where it does not exist.
        most: bytes that may be taken.
        name: of the sweep that a file of records becomes; empty for a name made from the file's.
        keep_mine: whether cells that have another result here stay, and the rest comes.
        progress: is told how far it is.

    Raises:
        PackError: where what is given is damaged, made up, too large or of a newer format.
        ConflictError: where cells have another result here, or a sweep of the same name asks for something else.
        ResultsError: where the folder cannot be written, or another run is in it.
        InputError: where the two are one folder, or for a name of what names its sweeps itself.
    """
    with _opened(given, output, most, name) as source:
        sweeps = list(source.sweeps())
        cells = _checked(source, sweeps, progress)
        store = Store(output)
        with store.lock():
            judge = _Judge(store, source, keep_mine)
            fates = {cell_id: judge.fate(theirs) for cell_id, theirs in cells.items()}
            judge.refuse_conflicts()
            joined = {sweep.name: _joined(store, sweep) for sweep in sweeps}
            _write_cells(store, source, fates, progress)
            for sweep, _ in joined.values():
                if sweep is not None:
                    store.write_sweep(sweep)
        damaged = source.damaged if isinstance(source, Folder) else ()
        return Merged(store.root, fates, {name: state for name, (_, state) in joined.items()}, damaged)


@contextmanager
def _opened(given: Path, output: Path, most: int, name: str) -> Iterator[Source]:
    if given.exists() and not (given.is_file() or given.is_dir()):
        raise PackError(f"{given} is a pipe or a device: give a file of nidbench pack, or a results folder")
    records = _records_file(given)
    if records is not None:
        yield RecordsFile(records, most, name)
        return
    if name:
        raise InputError(
            f"name {name!r}: {given} names its sweeps itself; a file of records (*{ENDING}) can be given one"
        )
    if not given.is_dir():
        with Archive(given, most) as archive:
            yield archive
        return
    if output.exists() and given.samefile(output):
        raise InputError(f"{given} is the results folder itself: give another folder, or another --output")
    yield Folder(Store(given, create=False), most)


def _records_file(given: Path) -> Path | None:
    """Return the file of records that was given, itself or by the folder of a published result; None for others."""
    if not given.is_dir():
        return given if given.suffix == ENDING else None
    file = given / f"{USUAL}{ENDING}"
    return file if file.is_file() and not (given / MARKER).exists() else None


def _checked(source: Source, sweeps: Sequence[Sweep], progress: Progress) -> dict[str, Record]:
    """Return the records of all cells without their logs, after all of their files were checked."""
    ids = source.cell_ids
    if not ids and not sweeps:
        raise PackError(f"{source.place} holds no results: give one that has some")
    records, unused = {}, {name for name in source.names if sweep_of(name) is None}
    for number, cell_id in enumerate(ids):
        progress("checking", number, len(ids))
        cell = source.cell(cell_id)
        unused -= cell.files.keys()
        records[cell_id] = replace(cell.record, log=None)
    if unused:
        raise PackError(f"{source.place} holds {min(unused)}, which its record does not know: nothing of it is taken")
    for planned in (planned for sweep in sweeps for planned in sweep.cells):
        if planned.id in records:
            check_planned(source.place, planned, records[planned.id].cell)
    return records


class _Judge:
    """Says what becomes of cells.

    Args:
        store: the results folder.
        source: where cells come from.
        keep_mine: whether cells that have another result here stay.
    """

    def __init__(self, store: Store, source: Source, keep_mine: bool) -> None:
        self._store, self._source, self._keep_mine = store, source, keep_mine
        self._conflicts: list[str] = []

    def fate(self, theirs: Record) -> Fate:
        """Return what becomes of a cell."""
        try:
            ours = self._store.read(theirs.id)
        except DamagedError:
            return "mended"
        if ours is None:
            return "new"
        if "done" not in (ours.status, theirs.status):
            return "there" if replace(ours, attempt=theirs.attempt) == theirs else "kept"
        if ours.status != theirs.status:
            return "kept" if ours.status == "done" else "replaced"
        return self._of_two_results(ours, theirs)

    def _of_two_results(self, ours: Record, theirs: Record) -> Fate:
        brought = self._source.cell(theirs.id)
        unlike, lacking = differences(ours, theirs), missing_arrays(self._store, ours, brought)
        if restorations_differ(self._store, ours, brought):
            unlike.append("restoration")
        if not unlike:
            return "completed" if lacking else "there"
        if self._keep_mine:
            return "preferred"
        self._conflicts.append(f"{cell_name(ours.cell)}: {shown(', '.join(unlike))}")
        return "conflict"

    def refuse_conflicts(self) -> None:
        """Refuse to go on where a cell has another result here.

        Raises:
            ConflictError: naming the cells, and what differs.
        """
        if self._conflicts:
            cells = count_of(len(self._conflicts), "cell has", "cells have")
            raise ConflictError(
                f"{cells} another result in {self._store.root} than in {self._source.place}:"
                f"{listed(self._conflicts)}\nnothing was written: give --keep-mine to keep yours of these and bring "
                "the rest, or another --output"
            )


def _joined(store: Store, theirs: Sweep) -> tuple[Sweep | None, str]:
    """Return the sweep that is to be written, if any, and what that makes of the one from elsewhere."""
    if theirs.name not in store.sweep_names():
        return theirs, "new"
    ours = store.sweep(theirs.name)
    both = united(ours, theirs)
    return (None, "there") if both == ours else (both, "joined")


def _write_cells(store: Store, source: Source, fates: Mapping[str, Fate], progress: Progress) -> None:
    wanted = [cell_id for cell_id, fate in fates.items() if fate in ("new", "mended", "replaced", "completed")]
    for number, cell_id in enumerate(wanted):
        progress("writing", number, len(wanted))
        brought = source.cell(cell_id)
        if fates[cell_id] == "completed":
            _complete(store, brought)
            continue
        if fates[cell_id] == "mended":
            store.set_aside(cell_id)
        store.bring(brought.record, brought.arrays)


def _complete(store: Store, brought: Brought) -> None:
    ours = store.read(brought.record.id)
    if ours is not None:
        for name in missing_arrays(store, ours, brought):
            store.complete(ours, name, brought.arrays[name])
