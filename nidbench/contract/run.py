"""What the harness lends a method for one cell: seeds, device, a place to checkpoint, an observation clock.

Before each cell the harness seeds the global generators of `random`, NumPy and PyTorch from `Run.seed("global")`: plain
code that draws from them gives equal results for equal seeds. What a method saves in a checkpoint is its own business:
one that draws from global generators and resumes must save their states with the rest, or draw from `Run.generator`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import UnstableError
from nidbench.physics.arrays import Image
from nidbench.system.whole_files import write_whole

from . import handed
from .global_state import generators_kept


@dataclass(frozen=True)
class Clock:
    """When an iterative method shows its estimate: every `step` iterations, at most `dense` times per doubling.

    Attributes:
        step: iterations between the first observations; 0 for never.
        dense: observations per doubling of the iteration count.
    """

    step: int = 25
    dense: int = 20

    def due(self, iteration: int) -> bool:
        """Return whether the estimate after `iteration` (from 1) is to be shown."""
        if self.step <= 0:
            return False
        octave = max(0, (iteration - 1) // (self.step * self.dense)).bit_length()
        return iteration % (self.step << octave) == 0


#: The name under which the harness itself keeps what `Run.sample` is shown.
DRAWS = "draws"

#: Names that no array of a method's can have: that one, and those of the parameters of `numpy.savez`.
RESERVED = (DRAWS, "file", "allow_pickle")

#: What `--keep` can ask for: posterior draws, and the variance of a network's neurons.
KEEPS = (DRAWS, "layers")

#: The clock of a run that nobody watches.
NEVER = Clock(0)


class Run:
    """What the harness lends a method for one cell. `Run(seed=0)` alone serves for trying a method by hand.

    Args:
        seed: method seed.
        device: torch device name.
        precision: `float32` or `bf16`, for the parts of a method that can use it.
        clock: when to observe.
        checkpoint: file to keep the state of an unfinished run in; None for nowhere.
        checkpoint_seconds: wall time between checkpoints; 0 for every iteration.
        on_observe: receives (iteration, seconds, x of Shape (C, H, W)).
        on_sample: receives each posterior draw of x.
        on_progress: receives (iterations done, iterations planned), some times a second.
        keep: what a method is asked to hand over for pictures, see `keeps`.
        on_keep: receives (name, array) of what it hands over.
        shape: (C, H, W) of x, which whatever is shown must have; None where nobody says.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        device: str = "cpu",
        precision: str = "float32",
        clock: Clock = NEVER,
        checkpoint: Path | None = None,
        checkpoint_seconds: float = 30.0,
        on_observe: Callable[[int, float, Image], None] | None = None,
        on_sample: Callable[[Image], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        keep: Collection[str] = (),
        on_keep: Callable[[str, NDArray[Any]], None] | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self.device = device
        self.precision = precision
        self._seed = seed
        self._clock = clock
        self._checkpoint = checkpoint
        self._checkpoint_seconds = checkpoint_seconds
        self._on_observe = on_observe
        self._on_sample = on_sample
        self._on_progress = on_progress
        self._keep = frozenset(keep)
        self._on_keep = on_keep
        self._shape = shape
        self._started = self._saved = time.perf_counter()
        self._reported = 0.0
        self._asked: Callable[[], None] | None = None
        self.trouble = ""

    def seed(self, stream: str) -> int:
        """Return a 63-bit seed for one of the method's random streams, such as `weights`; streams are independent."""
        digest = hashlib.sha256(f"{self._seed}/{stream}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def generator(self, stream: str) -> np.random.Generator:
        """Return a NumPy generator for one of the method's random streams."""
        return np.random.Generator(np.random.Philox(self.seed(stream)))

    @property
    def elapsed(self) -> float:
        """Seconds spent, those before an interruption included, without observing and checkpointing."""
        return time.perf_counter() - self._started

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Keep what happens inside out of `elapsed`."""
        start, started = time.perf_counter(), self._started
        try:
            yield
        finally:  # set, not added to: a block inside this one has moved it already
            self._started = started + time.perf_counter() - start

    def progress(self, done: int, planned: int) -> None:
        """Say how far the run is, in whole numbers; cheap enough for every iteration.

        Raises:
            TypeError, ValueError: where they are none.
        """
        done, planned = handed.whole("done", done), handed.whole("planned", planned)
        now = time.perf_counter()
        if self._on_progress is not None and (now - self._reported > 0.25 or done == planned):
            self._reported = now
            self._on_progress(done, planned)

    def due(self, iteration: int) -> bool:
        """Return whether the estimate after this iteration (from 1) should be observed."""
        return self._on_observe is not None and self._clock.due(iteration)

    def observe(self, iteration: int, estimate: Callable[[], Image]) -> None:
        """Show the estimate after an iteration, outside the timed part.

        `estimate` returns x, Shape (C, H, W), and must draw from a stream of its own (`seed(f"observe {iteration}")`),
        so that observing changes nothing; global generators are put back to where they were after it.

        Raises:
            TypeError: no whole number, no function, or one that returns no array of floats.
            ValueError: an estimate of another shape.
        """
        iteration = handed.whole("iteration", iteration)
        if not callable(estimate):
            raise TypeError("estimate is no function: give one that returns x, such as lambda: x")
        if self._on_observe is not None:
            seconds = self.elapsed
            with self.untimed(), generators_kept():
                self._on_observe(iteration, seconds, self._shown("the estimate", estimate()))

    def sample(self, image: Image) -> None:
        """Show one draw from the method's posterior, Shape (C, H, W).

        A run that goes on from a checkpoint shows the draws before it again: those of the interrupted attempt are lost.

        Raises:
            TypeError: no array of floats.
            ValueError: another shape.
            UnstableError: values that are not finite, which would spoil every average.
        """
        if self._on_sample is not None:
            with self.untimed():
                draw = self._shown("the draw", image)
                if not np.isfinite(draw).all():
                    raise UnstableError("a posterior draw holds values that are not finite")
                self._on_sample(draw)

    def _shown(self, what: str, image: object) -> NDArray[np.float32]:
        """Return what a method shows as float32; a tensor on the CPU counts as the array that it shares memory with."""
        return handed.floats(what, image if isinstance(image, np.ndarray) else np.asarray(image), self._shape)

    def keeps(self, what: str) -> bool:
        """Return whether a kind of array is wanted: `layers` for maps of the network's layers.

        What is made only to be kept must draw from a stream of its own, so that keeping changes no result.
        """
        return self._on_keep is not None and what in self._keep

    def keep(self, name: str, array: NDArray[Any]) -> None:
        """Hand over an array to be stored under a name beside the restoration; call it where `keeps` says so.

        For `layers` the names are `layer 01`, `layer 02`, ... from input to output and the arrays, Shape (C, H, W), the
        variance of each neuron over stochastic passes. Arrays are stored as they are given, but float64 as float32;
        float16 would do for images, not for variances, which its smallest step of 6e-8 makes zero.

        Raises:
            TypeError: not a NumPy array of numbers.
            ValueError: a name that is empty, long, taken by the harness or no name for a file.
        """
        if self._on_keep is None:
            return
        name, array = handed.name(name), handed.numbers(name, array)
        if name in RESERVED:
            raise ValueError(f"cannot keep an array as {name!r}: use another name, such as 'layer 01'")
        with self.untimed():
            self._on_keep(name, array)

    def checkpoint_due(self) -> bool:
        """Return whether enough time has passed to be worth a `save`."""
        if self._checkpoint is None:
            return False
        return self._asked is not None or time.perf_counter() - self._saved >= self._checkpoint_seconds

    def request_checkpoint(self, then: Callable[[], None]) -> None:
        """Make a checkpoint due at once, and call `then` after it; the harness's, before it stops a run."""
        self._asked = then

    def end(self) -> None:
        """Answer a request for a checkpoint that the method did not; the harness's, where it has returned."""
        if self._asked is not None:
            self._asked()
            self._asked = None

    def save(self, state: bytes) -> None:
        """Keep the method's state, whole or not at all, so that a run cut off here can go on from it.

        Where it cannot be written, as on a full disk, the one before stays, the run goes on and `trouble` says why.

        Raises:
            TypeError: where the state is not bytes.
        """
        if not isinstance(state, bytes | bytearray | memoryview):
            raise TypeError(f"the state is {type(state).__name__}: save bytes (torch.save into io.BytesIO, json.dumps)")
        if self._checkpoint is None:
            return
        state = bytes(state)
        seconds = self.elapsed
        with self.untimed():
            header = json.dumps({"seconds": seconds, "sha256": hashlib.sha256(state).hexdigest()}).encode()
            try:
                self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._checkpoint, len(header).to_bytes(4, "little") + header + state)
            except OSError as error:
                self.trouble = f"no checkpoint could be written: {error}"
            self._saved = time.perf_counter()
            self.end()

    def load(self) -> bytes | None:
        """Return the state kept by `save` in an earlier, interrupted run of this cell, or None where there is none."""
        if self._checkpoint is None:
            return None
        try:
            content = self._checkpoint.read_bytes()
        except OSError:  # none is there, or none that can be read
            return None
        size = int.from_bytes(content[:4], "little")
        state = content[4 + size :]
        try:
            header = json.loads(content[4 : 4 + size])
            whole = header["sha256"] == hashlib.sha256(state).hexdigest()
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:  # cut off by a power cut: the run starts again
            return None
        self._started = time.perf_counter() - header["seconds"]
        return state
