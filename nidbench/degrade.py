"""From a sharp image to a measurement: y = g(k * x) + n, the same bytes on every machine, in every order."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from .contract import IDENTITY, CaseKey, Image, Kernel, Noise, Problem, Response, normalised
from .errors import InputError

_RANGES = {"gaussian": (0.0, 1.0), "poisson": (1.0, 1e9), "bsnr": (0.0, 120.0)}
_EXAMPLES = "gaussian:0.05 (standard deviation on [0, 1]), poisson:128 (peak count) or bsnr:40 (dB)"

#: The valid region must hold one SSIM window.
SMALLEST_VALID = 11


@dataclass(frozen=True)
class NoiseSpec:
    """Noise as it is asked for.

    Attributes:
        kind: `gaussian`, `poisson` or `bsnr`.
        value: standard deviation on [0, 1]; photon count of intensity 1; or blurred-signal-to-noise ratio in dB.
    """

    kind: str
    value: float

    @classmethod
    def parse(cls, text: str) -> NoiseSpec:
        """Read `kind:value`.

        Raises:
            InputError: for another form, an unknown kind or an absurd value.
        """
        kind, _, value = text.partition(":")
        if kind not in _RANGES:
            raise InputError(f"noise {text!r} is of no known kind: use {_EXAMPLES}")
        low, high = _RANGES[kind]
        try:
            number = float(value)
        except ValueError:
            raise InputError(f"noise {text!r} has no number: use {_EXAMPLES}") from None
        if not (math.isfinite(number) and low <= number <= high):
            hint = " (a percentage? 5 % is gaussian:0.05)" if kind == "gaussian" and number > 1 else ""
            raise InputError(f"noise {text!r}: the value must lie in [{low:g}, {high:g}]{hint}")
        return cls(kind, number)

    def __str__(self) -> str:
        return f"{self.kind}:{self.value!r}".removesuffix(".0")


def measure(
    sharp: Image,
    kernel: NDArray[Any],
    noise: str,
    *,
    key: CaseKey | str,
    response: Response = IDENTITY,
    declared: str = "known",
) -> Problem:
    """Return the measurement of a sharp image.

    The blur is computed in float64 and stored as float32; the noise comes from a counter-based generator keyed by what
    the measurement is, never by when or where it is made.

    Args:
        sharp: x, linear, Shape (C, H, W), in [0, 1] or, where a camera saturates, up to its gain.
        kernel: k, Shape (kh, kw), any positive sum.
        noise: `gaussian:SIGMA`, `poisson:PEAK` or `bsnr:DB`.
        key: names the noise draw.
        response: g, and how the camera stores y.
        declared: what the method is told of the level, see `told_noise`.

    Raises:
        InputError: where image, kernel or noise break a rule, or the image is too small for the kernel.
    """
    spec = NoiseSpec.parse(noise)
    kernel = normalised(kernel)
    clean = blur(sharp, kernel).astype(np.float32)
    clean = response.apply(clean.clip(0, None) if response.kind == "gamma" else clean).astype(np.float32)
    generator = noise_generator(key)
    if spec.kind == "poisson":
        blurred = generator.poisson(spec.value * clean.astype(np.float64).clip(0, None)) / spec.value
        level = spec.value
    else:
        level = spec.value if spec.kind == "gaussian" else bsnr_sigma(clean, spec.value)
        blurred = clean + level * generator.standard_normal(clean.shape)
    noise_of = Noise("poisson" if spec.kind == "poisson" else "gaussian", level)
    return Problem(response.stored(blurred).astype(np.float32), kernel, told_noise(noise_of, declared), response)


def blur(sharp: Image, kernel: Kernel) -> NDArray[np.float64]:
    """Return k * x, valid true convolution in float64: Shape (C, H, W) to (C, H-kh+1, W-kw+1).

    Raises:
        InputError: where the valid region would be smaller than one SSIM window.
    """
    sharp = check_image(sharp)
    check_sizes(sharp, kernel)
    (_, height, width), (kh, kw) = sharp.shape, kernel.shape
    # not scipy.signal.fftconvolve, the same sums: its import takes longer than a hundred blurs
    size = next_fast_len(height + kh - 1, real=True), next_fast_len(width + kw - 1, real=True)
    convolved = irfft2(rfft2(sharp.astype(np.float64), size) * rfft2(kernel, size), size)
    valid: NDArray[np.float64] = convolved[:, kh - 1 : height, kw - 1 : width]
    return valid


def check_sizes(sharp: Image, kernel: Kernel) -> None:
    """Refuse an image that is too small for a kernel.

    Raises:
        InputError: where the valid region would be smaller than one SSIM window.
    """
    (_, height, width), (kh, kw) = sharp.shape, kernel.shape
    h, w = height - kh + 1, width - kw + 1
    if min(h, w) < SMALLEST_VALID:
        raise InputError(
            f"image of {height}x{width} is too small for a kernel of {kh}x{kw}: its valid region of {max(h, 0)}x"
            f"{max(w, 0)} cannot be scored, that takes {SMALLEST_VALID}x{SMALLEST_VALID}; "
            "use a larger image or a smaller kernel"
        )


def check_image(image: NDArray[Any]) -> Image:
    """Return an image that keeps the rules.

    Raises:
        InputError: not (1 or 3, H, W), not floating point, not finite, or far outside [0, 1].
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3) or 0 in image.shape:
        raise InputError(f"image has shape {image.shape}: give (C, H, W) with C = 1 (gray) or 3 (colour)")
    if image.dtype.kind != "f":
        raise InputError(f"image holds {image.dtype}: give floats in [0, 1] (8-bit values divided by 255)")
    if not np.isfinite(image).all():
        raise InputError("image holds values that are not finite")
    if image.min() < -0.5 or image.max() > 2:
        raise InputError(f"image spans [{image.min():.4g}, {image.max():.4g}]: scale it to [0, 1]")
    return image


def bsnr_sigma(clean: Image, decibels: float) -> float:
    """Return the noise level of a blurred-signal-to-noise ratio: sqrt(var(k * x) / 10^(dB/10)), per image."""
    return float(np.sqrt(clean.astype(np.float64).var() / 10 ** (decibels / 10)))


def told_noise(noise: Noise, declared: str) -> Noise:
    """Return what a method is told of noise of a known level.

    Args:
        noise: as it is.
        declared: `known`, `estimated` (no level is told) or a factor such as `x1.2`: the standard deviation told is as
            many times the true one, so that a Poisson peak is divided by the factor's square.

    Raises:
        InputError: for another word or factor, or a factor on a level that nobody knows.
    """
    factor = declared_factor(declared)
    if noise.level is None and declared not in ("known", "estimated"):
        raise InputError(
            f"declared noise level {declared!r}: the level of what was measured is not known; leave it out"
        )
    if noise.level is None or factor is None:
        return Noise(noise.kind, None)
    return Noise(noise.kind, noise.level / factor**2 if noise.kind == "poisson" else noise.level * factor)


def declared_factor(declared: str) -> float | None:
    """Return by which factor a method is told a wrong standard deviation: 1 for `known`, None for `estimated`.

    Raises:
        InputError: for anything but `known`, `estimated` or `xFACTOR`.
    """
    if declared == "estimated":
        return None
    if declared == "known":
        return 1.0
    try:
        factor = float(declared.removeprefix("x")) if declared.startswith("x") else math.nan
    except ValueError:
        factor = math.nan
    if not 0 < factor < 100:
        raise InputError(f"declared noise level {declared!r}: use known, estimated, or a factor such as x1.2")
    return factor


def noise_generator(key: CaseKey | str) -> np.random.Generator:
    """Return the counter-based generator of a measurement's noise."""
    digest = hashlib.sha256(str(key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
