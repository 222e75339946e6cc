"""What people hand over from Python, looked at once: images, kernels, numbers, methods; refused in words."""

from __future__ import annotations

import math
import operator
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nidbench.contract.method import Method
from nidbench.errors import InputError
from nidbench.images import DARK, kernel_notice, misread, other_contrast, other_level, other_mean, unlike
from nidbench.images.psf_faults import fault
from nidbench.physics.arrays import Image, Kernel, plain_array
from nidbench.physics.kernel import normalised
from nidbench.physics.measure import DARKEST
from nidbench.physics.noise import Noise
from nidbench.physics.noise_level import estimate_noise_level
from nidbench.physics.problem import Problem

#: How far values may lie outside [0, 1] before noise: a camera that saturates shows scenes of up to twice that.
LOWEST, HIGHEST = -0.5, 2.0

#: How many standard deviations one of a hundred pixels may lie further below than without noise: of noise alone 2.3.
_MOST_DEVIATIONS = 3.0

#: A restoration is on another scale where one of a hundred values is beyond this.
_OTHER_SCALE = 10.0

#: Correlation above which two images are of one scene.
_ALIKE = 0.7


def kernel_of(array: Any) -> Kernel:
    """Return a kernel, Shape (kh, kw), float64, sum 1.

    Raises:
        InputError: where it holds no real numbers, has another shape, or weights that cancel each other.
    """
    kernel = plain_array("kernel", array)
    if kernel.dtype.kind not in "fiub":
        raise InputError(f"kernel holds {kernel.dtype}: give real numbers")
    kernel = kernel.astype(np.float64)
    unit = normalised(kernel)
    if kernel.sum() < 0.1 * np.abs(kernel).sum():
        raise InputError(
            f"kernel sums to {kernel.sum():.4g}, while its weights without their signs sum to "
            f"{np.abs(kernel).sum():.4g}: a blur kernel has weights of at least 0"
        )
    return unit


#: What a person does about the weights of an array, by the word that does it to those of a file.
_BY_HAND = {
    "border": "subtract the level of its border",
    "clip": "give kernel.clip(0, None)",
    "keep": "ignore this warning",
    "centred": "",
}


def warn_of_kernel(kernel: Kernel) -> None:
    """Warn of an array whose file would be refused as a kernel, or noted: on a background, wrapped, off its middle.

    Args:
        kernel: Shape (kh, kw), sum 1.
    """
    if found := fault(kernel, kept=False, say=_BY_HAND.__getitem__):
        reason, way_out = found
        warnings.warn(f"the kernel is taken as it is, and {reason}: {way_out}", stacklevel=3)
    elif notice := kernel_notice(kernel, say=_BY_HAND.__getitem__):
        warnings.warn(f"the kernel {notice}", stacklevel=3)


def warn_of_darkness(name: str, image: Image) -> None:
    """Warn of an image on [0, 1] that is as dark as that of a camera of 14 bit or less, divided by 65535.

    Args:
        name: what it is.
        image: any shape.
    """
    highest = float(image.max(initial=0.0))
    if image.dtype.kind == "f" and 0 < highest <= DARK:
        warnings.warn(
            f"{name} goes up to {highest:.3g} of 1: if another value is white, as after a division of 12-bit values by "
            "65535, divide by that, or PSNR and noise are on another scale",
            stacklevel=3,
        )


def warn_of_misreading(problem: Problem, restored: Image, shows: tuple[slice, slice] | None, seen: Image) -> None:
    """Warn of a restoration of another contrast or brightness than y, or that explains y better if turned or moved.

    Args:
        problem: y, without noise, and k.
        restored: x or the part of it that is shown, Shape (C, H, W).
        shows: the rows and columns of x that it shows; None for all.
        seen: what the camera would show of it where y is, of the Shape of y.
    """
    corner = (0, 0) if shows is None else (shows[0].start, shows[1].start)
    brightness = other_mean(seen, problem.blurred) if _resembles(seen, problem.blurred) else ""
    if scale := brightness or other_contrast(problem, restored, corner) or other_level(problem, restored, corner):
        warnings.warn(f"restored is scored as it is, and has {scale}", stacklevel=3)
    if better := misread(problem, restored, corner, of_kernel=False):
        warnings.warn(f"restored is scored as it is, and its blurred image contradicts it: {better}", stacklevel=3)


def _resembles(image: Image, reference: Image) -> bool:
    """Return whether two images are of one scene, whatever their scales: noise and one gray are poor restorations."""
    spread = float(image.std() * reference.std())
    return spread > 0 and float(((image - image.mean()) * (reference - reference.mean())).mean()) > _ALIKE * spread


def check_scale(blurred: Image, noise: Noise) -> None:
    """Refuse a blurred image that is on another scale than [0, 1], as far as its noise lets that be known.

    Raises:
        InputError: naming the range of its values.
    """
    if noise.level is None:
        margin = 1.0
    elif noise.kind == "poisson":
        margin = 8 * math.sqrt(HIGHEST / noise.level) + 8 / noise.level
    else:
        margin = 8 * noise.level
    low, high = float(blurred.min()), float(blurred.max())
    if low < LOWEST - margin or high > HIGHEST + margin:
        raise InputError(
            f"blurred spans [{low:.4g}, {high:.4g}], which is not [0, 1] and noise: divide it, and the standard "
            "deviation of its noise, by the value of white, such as 255"
        )
    first = float(np.percentile(blurred, 1))
    if first < DARKEST and first < DARKEST - _MOST_DEVIATIONS * _deviation(blurred, noise):
        raise InputError(
            f"blurred spans [{low:.4g}, {high:.4g}], and one of a hundred values is below {first:.4g}, which is not "
            "[0, 1] and noise: give (y + 1) / 2 of a y on [-1, 1], and half of the standard deviation of its noise"
        )


def _deviation(blurred: Image, noise: Noise) -> float:
    """Return the standard deviation that noise has in the dark; an estimate, which takes long, where none is given."""
    if noise.kind == "poisson":
        return 0.0  # photons are never negative
    return estimate_noise_level(blurred) if noise.level is None else noise.level


def check_restored_scale(restored: Image) -> None:
    """Refuse a restoration that holds values that are not finite, or is on another scale than [0, 1].

    Raises:
        InputError: naming what it holds.
    """
    if not np.isfinite(restored).all():
        raise InputError("restored holds values that are not finite: it has no score")
    if np.quantile(np.abs(restored), 0.99) > _OTHER_SCALE:
        raise InputError(
            f"restored spans [{restored.min():.4g}, {restored.max():.4g}]: divide it by the value of white, such as 255"
        )


def check_related(restored: Image, blurred: Image) -> None:
    """Refuse a restoration on another scale than the measurement, or of the opposite sign.

    Args:
        restored: what the camera would show of it where the measurement is, Shape (C, h, w).
        blurred: the blurred image of the same scene, of the same Shape; without noise where that is not known.

    Raises:
        InputError: naming how the two are related.
    """
    if fitting := unlike(restored, blurred):
        raise InputError(
            f"restored is not on the scale of the truth, whose blurred image is {fitting}: give it on [0, 1], such as "
            "(x + 1) / 2 of an x on [-1, 1], or divided by the value of white"
        )


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Return a whole number of at least `least`.

    Raises:
        InputError: for anything else.
    """
    rule = f"{name} is {value!r}: give a whole number of at least {least}"
    if isinstance(value, bool):
        raise InputError(rule)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(rule) from None
    if number < least:
        raise InputError(rule)
    return number


def seconds_of(name: str, value: object, *, zero: bool) -> float:
    """Return a finite time in seconds, positive or, with `zero`, at least 0.

    Raises:
        InputError: for anything else.
    """
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and (number > 0 or (zero and number == 0))):
        raise InputError(f"{name} is {value!r}: give seconds, {'at least 0' if zero else 'more than 0'}")
    return float(number)


def path_of(name: str, value: object) -> Path:
    """Return the path of a file.

    Raises:
        InputError: for what is none, such as an array or an open file.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(
            f"{name} is of type {type(value).__name__}: give the path of a file; nidbench.restore takes arrays"
        )
    return Path(value)


def value_of(name: str, value: object) -> float | None:
    """Return a real number, or None for None.

    Raises:
        InputError: for anything else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{name} is {value!r}: give a number, such as 255")
    return float(value)


def text_of(name: str, value: object, example: str) -> str:
    """Return a text.

    Raises:
        InputError: for anything else.
    """
    if not isinstance(value, str):
        raise InputError(f"{name} is {value!r}: give text, such as {example!r}")
    return value


def method_of(method: object) -> Method:
    """Return a method: by its name, or as it is.

    Raises:
        InputError: for what is no method.
        UnknownNameError: for an unknown name.
    """
    from .registered import load_method

    if isinstance(method, str):
        return load_method(method)
    if isinstance(method, type) or not callable(getattr(method, "restore", None)):
        raise InputError(
            f"method is {method!r}: give a name such as 'tv', a method such as TV(), or, of a file, "
            "nidbench.load_method('my_method', method_file='my_method.py')"
        )
    chosen: Method = method  # type: ignore[assignment]
    return chosen
