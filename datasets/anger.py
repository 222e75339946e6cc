"""The blurred photographs of Anger, Delbracio & Facciolo, Modeling Realistic Degradations (ICIP 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import ClassVar

from nidbench.contract import MEASURED, DatasetInfo, Problem, Response, Truth
from nidbench.errors import UnknownNameError, lacking
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.images import read_image, read_kernel

from ._measured import given, truth_of

#: Standard deviation of the noise, which has a variance of 5 on 0 to 255, after the camera's response.
LEVEL = sqrt(5) / 255


class Anger:
    """Eight colour photographs of 256x256 pixels, the n-th blurred by the n-th kernel: paper Table 5.

    y = (k * x)^(1/2.2) + n, clipped and rounded to 8 bit, by *true* convolution with the kernels as stored (which are
    those of Levin et al. rotated by 180 degrees). Before the noise, the brightest 2 % of (k * x)^(1/2.2) were clipped
    (measured: below that level the residual is 2.25 of 255 on images 1 to 4, what the noise and rounding make); methods
    are not told, as in the paper. The sharp images are display-encoded, too: restorations are linear, and go through
    the response before they are compared.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Anger et al. 2018",
        kernels="anger",
        noises=(MEASURED,),
        source="images: gh-pages of github.com/kidanger/degradations-deconvolution; kernels: "
        "testsets/Kernels/GT/Anger of github.com/scut-mingqinchen/Model_Uncertainty_NID",
        licence="AGPL-3.0 for the repository, not stated for the images",
        response="gamma:2.2",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the kernels, the blurred and the sharp images."""
        return read_manifest(files("nidbench.datasets") / "files.csv", "anger")

    def names(self) -> Sequence[str]:
        """Return `1` to `8`."""
        return [str(number) for number in range(1, 9)]

    def kernels(self, name: str) -> Sequence[str]:
        """Return the kernel of the image's number.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
        """
        if name not in self.names():
            raise UnknownNameError(lacking("anger", "image", name, self.names()))
        return [f"anger/{name}"]

    def notice(self, names: Sequence[str]) -> str:  # noqa: ARG002 - of the protocol
        """Return nothing."""
        return ""

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a blurred image, Shape (3, 256, 256), display-encoded; fetched first if need be.

        Raises:
            UnknownNameError: for an unknown image or kernel.
            DataError: where it cannot be fetched.
        """
        if kernel not in self.kernels(name):
            raise UnknownNameError(f"anger's image {name} was not blurred by {kernel!r}: use anger/{name}")
        weights = read_kernel(self._file(f"kernels/{name}.tif"))
        return given(read_image(self._file(f"blurry/input_{name}.png")), weights, LEVEL, Response("gamma", 2.2))

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp image, Shape (3, 256, 256), display-encoded, which shows what y shows."""
        problem = self.measured(name, kernel)
        return [truth_of(problem, read_image(self._file(f"gt/groundtruth_{name}.png")), encoded=True)]

    def _file(self, path: str) -> Path:
        return get(next(file for file in self.files() if file.path == path))
