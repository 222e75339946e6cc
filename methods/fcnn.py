"""FCNN: deconvolution in turn with a network that cleans gradients; a supervised reference, with its authors' weights.

Zhang, Pan, Lai, Lau, Yang, "Learning Fully Convolutional Networks for Iterative Non-blind Deconvolution", CVPR 2017.
Rewritten from its equations and the conventions of the released weights, which are for noise of 1, 3 and 5 % only; no
code of theirs is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, TypeAlias

import torch
from scipy.io import loadmat
from torch import Tensor
from torch.nn import functional as F

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.physics.blur import transfer_function

from ._linear import linearised

LEVELS = (0.01, 0.03, 0.05)  #: noise levels with weights, standard deviation on [0, 1]
ROUNDS = 3
#: Backward differences along rows and columns, the zero so that their origin is the pixel that is differenced.
DIFFERENCES = (((0.0, 1.0, -1.0),), ((0.0,), (1.0,), (-1.0,)))
FLOOR = 1e-4  #: the authors' addition to the denominator

Layer: TypeAlias = tuple[Tensor, Tensor]
"""Weights, Shape (out, in, kh, kw), and biases of a convolution."""


@dataclass(frozen=True)
class FCNN:
    """Minimises w |k * x - y|^2 + sum |d_i x - v_i|^2, circular, in turn with v_i <- cleaned d_i x, three rounds.

    The same network cleans both gradients, that along columns turned on its side. v_i is 0 and w another at first, and
    network and w are others in each round. The weights are for gray images, so that colour is restored channel by
    channel, and for noise of 1, 3 and 5 %: the level nearest by ratio is taken, and `details` of the result say which.
    A gamma response is undone first, saturation is ignored.

    The weights are for images on [0, 1], an absolute scale: c y with c sigma does not give c x.

    The authors extend y by the wrap of Liu and Jia (ICIP 2008) and taper it with a Gaussian; here y is tapered as for
    the other methods.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="FCNN",
        year=2017,
        paper="Zhang, Pan, Lai, Lau, Yang: Learning Fully Convolutional Networks for Iterative Non-blind "
        "Deconvolution, CVPR 2017",
        licence="MIT (weights)",
        supervised=True,
    )

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the weights for all three noise levels, 5.0 MB."""
        return read_manifest(files("nidbench.methods") / "files.csv", "fcnn")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x after the third round.

        Raises:
            DataError: where the weights cannot be fetched.
        """
        problem = linearised(problem)
        operator = problem.operator(run.device)
        level = nearest_level(problem.sigma())
        (first, *weights), networks = self._weights(level, run.device)
        solver = Solver(operator.tapered, operator.transfer)
        x = solver.solve(first, [torch.zeros_like(operator.tapered)] * len(DIFFERENCES))
        for number, (weight, layers) in enumerate(zip(weights, networks, strict=True), 1):
            along_rows, along_columns = solver.gradients(x)
            cleaned = [clean(along_rows, layers), clean(along_columns.mT, layers).mT]
            x = solver.solve(weight, cleaned)
            run.progress(number, ROUNDS)
        return Restored(x.cpu().numpy(), iterations=ROUNDS, stopped="rounds", details={"trained_for": level})

    def _weights(self, level: float, device: str) -> tuple[list[float], list[list[Layer]]]:
        paths = {file.path: file for file in self.files()}
        folder = f"noise{level:.2f}"
        lambdas = loadmat(get(paths[f"{folder}/lambda.mat"]))["lambda"]
        rounds = [get(paths[f"{folder}/iter{number}_weights.mat"]) for number in range(1, ROUNDS + 1)]
        return lambdas.ravel().tolist(), [read_layers(path, device) for path in rounds]


class Solver:
    """Solves (w |K|^2 + sum |D_i|^2) X = w conj(K) Y + sum conj(D_i) V_i, the normal equations, by Fourier transform.

    Args:
        y: Shape (C, H, W).
        blur: transfer function K, Shape (H, W//2 + 1).
    """

    def __init__(self, y: Tensor, blur: Tensor) -> None:
        self._frame = (y.shape[-2], y.shape[-1])
        self._data, self._power = blur.conj() * torch.fft.rfft2(y), blur.abs().square()
        self._differences = [transfer_function(y.new_tensor(each), self._frame) for each in DIFFERENCES]
        self._smoothness = torch.stack([each.abs().square() for each in self._differences]).sum(0) + FLOOR

    def solve(self, weight: float, gradients: Sequence[Tensor]) -> Tensor:
        """Return x, Shape (C, H, W), given w and the gradients that it should have, each Shape (C, H, W)."""
        pulls = [d.conj() * torch.fft.rfft2(v) for d, v in zip(self._differences, gradients, strict=True)]
        numerator = weight * self._data + torch.stack(pulls).sum(0)
        x: Tensor = torch.fft.irfft2(numerator / (weight * self._power + self._smoothness), s=self._frame)
        return x

    def gradients(self, x: Tensor) -> list[Tensor]:
        """Return the differences of x along rows and along columns, each Shape (C, H, W)."""
        spectrum = torch.fft.rfft2(x)
        return [torch.fft.irfft2(d * spectrum, s=self._frame) for d in self._differences]


def clean(gradient: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Return a gradient without noise and artefacts, Shape (C, H, W), each channel by itself."""
    *hidden, last = layers
    found = gradient[:, None]
    for weights, biases in hidden:
        found = F.relu(F.conv2d(found, weights, biases, padding="same"), inplace=True)
    return F.conv2d(found, *last, padding="same")[:, 0]


def nearest_level(sigma: float) -> float:
    """Return the noise level with weights that is nearest by ratio."""
    return min(LEVELS, key=lambda level: abs(math.log(max(sigma, 1e-6) / level)))


def read_layers(path: Path, device: str) -> list[Layer]:
    """Return the convolutions of a MATLAB file; of (kh, kw, in, out) MATLAB drops what is 1 at the end."""
    layers = []
    for weights, biases in (layer["weights"].ravel() for layer in loadmat(path)["weights"].ravel()):
        kernel = torch.from_numpy(weights.reshape(*weights.shape[:2], -1, biases.size))
        layers.append((kernel.permute(3, 2, 0, 1).contiguous().to(device), torch.from_numpy(biases.ravel()).to(device)))
    return layers
