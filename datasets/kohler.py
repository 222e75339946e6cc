"""The photographs of Koehler, Hirsch, Mohler, Schoelkopf & Harmeling, Recording and Playback of Camera Shake (2012)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import ClassVar
from zipfile import BadZipFile, ZipFile

import numpy as np
from PIL import Image as Pillow

from nidbench.contract import MEASURED, DatasetInfo, Image, Problem, StoredTruth, Truth
from nidbench.errors import DataError, UnknownNameError, lacking
from nidbench.files.cache import destination, hash_of
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.images import read_image, read_kernel

from ._measured import given, truth_of

#: Where the sharp frames are, and the MD5 of each print-out's: nobody published a SHA-256.
SITE = "http://people.kyb.tuebingen.mpg.de/rolfk/BenchmarkECCV2012/"
MD5 = {
    "1": "acb90b6d9bfdb4b2370e08a5fcb80e68",
    "2": "da440d3bf43b32bec0b7170ccd828f29",
    "3": "3a77c41c951367f35db52eb18496bbac",
    "4": "72ce9690c3ed1296358653396cf9576d",
}

#: Frames (image, trajectory, frame) that the benchmark's own script leaves out.
SKIPPED = {("1", "3", 30)}


class Kohler:
    """Four print-outs, each photographed along twelve camera trajectories: 48 images of 800x800, paper Table 6.

    The blur varies over the image, so that no kernel is true: those here are the estimates that the paper's authors
    distribute (made with Pan et al. 2016; 31x31 to 297x297), for true convolution. Trajectory 7 of image 2 is image
    `2` with kernel `kohler/7`, and each image has its own estimate of it.

    The sharp images are the frames along the trajectory, about 199 a photograph, of which the best match counts. They
    come by hand, see `by_hand`; without them there are no scores.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Koehler et al. 2012",
        kernels="kohler",
        noises=(MEASURED,),
        source="blurred: BlurryImages of github.com/FWen/deblur-pmp; kernels: testsets/Kernels/Inaccurate/Kohler of "
        f"github.com/scut-mingqinchen/Model_Uncertainty_NID; sharp: {SITE}",
        licence="not stated",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the 48 blurred images and kernels, but not the sharp frames."""
        return read_manifest(files("nidbench.datasets") / "files.csv", "kohler")

    def by_hand(self) -> Sequence[RemoteFile]:
        """Return the four archives of sharp frames, one a print-out."""
        return [_archive(name) for name in MD5]

    def names(self) -> Sequence[str]:
        """Return `1` to `4`."""
        return list(MD5)

    def kernels(self, name: str) -> Sequence[str]:
        """Return the twelve trajectories, `kohler/1` to `kohler/12`.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
        """
        if name not in MD5:
            raise UnknownNameError(lacking("kohler", "image", name, MD5))
        return [f"kohler/{number}" for number in range(1, 13)]

    def notice(self, names: Sequence[str]) -> str:
        """Return which of these images lack their sharp frames, and how to provide them.

        Raises:
            DataError: where frames are there and not what the benchmark's site has.
        """
        lacking = [name for name in names if provided(_archive(name)) is None]
        if not lacking:
            return ""
        return (
            f"no scores for {', '.join(lacking)}, whose sharp frames are not there: get "
            f"{', '.join(_archive(name).path for name in lacking)} from {SITE}, then: nidbench data add kohler FILES"
        )

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a photograph, Shape (3, 800, 800), with its estimated kernel; fetched first if need be.

        Raises:
            UnknownNameError: for an unknown image or kernel.
            DataError: where it cannot be fetched.
        """
        number = self._number(name, kernel)
        weights = read_kernel(self._file(f"kernels/Blurry{name}_{number}.png"))
        return given(read_image(self._file(f"blurry/Blurry{name}_{number}.png")), weights, None)

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the frames along the trajectory, each read when it is looked at; none where they are not there.

        Raises:
            DataError: where they are there and not what the benchmark's site has.
        """
        number, archive = self._number(name, kernel), provided(_archive(name))
        if archive is None:
            return []
        problem = self.measured(name, kernel)
        members = [member for frame, member in _frames(archive, name, number) if (name, number, frame) not in SKIPPED]
        offset = truth_of(problem, _frame(archive, members[0])).offset
        return [StoredTruth(partial(_frame, archive, member), offset) for member in members]

    def truth_hash(self, name: str, kernel: str) -> str:
        """Return what the frames along a trajectory are known by: their archive's MD5, for they are 3 GB of pixels."""
        archive, left_out = _archive(name), sorted(SKIPPED)
        return "" if provided(archive) is None else f"{archive.md5} {self._number(name, kernel)} {left_out}"

    def _number(self, name: str, kernel: str) -> str:
        if kernel not in self.kernels(name):
            raise UnknownNameError(lacking("kohler", "trajectory", kernel, self.kernels(name)))
        return kernel.partition("/")[2]

    def _file(self, path: str) -> Path:
        return get(next(file for file in self.files() if file.path == path))


def _archive(name: str) -> RemoteFile:
    """Return the archive of the sharp frames of a print-out; nobody published its size."""
    path = f"GroundTruth_pngs_Image{name}.zip"
    return RemoteFile("kohler", path, SITE + path, sha256="", bytes=0, md5=MD5[name])


def provided(archive: RemoteFile) -> Path | None:
    """Return where an archive lies, or None where it is not there.

    Raises:
        DataError: where it is there and not the benchmark's, naming both hashes and the way out.
    """
    path = destination(archive)
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = _md5(path, stat.st_size, stat.st_mtime_ns)
    if found != archive.md5:
        raise DataError(
            f"dataset kohler: {path} has the MD5 {found}, and {archive.url} has {archive.md5}: download it again and "
            "run nidbench data add kohler FILES, or remove it to go on without scores"
        )
    return path


@lru_cache(maxsize=8)
def _md5(path: Path, _size: int, _changed: int) -> str:
    # each of the 48 photographs asks, and an archive takes seconds
    with path.open("rb") as file:
        return hash_of(file, "md5")


@lru_cache(maxsize=8)
def _members(archive: Path) -> tuple[str, ...]:
    try:
        with ZipFile(archive) as content:
            return tuple(content.namelist())
    except (OSError, BadZipFile) as error:
        raise DataError(f"dataset kohler: {archive} cannot be read ({error}): download it again") from error


def _frames(archive: Path, name: str, number: str) -> list[tuple[int, str]]:
    """Return the frames of a trajectory in order, each with its name in the archive.

    Raises:
        DataError: where there are none.
    """
    found = [
        (int(match[1]), member)
        for member in _members(archive)
        if (match := re.search(rf"GroundTruth{name}_{number}_(\d+)\.png$", member))
    ]
    if not found:
        raise DataError(
            f"dataset kohler: {archive} holds no GroundTruth{name}_{number}_*.png: download it again from {SITE}"
        )
    return sorted(found)


@lru_cache(maxsize=2)
def _frame(archive: Path, member: str) -> Image:
    with ZipFile(archive) as content, Pillow.open(BytesIO(content.read(member))) as file:
        return np.asarray(file.convert("RGB"), np.float64).transpose(2, 0, 1) / 255
