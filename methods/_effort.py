"""For how long and how fast a method fits its networks, and when it stops: the settings that such methods share.

Chen, Quan, Pang, Ji, "Nonblind Image Deconvolution via Leveraging Model Uncertainty in An Untrained DNN", IJCV 2022:
the numbers of iterations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nidbench.contract import Problem
from nidbench.errors import InputError
from nidbench.fitting import Schedule, Stop, check_optimizer

#: Noise level -> iterations of Chen et al. for DIP (section 4.1 (ii)).
PAPER_ITERATIONS = {0.01: 10_000, 0.03: 6000, 0.05: 4000}


#: Pixels a side of the images for which `size_scaled` methods give their number of iterations.
SIDE = 96


#: Images, all of scikit-image, on which what the presets called `fast` share was chosen: no table tests them.
CHOSEN_ON = "brick, chelsea, coffee, coins, ihc, motorcycle_left and rocket of scikit-image"
#: What they share: for how long, and who descends. docs/explanation/effort.md says why.
FAST: Mapping[str, Any] = {
    "size_scaled": True,
    "warmup": 20,
    "decay": "cosine",
    "optimizer": "soap",
    "stop": "rising-variance",
    "window": 20,
    "margin": 0.1,
}
#: Of them what methods take that need no stop, as the mean of many x is their restoration.
WITHOUT_STOP: Mapping[str, Any] = {name: FAST[name] for name in ("size_scaled", "warmup", "decay", "optimizer")}


class Effort(Protocol):
    """The settings that every method which fits networks has; its class gives them their defaults.

    The networks end in a sigmoid, as those of the papers do: x is in [0, 1], an absolute scale. Where y has another,
    bring it to [0, 1] first.
    """

    @property
    def iterations(self) -> int | None:
        """At most this many; None for a `share` of the method's usual number."""
        ...

    @property
    def share(self) -> float:
        """Of the method's usual number of iterations, in (0, 1]; without effect where `iterations` is a number."""
        ...

    @property
    def size_scaled(self) -> bool:
        """Whether that number is for 96x96 pixels of x and grows with the root of the side, `SIDE`, of a larger image.

        Without effect where `iterations` is a number.
        """
        ...

    @property
    def lr(self) -> float:
        """The highest learning rate."""
        ...

    @property
    def warmup(self) -> int:
        """Iterations of linear rise to it."""
        ...

    @property
    def decay(self) -> str:
        """How it falls: `constant`, `cosine` or `halving`, see `nidbench.fitting.Schedule`."""
        ...

    @property
    def optimizer(self) -> str:
        """Who descends: `adam` or `soap`, see `nidbench.fitting.optimizers`."""
        ...

    @property
    def stop(self) -> str:
        """A rule of `nidbench.fitting.stopping`: `iterations`, `noise-level`, `windowed-variance` ...

        What is smoothed, is over 100 iterations.
        """
        ...

    @property
    def margin(self) -> float:
        """Of `averaged-noise-level`: how far below sigma, in standard deviations of the rms of the noise in y.

        Of `held-out`: by how many standard errors the residual of held-out pixels must rise. Of `rising-variance`: by
        what share of its lowest the variance of the iterates must.
        """
        ...

    @property
    def window(self) -> int:
        """Of `windowed-variance`, `rising-variance` and `held-out`: iterates whose variance or residual is taken."""
        ...

    @property
    def patience(self) -> int:
        """Of `windowed-variance`: iterations without a lower variance."""
        ...


def check_effort(effort: Effort) -> None:
    """Refuse what the engine would refuse, before anything is computed.

    Raises:
        InputError: naming the setting, its value and what to give.
    """
    if not 0 < effort.share <= 1:
        raise InputError(f"share={effort.share}: give a part of the method's iterations in (0, 1], such as 0.25")
    _schedule(effort, 1 if effort.iterations is None else effort.iterations)
    check_optimizer(effort.optimizer)
    stop_of(effort)


def schedule_of(effort: Effort, problem: Problem, usual: Callable[[Problem], int]) -> Schedule:
    """Return the schedule for a problem; `usual` gives the method's number of iterations for it."""
    iterations = effort.iterations
    if iterations is None:
        growth = by_size(problem.frame) if effort.size_scaled else 1.0
        iterations = max(1, round(growth * effort.share * usual(problem)))
    return _schedule(effort, iterations)


def by_size(frame: tuple[int, int]) -> float:
    """Return how many times the iterations of 96x96 pixels an image of Shape (H, W) takes: at least 1."""
    return max(1.0, math.sqrt(math.sqrt(math.prod(frame)) / SIDE))


def stop_of(effort: Effort) -> Stop:
    """Return the stopping rule with its parameters."""
    return Stop(effort.stop, window=effort.window, patience=effort.patience, margin=effort.margin)


def _schedule(effort: Effort, iterations: int) -> Schedule:
    return Schedule(iterations, effort.lr, effort.warmup, effort.decay)


def paper_iterations(sigma: float) -> int:
    """Return the iterations of Chen et al. for DIP at a noise level on [0, 1].

    They give three; between them counts the nearest by ratio, so that the steps lie at 0.017 and 0.039, and an
    estimated level that is a little off changes nothing.
    """
    nearest = min(PAPER_ITERATIONS, key=lambda level: abs(math.log(level / max(sigma, 1e-6))))
    return PAPER_ITERATIONS[nearest]


def usual_of_dip(problem: Problem) -> int:
    """Return the iterations of Chen et al. for DIP at a problem's noise level."""
    return paper_iterations(problem.sigma())


def by_noise(iterations: int, sigma: float) -> int:
    """Return a number of iterations that suits the most noise of the paper, grown as it grows DIP's for less noise."""
    return round(iterations * paper_iterations(sigma) / min(PAPER_ITERATIONS.values()))
