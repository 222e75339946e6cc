"""How a cell ended, and what determined it: plain data, and as JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nidbench.contract import CaseKey, Setting
from nidbench.errors import ResultsError
from nidbench.metrics import Score

#: Raised when a newer nidbench writes what an older one cannot read.
FORMAT = 1

#: What reading JSON raises where it is cut off, overwritten or of another form.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError)

#: The ways a cell ends. `missing` and `corrupt` are said of cells without a readable record.
STATUSES = ("done", "failed", "timeout", "out-of-memory", "unstable")


@dataclass(frozen=True)
class Cell:
    """One unit of work: what determines its result, and nothing else.

    Attributes:
        method, version: which adapter.
        settings: all of its settings, resolved.
        case: the measurement's names, which key its noise.
        image_hash, kernel_hash: SHA-256 of their values.
        declared: what the method is told of the noise level.
        response: the camera's, as text.
        seed: method seed.
        precision: `float32` or `bf16`.
        device: kind of device, `cpu` or `cuda`.
    """

    method: str
    version: int
    settings: Mapping[str, Setting]
    case: CaseKey
    image_hash: str
    kernel_hash: str
    declared: str
    response: str
    seed: int
    precision: str
    device: str

    @property
    def id(self) -> str:
        """SHA-256 of all of it, 20 hexadecimal digits."""
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Point:
    """One observation of an estimate on the way.

    Attributes:
        iteration: iterations done.
        seconds: time spent on them.
        psnr, ssim: under the half-kernel protocol.
    """

    iteration: int
    seconds: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Record:
    """How a cell ended.

    Attributes:
        id: the cell's.
        cell: what determined it.
        status: one of `STATUSES`.
        scores: protocol name -> score of the restoration at the method's own stop; empty unless done, or without truth.
        input_scores: protocol name -> score of the blurred input.
        curve: observations on the way, by iteration.
        passes: (n, PSNR of the mean of the first n posterior draws), where the method sampled.
        seconds: time of the method, divided by `batch`.
        iterations: steps done.
        stopped: why it ended.
        batch: cells fitted side by side.
        peak_memory: largest resident size of the computing process in the cell, in bytes; on CUDA that of the device.
        threads: CPU threads.
        resumed: times that the cell went on from a checkpoint.
        measurement_hash: SHA-256 of the blurred image's bytes.
        fingerprint: of the method's source.
        details: what else the method tells.
        error: message or traceback where it failed.
        environment: versions and machine.
        finished: UTC time, ISO 8601.
        measures: what else is known of the restoration, by the names of `scoring.MEASURES`; without what has
            no truth, no variance or no defined value.
        kept: what the method was asked to hand over besides, see `run.KEEPS`; `kept.npz` holds what it had of that.
    """

    id: str
    cell: Cell
    status: str
    scores: Mapping[str, Score] = field(default_factory=dict)
    input_scores: Mapping[str, Score] = field(default_factory=dict)
    curve: Sequence[Point] = ()
    passes: Sequence[tuple[int, float]] = ()
    seconds: float | None = None
    iterations: int | None = None
    stopped: str = ""
    batch: int = 1
    peak_memory: int | None = None
    threads: int | None = None
    resumed: int = 0
    measurement_hash: str = ""
    fingerprint: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    finished: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    kept: Sequence[str] = ()

    @property
    def oracle(self) -> Point | None:
        """The best point of the curve: what someone who knows the truth would have picked."""
        finite = [point for point in self.curve if math.isfinite(point.psnr)]
        return max(finite, key=lambda point: point.psnr, default=None)

    @property
    def end(self) -> Point | None:
        """The last point of the curve."""
        return self.curve[-1] if self.curve else None

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=True)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read `to_json`'s text.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: where it is not a whole record.
        """
        content = json.loads(text)
        if content.pop("format") > FORMAT:
            raise ResultsError("the record was written by a newer nidbench: upgrade with pip install -U nidbench")
        content["cell"] = Cell(**{**content["cell"], "case": CaseKey(**content["cell"]["case"])})
        for name in ("scores", "input_scores"):
            content[name] = {protocol: Score(**score) for protocol, score in content[name].items()}
        content["curve"] = tuple(Point(**point) for point in content["curve"])
        content["passes"] = tuple((int(n), float(value)) for n, value in content["passes"])
        content["kept"] = tuple(content.get("kept", ()))  # not in the first records
        return cls(**content)
