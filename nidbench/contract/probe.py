"""A method under test, and the problems that the conformance checks restore with it.

No truth is shown to a method, and none of the checks says whether it restores well.
"""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nidbench.physics.arrays import Image
from nidbench.physics.measure import measure
from nidbench.physics.problem import Problem
from nidbench.system import processes

from .global_state import TORCH_COMPILER, GlobalState, seed_generators
from .method import BatchMethod, Method
from .restored import Restored, check_restored
from .run import Run

FRAME = (64, 48)  #: (H, W) of every image
DEVICE_TOLERANCE = 1e-2  #: between any two runs on devices other than the CPU, which may add in any order


class Violation(Exception):  # noqa: N818 - not an error of ours
    """A method breaks a rule of the contract; the message says what was seen."""


class CutOffError(BaseException):
    """Cuts a run off; no `except Exception` of a method catches it, as none catches a signal."""


@dataclass(frozen=True)
class Subject:
    """A problem and the method seed for it; every subject has another seed, so that mixed-up seeds are noticed."""

    name: str
    problem: Problem
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of x."""
        return self.problem.shape


def subjects() -> dict[str, Subject]:
    """Return the problems that checks use: gray and colour; odd, even and non-square kernels; all of one size."""
    kernels = {
        "gray, 7x7": (1, np.eye(7) + np.eye(7, k=1) / 2),
        "gray, 3x6": (1, np.outer([1.0, 2, 1], [1.0, 1, 2, 3, 2, 1])),
        "colour, 4x4": (3, np.tri(4)),
    }
    named = {}
    for seed, (name, (channels, kernel)) in enumerate(kernels.items()):
        problem = measure(sharp_image(channels), kernel, "gaussian:0.02", key=f"conformance {name}")
        named[name] = Subject(name, problem, seed)
    return named


def sharp_image(channels: int) -> Image:
    """Return a computed picture with edges, ramps and texture, Shape (channels, 64, 48), in [0.1, 0.9]."""
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
        self.left_behind: dict[str, None] = {}  #: threads, files and other state that a restoration left in the process
        self.modified: set[str] = set()  #: names of the problem's arrays that a restoration wrote to

    def run(self, subject: Subject) -> Run:
        """Return a run without clock or checkpoint."""
        return Run(subject.seed, device=self.device, shape=subject.shape)

    def fresh(self) -> Method:
        """Return a copy of the method as it was before any restoration."""
        return copy.deepcopy(self.method)

    def restore(self, subject: Subject, run: Run | None = None, method: Method | None = None) -> Restored:
        """Return a restoration that keeps the contract, by a fresh copy unless one is given.

        The global generators are seeded before it, as they are before a cell.
        """
        run = run or self.run(subject)
        with _SideEffects(self, [subject.problem]):
            seed_generators(run.seed("global"))
            restored = (method or self.fresh()).restore(self.method.info.given(subject.problem), run)
        return conforming(restored, subject)

    def restore_many(self, subjects: Sequence[Subject]) -> list[Restored | Exception]:
        """Return the outcomes of a batch method that restores subjects side by side.

        Raises:
            TypeError: where the method is no `BatchMethod`.
        """
        method = self.fresh()
        if not isinstance(method, BatchMethod):
            raise TypeError(f"{type(method).__name__} has no restore_many")
        with _SideEffects(self, [subject.problem for subject in subjects]):
            seed_generators(self.run(subjects[0]).seed("global"))
            problems = [method.info.given(subject.problem) for subject in subjects]
            return method.restore_many(problems, [self.run(subject) for subject in subjects])

    @cached_property
    def alone(self) -> Restored:
        """The first subject restored by itself, before any other, in an empty working directory."""
        with _in_empty_folder() as folder:
            restored = self.restore(self.first)
            files = [path.name for path in folder.iterdir() if not path.name.upper().startswith(TORCH_COMPILER)]
            self.left_behind |= {f"the file {name}": None for name in files}
        return restored

    @property
    def first(self) -> Subject:
        """The subject that most checks restore."""
        return next(iter(self.subjects.values()))

    @cached_property
    def in_turn(self) -> dict[str, Restored]:
        """All subjects restored by a single instance, the first subject last."""
        _ = self.alone
        method = self.fresh()
        return {name: self.restore(subject, method=method) for name, subject in reversed(self.subjects.items())}

    def require_same(self, result: Restored, expected: Restored, claim: str) -> None:
        """Refuse two restorations that differ: in any byte on the CPU, by more than a tolerance elsewhere.

        Raises:
            Violation: naming the claim and the difference.
        """
        if self.device == "cpu":
            same = result.image.tobytes() == expected.image.tobytes()
            variances = [b"" if r.variance is None else r.variance.tobytes() for r in (result, expected)]
            require(variances[0] == variances[1], f"{claim}: variances differ")
        else:
            same = gap(result, expected) <= DEVICE_TOLERANCE
        require(same, f"{claim}: images differ by up to {gap(result, expected):.3g}")
        counts = result.iterations, expected.iterations
        require(counts[0] == counts[1], f"{claim}: {counts[0]} and {counts[1]} iterations")


class _SideEffects:
    """Notes what a restoration leaves behind in this process, and the arrays of problems that it writes to."""

    def __init__(self, probe: Probe, problems: Sequence[Problem]) -> None:
        self.probe, self.problems = probe, problems

    def __enter__(self) -> None:
        self.state, self.arrays = GlobalState.now(), _arrays(self.problems)
        self.processes = processes.children(os.getpid())

    def __exit__(self, *_: object) -> None:
        running = set(processes.children(os.getpid())) - set(self.processes)
        self.probe.left_behind |= dict.fromkeys([*self.state.changes(), *map(processes.command, running)])
        for before, now in zip(self.arrays, _arrays(self.problems), strict=True):
            self.probe.modified |= {name for name, content in before.items() if now[name] != content}


@contextlib.contextmanager
def _in_empty_folder() -> Iterator[Path]:
    """Make a new folder the working directory and the folder of temporary files while the block runs."""
    temporary = tempfile.tempdir
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        tempfile.tempdir = name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = temporary


def _arrays(problems: Sequence[Problem]) -> list[dict[str, bytes]]:
    return [{"blurred": p.blurred.tobytes(), "kernel": p.kernel.tobytes()} for p in problems]


def conforming(restored: Restored, subject: Subject) -> Restored:
    """Return a checked restoration.

    Raises:
        Violation: where it breaks a rule of `check_restored`.
    """
    try:
        return check_restored(restored, subject.problem)
    except Exception as error:
        raise Violation(f"{subject.name}: {error}") from error


def require(holds: bool, message: str) -> None:
    """Raise `Violation` with a message where a condition does not hold."""
    if not holds:
        raise Violation(message)


def gap(result: Restored, expected: Restored) -> float:
    """Return the largest difference between the images of two restorations."""
    differences: NDArray[np.float64] = np.abs(result.image.astype(np.float64) - expected.image)
    return float(differences.max())


class CutOffRun(Run):
    """A run that saves at every iteration and raises `CutOffError` after save `last`; without `last` no save is due."""

    def __init__(self, seed: int, device: str, path: Path, last: int | None = None) -> None:
        super().__init__(seed, device=device, checkpoint=path, checkpoint_seconds=0 if last else float("inf"))
        self.last, self.saves, self.loaded = last, 0, False

    def save(self, state: bytes) -> None:
        """Save the state, and cut the run off where this is the last save."""
        super().save(state)
        self.saves += 1
        if self.saves == self.last:
            raise CutOffError

    def load(self) -> bytes | None:
        """Return the saved state, and note whether there was one."""
        state = super().load()
        self.loaded |= state is not None
        return state
