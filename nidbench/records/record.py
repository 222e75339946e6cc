"""How a cell ended, and what determined it: plain data, checked against its types when it is read.

A record is small: what tables and comparisons need. What is looked at case by case, curves above all, is a `Log`
beside it. Both are JSON, with `Infinity` for the PSNR of a perfect restoration, as Python writes and reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, TypeVar

import msgspec

from nidbench.errors import NewerError
from nidbench.physics.case_key import MEASURED
from nidbench.scoring.score import Score
from nidbench.versions import FIRST

from .cell import Cell

#: Raised when a newer nidbench writes what an older one cannot read. 1 had record and log in one file.
FORMAT = 2

#: What reading JSON raises where it is cut off, overwritten or of another form.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

#: The ways a cell ends. `missing` and `corrupt` are said of cells without a readable record.
STATUSES = ("done", "failed", "timeout", "out-of-memory", "unstable")

#: Characters of `Record.error`; `Log.error` has all of it.
_LINE = 300
_T = TypeVar("_T")

#: A number that tables calculate with: one of hundreds of digits, which Python reads, is damage.
Count = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Point:
    """One observation of an estimate on the way.

    Attributes:
        iteration: iterations done.
        seconds: time spent on them.
        psnr, ssim: under the half-kernel protocol.
    """

    iteration: Count
    seconds: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Log:
    """What is known of a cell besides its record: read only when asked for.

    Attributes:
        curve: observations on the way, by iteration.
        passes: pairs of n and the PSNR of the mean of the first n posterior draws, where the method sampled.
        details: what else the method says of its run.
        error: the message or traceback where it failed.
        environment: the versions of the software, and the machine.
    """

    curve: tuple[Point, ...] = ()
    passes: tuple[tuple[int, float], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def oracle(self) -> Point | None:
        """The best point of the curve: what someone who knows the truth would have picked."""
        finite = [point for point in self.curve if math.isfinite(point.psnr)]
        return max(finite, key=lambda point: point.psnr, default=None)

    def to_json(self) -> str:
        """Return the log as JSON text."""
        return as_json(self)

    @classmethod
    def from_json(cls, text: str | bytes, place: object = "the log") -> Log:
        """Read `to_json`'s text.

        Args:
            text: the text.
            place: where it is from, for messages.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, RecursionError: where it is not a whole log.
            NewerError: where a newer nidbench wrote it.
        """
        return _read(text, cls, format_of(text, place))


@dataclass(frozen=True)
class Record:
    """How a cell ended.

    Attributes:
        id: the cell's.
        cell: what determined it.
        status: one of `STATUSES`.
        scores: protocol name -> score of the restoration at the method's own stop; empty unless done, or without truth.
        input_scores: protocol name -> score of the blurred input.
        oracle, end: the best and the last point of its curve; None where it has no curve.
        seconds: time that the method took, divided by `batch`.
        iterations: steps that the method did.
        stopped: why the method ended.
        batch: how many cells were fitted side by side.
        peak_memory: largest resident size of the computing process in the cell, in bytes, beyond what it had before the
            method began; on CUDA that of the device.
        threads: how many CPU threads the method had.
        resumed: how many times the cell went on from a checkpoint.
        measurement_hash: SHA-256 of the blurred image's bytes.
        truth_hash: SHA-256 of what it was scored against, see `Case.truth_hash`; empty where there is no truth, or
            where an old record does not say.
        versions: the versions of what its result and scores rest on, by the names of `nidbench.versions`.
        source: fingerprint of the method's source, for methods that are plain files and have no golden result; empty
            in records of the first format, whose fingerprints covered nidbench as well.
        shows_y: whether the restoration, a file of someone's, shows only what y shows.
        error: what went wrong where it failed, in a line; the log has the traceback.
        finished: when it ended, UTC, ISO 8601.
        measures: further measures of the restoration, by the names of `scoring.measures.MEASURES`. Those that have no
            defined value, for want of a truth or a variance, are left out.
        kept: which further arrays the method was asked for, by the names of `contract.run.KEEPS`; `kept.npz` holds
            those that it had.
        log: what is read only when asked for; None where it was not asked for.
        attempt: how many times the cell was computed: `Store` keeps the files of the attempts apart.
    """

    id: str
    cell: Cell
    status: str
    scores: Mapping[str, Score] = field(default_factory=dict)
    input_scores: Mapping[str, Score] = field(default_factory=dict)
    oracle: Point | None = None
    end: Point | None = None
    seconds: float | None = None
    iterations: Count | None = None
    stopped: str = ""
    batch: Count = 1
    peak_memory: Count | None = None
    threads: Count | None = None
    resumed: Count = 0
    measurement_hash: str = ""
    truth_hash: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    shows_y: bool = False
    error: str = ""
    finished: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    log: Log | None = None
    attempt: Count = 1

    def with_log(self, log: Log) -> Record:
        """Return the record with its log, and with what it repeats of that: oracle, end and the error in a line."""
        end = log.curve[-1] if log.curve else None
        return replace(self, log=log, oracle=log.oracle, end=end, error=error_line(log.error)[:_LINE])

    def to_json(self) -> str:
        """Return the record as JSON text, without its log."""
        return as_json(self, leave_out="log")

    @classmethod
    def from_json(cls, text: str | bytes, place: object = "the record") -> Record:
        """Read `to_json`'s text, or what the first format had, which comes with its log.

        Args:
            text: the text.
            place: where it is from, for messages.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, RecursionError: where it is not a whole record.
            NewerError: where a newer nidbench wrote it.
        """
        number = format_of(text, place)
        record = _of_first_format(text) if number == 1 else _read(text, cls, number)
        if record.status not in STATUSES:
            raise ValueError(f"status {record.status!r} is none of {', '.join(STATUSES)}")
        return record


def error_line(error: str) -> str:
    """Return the line of an error that says what went wrong: of a traceback, the one that names the exception."""
    lines = [line for line in error.splitlines() if line.strip()]
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if starts:
        lines = [line for line in lines[starts[-1] + 1 :] if not line.startswith(" ")] or lines[-1:]
    return lines[0].strip() if lines else ""


def as_json(content: Any, leave_out: str = "") -> str:
    """Return a dataclass as JSON text that says its format, without one of its fields where that is to be left out."""
    named = {name: value for name, value in _named(content).items() if name != leave_out}
    return json.dumps({"format": FORMAT, **named}, indent=1, default=_named)


def _named(content: Any) -> dict[str, Any]:
    # not `asdict`, which copies deeply: thousands are written
    return {each.name: getattr(content, each.name) for each in fields(content)}


#: What `as_json` begins with.
_BEGINS = f'{{\n "format": {FORMAT},'


class _Stamp(msgspec.Struct):
    format: int


def refuse_newer(number: int, place: object) -> None:
    """Refuse a format that this nidbench does not read yet.

    Args:
        number: the format.
        place: the file that is of it, for the message.

    Raises:
        NewerError: where it is newer than `FORMAT`.
    """
    if number > FORMAT:
        raise NewerError(
            f"{place} was written by a newer nidbench (format {number}, this one reads {FORMAT}): upgrade with "
            "pip install -U nidbench"
        )


def format_of(text: str | bytes, place: object) -> int:
    """Return the format that a JSON text of nidbench says it is of, unless it is newer than `FORMAT`.

    Raises:
        ValueError, KeyError, TypeError, RecursionError: where it says none.
        NewerError: where it is newer.
    """
    if text[: len(_BEGINS)] in (_BEGINS, _BEGINS.encode()):  # decoding would go through all of a log for it
        return FORMAT
    try:
        number = msgspec.json.decode(text, type=_Stamp).format
    except msgspec.DecodeError:  # JSON has no word for infinity
        number = json.loads(text)["format"]
    refuse_newer(number, place)
    return number


def _read(text: str | bytes, kind: type[_T], number: int) -> _T:
    if number != FORMAT:
        raise ValueError(f"it is of another format than {FORMAT}")
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        raw = text.encode() if isinstance(text, str) else text
        if not any(word in raw for word in (b"Infinity", b"NaN")):
            raise
        return msgspec.convert(json.loads(text), kind)


def _of_first_format(text: str | bytes) -> Record:
    content = json.loads(text)
    log = msgspec.convert({attribute.name: content[attribute.name] for attribute in fields(Log)}, Log)
    record = msgspec.convert(content, Record)
    cell = record.cell
    rests_on = ["engine", "measurement", "metric"] if "lr" in cell.settings else ["measurement", "metric"]
    if cell.declared == "estimated" or cell.case.noise == MEASURED:  # of what is measured few levels are known
        rests_on.append("noise level")
    return replace(
        record.with_log(log),
        peak_memory=None,  # which counted what the process had before the method began
        truth_hash=cell.image_hash if cell.case.noise != MEASURED else "",
        versions=dict.fromkeys(rests_on, FIRST),
        shows_y=log.details.get("shows") == "y",
    )
