"""One plain `torch.nn.Module` fitted to one problem, with the engine's curve, stop, checkpoint and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from nidbench.contract.restored import Restored
from nidbench.contract.run import Run
from nidbench.errors import InputError
from nidbench.physics.arrays import Image
from nidbench.physics.problem import Problem

from .fits import fit_one
from .objective import Draw, Estimate, Loss, Predictor
from .recipe import NEVER_STOP, Recipe
from .schedule import Schedule
from .stopping import Stop


def fit_network(
    problem: Problem,
    run: Run,
    network: nn.Module,
    seed_image: Tensor,
    *,
    schedule: Schedule,
    loss: Callable[[Tensor], Tensor] | None = None,
    jitter: float = 0.0,
    stop: Stop = NEVER_STOP,
    optimizer: str = "adam",
) -> Restored:
    """Fit a network to a blurred image and return the x that it makes of the seed image in the end.

    This is deep image prior: min over the weights of |y - g(k * network(seed_image))|^2. The run observes x, shows
    progress and keeps checkpoints; on the CPU, a run that goes on from one ends with the same bytes as one in one go.
    The network is used in the mode in which it is (modules are made in training mode: batch normalisation by the image
    itself) and then holds the weights of the last iteration. What it draws, such as dropout, comes from the run's
    streams; standard dropout layers are off where x is estimated.

    Args:
        problem: what is restored.
        run: what the harness lent.
        network: maps (1, C_in, H_in, W_in) to (1, C, H, W), x in [0, 1], with C and (H, W) of `problem.frame`; a larger
            output is cropped to its first H rows and W columns. Its weights are as whoever made it drew them: make it
            inside `restore`, where the global generators are seeded.
        seed_image: its input, Shape (1, C_in, H_in, W_in); drawn inside `restore`, it is the same after a resume.
        schedule: how long and how fast.
        loss: from x, Shape (C, H, W) on the run's device, to a scalar, drawing nothing; None for the mean squared
            residual.
        jitter: standard deviation of the noise that every iteration adds to the seed image.
        stop: when to end before the schedule does. Rules go by the mean squared residual, whatever the loss.
        optimizer: `adam` or `soap`, see `nidbench.fitting.optimizers`.

    Raises:
        InputError: where the seed image or the output has another shape, or the jitter is negative.
        UnstableError: where the residual is not finite.
    """
    if seed_image.ndim != 4 or seed_image.shape[0] != 1:
        raise InputError(f"seed_image has shape {tuple(seed_image.shape)}: give (1, C_in, H_in, W_in)")
    if not 0 <= jitter < float("inf"):
        raise InputError(f"jitter={jitter}: give a standard deviation of at least 0, such as 0.03")
    shape = (1, *problem.shape)
    objective = _SeedImage(problem, run, seed_image, loss, jitter)
    recipe = Recipe(lambda _: _Cropped(network, shape), lambda _problem, _run: objective, schedule, stop, optimizer)
    return fit_one(recipe, problem, run)


class _SeedImage:
    """The seed image of one problem, and the loss of what the network makes of it."""

    def __init__(
        self, problem: Problem, run: Run, seed_image: Tensor, loss: Callable[[Tensor], Tensor] | None, jitter: float
    ) -> None:
        self._operator = problem.operator(run.device)
        self._image = seed_image.detach()[0].to(run.device)
        self._value, self._jitter = loss, jitter

    def draw(self, generator: torch.Generator) -> Draw:
        if not self._jitter:
            return self._image, self._loss
        noise = torch.randn(self._image.shape, generator=generator, device=self._image.device)
        return self._image + self._jitter * noise, self._loss

    def estimate(
        self,
        predict: Predictor,
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - one estimate, no draws
    ) -> Estimate:
        return Estimate(predict(self._image, None))

    def _loss(self, x: Tensor) -> Loss:
        difference = self._operator.predict(x if self._value is None else x.detach()) - self._operator.blurred
        residual = difference.square().mean()
        return Loss(residual if self._value is None else self._value(x), residual, difference)


class _Cropped(nn.Module):
    """A plain network as the engine calls networks, N = 1.

    Args:
        network: from (1, C_in, H_in, W_in) to at least the shape.
        shape: (1, C, H, W) of x.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.shape = network, shape

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
        if generators is not None:
            (generator,) = generators
            drawn = torch.randint(2**62, (), generator=generator, device=generator.device)
            with _global_stream(int(drawn), inputs.device):
                return self._crop(self.network(inputs))
        # an estimate leaves no trace: what the network counts on the way, it counts in copies
        counted = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        with _global_stream(0, inputs.device), _without_dropout(self.network):
            return self._crop(torch.func.functional_call(self.network, counted, (inputs,)))

    def _crop(self, output: Tensor) -> Tensor:
        wanted, given = self.shape, tuple(output.shape)
        if given[:2] != wanted[:2] or len(given) != 4 or given[2] < wanted[2] or given[3] < wanted[3]:
            raise InputError(f"the network returned shape {given}: return {wanted}, or more rows and columns")
        return output[..., : wanted[2], : wanted[3]]


@contextmanager
def _global_stream(seed: int, device: torch.device) -> Iterator[None]:
    """Have torch's global generators, which plain modules draw from, at a seed, and put them back afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # noqa: TID251 - the very generators that plain modules draw from
        yield


@contextmanager
def _without_dropout(network: nn.Module) -> Iterator[None]:
    """Have standard dropout layers pass everything on."""
    layers = [module for module in network.modules() if isinstance(module, _DropoutNd) and module.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
