"""One iteration of `ours` against the same network written plainly: nn.Dropout, float32, contiguous. At most 0.6.

The two take turns, so that a machine whose speed drifts slows both; quoted is the median of the ratios pair by pair.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nidbench.compute.child.worker import Worker
from nidbench.contract import Problem, Run
from nidbench.fitting import seeded
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_method, methods

LIMIT, PAIRS, ITERATIONS = 0.6, 7, 6


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


def plain_steps(problem: Problem) -> Callable[[], None]:
    """Return a function that does some iterations of the plain network on the same loss."""
    run = Run(seed=0)
    method = load_method(methods(), "ours")()
    objective = method.recipe(problem).objective(problem, run)  # type: ignore[attr-defined]
    network, generator = PlainUNet(problem.blurred.shape[0]), seeded(run, "training")
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def steps() -> None:
        for _ in range(ITERATIONS):
            seed, loss = objective.draw(generator)
            optimizer.zero_grad()
            loss(network(seed[None])[0]).value.backward()
            optimizer.step()

    return steps


def own_steps(problem: Problem, precision: str) -> Callable[[], None]:
    """Return a function that does as many iterations of `ours`, by the engine itself, ratios adapted once before."""
    kind = load_method(methods(), "ours")
    settings = {"iterations": ITERATIONS, "stop": "iterations", "adapt_every": 0, "aggregate": False}
    method = kind(**settings)  # type: ignore[call-arg]
    return lambda: [None, method.restore(problem, Run(seed=0, precision=precision))][0]


def seconds(steps: Callable[[], None]) -> float:
    """Return the wall time of one iteration."""
    start = time.perf_counter()
    steps()
    return (time.perf_counter() - start) / ITERATIONS


def main() -> None:
    """Print a line a size and fail where the ratio is too high."""
    precision = "bf16" if "cpu" in Worker().hello().bf16 else "float32"
    worst = 0.0
    for size in (128, 256):
        x = np.random.Generator(np.random.Philox(0)).random((1, size, size))
        problem = measure(x, np.full((9, 9), 1 / 81), "gaussian:0.05", key="benchmark")
        own, plain = own_steps(problem, precision), plain_steps(problem)
        own(), plain()
        pairs = [(seconds(own), seconds(plain)) for _ in range(PAIRS)]
        ratio = statistics.median(a / b for a, b in pairs)
        times = [statistics.median(each) for each in zip(*pairs, strict=True)]
        sys.stdout.write(
            f"iteration: {size}x{size} {precision}, {torch.get_num_threads()} threads: ours {times[0]:.3f} s, "
            f"plain {times[1]:.3f} s, ratio {ratio:.2f} (limit {LIMIT})\n"
        )
        worst = max(worst, ratio)
    if worst > LIMIT:
        raise SystemExit("too slow")


if __name__ == "__main__":
    main()
