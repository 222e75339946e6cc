"""Fits of networks to problems: one, several by one recipe, or several by recipes of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from nidbench import versions
from nidbench.contract.restored import Restored
from nidbench.contract.run import Run
from nidbench.errors import InputError
from nidbench.physics.problem import Problem

from .ensemble import Ensemble, Outcome, attempted
from .fold import NetworkState
from .member import Member
from .recipe import Recipe
from .stopping import HELD, noise_threshold
from .streams import seeded


def fit_one(recipe: Recipe, problem: Problem, run: Run) -> Restored:
    """Fit one network to one problem and return its restoration, or raise what stopped it."""
    (outcome,) = fit(recipe, [problem], [run])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def fit(recipe: Recipe, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Outcome]:
    """Fit one network to each problem, side by side, and return one outcome for each.

    Gradients are on, whatever the caller has set.

    Args:
        recipe: the method's parts.
        problems: with the same number of channels and the same frame.
        runs: one for each, on the same device, at the same precision.

    Raises:
        InputError: where the problems cannot be fitted side by side.
    """
    versions.use("engine")
    _require_alike(problems, runs)
    with torch.inference_mode(mode=False), torch.enable_grad():
        return _fitted(recipe, problems, runs)


def _fitted(recipe: Recipe, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Outcome]:
    """Return the outcomes of `fit`."""
    outcomes: dict[int, Outcome] = {}
    members: dict[int, tuple[Member, NetworkState | None]] = {}
    for i, (problem, run) in enumerate(zip(problems, runs, strict=True)):
        begun = attempted(partial(_begun, recipe, problem, run))
        if isinstance(begun, Exception):
            outcomes[i] = begun
        else:
            members[i] = begun
    # those that were interrupted at different iterations cannot share an optimizer's step count
    for start in sorted({member.iteration for member, _ in members.values()}):
        group = {i: (member, network) for i, (member, network) in members.items() if member.iteration == start}
        networks = [network for _, network in group.values() if network is not None]
        outcomes |= Ensemble(recipe, {i: member for i, (member, _) in group.items()}, networks).descend()
    return [outcomes[i] for i in range(len(problems))]


def fit_each(recipes: Sequence[Recipe], problems: Sequence[Problem], runs: Sequence[Run]) -> list[Outcome]:
    """Fit one network to each problem by a recipe of its own, those of equal schedules side by side.

    Args:
        recipes: one for each problem, equal but for their schedules.
        problems: as of `fit`.
        runs: likewise.

    Raises:
        InputError: where the problems cannot be fitted side by side.
    """
    outcomes: dict[int, Outcome] = {}
    for schedule in dict.fromkeys(recipe.schedule for recipe in recipes):
        group = [n for n, recipe in enumerate(recipes) if recipe.schedule == schedule]
        together = fit(recipes[group[0]], [problems[n] for n in group], [runs[n] for n in group])
        outcomes |= dict(zip(group, together, strict=True))
    return [outcomes[n] for n in range(len(problems))]


def _require_alike(problems: Sequence[Problem], runs: Sequence[Run]) -> None:
    frames = {problem.shape for problem in problems}
    places = {(run.device, run.precision) for run in runs}
    if len(frames) > 1 or len(places) > 1:
        raise InputError(f"cannot fit {frames} on {places} side by side: give one frame, device and precision")


def _begun(recipe: Recipe, problem: Problem, run: Run) -> tuple[Member, NetworkState | None]:
    """Return a problem's member, as fresh or as its checkpoint has it, and the network of that checkpoint."""
    threshold = noise_threshold(recipe.sigma(problem)) if recipe.stop.needs_noise_level else math.nan
    stopper = recipe.stop.start(threshold)
    held = held_out(problem, run) if recipe.stop.holds_out else None
    member = Member(recipe.objective(problem, run), run, stopper, seeded(run, "training", run.device), held)
    return member, member.resume(recipe.optimizer)


def held_out(problem: Problem, run: Run) -> Tensor:
    """Return which pixels of y the loss does not see, Shape (C, h, w), bool, the same on every device."""
    drawn = torch.rand(problem.blurred.shape, generator=seeded(run, "held-out"))
    return (drawn < HELD).to(run.device)
