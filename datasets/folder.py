"""Anyone's own images: `folder:PATH` of sharp ones, or of blurred ones, see `_measured_folder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from nidbench.contract import DatasetInfo, Image
from nidbench.errors import InputError, UnknownNameError
from nidbench.fetch import RemoteFile
from nidbench.images import IMAGE_SUFFIXES, read_image

from ._measured_folder import MeasuredFolder


class Folder:
    """The image files of a folder, by name, in alphabetical order; gray and colour may stand side by side.

    A folder with `blurred` in it makes a `MeasuredFolder` instead.

    Args:
        path: the folder; what lies in folders inside is not looked at.

    Raises:
        InputError: where it is not a folder, holds no image, or two whose names differ by the suffix only.
    """

    argument: ClassVar[str] = "PATH"
    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Images of one's own",
        kernels="levin",
        noises=("gaussian:0.01", "gaussian:0.03", "gaussian:0.05"),
        source="a folder of this machine",
        licence="that of the images",
    )

    def __new__(cls, path: Path | str) -> Any:
        """Return what suits the folder."""
        folder = Path(path).expanduser().resolve()
        return MeasuredFolder(folder) if MeasuredFolder.fits(folder) else super().__new__(cls)

    def __init__(self, path: Path | str) -> None:
        self._folder = Path(path).expanduser().resolve()
        if not self._folder.is_dir():
            raise InputError(f"dataset folder:{path}: there is no folder {self._folder}; commas separate datasets")
        self._paths: dict[str, Path] = {}
        for found in sorted(self._folder.iterdir()):
            if found.suffix.lower() in IMAGE_SUFFIXES and not found.name.startswith("."):
                other = self._paths.setdefault(found.stem, found)
                if other != found:
                    raise InputError(f"dataset folder:{path}: {other.name} and {found.name} have one name: rename one")
        if not self._paths:
            endings = ", ".join(IMAGE_SUFFIXES)
            raise InputError(f"dataset folder:{path}: {self._folder} holds no image; put some there, {endings}")

    @property
    def label(self) -> str:
        """The folder's own name."""
        return self._folder.name

    def files(self) -> Sequence[RemoteFile]:
        """Return no file: the images are there."""
        return []

    def names(self) -> Sequence[str]:
        """Return the files' names without suffix."""
        return list(self._paths)

    def load(self, name: str) -> Image:
        """Return an image, Shape (1 or 3, H, W), float64 in [0, 1].

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            InputError: where it is not an image of 8-bit gray or RGB.
        """
        if name not in self._paths:
            raise UnknownNameError(f"folder has no image {name!r}: use one of {', '.join(self._paths)}")
        return read_image(self._paths[name])
