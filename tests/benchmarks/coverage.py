"""How often the intervals of `nidbench.analysis.grids` hold the mean of a 12 x 8 grid: the table in its docstring."""

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.analysis.grids import Design, design

IMAGES, KERNELS, DRAWS = 12, 8, 4000

#: Standard deviations of images, kernels and single cells in dB: of a PSNR; of ours - fdn at 5 % and at 1 %, as
#: measured on 6 images and 2 kernels (`results/reference/untrained`, rounded).
COMPONENTS = {"psnr": (2.0, 1.0, 0.6), "5 %": (0.4, 0.2, 0.3), "1 %": (1.2, 1.2, 0.7)}

#: Of images and kernels, mean 0, variance 1: the last has one level of four 2.3 standard deviations above the others.
SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], NDArray[Any]]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "exponential": lambda rng, shape: rng.exponential(1, shape) - 1,
    "two-point": lambda rng, shape: np.where(rng.random(shape) < 0.25, 3**0.5, -(3**-0.5)),
}

Cells = list[tuple[int, int]]


def grid(images: int, kernels: int) -> Cells:
    """Return a complete subgrid."""
    return [(image, kernel) for image in range(images) for kernel in range(kernels)]


def rotated(count: int) -> Cells:
    """Return so many cells in turns of images and kernels, as `nidbench.sweep.budget.spread` takes them."""
    turn = math.lcm(IMAGES, KERNELS)
    return [(step % IMAGES, (step + step // turn) % KERNELS) for step in range(count)]


DESIGNS = {f"{i}x{k}": grid(i, k) for i, k in ((12, 1), (7, 1), (12, 2), (12, 3), (12, 4), (3, 8), (6, 8), (6, 4))}
DESIGNS |= {f"rotated {count}": rotated(count) for count in (12, 24, 48)} | {"first 43": grid(12, 8)[:43]}


def drawn(components: tuple[float, ...], shape: str, draws: int, seed: int = 0) -> NDArray[Any]:
    """Return values of the whole grid, Shape (draws, IMAGES, KERNELS)."""
    rng, draw = np.random.Generator(np.random.Philox(key=seed)), SHAPES[shape]
    images, kernels, cells = components
    of_images, of_kernels = draw(rng, (draws, IMAGES, 1)), draw(rng, (draws, 1, KERNELS))
    rest: NDArray[Any] = rng.standard_normal((draws, IMAGES, KERNELS))
    return images * of_images + kernels * of_kernels + cells * rest


def coverage(found: Design, cells: Cells, values: NDArray[Any]) -> tuple[float, float]:
    """Return how often the interval holds the grid's mean, and its median half width."""
    some = values[:, [image for image, _ in cells], [kernel for _, kernel in cells]]
    halves = found.halves(some)
    return float((abs(found.means(some) - values.mean((1, 2))) <= halves).mean()), float(np.median(halves))


def lines(draws: int) -> Iterator[str]:
    """Yield the table: of each design and set of components the coverage by shape, and the half width if normal."""
    yield f"{'cells':12}" + "".join(f"{name:>30}" for name in COMPONENTS)
    for name, cells in DESIGNS.items():
        found = design(tuple(image for image, _ in cells), tuple(kernel for _, kernel in cells), (IMAGES, KERNELS))
        told = []
        for components in () if found.why else COMPONENTS.values():
            each = [coverage(found, cells, drawn(components, shape, draws)) for shape in SHAPES]
            told.append(f"{' / '.join(f'{share:.3f}' for share, _ in each)} {each[0][1]:6.2f}")
        yield f"{name:12}" + ("".join(f"{text:>30}" for text in told) or f"  {found.why}")


def main() -> None:
    """Print the table."""
    for line in lines(DRAWS):
        sys.stdout.write(f"{line.rstrip()}\n")


if __name__ == "__main__":
    main()
