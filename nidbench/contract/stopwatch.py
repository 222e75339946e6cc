"""The time that restorations take, without what the harness does in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Counts seconds from its making on, divided by the number of those that share the time.

    Args:
        sharing: how many restorations run side by side by this watch; each is charged its share.
    """

    def __init__(self, sharing: int = 1) -> None:
        self._sharing = sharing
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of each of those that share the watch."""
        return (time.perf_counter() - self._started) / self._sharing

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Exclude the block."""
        start, started = time.perf_counter(), self._started
        try:
            yield
        finally:  # set and not added to, because an inner block may have moved it already
            self._started = started + time.perf_counter() - start
