"""Times as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a time as people say it: `45 s`, `2.5 min`, `12 min`, `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def duration_range(low: float, high: float) -> str:
    """Return two times, the unit once where they share it."""
    least, most = duration(low), duration(high)
    if least == most:
        return most
    number, _, unit = least.partition(" ")
    return f"{number if most.endswith(f' {unit}') else least} to {most}"
