"""The encoder-decoder of SA dropout, N of them folded (see `nidbench.fitting.fold`).

Chen, Quan, Pang, Ji, IJCV 2022, Table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._layers import Conv, Dropout, fold, join, unfold, upsampled

ENCODER, DECODER = 48, 96  #: channels (Table 1)
#: Initial dropout ratios from the finest to the coarsest scale (Table 1).
RATIOS = (0.075, 0.15, 0.225, 0.3, 0.375, 0.45)
CAP = 0.5  #: the highest ratio (eq. 15)


class UNets(nn.Module):
    """The paper's encoder-decoder, N of them folded (Table 1; padding 1: the "2" of section 4.1 would grow every map).

    Args:
        generators: one CPU generator for each network's weights.
        channels: of the image.
        dropout: whether convolutions have dropout on their inputs.
        ratio_scale: what the initial ratios of Table 1 are multiplied by, above 0.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        channels: int,
        dropout: bool = True,
        ratio_scale: float = 1.0,
    ) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, ratio: float) -> Block:
            return Block(generators, inputs, outputs, ratio_scale * ratio if dropout else 0.0)

        self.first = block(channels, ENCODER, RATIOS[0])
        self.encoder = nn.ModuleList(block(ENCODER, ENCODER, ratio) for ratio in RATIOS[:5])
        self.bottom = block(ENCODER, ENCODER, RATIOS[5])
        skips = (ENCODER, ENCODER, ENCODER, ENCODER, channels)  # of pools 4 to 1, and of the input
        below = (ENCODER, DECODER, DECODER, DECODER, DECODER)
        ratios = (*RATIOS[4:0:-1], RATIOS[0])
        widths = ((DECODER, DECODER),) * 4 + ((64, 32),)
        self.decoder = nn.ModuleList(
            nn.ModuleList([block(up + skip, a, ratio), block(a, b, ratio)])
            for up, skip, ratio, (a, b) in zip(below, skips, ratios, widths, strict=True)
        )
        self.last = block(32, channels, RATIOS[0])

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
        """Return x, Shape (N, C, H, W), in (0, 1), from inputs of the same shape; no generators: no dropout."""
        count = inputs.shape[0]
        maps = fold(inputs)
        skips = [maps]
        maps = F.leaky_relu(self.first(maps, generators), 0.01)
        for level in self.encoder:
            maps = F.leaky_relu(level(maps, generators), 0.01)
            maps = F.max_pool2d(maps, 2, ceil_mode=True)
            skips.append(maps)
        maps = F.leaky_relu(self.bottom(skips.pop(), generators), 0.01)
        for level in self.decoder:
            skip = skips.pop()
            maps = upsampled(maps)
            maps = join(count, maps[..., : skip.shape[2], : skip.shape[3]], skip.to(maps.dtype))
            for block in level.children():
                maps = F.leaky_relu(block(maps, generators), 0.01)
        return torch.sigmoid(unfold(self.last(maps, generators).float(), count))

    def dropouts(self) -> list[Dropout]:
        """Return the dropout layers from input to output."""
        return [module for module in self.modules() if isinstance(module, Dropout)]


class Block(nn.Module):
    """Dropout and a 3x3 convolution."""

    def __init__(self, generators: Sequence[torch.Generator], inputs: int, outputs: int, ratio: float) -> None:
        super().__init__()
        self.dropout = Dropout(len(generators), inputs, ratio) if ratio else None
        self.conv = Conv(generators, inputs, outputs)

    def forward(self, maps: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
        """Return the convolved maps, Shape (1, N*C, H, W); no generators: no dropout."""
        if self.dropout is not None:
            maps = self.dropout(maps, generators)
        conv: Tensor = self.conv(maps)
        return conv
