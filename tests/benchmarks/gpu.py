"""What a card does: bf16 against float32, and 1 to 16 fits side by side, of `ours@fast` and `dip@fast` at 96 and 256.

For each method, side, precision and number of fits: seconds an iteration, seconds a fit (iterations of the preset times
that, and what a fit takes besides, such as its final passes), for all that are side by side and for each of them, and
the device's peak memory. Seconds are wall time, from fits of two lengths, the better of two tries each; the lengths
differ by a whole period of what a method does now and then. Nothing is asked of CUDA here but through nidbench.

Where there is no card it says so, measures nothing and ends well; `--device cpu` measures the CPU.

    nox -s bench -- gpu [--device cuda:0] [--quick]
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from _fits import method_of, say
from _fits import with_settings as spec_with

from nidbench.compute.child.memory import is_out_of_memory, peak_memory, reset_peak_memory
from nidbench.compute.child.worker import Worker
from nidbench.contract import Problem, Restored, Run
from nidbench.physics.measure import measure

SPECS = ("ours@fast", "dip@fast")
SIDES, COUNTS, PRECISIONS = (96, 256), (1, 2, 4, 8, 16), ("float32", "bf16")
#: Iterations of the shorter of the two fits, and how many more the longer one does where a method has no period.
SHORT, PERIOD = 20, 100
TRIES = 2


@dataclass(frozen=True)
class Cost:
    """Of fits side by side.

    Attributes:
        iteration: seconds of one iteration of all.
        rest: seconds that all take besides their iterations.
        iterations: of a whole fit.
        megabytes: peak of the device beyond what was in use, 10^6 bytes.
    """

    iteration: float
    rest: float
    iterations: int
    megabytes: float

    @property
    def fit(self) -> float:
        """Seconds of a whole fit of all."""
        return self.rest + self.iterations * self.iteration


def problems(side: int, count: int) -> list[Problem]:
    """Return measurements whose frame has this side."""
    x = np.random.Generator(np.random.Philox(0)).random((count, 1, side, side))
    return [measure(each, np.full((9, 9), 1 / 81), "gaussian:0.05", key=f"gpu {n}") for n, each in enumerate(x)]


def seconds(spec: str, cases: Sequence[Problem], device: str, precision: str) -> float:
    """Return the wall time of fits side by side, until their results are on the CPU.

    Raises:
        Exception: what ended one of them.
    """
    method: Any = method_of(spec)
    runs = [Run(seed, device=device, precision=precision) for seed in range(len(cases))]
    start = time.perf_counter()
    outcomes: list[Restored | Exception] = method.restore_many(cases, runs)
    spent = time.perf_counter() - start
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return spent


def measured(spec: str, cases: Sequence[Problem], device: str, precision: str, quick: bool) -> Cost:
    """Return what fits side by side cost."""
    method: Any = method_of(spec)
    period = getattr(method, "adapt_every", 0) or PERIOD
    short, more = (2, 2) if quick else (SHORT, period)
    few, many = (spec_with(spec, iterations=each, warmup=1, stop="iterations") for each in (short, short + more))
    before = reset_peak_memory(device)
    seconds(few, cases, device, precision)  # the first call prepares
    first, second = (min(seconds(each, cases, device, precision) for _ in range(TRIES)) for each in (few, many))
    megabytes = (peak_memory(device) - before) / 1e6
    iteration = (second - first) / more
    iterations = max(method.recipe(case).schedule.iterations for case in cases)
    return Cost(iteration, max(0.0, first - short * iteration), iterations, megabytes)


def lines(device: str, precisions: Sequence[str], quick: bool) -> None:
    """Print a line for each method, side, number of fits and precision."""
    sides, counts = ((32,), (1, 2)) if quick else (SIDES, COUNTS)
    for spec, side, count in product(SPECS, sides, counts):
        cases, found = problems(side, count), {}
        for precision in precisions:
            try:
                found[precision] = measured(spec, cases, device, precision, quick)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                say(f"gpu: {spec} {side}x{side} {precision} x {count}: out of memory")
                continue
            say(f"gpu: {spec} {side}x{side} {precision} x {count}: {told(found[precision], count)}")
        if len(found) == len(PRECISIONS):
            ratio = found["bf16"].iteration / found["float32"].iteration
            say(f"gpu: {spec} {side}x{side} x {count}: bf16 takes {ratio:.2f} of float32's time")


def told(cost: Cost, count: int) -> str:
    """Return a cost as text."""
    return (
        f"{1000 * cost.iteration:.1f} ms an iteration, {cost.fit:.1f} s for {cost.iterations} iterations, "
        f"{cost.fit / count:.1f} s a fit; {cost.megabytes:.0f} MB"
    )


def main() -> None:
    """Measure a device, or say that there is no card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", help="a torch device (the first card)")
    parser.add_argument("--quick", action="store_true", help="a few iterations of small images, to see that it runs")
    given = parser.parse_args()
    hello = Worker().hello()
    device = "cuda:0" if given.device == "cuda" else given.device or hello.devices[0]
    if device not in hello.devices:
        raise SystemExit(f"device {device!r} is not here: there are {', '.join(hello.devices)}")
    if given.device is None and device == "cpu":
        say("gpu: PyTorch sees no card here, nothing is measured: --device cpu measures the CPU")
        return
    named = hello.environment.get("gpu" if device.startswith("cuda") else "cpu", "unknown")
    say(f"gpu: {device}, {named}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    lines(device, PRECISIONS if device in hello.bf16 else PRECISIONS[:1], given.quick)


if __name__ == "__main__":
    main()
