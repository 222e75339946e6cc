"""One iteration of `ours`, optimizer apart, against its convolutions alone: at most 1.6 times of them.

The convolutions are those of the network, forward and backward, replayed on maps of the same shapes, types and memory
formats, with the gradients that the network asks for and no others. An iteration is all else, too: seed, dropout by the
adapted ratios of each neuron, upsampling, blur, loss, stop. Beside it stand the optimizers' steps, which do not depend
on the size of the image, and the same network written plainly (nn.Dropout, float32, contiguous), of which `ours` takes
at most 0.6 in bf16 and no more than all in float32.

CPU seconds of one thread; what is compared takes turns, and quoted is the median of the ratios turn by turn.

    nox -s bench -- iteration [--precision float32|bf16] [--quick]
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from _fits import faster_precision, method_of, one_thread, say
from torch import Tensor, nn
from torch.nn import functional as F

from nidbench.contract import Problem, Run
from nidbench.fitting import Member, Recipe, seeded
from nidbench.fitting.ensemble import Ensemble
from nidbench.fitting.optimizers import OPTIMIZERS
from nidbench.physics.measure import measure

SPEC = "ours@fast[stop=iterations]"
LIMIT, LIMITS_OF_PLAIN = 1.6, {"bf16": 0.6, "float32": 1.0}
SIZES, TURNS = (96, 256), 9
#: Of an optimizer: a multiple of ten, as SOAP updates its bases every ten steps.
STEPS = 20

Work: TypeAlias = Callable[[], object]


class PlainUNet(nn.Module):
    """The paper's Table 1 as one would first write it."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, ratio: float) -> nn.Module:
            return nn.Sequential(nn.Dropout(ratio), nn.Conv2d(inputs, outputs, 3, padding=1))

        self.first = block(channels, 48, 0.075)
        self.down = nn.ModuleList(block(48, 48, ratio) for ratio in (0.075, 0.15, 0.225, 0.3, 0.375))
        self.bottom = block(48, 48, 0.45)
        up = [(96, 0.375), (144, 0.3), (144, 0.225), (144, 0.15)]
        self.up = nn.ModuleList(nn.ModuleList([block(n, 96, r), block(96, 96, r)]) for n, r in up)
        self.up.append(nn.ModuleList([block(96 + channels, 64, 0.075), block(64, 32, 0.075)]))
        self.last = block(32, channels, 0.075)

    def forward(self, x: Tensor) -> Tensor:
        """Return the image, Shape (1, C, H, W), of an input of that shape."""
        skips = [x]
        x = F.leaky_relu(self.first(x), 0.01)
        for down in self.down:
            x = F.max_pool2d(F.leaky_relu(down(x), 0.01), 2, ceil_mode=True)
            skips.append(x)
        x = F.leaky_relu(self.bottom(skips.pop()), 0.01)
        for pair in self.up:
            skip = skips.pop()
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = torch.cat([x[..., : skip.shape[2], : skip.shape[3]], skip], 1)
            for layer in pair:  # type: ignore[attr-defined]
                x = F.leaky_relu(layer(x), 0.01)
        return torch.sigmoid(self.last(x))


def problem_of(size: int) -> Problem:
    """Return a measurement whose frame has this side."""
    x = np.random.Generator(np.random.Philox(0)).random((1, size, size))
    return measure(x, np.full((9, 9), 1 / 81), "gaussian:0.05", key="benchmark")


def begun(problem: Problem, precision: str) -> Ensemble:
    """Return a fit of `ours` whose ratios were adapted once, so that each neuron has its own."""
    method, run = method_of(SPEC), Run(0, precision=precision)
    recipe: Recipe = method.recipe(problem)  # type: ignore[attr-defined]
    member = Member(recipe.objective(problem, run), run, recipe.stop.start(math.nan), seeded(run, "training"))
    fit = Ensemble(recipe, {0: member}, [])
    if recipe.adapt is None:
        raise SystemExit(f"{SPEC} adapts no ratios: measure a recipe that does")
    recipe.adapt(method.adapt_every, fit.fold, [member])  # type: ignore[attr-defined]
    return fit


def iteration(fit: Ensemble) -> Work:
    """Return a function that does an iteration but for the optimizer's step."""
    fit.fold.optimizer.step = lambda: None  # type: ignore[method-assign]
    return lambda: fit._step(1)


def convolutions(fit: Ensemble) -> tuple[Work, int]:
    """Return a function that does the convolutions of one iteration alone, and how many they are."""
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []
    layers = [module for module in fit.fold.networks.modules() if type(module).__name__ == "Conv"]
    hooks = [layer.register_forward_hook(lambda one, given, out: seen.append((one, given[0], out))) for layer in layers]
    fit._step(1)
    for hook in hooks:
        hook.remove()
    if len(seen) != len(layers):
        raise SystemExit(f"{len(seen)} of {len(layers)} convolutions were called: they cannot be replayed")
    replays = [_replay(*each) for each in seen]
    wanted = [tensor for _, inputs, _ in replays for tensor in inputs if tensor.requires_grad]
    slopes = [slope for _, _, slope in replays]
    return lambda: torch.autograd.grad([run() for run, _, _ in replays], wanted, slopes), len(replays)


def _replay(layer: nn.Module, maps: Tensor, out: Tensor) -> tuple[Callable[[], Tensor], Sequence[Tensor], Tensor]:
    """Return a function that convolves as a layer did, its inputs, and a gradient of what comes out."""
    weight, bias = (each.detach().to(out.dtype).requires_grad_() for each in (layer.weight, layer.bias))
    given = maps.detach().to(out.dtype).clone().requires_grad_(maps.requires_grad)
    how = {"stride": layer.stride, "padding": layer.size // 2, "groups": layer.weight.shape[0] // layer.outputs}
    return lambda: F.conv2d(given, weight, bias, **how), (given, weight, bias), torch.randn_like(out)  # type: ignore[arg-type]


def plain(problem: Problem) -> Work:
    """Return a function that does an iteration of the plain network on the same loss but for the optimizer's step."""
    objective = method_of(SPEC).recipe(problem).objective(problem, Run(0))  # type: ignore[attr-defined]
    network, generator = PlainUNet(problem.blurred.shape[0]), seeded(Run(0), "training")

    def work() -> None:
        seed, loss = objective.draw(generator)
        network.zero_grad()
        loss(network(seed[None])[0]).value.backward()

    return work


def steps(fit: Ensemble, name: str) -> Work:
    """Return a function that takes `STEPS` steps of an optimizer, along the gradients that are there."""
    optimizer = OPTIMIZERS[name](list(fit.fold.networks.parameters()), 1)
    for group in optimizer.param_groups:
        group["lr"] = 1e-9
    optimizer.step()  # SOAP's first only takes the bases
    return lambda: [optimizer.step() for _ in range(STEPS)]


def cpu_seconds(work: Work, times: int = 1) -> float:
    """Return the CPU time of one call that follows another, as in a fit: the first gets its memory from the system."""
    work()
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def compared(size: int, precision: str, turns: int) -> bool:
    """Print the line of a size; return whether the ratios keep the limits."""
    problem = problem_of(size)
    fit = begun(problem, precision)
    alone, count = convolutions(fit)
    works = (iteration(fit), alone, plain(problem))
    times = max(1, 256 // size)
    found = [[cpu_seconds(work, times) for work in works] for _ in range(turns)]
    ours, bare, by_hand = (1000 * statistics.median(each) for each in zip(*found, strict=True))
    ratio, beside = (statistics.median(turn[0] / turn[n] for turn in found) for n in (1, 2))
    each_step = {name: 1000 * cpu_seconds(steps(fit, name)) / STEPS for name in OPTIMIZERS}
    say(
        f"iteration: {size}x{size} {precision}: ours {ours:.1f} ms, its {count} convolutions alone {bare:.1f} ms: "
        f"{ratio:.2f} times (limit {LIMIT}); the plain network {by_hand:.1f} ms: {beside:.2f} of it (limit "
        f"{LIMITS_OF_PLAIN[precision]}); a step of {', '.join(f'{name} {ms:.1f} ms' for name, ms in each_step.items())}"
    )
    return ratio <= LIMIT and beside <= LIMITS_OF_PLAIN[precision]


def main() -> None:
    """Print a line a size and fail where the ratio is too high."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--precision", choices=("float32", "bf16"), help="the faster one unless given")
    parser.add_argument("--quick", action="store_true", help="few turns of small images, to see that it runs")
    given = parser.parse_args()
    with one_thread():
        precision = given.precision or faster_precision()
        sizes, turns = ((48,), 3) if given.quick else (SIZES, TURNS)
        slow = [size for size in sizes if not compared(size, precision, turns)]
    if slow and not given.quick:
        raise SystemExit(f"an iteration is above a limit at {', '.join(f'{size}x{size}' for size in slow)}")


if __name__ == "__main__":
    main()
