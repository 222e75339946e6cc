"""A twin experiment: which method restores best, tried on a measurement like the one at hand whose truth is known.

A restoration is blurred again by the same kernel, and noise of the same level is drawn: the *twin*. Its truth is the
restoration, against which the candidates' results are compared. What a twin shows is limited: its truth looks like
what the method that made it prefers, and has less fine detail than the scene had. How often its winner is the true one
was measured on images with a truth (tests/benchmarks/twin.py, results/reference/twin): of four fast methods on 144
measurements, in 133 where `tv` made the twin, and in 57, 14 and 3 where `fid`, `wiener` and `richardson-lucy` did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nidbench.errors import NidbenchError
from nidbench.physics.arrays import Image, array_hash
from nidbench.physics.measure import convolved, noise_generator
from nidbench.physics.problem import Problem
from nidbench.scoring.metrics import decibels

#: The method whose restoration is the truth of a twin.
MAKER = "tv"

#: Longest side in pixels of a twin: the middle of a larger image stands for it.
SIDE = 384

#: Differences of mean PSNR in dB below which a twin does not tell methods apart.
TIED = 0.1


@dataclass(frozen=True)
class Ranked:
    """A method on a twin.

    Attributes:
        method: its label.
        psnr: in dB on the region that y shows, of intensities on [0, 1], against the truth of the twin.
        seconds: its time.
        failure: why it has no result; empty where it has one.
    """

    method: str
    psnr: float
    seconds: float
    failure: str = ""


def twin_of(problem: Problem, restored: Image, sigma: float, draw: int = 0) -> tuple[Problem, Image]:
    """Return the twin of a measurement, and its truth.

    Args:
        problem: the measurement.
        restored: a restoration, Shape (C, H, W) in the frame of x.
        sigma: standard deviation of the noise, where it is not Poisson noise of a known peak.
        draw: which draw of the noise.
    """
    truth = restored.astype(np.float64)
    generator = noise_generator(f"twin {array_hash(truth)} {array_hash(problem.kernel)} {draw}")
    clean = problem.response.apply(convolved(truth, problem.kernel))
    level = problem.noise.level
    if problem.noise.kind == "poisson" and level is not None:
        blurred = generator.poisson(level * clean.clip(0, None)) / level
    else:
        blurred = clean + sigma * generator.standard_normal(clean.shape)
    return replace(problem, blurred=blurred.astype(np.float32)), truth


def shown_psnr(problem: Problem, restored: Image, truth: Image) -> float:
    """Return the PSNR of x against a truth, both Shape (C, H, W), on the region that y shows; the peak is 1."""
    error = (restored.astype(np.float64) - truth)[:, *problem.valid]
    return decibels(float(np.square(error).mean()))


def rank(
    problem: Problem, truth: Image, methods: Sequence[str], restore: Callable[[str, Problem], tuple[Image, float]]
) -> list[Ranked]:
    """Return methods by what they make of a twin, the best first; those that failed last.

    Args:
        problem: the twin.
        truth: of the twin.
        methods: specifications.
        restore: (method, problem) -> the restoration and its seconds.
    """
    ranked = []
    for method in methods:
        try:
            image, seconds = restore(method, problem)
        except NidbenchError as error:
            ranked.append(Ranked(method, -math.inf, math.nan, str(error)))
        else:
            ranked.append(Ranked(method, shown_psnr(problem, image, truth), seconds))
    return sorted(ranked, key=lambda each: -each.psnr)
