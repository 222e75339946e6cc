"""When a fit ends before its iterations are spent: rules that any fit can take, as they see only y and the iterates.

    iterations            never: all iterations are done
    noise-level           the first residual under (sigma + 5e-4)^2 (Chen et al., IJCV 2022, sections 3.2 and 4.1)
    smoothed-noise-level  the same of the residuals' exponential average
    averaged-noise-level  the residual that averaged passes would have, median of 10, under sigma by a `margin`:
                          an estimate that averages stochastic passes has a lower residual than any single pass
    held-out              once the residual of pixels of y that no loss sees, averaged over `window` iterations, has
                          risen above its lowest by `margin` standard errors (the validation loss of Yaman et al.,
                          "Zero-Shot Self-Supervised Learning for MRI Reconstruction", ICLR 2022, on pixels)
    rising-variance       once the variance of the last `window` iterates has risen by `margin` of its lowest since the
                          residual of their average came near the noise: ES-WMV's signal without its patience, as the
                          rise is what ends the fit. It looks at x; `held-out` knows the error of k * x only
    windowed-variance     ES-WMV: the minimum of the variance of the last `window` iterates, once `patience` iterations
                          brought no lower one (Wang et al., "Early Stopping for Deep Image Prior", TMLR 2023)
    lowest-residual       never, but what is returned is the network after the iteration of the lowest residual, a new
                          one being lower by 0.5 % at least (the `fit` of Heckel and Hand's Deep Decoder, if asked)

There is no oracle here: what the best moment would have been, only the harness can tell.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from nidbench.errors import InputError

#: Added to the noise level before squaring, so that a loss can fall below it (Chen et al., section 4.1).
STABILISER = 5e-4
#: Iterations that the residual of averaged passes looks back: many against its noise, few against the descent.
PRODUCTS = 10
#: Share of the pixels of y that `held-out` leaves out of the loss.
HELD = 0.05
_NO_PIXELS = torch.empty(0)
#: Times sigma^2 below which the residual of the average is near the noise: networks may stay for long at their start.
NEAR = 1.1
#: Factor by which a residual must be lower than the lowest to take its place (Heckel and Hand's `fit`).
LOWER = 1.005


def noise_threshold(sigma: float) -> float:
    """Return the residual at which noise would be fitted: (sigma + 5e-4)^2 (Chen et al., section 4.1)."""
    return (sigma + STABILISER) ** 2


class Stopper(Protocol):
    """A rule at work on one fit."""

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:
        """Take an iteration; return why to stop, or None.

        Args:
            residual: mean squared residual.
            x: Shape (C, H, W).
            difference: g(k * x) - y, Shape (C, h, w), where the loss gives it; of `held-out` the pixels that are
                held out, Shape (n).
        """
        ...

    @property
    def best(self) -> bool | None:
        """Whether the last iterate is the one to return so far; None for rules that return the last, whatever it is."""
        ...

    def state(self) -> dict[str, Any]:
        """Return numbers and tensors from which `load` goes on."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        ...


@dataclass(frozen=True)
class Stop:
    """Which rule, and its parameters.

    Attributes:
        rule: one of `RULES`.
        memory: iterations that the smoothed residual looks back.
        window: iterates whose variance is taken, or of `held-out` whose residuals are averaged.
        patience: iterations without a lower variance.
        margin: how far below sigma `averaged-noise-level` goes, in standard deviations, sigma / sqrt(2 n), of the rms
            that noise has in the n pixels of y; by how many standard errors the residual of `held-out` must rise; by
            what share of its lowest the variance of `rising-variance` must.
    """

    rule: str = "iterations"
    memory: int = 100
    window: int = 100
    patience: int = 1000
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(f"stop={self.rule!r}: use {', '.join(RULES)}")
        if self.memory < 1 or self.window < 2 or self.patience < 1:
            raise InputError(
                f"memory={self.memory}, window={self.window}, patience={self.patience}: give at least 1, 2 and 1"
            )

        if not 0 <= self.margin < math.inf:
            raise InputError(f"margin={self.margin}: give a number of at least 0, such as 0.1")

    @property
    def needs_noise_level(self) -> bool:
        """Whether the rule compares residuals with the noise."""
        return self.rule in ("noise-level", "smoothed-noise-level", "averaged-noise-level", "rising-variance")

    @property
    def holds_out(self) -> bool:
        """Whether the rule leaves some pixels of y out of the loss."""
        return self.rule == "held-out"

    @property
    def ends_early(self) -> bool:
        """Whether the rule may end a fit before its last iteration."""
        return self.rule not in ("iterations", "lowest-residual")

    def start(self, threshold: float = math.nan) -> Stopper:
        """Return the rule for one fit; `threshold` is the residual at which noise would be fitted."""
        return RULES[self.rule](self, threshold)


class _AllIterations:
    best: bool | None = None

    def __init__(self, stop: Stop, threshold: float) -> None:
        pass

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - one signature
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        pass


class _NoiseLevel:
    best: bool | None = None

    def __init__(self, stop: Stop, threshold: float) -> None:  # noqa: ARG002 - likewise
        self._threshold = threshold

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - likewise
        return "noise level" if residual < self._threshold else None

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        pass


class _SmoothedNoiseLevel:
    best: bool | None = None

    def __init__(self, stop: Stop, threshold: float) -> None:
        self._fresh, self._threshold = 1 / stop.memory, threshold
        self._sum = self._weight = 0.0

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - likewise
        fresh = self._fresh
        self._sum = (1 - fresh) * self._sum + fresh * residual
        self._weight = (1 - fresh) * self._weight + fresh
        enough = self._weight > 0.5
        return "smoothed noise level" if enough and self._sum / self._weight < self._threshold else None

    def state(self) -> dict[str, Any]:
        return {"sum": self._sum, "weight": self._weight}

    def load(self, state: dict[str, Any]) -> None:
        self._sum, self._weight = state["sum"], state["weight"]


class _AveragedResiduals:
    """Estimates the residual of averaged passes by the product of two, whose scatter is independent.

    The mean of (k * x1 - y)(k * x2 - y) over pixels has the expected value of the squared residual of the average of
    infinitely many passes, if x1 and x2 are of the same network. Two iterations that follow each other are nearly that.
    """

    def __init__(self, count: int) -> None:
        self.recent: deque[float] = deque(maxlen=count)
        self._last: Tensor | None = None

    def take(self, difference: Tensor | None, rule: str) -> bool:
        """Take an iteration's difference; return whether there are as many estimates as were asked for."""
        if difference is None:
            raise TypeError(f"stop={rule} looks at Loss.difference, which this objective leaves out")
        last, self._last = self._last, difference.clone()
        if last is not None:
            self.recent.append(float((last * difference).mean()))
        return len(self.recent) == self.recent.maxlen

    def state(self) -> dict[str, Any]:
        return {"products": list(self.recent), "last": None if self._last is None else self._last.cpu()}

    def load(self, state: dict[str, Any]) -> None:
        self.recent.extend(state["products"])
        self._last = state["last"]


class _AveragedNoiseLevel:
    """Looks at the median of the last estimates.

    It heeds neither single ones nor the few iterations after the network was upset, such as by other dropout ratios.
    """

    best: bool | None = None

    def __init__(self, stop: Stop, threshold: float) -> None:
        self._level, self._margin = math.sqrt(threshold) - STABILISER, stop.margin
        self._residuals = _AveragedResiduals(PRODUCTS)

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - likewise
        enough = self._residuals.take(difference, "averaged-noise-level")
        if difference is None or not enough:
            return None
        level = max(0.0, self._level * (1 - self._margin / math.sqrt(2 * difference.numel())))
        return "averaged noise level" if median(self._residuals.recent) < level**2 else None

    def state(self) -> dict[str, Any]:
        return self._residuals.state()

    def load(self, state: dict[str, Any]) -> None:
        self._residuals.load(state)


class _HeldOut:
    """Estimates the residual of averaged passes on held-out pixels, as `_AveragedNoiseLevel` does on all.

    Whether it has risen is asked pixel by pixel: the noise of these pixels is the same in every iteration.
    """

    best: bool | None = None

    def __init__(self, stop: Stop, threshold: float) -> None:  # noqa: ARG002 - likewise
        self._margin, self._window, self._last = stop.margin, stop.window, _NO_PIXELS
        self._recent: deque[Tensor] = deque(maxlen=stop.window)
        self._lowest, self._since = _NO_PIXELS, 0

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - likewise
        if difference is None:
            raise TypeError("stop=held-out looks at Loss.difference, which this objective leaves out")
        last, self._last = self._last, difference.clone()
        if not last.numel():
            return None
        self._recent.append(last * difference)
        if len(self._recent) < self._window:
            return None
        level = torch.stack(list(self._recent)).mean(0)
        self._since += 1
        if not self._lowest.numel() or level.mean() < self._lowest.mean():
            self._lowest, self._since = level, 0
        if self._since < self._window:  # both levels share iterations, or a network was upset for a moment
            return None
        rise = level - self._lowest
        return "held-out pixels" if rise.mean() > self._margin * standard_error(rise) else None

    def state(self) -> dict[str, Any]:
        recent = torch.stack(list(self._recent)) if self._recent else _NO_PIXELS
        tensors = {"last": self._last, "recent": recent, "lowest": self._lowest}
        return {name: tensor.cpu() for name, tensor in tensors.items()} | {"since": self._since}

    def load(self, state: dict[str, Any]) -> None:
        self._last, self._lowest, self._since = state["last"], state["lowest"], state["since"]
        self._recent.extend(state["recent"])


def standard_error(values: Tensor) -> float:
    """Return the standard error of the mean of independent values."""
    return float(values.std()) / math.sqrt(values.numel())


class _Iterates:
    """The last iterates of a fit and their variance."""

    def __init__(self, window: int) -> None:
        self._window, self._count = window, 0
        self._kept: Tensor | None = None

    def take(self, x: Tensor) -> float | None:
        """Take an iterate, Shape (C, H, W); return the mean variance of the pixels over the window, None until full."""
        if self._kept is None:
            self._kept = x.new_zeros((self._window, *x.shape))
        self._kept[self._count % self._window] = x
        self._count += 1
        return None if self._count < self._window else float(self._kept.var(0, correction=0).mean())

    def state(self) -> dict[str, Any]:
        return {"count": self._count, "iterates": None if self._kept is None else self._kept.cpu()}

    def load(self, state: dict[str, Any]) -> None:
        self._count, self._kept = state["count"], state["iterates"]


class _WindowedVariance:
    def __init__(self, stop: Stop, threshold: float) -> None:  # noqa: ARG002 - likewise
        self.best: bool | None = False
        self._patience, self._since = stop.patience, 0
        self._lowest = math.inf
        self._iterates = _Iterates(stop.window)

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - likewise
        variance = self._iterates.take(x)
        if variance is None:
            return None
        self.best = variance < self._lowest
        self._since = 0 if self.best else self._since + 1
        self._lowest = min(self._lowest, variance)
        return "windowed variance" if self._since >= self._patience else None

    def state(self) -> dict[str, Any]:
        return {**self._iterates.state(), "since": self._since, "lowest": self._lowest}

    def load(self, state: dict[str, Any]) -> None:
        self._iterates.load(state)
        self._since, self._lowest = state["since"], state["lowest"]


class _RisingVariance:
    """Takes the variance of the iterates as a measure of the noise in them, which grows as noise is fitted.

    It says nothing before the residual of their average is near the noise: iterates that have not left the start yet
    hardly vary, either.
    """

    best: bool | None = None

    def __init__(self, stop: Stop, threshold: float) -> None:
        self._margin, self._near = stop.margin, NEAR * (math.sqrt(threshold) - STABILISER) ** 2
        self._iterates, self._residuals = _Iterates(stop.window), _AveragedResiduals(PRODUCTS)
        self._is_near, self._lowest = False, math.inf

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - likewise
        variance = self._iterates.take(x)
        if not self._is_near:
            enough = self._residuals.take(difference, "rising-variance")
            self._is_near = enough and median(self._residuals.recent) < self._near
        if variance is None or not self._is_near:
            return None
        self._lowest = min(self._lowest, variance)
        return "rising variance" if variance > (1 + self._margin) * self._lowest else None

    def state(self) -> dict[str, Any]:
        near = {"near": self._is_near, "lowest": self._lowest}
        return self._iterates.state() | self._residuals.state() | near

    def load(self, state: dict[str, Any]) -> None:
        self._iterates.load(state)
        self._residuals.load(state)
        self._is_near, self._lowest = state["near"], state["lowest"]


class _LowestResidual:
    def __init__(self, stop: Stop, threshold: float) -> None:  # noqa: ARG002 - likewise
        self.best: bool | None = False
        self._lowest = math.inf

    def update(self, residual: float, x: Tensor, difference: Tensor | None) -> str | None:  # noqa: ARG002 - likewise
        self.best = residual * LOWER < self._lowest
        self._lowest = residual if self.best else self._lowest
        return None

    def state(self) -> dict[str, Any]:
        return {"lowest": self._lowest}

    def load(self, state: dict[str, Any]) -> None:
        self._lowest = state["lowest"]


Rule: TypeAlias = Callable[[Stop, float], Stopper]
"""Makes a stopper from its parameters and the residual at which noise would be fitted."""

RULES: dict[str, Rule] = {
    "iterations": _AllIterations,
    "noise-level": _NoiseLevel,
    "smoothed-noise-level": _SmoothedNoiseLevel,
    "averaged-noise-level": _AveragedNoiseLevel,
    "held-out": _HeldOut,
    "rising-variance": _RisingVariance,
    "windowed-variance": _WindowedVariance,
    "lowest-residual": _LowestResidual,
}
