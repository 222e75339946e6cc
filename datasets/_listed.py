"""What datasets of image files share: the files of one manifest name, each an image."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import PurePosixPath
from typing import ClassVar

from nidbench.contract import DatasetInfo, Image
from nidbench.errors import UnknownNameError, lacking
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.images import read_image


class Listed:
    """Images by the names of their files, without suffix. A dataset adds `info` and `listed`."""

    info: ClassVar[DatasetInfo]
    listed: ClassVar[str]  #: the name of its rows in `files.csv`

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to fetch, one an image."""
        return read_manifest(files("nidbench.datasets") / "files.csv", self.listed)

    def names(self) -> Sequence[str]:
        """Return the images' names, in the order of the manifest."""
        return list(self._by_name())

    def load(self, name: str) -> Image:
        """Return an image as it is stored, Shape (1 or 3, H, W), float64 in [0, 1]; fetched first if need be.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where it cannot be fetched.
        """
        known = self._by_name()
        if name not in known:
            raise UnknownNameError(lacking(self.listed, "image", name, known))
        return read_image(get(known[name]))

    def _by_name(self) -> dict[str, RemoteFile]:
        return {self.name_of(file): file for file in self.files()}

    def name_of(self, file: RemoteFile) -> str:
        """Return the name of the image that a file holds."""
        return PurePosixPath(file.path).stem
