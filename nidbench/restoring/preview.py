"""A picture of before and after, to look at: the whole image, and its middle enlarged."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from nidbench.physics.arrays import WHITE, Image, eight_bit_levels

#: Longest side in pixels of each of the four panels.
SIDE = 480

#: Pixels of the middle that are shown enlarged, at most; pixels between panels.
_MIDDLE, _GAP = 120, 6

#: Percentiles of the measurement that are black and white, for images that do not fill [0, 1].
_BLACK, _WHITE = 0.5, 99.5


def preview(blurred: Image, restored: Image) -> bytes:
    """Return a PNG: above the measurement and its restoration, below the middle of both enlarged.

    Both have one gray scale: that of [0, 1], or of the measurement's percentiles where it fills less than half of that.

    Args:
        blurred: Shape (C, h, w), as the camera shows it.
        restored: of the same Shape.
    """
    low, high = _range(blurred)
    shown = [_levels(image, low, high) for image in (blurred, restored)]
    rows = [
        np.hstack(_spaced([_whole(image) for image in shown])),
        np.hstack(_spaced([_middle(image) for image in shown])),
    ]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=WHITE) for row in rows]
    gap = np.full((_GAP, width, 3), WHITE, np.uint8)
    return _png(np.vstack([padded[0], gap, padded[1]]))


def _range(blurred: Image) -> tuple[float, float]:
    low, high = (float(value) for value in np.percentile(blurred, (_BLACK, _WHITE)))
    return (low, high) if high > low and not (high - low > 0.5 and low > -0.1 and high < 1.1) else (0.0, 1.0)


def _levels(image: Image, low: float, high: float) -> NDArray[np.uint8]:
    """Return an image as 8-bit RGB, Shape (h, w, 3)."""
    scaled = (image.astype(np.float64) - low) / (high - low)
    levels = eight_bit_levels(scaled).astype(np.uint8).transpose(1, 2, 0)
    return np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels


def _whole(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image as Picture

    height, width = levels.shape[:2]
    factor = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Picture.fromarray(levels).resize(size, Picture.Resampling.BOX))


def _middle(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = levels.shape[:2]
    side = min(_MIDDLE, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = levels[top : top + side, left : left + side]
    times = max(1, min(SIDE, max(height, width)) // side)  # whole pixels stay whole
    return cut.repeat(times, axis=0).repeat(times, axis=1)


def _spaced(panels: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    first, second = panels
    return [first, np.full((first.shape[0], _GAP, 3), WHITE, np.uint8), second]


def _png(levels: NDArray[np.uint8]) -> bytes:
    from PIL import Image as Picture

    file = BytesIO()
    Picture.fromarray(levels).save(file, "PNG")
    return file.getvalue()
