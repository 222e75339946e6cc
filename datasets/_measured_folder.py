"""Blurred images of one's own, with their kernels and, where there are any, sharp images: a folder of files.

PATH/blurred/NAME.png            8-bit gray or RGB, also .tif, .bmp, .jpg, and arrays, .npy, .mat
PATH/kernels/NAME.png            or .tif, .bmp, .npy, .mat; a single file serves all images
PATH/truth/NAME.png              optional, likewise: of the blurred image's size, or of that with its kernel's reach
PATH/measured.toml               optional: what is known of the camera

    noise = 0.01                 # standard deviation on [0, 1]; without it, methods estimate it
    response = "gamma:2.2"       # or "identity" (the default), "saturation"; "gamma:2.2:8bit" where it is rounded
    kernels = "convolution"      # the default; "correlation" for kernels to be turned by 180 degrees

Files of one name belong together. Arrays hold integers of 8 or 16 bit, or real numbers on [0, 1].
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from nidbench.contract import IDENTITY, MEASURED, DatasetInfo, Problem, Response, Truth
from nidbench.errors import DataError, InputError, UnknownNameError
from nidbench.fetch import RemoteFile
from nidbench.images import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    KERNEL_SUFFIXES,
    read_blurred,
    read_kernel,
    read_sharp,
    sharp_shape,
)

from ._measured import given, offset_of, truth_of

_SUFFIXES = (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
_LAYOUT = "put blurred images into blurred/, kernels of the same names (or a single one) into kernels/"


@dataclass(frozen=True)
class _Camera:
    """What `measured.toml` says.

    Attributes:
        noise: standard deviation on [0, 1], or None.
        response: of the camera.
        turned: whether kernels are for correlation.
    """

    noise: float | None = None
    response: Response = IDENTITY
    turned: bool = False


class MeasuredFolder:
    """The blurred images of a folder: names are those of the files, without suffix.

    Args:
        path: the folder, with `blurred` and `kernels` in it.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Folder of blurred images", kernels="folder", noises=(MEASURED,), source="files of one's own"
    )

    argument: ClassVar[str] = "PATH"

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def label(self) -> str:
        """Return the folder's name."""
        return self._path.resolve().name

    @staticmethod
    def fits(path: Path) -> bool:
        """Return whether a folder holds blurred images, rather than sharp ones."""
        return (path / "blurred").is_dir()

    def files(self) -> Sequence[RemoteFile]:
        """Return no file: they are at hand."""
        return []

    def names(self) -> Sequence[str]:
        """Return the blurred images' names, sorted.

        Raises:
            DataError: where there are none, or two of one name.
        """
        return list(self._blurred)

    def kernels(self, name: str) -> Sequence[str]:
        """Return the kernel of an image: that of its name, or the only one.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where it has none.
        """
        return [f"folder/{self._kernel_file(name).stem}"]

    def notice(self, names: Sequence[str]) -> str:
        """Return how many of these images have no sharp one."""
        lacking = [name for name in names if name not in self._sharp]
        return (
            f"no scores for {len(lacking)} of {len(names)} images: they have no sharp image in truth" if lacking else ""
        )

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a blurred image, Shape (1 or 3, h, w).

        Raises:
            UnknownNameError: for an image or kernel that there is not.
            InputError: where a file is not an image or not a kernel, or the sharp image does not fit the blurred one.
            DataError: where the image has no kernel.
        """
        if kernel not in self.kernels(name):
            raise UnknownNameError(f"{self._path}: {name} has no kernel {kernel!r}: use {self.kernels(name)[0]}")
        weights = read_kernel(self._kernel_file(name))
        camera = self._camera
        turned = weights[::-1, ::-1] if camera.turned else weights
        problem = given(read_blurred(self._blurred[name]), turned, camera.noise, camera.response)
        if name in self._sharp:  # found out now, when a run is planned, not when its scores are due
            with self._about_truth(name):
                offset_of(problem, sharp_shape(self._sharp[name]))
        return problem

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp image of the same name, in the encoding of the blurred one; none where there is none.

        Raises:
            InputError: where it does not fit the blurred image.
        """
        problem = self.measured(name, kernel)
        if name not in self._sharp:
            return []
        with self._about_truth(name):
            return [truth_of(problem, read_sharp(self._sharp[name]), encoded=problem.response.kind == "gamma")]

    @contextmanager
    def _about_truth(self, name: str) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            raise InputError(f"{self._sharp[name]}, the truth of {self._blurred[name]}: {error}") from error

    @cached_property
    def _blurred(self) -> Mapping[str, Path]:
        found = _by_name(self._path / "blurred", _SUFFIXES)
        if not found:
            raise DataError(f"{self._path / 'blurred'} holds no image ({', '.join(_SUFFIXES)}): {_LAYOUT}")
        strays = [name for name in self._sharp if name not in found]
        if strays:
            raise DataError(
                f"{self._sharp[strays[0]]} is the truth of no image in {self._path / 'blurred'}: give both the same "
                "name, or remove it"
            )
        return found

    @cached_property
    def _sharp(self) -> Mapping[str, Path]:
        return _by_name(self._path / "truth", _SUFFIXES)

    @cached_property
    def _kernels(self) -> Mapping[str, Path]:
        found = _by_name(self._path / "kernels", KERNEL_SUFFIXES)
        if not found:
            raise DataError(f"{self._path / 'kernels'} holds no kernel ({', '.join(KERNEL_SUFFIXES)}): {_LAYOUT}")
        return found

    def _kernel_file(self, name: str) -> Path:
        if name not in self._blurred:
            raise UnknownNameError(f"{self._path} has no image {name!r}: use one of {', '.join(self._blurred)}")
        if name not in self._kernels and len(self._kernels) > 1:
            raise DataError(
                f"{self._blurred[name]} has no kernel of its name in {self._path / 'kernels'}, which has "
                f"{', '.join(self._kernels)}: {_LAYOUT}"
            )
        return self._kernels.get(name) or next(iter(self._kernels.values()))

    @cached_property
    def _camera(self) -> _Camera:
        return _read_camera(self._path / "measured.toml")


def _by_name(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the files of a folder by their names without suffix, sorted; none where there is no such folder.

    Raises:
        DataError: where two files have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise DataError(f"{folder} has {found[path.stem].name} and {path.name}: remove one of the two")
            found[path.stem] = path
    return found


def _read_camera(path: Path) -> _Camera:
    """Read `measured.toml`, if it is there.

    Raises:
        InputError: naming the key, its rule and what to write.
    """
    if not path.exists():
        return _Camera()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if unknown := set(content) - {"noise", "response", "kernels"}:
        raise InputError(f"{path}: unknown key {min(unknown)!r}; there are noise, response, kernels")
    noise, way = content.get("noise"), content.get("kernels", "convolution")
    if noise is not None and not (type(noise) in (int, float) and 0 <= noise <= 1):
        raise InputError(f"{path}: noise = {noise!r}: give its standard deviation on [0, 1], such as 0.01")
    if way not in ("convolution", "correlation"):
        raise InputError(f'{path}: kernels = {way!r}: write "convolution" or "correlation"')
    try:
        response = Response.parse(str(content.get("response", IDENTITY)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return _Camera(None if noise is None else float(noise), response, way == "correlation")
