"""Who descends, as a part of a recipe: each optimizer couples no network of a fold with another.

    adam   Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015: element by element
    soap   Adam in the eigenbases of Shampoo's preconditioners, see `nidbench.fitting.soap`

What an optimizer remembers of a parameter are tensors whose first axis can be cut into the N networks, and scalars that
are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import nn

from nidbench.errors import InputError

from .soap import Soap

MakeOptimizer: TypeAlias = Callable[[Sequence[nn.Parameter], int], torch.optim.Optimizer]
"""Makes an optimizer of the parameters of N folded networks; its rate is set at every step."""


def _adam(parameters: Sequence[nn.Parameter], count: int) -> torch.optim.Optimizer:  # noqa: ARG001 - element by element
    return torch.optim.Adam(parameters, fused=True)


OPTIMIZERS: Mapping[str, MakeOptimizer] = {"adam": _adam, "soap": Soap}


def check_optimizer(name: str) -> None:
    """Refuse an optimizer that there is not.

    Raises:
        InputError: naming those that there are.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"optimizer={name!r}: use {' or '.join(OPTIMIZERS)}")
