"""The four kernels of Lai, Huang, Hu, Ahuja & Yang (CVPR 2016), as their synthetic images were blurred."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from nidbench.contract import Kernel, KernelSetInfo
from nidbench.errors import UnknownNameError, lacking
from nidbench.files.remote import RemoteFile

from .._lai import listed, turned_kernel  # noqa: TID252 - absolute, type checkers would not find it


class Lai:
    """Kernels of 31x31, 51x51, 55x55 and 75x75 pixels, 8 bit.

    The authors blur by correlation with the stored pictures; `load` returns them turned, for true convolution.
    """

    info: ClassVar[KernelSetInfo] = KernelSetInfo(
        "Lai et al. 2016",
        source="Datasets/Lai/kernels of github.com/xl-tang3/UAUDeblur; www.wslai.net/publications/deblur_study",
        licence="not stated for the kernels",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the four files."""
        return [file for file in listed() if file.path.startswith("kernels/")]

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
            raise UnknownNameError(lacking("lai", "kernel", name, self.names()))
        return turned_kernel(name)
