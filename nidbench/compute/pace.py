"""Measures how fast a method is, and how fast it would be on an idle machine, from wall time, CPU time and waits."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Span:
    """The work and the time between two moments of a process.

    Attributes:
        iterations: steps done.
        seconds: wall time.
        cpu: CPU seconds of all threads together.
        waited: seconds in which threads could have run but had no core, of all threads together; NaN where the system
            does not count them.
    """

    iterations: int
    seconds: float
    cpu: float
    waited: float

    def alone(self, threads: int) -> float:
        """Return a lower bound of the seconds that the same work takes on an idle machine.

        Threads that share the work evenly need cpu / threads seconds, and at best every wait for a core would be saved.

        Args:
            threads: number of CPU threads that the method uses.
        """
        shared = self.cpu / threads
        return shared if math.isnan(self.waited) else min(self.seconds, max(shared, self.seconds - self.waited))


class Meter:
    """Measures spans; the first one starts when the meter is made.

    Attributes:
        done: iterations up to the end of the last span.
    """

    def __init__(self, done: int = 0) -> None:
        self.done = done
        self._moment = _now()

    def span(self, done: int) -> Span:
        """Return the span since the last call, in which the number of iterations rose to `done`."""
        before, self._moment = self._moment, _now()
        iterations, self.done = done - self.done, done
        seconds, cpu, waited = (end - start for end, start in zip(self._moment, before, strict=True))
        return Span(iterations, seconds, cpu, max(0.0, waited) if math.isfinite(waited) else math.nan)


def _now() -> tuple[float, float, float]:
    return time.monotonic(), time.process_time(), _waited()


def _waited() -> float:
    """Return the seconds in which threads of this process waited for a core; NaN on systems other than Linux."""
    total = 0
    try:
        for task in Path("/proc/self/task").iterdir():
            total += int((task / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):  # not Linux, or a thread ended meanwhile
        return math.nan
    return total / 1e9
