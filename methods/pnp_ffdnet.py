"""PnP-FFDNet: deconvolution in turn with a learned denoiser; a supervised reference, with its authors' weights.

The loop and its schedule are those of Zhang, Li, Zuo, Zhang, Van Gool, Timofte, "Plug-and-Play Image Restoration with
Deep Denoiser Prior", IEEE TPAMI 44 (2022), here DPIR; the denoiser is that of Zhang, Zuo, Zhang, "FFDNet: Toward a Fast
and Flexible Solution for CNN-Based Image Denoising", IEEE TIP 27 (2018), as ported to PyTorch by Tassano, Delon, Veit,
"An Analysis and Implementation of the FFDNet Image Denoising Method", IPOL 9 (2019). Rewritten from the papers and the
conventions of the released weights; no code of theirs is used.

No paper has this pair on this protocol: it is an extra row, not a reproduction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.physics.blur import circular_convolve

from ._linear import linearised

FIRST = 49 / 255  #: noise level that the denoiser is told first (DPIR)
LEAST = 0.255 / 255  #: the noise level counts as at least this (DPIR)
TRAINED = 75 / 255  #: the highest level that FFDNet was trained for
WEIGHT = 0.23  #: DPIR's lambda: of the prior, where the denoiser is told the noise of y
EPSILON = 1e-5  #: of FFDNet's batch normalisation
PREFIX = "module.intermediate_dncnn.itermediate_dncnn."
#: Quarter turns, and whether rows are then mirrored, of the image in each iteration, over and over (DPIR).
TURNS = ((0, False), (1, True), (0, True), (3, False), (2, True), (1, False), (2, False), (3, True))

Layer: TypeAlias = tuple[Tensor, Tensor]
"""Weights, Shape (out, in, 3, 3), and biases of a convolution."""


@dataclass(frozen=True)
class PnPFFDNet:
    """x <- F^-1[ (conj(K) F(y') + r F(z)) / (|K|^2 + r) ], z <- FFDNet(x, s), r = 0.23 sigma^2 / s^2; returns z.

    s falls geometrically from 49/255 to sigma. y' is the edge-tapered y; from the second iteration on its pixels
    outside what the camera saw are those of k * z, as FDN has it: DPIR takes blur as circular. Each iteration's image
    is turned and mirrored in another of eight ways before it is denoised, and back.

    FFDNet has weights for gray and for colour images. They are for images on [0, 1], an absolute scale: c y with
    c sigma does not give c x. sigma counts as 0.001 at least, and FFDNet is told 75/255 at most, the end of its
    training. A gamma response is undone first, saturation is ignored; noise of any kind counts as Gaussian of its
    level. There are no random numbers.

    Attributes:
        iterations: how often x and z are computed.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="PnP-FFDNet (DPIR schedule)",
        year=2022,
        paper="Zhang, Li, Zuo, Zhang, Van Gool, Timofte: Plug-and-Play Image Restoration with Deep Denoiser Prior, "
        "IEEE TPAMI 44, 2022; Zhang, Zuo, Zhang: FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image "
        "Denoising, IEEE TIP 27, 2018",
        supervised=True,
        licence="IPOL's all-permissive notice (weights, kept in a repository under AGPL-3.0)",
    )

    iterations: int = 8

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError(f"iterations={self.iterations}: give 1 or more, such as 8")

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the weights for gray and for colour images, 5.4 MB."""
        return read_manifest(files("nidbench.methods") / "files.csv", "pnp-ffdnet")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return what the denoiser makes of the last x.

        Raises:
            DataError: where the weights cannot be fetched.
        """
        problem = linearised(problem)
        operator = problem.operator(run.device)
        sigma = max(LEAST, problem.sigma())
        layers = self._layers(problem.blurred.shape[0], run.device)
        seen = torch.zeros(operator.frame, dtype=torch.bool, device=run.device)
        seen[problem.valid] = True
        z = y = operator.tapered
        for number, level in enumerate(np.geomspace(FIRST, sigma, self.iterations).tolist()):
            if number:
                y = torch.where(seen, operator.tapered, circular_convolve(z, operator.transfer))
            x = nearest(y, z, operator.transfer, WEIGHT * (sigma / level) ** 2)
            z = turned_back(denoised(turned(x, number), min(level, TRAINED), layers), number)
            run.progress(number + 1, self.iterations)
            if run.due(number + 1):
                run.observe(number + 1, z.cpu().numpy)
        return Restored(z.cpu().numpy(), iterations=self.iterations, stopped="iterations", details={"sigma": sigma})

    def _layers(self, channels: int, device: str) -> list[Layer]:
        gray, colour = self.files()
        return read_layers(get(gray if channels == 1 else colour), device)


def nearest(y: Tensor, z: Tensor, blur: Tensor, weight: float) -> Tensor:
    """Return the x that minimises |k * x - y|^2 + weight |x - z|^2, circular.

    Args:
        y: Shape (C, H, W).
        z: same shape.
        blur: transfer function K, Shape (H, W//2 + 1).
        weight: r above.
    """
    numerator = blur.conj() * torch.fft.rfft2(y) + weight * torch.fft.rfft2(z)
    x: Tensor = torch.fft.irfft2(numerator / (blur.abs().square() + weight), s=(y.shape[-2], y.shape[-1]))
    return x


def turned(image: Tensor, number: int) -> Tensor:
    """Return an image, Shape (C, H, W), turned and mirrored as in an iteration, from 0."""
    turns, mirrored = TURNS[number % len(TURNS)]
    image = torch.rot90(image, turns, (-2, -1))
    return image.flip(-2) if mirrored else image


def turned_back(image: Tensor, number: int) -> Tensor:
    """Return an image as it was before `turned`."""
    turns, mirrored = TURNS[number % len(TURNS)]
    image = image.flip(-2) if mirrored else image
    return torch.rot90(image, -turns, (-2, -1))


def denoised(image: Tensor, sigma: float, layers: Sequence[Layer]) -> Tensor:
    """Return an image without its noise, Shape (C, H, W), by FFDNet.

    The network sees the level on [0, 1] as constant maps, one a channel, and then the image as four of half its sides.
    It finds the noise. An odd side is made even by repeating its last pixel.
    """
    channels, height, width = image.shape
    even = F.pad(image[None], (0, width % 2, 0, height % 2), mode="replicate")
    halves = F.pixel_unshuffle(even, 2)
    *hidden, last = layers
    maps = torch.cat([halves.new_full((1, channels, *halves.shape[-2:]), sigma), halves], 1)
    for weights, biases in hidden:
        maps = F.relu(F.conv2d(maps, weights, biases, padding=1), inplace=True)
    noise = F.pixel_shuffle(F.conv2d(maps, *last, padding=1), 2)
    return image - noise[0, :, :height, :width]


def read_layers(path: Path, device: str) -> list[Layer]:
    """Return the convolutions of a file as PyTorch wrote it, each with the batch normalisation that follows it in it.

    Of the pickle in the file only tensors are read (`weights_only`).
    """
    stored: dict[str, Tensor] = torch.load(path, map_location=device, weights_only=True)
    places = sorted(int(name.split(".")[-2]) for name, tensor in stored.items() if tensor.ndim == 4)
    return [_layer(stored, place) for place in places]


def _layer(stored: dict[str, Tensor], place: int) -> Layer:
    weights = stored[f"{PREFIX}{place}.weight"].to(memory_format=torch.channels_last)  # a CPU convolves faster so
    normalisation = f"{PREFIX}{place + 1}."
    if f"{normalisation}running_var" not in stored:
        return weights, weights.new_zeros(len(weights))
    scale, shift, mean, variance = (
        stored[normalisation + name] for name in ("weight", "bias", "running_mean", "running_var")
    )
    gain = scale / (variance + EPSILON).sqrt()
    return weights * gain[:, None, None, None], shift - gain * mean
