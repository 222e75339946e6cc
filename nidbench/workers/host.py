"""What runs on a worker: a cell's function, in the process that holds the truth and supervises the method's child.

A worker has one or more *places*, each with computing processes of its own; a place has one cell at a time. What
happens to a method there is part of the cell's result. Only a worker that dies, or cannot do its part, is the engine's
business.
"""

from __future__ import annotations

import getpass
import platform
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distributed import get_worker

from nidbench import versions
from nidbench.compute.child_process import ChildProcess
from nidbench.compute.messages import Message, Refusal, Request, Resolve
from nidbench.errors import NidbenchError
from nidbench.records import Point
from nidbench.sweep.cell import ComputedCell, ScoredCase, begin_work, compute_cell, same_work
from nidbench.sweep.runner import GRACE
from nidbench.system.signals import left_to_parent

from .handed import Handed, Measured, Named, Software, Wanted

#: Seconds between two reports of progress.
PACE = 0.5


def software() -> Software:
    """Return what must be the same on all workers."""
    packages = {name: version(name) for name in ("nidbench", "torch", "distributed")}
    python = ".".join(platform.python_version_tuple()[:2])
    return packages | {"results of nidbench": dict(versions.CURRENT), "Python": python}


class Place:
    """A worker's place for one cell.

    Args:
        folder: for what computing processes print.
        memory: bytes that a cell may take.
    """

    def __init__(self, folder: Path, memory: int | None) -> None:
        self.stop = threading.Event()
        self.computer = ChildProcess(folder / "worker.log", 1, memory, stop=self.stop)
        self._latest: tuple[object, ScoredCase] | None = None

    def case(self, handed: Measured | Named) -> ScoredCase:
        """Return a case, ready to score; the last one is kept for the next method."""
        key = handed.problem.blurred.tobytes() if isinstance(handed, Measured) else handed
        if self._latest is None or self._latest[0] != key:
            self._latest = key, handed.scored()
        return self._latest[1]


_PLACES: dict[int, Place] = {}
_MEMORY: dict[str, int | None] = {"of a cell": None}


def _place(number: int) -> Place:
    if number not in _PLACES:
        folder = Path(get_worker().local_directory) / f"place-{number}"
        _PLACES[number] = Place(folder, _MEMORY["of a cell"])
    return _PLACES[number]


def greet(theirs: Mapping[str, object], wanted: Wanted | None) -> str:
    """Return why this worker is of no use for a sweep, in words; empty where it is.

    Args:
        theirs: software of the coordinating process.
        wanted: what the sweep needs; None to compare the software only.
    """
    ours = software()
    others = [f"{name} {ours.get(name)}, not {theirs[name]}" for name in theirs if ours.get(name) != theirs[name]]
    if others or wanted is None:
        return f"it has {'; '.join(others)}" if others else ""
    _MEMORY["of a cell"] = wanted.memory
    computer = _place(0).computer
    computer.use_threads(wanted.threads)
    hello = computer.hello()
    if wanted.device not in hello.devices:
        return f"it has no device {wanted.device}, only {', '.join(hello.devices)}"
    if wanted.precision == "bf16" and wanted.device not in hello.bf16:
        return f"its {wanted.device} has no bf16"
    for facts in wanted.methods:
        if facts.file is not None and not facts.file.exists():
            return f"it has no file {facts.file}: put the method there, too"
        answer = answered(Resolve(facts.spec, facts.preset, facts.file), None)[0]
        if isinstance(answer, Exception | Refusal):
            return f"{facts.spec}: {answer.message if isinstance(answer, Refusal) else answer}"
        if getattr(answer, "fingerprint", "") != facts.fingerprint:
            return f"its {facts.spec} is another one: install or copy the same code"
    return ""


def answered(request: Request, seconds: float | None) -> tuple[Message | Exception, list[Message]]:
    """Return a computing process's answer to a request, or what was raised, and the messages before it."""
    before: list[Message] = []
    try:
        return _place(0).computer.ask(request, before.append, seconds), before
    except NidbenchError as error:
        return error, before


def compute(handed: Handed) -> ComputedCell | None:
    """Compute a cell, see `nidbench.sweep.cell.compute_cell`; None where it was asked to stop.

    It goes on from a checkpoint that another attempt left in the results folder, where this worker sees that, or in its
    own temporary folder.
    """
    place, reports = _place(handed.place), Reports(handed.topic, handed.attempt)
    place.stop.clear()
    place.computer.use_threads(handed.request.threads)
    request = replace(handed.request, work=_work(handed))
    begin_work(request)
    try:
        return compute_cell(request, place.case(handed.case), place.computer, handed.options, reports)
    except KeyboardInterrupt:
        place.computer.checkpoint(GRACE)
        place.computer.close()
        return None


def interrupt() -> None:
    """Have all cells of this worker save their state and end."""
    for place in _PLACES.values():
        place.stop.set()


def close() -> None:
    """End the computing processes of this worker."""
    for place in _PLACES.values():
        place.computer.close()
    _PLACES.clear()


def dask_setup(_worker: Any) -> None:
    """Leave Ctrl-C to the coordinating process: dask calls this in a worker that has this module as its preload."""
    left_to_parent()


def _work(handed: Handed) -> Path:
    """Return the folder of an unfinished cell: that of the results, where it is the same here, else a temporary one."""
    request = handed.request
    if same_work(request):
        return request.work
    return Path(tempfile.gettempdir(), f"nidbench-{getpass.getuser()}", "work", request.work.name)


class Reports:
    """Sends reports on a cell to the coordinating process, by way of dask's events."""

    def __init__(self, topic: str, attempt: str) -> None:
        self._worker, self._topic, self._attempt = get_worker(), topic, attempt
        self._next = 0.0

    def progress(self, done: int, planned: int) -> None:
        """The cell has done a number of its planned iterations; sent now and then."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PACE
            self._send("progress", done, planned)

    def observed(self, point: Point) -> None:
        """An estimate of the cell was scored."""
        self._send("observed", point.iteration, point.seconds, point.psnr, point.ssim)

    def warned(self, message: str) -> None:
        """A person should know the message."""
        self._send("warned", message)

    def _send(self, kind: str, *values: object) -> None:
        self._worker.log_event(self._topic, {"attempt": self._attempt, "kind": kind, "values": list(values)})
