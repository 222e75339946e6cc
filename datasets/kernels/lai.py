"""The four kernels of Lai, Huang, Hu, Ahuja & Yang (CVPR 2016), as their synthetic images were blurred."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import ClassVar

import numpy as np

from nidbench.contract import Kernel, KernelSetInfo
from nidbench.errors import UnknownNameError
from nidbench.fetch import RemoteFile, get, read_manifest
from nidbench.images import read_kernel


class Lai:
    """Kernels of 31x31, 51x51, 55x55 and 75x75 pixels, 8 bit.

    The authors blur by correlation with the stored pictures, which the blurred images they distribute confirm. The true
    convolution that gives the same is with the pictures turned by 180 degrees, and that is what `load` returns.
    """

    info: ClassVar[KernelSetInfo] = KernelSetInfo(
        "Lai et al. 2016",
        source="Datasets/Lai/kernels of github.com/xl-tang3/UAUDeblur; www.wslai.net/publications/deblur_study",
        licence="not stated for the kernels",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the four files."""
        rows = read_manifest(files("nidbench.datasets") / "files.csv", "lai")
        return [file for file in rows if file.path.startswith("kernels/")]

    def names(self) -> Sequence[str]:
        """Return `1` to `4`."""
        return ["1", "2", "3", "4"]

    def load(self, name: str) -> Kernel:
        """Return a kernel for true convolution, Shape (kh, kw), sum 1; fetched first if need be.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where it cannot be fetched.
        """
        if name not in self.names():
            raise UnknownNameError(f"lai has no kernel {name!r}: use one of {', '.join(self.names())}")
        stored = read_kernel(get(next(file for file in self.files() if file.path == f"kernels/kernel_0{name}.png")))
        return np.ascontiguousarray(stored[::-1, ::-1])
