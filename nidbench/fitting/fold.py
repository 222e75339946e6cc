"""N networks of one architecture as one module that descends, of which every network can be taken out and put in.

The parameters and buffers of *folded* networks hold the N slices one after the other along their first axis, so that a
grouped convolution serves all. What an optimizer remembers does so, too (see `nidbench.fitting.optimizers`). A fold of
one network is any module: its slices are its tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .optimizers import OPTIMIZERS


@dataclass(frozen=True)
class NetworkState:
    """One network of a fold, with what the optimizer remembers of it.

    Attributes:
        tensors: name of a parameter or buffer -> its slice.
        memory: name of a parameter -> what the optimizer remembers, such as Adam's `exp_avg` and `exp_avg_sq`,
            likewise, and its `step`.
    """

    tensors: Mapping[str, Tensor]
    memory: Mapping[str, Mapping[str, Tensor]]


class Fold:
    """N networks side by side.

    Args:
        networks: called as `networks(inputs, generators)` with inputs of Shape (N, C_in, H_in, W_in) and one generator
            for each network, or None, it returns x, Shape (N, C, H, W).
        count: N.
        device: torch device name, to which the networks are moved.
        precision: `float32`, or `bf16` for autocasting to it.
        optimizer: a name of `nidbench.fitting.optimizers.OPTIMIZERS`.

    Attributes:
        rate: the learning rate of the last step, 0 before the first.
    """

    def __init__(self, networks: nn.Module, count: int, device: str, precision: str, optimizer: str = "adam") -> None:
        self.networks = _channels_last(networks.to(device))
        self.count, self.device, self.precision = count, device, precision
        self.rate = 0.0  # not the optimizer's, which is made anew when networks leave
        self._make = OPTIMIZERS[optimizer]
        self.optimizer = self._make(list(self.networks.parameters()), count)

    def predict(self, inputs: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Return x of all networks, Shape (N, C, H, W), float32, with gradient."""
        with self._autocast():
            x: Tensor = self.networks(inputs, generators)
        return x.float()

    def predict_alone(
        self, tensors: Mapping[str, Tensor], network_input: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return x, Shape (C, H, W), float32, of one network given by its parameters and buffers."""
        generators = None if generator is None else [generator]
        with self._autocast():
            x: Tensor = torch.func.functional_call(self.networks, dict(tensors), (network_input[None], generators))
        return x[0].float()

    def descend(self, loss: Tensor, rate: float) -> None:
        """Take one step, at a learning rate, on a scalar loss."""
        self.rate = rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def tensors(self, position: int) -> dict[str, Tensor]:
        """Return the parameters and buffers of one network; they share their memory with the fold."""
        return {name: self._slice(tensor.detach(), position) for name, tensor in self._named()}

    def state(self, position: int) -> NetworkState:
        """Return one network as it stands; its tensors share their memory with the fold."""
        memory = {
            name: {key: self._slice(each, position) for key, each in self.optimizer.state[parameter].items()}
            for name, parameter in self.networks.named_parameters()
            if parameter in self.optimizer.state  # one that no loss has asked for yet has no state
        }
        return NetworkState(self.tensors(position), memory)

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with some of the networks only, in this order."""
        self.put([self.state(position) for position in positions])

    def put(self, states: Sequence[NetworkState]) -> None:
        """Replace all networks by others, at least one; the optimizer goes on where it was with them."""
        for name in states[0].tensors:
            self._set(name, _joined([state.tensors[name] for state in states]).to(self.device))
        self.count = len(states)
        self.networks = _channels_last(self.networks)
        self.optimizer = self._make(list(self.networks.parameters()), self.count)
        for name, parameter in self.networks.named_parameters():
            if name in states[0].memory:
                memory = [state.memory[name] for state in states]
                self.optimizer.state[parameter] = {
                    key: _joined([one[key] for one in memory]).to(self.device) for key in memory[0]
                }

    def _autocast(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16")

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.networks.named_parameters()
        yield from self.networks.named_buffers()

    def _slice(self, tensor: Tensor, position: int) -> Tensor:
        # a scalar, such as a count of steps, is the same for all networks
        return tensor if self.count == 1 or not tensor.ndim else tensor.chunk(self.count)[position]

    def _set(self, name: str, tensor: Tensor) -> None:
        owner, _, leaf = name.rpartition(".")
        module = self.networks.get_submodule(owner)
        present: Tensor = getattr(module, leaf)
        if present.shape == tensor.shape and present.dtype == tensor.dtype:
            with torch.no_grad():  # in place, so that modules which share a parameter go on sharing it
                present.copy_(tensor)
        elif isinstance(present, nn.Parameter):
            # not by `.data`: while anything, such as a traceback, holds its graph, a parameter must keep its shape
            module.register_parameter(leaf, nn.Parameter(tensor, present.requires_grad))
        else:
            module.register_buffer(leaf, tensor)


def _joined(slices: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(slices)) if slices[0].ndim else slices[0].clone()


def _channels_last(module: nn.Module) -> nn.Module:
    """Lay a module's weights out channels last, the order in which CPU and GPU convolve fastest; return it."""
    if any(tensor.ndim == 5 for tensor in (*module.parameters(), *module.buffers())):  # torch refuses to do it in part
        return module
    moved: nn.Module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
