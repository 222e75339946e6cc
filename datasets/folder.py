"""Anyone's own images: `folder:PATH` of sharp ones, or of blurred ones, see `_measured_folder`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from nidbench.contract import DatasetInfo, Image
from nidbench.errors import InputError, UnknownNameError, lacking
from nidbench.files.remote import RemoteFile
from nidbench.images import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    SHARP,
    Reading,
    Units,
    expanded,
    frames_note,
    read_pixels,
    unread_note,
)

from ._measured import FRAMES_APART, first_of
from ._measured_folder import MeasuredFolder

#: What blurred images come with, as the beginnings of the names of files and of folders.
_KERNEL_FILES = ("psf", "kernel", "blur_kernel", "blurkernel")

#: Names of kernels in full, and words that say so in longer names: `my_psf`.
_KERNEL_NAMES = ("k", "ker", "kern", "h")
_KERNEL_WORDS = re.compile(r"(?:^|[^a-z])(?:psf|kernel)s?(?:[^a-z]|$)")

#: Names of folders that say that what is in them is blurred.
_BLURRED_FOLDERS = ("blur", "blurred", "blurry")

#: In an image's own name it says that the image is blurred; in `deblurred` and `unblurred` it does not.
_BLURRED = re.compile("(?<!de)(?<!un)blur")
_FOLDERS = ("blur", "kernel", "psf", "truth", "sharp", "gt", "ground", "clean", "latent")

#: What a person can do where the range of values is not known: a folder of sharp images has no file that says it.
_UNSTATED = Units(key="{name} = {value} in measured.toml, of a folder with blurred/ and truth/, or save them on [0, 1]")

_LAYOUT = (
    "put blurred images into blurred/, kernels into kernels/ and sharp images, if there are any, into truth/; or, "
    "where they are sharp, move it elsewhere"
)


class Folder:
    """The image files of a folder, by name, in alphabetical order; gray and colour may stand side by side.

    Pictures of 8 and 16 bit, real numbers and FITS are read; arrays (.npy, .npz, .mat) where the folder has nothing
    else, as beside pictures they are kernels.

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
        folder = expanded(path).resolve()
        return MeasuredFolder(folder) if MeasuredFolder.fits(folder) else super().__new__(cls)

    def __init__(self, path: Path | str) -> None:
        self._folder = expanded(path).resolve()
        if not self._folder.is_dir():
            raise InputError(f"dataset folder:{path}: there is no folder {self._folder}; commas separate datasets")
        if self._folder.name.lower() in _BLURRED_FOLDERS:
            raise InputError(
                f"dataset folder:{path}: its name says that its images are blurred, and they would be blurred anew: "
                f"give the folder above it, {_LAYOUT}"
            )
        self._paths: dict[str, Path] = {}
        found = sorted(each for each in self._folder.iterdir() if not each.name.startswith("."))
        pictures = any(each.suffix.lower() in IMAGE_SUFFIXES for each in found)
        for each in found:
            if _tells_of_blur(each) or (pictures and each.suffix.lower() in ARRAY_SUFFIXES):
                raise InputError(
                    f"dataset folder:{path}: {each.name} beside the images says that they are blurred: {_LAYOUT}"
                )
            if each.suffix.lower() in (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES):
                self._add(each)
        if not self._paths:
            endings = ", ".join((*IMAGE_SUFFIXES, *ARRAY_SUFFIXES))
            raise InputError(f"dataset folder:{path}: {self._folder} holds no image; put some there, {endings}")

    def _add(self, found: Path) -> None:
        if not found.name.isprintable():
            raise InputError(f"dataset folder:{self._folder}: {found.name!r} cannot be shown in tables: rename it")
        if _BLURRED.search(found.stem.lower()):
            raise InputError(
                f"dataset folder:{self._folder}: the name of {found.name} says that it is blurred, and images here are "
                f"blurred anew: {_LAYOUT}, or rename it"
            )
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
        """Return what images of one's own are taken for, and what was assumed of their values and colours."""
        images = "1 image is" if len(names) == 1 else f"{len(names)} images are"
        ranges, colours = [], []
        for path in (self._paths[name] for name in names if _may_assume(self._paths[name])):
            reading = self._read(path.stem)
            ranges += [f"{path.name} has {reading.assumed}"] * bool(reading.assumed)
            colours += [frames_note(path.name, FRAMES_APART)] * reading.may_be_frames
        said = [first_of(texts) for texts in (ranges, colours) if texts]
        said += filter(None, [unread_note(self._folder.iterdir())])
        return "; ".join([f"{images} taken as sharp, and blurred here", *said])

    def load(self, name: str) -> Image:
        """Return an image, Shape (1 or 3, H, W), float64 in [0, 1].

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            InputError: where it is not a single image, gray or RGB, or the range of its values is not known.
        """
        if name not in self._paths:
            raise UnknownNameError(lacking("folder", "image", name, self._paths))
        return self._read(name).image

    def _read(self, name: str) -> Reading:
        return read_pixels(self._paths[name], SHARP, _UNSTATED)


def _tells_of_blur(found: Path) -> bool:
    """Return whether something beside images says that they are blurred: a kernel, an array, a folder of such."""
    name = found.name.lower()
    if found.is_dir():
        return name.startswith(_FOLDERS)
    stem = found.stem.lower()
    is_kernel = name.startswith(_KERNEL_FILES) or stem in _KERNEL_NAMES or _KERNEL_WORDS.search(stem)
    return bool(is_kernel) or name == "measured.toml"


def _may_assume(path: Path) -> bool:
    """Return whether reading a file may rest on an assumption: one of 8 bit never does."""
    if path.suffix.lower() == ".png":
        with path.open("rb") as file:
            return file.read(25)[24:25] != b"\x08"  # the depth stands there
    return path.suffix.lower() not in (".jpg", ".jpeg", ".bmp")
