"""What runs on a worker: a cell's function, in the process that holds the truth and supervises the method's child.

A worker has one or more *places*, each with computing processes of its own; a place has one cell at a time. What
happens to a method there is part of the cell's result. Only a worker that dies, or cannot do its part, is the engine's
business.
"""

from __future__ import annotations

import os
import platform
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from typing import Any

from dask import config
from distributed import get_worker

from nidbench import versions
from nidbench.compute.child_process import ChildProcess
from nidbench.compute.messages import Message, Refusal, Request, Resolve
from nidbench.errors import NidbenchError
from nidbench.records import Point
from nidbench.sweep.cell import ComputedCell, ScoredCase, begin_work, compute_cell, same_work
from nidbench.sweep.runner import GRACE
from nidbench.system.signals import left_to_parent

from .cluster import ENVIRONMENT, TRIM
from .handed import Handed, Measured, Named, Software, Wanted, is_cell
from .leaving import PATIENCE, Leaving

#: Seconds between two reports of progress.
PACE = 0.5

#: Why a worker that leaves does nothing more.
_TOLD = "it was told to stop"


def software() -> Software:
    """Return what must be the same on all workers."""
    packages = {name: version(name) for name in ("nidbench", "torch", "distributed")}
    python = ".".join(platform.python_version_tuple()[:2])
    return packages | {"results of nidbench": dict(versions.CURRENT), "Python": python}


class Place:
    """A worker's place for one cell of one sweep.

    Args:
        folder: for what computing processes print.
        memory: bytes that a cell may take.
    """

    def __init__(self, folder: Path, memory: int | None) -> None:
        _keep_freed_memory()
        self.stop = threading.Event()
        self.busy = threading.Lock()
        self.computer = ChildProcess(folder / "worker.log", 1, memory, stop=self.stop)
        self._latest: tuple[object, ScoredCase] | None = None

    def case(self, handed: Measured | Named) -> ScoredCase:
        """Return a case, ready to score; the last one is kept for the next method."""
        if self._latest is None or self._latest[0] != handed.identity:
            self._latest = handed.identity, handed.scored()
        return self._latest[1]

    @contextmanager
    def taken(self) -> Iterator[ChildProcess]:
        """Lend the computing processes to one cell or question; interrupted, they save what they can, and end."""
        with self.busy:
            try:
                yield self.computer
            except KeyboardInterrupt:
                self.computer.checkpoint(GRACE)
                self.computer.close()
                raise
            finally:
                self.stop.clear()


def _keep_freed_memory() -> None:
    """Have computing processes keep what they free, as those of plain runs do.

    A nanny of somebody else's cluster has its workers give it back to the system at once, and so would processes that
    they start.
    """
    given = config.get(ENVIRONMENT, {}).get(TRIM)
    if os.environ.get(TRIM) == str(given):
        del os.environ[TRIM]


#: By the topic of their sweep and their number.
_PLACES: dict[tuple[str, int], Place] = {}


class _Stopping:
    """Who sees to the end of this worker: the coordinating process, or a plugin that has it leave in order."""

    by_parent = False
    leaving: Leaving | None = None


def _place(topic: str, number: int, memory: int | None) -> Place:
    if (topic, number) not in _PLACES:
        _PLACES[topic, number] = Place(Path(get_worker().local_directory) / f"{topic}-{number}", memory)
    return _PLACES[topic, number]


def greet(theirs: Mapping[str, object], wanted: Wanted | None) -> str:
    """Return why this worker is of no use for a sweep, in words; empty where it is.

    Args:
        theirs: software of the coordinating process.
        wanted: what the sweep needs; None to compare the software only.
    """
    if _leaves():
        return _TOLD
    ours = software()
    others = [f"{name} {ours.get(name)}, not {theirs[name]}" for name in theirs if ours.get(name) != theirs[name]]
    if others or wanted is None:
        return f"it has {'; '.join(others)}" if others else ""
    _leave_in_order()
    with _place(wanted.topic, 0, wanted.memory).taken() as computer:
        try:
            return _refusal(wanted, computer)
        except KeyboardInterrupt:
            return _TOLD


def _refusal(wanted: Wanted, computer: ChildProcess) -> str:
    computer.use_threads(wanted.threads)
    hello = computer.hello()
    if wanted.device not in hello.devices:
        return f"it has no device {wanted.device}, only {', '.join(hello.devices)}"
    if wanted.precision == "bf16" and wanted.device not in hello.bf16:
        return f"its {wanted.device} has no bf16"
    for facts in wanted.methods:
        if facts.file is not None and not facts.file.exists():
            return f"it has no file {facts.file}: put the method there, too"
        try:
            answer = computer.ask(Resolve(facts.spec, facts.preset, facts.file), lambda _: None)
        except NidbenchError as error:
            return f"{facts.spec}: {error}"
        if isinstance(answer, Refusal):
            return f"{facts.spec}: {answer.message}"
        if answer.fingerprint != facts.fingerprint:
            return f"its {facts.spec} is another one: install or copy the same code"
    return ""


def answered(topic: str, request: Request, seconds: float | None) -> tuple[Message | Exception, list[Message]]:
    """Return a computing process's answer to a request, or what was raised, and the messages before it."""
    before: list[Message] = []
    with _place(topic, 0, None).taken() as computer:
        try:
            return computer.ask(request, before.append, seconds), before
        except KeyboardInterrupt:
            return NidbenchError("the worker that was asked has been told to stop: run the same command again"), before
        except NidbenchError as error:
            return error, before


def compute(handed: Handed) -> ComputedCell | str | None:
    """Compute a cell, see `nidbench.sweep.cell.compute_cell`.

    It goes on from a checkpoint that another attempt left in the results folder, where this worker sees that, or in its
    own temporary folder.

    Returns:
        The cell; why this worker cannot compute it, in words; None where it was asked to stop.
    """
    if _leaves():
        return None
    place = _place(handed.topic, handed.place, handed.memory)
    reports = Reports(handed.topic, handed.attempt, place.stop)
    reports.begun()
    try:
        with place.taken() as computer:
            computer.use_threads(handed.request.threads)
            request = replace(handed.request, work=_work(handed))
            begin_work(request)
            computed = compute_cell(request, place.case(handed.case), computer, handed.options, reports)
    except KeyboardInterrupt:
        return None
    except NidbenchError as error:
        return str(error)
    if request.work != handed.request.work:
        rmtree(request.work, ignore_errors=True)
    return computed


def interrupt(topic: str) -> None:
    """Have the cells of a sweep that are under way on this worker save their state and end."""
    for (of, _), place in _PLACES.items():
        if of == topic and place.busy.locked():
            place.stop.set()


def close(topic: str) -> None:
    """End the computing processes of a sweep on this worker."""
    for key in [key for key in _PLACES if key[0] == topic]:
        _PLACES.pop(key).computer.close()


def dask_setup(_worker: Any) -> None:
    """Leave Ctrl-C to the coordinating process: dask calls this in a worker that has this module as its preload."""
    _Stopping.by_parent = True
    left_to_parent()


def _leaves() -> bool:
    """Return whether this worker leaves."""
    return _Stopping.leaving is not None and _Stopping.leaving.begun


def _leave_in_order() -> None:
    """Have this worker leave in order when it is told to stop, unless the coordinating process sees to its end."""
    if _Stopping.by_parent:
        return
    worker = get_worker()

    async def prepare() -> None:
        """Do so once: in the thread of the worker's loop, where nothing comes in between."""
        if _Stopping.leaving is None:
            _Stopping.leaving = Leaving(lambda: _announce(worker), _end_cells, is_cell)
            await worker.plugin_add(_Stopping.leaving, name="nidbench leaves in order")

    worker.loop.add_callback(prepare)


def _announce(worker: Any) -> None:
    """Say to all whose cells are computed here that this worker leaves."""
    for topic in {topic for topic, _ in list(_PLACES)}:
        worker.log_event(topic, {"kind": "leaving", "address": worker.address})


def _end_cells() -> None:
    """Have all cells of this worker save their state and end, and wait for that, but no longer than `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    busy = [place for place in list(_PLACES.values()) if place.busy.locked()]
    for place in busy:
        place.stop.set()
    for place in busy:
        if place.busy.acquire(timeout=max(0.0, deadline - time.monotonic())):
            place.busy.release()


def _work(handed: Handed) -> Path:
    """Return the folder of an unfinished cell: that of the results, where it is the same here, else a temporary one."""
    request = handed.request
    if same_work(request):
        return request.work
    own = Path(tempfile.gettempdir(), f"nidbench-{os.getuid()}")
    with suppress(FileExistsError):
        own.mkdir(mode=0o700)
    found = own.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        own = Path(get_worker().local_directory)  # somebody else could put a checkpoint there
    return own / handed.home / request.work.name


class Reports:
    """Sends reports on a cell to the coordinating process, by way of dask's events.

    Args:
        topic: of the events.
        attempt: names the cell and the attempt at it.
        stop: set where nobody waits for the cell any more.
    """

    def __init__(self, topic: str, attempt: str, stop: threading.Event) -> None:
        self._worker, self._topic, self._attempt, self._stop = get_worker(), topic, attempt, stop
        self._task = self._worker.get_current_task()
        self._next = 0.0

    def begun(self) -> None:
        """The cell begins: from now on it may be the one that takes its worker along."""
        self._send("begun")

    def progress(self, done: int, planned: int) -> None:
        """The cell has done a number of its planned iterations; sent now and then."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PACE
            task = self._worker.state.tasks.get(self._task)
            if task is None or task.state == "cancelled":  # the coordinating process has gone, or does without it
                self._stop.set()
            self._send("progress", done, planned)

    def observed(self, point: Point) -> None:
        """An estimate of the cell was scored."""
        self._send("observed", point.iteration, point.seconds, point.psnr, point.ssim)

    def warned(self, message: str) -> None:
        """A person should know the message."""
        self._send("warned", message)

    def _send(self, kind: str, *values: object) -> None:
        self._worker.log_event(self._topic, {"attempt": self._attempt, "kind": kind, "values": list(values)})
