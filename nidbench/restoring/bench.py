"""A method at work on one image, in a process of its own: short trials, then the restoration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import MethodFacts, Observation, Outcome, Progress, Refusal, Resolve, Task
from nidbench.contract.run import NEVER, Clock
from nidbench.errors import InputError, NidbenchError
from nidbench.physics.problem import Problem
from nidbench.registry.method_spec import MethodSpec, parse_methods
from nidbench.scoring.residual import residual
from nidbench.sweep.cost import Rate, pilot
from nidbench.system import processes
from nidbench.system.sizes import size_text

from .events import Events

#: Seconds of a trial.
_TRIAL_SECONDS = 2.0

#: Sides in pixels of the square of a trial: of networks, and of other methods.
_OF_NETWORKS, _OF_OTHERS = 192, 640

#: Pixels of x below which memory and time of a method that is no network need no trial.
_SMALL = 1 << 20

#: Part of the free memory that a restoration may be expected to take.
_SHARE = 0.9

#: Pixels of an image that bound what is computed of its residual while a method runs: more would hold the method up.
_LIVE = 1 << 21


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how a method runs.

    Attributes:
        computer: runs it.
        device: torch device.
        precision: `float32` or `bf16`.
        threads: CPU threads.
        seed: method seed.
        memory_limit: bytes that it may take, or None for what is free.
    """

    computer: Computer
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 1
    seed: int = 0
    memory_limit: int | None = None


@dataclass(frozen=True)
class Expected:
    """What a restoration will take, as a trial on its middle shows.

    Attributes:
        rate: seconds per pixel of x, or None where the trial did not end well.
        memory: bytes per pixel of x, with what the trial takes however small it is; 0 where that is not known.
    """

    rate: Rate | None
    memory: float = 0.0


def one_method(text: str) -> MethodSpec:
    """Return the only method that a text names.

    Raises:
        InputError: where it names several.
    """
    specs = parse_methods(text)
    if len(specs) != 1:
        raise InputError(f"{text!r} names {len(specs)} methods: give one; --twin compares several")
    return specs[0]


class Bench:
    """A method at a place.

    Args:
        place: where it runs.
        spec: the method.
        file: a Python file with a further method, or None.

    Attributes:
        facts: of the method.

    Raises:
        NidbenchError: where the method cannot be made, or its files are missing.
    """

    def __init__(self, place: Place, spec: MethodSpec, file: Path | None = None) -> None:
        self._place = place
        try:
            answer = place.computer.ask(Resolve(spec, None, file), lambda _: None)
        except (DeadlineError, WorkerDiedError) as error:
            raise NidbenchError(f"{spec} could not be imported: {error}") from None
        if isinstance(answer, Refusal):
            raise NidbenchError(answer.message)
        self.facts: MethodFacts = answer

    @property
    def label(self) -> str:
        """The method as it was asked for, with its preset."""
        text, preset = str(self.facts.spec), self.facts.preset
        return text if preset in ("default", "") or "@" in text else f"{text} ({preset})"

    def _task(self, problem: Problem, clock: Clock = NEVER, pilot_seconds: float | None = None) -> Task:
        return Task(
            spec=self.facts.spec,
            preset=self.facts.preset,
            file=self.facts.file,
            problem=problem,
            seed=self._place.seed,
            device=self._place.device,
            precision=self._place.precision,
            threads=self._place.threads,
            clock=clock,
            pilot_seconds=pilot_seconds,
        )

    def needs_trial(self, problem: Problem) -> bool:
        """Return whether the time or the memory that an image takes may surprise a person."""
        return self.facts.batch or math.prod(problem.frame) > _SMALL

    def trial(self, problem: Problem) -> Expected:
        """Return what a short trial on the middle of an image shows.

        It comes before the method has run in its process: memory that is freed there would not be counted again.
        """
        part = middle(problem, _OF_NETWORKS if self.facts.batch else _OF_OTHERS)
        shown = pilot(self._task(part, pilot_seconds=_TRIAL_SECONDS), self._place.computer)
        return Expected(None) if shown is None else Expected(shown.rate, shown.memory / math.prod(part.frame))

    def check_memory(self, problem: Problem, expected: Expected) -> None:
        """Refuse an image for which a method takes more memory than there is.

        Raises:
            InputError: naming the size that fits.
        """
        free = self._free()
        if not expected.memory or free is None or self._place.device != "cpu":
            return
        height, width = problem.frame
        needed = expected.memory * height * width
        if needed > free:
            raise InputError(self._too_large(problem, needed, free))

    def _free(self) -> float | None:
        if self._place.memory_limit is not None:
            return float(self._place.memory_limit)
        free = processes.free_memory()
        return None if free is None else _SHARE * free

    def _too_large(self, problem: Problem, needed: float, free: float) -> str:
        height, width = problem.frame
        kernel = problem.kernel.shape
        factor = math.sqrt(free / needed)
        fitting = [max(1, int(side * factor) - taps + 1) for side, taps in zip((height, width), kernel, strict=True)]
        rows, columns = problem.blurred.shape[1:]
        return (
            f"{self.facts.spec} takes about {needed / (height * width):.0f} bytes a pixel, {size_text(int(needed))} "
            f"for {rows}x{columns} pixels, and {size_text(int(free))} are free: cut the image to at most "
            f"{fitting[0]}x{fitting[1]}, or choose another --method"
        )

    def restored(self, problem: Problem, events: Events) -> Outcome:
        """Return the restoration of an image.

        Args:
            problem: the image, its kernel and what is known of its noise.
            events: receives progress and residuals.

        Raises:
            NidbenchError: where the method failed, or ran out of memory; the message says how.
        """
        live = math.prod(problem.blurred.shape) <= _LIVE
        task = self._task(problem, Clock() if live else NEVER)
        try:
            outcome = self._place.computer.ask(task, _listener(problem, events))
        except WorkerDiedError as error:
            raise self._failure(problem, str(error), out_of_memory=error.out_of_memory) from error
        if isinstance(outcome, Refusal):
            raise NidbenchError(outcome.message)
        if outcome.status != "done" or outcome.image is None:
            raise self._failure(problem, outcome.error, out_of_memory=outcome.status == "out-of-memory")
        return outcome  # type: ignore[no-any-return]

    def _failure(self, problem: Problem, error: str, *, out_of_memory: bool) -> NidbenchError:
        height, width = problem.blurred.shape[1:]
        if out_of_memory:
            return InputError(
                f"{self.facts.spec} ran out of memory on {height}x{width} pixels: cut the image up, or choose another "
                "--method"
            )
        last = error.strip().splitlines()[-1:] or ["no reason"]
        return NidbenchError(f"{self.facts.spec} failed, and nothing was written: {last[0]}")


def middle(problem: Problem, side: int) -> Problem:
    """Return the measurement of the middle of x: a square of at least a side, with room for the kernel."""
    kernel = problem.kernel.shape
    cuts = []
    for length, taps in zip(problem.blurred.shape[1:], kernel, strict=True):
        shown = min(length, max(side - taps + 1, side // 2))
        start = (length - shown) // 2
        cuts.append(slice(start, start + shown))
    return replace(problem, blurred=np.ascontiguousarray(problem.blurred[:, cuts[0], cuts[1]]))


def _listener(problem: Problem, events: Events) -> Callable[[object], None]:
    sigma = problem.sigma()

    def receive(message: object) -> None:
        if isinstance(message, Progress):
            events.progress(message.done, message.planned)
        elif isinstance(message, Observation) and np.isfinite(message.image).all():
            left = float(np.sqrt(np.square(residual(problem, message.image)).mean()))
            events.residual(message.iteration, left / sigma if sigma > 0 else math.nan)

    return receive
