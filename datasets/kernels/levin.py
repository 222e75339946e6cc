"""The eight camera-shake kernels of Levin, Weiss, Durand & Freeman (CVPR 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import ClassVar

from scipy.io import loadmat

from nidbench.contract import Kernel, KernelSetInfo, normalised
from nidbench.errors import UnknownNameError, lacking
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest


class Levin:
    """Kernels of 13x13 to 27x27 pixels, as stored in `Levin09.mat`.

    The literature blurs by true convolution with the arrays as stored. (The blur in Levin's own captured photographs is
    their correlation.)
    """

    info: ClassVar[KernelSetInfo] = KernelSetInfo(
        "Levin et al. 2009",
        source="testsets/Kernels/GT/Levin of github.com/scut-mingqinchen/Model_Uncertainty_NID",
        licence="not stated for the kernels",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the eight files."""
        return read_manifest(files("nidbench.datasets") / "files.csv", "levin")

    def names(self) -> Sequence[str]:
        """Return `1` to `8`."""
        return [str(number) for number in range(1, 9)]

    def load(self, name: str) -> Kernel:
        """Return a kernel for true convolution, Shape (kh, kw), sum 1; fetched first if need be.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where it cannot be fetched.
        """
        if name not in self.names():
            raise UnknownNameError(lacking("levin", "kernel", name, self.names()))
        return normalised(loadmat(get(next(file for file in self.files() if file.path == f"{name}.mat")))["ker"])
