"""Set12: twelve classic gray test images, of which the paper's tables use all (section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import ClassVar

from nidbench.contract import DatasetInfo, Image
from nidbench.errors import UnknownNameError
from nidbench.fetch import RemoteFile, get, read_manifest
from nidbench.images import read_image


class Set12:
    """Twelve gray images: 01 to 07 of 256x256, 08 to 12 of 512x512 pixels."""

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Set12",
        kernels="levin",
        noises=("gaussian:0.01", "gaussian:0.03", "gaussian:0.05"),
        source="testsets/Images/GT/Set12 of github.com/scut-mingqinchen/Model_Uncertainty_NID",
        licence="not stated for the images",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the twelve files."""
        return read_manifest(files("nidbench.datasets") / "files.csv", "set12")

    def names(self) -> Sequence[str]:
        """Return `01` to `12`."""
        return [f"{number:02}" for number in range(1, 13)]

    def load(self, name: str) -> Image:
        """Return an image, Shape (1, 256, 256) or (1, 512, 512), float64 in [0, 1]; fetched first if need be.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where it cannot be fetched.
        """
        if name not in self.names():
            raise UnknownNameError(f"set12 has no image {name!r}: use one of {', '.join(self.names())}")
        return read_image(get(next(file for file in self.files() if file.path == f"{name}.png")))
