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
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nidbench import versions
from nidbench.contract import Image, Problem, Restored, Run
from nidbench.errors import InputError, UnstableError

from .stopping import Stop as Stop
from .stopping import Stopper
from .stopping import noise_threshold as noise_threshold

#: The rule of a fit that does all its iterations.
STOP_LAST = Stop()


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
        decay: `constant`, `cosine` to zero at the last iteration, or `halving` at 70, 80 and 90 % of them.
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
        if self.decay not in ("constant", "cosine", "halving"):
            raise InputError(f"decay={self.decay!r}: use constant, cosine or halving")

    def rate(self, iteration: int) -> float:
        """Return the learning rate of an iteration (from 1)."""
        if iteration <= self.warmup:
            return self.lr * iteration / self.warmup
        if self.decay == "constant":
            return self.lr
        if self.decay == "halving":
            return self.lr * 0.5 ** sum(10 * iteration > tenths * self.iterations for tenths in (7, 8, 9))
        done = (iteration - self.warmup) / max(1, self.iterations + 1 - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


@dataclass
class Member:
    """One problem in a fit, with all that is its own.

    Attributes:
        objective: input, loss, estimate.
        run: what the harness lent.
        stopper: the stopping rule at work.
        generator: random stream of the training draws.
        iteration: iterations done.
        kept: name -> tensor of the network to return, where the stopping rule goes back; and its iteration.
        log: what the method notes on the way, JSON-able; ends in `Restored.details`.
    """

    objective: Objective
    run: Run
    stopper: Stopper
    generator: torch.Generator
    iteration: int = 0
    kept: tuple[int, dict[str, Tensor]] | None = None
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
        inspect: surrounds the final estimate of one problem, to hand over what its network shows (`Run.keep`).
    """

    networks: Callable[[Sequence[torch.Generator]], nn.Module]
    objective: Callable[[Problem, Run], Objective]
    schedule: Schedule
    stop: Stop = STOP_LAST
    sigma: Callable[[Problem], float] = Problem.sigma
    adapt: Adaptation | None = None
    inspect: Callable[[nn.Module, Run], AbstractContextManager[None]] | None = None


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
    versions.use("engine")
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


def fit_each(recipes: Sequence[Recipe], problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
    """Fit one network to each problem by a recipe of its own, those of equal schedules side by side.

    Args:
        recipes: one for each problem, equal but for their schedules.
        problems: as of `fit`.
        runs: likewise.

    Raises:
        InputError: where the problems cannot be fitted side by side.
    """
    outcomes: dict[int, Restored | Exception] = {}
    for schedule in dict.fromkeys(recipe.schedule for recipe in recipes):
        group = [n for n, recipe in enumerate(recipes) if recipe.schedule == schedule]
        found = fit(recipes[group[0]], [problems[n] for n in group], [runs[n] for n in group])
        outcomes |= dict(zip(group, found, strict=True))
    return [outcomes[n] for n in range(len(problems))]


def _member(recipe: Recipe, problem: Problem, run: Run) -> Member:
    threshold = noise_threshold(recipe.sigma(problem)) if recipe.stop.needs_noise_level else math.nan
    stopper = recipe.stop.start(threshold)
    return Member(recipe.objective(problem, run), run, stopper, seeded(run, "training", run.device))


def _restore_member(member: Member) -> dict[str, Any]:
    content = member.run.load()
    if content is None:
        return {}
    saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    own = json.loads(saved["member"])
    member.iteration, member.log = own["iteration"], own["log"]
    member.generator.set_state(saved["generator"])
    device = member.run.device
    member.stopper.load(_moved(saved["stop"], device))
    if saved["kept"] is not None:
        iteration, tensors = saved["kept"]
        member.kept = iteration, _moved(tensors, device)
    return saved


def _moved(state: Mapping[str, Any], device: str) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in state.items()}


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
        residuals, x, ended = self._descend()
        for position, (index, member) in enumerate(self.members.items()):
            if index not in residuals:
                continue
            residual, member.iteration = residuals[index], iteration
            if not math.isfinite(residual):
                ended[index] = UnstableError(f"the residual is {residual} after {iteration} iterations")
                continue
            reason = member.stopper.update(residual, x[position])
            if member.stopper.best:
                member.kept = iteration, {name: tensor.clone() for name, tensor in self._slices(position)}
            if reason is None and iteration == schedule.iterations:
                reason = "iterations"
            if reason is not None:
                ended[index] = reason
        return ended

    def _descend(self) -> tuple[dict[int, float], Tensor, dict[int, str | Exception]]:
        """Take one step; return each member's residual or what its objective raised, and all x, Shape (N, C, H, W)."""
        failed: dict[int, str | Exception] = {}
        draws: dict[int, tuple[Tensor, Callable[[Tensor], Loss]]] = {}
        losses: dict[int, Loss] = {}
        for index, member in self.members.items():
            try:
                draws[index] = member.objective.draw(member.generator)
            except Exception as error:  # noqa: BLE001 - one problem's failure must not take the others along
                failed[index] = error
        if not draws:
            return {}, torch.empty(0), failed
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
            return dict(zip(losses, residuals, strict=True)), x.detach(), failed
        return {}, x.detach(), failed

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
            stream, state = member.stream(f"observe {iteration}"), dict(self._slices(position))
            run.observe(iteration, lambda: self._estimate(state, member, stream, None).image.cpu().numpy())
        if run.checkpoint_due():
            run.save(self._save(position, member))

    def _estimate(
        self,
        state: Mapping[str, Tensor],
        member: Member,
        stream: torch.Generator,
        sample: Callable[[Image], None] | None,
    ) -> Estimate:
        def predict(network_input: Tensor, generator: torch.Generator | None) -> Tensor:
            generators = None if generator is None else [generator]
            with self._autocast():
                x: Tensor = torch.func.functional_call(self.networks, dict(state), (network_input[None], generators))
            return x[0].float()

        with torch.no_grad():
            return member.objective.estimate(predict, stream, sample)

    def _finish(self, position: int, member: Member, reason: str | Exception) -> Restored | Exception:
        if isinstance(reason, Exception):
            return reason
        try:
            state = dict(self._slices(position))
            if member.kept is not None:
                member.log["returned"], state = [member.kept[0]], member.kept[1]
            with self.recipe.inspect(self.networks, member.run) if self.recipe.inspect else nullcontext():
                found = self._estimate(state, member, member.stream("estimate"), member.run.sample)
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
        own = {"iteration": member.iteration, "log": member.log}
        content = io.BytesIO()
        torch.save(
            {
                "member": json.dumps(own),
                "generator": member.generator.get_state(),
                "stop": member.stopper.state(),
                "kept": member.kept,
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
