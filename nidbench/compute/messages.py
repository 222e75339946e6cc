"""The requests of the parent and the messages of a computing process. None of them holds a truth.

Every message carries the number of its request. A method runs in the process that sends the messages, so that anything
may arrive: `nidbench.compute.message_rules` refuses messages that do not fit the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from numpy.typing import NDArray

from nidbench.contract.conformance import Finding
from nidbench.contract.method import Setting
from nidbench.contract.run import NEVER, Clock
from nidbench.errors import NidbenchError
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem
from nidbench.registry.method_spec import MethodSpec

from .pace import Span


@dataclass(frozen=True)
class Greet:
    """Asks for the devices and the environment of the process; answered by `Hello`."""


@dataclass(frozen=True)
class ComparePrecisions:
    """Asks for the time of a convolution in bf16 over that in float32; answered by `Ratios`.

    Attributes:
        device: torch device that has bf16.
        threads: CPU threads of the process.
    """

    device: str
    threads: int


@dataclass(frozen=True)
class CompareThreads:
    """Asks for the time of a convolution on several threads of the CPU over that on one; answered by `Ratios`.

    Attributes:
        precision: `float32` or `bf16`, in which it is computed.
        threads: how many are several.
    """

    precision: str
    threads: int


@dataclass(frozen=True)
class Resolve:
    """Asks for a method's settings and version; answered by `Imported`, then `MethodFacts` or `Refusal`.

    Attributes:
        spec, preset, file: the method.
    """

    spec: MethodSpec
    preset: str | None
    file: Path | None


@dataclass(frozen=True)
class Check:
    """Asks for conformance checks of a method.

    It is answered by `Began` and `Finding` for every check, then `Checked` or `Refusal`.

    Attributes:
        spec, preset, file: the method.
        device: torch device.
        names: the checks to make, named as by `conformance.title`.
    """

    spec: MethodSpec
    preset: str | None
    file: Path | None
    device: str
    names: Sequence[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Asks for a restoration; answered by observations, then an `Outcome` or a `Refusal`.

    Attributes:
        spec, preset, file: the method.
        problem: the problem that it restores.
        seed, device, precision, threads: how it runs.
        clock: the iterations after which it shows its estimate.
        checkpoint: file for its state.
        checkpoint_seconds: time between checkpoints.
        keep: kinds of extra arrays that it hands over, see `Run.keeps`.
        pilot_seconds: time after which to stop and report how far the method came; None for a full restoration.
        settings: those that the cell was planned with, which the method must have here, too; None to ask for none.
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
    settings: Mapping[str, Setting] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of x."""
        return self.problem.shape


@dataclass(frozen=True, eq=False)
class Batch:
    """Asks for restorations side by side; answered by `Of` messages, then `Outcomes` or a `Refusal`.

    Attributes:
        tasks: two or more, of one method, frame, device and precision; no pilots.
    """

    tasks: Sequence[Task]

    @property
    def spec(self) -> MethodSpec:
        """The method of all."""
        return self.tasks[0].spec

    @property
    def preset(self) -> str | None:
        """The preset of all."""
        return self.tasks[0].preset

    @property
    def file(self) -> Path | None:
        """The method's file."""
        return self.tasks[0].file

    @property
    def device(self) -> str:
        """The device of all."""
        return self.tasks[0].device


Request: TypeAlias = Greet | ComparePrecisions | CompareThreads | Resolve | Check | Task | Batch


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The devices and the environment of a computing process.

    Attributes:
        devices: available torch devices, `cpu` last.
        bf16: the devices with native bfloat16.
        environment: versions of packages, and the machine.
        pid: process id.
    """

    devices: Sequence[str]
    bf16: Sequence[str]
    environment: Mapping[str, str]
    pid: int


class Ratios(msgspec.Struct, frozen=True, tag=True):
    """The times of one way to convolve over those of another, in several pairs of runs."""

    ratios: Sequence[float]


class Imported(msgspec.Struct, frozen=True, tag=True):
    """The method is imported; the download of its files may still take time."""


class MethodFacts(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Facts of a method that the parent needs.

    Attributes:
        spec, file: the method, as in the request.
        preset: the preset that was used.
        note: notes for users, such as licence terms; empty for none.
        version: of the method, see `MethodInfo`.
        settings: all of its settings, by name.
        fingerprint: hash of its source.
        batch: whether it can restore several problems side by side.
        stops_itself: whether a rule may end it before all iterations that it plans, see `StopsItself`.
        bounded: whether x is on [0, 1] whatever y is, see `MethodInfo`.
    """

    spec: MethodSpec
    file: Path | None
    preset: str
    note: str
    version: int
    settings: Mapping[str, Setting]
    fingerprint: str
    batch: bool
    stops_itself: bool
    bounded: bool = False


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Iterations done and planned, sent a few times a second."""

    done: int
    planned: int


class Observation(msgspec.Struct, frozen=True, tag=True, eq=False):
    """An estimate of an unfinished restoration, Shape (C, H, W), with its iteration and time."""

    iteration: int
    seconds: float
    image: Image


class Draw(msgspec.Struct, frozen=True, tag=True, eq=False):
    """A posterior draw, Shape (C, H, W)."""

    image: Image


class Kept(msgspec.Struct, frozen=True, tag=True, eq=False):
    """An extra array that is to be stored under a name."""

    name: str
    array: NDArray[Any]


class Outcome(msgspec.Struct, frozen=True, tag=True, eq=False):
    """How a task ended.

    Attributes:
        status: `done`, `failed`, `out-of-memory` or `unstable`; `pilot` for a pilot that was stopped before its end;
            `timeout`, which only the parent sets, for a task that was killed at its deadline.
        image, variance: x and its variance, Shape (C, H, W), where done.
        seconds: time of the method.
        iterations: steps done.
        planned: steps of the full run, where known.
        spans: of a pilot: a single span where the method is done, else those between its reports of progress.
        stopped: why the method ended.
        peak_memory: largest memory in bytes, beyond what the process had before the method began.
        resumed: whether it resumed from a checkpoint.
        details: those of `Restored`.
        error: traceback.
        versions: of the components that the method used, see `nidbench.versions.used`.
        left_behind: threads, processes and changed global state that the next cell would meet, in words.
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
    left_behind: Sequence[str] = ()


class Of(msgspec.Struct, frozen=True, tag=True):
    """A message about one task of a batch, by its place there."""

    place: int
    message: Progress | Observation | Draw | Kept


class Outcomes(msgspec.Struct, frozen=True, tag=True):
    """How the tasks of a batch ended; `left_behind` is as in `Outcome`, of all of them."""

    outcomes: Sequence[Outcome]
    left_behind: Sequence[str] = ()


class Began(msgspec.Struct, frozen=True, tag=True):
    """A conformance check of this name begins."""

    name: str


class Checked(msgspec.Struct, frozen=True, tag=True):
    """All requested checks are made; `left_behind` is as in `Outcome`."""

    left_behind: Sequence[str] = ()


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """A request that cannot be met, with the message for the user."""

    message: str


Message: TypeAlias = (
    Hello
    | Ratios
    | Imported
    | MethodFacts
    | Progress
    | Observation
    | Draw
    | Kept
    | Outcome
    | Of
    | Outcomes
    | Began
    | Finding
    | Checked
    | Refusal
)

#: Type of request -> types of its answer.
ANSWERS: Mapping[type, tuple[type, ...]] = {
    Greet: (Hello,),
    ComparePrecisions: (Ratios,),
    CompareThreads: (Ratios,),
    Resolve: (MethodFacts, Refusal),
    Check: (Checked, Refusal),
    Task: (Outcome, Refusal),
    Batch: (Outcomes, Refusal),
}

#: Type of request -> types of the messages that may come before the answer.
INTERIM: Mapping[type, tuple[type, ...]] = {
    Greet: (),
    ComparePrecisions: (),
    CompareThreads: (),
    Resolve: (Imported,),
    Check: (Imported, Began, Finding),
    Task: (Progress, Observation, Draw, Kept),
    Batch: (Of,),
}


class MessageError(NidbenchError):
    """Bytes that are no message, or a message that does not fit the request."""


#: Sent to a computing process on its control line: save a checkpoint as soon as possible. The end of the line means
#: that the parent has ended.
CHECKPOINT = b"checkpoint\n"

#: Sent back on the control line when the checkpoint is written.
SAVED = b"saved\n"

#: Sent back on the control line by a copy of the process that a method forked and that then acts as the original.
FORKED = b"forked\n"
