"""Kernels that are wrong in a controlled way: `perturbed:noise=0.1:rotate=2`, for how methods bear kernel errors."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from scipy import ndimage

from nidbench.contract import Kernel, normalised
from nidbench.errors import InputError

_EXAMPLE = "perturbed:noise=0.1:rotate=2, with noise, blur, rotate, shift, pad and seed"


@dataclass(frozen=True, init=False)
class Perturbed:
    """Another kernel than the true one: padded, then turned, shifted, blurred, then with noise.

    Attributes:
        noise: relative error |k' - k| / |k| (root of summed squares) of a noise that leaves no value negative: a part
            of the kernel's weight goes to random places of its rectangle. From 0 to what that can reach, about 0.9.
        blur: standard deviation in pixels of a Gaussian that blurs the kernel, which grows by 3 of them a side.
        rotate: degrees, about the kernel's origin; what leaves the rectangle is lost.
        shift: pixels down and right, by linear interpolation; the kernel grows by as many a side.
        pad: pixels of zeros added a side; negative cuts pixels off.
        seed: which draw of the noise; each image and kernel has its own.
    """

    argument: ClassVar[str] = "noise=0.1"
    noise: float = 0.0
    blur: float = 0.0
    rotate: float = 0.0
    shift: float = 0.0
    pad: int = 0
    seed: int = 0

    def __init__(self, text: str) -> None:
        known = {field.name: field.type for field in fields(self)}
        given: set[str] = set()
        for part in text.split(":"):
            name, _, value = part.partition("=")
            if name not in known:
                raise InputError(f"kernel error perturbed:{text}: there is no {name!r}; write {_EXAMPLE}")
            if name in given:
                raise InputError(f"kernel error perturbed:{text}: {name} is given twice; write {_EXAMPLE}")
            given.add(name)
            try:
                object.__setattr__(self, name, int(value) if known[name] == "int" else float(value))
            except ValueError:
                raise InputError(f"kernel error perturbed:{text}: {part!r} has no number; write {_EXAMPLE}") from None
        self._check(text)

    def _check(self, text: str) -> None:
        limits = {"noise": (0, 1), "blur": (0, 20), "rotate": (-180, 180), "shift": (-50, 50), "pad": (-500, 500)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"kernel error perturbed:{text}: {name} must lie in [{low}, {high}]")

    @property
    def label(self) -> str:
        """The settings that differ from none, as `noise=0.1:seed=3`."""
        own = ((field.name, getattr(self, field.name), field.default) for field in fields(self))
        return ":".join(f"{name}={_digits(value)}" for name, value, default in own if value != default) or "noise=0"

    def known_kernel(self, kernel: Kernel, image: str, name: str) -> Kernel:
        """Return the wrong kernel, Shape (kh, kw) and as many pixels more as the errors take, sum 1.

        Raises:
            InputError: where the errors leave nothing of the kernel, or the noise is more than the kernel can have.
        """
        wrong = padded(kernel, self.pad + math.ceil(abs(self.shift)) + math.ceil(3 * self.blur))
        if self.rotate:
            wrong = rotated(wrong, self.rotate)
        if self.shift:
            wrong = ndimage.shift(wrong, self.shift, order=1)
        if self.blur:
            wrong = ndimage.gaussian_filter(wrong, self.blur, mode="constant", truncate=3)
        if wrong.sum() <= 0:
            raise InputError(f"kernel error perturbed:{self.label} leaves nothing of kernel {name}: use smaller values")
        wrong = normalised(wrong)
        return noisy(wrong, self.noise, _generator(f"{image} {name} {self.seed}"), name) if self.noise else wrong


def _digits(value: float) -> str:
    """Return a number in six digits where these are all of it, else in all that it has."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def padded(kernel: Kernel, pixels: int) -> Kernel:
    """Return a kernel with so many pixels of zeros more a side, or cut off where negative; its origin stays at k//2.

    Raises:
        InputError: where nothing is left.
    """
    if pixels >= 0:
        return np.pad(kernel, pixels)
    if min(kernel.shape) + 2 * pixels < 1:
        size = f"{kernel.shape[0]}x{kernel.shape[1]}"
        raise InputError(f"kernel error pad={pixels} leaves nothing of a kernel of {size}: cut less off")
    return kernel[-pixels:pixels, -pixels:pixels]


def rotated(kernel: Kernel, degrees: float) -> Kernel:
    """Return a kernel turned about its origin k//2 by bilinear interpolation, in the same rectangle."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    origin = np.array([side // 2 for side in kernel.shape])
    return np.asarray(ndimage.affine_transform(kernel, turn, origin - turn @ origin, order=1))


def noisy(kernel: Kernel, error: float, generator: np.random.Generator, name: str) -> Kernel:
    """Return (1 - t) k + t q with a random kernel q >= 0, and t such that |k' - k| / |k| is the error.

    Raises:
        InputError: where even q alone is nearer.
    """
    random = generator.standard_exponential(kernel.shape)
    random /= random.sum()
    share = error * np.linalg.norm(kernel) / np.linalg.norm(random - kernel)
    if share > 1:
        raise InputError(
            f"kernel error noise={error:g} is more than kernel {name} can have: give at most {error / share:.3g}"
        )
    mixed: Kernel = (1 - share) * kernel + share * random
    return mixed


def _generator(key: str) -> np.random.Generator:
    digest = hashlib.sha256(f"kernel error {key}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
