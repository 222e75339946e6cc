"""Measurements of nidbench as physics of DeepInverse, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nidbench.contract import Noise, Problem
from nidbench.errors import InputError

from .package import load


def physics_of(problem: Problem, device: str = "cpu") -> Any:
    """Return the measurement of a problem as `deepinv.physics.Blur`, with its noise model.

    Its `A` is the blur of `problem.operator()`: a valid true convolution, x (B, C, H, W) on the frame of x to
    (B, C, h, w). A Gaussian level that is not declared is the one estimated from y; a Poisson level that is not
    declared gives no noise model.

    Args:
        problem: y, k, and what is declared of the noise.
        device: torch device name.

    Raises:
        InputError: for a response other than identity: the blur of DeepInverse is linear.
        NidbenchError: where DeepInverse cannot be used.
    """
    if problem.response.kind != "identity":
        raise InputError(
            f"the response is {problem.response}, and deepinv's Blur is linear: undo the response of y first"
        )
    deepinv = load()
    return deepinv.physics.Blur(
        filter=kernel_tensor(problem),
        padding="valid",
        use_fft=True,  # equal to the direct sum, and faster for the kernels of the field
        noise_model=_noise_model(problem),
        device=device,
    )


def circular_physics_of(problem: Problem, device: str = "cpu") -> Any:
    """Return the circular blur on the frame of x as `deepinv.physics.BlurFFT`, which has singular values.

    Its measurement is `problem.operator().tapered`, and its transfer function is that of `nidbench.physics.blur`.

    Raises:
        NidbenchError: where DeepInverse cannot be used.
    """
    deepinv = load()
    return deepinv.physics.BlurFFT(
        img_size=(1, *problem.frame), filter=kernel_tensor(problem), noise_model=_noise_model(problem), device=device
    )


def kernel_tensor(problem: Problem) -> Tensor:
    """Return k as a filter, float32, Shape (1, 1, kh, kw)."""
    return torch.from_numpy(np.ascontiguousarray(problem.kernel, dtype=np.float32))[None, None]


def _noise_model(problem: Problem) -> Any:
    noise = load().physics
    if problem.noise.kind == "gaussian":
        return noise.GaussianNoise(problem.sigma())
    if problem.noise.level is None:
        return noise.ZeroNoise()
    return noise.PoissonNoise(gain=1 / problem.noise.level, clip_positive=True)


def problems_of(y: Tensor, physics: Any) -> list[Problem]:
    """Return the problems of a batch that a physics of DeepInverse has measured, one for each image.

    A Gaussian or a normalised Poisson noise model declares its level; any other declares a Gaussian one of unknown
    level, which methods estimate.

    Args:
        y: Shape (B, C, h, w), C = 1 or 3, nominally in [0, 1].
        physics: `deepinv.physics.Blur` with `padding="valid"` and a filter (1 or B, 1, kh, kw); it is read by its
            attributes `filter`, `padding` and `noise_model` only.

    Raises:
        InputError: for another shape, another physics, or a kernel that breaks a rule.
    """
    if y.ndim != 4 or y.shape[1] not in (1, 3):
        raise InputError(f"y has shape {tuple(y.shape)}: give (B, C, h, w) with C = 1 or 3")
    kernels = _kernels(physics, len(y))
    levels = _noises(getattr(physics, "noise_model", None), len(y))
    images = y.detach().cpu().float().numpy()
    return [Problem(*each) for each in zip(images, kernels, levels, strict=True)]


def _kernels(physics: Any, count: int) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Return a kernel for each of a batch, Shape (kh, kw), sum 1."""
    filters, padding = getattr(physics, "filter", None), getattr(physics, "padding", None)
    if not isinstance(filters, Tensor) or padding != "valid":
        raise InputError(
            f"physics is {type(physics).__name__}, padding {padding!r}: nidbench's methods restore what a valid blur "
            'shows, give deepinv.physics.Blur(filter=kernel, padding="valid")'
        )
    if filters.ndim != 4 or filters.shape[0] not in (1, count) or filters.shape[1] != 1:
        raise InputError(
            f"filter has shape {tuple(filters.shape)} for {count} images: give (1, 1, kh, kw) or ({count}, 1, kh, kw)"
        )
    kernels = filters[:, 0].detach().cpu().double().numpy()
    sums = kernels.sum((1, 2), keepdims=True)
    if (abs(sums - 1) > 1e-4).any():
        raise InputError(f"a filter sums to {sums.flat[abs(sums - 1).argmax()]:.6g}, not to 1: divide it by its sum")
    return list(np.array(np.broadcast_to(kernels / sums, (count, *kernels.shape[1:]))))  # arrays that can be written


def _noises(model: Any, count: int) -> list[Noise]:
    """Return what a noise model declares to each of a batch; its class is known by its name."""
    kind = type(model).__name__
    if kind == "GaussianNoise":
        return [Noise("gaussian", level) for level in _levels(model.sigma, count)]
    if kind == "PoissonNoise" and bool(model.normalize):
        return [Noise("poisson", 1 / level) for level in _levels(model.gain, count)]
    return [Noise("poisson" if kind == "PoissonNoise" else "gaussian", None)] * count


def _levels(level: Any, count: int) -> list[float]:
    levels = torch.as_tensor(level).detach().cpu().double().flatten()
    if len(levels) not in (1, count) or not bool((levels.isfinite() & (levels >= 0)).all()):
        raise InputError(
            f"the noise level is {levels.tolist()}: give one not below 0, or one for each of {count} images"
        )
    return [float(each) for each in levels.expand(count)]
