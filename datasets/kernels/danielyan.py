"""The six scenarios of Danielyan, Katkovnik & Egiazarian (IEEE TIP 2012): kernels by formula, each with its noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nidbench.contract import Kernel, KernelSetInfo, normalised
from nidbench.errors import UnknownNameError, lacking
from nidbench.files.remote import RemoteFile

#: Variance of the noise on the 0-255 scale; scenario 3 goes by the ratio of blurred signal to noise instead.
VARIANCES = {"1": 2, "2": 8, "4": 49, "5": 4, "6": 64}


class Danielyan:
    """Scenarios `1` to `6`: of 15x15 (1 and 2), 9x9, 5x5 and twice 25x25 pixels, as in the authors' `Demo_IDDBM3D.m`.

    All are symmetric, so that convolution is correlation. The authors blur circularly; here, as everywhere, blur is the
    valid convolution. The noise of scenario 3 has 40 dB, which is another level for each image.
    """

    info: ClassVar[KernelSetInfo] = KernelSetInfo(
        "Danielyan et al. 2012",
        source="formula",
        licence="MIT, as nidbench",
        noises={
            name: "bsnr:40" if name == "3" else f"gaussian:{math.sqrt(VARIANCES[name]) / 255!r}" for name in "123456"
        },
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return no file: the kernels are computed."""
        return []

    def names(self) -> Sequence[str]:
        """Return `1` to `6`."""
        return list(_FORMULAS)

    def load(self, name: str) -> Kernel:
        """Return the kernel of a scenario for true convolution, Shape (kh, kw), sum 1.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
        """
        if name not in _FORMULAS:
            raise UnknownNameError(lacking("danielyan", "scenario", name, _FORMULAS))
        return normalised(_FORMULAS[name]())


def _squared_distance(reach: int) -> NDArray[np.float64]:
    """Return x^2 + y^2 for x and y from -reach to reach."""
    axis = np.arange(-reach, reach + 1.0)
    return axis[:, None] ** 2 + axis[None, :] ** 2


def _rational() -> NDArray[np.float64]:
    return 1 / (1 + _squared_distance(7))


def _uniform() -> NDArray[np.float64]:
    return np.ones((9, 9))


def _binomial() -> NDArray[np.float64]:
    row = np.array([1.0, 4, 6, 4, 1])
    return np.outer(row, row)


def _gaussian(sigma: float) -> NDArray[np.float64]:
    """Return what MATLAB's `fspecial('gaussian', 25, sigma)` does: values below its precision are 0."""
    bell = np.exp(-_squared_distance(12) / (2 * sigma**2))
    return np.where(bell < np.finfo(np.float64).eps * bell.max(), 0.0, bell)


_FORMULAS: dict[str, Callable[[], NDArray[np.float64]]] = {
    "1": _rational,
    "2": _rational,
    "3": _uniform,
    "4": _binomial,
    "5": lambda: _gaussian(1.6),
    "6": lambda: _gaussian(0.4),
}
