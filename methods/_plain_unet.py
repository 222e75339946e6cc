"""The U-Net of many reconstructions, N of them folded (see `nidbench.fitting.fold`).

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, with
normalisation, borders of zeros and bilinear doubling, as its best-known PyTorch version has it. Between layers, maps
have Shape (1, N*C, H, W), as in `_layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._layers import BatchNorm, Conv, fold, join, unfold

HALVINGS = 4  #: of the best-known version
SPREAD = 0.02  #: of the first weights, and of the first scales of normalisation about 1


class PlainUNets(nn.Module):
    """Two convolutions at each scale, down and up, widths doubling but for the last; linear at the end.

    Weights begin as N(0, 0.02^2), scales of normalisation as N(1, 0.02^2), what is added as 0. A side that cannot be
    halved is rounded up on the way down, its last pixel a maximum by itself, and what doubling then adds is cut off.

    Args:
        generators: one CPU generator for each network's weights.
        channels: of the image, which goes in and comes out.
        width: channels at the finest scale.
        halvings: from there to the coarsest, at least 1.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], channels: int, width: int, halvings: int = HALVINGS
    ) -> None:
        super().__init__()
        widths = [width * 2**scale for scale in range(halvings)]
        self.first = Twice(generators, channels, width, width)
        below = [*widths[1:], widths[-1]]
        self.down = nn.ModuleList(Twice(generators, a, b, b) for a, b in zip(widths, below, strict=True))
        up = [*widths[-2::-1], width]
        self.up = nn.ModuleList(
            Twice(generators, 2 * beside, beside, out) for beside, out in zip(widths[::-1], up, strict=True)
        )
        self.last = Conv(generators, width, channels, size=1)
        _begin(self, generators)

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:  # noqa: ARG002 - no dropout
        """Return x, Shape (N, C, H, W), from inputs of the same shape."""
        count = inputs.shape[0]
        maps = self.first(fold(inputs))
        beside = []
        for level in self.down:
            beside.append(maps)
            maps = level(F.max_pool2d(maps, 2, ceil_mode=True))
        for level in self.up:
            skip = beside.pop()
            height, width = skip.shape[-2:]
            larger = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)
            maps = level(join(count, skip, larger[..., :height, :width]))
        precise = self.last(maps).float()
        return unfold(precise, count)


class Twice(nn.Module):
    """Convolution of 3x3, normalisation and ReLU, twice, of N networks."""

    def __init__(self, generators: Sequence[torch.Generator], inputs: int, between: int, outputs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            Conv(generators, a, b, bias=False) for a, b in ((inputs, between), (between, outputs))
        )
        self.norms = nn.ModuleList(BatchNorm(len(generators), each) for each in (between, outputs))

    def forward(self, maps: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            maps = F.relu(norm(conv(maps)))
        return maps


def _begin(networks: nn.Module, generators: Sequence[torch.Generator]) -> None:
    """Draw the first weights of folded networks, each network's from its own generator."""
    with torch.no_grad():
        for module in networks.modules():
            if not isinstance(module, Conv | BatchNorm):
                continue
            centre = 1.0 if isinstance(module, BatchNorm) else 0.0
            for part, generator in zip(module.weight.chunk(len(generators)), generators, strict=True):
                part.copy_(centre + SPREAD * torch.randn(part.shape, generator=generator))
            if module.bias is not None:
                module.bias.zero_()
