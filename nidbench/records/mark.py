"""Whether a file is still the one that was read."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

#: Nanoseconds within which a file system may give two changes one time.
_TICK = 3 * 10**9


class Mark(NamedTuple):
    """What tells a file from the one that was there before under its name."""

    changed: int
    renamed: int
    size: int
    number: int

    @classmethod
    def of(cls, found: os.stat_result) -> Mark:
        """Return the mark of a file by its state."""
        return cls(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)

    @property
    def is_settled(self) -> bool:
        """Whether a later change of the file would show: the clocks of file systems tick every 2 s at worst."""
        return time.time_ns() - max(self.changed, self.renamed) > _TICK
