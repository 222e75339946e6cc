"""Errors and deviations as they are shown: in levels of 255, the mean over channels, in colours of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from nidbench.physics.arrays import Image

LEVELS = 255.0  #: white in the unit of errors and deviations


def colour_table(name: str) -> NDArray[np.uint8]:
    """Return a colour map of matplotlib as 256 colours, Shape (256, 3)."""
    table: NDArray[np.uint8] = (colormaps[name](np.arange(256), bytes=True))[:, :3]
    return table


def channel_mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean over channels, Shape (h, w), float64."""
    return np.asarray(values.mean(axis=0, dtype=np.float64))


def error_limit(errors: Sequence[NDArray[np.float64]]) -> float:
    """Return the error at the ends of the colours, in levels of 255: beyond it lies a hundredth of all pixels.

    It is 1 at least, so that errors which nobody would see are not painted as large ones.

    Args:
        errors: of one Shape, signed.
    """
    return max(1.0, float(np.percentile(np.abs(np.stack(errors)), 99)))


def signed_levels(error: Image) -> NDArray[np.float64]:
    """Return an error as signed levels of 255, the mean over channels, Shape (h, w)."""
    return LEVELS * channel_mean(error)
