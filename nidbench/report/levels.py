"""Errors and deviations as they are shown: in levels of 255, the mean over channels, in colours of matplotlib."""

from __future__ import annotations

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


def signed_levels(error: Image) -> NDArray[np.float64]:
    """Return an error as signed levels of 255, the mean over channels, Shape (h, w)."""
    return LEVELS * channel_mean(error)
