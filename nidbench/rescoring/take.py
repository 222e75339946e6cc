"""Scores restorations that were computed elsewhere, as files, so that any system can have a row in a table.

Every measurement has a file, whose name a pattern makes of the measurement's names. The run time is not known, and the
files may come from other blurred images than those of nidbench: tables say that the row comes from files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from nidbench.cases.case import Case
from nidbench.cases.source import cases
from nidbench.errors import DamagedError, InputError, ResultsError
from nidbench.physics.case_key import CaseKey
from nidbench.records import FROM_FILES, Cell, Store, Sweep, checked_name, left_out
from nidbench.registry.entry_points import Registry
from nidbench.system.counts import count_of

from .file_names import PATTERN, file_name
from .submission import Submission
from .submitted_file import ASSUMED, score_file
from .taken import Taken, few, first_assumed


def take(store: Store, submission: Submission) -> Taken:
    """Score the files of a submission, and store records of them and a sweep.

    Measurements without a file are missing cells of the sweep, also where an earlier file was scored: its record is set
    aside, lest a row mixes restorations of two folders. A file that was scored before and has not changed is not scored
    again; a changed file replaces its record.

    Raises:
        InputError: for a label, pattern or file that breaks a rule, where no file matches, where a merged sweep of
            this name has cells of others, or where another sweep shows scores of other files under this label. The
            sweep is then not written.
        NidbenchError: for an unknown name, or for data that are missing.
    """
    _check_label(submission.label)
    _check_name(store, submission.name)
    chosen = [case for request in submission.experiment.requests() for case in cases(request)]
    cells, name, asked = [submission.cell(case) for case in chosen], submission.sweep_name, submission.asked()
    remark = left_out(store, Sweep(name, asked, [submission.planned(cell, FROM_FILES) for cell in cells]))
    files = _files(submission, chosen)
    _check_other_sweeps(store, submission, name, {cell.id: files[cell.case] for cell in cells})
    missing = [name for name in files.values() if not (submission.folder / name).is_file()]
    if len(missing) == len(files):
        raise InputError(_no_match(submission, missing))
    assumed, withdrawn, scored, unchanged = [], [], 0, 0
    for case, cell in zip(chosen, cells, strict=True):
        path = submission.folder / files[case.key]
        if not path.is_file():
            withdrawn += [files[case.key]] if _set_aside(store, cell) else []
            continue
        is_new = score_file(store, submission, case, cell, path)
        scored, unchanged = scored + is_new, unchanged + (not is_new)
        record = store.whole(cell.id)
        if record is not None and record.log is not None and ASSUMED in record.log.details:
            assumed.append(f"{path.name} has {record.log.details[ASSUMED]}")
    notices = {case.key.dataset: case.notice for case in chosen}
    remarks = [(FROM_FILES, first_assumed(assumed), notices[cell.case.dataset]) for cell in cells]
    planned = [
        submission.planned(cell, "; ".join(filter(None, said))) for cell, said in zip(cells, remarks, strict=True)
    ]
    sweep = Sweep(name, asked, planned)
    store.write_sweep(sweep)
    used = set(files.values())
    unused = [name for name in _names_in(submission.folder) if name not in used]
    return Taken(sweep, scored, unchanged, missing, unused, assumed, notices, withdrawn, remark)


def _check_name(store: Store, name: str) -> None:
    if name:
        checked_name("sweep name", name)
    if name in store.sweep_names() and "files" not in store.sweep(name).asked:
        raise InputError(f"sweep name {name!r} belongs to a run, which it would replace: use another --name")


def _check_label(label: str) -> None:
    checked_name("label", label)
    if label in Registry.installed("method").targets or label == "input":
        raise InputError(f"label {label!r} is the name of a method here: use another, such as {label}-files")


def _check_other_sweeps(store: Store, submission: Submission, own: str, files: Mapping[str, str]) -> None:
    """Refuse files that would take the place of others whose scores another sweep shows.

    A cell is known by its label and measurement. Files that were changed where they are, though, are scored anew for
    all sweeps that have them.

    Args:
        store: the results folder.
        submission: what is to be scored.
        own: name of its sweep.
        files: cell -> name of its file.

    Raises:
        InputError: naming the other sweep and its folder.
    """
    for name in store.sweep_names():
        other = None if name == own else _sweep(store, name)
        if other is None or "files" not in other.asked:
            continue
        where = other.asked["files"], other.asked.get("pattern")
        in_place = where == (str(submission.folder), submission.pattern)
        for planned in other.cells:
            file = files.get(planned.id)
            if file is not None and _is_of_others(store, submission, planned.id, file, in_place=in_place):
                raise InputError(
                    f"sweep {name} shows {submission.label!r} on {planned.case} as it is in {where[0]}, and its score "
                    f"would be replaced: use another --label, or --name {name} to replace that sweep"
                )


def _sweep(store: Store, name: str) -> Sweep | None:
    try:
        return store.sweep(name)
    except ResultsError:  # it is damaged, or of a newer format, and has no tables here
        return None


def _is_of_others(store: Store, submission: Submission, cell_id: str, file: str, *, in_place: bool) -> bool:
    """Return whether a cell has the score of another file than that given, or of the same file read otherwise.

    Args:
        store: the results folder.
        submission: what is to be scored.
        cell_id: the cell.
        file: the name of its file.
        in_place: whether the file that was scored lay there, too.
    """
    try:
        record = store.whole(cell_id)
    except DamagedError:
        return False
    if record is None or record.log is None:
        return False
    path = submission.folder / file
    if not path.is_file():
        return not in_place
    given = submission.details(path)
    compared = ("encoded", "units") if in_place else ("sha256", "encoded", "units")
    return any(given[name] != record.log.details.get(name) for name in compared)


def _files(submission: Submission, chosen: Sequence[Case]) -> dict[CaseKey, str]:
    """Return the names of the files of all cases, by key.

    Raises:
        InputError: where two measurements would have the same file.
    """
    owners: dict[str, CaseKey] = {}
    for case in chosen:
        name = file_name(submission.pattern, case.key)
        if name in owners:
            raise InputError(
                f"pattern {submission.pattern!r} gives {owners[name]} and {case.key} the same file {name}: add a "
                "name that differs, such as {kernel} or {noise}, or choose fewer measurements"
            )
        owners[name] = case.key
    return {key: _as_written(submission.folder, name) for name, key in owners.items()}


def _as_written(folder: Path, name: str) -> str:
    """Return the name of a file as a folder has it, where it writes accents otherwise, as macOS does."""
    if name.isascii() or (folder / name).is_file():
        return name
    return next((there for there in _names_in(folder) if normalize("NFC", there) == normalize("NFC", name)), name)


def _no_match(submission: Submission, missing: Sequence[str]) -> str:
    if not submission.folder.is_dir():
        return f"{submission.folder} is no folder: give the folder of the restored images"
    present = _names_in(submission.folder)
    return (
        f"{submission.folder} has none of the {count_of(len(missing), 'file')} expected, such as {few(missing)}; it "
        f"has {few(present) or 'none'}: give the pattern of their names with --pattern, such as '{PATTERN}'"
    )


def _names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder and its subfolders, sorted, without hidden ones."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _set_aside(store: Store, cell: Cell) -> bool:
    """Set the record of a cell aside, if it has one; return whether it had."""
    try:
        if store.read(cell.id) is None:
            return False
    except DamagedError:
        store.set_aside(cell.id)
    else:
        store.set_aside(cell.id, "withdrawn")
    return True
