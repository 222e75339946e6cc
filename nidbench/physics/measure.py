"""Makes measurements of sharp images, y = g(k * x) + n: the same bytes on every machine and in every order."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .arrays import Image, Kernel, check_finite
from .case_key import CaseKey
from .kernel import normalised
from .noise import Noise, NoiseSpec, declared_noise
from .problem import Problem
from .response import IDENTITY, Response

#: Side in pixels of the smallest valid region: it must hold one SSIM window.
SMALLEST_VALID = 11

#: The value below which one of a hundred pixels may lie without noise, as in files.
DARKEST = -0.25


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

    The blur is computed in float64 and stored as float32. The noise comes from a counter-based generator whose key is
    the name of the measurement, so that neither time nor place nor order changes it.

    Args:
        sharp: x, linear, Shape (C, H, W), in [0, 1] or, where a camera saturates, up to its gain.
        kernel: k, Shape (kh, kw), any positive sum.
        noise: `gaussian:SIGMA`, `poisson:PEAK` or `bsnr:DB`.
        key: names the noise draw.
        response: the camera's g, and how it stores y.
        declared: what methods know of the noise level, see `declared_noise`.

    Raises:
        InputError: where the image, the kernel or the noise breaks a rule, or the image is too small for the kernel.
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
    true_noise = Noise("poisson" if spec.kind == "poisson" else "gaussian", level)
    return Problem(response.stored(blurred).astype(np.float32), kernel, declared_noise(true_noise, declared), response)


def blur(sharp: Image, kernel: Kernel) -> NDArray[np.float64]:
    """Return k * x, valid true convolution in float64: Shape (C, H, W) to (C, H-kh+1, W-kw+1).

    Raises:
        InputError: where the valid region would be smaller than one SSIM window.
    """
    sharp = check_image(sharp)
    check_sizes(sharp, kernel)
    return convolved(sharp, kernel)


def convolved(image: Image, kernel: Kernel) -> NDArray[np.float64]:
    """Return k * x as `blur` does, of any x that is no smaller than k: restorations may lie far outside [0, 1]."""
    from scipy.fft import irfft2, next_fast_len, rfft2  # a third of the time in which a command starts

    (_, height, width), (kh, kw) = image.shape, kernel.shape
    # scipy.signal.fftconvolve computes the same sums, but its import takes longer than a hundred blurs
    size = next_fast_len(height + kh - 1, real=True), next_fast_len(width + kw - 1, real=True)
    whole = irfft2(rfft2(image.astype(np.float64), size) * rfft2(kernel, size), size)
    valid: NDArray[np.float64] = whole[:, kh - 1 : height, kw - 1 : width]
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
            f"{max(w, 0)} is below {SMALLEST_VALID}x{SMALLEST_VALID}, which scoring needs; "
            "use a larger image or a smaller kernel"
        )


def check_image(image: NDArray[Any]) -> Image:
    """Return the image, or refuse it where it breaks a rule.

    Raises:
        InputError: where it is not of Shape (1 or 3, H, W), not floating point, not finite, or far outside [0, 1], also
            where it is so with its mean taken off.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3) or 0 in image.shape:
        raise InputError(f"image has shape {image.shape}: give (C, H, W) with C = 1 (gray) or 3 (colour)")
    if image.dtype.kind != "f":
        raise InputError(f"image holds {image.dtype}: give floats in [0, 1] (8-bit values divided by 255)")
    check_finite("image", image)
    if image.min() < -0.5 or image.max() > 2:
        raise InputError(f"image spans [{image.min():.4g}, {image.max():.4g}]: scale it to [0, 1]")
    if image.min() < DARKEST and (first := float(np.percentile(image, 1))) < DARKEST:
        raise InputError(
            f"image spans [{image.min():.4g}, {image.max():.4g}], and one of a hundred values is below {first:.4g}: "
            "bring it to [0, 1], such as by x + 0.5 of an x on [-0.5, 0.5]"
        )
    return image


def bsnr_sigma(clean: Image, decibels: float) -> float:
    """Return the standard deviation of noise that gives an image a blurred-signal-to-noise ratio.

    It is sqrt(var(k * x) / 10^(dB/10)), for `clean` = k * x of Shape (C, h, w).
    """
    return float(np.sqrt(clean.astype(np.float64).var() / 10 ** (decibels / 10)))


def noise_generator(key: CaseKey | str) -> np.random.Generator:
    """Return the counter-based generator of a measurement's noise; equal keys give equal noise."""
    digest = hashlib.sha256(str(key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
