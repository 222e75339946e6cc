"""The conformance checks: what every method must do, tried on small images with the settings that it has.

Each check is a function of a `Probe`, and its name states what it checks. It returns a note (usually empty) or raises
`Violation`. With `smoke` settings all checks together take seconds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from nidbench.images import misread
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem

from .method import BatchMethod, Method
from .probe import DEVICE_TOLERANCE, CutOffError, CutOffRun, Probe, Subject, Violation, conforming, gap, require
from .run import KEEPS, Clock, Run

LOW, HIGH = -1.0, 2.0  #: a restoration of an image in [0, 1] stays between these
TOLERANCE = 1e-4  #: between side by side and alone, float32, a few iterations
CUT_AT = 2  #: the save at which a run is cut off


class Finding(msgspec.Struct, frozen=True, tag=True):
    """The result of one conformance check.

    Attributes:
        name: the statement that was checked, such as `same seed same bytes`.
        passed: whether it holds.
        message: what was seen instead, or a note such as `does not checkpoint`.
        seconds: wall time of the check.
    """

    name: str
    passed: bool
    message: str
    seconds: float


def shape_dtype_and_range(probe: Probe) -> str:
    """Gray and colour, odd, even and non-square kernels: finite floats in the frame of x, around [0, 1]."""
    require(probe.alone.image.size > 0, "the image is empty")
    for name, restored in probe.in_turn.items():
        low, high = restored.image.min(), restored.image.max()
        span = f"{name}: values span [{low:.4g}, {high:.4g}]"
        require(bool(low >= LOW and high <= HIGH), f"{span}; x is nominally in [0, 1], at most in [{LOW:g}, {HIGH:g}]")
    return ""


def same_seed_same_bytes(probe: Probe) -> str:
    """The same problem and seed, restored twice, give the same bytes on the CPU."""
    probe.require_same(probe.restore(probe.first), probe.alone, "two runs with the same seed")
    return ""


def no_state_between_images(probe: Probe) -> str:
    """An instance that restores A and then B gives for B what it gives for B alone."""
    probe.require_same(probe.in_turn[probe.first.name], probe.alone, "after other images and alone")
    return ""


def observing_changes_nothing(probe: Probe) -> str:
    """A run that is observed at every third iteration and keeps all arrays gives the same bytes as one that is not."""
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
        require(bool(np.isfinite(image).all()), "an image was shown that is not finite")
    probe.require_same(restored, probe.alone, "observed and not")
    return "" if seen else "shows no estimates on the way"


def nothing_left_behind(probe: Probe) -> str:
    """After a restoration global state is as before, no thread or process runs on, and no file is left."""
    _ = probe.in_turn
    left_behind = ", ".join(probe.left_behind)
    require(
        not left_behind,
        f"it left behind: {left_behind}; restore the state that it changes, end the threads and processes that it "
        "starts, keep files in memory, and import modules that change the process at the top of the file",
    )
    return ""


def problem_untouched(probe: Probe) -> str:
    """The arrays of the problem hold the same values as before."""
    _ = probe.in_turn
    written = ", ".join(sorted(probe.modified))
    require(not written, f"the problem's {written} changed: work on a copy")
    return ""


def resumed_equals_uninterrupted(probe: Probe) -> str:
    """A run that is cut off after a checkpoint and resumed gives the same bytes as an uninterrupted one, on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        cut = CutOffRun(probe.first.seed, probe.device, path, CUT_AT)
        try:
            uninterrupted = probe.restore(probe.first, cut)
        except CutOffError:
            resumed = CutOffRun(probe.first.seed, probe.device, path)
            restored = probe.restore(probe.first, resumed)
            require(resumed.loaded, "it saves checkpoints but does not load the saved one")
            probe.require_same(restored, probe.alone, "resumed and uninterrupted")
            return ""
        probe.require_same(uninterrupted, probe.alone, "with checkpoints and without")
        require(cut.saves == 0, f"it saved {cut.saves} times, less than {CUT_AT}: give more iterations")
        return "does not checkpoint"


def side_by_side_equals_alone(probe: Probe) -> str:
    """Problems fitted side by side, beside another kernel size and a hopeless problem, match those fitted alone."""
    if not isinstance(probe.method, BatchMethod):
        return "fits one problem at a time"
    gray = [subject for subject in probe.subjects.values() if subject.problem.blurred.shape[0] == 1]
    expected = [probe.alone, *(probe.in_turn[subject.name] for subject in gray[1:])]
    together = [gray[0], _hopeless(gray[0]), *gray[1:]]
    outcomes = probe.restore_many(together)
    counts = f"restore_many returned {len(outcomes)} outcomes for {len(together)} problems"
    require(len(outcomes) == len(together), counts)
    del outcomes[1]
    allowed = TOLERANCE if probe.device == "cpu" else DEVICE_TOLERANCE
    for subject, outcome, alone in zip(gray, outcomes, expected, strict=True):
        if isinstance(outcome, Exception):
            raise Violation(f"{subject.name}: beside others {type(outcome).__name__}: {outcome}") from outcome
        difference = gap(conforming(outcome, subject), alone)
        claim = f"{subject.name}: side by side and alone differ by {difference:.3g}, allowed is {allowed:g}"
        require(difference <= allowed, claim)
    return ""


def restorations_are_as_they_were_blurred(probe: Probe) -> str:
    """No restoration explains what it was made from better if it, or the kernel, is turned, mirrored or moved.

    A note, not a failure: with few iterations a method may be far from anything.
    """
    if probe.method.info.blind:
        return "is blind: its kernel and place are its own"
    for subject in probe.subjects.values():
        restored = probe.in_turn[subject.name].image
        if better := misread(subject.problem, restored, (0, 0), of_any=False):
            return f"{subject.name}: {better}; y is k convolved with x, which fills the frame"
    return ""


def _hopeless(subject: Subject) -> Subject:
    """Return a problem of the same shape whose squares overflow."""
    problem = subject.problem
    blurred = np.full_like(problem.blurred, 1e30)
    return Subject("hopeless", Problem(blurred, problem.kernel, problem.noise), seed=99)


Check: TypeAlias = Callable[[Probe], str]


def checks() -> tuple[Check, ...]:
    """Return all checks, in the order in which they share the most restorations."""
    return (
        shape_dtype_and_range,
        same_seed_same_bytes,
        no_state_between_images,
        observing_changes_nothing,
        resumed_equals_uninterrupted,
        side_by_side_equals_alone,
        restorations_are_as_they_were_blurred,
        nothing_left_behind,
        problem_untouched,
    )


def check(method: Method, *, device: str = "cpu", only: Sequence[Check] | None = None) -> list[Finding]:
    """Return the findings of the checks on a method.

    Args:
        method: an instance with cheap settings, such as its preset `smoke`: it is run about a dozen times.
        device: torch device name; on the CPU "the same" means the same bytes, on other devices within a tolerance.
        only: the checks to make, of `checks()`; None for all.
    """
    probe = Probe(method, device)
    return [find(conformance_check, probe) for conformance_check in (checks() if only is None else only)]


def title(check: Check) -> str:
    """Return the statement that a check checks: its name, in words."""
    return getattr(check, "__name__", "check").replace("_", " ")


def find(check: Check, probe: Probe) -> Finding:
    """Return the finding of one check; an exception of the method fails it."""
    start = time.perf_counter()
    passed, message = False, ""
    try:
        message = check(probe)
        passed = True
    except Violation as violation:
        message = str(violation)
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - any exception of a method is a finding
        message = f"it raised {type(error).__name__}: {error}"
    return Finding(title(check), passed, message, time.perf_counter() - start)
