"""Fits that take long: each finished one is a line of a file, so that a kill loses only those under way."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from nidbench import versions
from nidbench.compute.child.convolution import bf16_ratios
from nidbench.compute.child.worker import Worker
from nidbench.contract import Clock, Image, Method, Problem, Restored, Run, Truth
from nidbench.contract.global_state import generators_kept
from nidbench.records import Point
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import MethodSpec, all_settings, resolve
from nidbench.scoring.protocols import DEFAULT
from nidbench.sweep.choices import CLEARLY_FASTER
from nidbench.system.processes import end_with_parent

FOLDER = Path("results/benchmarks")

Job: TypeAlias = dict[str, Any]
"""All that decides what a fit comes to, JSON-able: a line of the file counts where its job is the one asked for."""

Found: TypeAlias = dict[str, Any]
"""What a fit came to, JSON-able."""


def key(job: Mapping[str, Any]) -> str:
    """Return a job as one text, whatever the order of its parts."""
    return json.dumps(job, sort_keys=True)


def kept(path: Path) -> dict[str, Found]:
    """Return what the file has, by key of the job; a line that a kill cut off is passed over."""
    found: dict[str, Found] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[key(entry.pop("job"))] = entry
    return found


def keep(path: Path, job: Job, found: Found) -> None:
    """Append what a fit came to, on a line of its own, also behind one that a kill cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 1))
        broken = end > 0 and file.read(1) != b"\n"
        file.write((b"\n" if broken else b"") + json.dumps({"job": job} | found).encode() + b"\n")


def fitted(
    path: Path,
    jobs: Sequence[Job],
    compute: Callable[[Job], Found],
    tell: Callable[[Job, Found], str],
    processes: int = 1,
) -> list[Found]:
    """Return what every job comes to, in their order, computing those that the file lacks.

    Several processes may append to one file, if their jobs are others.

    Args:
        path: of the file.
        jobs: in the order of computation.
        compute: a function of a module, as other processes call it, too; it sets the threads itself.
        tell: makes the line that is printed of a finished one.
        processes: how many jobs at once; with one they are computed here.
    """
    found = kept(path)
    lacking = [job for job in jobs if key(job) not in found]
    start = time.perf_counter()
    for number, (job, result) in enumerate(_computed(lacking, compute, processes), 1):
        keep(path, job, result)
        found[key(job)] = result
        left = (time.perf_counter() - start) / number * (len(lacking) - number)
        say(tell(job, result) + (f" (about {left / 60:.0f} min left for {len(lacking) - number})" if left else ""))
    return [found[key(job)] for job in jobs]


def _computed(jobs: Sequence[Job], compute: Callable[[Job], Found], processes: int) -> Iterator[tuple[Job, Found]]:
    """Yield jobs with what they come to, as they finish."""
    if processes == 1:
        yield from ((job, compute(job)) for job in jobs)
        return
    with _pool(processes) as pool:
        pending = {pool.submit(compute, job): job for job in jobs}
        for future in as_completed(pending):
            yield pending[future], future.result()


def _pool(processes: int) -> ProcessPoolExecutor:
    """Return processes that end with this one, even where it is killed."""
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_parent)


def act_on_each(action: Callable[[Any], None], items: Sequence[Any], processes: int) -> None:
    """Act on every item, so many at once; `action` keeps what it computes."""
    if processes == 1:
        for item in items:
            action(item)
        return
    with _pool(processes) as pool:
        for future in as_completed([pool.submit(action, item) for item in items]):
            future.result()


def with_settings(spec: str, **settings: object) -> str:
    """Return a method's specification with further settings, which take the place of those of the same names."""
    parsed = MethodSpec.parse(spec)
    return str(replace(parsed, settings={**parsed.settings, **{name: str(value) for name, value in settings.items()}}))


def method_of(spec: str) -> Method:
    """Return the method of a specification such as `ours@fast[lr=1e-3]`."""
    parsed = MethodSpec.parse(spec)
    return resolve(parsed, load_method(methods(), parsed.name), None).method


def middle(x: Image, side: int) -> NDArray[Any]:
    """Return the middle of an image, Shape (C, H, W), as Shape (C, side, side)."""
    top, left = ((size - side) // 2 for size in x.shape[1:])
    return np.asarray(x)[:, top : top + side, left : left + side]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Reached(BaseException):
    """Ends a run where it was to be watched to; a BaseException, so that no `except Exception` catches it."""


class Watched(Run):
    """A run whose estimates are scored on the way, observing not counted, until a PSNR or a time is reached.

    Args:
        problem, truth: of the case.
        seed, precision: see `Run`.
        enough: the PSNR in dB at which the run ends.
        seconds: the CPU seconds after which it ends.
        clock: see `Run`.

    Attributes:
        curve: the estimates so far; seconds are those of the CPU.
    """

    def __init__(
        self,
        problem: Problem,
        truth: Truth,
        *,
        seed: int = 0,
        precision: str = "float32",
        enough: float = math.inf,
        seconds: float = math.inf,
        clock: Clock = Clock(),  # noqa: B008 - it is frozen
    ) -> None:
        super().__init__(seed, precision=precision, clock=clock, on_observe=lambda *_: None)
        self.watch = Watch(problem, truth, enough, seconds)

    @property
    def curve(self) -> list[Point]:
        return self.watch.curve

    def observe(self, iteration: int, estimate: Callable[[], Image]) -> None:
        """Score the estimate after an iteration.

        Raises:
            Reached: where that is enough.
        """
        with generators_kept():
            self.watch.show(iteration, estimate)


class Watch:
    """The curve of a fit in CPU seconds, of which scoring is no part; see `Watched` for its arguments."""

    def __init__(self, problem: Problem, truth: Truth, enough: float = math.inf, seconds: float = math.inf) -> None:
        self.problem, self.truth, self.enough, self.most = problem, truth, enough, seconds
        self.curve: list[Point] = []
        self._started = time.process_time()

    @property
    def seconds(self) -> float:
        """CPU seconds so far."""
        return time.process_time() - self._started

    def show(self, iteration: int, estimate: Callable[[], Image]) -> None:
        """Score an estimate.

        Raises:
            Reached: where the PSNR or the time is reached.
        """
        seconds = self.seconds
        score = DEFAULT.score(estimate(), self.problem, self.truth)
        self.curve.append(Point(iteration, seconds, score.psnr, score.ssim))
        self._started = time.process_time() - seconds
        if score.psnr >= self.enough or seconds >= self.most:
            raise Reached


def points(curve: Sequence[Point]) -> list[list[float]]:
    """Return a curve as lists for a file."""
    return [[each.iteration, round(each.seconds, 3), round(each.psnr, 4), round(each.ssim, 4)] for each in curve]


def curve_of(lists: Sequence[Sequence[float]]) -> list[Point]:
    """Return the curve that `points` made lists of."""
    return [Point(int(iteration), *rest) for iteration, *rest in lists]


def restored_by(spec: str, problem: Problem, truth: Truth, seed: int, precision: str) -> tuple[Restored, Found]:
    """Return a restoration on one thread of the CPU, and what is to be kept of every fit."""
    method, run = method_of(spec), Run(seed, precision=precision)
    with one_thread():
        start = time.process_time()
        restored = method.restore(problem, run)
        seconds = time.process_time() - start
    score = DEFAULT.score(restored.image, problem, truth)
    return restored, {
        "psnr": score.psnr,
        "ssim": score.ssim,
        "cpu_seconds": seconds,
        "iterations": restored.iterations,
        "stopped": restored.stopped,
        "settings": all_settings(method),
        "versions": versions_of(method),
    }


def versions_of(method: Method) -> Found:
    """Return the versions of the program that a fit depends on."""
    return {"method": method.info.version, "torch": torch.__version__, **versions.CURRENT}


def faster_precision() -> str:
    """Return the precision that a sweep on one thread of this CPU would choose by `auto`."""
    if "cpu" not in Worker().hello().bf16:
        return "float32"
    with one_thread():
        ratio = statistics.median(bf16_ratios("cpu", 1))
    say(f"a convolution in bf16 takes {ratio:.2f} of its time in float32")
    return "bf16" if ratio <= CLEARLY_FASTER else "float32"


def chosen_precision(asked: str | None, path: Path) -> str:
    """Return the precision asked for, else that of the fits in a file, else the faster one."""
    before = {json.loads(job)["precision"] for job in kept(path)}
    if asked is None and len(before) > 1:
        raise SystemExit(f"{path} has fits in {' and '.join(sorted(before))}: say --precision")
    return asked or (before.pop() if before else faster_precision())


def say_versions(found: Mapping[str, Found]) -> None:
    """Say so where fits are of several versions of the program, or of one specification with several settings.

    Args:
        found: by key of the job.
    """
    several = sorted({key(each["versions"]) for each in found.values()})
    if len(several) > 1:
        say(f"the fits are of {len(several)} versions: {'; '.join(several)}")
    settings: dict[str, set[str]] = {}
    for name, each in found.items():
        settings.setdefault(json.loads(name)["spec"], set()).add(key(each.get("settings", {})))
    for spec in (spec for spec, ways in settings.items() if len(ways) > 1):
        say(f"the fits by {spec} are of several settings, as its preset changed: compute them again")


def arguments(
    description: str, name: str, *more: tuple[str, dict[str, Any]], words: Sequence[str] | None = None
) -> Any:
    """Return the options of a program: `--processes`, `--file`, `--quick`, `--report`, and more."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=1, help="fits at once, each on one thread (1)")
    parser.add_argument("--file", type=Path, help=f"where fits are kept ({FOLDER / name}.jsonl)")
    parser.add_argument("--quick", action="store_true", help="a few iterations of a few fits, to see that it runs")
    parser.add_argument("--report", action="store_true", help="compute nothing: print what the file has")
    for option, how in more:
        parser.add_argument(option, **how)
    given = parser.parse_args(words)
    if given.processes < 1:
        parser.error(f"--processes {given.processes}: give 1 or more")
    given.file = given.file or FOLDER / f"{name}{'-quick' if given.quick else ''}.jsonl"
    return given


def say(line: str) -> None:
    """Print a line at once: these take long."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
