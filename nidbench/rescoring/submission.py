"""Scores restorations that were computed elsewhere, as files, so that any system can have a row in a table.

Every measurement has a file, whose name a pattern makes of the measurement's names. The run time is not known, and the
files may come from other blurred images than those of nidbench: tables say that the row comes from files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nidbench import versions
from nidbench.cases.case import Case
from nidbench.cases.source import cases
from nidbench.contract.truth import Truth
from nidbench.errors import DamagedError, InputError, ResultsError
from nidbench.images import RESTORED, UNSTATED, Units, misread, other_contrast, other_mean, read_pixels, unlike
from nidbench.physics.arrays import Image, array_hash
from nidbench.physics.case_key import CaseKey
from nidbench.physics.problem import Problem
from nidbench.records import FROM_FILES, Cell, Log, Planned, Record, Store, Sweep, checked_name, left_out
from nidbench.registry.entry_points import Registry
from nidbench.scoring.scorer import Scorer
from nidbench.sweep.request import Experiment
from nidbench.system.counts import count_of

from .file_names import PATTERN, file_name
from .placement import linear, origin_note, placed

#: Largest number of file names in a message.
_NAMED = 3

#: Name of the assumption about a file in the details of its record.
_ASSUMED = "assumed"


@dataclass(frozen=True)
class Submission:
    """A folder of restorations, and the measurements that they restore.

    Attributes:
        folder: the folder of the files.
        experiment: the measurements; its `methods` is the label of the restorations in tables.
        pattern: pattern of the names of files in the folder, see `file_name`.
        encoded: whether the files have x after the camera's response; None where this is not stated.
        name: name of the sweep; empty to make one from the other values.
        units: what is stated about the values of the files.
    """

    folder: Path
    experiment: Experiment
    pattern: str = PATTERN
    encoded: bool | None = None
    name: str = ""
    units: Units = UNSTATED

    @property
    def label(self) -> str:
        """The label of the restorations, in the place of a method's name."""
        return self.experiment.methods


@dataclass(frozen=True)
class Taken:
    """The result of scoring a submission.

    Attributes:
        sweep: its cells.
        scored: number of files that were scored by this call.
        unchanged: number of files that were scored before and have not changed.
        missing: names of missing files.
        withdrawn: those of them that were scored before: their records are set aside.
        unused: names of files in the folder that belong to no measurement.
        assumed: assumptions about files, with the names of the files.
        notices: dataset -> facts that its users must know.
        left_out: cells of the earlier sweep of this name that this one does not have, in words; empty for none.
    """

    sweep: Sweep
    scored: int
    unchanged: int
    missing: Sequence[str]
    unused: Sequence[str]
    assumed: Sequence[str] = ()
    notices: Mapping[str, str] = field(default_factory=dict)
    withdrawn: Sequence[str] = ()
    left_out: str = ""

    def lines(self) -> list[str]:
        """Return a report for a person."""
        lines = [f"{count_of(self.scored, 'file')} scored, {count_of(self.unchanged, 'was', 'were')} so before"]
        if self.missing:
            them = "it" if len(self.missing) == 1 else "them"
            remedy = f"put {them} into the folder and give the same command again, or choose fewer measurements"
            files = count_of(len(self.missing), "file is", "files are")
            lines.append(f"{files} missing: {_few(self.missing)}; {remedy}")
        if self.withdrawn:
            lines.append(f"{len(self.withdrawn)} of them had a score from an earlier file, which counts no longer")
        if self.unused:
            files = count_of(len(self.unused), "file of the folder belongs", "files of the folder belong")
            lines.append(f"{files} to no measurement: {_few(self.unused)}")
        if self.left_out:
            lines.append(self.left_out)
        if self.assumed:
            lines.append(_first(self.assumed))
        return lines + [f"{dataset}: {notice}" for dataset, notice in self.notices.items() if notice]


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
    cells, name = [_cell(submission, case) for case in chosen], submission.name or _sweep_name(submission)
    asked = _asked(submission)
    remark = left_out(store, Sweep(name, asked, [_planned(submission, cell, FROM_FILES) for cell in cells]))
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
        is_new = _score_file(store, submission, case, cell, path)
        scored, unchanged = scored + is_new, unchanged + (not is_new)
        record = store.whole(cell.id)
        if record is not None and record.log is not None and _ASSUMED in record.log.details:
            assumed.append(f"{path.name} has {record.log.details[_ASSUMED]}")
    notices = {case.key.dataset: case.notice for case in chosen}
    planned = [
        _planned(submission, cell, _joined([FROM_FILES, _first(assumed), notices[cell.case.dataset]])) for cell in cells
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
    given = _details(submission, path)
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
    return {key: name for name, key in owners.items()}


def _no_match(submission: Submission, missing: Sequence[str]) -> str:
    if not submission.folder.is_dir():
        return f"{submission.folder} is no folder: give the folder of the restored images"
    present = _names_in(submission.folder)
    return (
        f"{submission.folder} has none of the {count_of(len(missing), 'file')} expected, such as {_few(missing)}; it "
        f"has {_few(present) or 'none'}: give the pattern of their names with --pattern, such as '{PATTERN}'"
    )


def _names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder and its subfolders, sorted, without hidden ones."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _few(names: Sequence[str]) -> str:
    further = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + further


def _cell(submission: Submission, case: Case) -> Cell:
    return Cell(
        method=submission.label,
        version=1,
        settings={"scored": "from files"},
        case=case.key,
        image_hash=case.image_hash,
        kernel_hash=case.kernel_hash,
        declared=case.declared,
        response=str(case.response),
        seed=0,
        precision="",
        device="",
    )


def _planned(submission: Submission, cell: Cell, note: str) -> Planned:
    return Planned(
        id=cell.id,
        label=submission.label,
        preset="",
        note=note,
        case=cell.case,
        declared=cell.declared,
        seed=cell.seed,
        method=submission.label,
        source="files",
    )


def _first(assumed: Sequence[str]) -> str:
    """Return the first assumption, and the number of further files with one; empty for none."""
    further = f" (and likewise {len(assumed) - 1} more)" if len(assumed) > 1 else ""
    return f"assumed: {assumed[0]}{further}" if assumed else ""


def _joined(notes: Iterable[str]) -> str:
    return "; ".join(filter(None, notes))


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


def _score_file(store: Store, submission: Submission, case: Case, cell: Cell, path: Path) -> bool:
    """Score a file and store its record; return False where the stored record is valid today."""
    details = _details(submission, path)
    if _is_stored(store, cell, details, case):
        return False
    problem, truths = case.problem(), case.truths()
    image, shows_y, assumed = _read_file(submission, case, problem, truths, path)
    scorer = Scorer(problem, truths)
    record = Record(
        id=cell.id,
        cell=cell,
        status="done",
        scores=scorer.scores(image, problem.valid if shows_y else None),
        input_scores=scorer.input_scores,
        measurement_hash=array_hash(problem.blurred),
        truth_hash=case.truth_hash(),
        versions=versions.of("measurement", "metric"),
        shows_y=shows_y,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        measures=scorer.measures(image, None),
    )
    if assumed:
        details[_ASSUMED] = assumed
    store.write(record.with_log(Log(details=details)), {"image": image})
    return True


def _details(submission: Submission, path: Path) -> dict[str, Any]:
    """Return what a score rests on besides its cell: the file, and what is stated about it."""
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "encoded": bool(submission.encoded),
        "units": submission.units.stated(),
    }


def _read_file(
    submission: Submission, case: Case, problem: Problem, truths: Sequence[Truth], path: Path
) -> tuple[Image, bool, str]:
    """Return x in the frame of the problem, whether the file has the pixels of y only, and the assumptions made.

    Raises:
        InputError: where the file cannot be read, or is no restoration of the case.
    """
    reading = read_pixels(path, RESTORED, submission.units)
    x = linear(reading.image, case.response, submission.encoded)
    try:
        image, has_border = placed(x, problem, truths)
    except InputError as error:
        raise InputError(f"{path}, of {case.key}, {error}") from error
    brightness = _check_scale(submission, path, image, problem)
    origin = "" if has_border else origin_note(problem)
    rows, columns = problem.valid
    shown, corner = (image, (0, 0)) if has_border else (image[:, rows, columns], (rows.start, columns.start))
    scale = brightness or other_contrast(problem, shown, corner)
    return image, not has_border, _joined([reading.assumed, scale, origin, _misread(problem, shown, corner)])


def _misread(problem: Problem, shown: Image, corner: tuple[int, int]) -> str:
    """Return a note where a part of x, from a corner on, gives y only if it, or the kernel, is turned or moved."""
    better = misread(problem, shown, corner)
    return f"a blurred image that contradicts it: {better}" if better else ""


def _is_stored(store: Store, cell: Cell, details: Mapping[str, Any], case: Case) -> bool:
    """Return whether a cell has a record of the same file, scored against today's truth by today's metric."""
    try:
        record = store.whole(cell.id)
    except DamagedError:
        return False
    if record is None or record.log is None or not details.items() <= record.log.details.items():
        return False
    return record.truth_hash == case.truth_hash() and not versions.outdated(record.versions)


def _check_scale(submission: Submission, path: Path, image: Image, problem: Problem) -> str:
    """Return a note where a restoration, in the frame of x, is much brighter or darker than the blurred image.

    Raises:
        InputError: where it is on another scale; the message says how they are related, and how to state the scale.
    """
    shown = problem.response.apply(np.asarray(image[:, *problem.valid], np.float64))
    if fitting := unlike(shown, problem.blurred):
        raise InputError(
            f"{path} is not on the scale of the blurred image, which is {fitting}: save it on [0, 1], or say with "
            f"{submission.units.say('scale', 'VALUE')} which value is intensity 1"
        )
    return other_mean(shown, problem.blurred)


def _asked(submission: Submission) -> dict[str, Any]:
    folder = str(submission.folder)
    return {"experiments": [asdict(submission.experiment)], "files": folder, "pattern": submission.pattern}


def _sweep_name(submission: Submission) -> str:
    digest = hashlib.sha256(repr(submission.experiment).encode()).hexdigest()[:6]
    dataset = re.sub(r"[^\w.-]+", "-", submission.experiment.dataset)
    return f"{submission.label}-{dataset}-{digest}"
