"""How many iterations: a share of a method's own number, more of them where there is less noise to fit.

Chen, Quan, Pang, Ji, "Nonblind Image Deconvolution via Leveraging Model Uncertainty in An Untrained DNN", IJCV 2022.
"""

from __future__ import annotations

import math

from nidbench.errors import InputError

#: Noise level -> iterations of Chen et al. for DIP (section 4.1 (ii)).
PAPER_ITERATIONS = {0.01: 10_000, 0.03: 6000, 0.05: 4000}


def check_share(share: float) -> None:
    """Refuse a share of a number of iterations that is none.

    Raises:
        InputError: where it is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"share={share}: give a part of the method's iterations in (0, 1], such as 0.25")


def paper_iterations(sigma: float) -> int:
    """Return the iterations of Chen et al. for DIP at a noise level on [0, 1].

    They give three; between them counts the nearest by ratio, so that the steps lie at 0.017 and 0.039, and an
    estimated level that is a little off changes nothing.
    """
    nearest = min(PAPER_ITERATIONS, key=lambda level: abs(math.log(level / max(sigma, 1e-6))))
    return PAPER_ITERATIONS[nearest]


def by_noise(iterations: int, sigma: float) -> int:
    """Return a number of iterations that suits the most noise of the paper, grown as it grows DIP's for less noise."""
    return round(iterations * paper_iterations(sigma) / min(PAPER_ITERATIONS.values()))
