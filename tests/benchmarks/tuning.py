"""The weights of the classical methods, fitted on images and kernels that no table of nidbench tests.

Images: eight that ship with scikit-image, none of them in `sample`; gray, those of 400 rows or more averaged twofold so
that they are sharp to the pixel, the middle 192x192 at most. Kernels: by formula, three motion paths of 13 to 27
pixels, two Gaussians and a disc; two of them for each image. Noise: 0.5 to 10 %. For each method and level the setting
with the best mean PSNR, by a parabola through the best of the grid and its neighbours, how much a single setting for
all levels loses, and the exponent of the noise level by which the best setting would still have to change.

    python tests/benchmarks/tuning.py fid tv wiener richardson-lucy
"""

import statistics
import sys
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from nidbench.contract import Problem, Run, Truth
from nidbench.images import read_image
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_method, methods
from nidbench.scoring.protocols import DEFAULT

Array = NDArray[np.float64]

IMAGES = (
    "brick.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "ihc.png",
    "motorcycle_left.png",
    "page.png",
    "rocket.jpg",
)
SIDE, LARGE = 192, 400
LEVELS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
#: method -> setting and what is tried of it
GRIDS = {
    "fid": ("fidelity", np.geomspace(500, 8000, 9)),
    "tv": ("weight", np.geomspace(0.3, 1.2, 5)),
    "wiener": ("weight", np.geomspace(0.5, 16, 7)),
    "richardson-lucy": ("discrepancy", np.linspace(0.8, 1.1, 7)),
    "bm3d": ("threshold", np.geomspace(1.5, 4.5, 5)),
}


def picture(name: str, side: int = SIDE, large: int = LARGE) -> Array:
    """Return a gray image, Shape (1, H, W), in [0, 1].

    Args:
        name: of `IMAGES`.
        side: the most rows and columns, of the middle.
        large: rows from which on it is averaged twofold.
    """
    with as_file(files("skimage") / "data" / name) as path:
        x = read_image(path).astype(np.float64).mean(0)
    if len(x) >= large:
        rows, columns = (size // 2 for size in x.shape)
        x = x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean((1, 3))
    top, left = (max(0, size - side) // 2 for size in x.shape)
    x = x[top : top + side, left : left + side]
    middle: Array = np.rint(255 * x)[None] / 255
    return middle


def path(size: int, phase: float) -> Array:
    """Return the blur of a smooth path over a square, Shape (size, size), each point spread over four pixels."""
    t = np.linspace(0, 1, 4000)
    rows = np.sin(2 * np.pi * (0.55 * t + phase)) * (0.4 + 0.6 * t)
    columns = np.sin(2 * np.pi * (0.8 * t + 0.37 * phase) + 1) * (1 - 0.5 * t * np.cos(5 * t + phase))
    kernel, reach = np.zeros((size, size)), (size - 3) / 2
    row, column = (reach * each / abs(each).max() + size // 2 for each in (rows, columns))
    for down in (0, 1):
        for right in (0, 1):
            place = np.floor(row).astype(int) + down, np.floor(column).astype(int) + right
            np.add.at(kernel, place, (1 - abs(row - place[0])) * (1 - abs(column - place[1])))
    blur: Array = kernel / kernel.sum()
    return blur


def gaussian(deviation: float) -> Array:
    """Return a Gaussian, cut at three standard deviations."""
    reach = int(3 * deviation)
    line = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    blur: Array = np.outer(line, line) / line.sum() ** 2
    return blur


def disc(radius: float, fine: int = 8) -> Array:
    """Return a disc out of focus, the pixels of its edge by the share that it covers."""
    size = 2 * int(radius + 1) + 1
    line = (np.arange(size * fine) + 0.5) / fine - size / 2
    inside = line[:, None] ** 2 + line**2 <= radius**2
    blur: Array = inside.reshape(size, fine, size, fine).mean((1, 3))
    return blur / blur.sum()


def kernels() -> list[Array]:
    """Return the blurs."""
    return [path(13, 0.1), gaussian(2.0), path(19, 0.45), disc(4.3), path(27, 0.9), gaussian(1.2)]


def problems(level: float) -> Iterator[tuple[Problem, Truth]]:
    """Yield every image under two kernels."""
    blurs = kernels()
    for number, name in enumerate(IMAGES):
        x = picture(name)
        for which in (number, number + 3):
            yield measure(x, blurs[which % len(blurs)], f"gaussian:{level}", key=f"tuning {name} {which}"), Truth(x)


def peak(settings: Array, psnrs: Array) -> float:
    """Return where the parabola through the best setting and its neighbours is highest, settings by their logarithm."""
    best = int(np.clip(psnrs.argmax(), 1, len(settings) - 2))
    near = slice(best - 1, best + 2)
    curve, slope, _ = np.polyfit(np.log(settings[near]), psnrs[near], 2)
    return float(np.exp(np.clip(-slope / (2 * curve), *np.log(settings[near][[0, -1]]))))


def fit(name: str, say: Callable[[str], object]) -> None:
    """Print what the setting of a method should be, at each noise level and over all."""
    setting, grid = GRIDS[name]
    kind = load_method(methods(), name)
    means = []
    for level in LEVELS:
        cases = list(problems(level))
        found = [
            statistics.mean(
                DEFAULT.score(kind(**{setting: value}).restore(problem, Run()).image, problem, truth).psnr  # type: ignore[call-arg]
                for problem, truth in cases
            )
            for value in grid.tolist()
        ]
        means.append(found)
        say(f"{name}: {level:g}: {setting} {peak(grid, np.array(found)):.3g}, {max(found):.2f} dB")
    table = np.array(means)
    say(f"{name}: {setting} " + " ".join(f"{value:.3g}" for value in grid))
    for level, row in zip(LEVELS, table, strict=True):
        say(f"{name}: {level:g} " + " ".join(f"{psnr:.2f}" for psnr in row))
    common = peak(grid, table.mean(0))
    at_common = [np.interp(np.log(common), np.log(grid), row) for row in table]
    slope = np.polyfit(np.log(LEVELS), np.log([peak(grid, row) for row in table]), 1)[0]
    losses = " ".join(f"{max(row) - here:.2f}" for row, here in zip(table, at_common, strict=True))
    say(f"{name}: {setting} {common:.3g} for all, loses {losses} dB; the best changes by sigma^{slope:.2f}")


def main() -> None:
    """Fit the methods named, all by default but bm3d, whose package is not part of nidbench."""
    for name in sys.argv[1:] or [each for each in GRIDS if each != "bm3d"]:
        fit(name, lambda line: sys.stdout.write(line + "\n") and sys.stdout.flush())


if __name__ == "__main__":
    main()
