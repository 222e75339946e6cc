"""What the parent and the computing process say to each other. Truths are in none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .contract import NEVER, Clock, Image, Problem, Setting
from .pace import Span
from .specs import MethodSpec


@dataclass(frozen=True)
class Hello:
    """The computing process's first words.

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


@dataclass(frozen=True)
class Resolve:
    """Asks for a method's settings; answered by `MethodFacts` or `Refusal`."""

    spec: MethodSpec
    preset: str | None
    file: Path | None


@dataclass(frozen=True)
class MethodFacts:
    """A method as the parent needs to know it."""

    spec: MethodSpec
    file: Path | None
    preset: str
    note: str
    version: int
    settings: Mapping[str, Setting]
    fingerprint: str
    batch: bool


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True)
class Progress:
    """Iterations done and planned, some times a second."""

    done: int
    planned: int


@dataclass(frozen=True, eq=False)
class Observation:
    """An estimate on the way, Shape (C, H, W)."""

    iteration: int
    seconds: float
    image: Image


@dataclass(frozen=True, eq=False)
class Draw:
    """A posterior draw, Shape (C, H, W)."""

    image: Image


@dataclass(frozen=True, eq=False)
class Kept:
    """An array that a method hands over to be stored under a name."""

    name: str
    array: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a task ended.

    Attributes:
        status: `done`, `failed`, `out-of-memory` or `unstable`; of a pilot also `pilot`, cut off before its end.
        image, variance: x, Shape (C, H, W), where done.
        seconds: time of the method.
        iterations: steps done.
        planned: steps of the whole run, where known.
        spans: of a pilot: the whole where it is done, else what passed between its reports of progress.
        stopped: why it ended.
        peak_memory: in bytes.
        resumed: whether it went on from a checkpoint.
        details: of `Restored`.
        error: traceback.
        versions: of what the method used, see `versions.used`.
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
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A request that cannot be met, with the message to show."""

    message: str


#: Said on the control line: save a checkpoint as soon as possible. Its end means that the parent is gone.
CHECKPOINT = b"checkpoint"
#: Said back on it once the checkpoint is written.
SAVED = b"saved"
