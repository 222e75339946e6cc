"""The noise level of a measurement that states none."""

from __future__ import annotations

import math

from nidbench.images.compression import Compression
from nidbench.physics.arrays import Image
from nidbench.physics.noise_level import estimate_noise_level

from .source import Source

#: Longest side in pixels of the middle on which noise is estimated: more takes gigabytes, and says no more.
_ESTIMATED_ON = 1024

#: Share of the bound on a JPEG's rounding that counts as noise: of an eighth to twice it, a quarter to a half was best
#: at qualities of 50 and 75, for `tv` on four images of scikit-image under two blurs, with and without noise.
_ROUNDING = 1 / 3


def estimated(source: Source, image: Image) -> float:
    """Return the noise level of an image of a measurement, with what a JPEG has rounded off: no estimate sees that.

    Args:
        source: the measurement.
        image: one of its images, Shape (C, h, w), in [0, 1].

    Returns:
        Its standard deviation, on [0, 1].
    """
    compression = source.metadata.compression
    rounding = (compression.rounding or 0.0) if compression else 0.0
    return math.hypot(estimate_noise_level(_middle_of(image)), _ROUNDING * rounding)


def _middle_of(image: Image) -> Image:
    starts = [max(0, (length - _ESTIMATED_ON) // 2) for length in image.shape[1:]]
    return image[:, starts[0] : starts[0] + _ESTIMATED_ON, starts[1] : starts[1] + _ESTIMATED_ON]


def hidden_by(compression: Compression) -> str:
    """Return in words what noise a lossy compression hides, and what is taken for it."""
    if compression.rounding is None:
        return f"{compression.name} hides noise, so that the estimate may be too low"
    hidden = _ROUNDING * compression.rounding
    return (
        f"{compression.name} hides noise: {hidden:.2g} of intensity 1 is taken for what it has rounded off, beside the "
        "estimate"
    )
