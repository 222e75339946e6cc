"""Arrays as people have them: gray or colour, channels first or last, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError
from nidbench.physics.arrays import Image, plain_array


@dataclass(frozen=True)
class Layout:
    """Where the channels of an array are.

    Attributes:
        axis: of the channels, 0 or 2; None for a gray image of two dimensions.
    """

    axis: int | None

    def back(self, image: Image) -> NDArray[Any]:
        """Return an image, Shape (C, H, W), as the array came."""
        if self.axis is None:
            gray: NDArray[Any] = image[0]
            return gray
        return image if self.axis == 0 else np.moveaxis(image, 0, 2)


def channels_first(name: str, array: NDArray[Any]) -> tuple[Image, Layout]:
    """Return an image as Shape (C, H, W), and how it came.

    Args:
        name: what it is, for messages.
        array: Shape (H, W), (C, H, W) or (H, W, C) with C = 1 or 3, floats, nominally in [0, 1].

    Raises:
        InputError: for another shape, one that can be read in two ways, or values that are no floats.
    """
    array = plain_array(name, array)
    if array.dtype.kind != "f":
        raise InputError(
            f"{name} holds {array.dtype}: give floats in [0, 1], such as 8-bit values divided by 255; for files, "
            "nidbench knows what their types mean"
        )
    if array.ndim == 2:
        return array[None], Layout(None)
    axes = [axis for axis in (0, 2) if array.ndim == 3 and array.shape[axis] in (1, 3)]
    if len(axes) != 1:
        why = "its channels may be first or last: " if axes else ""
        raise InputError(f"{name} has shape {array.shape}: {why}give (H, W), (C, H, W) or (H, W, C) with C = 1 or 3")
    return np.moveaxis(array, axes[0], 0), Layout(axes[0])
