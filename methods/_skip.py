"""The `skip` networks of the deep image prior, N of them folded (see `nidbench.fitting.fold`).

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", CVPR 2018; layers as in the authors' super-resolution example. Between
layers, maps have Shape (1, N*C, H, W), as in `_layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._layers import BatchNorm, Conv, fold, join, unfold, upsampled

SCALES = 5
WIDTH = 128  #: channels down and up, at every scale
SKIP = 4  #: channels past every scale, of the deep image prior
SLOPE = 0.2  #: of LeakyReLU below zero


class Skips(nn.Module):
    """Encoder-decoders with narrow bypasses, N of them folded.

    Maps of any size pass: halving rounds up, so that the doubled maps of a deeper scale are at most a pixel larger than
    those beside them. The authors cut half the surplus off either side, which is none before and all of it after.

    Args:
        generators: one CPU generator for each network's weights.
        inputs: channels of the input.
        channels: of the image.
        skip: channels past every scale.
        widths: channels down and up, from the finest scale to the coarsest.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        channels: int,
        skip: int = SKIP,
        widths: Sequence[int] = (WIDTH,) * SCALES,
    ) -> None:
        super().__init__()
        self.scales = Scale(generators, inputs, widths, skip)
        self.last = Conv(generators, widths[0], channels, size=1)

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:  # noqa: ARG002 - no dropout
        """Return x, Shape (N, C, H, W), in (0, 1), from inputs of Shape (N, C_in, H, W)."""
        maps = self.last(self.scales(fold(inputs)))
        precise = maps.to(torch.promote_types(maps.dtype, torch.float32))  # bf16 has 8 bits: steps of 1/256 near 1
        return torch.sigmoid(unfold(precise, inputs.shape[0]))


class Scale(nn.Module):
    """One resolution: past it, and down to the next, through all that are deeper, and up again.

    Args:
        generators: one CPU generator for each network's weights.
        inputs: channels of each network that come in.
        widths: channels from here down; the first go out.
        skip: channels past each.
    """

    def __init__(self, generators: Sequence[torch.Generator], inputs: int, widths: Sequence[int], skip: int) -> None:
        super().__init__()
        self.inputs = inputs
        width, *below = widths
        self.skip = Layer(generators, inputs, skip, size=1)
        self.down = nn.Sequential(Layer(generators, inputs, width, stride=2), Layer(generators, width, width))
        if below:
            self.down.append(Scale(generators, width, below, skip))
        joined = skip + (below[0] if below else width)
        self.up = nn.Sequential(
            BatchNorm(len(generators), joined),
            Layer(generators, joined, width),
            Layer(generators, width, width, size=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        count, (height, width) = maps.shape[1] // self.inputs, maps.shape[-2:]
        below = upsampled(self.down(maps))
        up: Tensor = self.up(join(count, self.skip(maps), below[..., :height, :width]))
        return up


class Layer(nn.Module):
    """Convolution with reflected border, batch normalisation and LeakyReLU, of N networks."""

    def __init__(
        self, generators: Sequence[torch.Generator], inputs: int, outputs: int, size: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = Conv(generators, inputs, outputs, size, stride, padding="reflect")
        self.norm = BatchNorm(len(generators), outputs)

    def forward(self, maps: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(maps)), SLOPE)
