"""How often the winner of a twin experiment is the true one: `python tests/benchmarks/twin.py [IMAGES]`.

Images of Set12 (squares of 128 pixels from their middles) under Levin's kernels, image i under the four from
kernel i on, at 1, 3 and 5 % noise of estimated level. Every candidate restores the measurement, and its
restoration makes a twin, on which all candidates are ranked. A row is a way to choose a method: by the twin of one
maker, by the mean over the twins of all makers, by that over those of others than the method itself, or always the same
method. Columns: how often the choice is the truly best method, and by how many dB it is behind that.
"""

import sys
from collections.abc import Iterator

import numpy as np
import torch

import nidbench as nb
from nidbench.physics.problem import Problem
from nidbench.restoring.request import CANDIDATES
from nidbench.restoring.twin import shown_psnr, twin_of
from nidbench.scoring.residual import residual_tests

METHODS = CANDIDATES.split(",")
KERNELS, CROP, NOISES = 4, 128, ("gaussian:0.01", "gaussian:0.03", "gaussian:0.05")


def restored(method: str, problem: Problem) -> np.ndarray:
    """Return x, Shape (C, H, W), with the noise level as it is declared."""
    level = problem.noise.level
    noise = None if level is None else f"gaussian:{level!r}"
    return nb.restore(method, problem.blurred, problem.kernel, noise=noise, frame="full")


def rows(images: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield of each case its noise, the true PSNR of each method, those on the twin of each maker, and chi-squared."""
    found = list(nb.load_cases("set12", noise=",".join(NOISES), crop=CROP, limit=images, declared="estimated"))
    names = list(dict.fromkeys(case.key.image for case in found))
    for case in found:
        place, kernel = names.index(case.key.image), int(case.key.kernel.rpartition("/")[2]) - 1
        if (kernel - place) % 8 >= KERNELS:
            continue
        problem, (truth,) = case.problem(), case.truths()
        results = [restored(method, problem) for method in METHODS]
        true = np.array([shown_psnr(problem, result, truth.image) for result in results])
        sigma = problem.sigma()
        chi = np.array([residual_tests(problem, result, sigma).chi_squared for result in results])
        twins = []
        for result in results:
            twin, of_twin = twin_of(problem, result, sigma)
            twins.append([shown_psnr(twin, restored(method, twin), of_twin) for method in METHODS])
        print(case.key, np.round(true, 2), flush=True, file=sys.stderr)  # noqa: T201
        yield case.key.noise, true, np.array(twins), chi


def choices(twins: np.ndarray, chi: np.ndarray) -> dict[str, int]:
    """Return the place of the method that each way chooses."""
    count = len(METHODS)
    chosen = {f"twin of {method}": int(twins[place].argmax()) for place, method in enumerate(METHODS)}
    chosen["mean of all twins"] = int(twins.mean(0).argmax())
    others = (twins.sum(0) - twins.diagonal()) / (count - 1)
    chosen["mean of others' twins"] = int(others.argmax())
    chosen["chi-squared nearest to 1"] = int(abs(chi - 1).argmin())
    return chosen | {f"always {method}": place for place, method in enumerate(METHODS)}


def lines(images: int) -> Iterator[str]:
    """Yield the table."""
    torch.set_num_threads(1)
    found = list(rows(images))
    for noise in (*NOISES, "all"):
        some = [row for row in found if noise in (row[0], "all")]
        yield f"{noise}: {len(some)} measurements, the best is " + ", ".join(
            f"{method} {sum(int(true.argmax()) == place for _, true, _, _ in some)}"
            for place, method in enumerate(METHODS)
        )
        for way in choices(some[0][2], some[0][3]):
            places = [choices(twins, chi)[way] for _, _, twins, chi in some]
            behind = [true.max() - true[place] for place, (_, true, _, _) in zip(places, some, strict=True)]
            hits = sum(lost == 0 for lost in behind)
            near = sum(lost <= 0.1 for lost in behind)
            yield (
                f"  {way:26s} right {hits:3d}, within 0.1 dB {near:3d} of {len(some)}; behind by "
                f"{np.mean(behind):.2f} dB on average, {max(behind):.2f} at worst"
            )


if __name__ == "__main__":
    for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else 12):
        print(line)  # noqa: T201
