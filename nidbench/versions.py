"""What results rest on besides their method, and its version: a result of another version is *old*.

    engine       `fitting`, which fits all untrained networks
    measurement  `degrade` and `blur`: y, the noise draw, the operator and its tapered input
    metric       `metrics`, `scoring`: what is compared, and how
    noise level  `noise_level`, where a method works with an estimate

Whoever changes a result raises the number; golden results (tests/golden) fail until that is done. A record keeps the
numbers of what its cell used, see `used`. Methods have a version of their own, `MethodInfo.version`.
"""

from __future__ import annotations

from collections.abc import Mapping

CURRENT: Mapping[str, int] = {"engine": 1, "measurement": 1, "metric": 1, "noise level": 2}

#: What records of before there were versions rest on.
FIRST = 1

_used: set[str] = set()


def use(part: str) -> None:
    """Note that the task in progress rests on a part; a computing process does one task at a time."""
    _used.add(part)


def begin() -> None:
    """Forget what was used: another task begins."""
    _used.clear()


def used() -> dict[str, int]:
    """Return the versions of what was used since `begin`."""
    return of(*sorted(_used))


def of(*parts: str) -> dict[str, int]:
    """Return the versions that parts have today."""
    return {part: CURRENT[part] for part in parts}


def outdated(versions: Mapping[str, int]) -> tuple[str, ...]:
    """Return which parts have another version today than a record's, which names those that it used."""
    return tuple(part for part, version in versions.items() if CURRENT.get(part, version) != version)
