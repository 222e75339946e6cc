"""Finds the value of a file that is intensity 1: a person states it, or the type shows it, or the file is refused.

For 8-bit integers the value is 255, on which cameras and programs agree. For 16-bit integers the type does not show it,
because cameras of 10, 12 and 14 bit store their values in it: the full range is assumed, with a note. Real numbers lie
in [0, 1] and a little beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .stored import Stored

#: Bits of the values of cameras.
_DEPTHS = (8, 10, 12, 14, 16)

#: Ranges of images on [0, 1] with noise and ringing: of percentiles 1 to 99, and of all pixels.
_MOST_PIXELS, _ALL_PIXELS = (-0.25, 1.5), (-1.5, 3.0)

#: Real numbers up to this at most may be integers of a camera of 14 bit or less, divided by the largest of 16.
DARK = 0.25

#: Above this median an image is not on [0, 1], whatever its `Units` state.
_BEYOND = 1.5

#: Two images of a scene are on the same scale where neither is brighter than the other by this factor.
_FACTOR = 3.0

#: Largest difference of means that noise cut off at 0 may explain in dark scenes.
_OFFSET = 0.1

#: The means of a scene and of its blurred image differ by less than this difference, or by less than this factor.
_NEAR, _TIMES = 0.03, 1.3

#: Correlation above which a straight line describes how the values of two images are related.
_RELATED = 0.8


@dataclass(frozen=True)
class Units:
    """What a person states about the values of a file.

    Attributes:
        scale: the value that is intensity 1, whatever the file's type; None where it is not stated.
        bits: number of bits of integers that are stored in a type with more; None where it is not stated.
        key: format of a statement, for messages, with places for `name` and `value`.
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
        """Return the text by which a person states a value: `bits = 12 in measured.toml`."""
        return self.key.format(name=name, value=value)

    def stated(self) -> dict[str, float]:
        """Return the stated values by name; empty where nothing is stated."""
        return {name: value for name, value in (("scale", self.scale), ("bits", self.bits)) if value is not None}


#: The units of a file about which nothing is stated.
UNSTATED = Units()


def in_units(stored: Stored, units: Units = UNSTATED) -> tuple[NDArray[np.float64], str]:
    """Return the intensities of a file, float64, nominally in [0, 1], and the assumption that was made, if any.

    Args:
        stored: the values of the file.
        units: what is stated about them.

    Raises:
        InputError: where values are not finite; where their range is not known (the message lists possible ranges and
            how to state them); or where they contradict what is stated.
    """
    white, assumed = white_of(stored, units)
    intensities = np.asarray(stored.values, np.float64) / white
    check_unit(intensities)
    return intensities, assumed


def white_of(stored: Stored, units: Units = UNSTATED) -> tuple[float, str]:
    """Return the value of a file that is intensity 1, and the assumption that was made, if any.

    Raises:
        InputError: where values are not finite, their range is not known, or they contradict what is stated.
    """
    check_finite(stored.values)
    if units.scale is not None:
        return units.scale, ""
    if stored.values.dtype.kind == "f":
        return _white_of_reals(stored.values, units)
    return _white_of_integers(stored, units)


def check_finite(values: NDArray[Any]) -> None:
    """Refuse an empty array, and one with values that are not finite.

    Raises:
        InputError: naming what it holds.
    """
    if not values.size:
        raise InputError(f"it is empty, of shape {values.shape}")
    if missing := values.size - np.count_nonzero(np.isfinite(values)):
        raise InputError(
            f"it holds NaN or infinity, in {missing} of {values.size} values: fill these, or cut them off where they "
            "are its border, as methods know no missing pixels"
        )


def check_unit(intensities: NDArray[np.float64]) -> None:
    """Refuse intensities that are mostly far above 1.

    Raises:
        InputError: naming their median.
    """
    if (median := np.median(intensities)) > _BEYOND:
        raise InputError(f"half of its values are above {median:.3g}, which is not [0, 1]")


def _white_of_reals(values: NDArray[Any], units: Units) -> tuple[float, str]:
    """Return the real number that is intensity 1, and a note where most would have another in mind."""
    low, high = float(values.min()), float(values.max())
    first, last = np.percentile(np.asarray(values, np.float64), (1, 99))
    if first < _MOST_PIXELS[0] or low < _ALL_PIXELS[0]:
        raise InputError(
            f"its values go from {low:.3g} to {high:.3g}, which is not [0, 1]: if they are on [-1, 1], save "
            f"(values + 1) / 2; if they are on [0, 1] and so far off, say {units.say('scale', 1)}"
        )
    if last > _MOST_PIXELS[1] or high > _ALL_PIXELS[1]:
        if units.bits is not None and high < 2**units.bits:
            return float(2**units.bits - 1), ""
        likely = next((2**bits - 1 for bits in _DEPTHS if high < 2**bits * 1.1), round(high))
        raise InputError(
            f"its values go up to {high:.4g}, which is not [0, 1]: if {likely} is intensity 1, say "
            f"{units.say('scale', likely)}; if they are on [0, 1] and so far off, say {units.say('scale', 1)}"
        )
    if units.bits is not None:
        return 1.0, f"real numbers up to {high:.3g}, read as on [0, 1], for which {_without_effect(units)}"
    if 0 < high <= DARK:
        said = f"real numbers up to {high:.3g}, read as on [0, 1]"
        return (
            1.0,
            f"{said}; if another is intensity 1, as after a division by 65535, say {units.say('scale', 'VALUE')}",
        )
    return 1.0, ""


def _without_effect(units: Units) -> str:
    return f"{units.say('bits', units.bits)} has no effect on them"


def depth_of(stored: Stored, units: Units) -> int | None:
    """Return how many bits the integers of a file have; None where neither the file nor a person says it.

    Of fewer bits than the file's format has, a person's statement counts where the values fit in them: it may be of a
    whole folder, in which deeper files stand as well, and formats stretch the levels of less than 8 bit to 255.
    """
    if stored.values.dtype.kind not in "iu":
        return None
    of_format = stored.bits or (8 if stored.values.dtype == np.uint8 else None)
    if of_format is None or units.bits is None or stored.values.max(initial=0) >= 2**units.bits:
        return of_format or units.bits
    return min(of_format, units.bits)


def _white_of_integers(stored: Stored, units: Units) -> tuple[float, str]:
    """Return the integer that is intensity 1, and a note where it is assumed."""
    values, kind = stored.values, stored.values.dtype
    low, high = int(values.min()), int(values.max())
    if kind.kind == "b":
        raise InputError("it holds black and white only (bool), not shades: save the image as it was before")
    most = 8 * kind.itemsize - (kind.kind == "i")
    if kind != np.uint8 and units.bits is not None and units.bits > most:
        raise InputError(f"it holds {kind}, of {most} bit at most, and {units.bits} are stated: correct the bits")
    known = depth_of(stored, units)
    if known is not None:
        white = _white_of_depth(known, low, high, units)
        if units.bits is None or units.bits <= known:
            return white, ""
        return white, f"{known}-bit values, of which {white:g} is intensity 1: {_without_effect(units)}"
    if kind == np.uint16:
        return 65535.0, _assumed(values, high, units)
    largest = 2**most - 1  # what it cannot hold is no white
    fills = high >= 2 ** (most - 1) and kind == np.uint32  # the type's own range, as of images stretched to it
    likely = largest if fills else next((2**bits - 1 for bits in _DEPTHS if high < 2**bits), high)
    likely, full = min(likely, largest), min(65535, largest)
    raise InputError(
        f"it holds {kind} from {low} to {high}, whose range is not known: if {likely} is intensity 1, say "
        f"{units.say('scale', likely)}"
        + (f"; or, of {full.bit_length()} bit, {units.say('scale', full)}" if likely < full else "")
    )


def _white_of_depth(bits: int, low: int, high: int, units: Units) -> float:
    white = 2**bits - 1
    if low < 0 or high > white:
        raise InputError(f"it holds {low} to {high}, and {bits} bit go from 0 to {white}: correct scale or bits")
    if high == 1 < white:
        binary, full = units.say("scale", 1), units.say("scale", white)
        raise InputError(f"it holds 0 and 1 only: if 1 is white, say {binary}; if {white} is, {full}")
    return float(white)


def _assumed(values: NDArray[Any], high: int, units: Units) -> str:
    """Return the note on 16-bit values that nearly all fit fewer bits; empty where they do not."""
    nearly_all = float(np.percentile(values, 99.9))
    fitting = [bits for bits in _DEPTHS if nearly_all < 2**bits]
    if nearly_all >= 2**15:
        return ""
    fewer = f"if they are of {fitting[0]} bit" if fitting[0] < 16 else "if they are of fewer bits"
    return (
        f"16-bit values up to {high}, taken for the range of 16 bit, 0 to 65535; {fewer}, say "
        f"{units.say('bits', min(fitting[0], 15))}"
    )


def unlike(image: NDArray[Any], reference: NDArray[Any]) -> str:
    """Return how the values of an image contradict those of another image of the scene; empty where they do not.

    Means over blocks distinguish another scale, offset or sign from the effects of blur, noise and a poor restoration.
    Where no straight line relates the two images, the result is empty.

    Args:
        image: Shape (C, H, W).
        reference: the other image, of the same Shape.
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
    """Return how the mean of an image differs from that of the blurred image; empty where it hardly does.

    Blurring and deblurring keep the mean, except at the border. Another mean points to another scale, an offset, or
    another response of the camera.

    Args:
        image: Shape (C, H, W).
        reference: the blurred image of the same scene, of the same Shape.
    """
    mean, expected = float(image.mean()), float(reference.mean())
    if abs(mean - expected) < _NEAR or expected / _TIMES < mean < expected * _TIMES:
        return ""
    return f"a mean of {mean:.3g}, where the blurred image has {expected:.3g}: another scale, or another response"


def _coarse(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of blocks of every channel, about sixteen blocks along an axis."""
    height, width = image.shape[1:]
    rows, columns = max(1, height // 16), max(1, width // 16)
    kept = np.asarray(image[:, : height // rows * rows, : width // columns * columns], np.float64)
    blocks = kept.reshape(len(image), height // rows, rows, width // columns, columns)
    return np.asarray(blocks.mean((2, 4)))
