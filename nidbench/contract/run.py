"""The `Run` that the harness lends a method for a cell: seeds, device, checkpoints, observation and progress.

Before every cell the harness seeds the global generators of `random`, NumPy and PyTorch from `Run.seed("global")`, so
that plain code that draws from them gives equal results for equal seeds. The method decides what a checkpoint holds: a
method that resumes and draws from the global generators must save their states, too, or draw from `Run.generator`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
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
from .stopwatch import Stopwatch


@dataclass(frozen=True)
class Clock:
    """Says after which iterations a method shows its estimate: every `step`, at most `dense` times per doubling.

    Attributes:
        step: iterations between the first observations; 0 for no observations.
        dense: largest number of observations while the iteration count doubles.
    """

    step: int = 25
    dense: int = 20

    def due(self, iteration: int) -> bool:
        """Return whether the estimate after `iteration` (counted from 1) is to be shown."""
        if self.step <= 0:
            return False
        octave = max(0, (iteration - 1) // (self.step * self.dense)).bit_length()
        return iteration % (self.step << octave) == 0


#: The name under which the harness stores the images passed to `Run.sample`.
DRAWS = "draws"

#: Names that a method cannot give to an array: `DRAWS`, and the parameters of `numpy.savez`.
RESERVED = (DRAWS, "file", "allow_pickle")

#: The name of the kernel that a blind method estimated, among arrays and in `Restored.details`.
KERNEL = "kernel"

#: Values of `--keep`: posterior draws, the variances of a network's neurons, and the kernel that a method estimated.
KEEPS = (DRAWS, "layers", KERNEL)

#: The clock of a run without observations.
NEVER = Clock(0)


class Run:
    """Seeds, device, checkpoints and observers of a cell. `Run(seed=0)` is enough to try a method by hand.

    Args:
        seed: method seed.
        device: torch device name.
        precision: `float32` or `bf16`, for the parts of a method that can use it.
        clock: the iterations after which estimates are shown.
        checkpoint: file for the state of an unfinished run; None to save none.
        checkpoint_seconds: wall time between checkpoints; 0 for a checkpoint after every iteration.
        on_observe: receives (iteration, seconds, x of Shape (C, H, W)).
        on_sample: receives every posterior draw of x.
        on_progress: receives (iterations done, iterations planned), a few times a second.
        keep: kinds of extra arrays that the method is asked for, see `keeps`.
        on_keep: receives (name, array) of these.
        shape: (C, H, W) that shown images must have; None to accept any.
        stopwatch: counts the time of this run and of those side by side with it; None for one of its own.

    Attributes:
        trouble: why the last checkpoint could not be written; empty where there was no trouble.
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
        stopwatch: Stopwatch | None = None,
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
        self._stopwatch = stopwatch or Stopwatch()
        self._before = 0.0
        self._saved = time.perf_counter()
        self._reported = 0.0
        self._after_checkpoint: Callable[[], None] | None = None
        self._ended = False
        self.trouble = ""

    def seed(self, stream: str) -> int:
        """Return a 63-bit seed for a random stream of the method, such as `weights`; streams are independent."""
        digest = hashlib.sha256(f"{self._seed}/{stream}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def generator(self, stream: str) -> np.random.Generator:
        """Return a NumPy generator for a random stream of the method."""
        return np.random.Generator(np.random.Philox(self.seed(stream)))

    @property
    def elapsed(self) -> float:
        """Seconds spent, including those before an interruption, excluding observation and checkpoints.

        Of restorations side by side, each is charged its share.
        """
        return self._before + self._stopwatch.seconds

    def untimed(self) -> AbstractContextManager[None]:
        """Return a context that excludes its block from `elapsed`."""
        return self._stopwatch.untimed()

    def progress(self, done: int, planned: int) -> None:
        """Report progress: iterations done and planned. It is cheap enough to call after every iteration.

        Raises:
            TypeError, ValueError: where they are not whole numbers from 0.
        """
        done, planned = handed.count("done", done), handed.count("planned", planned)
        now = time.perf_counter()
        if self._on_progress is not None and (now - self._reported > 0.25 or done == planned):
            self._reported = now
            self._on_progress(done, planned)

    def due(self, iteration: int) -> bool:
        """Return whether to call `observe` after this iteration (counted from 1)."""
        return self._on_observe is not None and self._clock.due(iteration)

    def observe(self, iteration: int, estimate: Callable[[], Image]) -> None:
        """Show the estimate after an iteration; the time that this takes does not count.

        Args:
            iteration: number of iterations done.
            estimate: returns x, Shape (C, H, W). Where it draws random numbers, it must use a separate stream, such as
                `seed(f"observe {iteration}")`, so that observation does not change the result. The states of the
                global generators are restored after it.

        Raises:
            TypeError: where `iteration` is no whole number, or `estimate` no function that returns an array of floats.
            ValueError: where the estimate has another shape.
        """
        iteration = handed.count("iteration", iteration)
        if not callable(estimate):
            raise TypeError("estimate is no function: give one that returns x, such as lambda: x")
        if self._on_observe is not None:
            seconds = self.elapsed
            with self.untimed(), generators_kept():
                self._on_observe(iteration, seconds, self._shown("the estimate", estimate()))

    def sample(self, image: Image) -> None:
        """Show a draw from the method's posterior, Shape (C, H, W).

        A run that resumes from a checkpoint must show the earlier draws again, because those of the interrupted attempt
        are lost.

        Raises:
            TypeError: where the image is no array of floats.
            ValueError: where it has another shape.
            UnstableError: where it holds values that are not finite, which would spoil every average.
        """
        if self._on_sample is not None:
            with self.untimed():
                draw = self._shown("the draw", image)
                if not np.isfinite(draw).all():
                    raise UnstableError("a posterior draw holds values that are not finite")
                self._on_sample(draw)

    def _shown(self, label: str, image: object) -> NDArray[np.float32]:
        """Return a shown image as float32; of a tensor on the CPU it is the array that shares its memory."""
        return handed.floats(label, image if isinstance(image, np.ndarray) else np.asarray(image), self._shape)

    def keeps(self, kind: str) -> bool:
        """Return whether a kind of extra array is to be kept: `layers` for maps of the network's layers, or `kernel`.

        Computations that serve only these arrays must draw from a separate random stream, so that keeping arrays does
        not change the result.
        """
        return self._on_keep is not None and kind in self._keep

    def keep(self, name: str, array: NDArray[Any]) -> None:
        """Store an array under a name beside the restoration; call this where `keeps` returns True.

        `kernel` is a kernel that the method estimated, Shape (kh, kw), for true convolution, of any positive sum. For
        `layers` the names are `layer 01`, `layer 02`, ... from input to output, and the arrays, Shape (C, H, W),
        hold the variance of every neuron over stochastic passes. Float64 is stored as float32, other types as they are.
        Float16 is good enough for images, but not for variances: its smallest step of 6e-8 makes them zero.

        Raises:
            TypeError: where it is not a NumPy array of numbers.
            ValueError: where the name is empty, too long, reserved, or cannot be the name of a file.
        """
        if self._on_keep is None:
            return
        name, array = handed.name(name), handed.numbers(name, array)
        if name in RESERVED:
            raise ValueError(f"cannot keep an array as {name!r}: use another name, such as 'layer 01'")
        with self.untimed():
            self._on_keep(name, array)

    def checkpoint_due(self) -> bool:
        """Return whether to call `save`: enough time has passed, or the harness asks for a checkpoint."""
        if self._checkpoint is None:
            return False
        return self._after_checkpoint is not None or time.perf_counter() - self._saved >= self._checkpoint_seconds

    def request_checkpoint(self, then: Callable[[], None]) -> None:
        """Make a checkpoint due at once and call `then` after it, or at once where the run has ended.

        The harness does so before it stops a run, from another thread than the method's.
        """
        self._after_checkpoint = then
        if self._ended:  # looked at after `then` is set, and `end` looks at them the other way round: one of both calls
            self._no_longer_wait()

    def end(self) -> None:
        """Say that no checkpoint follows, and call what waits for one.

        The harness does so when the method has returned; of restorations side by side, the engine when one is done.
        """
        self._ended = True
        self._no_longer_wait()

    def _no_longer_wait(self) -> None:
        then, self._after_checkpoint = self._after_checkpoint, None
        if then is not None:
            then()

    def save(self, state: bytes) -> None:
        """Save the method's state, so that an interrupted run can resume from it; no incomplete state is ever left.

        Where it cannot be written, as on a full disk, the run goes on, the last checkpoint stays, and `trouble` has the
        reason.

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
            self._no_longer_wait()

    def load(self) -> bytes | None:
        """Return the state that `save` wrote in an earlier, interrupted run of this cell; None where there is none."""
        if self._checkpoint is None:
            return None
        try:
            content = self._checkpoint.read_bytes()
        except OSError:  # there is none, or it cannot be read
            return None
        size = int.from_bytes(content[:4], "little")
        state = content[4 + size :]
        try:
            header = json.loads(content[4 : 4 + size])
            seconds, intact = float(header["seconds"]), header["sha256"] == hashlib.sha256(state).hexdigest()
        except (ValueError, KeyError, TypeError):
            intact = False
        if not intact:  # damaged by a power cut: the run starts from the beginning
            return None
        self._before = seconds - self._stopwatch.seconds
        return state
