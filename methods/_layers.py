"""Layers of folded networks: N networks of one architecture in one module (see `nidbench.fitting.fold`).

Between layers, maps have Shape (1, N*C, H, W): the channels of network 0, then those of network 1, ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Integers that are as long as floats of so many bytes.
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def fold(inputs: Tensor) -> Tensor:
    """Return the inputs of N networks, Shape (N, C, H, W), as Shape (1, N*C, H, W), channels last."""
    count, channels, height, width = inputs.shape
    maps = inputs.reshape(1, count * channels, height, width).contiguous(memory_format=torch.channels_last)
    # a single channel lies in memory as in either format, and joined to others would take them out of theirs
    return maps.reshape(1, height, width, 1).permute(0, 3, 1, 2) if count * channels == 1 else maps


def unfold(maps: Tensor, count: int) -> Tensor:
    """Return folded maps, Shape (1, N*C, H, W), as Shape (N, C, H, W)."""
    _, channels, height, width = maps.shape
    return maps.reshape(count, channels // count, height, width)


def join(count: int, *maps: Tensor) -> Tensor:
    """Return the channels of each network's maps one after the other, all of the same height and width."""
    if count == 1:
        return torch.cat(maps, 1)
    joined = torch.cat([unfold(each, count) for each in maps], 1)
    return fold(joined)


def upsampled(maps: Tensor) -> Tensor:
    """Return maps of twice the height and width, bilinearly (corners not aligned)."""
    larger = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    if larger.requires_grad:
        # of a concatenation comes a gradient with gaps in memory, over which PyTorch's adjoint takes ten times as long
        larger.register_hook(_gapless)  # type: ignore[no-untyped-call]
    return larger


def _gapless(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


class Conv(nn.Module):
    """N convolutions side by side, with PyTorch's default initialisation drawn from each network's own generator.

    Args:
        generators: one CPU generator for each network.
        inputs, outputs: channels of each network.
        size: side of the square kernel.
        stride: step in pixels.
        padding: `zeros` or `reflect`, by size//2 (an axis not longer than that is replicated instead).
        bias: whether a constant is added.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        outputs: int,
        size: int = 3,
        stride: int = 1,
        padding: str = "zeros",
        bias: bool = True,
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs * size * size)  # kaiming_uniform with a = sqrt(5)
        shape = (outputs, inputs, size, size)
        drawn = [(_uniform(shape, bound, g), _uniform(shape[:1], bound, g) if bias else None) for g in generators]
        self.weight = nn.Parameter(torch.cat([weight for weight, _ in drawn]))
        self.bias = nn.Parameter(torch.cat([b for _, b in drawn if b is not None])) if bias else None
        self.outputs, self.size, self.stride, self.padding = outputs, size, stride, padding

    def forward(self, maps: Tensor) -> Tensor:
        groups, pad = self.weight.shape[0] // self.outputs, self.size // 2
        if self.padding == "reflect" and pad:
            maps, pad = _reflect(maps, pad), 0
        return F.conv2d(maps, self.weight, self.bias, self.stride, pad, groups=groups)


class BatchNorm(nn.Module):
    """Normalisation of every channel by its own mean and variance over the image, then a learnt scale and shift.

    There are no running statistics: the authors never leave training mode. As the batch is one, channels are
    independent, and so are networks.

    Args:
        count: number of networks N.
        channels: of each.
    """

    EPSILON = 1e-5

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count * channels))
        self.bias = nn.Parameter(torch.zeros(count * channels))

    def forward(self, maps: Tensor) -> Tensor:
        # not F.batch_norm, which refuses maps of one pixel: there a channel is its mean, and what is left is the shift
        fast = torch.backends.cudnn.enabled
        return torch.batch_norm(maps, self.weight, self.bias, None, None, True, 0.0, self.EPSILON, fast)


def _reflect(maps: Tensor, pad: int) -> Tensor:
    """Return maps with reflected borders; an axis too short for its reflection repeats its last pixel."""
    rows, columns = ("reflect" if length > pad else "replicate" for length in maps.shape[-2:])
    if rows == columns:
        return F.pad(maps, (pad,) * 4, mode=rows)
    return F.pad(F.pad(maps, (0, 0, pad, pad), mode=rows), (pad, pad, 0, 0), mode=columns)


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def random_bytes(count: int, generator: torch.Generator) -> Tensor:
    """Return uniform bytes, Shape (count,), uint8.

    Drawn 64 bits at a time: PyTorch's CPU generator works serially, so a Bernoulli draw for each element costs about
    a third of an iteration and eight bytes at once almost nothing.
    """
    words = torch.empty(-(-count // 8), dtype=torch.int64, device=generator.device)
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[:count]


class Dropout(nn.Module):
    """Dropout with a ratio for each neuron, in steps of 1/256; kept neurons are scaled by 1/(1 - the ratio drawn).

    Args:
        count: number of networks N.
        channels: of each.
        ratio: the initial ratio, in [0, 1).

    Attributes:
        threshold: 256 times the ratio, uint8, Shape (N*C, 1, 1) or, once adapted, (N*C, H, W).
        scale: 1/(1 - ratio), same shape.
        initial: the ratio before any adaptation.
        moments: while not None, collects the mean and variance of the maps that pass, before their own dropout.
    """

    threshold: Tensor
    scale: Tensor

    def __init__(self, count: int, channels: int, ratio: float) -> None:
        super().__init__()
        self.initial = ratio
        self.moments: Moments | None = None
        threshold = torch.full((count * channels, 1, 1), round(256 * ratio), dtype=torch.uint8)
        self.register_buffer("threshold", threshold)
        self.register_buffer("scale", 256 / (256 - threshold.float()))

    def forward(self, maps: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
        if self.moments is not None:
            self.moments.add(maps[0].float())
        if generators is None:
            return maps
        _, channels, height, width = maps.shape
        each = channels // len(generators)
        drawn = [random_bytes(each * height * width, g).view(height, width, each) for g in generators]
        draws = (drawn[0] if len(drawn) == 1 else torch.cat(drawn, 2)).permute(2, 0, 1)  # (N*C, H, W)
        # the scale's bits or none, by integers: not torch.where, which takes nine times as long on a CPU
        scale = self.scale.to(maps.dtype)
        keep = (draws >= self.threshold) * scale.view(BITS[scale.itemsize])
        return maps * keep.view(maps.dtype)

    def ratios(self) -> Tensor:
        """Return the ratios in force, float32, Shape of `threshold`."""
        return self.threshold.float() / 256

    def set_ratios(self, ratios: Tensor, dtype: torch.dtype) -> None:
        """Replace the ratios by others in [0, 0.99], Shape (N*C, H, W), for maps of a dtype."""
        rounded = (ratios * 256).round().clamp(0, 253)[None].contiguous(memory_format=torch.channels_last)[0]
        self.threshold = rounded.to(torch.uint8)
        self.scale = (256 / (256 - rounded)).to(dtype)


class Moments:
    """Running mean and variance of tensors of one shape (Welford's recurrence)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, value: Tensor) -> None:
        """Take one more tensor into account."""
        self.count += 1
        if self.mean is None or self._squares is None:
            self.mean, self._squares = value.clone(), torch.zeros_like(value)
            return
        delta = value - self.mean
        self.mean += delta / self.count
        self._squares += delta * (value - self.mean)

    def average(self) -> Tensor:
        """Return the mean.

        Raises:
            ValueError: where nothing was added.
        """
        if self.mean is None:
            raise ValueError("no tensor was added: there is no mean")
        return self.mean

    def variance(self) -> Tensor:
        """Return the population variance.

        Raises:
            ValueError: where nothing was added.
        """
        if self._squares is None:
            raise ValueError("no tensor was added: there is no variance")
        return self._squares / self.count
