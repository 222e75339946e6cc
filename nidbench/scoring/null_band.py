"""Measures how much of an error a blur hides, at frequencies where the kernel's transfer function is near zero.

The paper calls {e : ||k * e|| << 1} the approximate null space of a kernel (eq. 3): such an e added to x hardly changes
y, so that no data term sees it (Fig. 1). It gives no number for "<<". Here the null space is a *band* of frequencies,
those with |K| < `THRESHOLD` max |K|. Convolution acts on every frequency separately, so that an error splits exactly
into two orthogonal components, one inside the band and one outside.

The amount of error in the band says little: at 5 % noise it is smaller than that outside. `null_ratio` says more: the
error's energy in the band divided by the truth's. It is 1 where a method leaves the band empty, and smaller where it
fills the band with the right content.

Noise hides more than the kernel does. The *noisy band* has the frequencies with |K|^2 Sx < Sn, where y has less of x
than of noise. Here Sn = sigma^2, and Sx = c / |f|^2 is the law of natural images, with c such that the variance is that
of the truth. The spectrum of the truth itself would make a band of scattered frequencies that are low by chance.
`noisy_error` is the fraction of the error in the noisy band.

On Set12 01-04, with one Levin kernel for every image and 5 % noise, `null_ratio` is .60 for fdn, .68 for fcnn, .85 for
tv and .97 for wiener, and `noisy_error` is .66 to .73.

Two limits of these measures:

- Under gamma or saturation the error that is split is that of g(x), as it is scored (`scorer.compare`). The split is
  still exact. But k acts on x, so that the component inside the band may change y.
- Where methods know another kernel than the one that blurred, the band is that of the known kernel: it shows what their
  data term does not see, and not what the blur hid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError
from nidbench.physics.arrays import Image, Kernel
from nidbench.physics.problem import Problem

#: Fraction of max |K| below which a frequency is in the band: a component of full contrast then leaves no more in y
#: than noise of 5 %, a usual level, has in a pixel.
THRESHOLD = 0.05

#: Fraction of a side over which an error rises from 0; without this taper jumps at the border would fill the spectrum.
RAMP = 1 / 8


@dataclass(frozen=True, eq=False)
class Split:
    """An error, split into two orthogonal components whose sum is the error, up to rounding.

    Attributes:
        inside, outside: the components inside and outside the near-null band, Shape (C, h, w), tapered at the borders.
        inside_mse, outside_mse: their mean squares, in squares of the image's unit, divided by the mean square of the
            taper, so that a uniform error has the same value as without taper. Their sum is the weighted mean squared
            error.
        share: fraction of the frequencies in the band; white noise has this fraction of its energy inside.
    """

    inside: Image
    outside: Image
    inside_mse: float
    outside_mse: float
    share: float


def measures(error: Image, truth: Image, problem: Problem) -> dict[str, float]:
    """Return the values of `measures.OF_NULL_BAND` that are defined, by name.

    `null_mse` and `seen_mse` are the mean squared errors inside and outside the near-null band. `null_share` is the
    fraction of the frequencies in it, and `null_ratio` the error's energy in it divided by the truth's. `noisy_share`
    is the fraction of the frequencies in the noisy band, and `noisy_error` the fraction of the error's energy in it.

    Args:
        error: restoration minus truth, on the region that y shows, Shape (C, h, w).
        truth: the truth on the same region.
        problem: the problem, whose kernel and noise level define the bands.
    """
    shape = error.shape[1:]
    magnitude = np.abs(np.fft.rfft2(_wrapped(problem.kernel, shape)))
    bands = {"null": magnitude < THRESHOLD * magnitude.max(), "noisy": _noisy(magnitude, truth, problem)}
    errors, truths, count = _energy(error), _energy(truth), _multiplicity(shape)
    shares = {name: float((count * band).sum() / count.sum()) for name, band in bands.items() if band is not None}
    inside, total = float(errors[bands["null"]].sum()), float(errors.sum())
    scale = error.size * float((taper(shape) ** 2).sum())
    values = {"null_mse": inside / scale, "seen_mse": (total - inside) / scale, "null_share": shares["null"]}
    if truths[bands["null"]].any():
        values["null_ratio"] = inside / float(truths[bands["null"]].sum())
    if "noisy" in shares:
        values["noisy_share"] = shares["noisy"]
        if total:
            values["noisy_error"] = float(errors[bands["noisy"]].sum()) / total
    return values


def noisy_band(truth: Image, problem: Problem) -> NDArray[np.bool_] | None:
    """Return the noisy band: the frequencies with |K|^2 Sx < Sn, where y has less of x than of noise.

    It is None where the problem declares no noise level, or its response is not the identity.

    Args:
        truth: x on the region that y shows, Shape (C, h, w).
        problem: the problem, with its kernel and noise.

    Returns:
        Shape (h, w // 2 + 1), frequencies in the order of `numpy.fft.rfft2`.
    """
    return _noisy(np.abs(np.fft.rfft2(_wrapped(problem.kernel, truth.shape[1:]))), truth, problem)


def _noisy(magnitude: NDArray[np.float64], truth: Image, problem: Problem) -> NDArray[np.bool_] | None:
    level, (height, width) = problem.noise.level, truth.shape[1:]
    if level is None or level <= 0 or problem.response.kind != "identity":
        return None
    variance = level**2 if problem.noise.kind == "gaussian" else max(0.0, float(truth.mean())) / level
    squares = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2
    inverse = np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)
    # the mean of Sx over all frequencies except 0 is the variance of a pixel
    scale = (
        float(truth.var(axis=(1, 2)).mean()) * height * width / float((_multiplicity((height, width)) * inverse).sum())
    )
    band: NDArray[np.bool_] = (magnitude**2 * inverse * scale < variance) & (squares > 0)
    return band


def _energy(image: Image) -> NDArray[np.float64]:
    """Return the energy of a tapered image, summed over channels, at the frequencies of `rfft2` and their mirrors."""
    spectrum = np.fft.rfft2(image.astype(np.float64) * taper(image.shape[1:]))
    energy: NDArray[np.float64] = (spectrum.real**2 + spectrum.imag**2).sum(axis=0) * _multiplicity(image.shape[1:])
    return energy


def _multiplicity(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the number of frequencies of `fft2` that a frequency of `rfft2` represents, Shape (h, w // 2 + 1)."""
    height, width = shape
    columns = np.full(width // 2 + 1, 2.0)
    columns[0] = 1
    if width % 2 == 0:
        columns[-1] = 1
    return np.tile(columns, (height, 1))


def split_error(error: Image, kernel: Kernel, threshold: float = THRESHOLD) -> Split:
    """Split an error into the component that the kernel hides and the one that it shows.

    The error is tapered, with cosine ramps over an eighth of a side, because the Fourier transform is periodic: a jump
    between opposite borders would have energy at all frequencies.

    Args:
        error: restoration minus truth, on the region that y shows, Shape (C, h, w).
        kernel: k, Shape (kh, kw), of any size.
        threshold: fraction of max |K| below which a frequency is in the band, in (0, 1].

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
    inside_mse, outside_mse = (float((component**2).sum()) / squares for component in (inside, outside))
    return Split(inside, outside, inside_mse, outside_mse, float(band.mean()))


def near_null(kernel: Kernel, shape: tuple[int, ...], threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Return the near-null band, |K| < threshold max |K|: Shape (h, w), in the order of `numpy.fft.fft2`.

    Raises:
        InputError: where the threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise InputError(f"threshold {threshold}: give a fraction of max |K| in (0, 1], such as {THRESHOLD}")
    magnitude = transfer_magnitude(kernel, shape)
    # rounding must not separate f from -f at the threshold, or the components of an error would not be real
    mirrored = np.roll(magnitude[::-1, ::-1], (1, 1), (0, 1))
    band: NDArray[np.bool_] = np.maximum(magnitude, mirrored) < threshold
    return band


def transfer_magnitude(kernel: Kernel, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return |K| / max |K| at the frequencies of an image of Shape (h, w), in the order of `numpy.fft.fft2`."""
    magnitude = np.abs(np.fft.fft2(_wrapped(kernel, shape)))
    relative: NDArray[np.float64] = magnitude / magnitude.max()
    return relative


def _wrapped(kernel: Kernel, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a kernel on Shape (h, w); a larger one is wrapped, which keeps its transform at these frequencies."""
    height, width = shape
    rows, columns = (-(-taps // side) * side for taps, side in zip(kernel.shape, shape, strict=True))
    padded = np.zeros((rows, columns))
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    wrapped: NDArray[np.float64] = padded.reshape(rows // height, height, columns // width, width).sum((0, 2))
    return wrapped


def taper(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return weights in (0, 1], Shape (h, w): 1 in the middle, cosine ramps over `RAMP` of a side."""
    weight: NDArray[np.float64] = np.outer(*(_ramps(length) for length in shape))
    return weight


def _ramps(length: int) -> NDArray[np.float64]:
    size = int(RAMP * length)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(size) + 0.5) / max(1, size))
    return np.concatenate([rise, np.ones(length - 2 * size), rise[::-1]])
