"""The `skip` networks of the deep image prior, N of them folded (see `nidbench.fitting.fold`).

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", CVPR 2018; layers as in the authors' super-resolution example. Those of
SelfDeblur (Ren et al., CVPR 2020) have non-local blocks at their coarse scales (Wang, Girshick, Gupta, He, "Non-local
Neural Networks", CVPR 2018, by dot products). Between layers, maps have Shape (1, N*C, H, W), as in `_layers`.
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

#: Of SelfDeblur's network: channels of z, those past every scale, and the scale, from 0, from which on it has non-local
#: blocks.
SELFDEBLUR_INPUTS, SELFDEBLUR_SKIP, SELFDEBLUR_NON_LOCAL = 8, 16, 2


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
        non_local: scale, from 0, from which on the way down has non-local blocks; None for none.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        channels: int,
        skip: int = SKIP,
        widths: Sequence[int] = (WIDTH,) * SCALES,
        non_local: int | None = None,
    ) -> None:
        super().__init__()
        self.scales = Scale(generators, inputs, widths, skip, len(widths) if non_local is None else non_local)
        self.last = Conv(generators, widths[0], channels, size=1)

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:  # noqa: ARG002 - no dropout
        """Return x, Shape (N, C, H, W), in (0, 1), from inputs of Shape (N, C_in, H, W)."""
        maps = self.last(self.scales(fold(inputs)))
        precise = maps.to(torch.promote_types(maps.dtype, torch.float32))  # bf16 has 8 bits: steps of 1/256 near 1
        return torch.sigmoid(unfold(precise, inputs.shape[0]))


def selfdeblur_skips(generators: Sequence[torch.Generator], channels: int) -> Skips:
    """Return SelfDeblur's networks for images of so many channels, one for each CPU generator, folded."""
    return Skips(generators, SELFDEBLUR_INPUTS, channels, SELFDEBLUR_SKIP, non_local=SELFDEBLUR_NON_LOCAL)


class Scale(nn.Module):
    """One resolution: past it, and down to the next, through all that are deeper, and up again.

    Args:
        generators: one CPU generator for each network's weights.
        inputs: channels of each network that come in.
        widths: channels from here down; the first go out.
        skip: channels past each.
        local: how many of these scales, from the finest, have no non-local block.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], inputs: int, widths: Sequence[int], skip: int, local: int
    ) -> None:
        super().__init__()
        self.inputs = inputs
        width, *below = widths
        self.skip = Layer(generators, inputs, skip, size=1)
        self.down = nn.Sequential(Layer(generators, inputs, width, stride=2))
        if local <= 0:
            self.down.append(NonLocal(generators, width))
        self.down.append(Layer(generators, width, width))
        if below:
            self.down.append(Scale(generators, width, below, skip, local - 1))
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


class NonLocal(nn.Module):
    """What all places say, weighed by how alike they are to each, added to maps of N networks.

    The likeness of two places is the dot product of what two 1x1 convolutions to half the channels make of them. The
    other place is a maximum over 2x2. Normalisation begins with weight 0, so that maps pass as they are at first.

    Args:
        generators: one CPU generator for each network's weights.
        width: channels of each.
    """

    def __init__(self, generators: Sequence[torch.Generator], width: int) -> None:
        super().__init__()
        self.width = width
        self.said, self.here, self.there = (Conv(generators, width, width // 2, size=1) for _ in range(3))
        self.back, self.norm = Conv(generators, width // 2, width, size=1), BatchNorm(len(generators), width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: Tensor) -> Tensor:
        count, (height, width) = maps.shape[1] // self.width, maps.shape[-2:]
        said, there = (unfold(_pooled(conv(maps)), count).flatten(2) for conv in (self.said, self.there))
        here = unfold(self.here(maps), count).flatten(2)
        # summed over places first: channels by channels, where the likenesses are places by places
        gathered = (said @ there.transpose(1, 2) / said.shape[2]) @ here
        added: Tensor = self.norm(self.back(fold(gathered.reshape(count, -1, height, width))))
        return maps + added


def _pooled(maps: Tensor) -> Tensor:
    """Return the maxima over 2x2, an odd last row or column left out; along an axis of one pixel, that pixel."""
    rows, columns = (min(2, length) for length in maps.shape[-2:])
    return F.max_pool2d(maps, (rows, columns))
