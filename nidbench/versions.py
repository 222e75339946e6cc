"""Versions of the components that results depend on besides the method: a result of another version is *old*.

    engine       `nidbench.fitting`, which fits all untrained networks
    measurement  `nidbench.physics.measure` and `.blur`: y, the noise draw, the operator and its tapered input
    metric       `nidbench.scoring`: what is compared, and how
    noise level  `nidbench.physics.noise_level`, where a method works with an estimate

Whoever changes results raises the number of the component; golden results (tests/golden) fail until that is done. A
record keeps the numbers of the components that its cell used, see `used`. A method has its version in `MethodInfo`.
"""

from __future__ import annotations

from collections.abc import Mapping

CURRENT: Mapping[str, int] = {"engine": 1, "measurement": 1, "metric": 1, "noise level": 2}

#: Version of every component for records that were written before there were versions.
FIRST = 1

_used: set[str] = set()


def use(component: str) -> None:
    """Note that the task in progress depends on a component; a computing process does one task at a time."""
    _used.add(component)


def begin() -> None:
    """Forget the components used so far: another task begins."""
    _used.clear()


def used() -> dict[str, int]:
    """Return the versions of the components used since `begin`."""
    return of(*sorted(_used))


def of(*components: str) -> dict[str, int]:
    """Return the versions that components have today."""
    return {component: CURRENT[component] for component in components}


def outdated(versions: Mapping[str, int]) -> tuple[str, ...]:
    """Return the components whose version today differs from that of a record.

    Args:
        versions: of the record: component -> version, for those that its cell used.
    """
    return tuple(name for name, version in versions.items() if CURRENT.get(name, version) != version)
