"""Restorations that were computed elsewhere: files scored as a method of their own, so that any system can have a row.

Each measurement of a dataset has one file, whose name a pattern makes of the measurement's names. Nothing is known of
what it cost, and the blurred image it was made from need not be this one's bytes: tables say that it comes from files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from nidbench import versions
from nidbench.cases.case import Case
from nidbench.cases.source import cases
from nidbench.contract.truth import Truth
from nidbench.errors import DamagedError, InputError
from nidbench.files.images import RESTORED, UNSTATED, Units, other_mean, read_pixels, unlike
from nidbench.physics.arrays import Image, array_hash
from nidbench.physics.case_key import CaseKey
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response
from nidbench.records import FROM_FILES, Cell, Log, Planned, Record, Store, Sweep, checked_name
from nidbench.registry.entry_points import Registry
from nidbench.scoring.protocols import Region, crop_to, extent
from nidbench.scoring.scorer import Scorer

from .request import Experiment

#: What a file is called where nothing else is said.
PATTERN = "{image}_{kernel}_{noise}.png"

#: Names of files told in a message.
_TOLD = 3

#: Under which a record's details have what was taken for granted of its file's values.
_ASSUMED = "assumed"

#: Bytes of the longest name that file systems take.
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Submission:
    """A folder of restorations and what they restore.

    Attributes:
        folder: where the files are.
        experiment: the measurements; its `methods` is the label under which tables have them.
        pattern: of the files' names in the folder, see `file_name`.
        encoded: whether the files hold x after the camera's response; None where that is the identity.
        name: of the sweep; empty for one made from the rest.
        units: what the values of the files mean.
    """

    folder: Path
    experiment: Experiment
    pattern: str = PATTERN
    encoded: bool | None = None
    name: str = ""
    units: Units = UNSTATED

    @property
    def label(self) -> str:
        """The method's name."""
        return self.experiment.methods


@dataclass(frozen=True)
class Taken:
    """What became of a submission.

    Attributes:
        sweep: its cells.
        scored: files scored by this call.
        there: files that were scored before and are the same.
        missing: names of files that measurements have no match in.
        unused: files of the folder that no measurement asks for.
        assumed: what was taken for granted of the files, each with a file of which it is so.
        notices: dataset -> what there is to know of it.
    """

    sweep: Sweep
    scored: int
    there: int
    missing: Sequence[str]
    unused: Sequence[str]
    assumed: Sequence[str] = ()
    notices: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return what to tell a person."""
        lines = [f"{self.scored} files scored, {self.there} were so before"]
        if self.missing:
            remedy = "put them into the folder and give the same command again, or choose fewer measurements"
            lines.append(f"{len(self.missing)} files are missing: {_few(self.missing)}; {remedy}")
        if self.unused:
            lines.append(f"{len(self.unused)} files of the folder are of no measurement: {_few(self.unused)}")
        if self.assumed:
            lines.append(_first(self.assumed))
        return lines + [f"{dataset}: {notice}" for dataset, notice in self.notices.items() if notice]


def file_name(pattern: str, key: CaseKey) -> str:
    """Return the name of a measurement's file.

    `{image}`, `{dataset}`, `{kernel}` and `{set}` (of `levin/4`: 4 and levin), `{noise}` (of gaussian:0.05:
    `gaussian-0.05`), `{level}` (`0.05`) and `{seed}`, of the noise, may occur. `:` and `/` in them become `-`.

    >>> file_name("{image}_{kernel}_{noise}.png", CaseKey("set12", "02", "levin/4", "gaussian:0.05"))
    '02_4_gaussian-0.05.png'

    Raises:
        InputError: where another name occurs in the pattern, or its braces do not match.
    """
    own, _, kernel = key.kernel.partition("/")
    names = {"image": key.image, "dataset": key.dataset, "kernel": kernel or own, "set": own, "noise": key.noise}
    names |= {"level": key.noise.partition(":")[2], "seed": str(key.noise_seed)}
    safe = {name: re.sub("[:/]", "-", value) for name, value in names.items()}
    try:
        fields = [part for part in Formatter().parse(pattern) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"pattern {pattern!r}: {error}; write such as {PATTERN}") from error
    asked = {str(name) for _, name, _, _ in fields}
    if unknown := sorted(asked - set(safe)):
        known = ", ".join(f"{{{name}}}" for name in safe)
        raise InputError(f"pattern {pattern!r}: there is no {{{unknown[0]}}}; use {known}")
    if any(form or conversion for _, _, form, conversion in fields):
        raise InputError(f"pattern {pattern!r}: write names alone in braces, such as {PATTERN}")
    made = pattern.format(**safe)
    if max(len(part.encode(errors="surrogateescape")) for part in made.split("/")) > _LONGEST_NAME or "\0" in made:
        raise InputError(f"pattern {pattern[:40]!r}...: it makes names that no file can have, such as {made[:40]!r}...")
    return made


def take(store: Store, submission: Submission) -> Taken:
    """Score a folder's files, keep them as records and their measurements as a sweep.

    Measurements without a file are missing cells of the sweep. A file that was scored before is not read as an image
    again; one that changed replaces what was there.

    Raises:
        InputError: for a label, pattern or file that breaks a rule, or where not one file matches. The sweep is not
            written then.
        NidbenchError: for names or data that there are not.
    """
    _check_label(submission.label)
    _check_name(store, submission.name)
    chosen = [case for request in submission.experiment.requests() for case in cases(request)]
    files = _files(submission, chosen)
    missing = [name for name in files.values() if not (submission.folder / name).is_file()]
    if len(missing) == len(files):
        raise InputError(_no_match(submission, missing))
    assumed, scored, there = [], 0, 0
    cells = [_cell(submission, case) for case in chosen]
    for case, cell in zip(chosen, cells, strict=True):
        path = submission.folder / files[case.key]
        if not path.is_file():
            continue
        fresh = _keep(store, submission, case, cell, path)
        scored, there = scored + fresh, there + (not fresh)
        record = store.whole(cell.id)
        if record is not None and record.log is not None and _ASSUMED in record.log.details:
            assumed.append(f"{path.name} has {record.log.details[_ASSUMED]}")
    notices = {case.key.dataset: case.notice for case in chosen}
    planned = [
        _planned(submission, cell, _together([FROM_FILES, _first(assumed), notices[cell.case.dataset]]))
        for cell in cells
    ]
    sweep = Sweep(submission.name or _sweep_name(submission), _asked(submission), planned)
    store.write_sweep(sweep)
    return Taken(sweep, scored, there, missing, _unused(submission, set(files.values())), assumed, notices)


def _check_name(store: Store, name: str) -> None:
    if name:
        checked_name("sweep name", name)
    if name in store.sweep_names() and "files" not in store.sweep(name).asked:
        raise InputError(f"sweep name {name!r} is that of a run, which it would replace: use another --name")


def _check_label(label: str) -> None:
    checked_name("label", label)
    if label in Registry.installed("method").targets or label == "input":
        raise InputError(f"label {label!r} is the name of a method here: use another, such as {label}-files")


def _files(submission: Submission, chosen: Sequence[Case]) -> dict[CaseKey, str]:
    """Return the name of each measurement's file.

    Raises:
        InputError: where two measurements would have one file.
    """
    owners: dict[str, CaseKey] = {}
    for case in chosen:
        name = file_name(submission.pattern, case.key)
        if name in owners:
            raise InputError(
                f"pattern {submission.pattern!r} gives {owners[name]} and {case.key} the same file {name}: add what "
                "tells them apart, such as {kernel} or {noise}, or choose fewer measurements"
            )
        owners[name] = case.key
    return {key: name for name, key in owners.items()}


def _no_match(submission: Submission, missing: Sequence[str]) -> str:
    if not submission.folder.is_dir():
        return f"{submission.folder} is no folder: give the one with the restored images"
    held = sorted(path.relative_to(submission.folder).as_posix() for path in _held(submission.folder))
    return (
        f"{submission.folder} has none of the {len(missing)} files expected, such as {_few(missing)}; it has "
        f"{_few(held) or 'none'}: say with --pattern how they are called, such as '{PATTERN}'"
    )


def _held(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _unused(submission: Submission, used: set[str]) -> list[str]:
    names = sorted(path.relative_to(submission.folder).as_posix() for path in _held(submission.folder))
    return [name for name in names if name not in used]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


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
    return Planned(cell.id, submission.label, "", note, cell.case, cell.declared, 0, submission.label)


def _first(assumed: Sequence[str]) -> str:
    """Return the first of what was taken for granted, and of how many more files something was; else nothing."""
    others = f" (and likewise {len(assumed) - 1} more)" if len(assumed) > 1 else ""
    return f"assumed: {assumed[0]}{others}" if assumed else ""


def _together(parts: Iterable[str]) -> str:
    return "; ".join(filter(None, parts))


def _keep(store: Store, submission: Submission, case: Case, cell: Cell, path: Path) -> bool:
    """Score and keep one file, unless that was done before, as it would be today; return whether it was done now."""
    details: dict[str, Any] = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    details["encoded"] = bool(submission.encoded)
    details["units"] = submission.units.stated()
    try:
        before = store.whole(cell.id)
    except DamagedError:
        before = None
    if before is not None and _as_today(before, details, case):
        return False
    problem, truths = case.problem(), case.truths()
    reading = read_pixels(path, RESTORED, submission.units)
    linear = _linear(reading.image, case.response, submission.encoded)
    try:
        image, whole = placed(linear, problem, truths)
    except InputError as error:
        raise InputError(f"{path}, of {case.key}, {error}") from error
    dimmer = _check_scale(submission, path, image, problem)
    scorer = Scorer(problem, truths)
    record = Record(
        id=cell.id,
        cell=cell,
        status="done",
        scores=scorer.scores(image, None if whole else problem.valid),
        input_scores=scorer.input_scores,
        measurement_hash=array_hash(problem.blurred),
        truth_hash=case.truth_hash(),
        versions=versions.of("measurement", "metric"),
        shows_y=not whole,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        measures=scorer.measures(image, None),
    )
    if assumed := _together([reading.assumed, dimmer, "" if whole else _origin(problem)]):
        details[_ASSUMED] = assumed
    store.write(record.with_log(Log(details=details)), {"image": image})
    return True


def _as_today(record: Record, details: Mapping[str, Any], case: Case) -> bool:
    """Return whether a record is of the same file, scored against today's truth by today's metric."""
    same_file = record.log is not None and details.items() <= record.log.details.items()
    return same_file and record.truth_hash == case.truth_hash() and not versions.outdated(record.versions)


def _origin(problem: Problem) -> str:
    """Return where an image of the size of y is put, where programs differ in that."""
    if all(side % 2 for side in problem.kernel.shape):
        return ""
    rows, columns = problem.kernel.shape
    return f"the size of the blurred image, put where the kernel of even size {rows}x{columns} has its origin, k//2"


def _check_scale(submission: Submission, path: Path, image: Image, problem: Problem) -> str:
    """Return how much brighter or darker a restoration in the frame of x is than what was blurred, where it is much so.

    Raises:
        InputError: where it cannot be of the same scale, naming how they are related, and how to say what they mean.
    """
    shown = problem.response.apply(np.asarray(image[:, *problem.valid], np.float64))
    if fitting := unlike(shown, problem.blurred):
        raise InputError(
            f"{path} is not on the scale of the blurred image, which is {fitting}: save it on [0, 1], or say with "
            f"{submission.units.say('scale', 'VALUE')} which value is intensity 1"
        )
    return other_mean(shown, problem.blurred)


def _linear(image: Image, response: Response, encoded: bool | None) -> Image:
    """Return x before the camera's response.

    Raises:
        InputError: where there is a response and nobody said whether the files are before or after it.
    """
    if response.kind != "gamma":
        return image
    if encoded is None:
        raise InputError(
            f"the camera has the response {response}: say with --encoded that the files are as it shows them, or with "
            "--linear that they are as before it"
        )
    return np.asarray(image.clip(0, None) ** response.gamma) if encoded else image


def placed(image: Image, problem: Problem, truths: Sequence[Truth] = ()) -> tuple[Image, bool]:
    """Return an image at its place in the frame of x, and whether it shows more than y; its edges are repeated.

    Args:
        image: Shape (C, H, W) of x, by the kernel that methods are told or by the true one, or (C, h, w) of y.
        problem: the measurement.
        truths: what it is compared with, which know of the true kernel.

    Raises:
        InputError: of another shape, naming all.
    """
    channels, places = problem.blurred.shape[0], _places(problem, truths)
    height, width = image.shape[1:]
    if image.shape[0] != channels or (height, width) not in places:
        kinds = {1: "gray", 3: "in colour"}
        *others, last = (f"{rows}x{columns} ({what})" for (rows, columns), (what, _) in places.items())
        raise InputError(
            f"is {height}x{width} and {kinds[image.shape[0]]}: expected {', '.join(others)} or {last}, "
            f"{kinds[channels]}"
        )
    what, place = places[height, width]
    rows, columns = (slice(-own.start, size - own.start) for own, size in zip(place, problem.frame, strict=True))
    return crop_to(image, (rows, columns)), what != _OF_Y


_OF_Y = "of the blurred image, which is x without what the kernel's border hides"


def _places(problem: Problem, truths: Sequence[Truth]) -> dict[tuple[int, int], tuple[str, Region]]:
    """Return the sizes that a file may have, each with what has it, and where that is in the frame of x."""
    height, width = problem.frame
    known = [("of x", (slice(0, height), slice(0, width)))]
    if truths and (true := extent(problem, truths[0])) != known[0][1]:
        known = [("of x by the kernel told", known[0][1]), ("of x by the true one", true)]
    places: dict[tuple[int, int], tuple[str, Region]] = {}
    for what, (rows, columns) in (*known, (_OF_Y, problem.valid)):
        places.setdefault((rows.stop - rows.start, columns.stop - columns.start), (what, (rows, columns)))
    return places


def _asked(submission: Submission) -> dict[str, Any]:
    folder = str(submission.folder)
    return {"experiments": [asdict(submission.experiment)], "files": folder, "pattern": submission.pattern}


def _sweep_name(submission: Submission) -> str:
    digest = hashlib.sha256(repr(submission.experiment).encode()).hexdigest()[:6]
    dataset = re.sub(r"[^\w.-]+", "-", submission.experiment.dataset)
    return f"{submission.label}-{dataset}-{digest}"
