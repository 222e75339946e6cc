"""Fits on crops of Set12, two at a time, each finished one kept in a file so that an interruption loses little."""

import json
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

SIDE = 96
CROPS = {"02": (80, 80), "04": (60, 100), "07": (80, 80)}

Fit = tuple[str, str, str, int]
"""Label, image, noise, seed."""


def compute(spec: str, fit: Fit, key: str) -> dict[str, Any]:
    """Return what one fit comes to, on one thread so that two fill two cores; `key` names the noise draw."""
    import torch

    from nidbench.compute.child.worker import Worker
    from nidbench.contract import Run, Truth
    from nidbench.physics.measure import measure
    from nidbench.registry.entry_points import load_dataset, load_kernels, load_method, methods
    from nidbench.registry.method_spec import MethodSpec, resolve
    from nidbench.scoring.protocols import DEFAULT

    torch.set_num_threads(1)
    _, image, noise, seed = fit
    top, left = CROPS[image]
    x = load_dataset("set12").load(image)[:, top : top + SIDE, left : left + SIDE]
    problem = measure(x, load_kernels("levin").load("1"), noise, key=key)
    parsed = MethodSpec.parse(spec)
    method = resolve(parsed, load_method(methods(), parsed.name), None).method
    run = Run(seed, precision="bf16" if "cpu" in Worker().hello().bf16 else "float32")
    restored = method.restore(problem, run)
    score = DEFAULT.score(restored.image, problem, Truth(x))
    return {
        "fit": list(fit),
        "spec": spec,
        "version": method.info.version,
        "psnr": score.psnr,
        "ssim": score.ssim,
        "seconds": run.elapsed,
        "iterations": restored.iterations,
        "details": dict(restored.details),
    }


def psnrs(name: str, specs: Mapping[str, str], fits: Iterable[Fit], keys: str) -> dict[Fit, float]:
    """Return the PSNR of every fit in dB, computing what `results/benchmarks/<name>.jsonl` lacks.

    Args:
        name: of the benchmark.
        specs: label -> method.
        fits: in the order of computation.
        keys: format of the noise draws' names, with {image}, {noise} and {seed}.
    """
    wanted = list(fits)
    path = Path("results/benchmarks") / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    kept: dict[Fit, float] = {tuple(each["fit"]): each["psnr"] for each in map(json.loads, lines)}  # type: ignore[misc]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pending = []
        for fit in wanted:
            label, image, noise, seed = fit
            if fit not in kept:
                key = keys.format(image=image, noise=noise, seed=seed)
                pending.append(pool.submit(compute, specs[label], fit, key))
        for future in as_completed(pending):
            found = future.result()
            kept[tuple(found["fit"])] = found["psnr"]  # type: ignore[index]
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")
            say(f"{name}: {' '.join(map(str, found['fit']))}: {found['psnr']:.2f} dB in {found['seconds']:.0f} s")
    return {fit: kept[fit] for fit in wanted}


def say(line: str) -> None:
    """Print a line at once: these take long."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
