"""The computing process: methods run here, one task after the other, and never see a truth.

Started by `nidbench.supervise` with two connections: one for messages, and a control line by which the parent asks for
checkpoints and whose end says that the parent is gone.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from . import fetch, registry, versions
from .contract import BatchMethod, Method, NeedsFiles, Run, check_restored
from .errors import NidbenchError, UnstableError
from .fingerprint import fingerprint
from .messages import (
    CHECKPOINT,
    SAVED,
    Draw,
    Hello,
    Kept,
    MethodFacts,
    Observation,
    Outcome,
    Progress,
    Refusal,
    Resolve,
    Task,
)
from .signals import left_to_parent
from .specs import MethodSpec, Resolved, all_settings, resolve

Send = Callable[[Any], None]


class PilotOver(BaseException):
    """Ends a pilot from inside the method, at a report of progress; a BaseException so that no method catches it."""


class Worker:
    """Answers requests.

    Args:
        send: takes what is said on the way to an answer.
        saved: called after a checkpoint that the parent asked for.
    """

    def __init__(self, send: Send, saved: Callable[[], None] = lambda: None) -> None:
        self._send = send
        self._saved = saved
        self._run: Run | None = None

    def hello(self) -> Hello:
        """Return what there is to compute with."""
        cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        native = [name for name in cuda if torch.cuda.get_device_capability(name) >= (8, 0)]
        if torch.cpu._is_avx512_bf16_supported():
            native.append("cpu")
        return Hello([*cuda, "cpu"], native, environment(), os.getpid())

    def answer(self, request: Resolve | Task) -> MethodFacts | Outcome | Refusal:
        """Return the answer to a request; errors become part of it."""
        try:
            if isinstance(request, Resolve):
                return self._facts(request)
            return self._outcome(request)
        except NidbenchError as error:
            return Refusal(str(error))

    def request_checkpoint(self) -> None:
        """Have the task in progress save its state at its next opportunity."""
        if self._run is not None:
            self._run.request_checkpoint(self._saved)
        else:
            self._saved()  # there is nothing to wait for

    def _facts(self, request: Resolve) -> MethodFacts:
        found = _resolve(request.spec, request.preset, request.file)
        target = registry.methods(request.file).target(request.spec.name)
        method = found.method
        if isinstance(method, NeedsFiles):  # a lack of them ends the run here, before its first cell
            fetch.fetch(method.files())
        batch = isinstance(method, BatchMethod)
        return MethodFacts(
            request.spec,
            request.file,
            found.preset,
            found.note,
            method.info.version,
            all_settings(method),
            fingerprint(target),
            batch,
        )

    def _outcome(self, task: Task) -> Outcome:
        torch.set_num_threads(task.threads)
        method = _resolve(task.spec, task.preset, task.file).method
        watch = _Watch(self._send, task)
        resumed = task.checkpoint is not None and task.checkpoint.exists()
        run = self._run = Run(
            task.seed,
            device=task.device,
            precision=task.precision,
            clock=task.clock,
            checkpoint=task.checkpoint,
            checkpoint_seconds=task.checkpoint_seconds,
            on_observe=watch.observe if task.pilot_seconds is None else None,
            on_sample=watch.sample if task.pilot_seconds is None else None,
            on_progress=watch.progress,
            keep=task.keep,
            on_keep=watch.keep if task.keep and task.pilot_seconds is None else None,
        )
        versions.begin()
        reset_peak_memory(task.device)
        try:
            outcome = self._restore(method, task, run, watch)
        finally:
            self._run = None
            run.end()
        return replace(outcome, peak_memory=peak_memory(task.device), resumed=resumed, versions=versions.used())

    @staticmethod
    def _restore(method: Any, task: Task, run: Run, watch: _Watch) -> Outcome:
        try:
            restored = check_restored(method.restore(task.problem, run), task.problem)
        except PilotOver:
            seconds, iterations = watch.pace()
            return Outcome("pilot", seconds=seconds, iterations=iterations, planned=watch.planned)
        except UnstableError:
            return Outcome("unstable", seconds=run.elapsed, iterations=watch.done, error=traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - whatever a method raises is a result, not a crash of the sweep
            status = "out-of-memory" if is_out_of_memory(error) else "failed"
            return Outcome(status, seconds=run.elapsed, iterations=watch.done, error=traceback.format_exc())
        return Outcome(
            "done",
            restored.image,
            restored.variance,
            seconds=run.elapsed,
            iterations=restored.iterations,
            stopped=restored.stopped,
            details={**restored.details, **({"trouble": run.trouble} if run.trouble else {})},
        )


class _Watch:
    """Passes on what a method tells on the way."""

    def __init__(self, send: Send, task: Task) -> None:
        self._send = send
        self._pilot_seconds = task.pilot_seconds
        self._first: tuple[float, int] | None = None
        self.done = 0
        self.planned: int | None = None

    def observe(self, iteration: int, seconds: float, image: Any) -> None:
        self._send(Observation(iteration, seconds, image))

    def sample(self, image: Any) -> None:
        self._send(Draw(image))

    def keep(self, name: str, array: Any) -> None:
        self._send(Kept(name, array))

    def progress(self, done: int, planned: int) -> None:
        self.done, self.planned = done, planned
        self._first = self._first or (time.monotonic(), done)
        seconds, iterations = self.pace()
        if self._pilot_seconds is not None and iterations and seconds > self._pilot_seconds and done < planned:
            raise PilotOver
        self._send(Progress(done, planned))

    def pace(self) -> tuple[float, int]:
        """Return seconds and iterations since the first report: what comes before it is not repeated."""
        start, done = self._first or (time.monotonic(), self.done)
        return time.monotonic() - start, self.done - done


def _resolve(spec: MethodSpec, preset: str | None, file: Path | None) -> Resolved:
    own = file if file is not None and file.stem == spec.name else None
    return resolve(spec, _method(spec.name, own), preset)


@cache
def _method(name: str, file: Path | None) -> type[Method]:
    return registry.load_method(registry.methods(file), name)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory ran out; PyTorch's CPU allocator has no type of its own for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def reset_peak_memory(device: str) -> None:
    """Begin a new measurement of the peak, where the system allows."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # not Linux: the peak is that of the process's life


def peak_memory(device: str) -> int:
    """Return the peak since the last reset: resident bytes of this process, or allocated bytes of a CUDA device."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def environment() -> dict[str, str]:
    """Return the versions and the machine that a record keeps."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in ("nidbench", "torch", "numpy", "scipy", "scikit-image"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    found["cpu"] = _cpu_name()
    found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = str(torch.version.cuda)
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def main() -> None:
    """Serve the parent that started this process with two inherited connections, until it hangs up."""
    left_to_parent()
    messages, control = (Connection(int(handle)) for handle in sys.argv[1:3])
    worker = Worker(messages.send, lambda: control.send_bytes(SAVED))

    def listen() -> None:
        try:
            while control.recv_bytes() == CHECKPOINT:
                worker.request_checkpoint()
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone: what is unfinished resumes from its checkpoint

    threading.Thread(target=listen, daemon=True).start()
    try:
        messages.send(worker.hello())
        while (request := messages.recv()) is not None:
            messages.send(worker.answer(request))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
