"""What a person asks for who has one image restored, and the files that it is written to."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from nidbench.errors import InputError
from nidbench.images import KernelFile
from nidbench.images.fits import is_fits, library
from nidbench.images.write import held_type, suffix_of
from nidbench.system.whole_files import write_new, write_whole

#: The method that restores where none is named. Of those that take seconds and download nothing it has the highest
#: PSNR at 3 and 5 % noise, 0.2 and 0.6 dB ahead of `fid`, and ties with it at 1 % (results/reference/classical: twelve
#: whole images of Set12). `fdn` is ahead of it, and has weights to download.
DEFAULT_METHOD = "tv"

#: Methods that a twin experiment tries where none are named: those that take seconds and download nothing.
CANDIDATES = "wiener,tv,fid,richardson-lucy"

Frame: TypeAlias = Literal["y", "full"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        image: file of the measurement.
        kernel: kernel file, with words after it as `KernelFile.parse` reads them, formula, or kernel of a set.
        out: file for the restoration; its suffix says the format.
        method: method specification, as on the command line.
        method_file: a Python file with a further method, or None.
        noise: `gaussian:SIGMA` on [0, 1], `poisson:PEAK`, a kind alone, or empty: what is known of the noise.
        response: of the camera.
        frame: `y` for the size of the measurement, `full` for all that it shows in part.
        pages: of a stack, `all` or a number; empty for a single image.
        scale: value of the file that is intensity 1, or None.
        bits: bits of the file's integers, or None.
        overwrite: whether files that exist are replaced.
        variance: file for the pixel variance, or None.
        preview: file for a picture of before and after, PNG, or None.
        twin: methods to try on a twin experiment, separated by commas; empty for none.

    Raises:
        InputError: for a file that cannot be written to.
    """

    image: Path
    kernel: str
    out: Path
    method: str = DEFAULT_METHOD
    method_file: Path | None = None
    noise: str = ""
    response: str = "identity"
    frame: Frame = "y"
    pages: str = ""
    scale: float | None = None
    bits: int | None = None
    overwrite: bool = False
    variance: Path | None = None
    preview: Path | None = None
    twin: str = ""

    def __post_init__(self) -> None:
        outputs = [path for path in (self.out, self.variance, self.preview) if path is not None]
        for path in outputs:
            _check_output(path, self.overwrite)
            if _is_same(path, self.image):
                raise InputError(f"{path} is the measurement itself: give another file, which leaves it as it is")
            if _is_same(path, KernelFile.parse(self.kernel).path) or _is_same(path, Path(self.kernel)):
                raise InputError(f"{path} is the kernel's file: give another one")
        if len({path.resolve() for path in outputs}) < len(outputs):
            raise InputError("the restoration, its variance and its preview have one file: give each its own")
        suffix_of(self.out)
        if any(is_fits(path) for path in outputs):
            library()  # found out now, not when the restoration is computed
        if self.variance is not None and held_type(self.variance.suffix, np.dtype(np.float32)).kind != "f":
            raise InputError(f"{self.variance} cannot hold a variance, real numbers: use .tif, .fits, .npy or .mat")
        if self.preview is not None and self.preview.suffix.lower() != ".png":
            raise InputError(f"the preview {self.preview} is a PNG: give it the suffix .png")


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two paths are one file that is there."""
    try:
        return path.samefile(other.expanduser())
    except (OSError, ValueError, RuntimeError):  # one is not there, can be no path, or is of a person who is not there
        return False


def _is_loop(path: Path) -> bool:
    """Return whether a path is a link that leads back to itself."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _check_output(path: Path, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before anything is computed for it."""
    if _is_loop(path):
        raise InputError(f"{path} is a link that leads back to itself: remove it, or give another file")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file in it, such as {path / 'restored.tif'}")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} for {path.name}: make it, or give another one")
    if os.path.lexists(path) and not overwrite:  # a link to nothing is there, too
        raise InputError(f"{path} exists: give another file, or --overwrite to replace it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path.parent} cannot be written to: give another folder, or change its permissions")


def check_room(path: Path, size: int) -> None:
    """Refuse a file for which its disk has no room.

    Raises:
        InputError: naming both sizes.
    """
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise InputError(f"{path} takes about {size >> 10} KiB and its disk has {free >> 10} free: free some space")


def write_file(path: Path, content: bytes, *, overwrite: bool) -> Path:
    """Write a file whole and return its path; another one where something is in its place by now.

    What was computed for minutes is not lost for what somebody else has put there meanwhile, and that stays, too.

    Args:
        path: the file.
        content: all of its bytes.
        overwrite: whether it replaces a file.

    Raises:
        InputError: where the system refuses; the message says why.
    """
    with _told(path):
        if not overwrite or path.is_dir():
            return write_new(path, content)
        write_whole(path, content)
        return path


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}), and nothing of it is there: free some space, or "
            "give another file"
        ) from error
