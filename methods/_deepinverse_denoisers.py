"""DeepInverse's networks that need weights, and where these are: a local file, or what its own loader has fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nidbench.deepinverse.package import load
from nidbench.errors import DataError

from . import _ffdnet
from ._state_dict import State, fill, read_state

#: How weights that DeepInverse's own loader fetches are asked for -> channels of the images that they are for.
HOSTED = {"hub": 1, "hub-colour": 3}

Made = tuple[nn.Module, int]
"""A network with its weights, and the channels of images that it restores at once; 0 where it takes any number."""


@dataclass(frozen=True)
class Network:
    """A network that needs weights.

    Attributes:
        title: its class in DeepInverse.
        home: the package of DeepInverse that has it.
        hosted: channels of images -> the name under which DeepInverse 0.5 keeps the weights, in torch.hub's folder.
        fetch: channels of images -> what to call so that DeepInverse's own loader fetches these weights.
        make: returns the network for tensors, given their path for messages.
        multiple: rows and columns of images must be multiples of this.
    """

    title: str
    home: str
    hosted: Mapping[int, str]
    fetch: Mapping[int, str]
    make: Callable[[State, Path], Made]
    multiple: int = 1

    def weights(self, asked: str) -> Path:
        """Return the file with the weights; nothing is fetched here.

        Args:
            asked: a path, or a word of `HOSTED` for the file that DeepInverse's own loader has fetched.

        Raises:
            DataError: where it has not.
        """
        if asked not in HOSTED:
            return Path(asked).expanduser()
        channels = HOSTED[asked]
        path = Path(torch.hub.get_dir()) / "checkpoints" / self.hosted[channels]
        if not path.is_file():
            raise DataError(
                f"{self.title} needs {path.name}, which is not in {path.parent}, and nidbench does not fetch it: let "
                f'DeepInverse do so, python -c "from deepinv.{self.home} import {self.title}; {self.fetch[channels]}", '
                "or give weights=PATH"
            )
        return path

    def read(self, path: Path, sha256: str) -> Made:
        """Return the network with the weights of a file.

        Raises:
            DataError: where the file cannot be read, is of another network, or has another SHA-256.
        """
        return self.make(read_state(path, sha256), path)


def _ffdnet_of(state: State, path: Path) -> Made:
    ported = _ffdnet.is_ported(state)
    try:
        state = _ffdnet.converted(state) if ported else state
        layers, features, channels = _ffdnet.shape_of(state)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise DataError(f"the weights {path} are of no FFDNet: a layer is missing or has another shape") from error
    network = load().models.FFDNet(
        n_conv_layers=layers, nf=features, img_channels=channels, residual_denoising=ported, pretrained=None
    )
    return fill(network, state, path), channels


def _drunet_of(state: State, path: Path) -> Made:
    channels = _channels(state, "m_tail.weight", path)
    network = load().models.DRUNet(in_channels=channels, out_channels=channels, pretrained=None)
    return fill(network, state, path), channels


def _dncnn_of(state: State, path: Path) -> Made:
    channels = _channels(state, "out_conv.weight", path)
    depth = 2 + sum(name.startswith("conv_list.") and name.endswith(".weight") for name in state)
    network = load().models.DnCNN(
        in_channels=channels, out_channels=channels, depth=depth, bias="out_conv.bias" in state, pretrained=None
    )
    return fill(network, state, path), channels


def _ram_of(state: State, path: Path) -> Made:
    # DeepInverse loads it without insisting on every tensor: single numbers may keep their initial values
    return fill(load().models.RAM(pretrained=False), state, path, partly=True), 0


def _epll_of(state: State, path: Path) -> Made:
    means = state.get("GMM.mu")
    sizes = (0, 0) if means is None or means.ndim != 2 else tuple(means.shape)
    channels = 1 if isqrt(sizes[1]) ** 2 == sizes[1] else 3
    side = isqrt(sizes[1] // channels)
    if 0 in sizes or side**2 * channels != sizes[1]:
        raise DataError(f"the weights {path} hold no GMM.mu of (components, pixels of a square patch): give EPLL's")
    network = load().optim.EPLL(n_components=sizes[0], pretrained=None, patch_size=side, channels=channels)
    return fill(network, state, path), channels


def _channels(state: State, name: str, path: Path) -> int:
    """Return the channels of images, the first axis of the last layer's weights."""
    channels = len(state[name]) if name in state and state[name].ndim == 4 else 0
    if channels not in (1, 3):
        raise DataError(f"the weights {path} hold no {name} for 1 or 3 channels: they are of another network")
    return channels


def _both(call: str) -> dict[int, str]:
    return {channels: call.format(channels) for channels in HOSTED.values()}


DENOISERS: Mapping[str, Network] = {
    "drunet": Network(
        "DRUNet",
        "models",
        {1: "drunet_deepinv_gray_finetune_26k.pth", 3: "drunet_deepinv_color_finetune_22k.pth"},
        _both("DRUNet(in_channels={0}, out_channels={0})"),
        _drunet_of,
    ),
    "ffdnet": Network(
        "FFDNet",
        "models",
        {1: "ffdnet_gray.pth", 3: "ffdnet_color.pth"},
        {1: "FFDNet()", 3: "FFDNet(n_conv_layers=12, nf=96, img_channels=3)"},
        _ffdnet_of,
        multiple=2,
    ),
    "dncnn": Network(
        "DnCNN",
        "models",
        {1: "dncnn_sigma2_gray.pth", 3: "dncnn_sigma2_color.pth"},
        _both("DnCNN(in_channels={0}, out_channels={0})"),
        _dncnn_of,
    ),
}

EPLL = Network(
    "EPLL",
    "optim",
    {1: "GMM_BSDS_gray2.pt", 3: "GMM_BSDS_color2.pt"},
    _both("EPLL(channels={0})"),
    _epll_of,
)
RAM = Network("RAM", "models", {1: "ram.pth.tar", 3: "ram.pth.tar"}, _both("RAM()"), _ram_of)


class Denoiser(nn.Module):
    """A network of DeepInverse that takes images of any size, each of a batch with its noise level.

    Args:
        network: with its weights.
        multiple: rows and columns that it takes are multiples of this; others are continued by their edge and cut.
    """

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network, self.multiple = network, multiple

    def forward(self, x: Tensor, sigma: Any, **_ignored: Any) -> Tensor:
        """Return the denoised images, Shape (B, C, H, W).

        Args:
            x: Shape (B, C, H, W), nominally in [0, 1].
            sigma: noise level on [0, 1], one, or Shape (B,).
        """
        height, width = x.shape[-2:]
        margin = (0, -width % self.multiple, 0, -height % self.multiple)
        levels = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).flatten().expand(len(x))
        denoised: Tensor = self.network(F.pad(x, margin, mode="replicate"), levels)
        return denoised[..., :height, :width]
