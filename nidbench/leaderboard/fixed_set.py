"""The measurements of the leaderboard: the same for every method, and affordable for a slow one.

Each of the twelve images of Set12, whole, under two of Levin's eight kernels, in turns: image i under kernel i mod 8
and i + 4 mod 8, counted from 1. Every kernel comes three times, and images and kernels are as in the paper's Table 2,
of whose 96 measurements a level these are 24.
"""

from __future__ import annotations

from nidbench.physics.case_key import CaseKey

DATASET = "set12"
IMAGES, KERNELS = 12, 8

#: Standard deviations of Gaussian noise on [0, 1], as the paper's 1, 3 and 5 %.
LEVELS = ("gaussian:0.01", "gaussian:0.03", "gaussian:0.05")

#: Image and kernel of each measurement.
PAIRS = tuple(
    (f"{image:02}", f"levin/{(image - 1 + turn) % KERNELS + 1}") for image in range(1, IMAGES + 1) for turn in (0, 4)
)


def of_table(case: CaseKey) -> bool:
    """Return whether a measurement is one of those of the paper's Table 2 on Set12."""
    return (
        (case.dataset, case.noise_seed) == (DATASET, 0)
        and case.noise in LEVELS
        and case.kernel.startswith("levin/")
        and "@" not in case.image
    )
