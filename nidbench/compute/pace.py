"""How fast a method goes, and how fast it would go alone: wall time beside CPU time and waits for a core."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Span:
    """What passed between two moments of a process.

    Attributes:
        iterations: steps done.
        seconds: of the clock on the wall.
        cpu: seconds of CPU, of all threads together.
        waited: seconds for which threads could have run and had no core, of all threads together; NaN where the system
            does not say.
    """

    iterations: int
    seconds: float
    cpu: float
    waited: float

    def alone(self, threads: int) -> float:
        """Return a lower bound of the seconds that it would have taken had nothing else wanted the cores.

        Threads that shared the work evenly would need cpu / threads; and at best every wait for a core was in the way.
        """
        shared = self.cpu / threads
        return shared if math.isnan(self.waited) else min(self.seconds, max(shared, self.seconds - self.waited))


class Meter:
    """Measures spans, the first of them from when it was made.

    Attributes:
        done: iterations up to the last span's end.
    """

    def __init__(self, done: int = 0) -> None:
        self.done = done
        self._moment = _now()

    def span(self, done: int) -> Span:
        """Return what passed since the last call, in which a count of iterations rose to `done`."""
        before, self._moment = self._moment, _now()
        iterations, self.done = done - self.done, done
        seconds, cpu, waited = (now - then for now, then in zip(self._moment, before, strict=True))
        return Span(iterations, seconds, cpu, max(0.0, waited) if math.isfinite(waited) else math.nan)


def _now() -> tuple[float, float, float]:
    return time.monotonic(), time.process_time(), _waited()


def _waited() -> float:
    """Return the seconds for which this process's threads have stood in line for a core; NaN where Linux is not."""
    total = 0
    try:
        for task in Path("/proc/self/task").iterdir():
            total += int((task / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):  # another system, or a thread that ended meanwhile
        return math.nan
    return total / 1e9
