"""What workers gain: cells a second of several workers over those of one, and of one worker over plain running.

Each way computes the same cells of `tv`, or another method, on whole images, with one thread a cell. Counted is the
time between two lines of finished cells, the first after every worker has had one, so that no start is in it; the start
is said beside it. The ways take turns. Two workers of one thread are to do at least 1.8 times as much as one; one
worker at least 0.95 times as much as plain running. What the cores themselves give is said beside it: as many plain
commands at once, each in a folder of its own, over one.

    nox -s bench -- workers [--workers 2] [--method tv] [--cells 50] [--turns 2] [--quick]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from skimage import data
from skimage.io import imsave

#: Least ratios: several workers over one, for each worker; one over plain running.
GAIN, LEAST = 0.9, 0.95
IMAGES = 2


@dataclass(frozen=True)
class Pace:
    """How fast a way was: cells a second, and seconds until the first cell was done."""

    cells: float
    start: float


def whole_images(folder: Path) -> None:
    """Write images of 256x256 pixels, the size of most of Set12."""
    for name in ("camera", "moon")[:IMAGES]:
        imsave(folder / f"{name}.png", getattr(data, name)()[::2, ::2], check_contrast=False)


def pace(workers: int | None, cells: int, method: str) -> Pace:
    """Return the pace of one way; None for no workers."""
    how = [] if workers is None else ["--workers", str(workers)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as images:
        whole_images(Path(images))
        command = [
            *(sys.executable, "-P", "-m", "nidbench", "run", "--methods", method, "--dataset", f"folder:{images}"),
            *("--kernels", "sample", "--noise", "gaussian:0.05"),
            *("--noise-seeds", f"0-{cells // IMAGES - 1}", "--threads", "1", "--device", "cpu", "--yes"),
            *("--precision", "float32", "--tracking", "none", "--no-pictures", "--output", folder, *how),
        ]
        began = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            moments = [time.perf_counter() for line in process.stdout or () if line.startswith("[")]
    if process.returncode or len(moments) != cells:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}, {len(moments)} of {cells} cells")
    first = workers or 1
    return Pace((cells - first) / (moments[-1] - moments[first - 1]), moments[0] - began)


def plain_at_once(count: int, cells: int, method: str) -> float:
    """Return the cells a second of so many plain commands at once, all together."""
    with ThreadPoolExecutor(count) as pool:
        return sum(each.cells for each in pool.map(lambda _: pace(None, cells, method), range(count)))


def main() -> None:
    """Print the ratios, and fail where one is below its limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cells", type=int, default=50, help="an even number (50)")
    parser.add_argument("--method", default="tv", help="what restores (tv); fdn wants its weights")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a few short cells, to see that it runs")
    given = parser.parse_args()
    method, cells = ("tv[iterations=5]", 6) if given.quick else (given.method, given.cells)
    ways = (None, 1, given.workers)
    found: dict[int | None, list[Pace]] = {way: [] for way in ways}
    together: list[float] = []
    for _ in range(1 if given.quick else given.turns):
        for way in ways:
            found[way].append(pace(way, cells, method))
        together.append(plain_at_once(given.workers, cells, method))
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
