"""Deep Decoder: an under-parameterised untrained network of 1x1 convolutions and upsampling.

Heckel, Hand, "Deep Decoder: Concise Image Representations from Untrained Non-convolutional Networks", ICLR 2019, as a
baseline of Chen et al., IJCV 2022 (section 4.1 (iii)), with the authors' network of 128 channels.

*Where facts end.* Chen et al. cite another paper of Heckel's for the method; that it is this network is assumed. The
settings of the authors' super-resolution are not public: learning rate 0.01 and 5000 iterations are the defaults of
their `fit`. `paper` returns the network of the lowest training loss, which `fit` does if asked.

*Presets.* `fast`: see docs/explanation/effort.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nidbench.contract import MethodInfo, Problem
from nidbench.errors import InputError
from nidbench.fitting import Recipe

from ._effort import CHOSEN_ON, FAST, by_noise
from ._fitted import Fitted
from ._layers import BatchNorm, Conv, fold, unfold, upsampled
from ._prior import Network, check_prior, prior_recipe

ITERATIONS = 5000  #: of the authors' `fit`
SCALES = 5  #: doublings from z to x


@dataclass(frozen=True)
class DDec(Fitted):
    """Fits a decoder of a small fixed z to y through the blur: min |y - g(k * f(z))|^2.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and these.

    Attributes:
        channels: of every layer; more can say more, of the noise too.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="Deep Decoder",
        year=2019,
        paper="Heckel, Hand: Deep Decoder: Concise Image Representations from Untrained Non-convolutional Networks, "
        "ICLR 2019",
        licence="authors' code: Apache-2.0 (not used here)",
        bounded=True,
        presets={
            "paper": {},
            "fast": {"noise_scaled": True, "share": 0.08, **FAST},
            "smoke": {"iterations": 4, "lr": 1e-7, "stop": "iterations"},
        },
        tuned_on={"fast": CHOSEN_ON},
    )

    stop: str = "lowest-residual"
    reg_noise: float = 0.0
    channels: int = 128
    noise_scaled: bool = False

    def __post_init__(self) -> None:
        check_prior(self)
        if self.channels < 1:
            raise InputError(f"channels={self.channels}: give at least 1, such as 128")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        return prior_recipe(self, problem, self._network(problem), usual=self.usual)

    def usual(self, problem: Problem) -> int:
        """Return the default of the authors' `fit`, or what it grows to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS

    def _network(self, problem: Problem) -> Network:
        """Return the authors' decoder, from z of Shape (channels, H/32, W/32), rounded up, to the frame of x."""
        channels, frame = problem.blurred.shape[0], problem.frame
        height, width = (-(-length // 2**SCALES) for length in frame)
        return Network(
            (self.channels, height, width), lambda generators: Decoders(generators, self.channels, channels, frame)
        )


class Decoders(nn.Module):
    """Five times 1x1 convolution, bilinear doubling, ReLU, normalisation; then two 1x1 convolutions. N folded.

    Args:
        generators: one CPU generator for each network's weights.
        width: channels of z and of all layers.
        channels: of the image.
        frame: (H, W) to which the output is cropped.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], width: int, channels: int, frame: tuple[int, int]
    ) -> None:
        super().__init__()
        count = len(generators)
        self.frame = frame
        self.convs = nn.ModuleList(Conv(generators, width, width, size=1, bias=False) for _ in range(SCALES + 1))
        self.norms = nn.ModuleList(BatchNorm(count, width) for _ in range(SCALES + 1))
        self.last = Conv(generators, width, channels, size=1, bias=False)

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:  # noqa: ARG002 - no dropout
        """Return x, Shape (N, C, H, W), in (0, 1), from inputs of Shape (N, C_in, H_in, W_in)."""
        maps = fold(inputs)
        for scale, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            maps = conv(maps)
            if scale < SCALES:
                maps = upsampled(maps)
            maps = norm(F.relu(maps))
        maps = self.last(maps)[..., : self.frame[0], : self.frame[1]]
        precise = maps.to(torch.promote_types(maps.dtype, torch.float32))  # bf16 has 8 bits: steps of 1/256 near 1
        return torch.sigmoid(unfold(precise, inputs.shape[0]))
