"""`ours@fast` in 1000 iterations against the released recipe in 3000: three crops of Set12, 5 % and 1 %, two seeds.

Claim: the mean PSNR of `fast` is at least that of the released recipe, for each noise level. Each pair sees the same
measurement. The released recipe is stopped by nothing but its iterations, as its own stop comes long before its best.
Takes about an hour on two cores; finished fits are kept in a file, so that it can be interrupted.
"""

import json
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

SIDE = 96
CROPS = {"02": (80, 80), "04": (60, 100), "07": (80, 80)}
NOISES = ("gaussian:0.05", "gaussian:0.01")
SEEDS = (0, 1)
SPECS = {"fast": "ours@fast", "released": "ours@released[stop=iterations,clamp=false,iterations=3000]"}
KEPT = Path("results/benchmarks/quality.jsonl")


def fits() -> Iterator[tuple[str, str, str, int]]:
    """Yield recipe, image, noise and seed of every fit, the two recipes of a pair in turn."""
    for noise in NOISES:
        for seed in SEEDS:
            for image in CROPS:
                yield from ((recipe, image, noise, seed) for recipe in SPECS)


def fit(recipe: str, image: str, noise: str, seed: int) -> dict[str, object]:
    """Return what one fit came to, computed on one thread so that two fill two cores."""
    import torch

    from nidbench.contract import Run, Truth
    from nidbench.degrade import measure
    from nidbench.metrics import DEFAULT
    from nidbench.plan import choose_precision
    from nidbench.registry import load_dataset, load_kernels, load_method, methods
    from nidbench.specs import MethodSpec, resolve
    from nidbench.worker import Worker

    torch.set_num_threads(1)
    top, left = CROPS[image]
    x = load_dataset("set12").load(image)[:, top : top + SIDE, left : left + SIDE]
    problem = measure(x, load_kernels("levin").load("1"), noise, key=f"quality {image} {noise} {seed}")
    method = resolve(MethodSpec.parse(SPECS[recipe]), load_method(methods(), "ours"), None).method
    run = Run(seed, precision=choose_precision("auto", "cpu", Worker(lambda _: None).hello()))
    restored = method.restore(problem, run)
    score = DEFAULT.score(restored.image, problem, Truth(x))
    return {
        "fit": [recipe, image, noise, seed],
        "version": method.info.version,
        "psnr": score.psnr,
        "ssim": score.ssim,
        "seconds": run.elapsed,
        "iterations": restored.iterations,
    }


def main() -> None:
    """Print a line a fit and one a noise level; fail where `fast` is behind."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    kept = {tuple(each["fit"]): each for each in map(json.loads, lines)}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pending = [pool.submit(fit, *each) for each in fits() if each not in kept]
        for future in as_completed(pending):
            found = future.result()
            kept[tuple(found["fit"])] = found  # type: ignore[arg-type]
            with KEPT.open("a") as file:
                file.write(json.dumps(found) + "\n")
            sys.stdout.write(f"quality: {found['fit']}: {found['psnr']:.2f} dB in {found['seconds']:.0f} s\n")
            sys.stdout.flush()
    behind = []
    for noise in NOISES:
        pairs = [[kept[recipe, image, noise, seed]["psnr"] for recipe in SPECS] for image in CROPS for seed in SEEDS]
        fast, released = (statistics.mean(each) for each in zip(*pairs, strict=True))
        wins = sum(a >= b for a, b in pairs)
        sys.stdout.write(
            f"quality: {noise}: fast {fast:.2f} dB, released {released:.2f} dB, difference {fast - released:+.2f} dB, "
            f"ahead in {wins} of {len(pairs)} pairs\n"
        )
        behind += [noise] if fast < released else []
    if behind:
        raise SystemExit(f"fast is behind at {behind}")


if __name__ == "__main__":
    main()
