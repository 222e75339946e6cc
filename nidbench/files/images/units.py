"""What the values of a file mean: which of them is intensity 1. Stated, known for sure, or refused; never guessed.

Of integers the type says it where cameras and programs agree: 8 bit go to 255. Of 16 bit it says what may be there, not
what is: cameras of 10, 12 and 14 bit store their values in it. Real numbers are on [0, 1] and a little beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .stored import Stored

#: Depths that cameras have, in bits.
_DEPTHS = (8, 10, 12, 14, 16)

#: What real numbers on [0, 1] are within: noise and ringing go beyond, a few pixels more so (percentiles 1 and 99).
_MOST, _LEAST = (-0.25, 1.5), (-1.5, 3.0)

#: A median that no image on [0, 1] has, whatever is said of it.
_BEYOND = 1.5

#: Two measurements of one scene are on one scale where the brightness of neither is so many times the other's.
_FACTOR = 3.0

#: Difference of means within which darker scenes differ by noise that was cut off at 0.
_OFFSET = 0.1

#: Means of a scene and of its blur differ by less than one of these: as a difference, by a factor.
_NEAR, _TIMES = 0.03, 1.3

#: Correlation from which a straight line says how two images' values are related.
_RELATED = 0.8


@dataclass(frozen=True)
class Units:
    """What somebody says of the values of a file.

    Attributes:
        scale: the value that is intensity 1, whatever the file's type; None where nobody says.
        bits: of integers that are stored in a deeper type; None where nobody says.
        key: how it is said, for messages, with a place for `name` and one for `value`.
    """

    scale: float | None = None
    bits: int | None = None
    key: str = "{name}={value}"

    def __post_init__(self) -> None:
        if self.scale is not None and self.bits is not None:
            raise InputError(f"{self.say('scale', self.scale)} and {self.say('bits', self.bits)}: give one of the two")
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"{self.say('scale', self.scale)}: give the value of intensity 1, such as 255 or 4095")
        if self.bits is not None and not 1 <= self.bits <= 32:
            raise InputError(f"{self.say('bits', self.bits)}: give a camera's depth, 1 to 32, such as 12")

    def say(self, name: str, value: object) -> str:
        """Return how a person says that a name has a value: `bits = 12 in measured.toml`."""
        return self.key.format(name=name, value=value)

    def stated(self) -> dict[str, float]:
        """Return what is said, by name: nothing where nobody says anything."""
        return {name: value for name, value in (("scale", self.scale), ("bits", self.bits)) if value is not None}


#: Where nobody says anything.
UNSTATED = Units()


def in_units(stored: Stored, units: Units = UNSTATED) -> tuple[NDArray[np.float64], str]:
    """Return values as intensities, nominally in [0, 1], float64, and what was taken for granted, if anything.

    Args:
        stored: of a file.
        units: what is said of it.

    Raises:
        InputError: where they are not finite, or their range is not known, with its possible readings and how to say
            which; or where they are not what is said.
    """
    values = stored.values
    if not values.size:
        raise InputError(f"it is empty, of shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("it holds NaN or infinity")
    if units.scale is not None:
        white, assumed = units.scale, ""
    elif values.dtype.kind == "f":
        white, assumed = _white_of_reals(values, units), ""
    else:
        white, assumed = _white_of_integers(stored, units)
    intensities = np.asarray(values, np.float64) / white
    if (median := np.median(intensities)) > _BEYOND:
        raise InputError(f"half of its values are above {median:.3g}, which is not [0, 1]")
    return intensities, assumed


def _white_of_reals(values: NDArray[Any], units: Units) -> float:
    low, high = float(values.min()), float(values.max())
    first, last = np.percentile(np.asarray(values, np.float64), (1, 99))
    if first < _MOST[0] or low < _LEAST[0]:
        raise InputError(
            f"its values go from {low:.3g} to {high:.3g}, which is not [0, 1]: if they are on [-1, 1], save "
            f"(values + 1) / 2; if they are on [0, 1] and so far off, say {units.say('scale', 1)}"
        )
    if last > _MOST[1] or high > _LEAST[1]:
        if units.bits is not None and high < 2**units.bits:
            return float(2**units.bits - 1)
        likely = next((2**bits - 1 for bits in _DEPTHS if high < 2**bits * 1.1), round(high))
        raise InputError(
            f"its values go up to {high:.4g}, which is not [0, 1]: if {likely} is intensity 1, say "
            f"{units.say('scale', likely)}; if they are on [0, 1] and so far off, say {units.say('scale', 1)}"
        )
    return 1.0


def _white_of_integers(stored: Stored, units: Units) -> tuple[float, str]:
    """Return the integer of intensity 1, and what to say where it was taken for granted."""
    values, kind = stored.values, stored.values.dtype
    low, high = int(values.min()), int(values.max())
    if kind.kind == "b":
        raise InputError("it holds black and white only (bool), not shades: save the image before it was made that")
    known = stored.bits or (8 if kind == np.uint8 else units.bits)
    if known is not None:
        return _white_of_depth(known, low, high, units), ""
    if kind == np.uint16:
        return 65535.0, _assumed(values, high, units)
    likely = next((2**bits - 1 for bits in _DEPTHS if high < 2**bits), high)
    raise InputError(
        f"it holds {kind} from {low} to {high}, whose range is not known: if {likely} is intensity 1, say "
        f"{units.say('scale', likely)}" + (f"; or, of 16 bit, {units.say('scale', 65535)}" if likely < 65535 else "")
    )


def _white_of_depth(bits: int, low: int, high: int, units: Units) -> float:
    white = 2**bits - 1
    if low < 0 or high > white:
        raise InputError(f"it holds {low} to {high}, and {bits} bit go from 0 to {white}: correct what is said of it")
    if high == 1 < white:
        one, white_is = units.say("scale", 1), units.say("scale", white)
        raise InputError(f"it holds 0 and 1 only: if 1 is white, say {one}; if {white} is, {white_is}")
    return float(white)


def _assumed(values: NDArray[Any], high: int, units: Units) -> str:
    """Return what to say of 16-bit values of which nearly all would fit a shallower camera; else nothing."""
    nearly_all = float(np.percentile(values, 99.9))
    fitting = [bits for bits in _DEPTHS if nearly_all < 2**bits]
    if nearly_all >= 2**15:
        return ""
    other = f"if they are of {fitting[0]} bit" if fitting[0] < 16 else "if they are of fewer bits"
    return (
        f"16-bit values up to {high}, taken for the range of 16 bit, 0 to 65535; {other}, say "
        f"{units.say('bits', min(fitting[0], 15))}"
    )


def unlike(image: NDArray[Any], reference: NDArray[Any]) -> str:
    """Return how the values of an image contradict those of another of the same scene, or nothing.

    Means over blocks tell another scale, an offset or a sign apart from what blur, noise and a poor restoration do;
    where no straight line relates them nothing is said.

    Args:
        image: Shape (C, H, W).
        reference: likewise.
    """
    x, y = _coarse(image), _coarse(reference)
    spread = x.std() * y.std()
    correlation = float(((x - x.mean()) * (y - y.mean())).mean() / spread) if spread > 0 else 0.0
    if abs(correlation) < _RELATED:
        return ""
    slope = float(np.copysign(y.std() / x.std(), correlation))
    offset = float(y.mean() - slope * x.mean())
    on_tanh = abs(slope - 0.5) < 0.1 and abs(offset - 0.5) < 0.1
    brighter = abs(x.mean() - y.mean()) > _OFFSET and not x.mean() / _FACTOR < y.mean() < x.mean() * _FACTOR
    if 1 / _FACTOR < slope < _FACTOR and not on_tanh and not brighter:
        return ""
    return f"{slope:.3g} times its values {'plus' if offset >= 0 else 'minus'} {abs(offset):.2g}"


def other_mean(image: NDArray[Any], reference: NDArray[Any]) -> str:
    """Return how far the mean of an image is from that of another of the same scene, or nothing.

    Blur keeps the mean, and so does what takes blur off, but for the border: another one may be another scale, an
    offset, or another response of the camera.

    Args:
        image: Shape (C, H, W).
        reference: the blurred one, likewise.
    """
    mean, expected = float(image.mean()), float(reference.mean())
    if abs(mean - expected) < _NEAR or expected / _TIMES < mean < expected * _TIMES:
        return ""
    return f"a mean of {mean:.3g}, where the blurred image has {expected:.3g}: another scale, or another response"


def _coarse(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of some sixteen blocks along each axis of an image, of every channel."""
    height, width = image.shape[1:]
    rows, columns = max(1, height // 16), max(1, width // 16)
    kept = np.asarray(image[:, : height // rows * rows, : width // columns * columns], np.float64)
    blocks = kept.reshape(len(image), height // rows, rows, width // columns, columns)
    return np.asarray(blocks.mean((2, 4)))
