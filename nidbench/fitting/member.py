"""One problem among those that are fitted side by side, and the checkpoint from which it can go on."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nidbench.contract.run import Run
from nidbench.errors import InputError

from .fold import NetworkState
from .objective import Loss, Objective, Remembering
from .stopping import Stopper
from .streams import seeded


@dataclass
class Member:
    """One problem in a fit, with all that it shares with no other but its network.

    Attributes:
        objective: input, loss, estimate.
        run: what the harness lent.
        stopper: the stopping rule at work.
        generator: random stream of the training draws.
        held: which pixels of y its loss does not see, Shape (C, h, w), bool; None for none.
        iteration: iterations done.
        kept: iteration, name -> tensor of the network to return, and the objective's state then; of stopping rules that
            go back.
        log: what the method notes on the way, JSON-able; ends in `Restored.details`.
    """

    objective: Objective
    run: Run
    stopper: Stopper
    generator: torch.Generator
    held: Tensor | None = None
    iteration: int = 0
    kept: tuple[int, dict[str, Tensor], dict[str, Tensor]] | None = None
    log: dict[str, list[Any]] = field(default_factory=dict)

    def see(self, loss: Loss) -> None:
        """Keep a loss from descending on the pixels that are held out.

        Raises:
            InputError: where it rests on y by another way than its difference.
        """
        if (held := self.held) is None:
            return
        if loss.difference is None or not loss.difference.requires_grad:
            raise InputError("stop=held-out: the loss of this method cannot leave pixels out; use another stop")
        loss.difference.register_hook(lambda slope: slope.masked_fill(held, 0))  # type: ignore[no-untyped-call]

    def shown(self, loss: Loss) -> Tensor | None:
        """Return what the stopping rule sees of a loss's difference."""
        if loss.difference is None:
            return None
        difference = loss.difference.detach()
        return difference if self.held is None else difference[self.held]

    def learn(self, x: Tensor) -> None:
        """Show the objective the x of the last iteration, Shape (C, H, W), where it keeps something."""
        if isinstance(self.objective, Remembering):
            self.objective.learn(self.iteration, x)

    def remembered(self) -> dict[str, Tensor]:
        """Return copies of what the objective keeps between iterations."""
        state = self.objective.state() if isinstance(self.objective, Remembering) else {}
        return {name: tensor.clone() for name, tensor in state.items()}

    def recall(self, state: Mapping[str, Tensor]) -> None:
        """Let the objective go on from what it kept at some iteration."""
        if isinstance(self.objective, Remembering):
            self.objective.load(state)

    def stream(self, name: str) -> torch.Generator:
        """Return a fresh generator for a named stream, on the run's device."""
        return seeded(self.run, name, self.run.device)

    def checkpoint(self, network: NetworkState, optimizer: str) -> bytes:
        """Return the member and its network, as an optimizer left it, as bytes from which `resume` goes on."""
        content = io.BytesIO()
        torch.save(
            {
                "member": json.dumps({"iteration": self.iteration, "log": self.log}),
                "generator": self.generator.get_state(),
                "stop": self.stopper.state(),
                "kept": self.kept,
                "objective": self.remembered(),
                "tensors": {name: tensor.clone() for name, tensor in network.tensors.items()},
                "optimizer": optimizer,
                "moments": {
                    name: {key: each.clone() for key, each in memory.items()} for name, memory in network.memory.items()
                },
            },
            content,
        )
        return content.getvalue()

    def resume(self, optimizer: str) -> NetworkState | None:
        """Go on from the run's checkpoint and return the network that it holds; None where there is no checkpoint.

        Raises:
            InputError: where the checkpoint is of another optimizer.
        """
        content = self.run.load()
        if content is None:
            return None
        saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        descended = saved.get("optimizer", "adam")
        if descended != optimizer:
            raise InputError(
                f"the checkpoint is of a fit by optimizer={descended}, this one has optimizer={optimizer}: go on with "
                f"optimizer={descended}, or remove the checkpoint to begin anew"
            )
        noted = json.loads(saved["member"])
        self.iteration, self.log = noted["iteration"], noted["log"]
        self.generator.set_state(saved["generator"])
        device = self.run.device
        self.stopper.load(_moved(saved["stop"], device))
        if saved["kept"] is not None:
            iteration, tensors, *state = saved["kept"]
            self.kept = iteration, _moved(tensors, device), _moved(state[0] if state else {}, device)
        self.recall(_moved(saved.get("objective", {}), device))
        # checkpoints of before plain networks could be fitted hold no count of steps: all their parameters took all
        step = torch.tensor(float(self.iteration))
        moments = {name: {"step": step, **remembered} for name, remembered in saved["moments"].items()}
        return NetworkState(saved["tensors"], moments)


def _moved(state: Mapping[str, Any], device: str) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in state.items()}
