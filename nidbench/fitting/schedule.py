"""How long and how fast a fit descends: the learning rate of each iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nidbench.errors import InputError

#: A decay, its factor, and in how many equal parts of the iterations the rate is the same.
STEPS, STEP, STEP_COUNT = "steps", 0.9, 30

#: Decay by halves -> the tenths of all iterations after which the rate is halved.
HALVINGS = {"halving": (7, 8, 9), "early-halving": (4, 6, 8)}


@dataclass(frozen=True)
class Schedule:
    """How long and how fast an optimizer descends.

    Attributes:
        iterations: at most this many.
        lr: the highest learning rate.
        warmup: iterations of linear rise to it.
        decay: `constant`, `cosine` to zero at the last iteration, or by halves: `halving` at 70, 80 and 90 % of them,
            `early-halving` at 40, 60 and 80 %. `steps`: to 0.9 of it after each thirtieth of them.

    Raises:
        InputError: for no iteration, a rate outside (0, 10), a negative warm-up or another decay.
    """

    iterations: int
    lr: float
    warmup: int = 0
    decay: str = "constant"

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError(f"iterations={self.iterations}: give at least 1")
        if not 0 < self.lr < 10:
            raise InputError(f"lr={self.lr}: give a value in (0, 10), such as 1e-3")
        if self.warmup < 0:
            raise InputError(f"warmup={self.warmup}: give iterations, or 0 for none")
        if self.decay not in ("constant", "cosine", *HALVINGS, STEPS):
            raise InputError(f"decay={self.decay!r}: use constant, cosine, {', '.join(HALVINGS)} or {STEPS}")

    def rate(self, iteration: int) -> float:
        """Return the learning rate of an iteration (from 1)."""
        if iteration <= self.warmup:
            return self.lr * iteration / self.warmup
        if self.decay == "constant":
            return self.lr
        if self.decay == STEPS:
            return self.lr * STEP ** (STEP_COUNT * (iteration - 1) // self.iterations)
        if self.decay in HALVINGS:
            return self.lr * 0.5 ** sum(10 * iteration > tenths * self.iterations for tenths in HALVINGS[self.decay])
        done = (iteration - self.warmup) / max(1, self.iterations + 1 - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))
