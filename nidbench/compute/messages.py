"""What the parent and the computing process say to each other. Truths are in none of it.

The parent's requests are pickled: the computing process trusts it. What comes back is not: it is data of fixed types,
each piece with the number of the request that it belongs to, and `check` refuses what does not fit that request.
A method is in the same process as what sends, so that anything may arrive.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from nidbench.contract import handed
from nidbench.contract.conformance import Finding
from nidbench.contract.method import Setting
from nidbench.contract.run import NEVER, Clock
from nidbench.errors import NidbenchError
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem
from nidbench.registry.method_spec import MethodSpec
from nidbench.versions import CURRENT

from .pace import Span


@dataclass(frozen=True)
class Greet:
    """Asks what there is to compute with; answered by `Hello`."""


@dataclass(frozen=True)
class Resolve:
    """Asks for a method's settings; answered by `MethodFacts` or `Refusal`, after `Imported`."""

    spec: MethodSpec
    preset: str | None
    file: Path | None


@dataclass(frozen=True)
class Check:
    """Asks for conformance checks of a method; answered by `Began` and `Finding` for each, then `Checked` or `Refusal`.

    Attributes:
        spec, preset, file: which method.
        device: torch device.
        names: which checks, by what they state.
    """

    spec: MethodSpec
    preset: str | None
    file: Path | None
    device: str
    names: Sequence[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Asks for a restoration; answered by observations, then one `Outcome` or `Refusal`.

    Attributes:
        spec, preset, file: which method.
        problem: what it sees.
        seed, device, precision, threads: how it runs.
        clock: when to observe.
        checkpoint: file for its state.
        checkpoint_seconds: time between checkpoints.
        keep: which arrays it hands over besides, see `Run.keeps`.
        pilot_seconds: where not None, stop after this long and say how far it came.
    """

    spec: MethodSpec
    preset: str | None
    file: Path | None
    problem: Problem
    seed: int
    device: str
    precision: str
    threads: int
    clock: Clock = NEVER
    checkpoint: Path | None = None
    checkpoint_seconds: float = 30.0
    keep: Sequence[str] = ()
    pilot_seconds: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of x."""
        return self.problem.blurred.shape[0], *self.problem.frame


Request: TypeAlias = Greet | Resolve | Check | Task


class Hello(msgspec.Struct, frozen=True, tag=True):
    """What there is to compute with.

    Attributes:
        devices: torch devices there are, `cpu` last.
        bf16: those on which bfloat16 is native.
        environment: versions and machine.
        pid: process id.
    """

    devices: Sequence[str]
    bf16: Sequence[str]
    environment: Mapping[str, str]
    pid: int


class Imported(msgspec.Struct, frozen=True, tag=True):
    """The method is imported; what may still take time is the download of its files."""


class MethodFacts(msgspec.Struct, frozen=True, tag=True):
    """A method as the parent needs to know it."""

    spec: MethodSpec
    file: Path | None
    preset: str
    note: str
    version: int
    settings: Mapping[str, Setting]
    fingerprint: str
    batch: bool


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Iterations done and planned, some times a second."""

    done: int
    planned: int


class Observation(msgspec.Struct, frozen=True, tag=True, eq=False):
    """An estimate on the way, Shape (C, H, W)."""

    iteration: int
    seconds: float
    image: Image


class Draw(msgspec.Struct, frozen=True, tag=True, eq=False):
    """A posterior draw, Shape (C, H, W)."""

    image: Image


class Kept(msgspec.Struct, frozen=True, tag=True, eq=False):
    """An array that a method hands over to be stored under a name."""

    name: str
    array: NDArray[Any]


class Outcome(msgspec.Struct, frozen=True, tag=True, eq=False):
    """How a task ended.

    Attributes:
        status: `done`, `failed`, `out-of-memory` or `unstable`; of a pilot also `pilot`, cut off before its end; of a
            task that was killed at its deadline `timeout`, which the parent alone says.
        image, variance: x, Shape (C, H, W), where done.
        seconds: time of the method.
        iterations: steps done.
        planned: steps of the whole run, where known.
        spans: of a pilot: the whole where it is done, else what passed between its reports of progress.
        stopped: why it ended.
        peak_memory: in bytes, beyond what stood there before the method began.
        resumed: whether it went on from a checkpoint.
        details: of `Restored`.
        error: traceback.
        versions: of what the method used, see `versions.used`.
        left: what the method left behind that the next cell would meet: threads, processes, changed global state.
    """

    status: str
    image: Image | None = None
    variance: Image | None = None
    seconds: float = 0.0
    iterations: int = 0
    planned: int | None = None
    spans: Sequence[Span] = ()
    stopped: str = ""
    peak_memory: int | None = None
    resumed: bool = False
    details: Mapping[str, Any] = {}
    error: str = ""
    versions: Mapping[str, int] = {}
    left: Sequence[str] = ()


class Began(msgspec.Struct, frozen=True, tag=True):
    """A conformance check begins."""

    name: str


class Checked(msgspec.Struct, frozen=True, tag=True):
    """All checks are through; `left` as of `Outcome`."""

    left: Sequence[str] = ()


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """A request that cannot be met, with the message to show."""

    message: str


Said: TypeAlias = (
    Hello
    | Imported
    | MethodFacts
    | Progress
    | Observation
    | Draw
    | Kept
    | Outcome
    | Began
    | Finding
    | Checked
    | Refusal
)

#: What ends the wait for an answer, by request.
ANSWERS: Mapping[type, tuple[type, ...]] = {
    Greet: (Hello,),
    Resolve: (MethodFacts, Refusal),
    Check: (Checked, Refusal),
    Task: (Outcome, Refusal),
}
_ON_THE_WAY: Mapping[type, tuple[type, ...]] = {
    Greet: (),
    Resolve: (Imported,),
    Check: (Imported, Began, Finding),
    Task: (Progress, Observation, Draw, Kept),
}
_STATUSES = ("done", "failed", "out-of-memory", "unstable")


class MessageError(NidbenchError):
    """Bytes that are no message, or a message that does not fit what was asked."""


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    number: str
    said: Said


def pack_request(number: str, request: Request) -> bytes:
    """Return a request, and the number that its answers carry, as bytes."""
    return pickle.dumps((number, request))


def unpack_request(content: bytes) -> tuple[str, Request]:
    """Return what `pack_request` packed."""
    number, request = pickle.loads(content)
    return number, request


def pack(number: str, said: Said) -> bytes:
    """Return a message as bytes.

    Raises:
        TypeError, ValueError: where a method's value has no form as data; one that was made plain has.
    """
    return _ENCODER.encode(_Envelope(number, said))


def unpack(content: bytes) -> tuple[str, Said]:
    """Return the number of a request and a message that belongs to it.

    Raises:
        MessageError: where the bytes are none.
    """
    try:
        envelope = _DECODER.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MessageError(f"it said what is no message: {error}") from error
    return envelope.number, envelope.said


def _to_data(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, np.ascontiguousarray(value).data.cast("B") if value.size else b""
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form as data")


def _from_data(kind: Any, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    dtype, shape, content = value
    found = np.dtype(dtype)
    if found.kind not in "fiub":
        raise ValueError(f"an array of {found}")
    return np.frombuffer(content, found).reshape(shape).copy()


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_data)
_DECODER = msgspec.msgpack.Decoder(_Envelope, dec_hook=_from_data)


def check(said: Said, request: Request) -> None:
    """Refuse a message that does not fit what was asked, whatever the method did to the process that sent it.

    Raises:
        MessageError: naming what does not fit.
    """
    if not isinstance(said, (*ANSWERS[type(request)], *_ON_THE_WAY[type(request)])):
        raise MessageError(f"it said {type(said).__name__}, which answers nothing that was asked")
    try:
        if isinstance(request, Task):
            _check_of_task(said, request)
        elif isinstance(said, MethodFacts) and (said.spec, said.file) != (request.spec, request.file):  # type: ignore[union-attr]
            raise ValueError(f"it told of {said.spec}, asked was {request.spec}")  # type: ignore[union-attr]
    except (TypeError, ValueError, ArithmeticError) as error:
        raise MessageError(f"it handed over what no method can: {error}") from error


def _check_of_task(said: Said, task: Task) -> None:
    if isinstance(said, Progress):
        handed.count("done", said.done), handed.count("planned", said.planned)
    elif isinstance(said, Observation):
        handed.count("iteration", said.iteration)
        _require(0 <= said.seconds < np.inf, f"seconds are {said.seconds}")
        _check_image("the estimate", said.image, task.shape)
    elif isinstance(said, Draw):
        _check_image("the draw", said.image, task.shape)
        _require(bool(np.isfinite(said.image).all()), "the draw is not finite")
    elif isinstance(said, Kept):
        handed.name(said.name)
    elif isinstance(said, Outcome):
        _check_outcome(said, task)


def _check_outcome(said: Outcome, task: Task) -> None:
    allowed = _STATUSES if task.pilot_seconds is None else (*_STATUSES, "pilot")
    _require(said.status in allowed, f"the status is {handed.text(said.status, 60)!r}")
    _require((said.image is not None) == (said.status == "done"), f"{said.status} and the image do not go together")
    for name, image in (("the image", said.image), ("the variance", said.variance)):
        if image is not None:
            _check_image(name, image, task.shape)
            _require(bool(np.isfinite(image).all()), f"{name} is not finite")
    handed.count("iterations", said.iterations)
    _require(0 <= said.seconds < np.inf, f"seconds are {said.seconds}")
    for span in said.spans:
        _require(span.iterations > 0 and 0 <= span.seconds < np.inf and 0 <= span.cpu < np.inf, f"a span is {span}")
    _require(bool(said.spans) or task.pilot_seconds is None or said.status not in ("done", "pilot"), "it tells no time")
    for name, count in (("planned", said.planned), ("peak_memory", said.peak_memory)):
        if count is not None:
            handed.count(name, count)
    _require(set(said.versions) <= set(CURRENT), "there are no such versions")
    _require(repr(handed.details(said.details)) == repr(said.details), "the details are not plain")  # NaN is not NaN
    for text in (said.stopped, said.error, *said.left):
        _require(handed.text(text, 2 * handed.LONGEST_TEXT) == text, "a text is long or holds control characters")


def _check_image(name: str, image: Image, shape: tuple[int, ...]) -> None:
    _require(image.dtype == np.float32 and image.shape == shape, f"{name} is {image.dtype} of shape {image.shape}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


#: Said on the control line: save a checkpoint as soon as possible. Its end means that the parent is gone.
CHECKPOINT = b"checkpoint\n"

#: Said back on it once the checkpoint is written.
SAVED = b"saved\n"

#: Said back on it by a process that a method forked and that went on as if it were the one that was asked.
FORKED = b"forked\n"
