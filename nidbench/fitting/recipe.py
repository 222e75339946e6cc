"""What makes one method that fits networks differ from another: network, objective, schedule and stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from nidbench.contract.run import Run
from nidbench.physics.problem import Problem

from .fold import Fold
from .member import Member
from .objective import Objective
from .optimizers import check_optimizer
from .schedule import Schedule
from .stopping import Stop

#: The rule of a fit that does all its iterations.
NEVER_STOP = Stop()


class Adaptation(Protocol):
    """What changes the network on the way, besides descent."""

    def __call__(self, iteration: int, fold: Fold, members: Sequence[Member]) -> None:
        """Act after an iteration (from 1), on the networks of these members, in order.

        What has to last from one iteration to the next belongs in buffers of the networks, cut into networks along
        their first axis: checkpoints hold these, and members that end take theirs along.

        Args:
            iteration: the last one done.
            fold: `fold.networks`, and in `fold.optimizer.state` what the optimizer remembers of their parameters.
            members: random streams, objectives, logs.
        """
        ...


@dataclass(frozen=True)
class Recipe:
    """The parts in which methods differ.

    Attributes:
        networks: makes folded networks (see `nidbench.fitting.fold`) from one CPU generator for each, for their
            weights. Called as `networks(inputs, generators)` with inputs of Shape (N, C_in, H, W), they return x,
            Shape (N, C, H, W); where `generators` is None, their own randomness is off.
        objective: makes what a network is fitted to from a problem and its run.
        schedule, stop: how long.
        optimizer: who descends, a name of `OPTIMIZERS`.
        sigma: the noise level that stopping rules go by; asked only where a rule needs it.
        adapt: acts after each iteration.
        inspect: surrounds the final estimate of one problem, to hand over what its network shows (`Run.keep`).
    """

    networks: Callable[[Sequence[torch.Generator]], nn.Module]
    objective: Callable[[Problem, Run], Objective]
    schedule: Schedule
    stop: Stop = NEVER_STOP
    optimizer: str = "adam"
    sigma: Callable[[Problem], float] = Problem.sigma
    adapt: Adaptation | None = None
    inspect: Callable[[nn.Module, Run], AbstractContextManager[None]] | None = None

    def __post_init__(self) -> None:
        check_optimizer(self.optimizer)
