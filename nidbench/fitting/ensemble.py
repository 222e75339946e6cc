"""The loop in which networks descend side by side, each as if it were alone.

    repeat: draw each problem's input, predict all x in one pass, descend on the sum of the losses

Nothing couples the problems: each has its random stream, stop, failure and checkpoint, and its slice of the fold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from nidbench.contract.restored import Restored
from nidbench.errors import UnstableError
from nidbench.physics.arrays import Image
from nidbench.system.counts import count_of

from .fold import Fold, NetworkState
from .member import Member
from .objective import Draw, Estimate, Loss
from .recipe import Recipe
from .streams import seeded

T = TypeVar("T")

Outcome: TypeAlias = Restored | Exception
"""What becomes of a problem: its restoration, or what stopped it."""

Ending: TypeAlias = str | Exception
"""Why a member ends: the reason that its restoration gives, or what was raised."""


def attempted(action: Callable[[], T]) -> T | Exception:
    """Return what an action returns, or what it raises: one problem's failure must not take the others along."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - see above
        return error


class Ensemble:
    """The members that descend together, and their folded networks.

    Args:
        recipe: of all.
        members: by the places of their problems, at least one, all after the same number of iterations.
        networks: where some iterations are done: each member's network, in the same order.
    """

    def __init__(self, recipe: Recipe, members: Mapping[int, Member], networks: Sequence[NetworkState]) -> None:
        self.recipe, self.members = recipe, dict(members)
        first = next(iter(members.values()))
        self.start = first.iteration
        fresh = recipe.networks([seeded(member.run, "weights") for member in members.values()])
        self.fold = Fold(fresh, len(members), first.run.device, first.run.precision, recipe.optimizer)
        if networks:
            self.fold.put(networks)

    def descend(self) -> dict[int, Outcome]:
        """Take all iterations that are left and return every member's outcome."""
        outcomes: dict[int, Outcome] = {}
        for iteration in range(self.start + 1, self.recipe.schedule.iterations + 1):
            outcomes |= self._end(self._step(iteration))
            if self.members and self.recipe.adapt is not None:
                self.recipe.adapt(iteration, self.fold, list(self.members.values()))
            outcomes |= self._end(self._show(iteration))
            if not self.members:
                break
        return outcomes

    def _step(self, iteration: int) -> dict[int, Ending]:
        """Descend once; return who has ended and why."""
        draws, undrawn = _parted(
            {i: attempted(partial(member.objective.draw, member.generator)) for i, member in self.members.items()}
        )
        if not draws:
            return {**undrawn}
        x = self._predict(draws)
        losses, unscored = _parted(
            {i: attempted(partial(draws[i][1], x[place])) for place, i in enumerate(self.members) if i in draws}
        )
        losses, unseen = _parted({i: attempted(partial(self._seen, i, loss)) for i, loss in losses.items()})
        residuals = self._descend(losses, self.recipe.schedule.rate(iteration))
        return {**undrawn, **unscored, **unseen, **self._judge(iteration, residuals, losses, x.detach())}

    def _seen(self, i: int, loss: Loss) -> Loss:
        """Return a loss that does not descend on what its member's stopping rule holds out."""
        self.members[i].see(loss)
        return loss

    def _predict(self, draws: Mapping[int, Draw]) -> Tensor:
        """Return all x, Shape (N, C, H, W), by the inputs drawn."""
        idle = torch.zeros_like(next(iter(draws.values()))[0])  # keeps the place of one that failed
        inputs = torch.stack([draws[i][0] if i in draws else idle for i in self.members])
        return self.fold.predict(inputs, [member.generator for member in self.members.values()])

    def _descend(self, losses: Mapping[int, Loss], rate: float) -> dict[int, float]:
        """Take one step on the sum of the losses; return the residuals before it."""
        if not losses:
            return {}
        self.fold.descend(torch.stack([loss.value for loss in losses.values()]).sum(), rate)
        residuals = torch.stack([loss.residual.detach() for loss in losses.values()]).tolist()
        return dict(zip(losses, residuals, strict=True))

    def _judge(
        self, iteration: int, residuals: Mapping[int, float], losses: Mapping[int, Loss], x: Tensor
    ) -> dict[int, Ending]:
        """Return which members end after an iteration, by its residuals, losses and x, Shape (N, C, H, W)."""
        endings: dict[int, Ending] = {}
        for place, (i, member) in enumerate(self.members.items()):
            if i not in residuals:
                continue
            member.iteration = iteration
            ending = self._ending(place, member, residuals[i], losses[i], x[place])
            if ending is not None:
                endings[i] = ending
        return endings

    def _ending(self, place: int, member: Member, residual: float, loss: Loss, x: Tensor) -> Ending | None:
        if not math.isfinite(residual):
            return UnstableError(f"the residual is {residual} after {count_of(member.iteration, 'iteration')}")
        learnt = attempted(partial(member.learn, x))
        if isinstance(learnt, Exception):
            return learnt
        reason = member.stopper.update(residual, x, member.shown(loss))
        if member.stopper.best:
            copies = {name: tensor.clone() for name, tensor in self.fold.tensors(place).items()}
            member.kept = member.iteration, copies, member.remembered()
        if reason is None and member.iteration == self.recipe.schedule.iterations:
            return "iterations"
        return reason

    def _show(self, iteration: int) -> dict[int, Exception]:
        """Let every run see how far it is; return who could not go on."""
        shown = {
            i: attempted(partial(self._show_member, place, member, iteration))
            for place, (i, member) in enumerate(self.members.items())
        }
        return _parted(shown)[1]

    def _show_member(self, place: int, member: Member, iteration: int) -> None:
        run = member.run
        run.progress(iteration, self.recipe.schedule.iterations)
        if run.due(iteration):
            tensors, stream = self.fold.tensors(place), member.stream(f"observe {iteration}")
            run.observe(iteration, lambda: self._estimate(tensors, member, stream, None).image.cpu().numpy())
        if run.checkpoint_due():
            run.save(member.checkpoint(self.fold.state(place), self.recipe.optimizer))

    def _end(self, endings: Mapping[int, Ending]) -> dict[int, Outcome]:
        """Return the outcomes of those that have ended, and go on without them."""
        outcomes: dict[int, Outcome] = {}
        for place, (i, member) in enumerate(self.members.items()):
            if i in endings:
                outcomes[i] = self._outcome(place, member, endings[i])
        self._go_on_without(outcomes)
        return outcomes

    def _outcome(self, place: int, member: Member, ending: Ending) -> Outcome:
        if isinstance(ending, Exception):
            return ending
        return attempted(partial(self._restored, place, member, ending))

    def _restored(self, place: int, member: Member, reason: str) -> Restored:
        """Return a member's restoration, by its network as it stands or as the stopping rule kept it."""
        run, tensors = member.run, self.fold.tensors(place)
        if member.kept is not None:
            iteration, tensors, state = member.kept
            member.log["returned"] = [iteration]
            member.recall(state)
        with self.recipe.inspect(self.fold.networks, run) if self.recipe.inspect else nullcontext():
            final = self._estimate(tensors, member, member.stream("estimate"), run.sample)
        image = final.image.cpu().numpy()
        run.progress(member.iteration, member.iteration)
        run.observe(member.iteration, lambda: image)  # the curve ends with what is returned
        variance = None if final.variance is None else final.variance.cpu().numpy()
        return Restored(image, variance, member.iteration, reason, dict(member.log))

    def _estimate(
        self,
        tensors: Mapping[str, Tensor],
        member: Member,
        stream: torch.Generator,
        sample: Callable[[Image], None] | None,
    ) -> Estimate:
        with torch.no_grad():
            return member.objective.estimate(partial(self.fold.predict_alone, tensors), stream, sample)

    def _go_on_without(self, ended: Collection[int]) -> None:
        """Take the networks of members that ended out of the fold."""
        places = [place for place, i in enumerate(self.members) if i not in ended]
        if 0 < len(places) < len(self.members):
            self.fold.keep(places)
            for i in ended:
                self.members[i].run.end()  # else who asks all for a checkpoint would wait for the last to end
        self.members = {i: member for i, member in self.members.items() if i not in ended}


def _parted(attempts: Mapping[int, T | Exception]) -> tuple[dict[int, T], dict[int, Exception]]:
    """Return what attempts gave, and what they raised."""
    failed = {i: result for i, result in attempts.items() if isinstance(result, Exception)}
    return {i: result for i, result in attempts.items() if not isinstance(result, Exception)}, failed
