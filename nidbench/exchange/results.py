"""Whether two results of one cell are the same result."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nidbench.records import Record, Store

from .source import Brought

#: What belongs to the result; what it cost, when it ended and what was kept besides may differ.
_RESULT = ("iterations", "stopped", "shows_y")

#: Unknown in records of older versions, where they are empty.
_IF_KNOWN = ("measurement_hash", "truth_hash", "source")

#: By name: what only one of the two has, such as the scores of a further protocol, is no difference.
_BY_NAME = ("scores", "input_scores", "measures", "versions")


def differences(ours: Record, theirs: Record) -> list[str]:
    """Return the fields in which two records of done cells are of different results; empty for the same result."""
    return list(_differences(ours, theirs))


def _differences(ours: Record, theirs: Record) -> Iterator[str]:
    for name in _RESULT:
        if getattr(ours, name) != getattr(theirs, name):
            yield name
    for name in _IF_KNOWN:
        here, there = getattr(ours, name), getattr(theirs, name)
        if here and there and here != there:
            yield name
    for name in _BY_NAME:
        yield from (f"{name} {key}" for key in _unlike(getattr(ours, name), getattr(theirs, name)))


def _unlike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    # by their text: NaN is no difference to NaN
    return [key for key in sorted(ours.keys() & theirs.keys()) if repr(ours[key]) != repr(theirs[key])]


def restorations_differ(store: Store, ours: Record, brought: Brought) -> bool:
    """Return whether both have a restoration, and not the same one.

    Raises:
        ResultsError: where that of the store is damaged.
    """
    theirs, mine = brought.arrays.get("arrays.npz"), store.file(ours, "arrays.npz")
    if theirs is None or mine is None or mine.read_bytes() == theirs:
        return False
    here = store.arrays(ours.id)  # as values: other versions of NumPy write other bytes
    with np.load(io.BytesIO(theirs), allow_pickle=False) as there:
        if set(here) != set(there.files):
            return True
        return not all(np.array_equal(here[name], there[name], equal_nan=True) for name in here)


def missing_arrays(store: Store, ours: Record, brought: Brought) -> list[str]:
    """Return the names of files of arrays that a cell of the store should have, and that the same one brings."""
    lacking = [name for name in brought.arrays if store.file(ours, name) is None]
    asked_alike = set(ours.kept) == set(brought.record.kept)
    return [name for name in lacking if name != "kept.npz" or asked_alike]
