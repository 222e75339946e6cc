"""Truths: sharp images to compare restorations with, and their position in the frame of x."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nidbench.physics.arrays import Image as Image


@dataclass(frozen=True, eq=False)
class Truth:
    """A sharp image to compare a restoration with.

    Attributes:
        image: Shape (C, H', W'), in [0, 1].
        offset: row and column of its first pixel in the frame of x; negative where the truth extends beyond the frame.
        encoded: True where it is display-encoded, so that the response applies to x before comparing.
        taps: rows and columns of the true kernel where methods know another one, because the scored region never
            depends on the kernel that methods know. None where they know the true kernel.
    """

    image: Image
    offset: tuple[int, int] = (0, 0)
    encoded: bool = False
    taps: tuple[int, int] | None = None

    def moved(self, rows: int, columns: int, taps: tuple[int, int] | None = None) -> Truth:
        """Return the truth with its offset changed by a number of rows and columns, and with `taps` if given."""
        return replace(self, offset=(self.offset[0] + rows, self.offset[1] + columns), taps=taps or self.taps)


class StoredTruth(Truth):
    """A truth that is read from disk at every use: hundreds of truths for one measurement would fill the memory.

    Args:
        read: returns the image, Shape (C, H', W'), in [0, 1].
        offset, encoded, taps: as of `Truth`.
    """

    _read: Callable[[], Image]

    def __init__(
        self,
        read: Callable[[], Image],
        offset: tuple[int, int] = (0, 0),
        encoded: bool = False,
        taps: tuple[int, int] | None = None,
    ) -> None:
        for name, value in (("_read", read), ("offset", offset), ("encoded", encoded), ("taps", taps)):
            object.__setattr__(self, name, value)

    @property
    def image(self) -> Image:
        """Read the image."""
        return self._read()

    def moved(self, rows: int, columns: int, taps: tuple[int, int] | None = None) -> Truth:
        """Return the truth with its offset changed, see `Truth.moved`, without reading it."""
        offset = self.offset[0] + rows, self.offset[1] + columns
        return StoredTruth(self._read, offset, self.encoded, taps or self.taps)
