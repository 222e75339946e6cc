"""Data that are read twice, as a sweep is planned and as its cells are computed, and may be others by then."""

from __future__ import annotations

from collections.abc import Hashable

from nidbench.errors import DataError


class Unchanged:
    """Remembers what was read first: cells bear its hash, and a result of other data would be taken for one of it."""

    def __init__(self) -> None:
        self._first: dict[Hashable, str] = {}

    def check(self, key: Hashable, content: str, what: str) -> None:
        """Refuse data that are others than when they were read first.

        Args:
            key: names the data.
            content: SHA-256 of them.
            what: the data in words, for the message.

        Raises:
            DataError: naming them.
        """
        if self._first.setdefault(key, content) != content:
            raise DataError(
                f"{what} changed since it was read first, when its cells were planned: give the command again, which "
                "computes cells of what is there now and keeps those that are done"
            )
