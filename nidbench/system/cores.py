"""The processor cores that this process may use, and those of them that other programs leave free."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from statistics import median

#: Times between which the system is asked how busy the cores are: several, as a short job of another program is no
#: matter.
_WINDOWS, _WINDOW_SECONDS = 3, 0.1


def usable() -> int:
    """Return how many cores this process may use, where the system tells them from those there are."""
    return len(_affinity())


def free() -> int:
    """Return how many of the usable cores other programs leave idle now, at least 1; this takes 0.3 s."""
    return max(1, usable() - round(median(_busy_with_others() for _ in range(_WINDOWS))))


def _affinity() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:
        return set(range(os.cpu_count() or 1))


def _busy_with_others() -> float:
    """Return how many of the usable cores were busy, on average, with other programs."""
    import psutil

    own, start = own_seconds(), time.perf_counter()
    shares = psutil.cpu_percent(_WINDOW_SECONDS, percpu=True)
    own_busy = (own_seconds() - own) / (time.perf_counter() - start)
    # a system may know of fewer cores than it counts
    busy = sum(shares[core] for core in _affinity() if core < len(shares)) / 100
    return max(0.0, busy - own_busy)


def own_seconds() -> float:
    """Return the seconds of processor time of this process and all that it started and that runs."""
    import psutil

    this, seconds = psutil.Process(), 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended, or is not ours to ask
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds
