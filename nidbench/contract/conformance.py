"""What every method must do, checked on small images at the settings it is given; `smoke` settings keep it to seconds.

Each check is a function of a `Probe`, named by what it states. It returns a note (usually empty) or raises `Violation`.
No truth is shown to a method, and none of this says whether it restores well.
"""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from nidbench.physics.arrays import Image
from nidbench.physics.measure import measure
from nidbench.physics.problem import Problem
from nidbench.system import processes

from .global_state import TORCH_COMPILER, GlobalState, seed_generators
from .method import BatchMethod, Method
from .restored import Restored, check_restored
from .run import KEEPS, Clock, Run

FRAME = (64, 48)  #: (H, W) of every image
LOW, HIGH = -1.0, 2.0  #: a restoration of an image in [0, 1] stays between these
TOLERANCE = 1e-4  #: between side by side and alone, float32, a few iterations
DEVICE_TOLERANCE = 1e-2  #: between any two runs on other devices than the CPU, which may add in any order
INTERRUPTED_AT = 2  #: the save at which a run is cut off


class Violation(Exception):  # noqa: N818 - not an error of ours
    """A method does not do what the contract says; the message tells what was seen."""


class Interrupted(BaseException):
    """Cuts a run off, past every `except Exception`, as a signal would."""


@dataclass(frozen=True)
class Subject:
    """A problem and the method seed that goes with it: another for each, so that seeds mixed up show."""

    name: str
    problem: Problem
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of x."""
        return self.problem.blurred.shape[0], *self.problem.frame


def subjects() -> dict[str, Subject]:
    """Return the problems that checks use: gray and colour; odd, even and non-square kernels; one frame."""
    kernels = {
        "gray, 7x7": (1, np.eye(7) + np.eye(7, k=1) / 2),
        "gray, 3x6": (1, np.outer([1.0, 2, 1], [1.0, 1, 2, 3, 2, 1])),
        "colour, 4x4": (3, np.tri(4)),
    }
    made = {}
    for seed, (name, (channels, kernel)) in enumerate(kernels.items()):
        problem = measure(sharp_image(channels), kernel, "gaussian:0.02", key=f"conformance {name}")
        made[name] = Subject(name, problem, seed)
    return made


def sharp_image(channels: int) -> Image:
    """Return a picture by formula, edges, ramps and texture, Shape (channels, 64, 48), in [0.1, 0.9]."""
    height, width = FRAME
    row, column = np.mgrid[:height, :width].astype(np.float64)
    ramp = column / width
    disc = (row - 24) ** 2 + (column - 20) ** 2 < 150
    waves = np.sin(row / 3) * np.sin(column / 2)
    planes = [0.5 + 0.2 * (disc - 0.5) + 0.1 * waves + 0.2 * (ramp - 0.5) * (1 - c) for c in range(channels)]
    return np.stack(planes).clip(0.1, 0.9)


class Probe:
    """A method under test, with the restorations that several checks share.

    Args:
        method: with cheap settings.
        device: torch device name.
    """

    def __init__(self, method: Method, device: str = "cpu") -> None:
        self.method, self.device = method, device
        self.subjects = subjects()
        self.left: dict[str, None] = {}  #: what a restoration left behind
        self.modified: set[str] = set()  #: arrays of a problem that a restoration wrote to

    def run(self, subject: Subject) -> Run:
        """Return a run without clock or checkpoint."""
        return Run(subject.seed, device=self.device, shape=subject.shape)

    def fresh(self) -> Method:
        """Return a copy of the method as it was given."""
        return copy.deepcopy(self.method)

    def restore(self, subject: Subject, run: Run | None = None, method: Method | None = None) -> Restored:
        """Return a restoration that keeps the contract, by a fresh copy unless one is given.

        The global generators are seeded before it as they are before a cell.
        """
        own = run or self.run(subject)
        with _Watch(self, [subject.problem]):
            seed_generators(own.seed("global"))
            restored = (method or self.fresh()).restore(subject.problem, own)
        return _contract(restored, subject)

    def restore_many(self, subjects: Sequence[Subject]) -> list[Restored | Exception]:
        """Return the outcomes of a batch method, side by side."""
        method = self.fresh()
        if not isinstance(method, BatchMethod):
            raise TypeError(f"{type(method).__name__} has no restore_many")
        with _Watch(self, [subject.problem for subject in subjects]):
            seed_generators(self.run(subjects[0]).seed("global"))
            return method.restore_many([s.problem for s in subjects], [self.run(s) for s in subjects])

    @cached_property
    def alone(self) -> Restored:
        """The first subject restored by itself, before anything else was, in a folder where nothing is."""
        with _in_empty_folder() as folder:
            restored = self.restore(self.first)
            files = [path.name for path in folder.iterdir() if not path.name.upper().startswith(TORCH_COMPILER)]
            self.left |= {f"the file {name}": None for name in files}
        return restored

    @property
    def first(self) -> Subject:
        """The subject that most checks restore."""
        return next(iter(self.subjects.values()))

    @cached_property
    def in_turn(self) -> dict[str, Restored]:
        """All subjects restored by one instance, the first subject last."""
        _ = self.alone
        method = self.fresh()
        return {name: self.restore(subject, method=method) for name, subject in reversed(self.subjects.items())}

    def require_same(self, one: Restored, other: Restored, claim: str) -> None:
        """Refuse two restorations that differ: in any byte on the CPU, by more than a tolerance elsewhere."""
        if self.device == "cpu":
            same = one.image.tobytes() == other.image.tobytes()
            variances = [b"" if r.variance is None else r.variance.tobytes() for r in (one, other)]
            _require(variances[0] == variances[1], f"{claim}: variances differ")
        else:
            same = _gap(one, other) <= DEVICE_TOLERANCE
        _require(same, f"{claim}: images differ by up to {_gap(one, other):.3g}")
        counts = one.iterations, other.iterations
        _require(counts[0] == counts[1], f"{claim}: {counts[0]} and {counts[1]} iterations")


class _Watch:
    """Notes what a restoration leaves behind in this process, and which arrays of problems it writes to."""

    def __init__(self, probe: Probe, problems: Sequence[Problem]) -> None:
        self.probe, self.problems = probe, problems

    def __enter__(self) -> None:
        self.state, self.arrays = GlobalState.now(), _arrays(self.problems)
        self.processes = processes.children(os.getpid())

    def __exit__(self, *_: object) -> None:
        running = set(processes.children(os.getpid())) - set(self.processes)
        self.probe.left |= dict.fromkeys([*self.state.changes(), *map(processes.command, running)])
        for before, now in zip(self.arrays, _arrays(self.problems), strict=True):
            self.probe.modified |= {name for name, content in before.items() if now[name] != content}


@contextlib.contextmanager
def _in_empty_folder() -> Iterator[Path]:
    """Have the working directory, which is also that of temporary files, in a folder that is there meanwhile."""
    temporary = tempfile.tempdir
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        tempfile.tempdir = name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = temporary


def _arrays(problems: Sequence[Problem]) -> list[dict[str, bytes]]:
    return [{"blurred": p.blurred.tobytes(), "kernel": p.kernel.tobytes()} for p in problems]


def _contract(restored: Restored, subject: Subject) -> Restored:
    try:
        return check_restored(restored, subject.problem)
    except Exception as error:
        raise Violation(f"{subject.name}: {error}") from error


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise Violation(message)


def _gap(one: Restored, other: Restored) -> float:
    gap: NDArray[np.float64] = np.abs(one.image.astype(np.float64) - other.image)
    return float(gap.max())


def shape_dtype_and_range(probe: Probe) -> str:
    """Gray and colour, odd, even and non-square kernels: finite floats in the frame of x, around [0, 1]."""
    _require(probe.alone.image.size > 0, "the image is empty")
    for name, restored in probe.in_turn.items():
        low, high = restored.image.min(), restored.image.max()
        span = f"{name}: values span [{low:.4g}, {high:.4g}]"
        _require(bool(low >= LOW and high <= HIGH), f"{span}; x is nominally in [0, 1], at most in [{LOW:g}, {HIGH:g}]")
        smallest = 0.0 if restored.variance is None else float(restored.variance.min())
        _require(smallest >= 0, f"{name}: the variance goes down to {smallest:.3g}; it cannot be negative")
    return ""


def same_seed_same_bytes(probe: Probe) -> str:
    """Twice the same problem and seed give the same bytes on the CPU."""
    probe.require_same(probe.restore(probe.first), probe.alone, "two runs with the same seed")
    return ""


def no_state_between_images(probe: Probe) -> str:
    """One instance restores A, then B: as B alone."""
    probe.require_same(probe.in_turn[probe.first.name], probe.alone, "after other images and alone")
    return ""


def observing_changes_nothing(probe: Probe) -> str:
    """With an observer at every third iteration, keeping all there is, and without: the same bytes."""
    seen: list[Image] = []
    samples: list[Image] = []
    run = Run(
        probe.first.seed,
        device=probe.device,
        clock=Clock(3, 10**9),
        on_observe=lambda _iteration, _seconds, image: seen.append(image),
        on_sample=samples.append,
        keep=KEEPS,
        on_keep=lambda _name, _array: None,
        shape=probe.first.shape,
    )
    restored = probe.restore(probe.first, run)
    for image in (*seen, *samples):
        _require(bool(np.isfinite(image).all()), "an image was shown that is not finite")
    probe.require_same(restored, probe.alone, "observed and not")
    return "" if seen else "shows no estimates on the way"


def nothing_left_behind(probe: Probe) -> str:
    """Global state is as it was, no thread and no process runs on, no file stays."""
    _ = probe.in_turn
    left = ", ".join(probe.left)
    _require(
        not left,
        f"it left behind: {left}; put back what it changes, end what it starts, keep files in memory, and "
        "import at the top of the file what changes the process at its import",
    )
    return ""


def problem_untouched(probe: Probe) -> str:
    """The arrays of the problem hold what they held."""
    _ = probe.in_turn
    written = ", ".join(sorted(probe.modified))
    _require(not written, f"the problem's {written} changed: work on a copy")
    return ""


class _CutOff(Run):
    """A run that saves at every iteration and is interrupted right after one save; or, without a last, never saves."""

    def __init__(self, seed: int, device: str, path: Path, last: int | None = None) -> None:
        super().__init__(seed, device=device, checkpoint=path, checkpoint_seconds=0 if last else float("inf"))
        self.last, self.saves, self.loaded = last, 0, False

    def save(self, state: bytes) -> None:
        super().save(state)
        self.saves += 1
        if self.saves == self.last:
            raise Interrupted

    def load(self) -> bytes | None:
        state = super().load()
        self.loaded |= state is not None
        return state


def resumed_equals_uninterrupted(probe: Probe) -> str:
    """Cut off after a checkpoint, then run again: the same bytes as in one go, on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        cut = _CutOff(probe.first.seed, probe.device, path, INTERRUPTED_AT)
        try:
            whole = probe.restore(probe.first, cut)
        except Interrupted:
            resumed = _CutOff(probe.first.seed, probe.device, path)
            restored = probe.restore(probe.first, resumed)
            _require(resumed.loaded, "it saves checkpoints but does not load the one that is there")
            probe.require_same(restored, probe.alone, "resumed and uninterrupted")
            return ""
        probe.require_same(whole, probe.alone, "with checkpoints and without")
        _require(cut.saves == 0, f"it saved {cut.saves} times, less than {INTERRUPTED_AT}: give more iterations")
        return "does not checkpoint"


def side_by_side_equals_alone(probe: Probe) -> str:
    """Fitted together, with another kernel size and a hopeless problem beside them: as alone, within 1e-4."""
    if not isinstance(probe.method, BatchMethod):
        return "fits one problem at a time"
    gray = [subject for subject in probe.subjects.values() if subject.problem.blurred.shape[0] == 1]
    expected = [probe.alone, *(probe.in_turn[subject.name] for subject in gray[1:])]
    together = [gray[0], _hopeless(gray[0]), *gray[1:]]
    outcomes = probe.restore_many(together)
    counts = f"restore_many returned {len(outcomes)} outcomes for {len(together)} problems"
    _require(len(outcomes) == len(together), counts)
    del outcomes[1]
    for subject, outcome, alone in zip(gray, outcomes, expected, strict=True):
        if isinstance(outcome, Exception):
            raise Violation(f"{subject.name}: beside others {type(outcome).__name__}: {outcome}") from outcome
        gap, allowed = (
            _gap(_contract(outcome, subject), alone),
            TOLERANCE if probe.device == "cpu" else DEVICE_TOLERANCE,
        )
        _require(gap <= allowed, f"{subject.name}: side by side and alone differ by {gap:.3g}, allowed is {allowed:g}")
    return ""


def _hopeless(subject: Subject) -> Subject:
    """Return a problem of the same shape whose squares overflow."""
    problem = subject.problem
    blurred = np.full_like(problem.blurred, 1e30)
    return Subject("hopeless", Problem(blurred, problem.kernel, problem.noise), seed=99)


Check: TypeAlias = Callable[[Probe], str]


def checks() -> tuple[Check, ...]:
    """Return all checks, in the order that lets them share the most restorations."""
    return (
        shape_dtype_and_range,
        same_seed_same_bytes,
        no_state_between_images,
        observing_changes_nothing,
        resumed_equals_uninterrupted,
        side_by_side_equals_alone,
        nothing_left_behind,
        problem_untouched,
    )


def check(method: Method, *, device: str = "cpu", only: Sequence[Check] | None = None) -> list[Finding]:
    """Return what the checks find in a method.

    Args:
        method: an instance with cheap settings, such as its preset `smoke`: it is run about a dozen times.
        device: torch device name; on the CPU "the same" means the same bytes, elsewhere within a tolerance.
        only: some of `checks()`; None for all.
    """
    probe = Probe(method, device)
    return [find(each, probe) for each in (checks() if only is None else only)]


def title(check: Check) -> str:
    """Return what a check states."""
    return getattr(check, "__name__", "check").replace("_", " ")


def find(check: Check, probe: Probe) -> Finding:
    """Return what one check finds."""
    start = time.perf_counter()
    passed, message = False, ""
    try:
        message = check(probe)
        passed = True
    except Violation as violation:
        message = str(violation)
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - whatever a method raises is a finding
        message = f"it raised {type(error).__name__}: {error}"
    return Finding(title(check), passed, message, time.perf_counter() - start)


class Finding(msgspec.Struct, frozen=True, tag=True):
    """What one conformance check found.

    Attributes:
        name: what it states.
        passed: whether that holds.
        message: what was seen instead, or a note such as `does not checkpoint`.
        seconds: wall time it took.
    """

    name: str
    passed: bool
    message: str
    seconds: float
