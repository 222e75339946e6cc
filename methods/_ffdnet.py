"""FFDNet's weights from the form of the IPOL port to that of DeepInverse.

Zhang, Zuo, Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN based Image Denoising", IEEE TIP 27 (2018).
Tassano, Delon, Veit (IPOL 9, 2019) published weights of a network that normalises between its layers, has C maps of the
noise level before the sub-images, and gives the noise. DeepInverse's has biases instead, one map after them, and may
give what is added to the image. The two compute the same function of the image and the noise level.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from ._state_dict import State

#: Of the layers in the files of the IPOL port; the misspelling is theirs.
_LAYER = re.compile(r"(?:module\.)?intermediate_dncnn\.itermediate_dncnn\.(\d+)\.(\w+)")

#: In the normalisations, as PyTorch has it by default.
_EPSILON = 1e-5

#: Sub-images of a channel: every second row and column.
_PHASES = 4


def is_ported(state: State) -> bool:
    """Return whether tensors are named as in the IPOL port."""
    return all(_LAYER.fullmatch(name) for name in state)


def converted(state: State) -> dict[str, Tensor]:
    """Return the tensors of the IPOL port as those of DeepInverse's FFDNet with `residual_denoising`.

    Args:
        state: convolutions without bias, and normalisations after all but the first and the last.
    """
    layers: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        match = _LAYER.fullmatch(name)
        if match is not None:
            layers.setdefault(int(match[1]), {})[match[2]] = tensor.double()
    ordered = [layers[number] for number in sorted(layers)]
    blocks: list[tuple[Tensor, Tensor]] = []
    for layer in ordered:
        if "running_mean" in layer:
            blocks[-1] = _normalised(*blocks[-1], layer)
        else:
            blocks.append((layer["weight"], layer["weight"].new_zeros(len(layer["weight"]))))
    (first, bias), *inner, (last, last_bias) = blocks
    blocks = [(_map_last(first, len(last) // _PHASES), bias), *inner, (-last, -last_bias)]
    return _named([(weight.float(), bias.float()) for weight, bias in blocks])


def shape_of(state: State) -> tuple[int, int, int]:
    """Return (layers, features, channels of the image) of DeepInverse's tensors."""
    weights = [tensor for tensor in state.values() if tensor.ndim == 4]
    return len(weights), len(weights[0]), len(weights[-1]) // _PHASES


def _normalised(weight: Tensor, bias: Tensor, layer: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return a convolution that includes the normalisation after it."""
    scale = layer["weight"] / (layer["running_var"] + _EPSILON).sqrt()
    return weight * scale[:, None, None, None], (bias - layer["running_mean"]) * scale + layer["bias"]


def _map_last(weight: Tensor, channels: int) -> Tensor:
    """Return the first convolution for one map of the noise level, of which it sees four sub-images, after the image.

    The maps of the channels are equal, and so are the sub-images of a constant map: their weights add up.
    """
    level = weight[:, :channels].sum(1, keepdim=True) / _PHASES
    return torch.cat([weight[:, channels:], level.expand(-1, _PHASES, -1, -1)], 1)


def _named(blocks: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    names = [f"blocks.{number}.0" for number in range(len(blocks) - 1)] + [f"blocks.{len(blocks) - 1}"]
    pairs = zip(names, blocks, strict=True)
    return {
        f"{name}.{kind}": tensor
        for name, block in pairs
        for kind, tensor in zip(("weight", "bias"), block, strict=True)
    }
