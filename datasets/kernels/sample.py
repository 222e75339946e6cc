"""A kernel made by formula, of the kind a shaking hand makes: nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from nidbench.contract import Kernel, KernelSetInfo, normalised
from nidbench.errors import UnknownNameError
from nidbench.files.remote import RemoteFile


class SampleKernels:
    """One curved motion blur, 13x13: neither symmetric nor centred, so that a flipped or shifted kernel shows."""

    info: ClassVar[KernelSetInfo] = KernelSetInfo("Sample", source="formula", licence="MIT, as nidbench")

    def files(self) -> Sequence[RemoteFile]:
        """Return no file: the kernel is computed."""
        return []

    def names(self) -> Sequence[str]:
        """Return `motion`."""
        return ["motion"]

    def load(self, name: str) -> Kernel:
        """Return the kernel for true convolution, Shape (13, 13), sum 1.

        Raises:
            UnknownNameError: for a name other than `motion`.
        """
        if name != "motion":
            raise UnknownNameError(f"sample has no kernel {name!r}: use motion")
        return _motion(13)


def _motion(side: int) -> Kernel:
    """Return the trace of a point that moves along a cubic curve, each position shared bilinearly among four pixels."""
    time = np.linspace(-1, 1, 801)
    position = time + 0.25 * (time**2 - 1)  # from -1 to 1, slow at first
    reach = (side - 1) / 2
    rows = reach * (1 + 0.9 * position)
    columns = reach * (0.8 - 1.3 * position + 0.6 * position**2 + 1.5 * position**3)
    kernel = np.zeros((side, side))
    first_row, first_column = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - first_row, columns - first_column
    for step_down, weight_down in ((0, 1 - down), (1, down)):
        for step_right, weight_right in ((0, 1 - right), (1, right)):
            np.add.at(kernel, (first_row + step_down, first_column + step_right), weight_down * weight_right)
    return normalised(kernel)
