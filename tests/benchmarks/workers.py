"""What workers gain: cells a second of several workers over those of one, and of one worker over plain running.

Each way computes the same cells, on whole images, with one thread a cell: a hundred each of `tv` and `fdn` and eight
short fits of `ours`, or others that are named. Counted is the time between two lines of finished cells, the first after
every worker has had one, so that no start is in it; the start is said beside it. The ways take turns. Two workers of
one thread are to do at least 1.8 times as much as one; one worker at least 0.95 times as much as plain running. What
the cores themselves give is said beside it: as many plain commands at once, each in a folder of its own, over one.

    nox -s bench -- workers [--workers 2] [--cells tv=100 --cells ours@smoke=8 ...] [--turns 2] [--quick]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from skimage import data
from skimage.io import imsave

#: Least ratios: several workers over one, for each worker; one over plain running.
GAIN, LEAST = 0.9, 0.95
IMAGES = 2

#: Methods and the cells of each; `fdn` wants its weights.
CELLS = {"tv": 100, "fdn": 100, "ours@smoke": 8}
QUICK = {"tv[iterations=5]": 6}

SWEEP = """
name = "workers"
dataset = "folder:{images}"
kernels = "sample"
noise = "gaussian:0.05"
device = "cpu"
precision = "float32"
"""
EXPERIMENT = """
[[experiment]]
methods = ["{method}"]
noise_seeds = "0-{last}"
"""


@dataclass(frozen=True)
class Pace:
    """How fast a way was: cells a second, and seconds until the first cell was done."""

    cells: float
    start: float


def whole_images(folder: Path) -> None:
    """Write images of 256x256 pixels, the size of most of Set12."""
    for name in ("camera", "moon")[:IMAGES]:
        imsave(folder / f"{name}.png", getattr(data, name)()[::2, ::2], check_contrast=False)


def pace(workers: int | None, counts: Mapping[str, int]) -> Pace:
    """Return the pace of one way; None for no workers."""
    how = [] if workers is None else ["--workers", str(workers)]
    cells = sum(counts.values())
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as images:
        whole_images(Path(images))
        sweep = Path(images, "sweep.toml")
        each = (EXPERIMENT.format(method=method, last=count // IMAGES - 1) for method, count in counts.items())
        sweep.write_text("".join([SWEEP.format(images=images), *each]))
        command = [
            *(sys.executable, "-P", "-m", "nidbench", "run", "--config", str(sweep), "--threads", "1", "--yes"),
            *("--tracking", "none", "--no-pictures", "--output", folder, *how),
        ]
        began = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            moments = [time.perf_counter() for line in process.stdout or () if line.startswith("[")]
    if process.returncode or len(moments) != cells:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}, {len(moments)} of {cells} cells")
    first = workers or 1
    return Pace((cells - first) / (moments[-1] - moments[first - 1]), moments[0] - began)


def plain_at_once(commands: int, counts: Mapping[str, int]) -> float:
    """Return the cells a second of so many plain commands at once, all together."""
    with ThreadPoolExecutor(commands) as pool:
        return sum(each.cells for each in pool.map(lambda _: pace(None, counts), range(commands)))


def count_of(words: str) -> tuple[str, int]:
    """Return a method and how many cells it has, of `METHOD=N`."""
    method, _, count = words.rpartition("=")
    if not method or int(count) % IMAGES:
        raise argparse.ArgumentTypeError(f"{words}: give METHOD=N, N even")
    return method, int(count)


def main() -> None:
    """Print the ratios, and fail where one is below its limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cells", type=count_of, action="append", metavar="METHOD=N", help="again for each method")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a few short cells, to see that it runs")
    given = parser.parse_args()
    counts = QUICK if given.quick else dict(given.cells or CELLS)
    ways = (None, 1, given.workers)
    found: dict[int | None, list[Pace]] = {way: [] for way in ways}
    together: list[float] = []
    for _ in range(1 if given.quick else given.turns):
        for way in ways:
            found[way].append(pace(way, counts))
        together.append(plain_at_once(given.workers, counts))
    rate = {way: statistics.median(each.cells for each in paces) for way, paces in found.items()}
    start = {way: statistics.median(each.start for each in paces) for way, paces in found.items()}
    for way in ways:
        name = "no workers" if way is None else f"{way} workers" if way > 1 else "1 worker"
        sys.stdout.write(f"workers: {name}: {rate[way]:.3f} cells/s, the first after {start[way]:.1f} s\n")
    gain, loss = rate[given.workers] / rate[1], rate[1] / rate[None]
    sys.stdout.write(
        f"workers: {given.workers} over 1: {gain:.2f} (limit {GAIN * given.workers:.2f}); 1 over none: {loss:.2f} "
        f"(limit {LEAST}); {given.workers} plain commands over 1: {statistics.median(together) / rate[None]:.2f}\n"
    )
    if not given.quick and (gain < GAIN * given.workers or loss < LEAST):
        raise SystemExit("below the limit")


if __name__ == "__main__":
    main()
