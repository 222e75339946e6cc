"""FDN: ten learned stages of deconvolution in the Fourier domain; a supervised reference, with its authors' weights.

Kruse, Rother, Schmidt, "Learning to Push the Limits of Efficient FFT-based Image Deconvolution", ICCV 2017. Rewritten
from its equations and the conventions of the released weights; no code of theirs is used. The weights are those for
noise of any level from 0.1 to 12.75 out of 255, all stages trained together at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import NidbenchError
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.physics.blur import circular_convolve, transfer_function

from ._linear import linearised

STAGES = 10
SIGMAS = (0.1, 12.75)  #: noise levels that the weights were trained on, on 0 to 255
SIDE = 5  #: of the filters of the prior, pixels
CONVOLUTIONS = 6  #: of 3x3, in a stage
DENSE = 3  #: hidden layers between the noise level and the weight of the data

Layer: TypeAlias = tuple[Tensor, Tensor]
"""Weights and biases."""


@dataclass(frozen=True)
class FDN:
    """Iterates x <- F^-1[ (w conj(K) F(y') + F(c(x))) / (w |K|^2 + sum |F_i|^2) ], w, c and F_i learned for each stage.

    y' is the edge-tapered y, whose pixels outside what the camera saw are those of k * x from the second stage on. The
    weights are for gray images: colour is restored channel by channel. They are for images on [0, 1], an absolute
    scale: c y with c sigma does not give c x. The noise level is clamped to 0.1 to 12.75 out of 255, the range of
    training. A gamma response is undone first, saturation is ignored.

    The authors' script sets negative entries of the kernel to 0 and takes odd sizes only; here k is used as it is. It
    takes single-precision Fourier transforms, and so does this.

    Raises:
        NidbenchError: where h5py, which reads the weights, is not installed.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="FDN",
        year=2017,
        paper="Kruse, Rother, Schmidt: Learning to Push the Limits of Efficient FFT-based Image Deconvolution, "
        "ICCV 2017",
        licence="BSD-2-Clause (weights)",
        supervised=True,
    )

    def __post_init__(self) -> None:
        if find_spec("h5py") is None:  # said here, before anything is computed, rather than in every cell
            raise NidbenchError('fdn reads its weights with h5py, which is missing: pip install "nidbench[supervised]"')

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the one file with the weights of all stages, 1.8 MB."""
        return read_manifest(files("nidbench.methods") / "files.csv", "fdn")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x after the last stage.

        Raises:
            DataError: where the weights cannot be fetched.
        """
        problem = linearised(problem)
        operator = problem.operator(run.device)
        sigma = float(np.clip(255 * problem.sigma(), *SIGMAS))
        seen = torch.zeros(operator.frame, dtype=torch.bool, device=run.device)
        seen[problem.valid] = True
        x = y = operator.tapered
        for number, stage in enumerate(read_stages(get(self.files()[0]), run.device), 1):
            if number > 1:
                y = torch.where(seen, operator.tapered, circular_convolve(x, operator.transfer))
            x = stage(x, y, operator.transfer, sigma)
            run.progress(number, STAGES)
        return Restored(x.cpu().numpy(), iterations=STAGES, stopped="stages", details={"sigma": sigma / 255})


@dataclass(frozen=True, eq=False)
class Stage:
    """What one stage has learned.

    Attributes:
        convolutions: of c, weights of Shape (out, in, 3, 3).
        dense: of w, weights of Shape (in, out), the last with one output.
        filters: F_i in space, Shape (24, 5, 5).
    """

    convolutions: Sequence[Layer]
    dense: Sequence[Layer]
    filters: Tensor

    def __call__(self, x: Tensor, y: Tensor, blur: Tensor, sigma: float) -> Tensor:
        """Return the next estimate.

        Args:
            x: the last, Shape (C, H, W), in [0, 1].
            y: the measurement on the frame of x, Shape (C, H, W).
            blur: transfer function K, Shape (H, W//2 + 1).
            sigma: noise level on 0 to 255.
        """
        frame = (x.shape[-2], x.shape[-1])
        weight = self.data_weight(sigma)
        prior = torch.stack([transfer_function(each, frame).abs().square() for each in self.filters]).sum(0)
        numerator = weight * blur.conj() * torch.fft.rfft2(y) + torch.fft.rfft2(self.correction(x))
        restored: Tensor = torch.fft.irfft2(numerator / (weight * blur.abs().square() + prior), s=frame)
        return restored

    def data_weight(self, sigma: float) -> Tensor:
        """Return w, Shape (1,), positive: a small network's answer to 1 / sigma^2, sigma on 0 to 255."""
        *hidden, last = self.dense
        found = self.filters.new_tensor([sigma**-2])
        for weights, biases in hidden:
            found = F.elu(found @ weights + biases)
        return F.softplus(found @ last[0] + last[1])

    def correction(self, x: Tensor) -> Tensor:
        """Return c(x), Shape (C, H, W), each channel by itself.

        x is continued by its edge as far as the convolutions reach; the authors continue it further and cut.
        """
        *hidden, last = self.convolutions
        found = F.pad(x[:, None], 4 * (len(self.convolutions),), mode="replicate")
        for weights, biases in hidden:
            found = F.elu(F.conv2d(found, weights, biases), inplace=True)
        return F.conv2d(found, *last)[:, 0]


def read_stages(path: Path, device: str) -> list[Stage]:
    """Return the stages of a file as the authors' Keras wrote it."""
    import h5py

    with h5py.File(path) as content:
        return [_read_stage(content[f"model_{stage + 1}"], stage, device) for stage in range(1, STAGES + 1)]


def _read_stage(group: Mapping[str, Any], stage: int, device: str) -> Stage:
    def read(name: str) -> Tensor:
        return torch.from_numpy(np.asarray(group[name], dtype=np.float32)).to(device)

    def layer(name: str) -> Layer:
        return read(f"{name}_{stage}/kernel:0"), read(f"{name}_{stage}/bias:0")

    names = [f"conv{number}" for number in range(1, CONVOLUTIONS + 1)]
    convolutions = [(weights.permute(3, 2, 0, 1).contiguous(), biases) for weights, biases in map(layer, names)]
    dense = [layer(name) for name in (*(f"dense{number}" for number in range(1, DENSE + 1)), "lambda")]
    mixing = read(f"x_out_{stage}/filter_weights:0")
    return Stage(convolutions, dense, torch.tensordot(mixing.T, cosines().to(device), 1))


def cosines() -> Tensor:
    """Return the basis of the filters: the discrete cosine transform's, without its constant, Shape (24, 5, 5).

    The frequency along columns changes fastest in the authors' order, that along rows slowest.
    """
    place, frequency = torch.arange(SIDE, dtype=torch.float64), torch.arange(SIDE, dtype=torch.float64)[:, None]
    waves = (2 / SIDE) ** 0.5 * torch.cos(torch.pi * (2 * place + 1) * frequency / (2 * SIDE))
    waves[0] = SIDE**-0.5
    products = torch.einsum("rx,cy->rcyx", waves, waves)
    return products.reshape(SIDE**2, SIDE, SIDE)[1:].float()
