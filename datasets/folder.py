"""Anyone's own images: `folder:PATH` of sharp ones, or of blurred ones, see `_measured_folder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from nidbench.contract import DatasetInfo, Image
from nidbench.errors import InputError, UnknownNameError
from nidbench.files.remote import RemoteFile
from nidbench.images import ARRAY_SUFFIXES, IMAGE_SUFFIXES, read_image

from ._measured_folder import MeasuredFolder

#: What blurred images come with, as the beginnings of the names of files and of folders.
_KERNEL_FILES = ("psf", "kernel", "blur_kernel", "blurkernel")
_FOLDERS = ("blur", "kernel", "psf", "truth", "sharp", "gt", "ground", "clean", "latent")

_LAYOUT = (
    "put blurred images into blurred/, kernels into kernels/ and sharp images, if there are any, into truth/; or, "
    "where they are sharp, move it elsewhere"
)


class Folder:
    """The image files of a folder, by name, in alphabetical order; gray and colour may stand side by side.

    A folder with `blurred` in it makes a `MeasuredFolder` instead.

    Args:
        path: the folder; what lies in folders inside is not looked at.

    Raises:
        InputError: where it is not a folder, holds no image, or two whose names differ by the suffix only; where
            kernels or sharp images lie beside the images, which are blurred then, it seems.
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
            if found.name.startswith("."):
                continue
            if _tells_of_blur(found):
                raise InputError(
                    f"dataset folder:{path}: {found.name} beside the images says that they are blurred: {_LAYOUT}"
                )
            if found.suffix.lower() in IMAGE_SUFFIXES:
                self._add(found)
        if not self._paths:
            endings = ", ".join(IMAGE_SUFFIXES)
            raise InputError(f"dataset folder:{path}: {self._folder} holds no image; put some there, {endings}")

    def _add(self, found: Path) -> None:
        if not found.name.isprintable():
            raise InputError(f"dataset folder:{self._folder}: {found.name!r} cannot be shown in tables: rename it")
        other = self._paths.setdefault(found.stem, found)
        if other != found:
            raise InputError(f"dataset folder:{self._folder}: {other.name} and {found.name} have one name: rename one")

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

    def notice(self, names: Sequence[str]) -> str:
        """Return what images of one's own are taken for."""
        images = "1 image is" if len(names) == 1 else f"{len(names)} images are"
        return f"{images} taken as sharp, and blurred here by kernels of a set"

    def load(self, name: str) -> Image:
        """Return an image, Shape (1 or 3, H, W), float64 in [0, 1].

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            InputError: where it is not an image of 8-bit gray or RGB.
        """
        if name not in self._paths:
            raise UnknownNameError(f"folder has no image {name!r}: use one of {', '.join(self._paths)}")
        return read_image(self._paths[name])


def _tells_of_blur(found: Path) -> bool:
    """Return whether something beside images says that they are blurred: a kernel, an array, a folder of such."""
    name = found.name.lower()
    if found.is_dir():
        return name.startswith(_FOLDERS)
    return name.startswith(_KERNEL_FILES) or found.suffix.lower() in ARRAY_SUFFIXES or name == "measured.toml"
