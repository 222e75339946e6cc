"""The part of an error that a blur hides: what lies at frequencies where the kernel's transfer function is near zero.

The paper calls {e : ||k * e|| << 1} the approximate null space of a kernel (eq. 3): such an e added to x hardly changes
y, so that no data term sees it (Fig. 1). It gives no number for "<<". Here the null space is a *band* of frequencies,
those with |K| < `THRESHOLD` max |K|: convolution acts on each frequency by itself, so that the split of an error into
its parts inside and outside is exact and orthogonal.

How much of the error lies in the band says little: at 5 % noise it is less than outside. More is told by `null_ratio`,
the error's energy in the band over the truth's: 1 where a method leaves the band empty, less where it fills it rightly.
And noise hides more than the kernel does: where |K|^2 Sx < Sn, y has less of x than of noise. This is the *noisy
band*, with Sn = sigma^2 and Sx = c / |f|^2, the law of natural images, where c gives the truth's variance: a truth's
own spectrum would make a band of single frequencies, low by chance. `noisy_error` is the part of the error in it. On
Set12 01-04, one Levin kernel each, 5 %: `null_ratio` is .60 of fdn, .68 of fcnn, .85 of tv, .97 of wiener, and
`noisy_error` .66 to .73.

Bounds to what the bands say:

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

from nidbench.errors import InputError
from nidbench.physics.arrays import Image, Kernel
from nidbench.physics.problem import Problem

#: Of max |K|: of a component of full contrast not more gets through than noise of 5 %, a usual level, has in a pixel.
THRESHOLD = 0.05

#: Part of each side over which an error rises from 0: cut off, its parts would be full of the borders' own spectrum.
RAMP = 1 / 8

#: The names under which records hold what a `Split` says.
MEASURES = ("null_mse", "seen_mse", "null_share", "null_ratio", "noisy_share", "noisy_error")


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


def measures(error: Image, truth: Image, problem: Problem) -> dict[str, float]:
    """Return what the bands say of an error, by the names of `MEASURES`: those that can be known.

    `null_mse` and `seen_mse` are the parts of the mean squared error in the near-null band and out of it, `null_share`
    is the band's fraction of the frequencies, `null_ratio` the error's energy in it over the truth's; `noisy_share` is
    the noisy band's fraction of the frequencies and `noisy_error` that of the error's energy.

    Args:
        error: restoration minus truth, on the region that y shows, Shape (C, h, w).
        truth: of the same region.
        problem: whose kernel and noise level make the bands.
    """
    shape = error.shape[1:]
    magnitude = np.abs(np.fft.rfft2(_wrapped(problem.kernel, shape)))
    bands = {"null": magnitude < THRESHOLD * magnitude.max(), "noisy": _noisy(magnitude, truth, problem)}
    errors, own, count = _energy(error), _energy(truth), _twins(shape)
    shares = {name: float((count * band).sum() / count.sum()) for name, band in bands.items() if band is not None}
    inside, whole = float(errors[bands["null"]].sum()), float(errors.sum())
    scale = error.size * float((taper(shape) ** 2).sum())
    found = {"null_mse": inside / scale, "seen_mse": (whole - inside) / scale, "null_share": shares["null"]}
    if own[bands["null"]].any():
        found["null_ratio"] = inside / float(own[bands["null"]].sum())
    if "noisy" in shares:
        found["noisy_share"] = shares["noisy"]
        if whole:
            found["noisy_error"] = float(errors[bands["noisy"]].sum()) / whole
    return found


def noisy_band(truth: Image, problem: Problem) -> NDArray[np.bool_] | None:
    """Return where y has less of x than of noise, |K|^2 Sx < Sn; None where nothing tells.

    That is where the problem's noise has no level, and where its response is not the identity.

    Args:
        truth: x on the region that y shows, Shape (C, h, w).
        problem: with the kernel and the noise.

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
    # the mean of Sx over all frequencies but 0 is the variance of a pixel
    scale = float(truth.var(axis=(1, 2)).mean()) * height * width / float((_twins((height, width)) * inverse).sum())
    band: NDArray[np.bool_] = (magnitude**2 * inverse * scale < variance) & (squares > 0)
    return band


def _energy(image: Image) -> NDArray[np.float64]:
    """Return the energy of an image, tapered, over all channels, at each frequency of `rfft2` and its twin."""
    spectrum = np.fft.rfft2(image.astype(np.float64) * taper(image.shape[1:]))
    energy: NDArray[np.float64] = (spectrum.real**2 + spectrum.imag**2).sum(axis=0) * _twins(image.shape[1:])
    return energy


def _twins(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return how many frequencies each one of `rfft2` stands for, Shape (h, w // 2 + 1)."""
    height, width = shape
    columns = np.full(width // 2 + 1, 2.0)
    columns[0] = 1
    if width % 2 == 0:
        columns[-1] = 1
    return np.tile(columns, (height, 1))


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
    magnitude = np.abs(np.fft.fft2(_wrapped(kernel, shape)))
    relative: NDArray[np.float64] = magnitude / magnitude.max()
    return relative


def _wrapped(kernel: Kernel, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a kernel on Shape (h, w); a larger one is wrapped, which has the same transform at these frequencies."""
    height, width = shape
    rows, columns = (-(-n // side) * side for n, side in zip(kernel.shape, shape, strict=True))
    padded = np.zeros((rows, columns))
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    wrapped: NDArray[np.float64] = padded.reshape(rows // height, height, columns // width, width).sum((0, 2))
    return wrapped


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
