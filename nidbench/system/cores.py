"""The processor cores that this process may use, and those of them that other programs leave free."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

#: Times between which Linux is asked how busy the cores are: several, as a short job of another program is no matter.
_WINDOWS, _WINDOW_SECONDS = 3, 0.1

_STAT = Path("/proc/stat")

#: Places of the idle times among the times of a core in /proc/stat: idle, and waiting for input or output.
_IDLE = (3, 4)


def usable() -> int:
    """Return how many cores this process may use, where the system tells them from those there are."""
    return len(_affinity())


def free() -> int:
    """Return how many of the usable cores are not busy now, at least 1; on Linux this takes 0.3 s."""
    try:
        busy = median(_watched() for _ in range(_WINDOWS))
    except (OSError, ValueError, ZeroDivisionError):  # not Linux, or a kernel that does not say
        busy = _load()
    return max(1, usable() - round(busy))


def _affinity() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:
        return set(range(os.cpu_count() or 1))


def _load() -> float:
    """Return how many programs wanted a core during the last minute, on average; 0 where that is not known."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def _watched() -> float:
    before = _STAT.read_text()
    time.sleep(_WINDOW_SECONDS)
    return busy_between(before, _STAT.read_text(), _affinity())


def busy_between(before: str, after: str, cores: set[int]) -> float:
    """Return how many of some cores were busy, on average, between two readings of /proc/stat.

    Raises:
        ValueError: where a reading lacks one of the cores.
        ZeroDivisionError: where no time has passed.
    """
    first, last = _times(before), _times(after)
    if not cores <= first.keys() & last.keys():
        raise ValueError(f"/proc/stat does not say how busy the cores {sorted(cores)} are")
    passed = {core: [b - a for a, b in zip(first[core], last[core], strict=True)] for core in cores}
    return sum(1 - sum(times[place] for place in _IDLE) / sum(times) for times in passed.values())


def _times(stat: str) -> Mapping[int, list[int]]:
    """Return the times of every core, in ticks: those of guests, which are in the user's already, left out."""
    lines = [line.split() for line in stat.splitlines() if line.startswith("cpu") and line[3].isdigit()]
    return {int(name[3:]): [int(time) for time in times[:8]] for name, *times in lines}
