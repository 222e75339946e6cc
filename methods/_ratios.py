"""Dropout ratios that follow the uncertainty of neurons: eq. 15 of SA dropout.

Chen, Quan, Pang, Ji, IJCV 2022. The equation leaves open how variances become factors, over which neurons they are
scaled, and what they multiply; docs/explanation/sa-dropout.md compares the readings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nidbench.contract import Run
from nidbench.fitting import Member

from ._layers import Dropout, Moments, unfold
from ._unet import CAP, UNets


@contextmanager
def collecting(layers: Sequence[Dropout]) -> Iterator[None]:
    """Have layers collect the moments of the maps that pass meanwhile."""
    for layer in layers:
        layer.moments = Moments()
    try:
        yield
    finally:  # networks fitted beside this one go on
        for layer in layers:
            layer.moments = None


def neuron_variances(networks: UNets, members: Sequence[Member], stream: str, draws: int) -> list[Tensor]:
    """Return the variance of the neurons before every dropout over stochastic passes, Shape (N, C, H, W) for a layer.

    Args:
        networks: of the members, in order.
        members: their objectives give the inputs, their runs the random streams.
        stream: its name.
        draws: passes.
    """
    generators = [member.stream(stream) for member in members]
    run, layers = members[0].run, networks.dropouts()
    autocast = torch.autocast(torch.device(run.device).type, torch.bfloat16, enabled=run.precision == "bf16")
    with collecting(layers):
        with torch.no_grad(), autocast:
            for _ in range(draws):
                inputs = [member.objective.draw(g)[0] for member, g in zip(members, generators, strict=True)]
                networks(torch.stack(inputs), generators)
        return [unfold(layer.moments.variance()[None], len(members)) for layer in layers if layer.moments is not None]


def adapted(former: Tensor | float, variances: Tensor, scaling: str, scope: str) -> Tensor:
    """Return the ratios min(v p, 0.5) of a layer of N networks (eq. 15), Shape (N*C, H, W).

    Args:
        former: p, one number or Shape (N*C, 1, 1) or (N*C, H, W).
        variances: of the neurons, Shape (N, C, H, W), from which `factors` makes v.
        scaling: see `factors`.
        scope: likewise.
    """
    scaled = torch.cat([factors(network, scaling, scope) for network in variances])
    return (scaled * former).clamp(max=CAP)


def factors(variances: Tensor, scaling: str, scope: str) -> Tensor:
    """Return variances of neurons as factors in [0.5, 1.5], the v of eq. 15, which leaves the scaling open.

    Args:
        variances: Shape (C, H, W).
        scaling: `min-max`: linear between the extremes, the literal reading; `rank`: by rank, so that they spread
            evenly; `mean`: divided by their mean, then clipped.
        scope: over which neurons: those of a `layer`, of each `channel`, or the `pixel`s of a layer, one factor for all
            channels of a pixel.
    """
    if scope == "pixel":
        return _scaled(variances.mean(0).reshape(1, -1), scaling).reshape(1, *variances.shape[1:]).expand_as(variances)
    groups = 1 if scope == "layer" else variances.shape[0]
    return _scaled(variances.reshape(groups, -1), scaling).reshape(variances.shape)


def _scaled(variances: Tensor, scaling: str) -> Tensor:
    """Return variances, Shape (groups, neurons), scaled to [0.5, 1.5] group by group."""
    if scaling == "min-max":
        low, high = variances.amin(1, keepdim=True), variances.amax(1, keepdim=True)
        return 0.5 + (variances - low) / (high - low).clamp(min=1e-30)
    if scaling == "rank":
        ranks = variances.argsort(1).argsort(1).to(variances.dtype)
        return 0.5 + ranks / max(1, variances.shape[1] - 1)
    return (variances / variances.mean(1, keepdim=True).clamp(min=1e-30)).clamp(0.5, 1.5)


def quantiles(layer: Dropout, count: int) -> list[list[float]]:
    """Return, for each of so many networks, the 5, 50 and 95 % quantiles of a layer's adapted ratios."""
    ratios = unfold(layer.ratios()[None], count)  # (N, C, H, W)
    levels = torch.tensor([0.05, 0.5, 0.95], device=ratios.device)
    positions = (levels * (ratios[0].numel() - 1)).long()
    return [[round(q, 4) for q in network.flatten().sort().values[positions].tolist()] for network in ratios]


def means(layer: Dropout, count: int) -> list[float]:
    """Return, for each of so many networks, the mean of a layer's adapted ratios."""
    ratios = unfold(layer.ratios()[None], count)  # (N, C, H, W)
    return [round(mean, 4) for mean in ratios.mean((1, 2, 3)).tolist()]


@contextmanager
def keeping_variances(networks: nn.Module, run: Run) -> Iterator[None]:
    """Hand over the variances of the neurons over the final estimate's passes (paper Fig. 5), where wanted."""
    layers = networks.dropouts() if run.keeps("layers") and isinstance(networks, UNets) else []
    with collecting(layers):
        yield
        for number, layer in enumerate(layers, 1):
            if layer.moments is not None:
                run.keep(f"layer {number:02d}", layer.moments.variance().cpu().numpy())
