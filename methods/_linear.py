"""Problems with the camera's response undone, for methods that know linear measurements only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nidbench.contract import Noise, Problem, Response

#: Noise levels below this count as it: rounding to 8 bit alone leaves 1.1e-3, and tapered edges leave something too.
SMALLEST_SIGMA = 1e-3

#: Where gamma is below 1, the response is infinitely steep at black: its slope is that of this level, of 8 bit.
DARKEST = 1 / 255


def linearised(problem: Problem) -> Problem:
    """Return the problem with its gamma response undone: y^gamma, and the noise level that has on average."""
    if problem.response.kind != "gamma":
        return problem
    gamma, y = problem.response.gamma, problem.blurred.astype(np.float64).clip(0, None)
    slope = gamma * (y if gamma >= 1 else y.clip(DARKEST, None)) ** (gamma - 1)
    sigma = problem.sigma() * float(np.sqrt(np.mean(slope**2)))
    return replace(problem, blurred=(y**gamma).astype(np.float32), noise=Noise("gaussian", sigma), response=Response())
