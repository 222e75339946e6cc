"""The part of an error that a blur hides: what lies at frequencies where the kernel's transfer function is near zero.

The paper calls {e : ||k * e|| << 1} the approximate null space of a kernel (eq. 3): such an e added to x hardly changes
y, so that no data term sees it (Fig. 1). It gives no number for "<<". Here the null space is a *band* of frequencies,
those with |K| < `THRESHOLD` max |K|: convolution acts on each frequency by itself, so that the split of an error into
its parts inside and outside is exact and orthogonal.

Two bounds to what the band says:

- Under a response that is not the identity, gamma or saturation, the error that is split is that of g(x), as it is
  scored (`scoring.compare`). The split is exact all the same, but k acts on x: that the part inside hardly changes y
  does not follow.
- Where methods are told another kernel than the one that blurred, the band is that of the kernel they are told: what
  their data term does not see, and not what the blur hid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .contract import Image, Kernel
from .errors import InputError

#: Of max |K|: of a component of full contrast not more gets through than noise of 5 %, a usual level, has in a pixel.
THRESHOLD = 0.05

#: Part of each side over which an error rises from 0: cut off, its parts would be full of the borders' own spectrum.
RAMP = 1 / 8

#: The names under which records hold what a `Split` says.
MEASURES = ("null_mse", "seen_mse", "null_share")


@dataclass(frozen=True, eq=False)
class Split:
    """An error in two parts, whose sum is `inside + outside` to rounding and which are orthogonal to each other.

    Attributes:
        inside, outside: the parts in the near-null band and out of it, Shape (C, h, w), both tapered at the borders.
        inside_mse, outside_mse: their mean squares, in squares of the image's unit, over the taper's mean square: what
            they would be without taper for an error alike all over. They add up to the weighted mean squared error.
        share: fraction of the frequencies in the band: an error without structure has this part of its square inside.
    """

    inside: Image
    outside: Image
    inside_mse: float
    outside_mse: float
    share: float

    def measures(self) -> dict[str, float]:
        """Return the numbers under the names of `MEASURES`."""
        return dict(zip(MEASURES, (self.inside_mse, self.outside_mse, self.share), strict=True))


def split_error(error: Image, kernel: Kernel, threshold: float = THRESHOLD) -> Split:
    """Split an error into what the kernel hides and what it lets through.

    The error is tapered (cosine ramps of an eighth of each side), because the Fourier transform takes it as periodic:
    its jump from one border to the other would have energy at all frequencies.

    Args:
        error: restoration minus truth, on the region that y shows, Shape (C, h, w).
        kernel: k, Shape (kh, kw), of any size.
        threshold: |K| below this part of its maximum counts as nearly null, in (0, 1].

    Raises:
        InputError: where the error is not (C, h, w) or the threshold is out of its range.
    """
    if error.ndim != 3 or 0 in error.shape:
        raise InputError(f"an error of shape {error.shape} cannot be split: give (C, h, w)")
    band = near_null(kernel, error.shape[1:], threshold)
    weight = taper(error.shape[1:])
    tapered = error.astype(np.float64) * weight
    inside: NDArray[np.float64] = np.fft.ifft2(np.fft.fft2(tapered) * band).real
    outside = tapered - inside
    squares = error.shape[0] * float((weight**2).sum())
    inside_mse, outside_mse = (float((part**2).sum()) / squares for part in (inside, outside))
    return Split(inside, outside, inside_mse, outside_mse, float(band.mean()))


def near_null(kernel: Kernel, shape: tuple[int, ...], threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Return where |K| < threshold max |K|, Shape (h, w), frequencies in the order of `numpy.fft.fft2`.

    Raises:
        InputError: where the threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise InputError(f"threshold {threshold}: give a part of max |K| in (0, 1], such as {THRESHOLD}")
    magnitude = transfer_magnitude(kernel, shape)
    # what is rounded to both sides of the threshold must not part f from -f, or an error's parts would not be real
    mirrored = np.roll(magnitude[::-1, ::-1], (1, 1), (0, 1))
    band: NDArray[np.bool_] = np.maximum(magnitude, mirrored) < threshold
    return band


def transfer_magnitude(kernel: Kernel, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return |K| / max |K| at the frequencies of an image of Shape (h, w), in the order of `numpy.fft.fft2`."""
    height, width = shape
    rows, columns = (-(-n // side) * side for n, side in zip(kernel.shape, shape, strict=True))
    padded = np.zeros((rows, columns))
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    # a kernel larger than the image is wrapped: at these frequencies the wrapped one has the same transform
    wrapped = padded.reshape(rows // height, height, columns // width, width).sum((0, 2))
    magnitude = np.abs(np.fft.fft2(wrapped))
    relative: NDArray[np.float64] = magnitude / magnitude.max()
    return relative


def taper(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return weights in (0, 1], Shape (h, w): 1 in the middle, cosine ramps over `RAMP` of each side."""
    weight: NDArray[np.float64] = np.outer(*(_ramps(n) for n in shape))
    return weight


def _ramps(length: int) -> NDArray[np.float64]:
    size = int(RAMP * length)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(size) + 0.5) / max(1, size))
    return np.concatenate([rise, np.ones(length - 2 * size), rise[::-1]])


def decibels(mse: float) -> float:
    """Return the PSNR that an error of this mean square alone would leave, in dB for values in [0, 1]."""
    return float("inf") if mse <= 0 else float(-10 * np.log10(mse))
