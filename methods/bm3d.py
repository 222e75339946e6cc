"""BM3D: regularised inversion, then collaborative filtering of the coloured noise that it leaves, twice.

Dabov, Foi, Katkovnik, Egiazarian, "Image restoration by sparse 3D transform-domain collaborative filtering", SPIE 6812
(2008), with the exact variances of Makinen, Azzari, Foi, "Collaborative Filtering of Correlated Noise", IEEE TIP 29
(2020): `bm3d_deblurring` of the authors' package bm3d 4, which is for non-commercial use and is not part of nidbench.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from nidbench.contract import Kernel, MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError, NidbenchError

from ._linear import Standardised

#: The package compares blocks of 8x8; on a frame of that size its compiled part dies and takes the process with it.
SMALLEST_FRAME = 9

#: What tapering leaves wrong, as a noise level at `_linear.CONTRAST`. It inverts twice, and wants more than FID:
#: without noise 1e-2 gains 2 dB over 3e-3 on four crops of tests/benchmarks/tuning.py.
TAPERED = 1e-2


@dataclass(frozen=True)
class BM3D:
    """Restores the edge-tapered y, taken as circular, channel by channel, standardised (`_linear.Standardised`).

    So c y + b with c sigma gives c x + b. What tapering leaves wrong counts as noise, too.

    The package runs on the CPU, on one thread: on more it adds in any order, and no two runs are the same to the bit.
    A gamma response is undone first, saturation is ignored.

    Attributes:
        threshold: of the hard thresholding, in standard deviations of each coefficient.
        wiener: factor of the noise variances in the Wiener step. By itself the package estimates both from the noise
            spectrum, with a function that NumPy has no more since 2.4. 3 and 0.4, its values for white noise, gain
            0.1 dB on these estimates on average over Set12's images 01 and 02 with Levin's kernels 1 and 4 at 1, 3
            and 5 % (2.7 and 1: 0.06 dB; 3.5 and 2: a loss).

    Raises:
        NidbenchError: where the package is not installed.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="BM3D deblurring",
        year=2008,
        paper="Dabov, Foi, Katkovnik, Egiazarian: Image restoration by sparse 3D transform-domain collaborative "
        "filtering, SPIE 6812, 2008; Makinen, Azzari, Foi: Collaborative Filtering of Correlated Noise, IEEE TIP 29, "
        "2020",
        licence="Tampere University, non-commercial use only (package bm3d, not part of nidbench)",
        notice="its package is for non-commercial use only (Tampere University), and results made public must refer "
        "to the authors",
        version=2,
        tuned_on={"default": "set12/01, 02"},
    )

    threshold: float = 3.0
    wiener: float = 0.4

    def __post_init__(self) -> None:
        if not (0 < self.threshold < float("inf") and 0 < self.wiener < float("inf")):
            raise InputError(f"threshold={self.threshold}, wiener={self.wiener}: give positive numbers, such as 3, 0.4")
        if find_spec("bm3d") is None:  # said here, before anything is computed, rather than in every cell
            raise NidbenchError(
                'bm3d needs the package bm3d, for non-commercial use only: pip install "nidbench[bm3d]"'
            )

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x.

        Raises:
            InputError: where the frame of x is smaller than the package can take.
        """
        if min(problem.frame) < SMALLEST_FRAME:
            raise InputError(f"x is {problem.frame}: bm3d needs {SMALLEST_FRAME} rows and columns; leave the image out")
        standard = Standardised.of(problem)
        tapered = standard.operator.tapered.double().numpy()
        planes: list[NDArray[np.float64]] = []
        for plane, sigma in zip(tapered, standard.sigma.flatten().tolist(), strict=True):
            planes.append(self._deblur(plane, centred(problem.kernel), float(np.hypot(sigma, TAPERED))))
            run.progress(len(planes), len(tapered))
        return Restored(
            standard.restored(torch.from_numpy(np.stack(planes))),
            stopped="closed form",
            details={"licence": self.info.licence},
        )

    def _deblur(self, plane: NDArray[np.float64], kernel: Kernel, sigma: float) -> NDArray[np.float64]:
        from bm3d import BM3DProfile, bm3d_deblurring

        profile = BM3DProfile()
        profile.num_threads, profile.lambda_thr3d, profile.mu2 = 1, self.threshold, self.wiener
        # with a third axis: without, the package mistakes rows for channels
        deblurred: NDArray[np.float64] = bm3d_deblurring(plane[..., None], sigma, kernel, profile)
        return deblurred


def centred(kernel: Kernel) -> Kernel:
    """Return the kernel of odd size with the origin where it was, at k//2; the package rounds (k - 1) / 2 to even."""
    return np.pad(kernel, [(0, 1 - size % 2) for size in kernel.shape])
