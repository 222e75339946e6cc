"""The engine that fits untrained networks: N of them side by side, each as if it were alone.

Methods differ in four parts: the network, its input, the loss and the stop. `fit` is the loop they share:

    repeat: draw each problem's input, predict all x in one pass, descend on the sum of the losses

Networks of one architecture are *folded*: N of them are one module whose parameters and buffers hold the N slices one
after the other along their first axis, so that a grouped convolution serves all. Nothing couples the slices: Adam works
element by element, and each problem has its own random stream, stop, failure and checkpoint.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .contract import Image, Problem, Restored, Run
from .errors import InputError, UnstableError

#: Added to the noise level before squaring, so that a loss can fall below it (paper section 4.1).
STABILISER = 5e-4


@dataclass(frozen=True)
class Loss:
    """What one prediction costs.

    Attributes:
        value: what is descended on, a scalar tensor with gradient.
        residual: mean squared residual in the units of y, which stopping rules compare with the noise level.
    """

    value: Tensor
    residual: Tensor


class Objective(Protocol):
    """One problem's part in a fit."""

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Callable[[Tensor], Loss]]:
        """Return the network's next input, Shape (C_in, H, W), and the loss of the x, Shape (C, H, W), it leads to."""
        ...

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return the restoration by the network as it stands.

        `sample` is None for an observation on the way, where less effort will do; at the end it receives each posterior
        draw.
        """
        ...


class Predictor(Protocol):
    """One problem's network as a function."""

    def __call__(self, network_input: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return x, Shape (C, H, W), float32; without a generator, the network's own randomness is off."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A restoration by the network: x and its pixel variance, Shape (C, H, W)."""

    image: Tensor
    variance: Tensor | None = None


class Adaptation(Protocol):
    """What changes the network on the way, besides descent."""

    def __call__(self, iteration: int, networks: nn.Module, members: Sequence[Member]) -> None:
        """Act after an iteration (from 1), on the networks of these members, in order."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How long and how fast Adam descends.

    Attributes:
        iterations: at most this many.
        lr: the highest.
        warmup: iterations of linear rise to it.
        decay: `constant`, or `cosine` to zero at the last iteration.
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
        if self.decay not in ("constant", "cosine"):
            raise InputError(f"decay={self.decay!r}: use constant or cosine")

    def rate(self, iteration: int) -> float:
        """Return the learning rate of an iteration (from 1)."""
        if iteration <= self.warmup:
            return self.lr * iteration / self.warmup
        if self.decay == "constant":
            return self.lr
        done = (iteration - self.warmup) / max(1, self.iterations + 1 - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Stop:
    """When a fit ends before its iterations are spent.

    Attributes:
        rule: `iterations` (never), `noise-level` (one residual under the threshold, paper section 3.2) or
            `smoothed-noise-level` (its exponential average).
        memory: iterations that the average looks back.
    """

    rule: str = "iterations"
    memory: int = 100

    def __post_init__(self) -> None:
        if self.rule not in ("iterations", "noise-level", "smoothed-noise-level"):
            raise InputError(f"stop={self.rule!r}: use iterations, noise-level or smoothed-noise-level")

    def decide(self, state: dict[str, float], residual: float, threshold: float) -> str | None:
        """Return why to stop, or None; `state` is this fit's own and kept in its checkpoint."""
        if self.rule == "iterations":
            return None
        if self.rule == "noise-level":
            return "noise level" if residual < threshold else None
        weight = 1 - 1 / self.memory
        state["sum"] = weight * state.get("sum", 0.0) + (1 - weight) * residual
        state["weight"] = weight * state.get("weight", 0.0) + (1 - weight)
        enough = state["weight"] > 0.5
        return "smoothed noise level" if enough and state["sum"] / state["weight"] < threshold else None


def noise_threshold(sigma: float) -> float:
    """Return the residual at which noise would be fitted: (sigma + 5e-4)^2 (paper section 4.1)."""
    return (sigma + STABILISER) ** 2


@dataclass
class Member:
    """One problem in a fit, with all that is its own.

    Attributes:
        objective: input, loss, estimate.
        run: what the harness lent.
        threshold: residual for the stopping rules.
        generator: random stream of the training draws.
        iteration: iterations done.
        stop_state: the stopping rule's memory.
        log: what the method notes on the way, JSON-able; ends in `Restored.details`.
    """

    objective: Objective
    run: Run
    threshold: float
    generator: torch.Generator
    iteration: int = 0
    stop_state: dict[str, float] = field(default_factory=dict)
    log: dict[str, list[Any]] = field(default_factory=dict)

    def stream(self, name: str) -> torch.Generator:
        """Return a fresh generator for a named stream, on the run's device."""
        return seeded(self.run, name, self.run.device)


def seeded(run: Run, stream: str, device: str = "cpu") -> torch.Generator:
    """Return a torch generator for one of a run's random streams."""
    return torch.Generator(device).manual_seed(run.seed(stream))


def channels_last(module: nn.Module) -> nn.Module:
    """Lay a module's weights out channels last, the order in which CPU and GPU convolve fastest; return it."""
    moved: nn.Module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


@dataclass(frozen=True)
class Recipe:
    """The parts in which methods differ.

    Attributes:
        networks: makes folded networks from one CPU generator each, for their weights. Called as
            `networks(inputs, generators)` with inputs of Shape (N, C_in, H, W), it returns x, Shape (N, C, H, W).
        objective: makes a problem's part from the problem and its run.
        schedule, stop: how long.
        sigma: the noise level that stopping rules go by; asked only where a rule needs it.
        adapt: acts after each iteration.
    """

    networks: Callable[[Sequence[torch.Generator]], nn.Module]
    objective: Callable[[Problem, Run], Objective]
    schedule: Schedule
    stop: Stop = Stop()
    sigma: Callable[[Problem], float] = Problem.sigma
    adapt: Adaptation | None = None


def fit_one(recipe: Recipe, problem: Problem, run: Run) -> Restored:
    """Fit one network to one problem and return its restoration, or raise what stopped it."""
    (outcome,) = fit(recipe, [problem], [run])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def fit(recipe: Recipe, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
    """Fit one network to each problem, side by side, and return one outcome each.

    Args:
        recipe: the method's parts.
        problems: with the same number of channels and the same frame.
        runs: one each, on the same device, at the same precision.

    Raises:
        InputError: where the problems cannot be fitted side by side.
    """
    frames = {(p.blurred.shape[0], *p.frame) for p in problems}
    places = {(r.device, r.precision) for r in runs}
    if len(frames) > 1 or len(places) > 1:
        raise InputError(f"cannot fit {frames} on {places} side by side: give one frame, device and precision")
    outcomes: dict[int, Restored | Exception] = {}
    members: dict[int, Member] = {}
    saved: dict[int, dict[str, Any]] = {}
    for index, (problem, run) in enumerate(zip(problems, runs, strict=True)):
        try:
            members[index] = _member(recipe, problem, run)
            saved[index] = _restore_member(members[index])
        except Exception as error:  # noqa: BLE001 - one problem's failure must not take the others along
            members.pop(index, None)
            outcomes[index] = error
    # those that were interrupted at different iterations cannot share Adam's step count
    for start in sorted({member.iteration for member in members.values()}):
        group = {i: member for i, member in members.items() if member.iteration == start}
        outcomes |= _Ensemble(recipe, group, [saved[i] for i in group]).descend()
    return [outcomes[index] for index in range(len(problems))]


def _member(recipe: Recipe, problem: Problem, run: Run) -> Member:
    threshold = math.nan if recipe.stop.rule == "iterations" else noise_threshold(recipe.sigma(problem))
    return Member(recipe.objective(problem, run), run, threshold, seeded(run, "training", run.device))


def _restore_member(member: Member) -> dict[str, Any]:
    content = member.run.load()
    if content is None:
        return {}
    saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    own = json.loads(saved["member"])
    member.iteration, member.stop_state, member.log = own["iteration"], own["stop_state"], own["log"]
    member.generator.set_state(saved["generator"])
    return saved


class _Ensemble:
    """The members that descend together, and their folded networks."""

    def __init__(self, recipe: Recipe, members: dict[int, Member], saved: Sequence[dict[str, Any]]) -> None:
        self.recipe = recipe
        self.members = members
        first = next(iter(members.values()))
        self.start, self.device, self.precision = first.iteration, first.run.device, first.run.precision
        weights = [seeded(member.run, "weights") for member in members.values()]
        self.networks = channels_last(recipe.networks(weights).to(self.device))
        self.optimizer = torch.optim.Adam(self.networks.parameters(), fused=True)
        if self.start:
            self._load(saved)

    def descend(self) -> dict[int, Restored | Exception]:
        outcomes: dict[int, Restored | Exception] = {}
        for iteration in range(self.start + 1, self.recipe.schedule.iterations + 1):
            outcomes |= self._end(self._step(iteration))
            if self.members and self.recipe.adapt is not None:
                self.recipe.adapt(iteration, self.networks, list(self.members.values()))
            outcomes |= self._end(self._show(iteration))
            if not self.members:
                break
        return outcomes

    def _step(self, iteration: int) -> dict[int, str | Exception]:
        """Descend once; return who has ended and why."""
        schedule = self.recipe.schedule
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.rate(iteration)
        residuals, ended = self._descend()
        for index, residual in residuals.items():
            member = self.members[index]
            member.iteration = iteration
            if not math.isfinite(residual):
                ended[index] = UnstableError(f"the residual is {residual} after {iteration} iterations")
                continue
            reason = self.recipe.stop.decide(member.stop_state, residual, member.threshold)
            if reason is None and iteration == schedule.iterations:
                reason = "iterations"
            if reason is not None:
                ended[index] = reason
        return ended

    def _descend(self) -> tuple[dict[int, float], dict[int, str | Exception]]:
        """Take one step; return each member's residual, or what its objective raised."""
        failed: dict[int, str | Exception] = {}
        draws: dict[int, tuple[Tensor, Callable[[Tensor], Loss]]] = {}
        losses: dict[int, Loss] = {}
        for index, member in self.members.items():
            try:
                draws[index] = member.objective.draw(member.generator)
            except Exception as error:  # noqa: BLE001 - one problem's failure must not take the others along
                failed[index] = error
        if not draws:
            return {}, failed
        idle = torch.zeros_like(next(iter(draws.values()))[0])  # keeps the place of one that failed
        inputs = [draws[index][0] if index in draws else idle for index in self.members]
        x = self._forward(torch.stack(inputs), [member.generator for member in self.members.values()])
        for position, index in enumerate(self.members):
            try:
                if index in draws:
                    losses[index] = draws[index][1](x[position])
            except Exception as error:  # noqa: BLE001 - likewise
                failed[index] = error
        if losses:
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack([loss.value for loss in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            residuals = torch.stack([loss.residual.detach() for loss in losses.values()]).tolist()
            return dict(zip(losses, residuals, strict=True)), failed
        return {}, failed

    def _end(self, ended: dict[int, str | Exception]) -> dict[int, Restored | Exception]:
        """Return the outcomes of those that have ended, and go on without them."""
        places = enumerate(self.members.items())
        outcomes = {index: self._finish(n, member, ended[index]) for n, (index, member) in places if index in ended}
        self._drop(ended)
        return outcomes

    def _forward(self, inputs: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        with self._autocast():
            x: Tensor = self.networks(inputs, generators)
        return x.float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16")

    def _show(self, iteration: int) -> dict[int, str | Exception]:
        """Let every run see how far it is; return who could not go on."""
        failed: dict[int, str | Exception] = {}
        for position, (index, member) in enumerate(self.members.items()):
            try:
                self._show_member(position, member, iteration)
            except Exception as error:  # noqa: BLE001 - one problem's failure must not take the others along
                failed[index] = error
        return failed

    def _show_member(self, position: int, member: Member, iteration: int) -> None:
        run = member.run
        run.progress(iteration, self.recipe.schedule.iterations)
        if run.due(iteration):
            stream = member.stream(f"observe {iteration}")
            run.observe(iteration, lambda: self._estimate(position, member, stream, None).image.cpu().numpy())
        if run.checkpoint_due():
            run.save(self._save(position, member))

    def _estimate(
        self, position: int, member: Member, stream: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        state = dict(self._slices(position))

        def predict(network_input: Tensor, generator: torch.Generator | None) -> Tensor:
            generators = None if generator is None else [generator]
            with self._autocast():
                x: Tensor = torch.func.functional_call(self.networks, state, (network_input[None], generators))
            return x[0].float()

        with torch.no_grad():
            return member.objective.estimate(predict, stream, sample)

    def _finish(self, position: int, member: Member, reason: str | Exception) -> Restored | Exception:
        if isinstance(reason, Exception):
            return reason
        try:
            found = self._estimate(position, member, member.stream("estimate"), member.run.sample)
            image = found.image.cpu().numpy()
            member.run.progress(member.iteration, member.iteration)
            member.run.observe(member.iteration, lambda: image)  # the curve ends with what is returned
            variance = None if found.variance is None else found.variance.cpu().numpy()
            return Restored(image, variance, member.iteration, reason, dict(member.log))
        except Exception as error:  # noqa: BLE001 - one problem's failure must not take the others along
            return error

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.networks.named_parameters()
        yield from self.networks.named_buffers()

    def _replace(self, tensors: Mapping[str, Tensor], moments: Mapping[str, Mapping[str, Tensor]], steps: int) -> None:
        """Put tensors, perhaps of other shapes, in the place of the parameters and buffers, and let Adam go on."""
        for name, tensor in tensors.items():
            owner, _, leaf = name.rpartition(".")
            module = self.networks.get_submodule(owner)
            if leaf in module._parameters:
                # not by `.data`: while anything, such as a traceback, holds its graph, a parameter must keep its shape
                module.register_parameter(leaf, nn.Parameter(tensor))
            else:
                module.register_buffer(leaf, tensor)
        self.networks = channels_last(self.networks)
        self.optimizer = torch.optim.Adam(self.networks.parameters(), fused=True)
        for name, parameter in self.networks.named_parameters():
            step = torch.tensor(float(steps), device=self.device)
            self.optimizer.state[parameter] = {"step": step, **moments[name]}

    def _moments(self) -> dict[str, dict[str, Tensor]]:
        """Return Adam's running means by the names of the parameters."""
        named = [(name, self.optimizer.state[parameter]) for name, parameter in self.networks.named_parameters()]
        return {name: {key: state[key] for key in ("exp_avg", "exp_avg_sq")} for name, state in named}

    def _slices(self, position: int) -> Iterator[tuple[str, Tensor]]:
        count = len(self.members)
        for name, tensor in self._named():
            yield name, tensor.detach().chunk(count)[position]

    def _drop(self, ended: dict[int, str | Exception]) -> None:
        """Take the networks of members that ended out of the fold."""
        count = len(self.members)
        kept = [position for position, index in enumerate(self.members) if index not in ended]
        if len(kept) == count or not kept:
            self.members = {} if not kept else self.members
            return

        def take(tensor: Tensor) -> Tensor:
            return torch.cat([tensor.chunk(count)[position] for position in kept])

        steps = next(member.iteration for index, member in self.members.items() if index not in ended)
        tensors = {name: take(tensor.detach()) for name, tensor in self._named()}
        moments = {name: {key: take(each) for key, each in both.items()} for name, both in self._moments().items()}
        self._replace(tensors, moments, steps)
        self.members = {index: member for index, member in self.members.items() if index not in ended}

    def _save(self, position: int, member: Member) -> bytes:
        count = len(self.members)
        moments = {
            name: {key: each.chunk(count)[position].clone() for key, each in both.items()}
            for name, both in self._moments().items()
        }
        own = {"iteration": member.iteration, "stop_state": member.stop_state, "log": member.log}
        content = io.BytesIO()
        torch.save(
            {
                "member": json.dumps(own),
                "generator": member.generator.get_state(),
                "tensors": {name: tensor.clone() for name, tensor in self._slices(position)},
                "moments": moments,
            },
            content,
        )
        return content.getvalue()

    def _load(self, saved: Sequence[dict[str, Any]]) -> None:
        def folded(parts: list[Tensor]) -> Tensor:
            return torch.cat(parts).to(self.device)

        names = [name for name, _ in self.networks.named_parameters()]
        tensors = {name: folded([state["tensors"][name] for state in saved]) for name, _ in self._named()}
        moments = {
            name: {key: folded([state["moments"][name][key] for state in saved]) for key in ("exp_avg", "exp_avg_sq")}
            for name in names
        }
        self._replace(tensors, moments, self.start)
