"""DMSP: gradient descent towards y and towards what a denoising autoencoder makes of x; a supervised reference.

Bigdeli, Jin, Favaro, Zwicker, "Deep Mean-Shift Priors for Image Restoration", NIPS 2017, with its authors' weights.
Rewritten from its equations and the settings of its authors' script; no code of theirs is used.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor
from torch.nn import functional as F

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.fitting import seeded

from ._linear import linearised

WHITE = 255.0  #: in the units of the autoencoder
TRAINED = 11.0  #: noise level of its training, in these units
RATE, MOMENTUM = 0.1, 0.9  #: of the descent

Layer: TypeAlias = tuple[Tensor, Tensor]
"""Weights, Shape (out, in, 3, 3), and biases of a convolution."""


@dataclass(frozen=True)
class DMSP:
    """Descends, with momentum, by w K*(K x - y) + (1 - w) (x - r(x + n)), x in [0, 255], n of 11 drawn at each step.

    r is the autoencoder, K the valid blur, and w = 11^2 / (sigma^2 + 11^2) from the noise level sigma on [0, 255]. It
    begins with y continued by its edge, and returns the last x.

    The autoencoder is for colour. A gray image is shown to it as three equal channels, each with noise of its own, and
    the mean of the three answers counts: how Chen et al., IJCV 2022, fed it gray images is not known. The weights are
    for images on [0, 1], an absolute scale: c y with c sigma does not give c x. A gamma response is undone first,
    saturation is ignored; noise of any kind counts as Gaussian of its level.

    Attributes:
        iterations: steps of descent.
        noise_blind: whether w follows from the residual e = K x - y in place of sigma: with l = N / (|e|^2 + N 2 11^2
            sum k^2), N the number of values in y, it is l / (l + 1 / 11^2).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DMSP",
        year=2017,
        paper="Bigdeli, Jin, Favaro, Zwicker: Deep Mean-Shift Priors for Image Restoration, NIPS 2017",
        licence="CC BY-NC-SA 4.0, non-commercial (weights, as the authors' DMSP-tensorflow states)",
        supervised=True,
        presets={"released": {}, "fast": {"iterations": 100}, "smoke": {"iterations": 4}},
        variants={"noise-blind": {"noise_blind": True}},
        notice="its weights are for non-commercial use only (CC BY-NC-SA 4.0)",
    )

    iterations: int = 300
    noise_blind: bool = False

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError(f"iterations={self.iterations}: give 1 or more, such as 300")

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the one file with the autoencoder's weights, 3.1 MB."""
        return read_manifest(files("nidbench.methods") / "files.csv", "dmsp")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x after the last step.

        Raises:
            DataError: where the weights cannot be fetched.
        """
        problem = linearised(problem)
        operator, layers = problem.operator(run.device), read_layers(get(self.files()[0]), run.device)
        y, variance = WHITE * operator.blurred, (WHITE * problem.sigma()) ** 2
        power = float(np.square(problem.kernel).sum())
        state = _State.begun(WHITE * operator.extend(operator.blurred), run)
        for number in range(state.number + 1, self.iterations + 1):
            error = operator.blur(state.x) - y
            if self.noise_blind:
                variance = float(error.square().mean()) + 2 * TRAINED**2 * power
            weight = TRAINED**2 / (variance + TRAINED**2)
            prior = away_from_prior(state.x, state.generator, layers)
            state.descend(weight * operator.adjoint(error) + (1 - weight) * prior)
            run.progress(number, self.iterations)
            if run.due(number):
                run.observe(number, (state.x / WHITE).cpu().numpy)
            if run.checkpoint_due():
                run.save(state.saved())
        return Restored((state.x / WHITE).cpu().numpy(), iterations=self.iterations, stopped="iterations")


@dataclass
class _State:
    """What a step leaves to the next one.

    Attributes:
        x: Shape (C, H, W), in [0, 255].
        step: the last change of x before it was clipped, same shape.
        generator: of n.
        number: steps done.
    """

    x: Tensor
    step: Tensor
    generator: torch.Generator
    number: int = 0

    @classmethod
    def begun(cls, first: Tensor, run: Run) -> _State:
        """Return the state that begins with an x, or that of the run's checkpoint."""
        state = cls(first, torch.zeros_like(first), seeded(run, "prior", run.device))
        if (content := run.load()) is not None:
            saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            state.x, state.step = saved["x"].to(run.device), saved["step"].to(run.device)
            state.generator.set_state(saved["generator"])
            state.number = saved["number"]
        return state

    def descend(self, gradient: Tensor) -> None:
        """Take a step."""
        self.step = MOMENTUM * self.step - RATE * gradient
        self.x = (self.x + self.step).clamp(0, WHITE)
        self.number += 1

    def saved(self) -> bytes:
        """Return the bytes from which `begun` goes on."""
        content = io.BytesIO()
        generator = self.generator.get_state()
        torch.save({"x": self.x, "step": self.step, "generator": generator, "number": self.number}, content)
        return content.getvalue()


def away_from_prior(x: Tensor, generator: torch.Generator, layers: Sequence[Layer]) -> Tensor:
    """Return x - r(x + n), Shape (C, H, W); the autoencoder r takes blue, green and red in [0, 255].

    It adds to its input what its convolutions give, so that x itself is in neither term of what is left.
    """
    channels, height, width = x.shape
    noise = TRAINED * torch.randn((3, height, width), generator=generator, device=x.device)
    maps = (x.flip(0) + noise)[None]
    *hidden, last = layers
    for weights, biases in hidden:
        maps = F.relu(F.conv2d(maps, weights, biases, padding=1), inplace=True)
    away = -(noise + F.conv2d(maps, *last, padding=1)[0])
    return away.flip(0) if channels == 3 else away.mean(0, keepdim=True)


def read_layers(path: Path, device: str) -> list[Layer]:
    """Return the convolutions of a MATLAB file, whose weights have Shape (3, 3, in, out)."""
    layers = [layer.ravel()[0] if layer.dtype == object else layer for layer in loadmat(path)["net"].ravel()]
    stored = [layer["weights"].ravel()[0].ravel() for layer in layers if layer["type"].ravel()[0][0] == "conv"]
    return [(_tensor(w.transpose(3, 2, 0, 1), device), _tensor(b.ravel(), device)) for w, b in stored]


def _tensor(values: NDArray[np.float64], device: str) -> Tensor:
    tensor = torch.from_numpy(values.astype(np.float32)).to(device)
    # in this order a CPU convolves faster
    return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
