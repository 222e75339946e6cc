"""Kernels that somebody estimated: `estimated:PATH`, a folder of files, for non-blind methods behind blind ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nidbench.contract import Kernel
from nidbench.errors import InputError
from nidbench.images import KERNEL_SUFFIXES, read_kernel


@dataclass(frozen=True)
class Estimated:
    """Kernels from `PATH/<image>/<kernel>.png`, as in `PATH/01/4.png` for image 01 and kernel levin/4.

    The measurement is made with the true kernel; methods get the file's, of whatever size. Files are for true
    convolution (a kernel that was estimated for correlation has to be turned by 180 degrees), with the origin in the
    middle, at k//2. A shifted estimate gives a shifted restoration, which only protocols that align forgive.

    Attributes:
        folder: PATH.
    """

    argument: ClassVar[str] = "PATH"
    folder: Path

    def __post_init__(self) -> None:
        folder = Path(self.folder).expanduser().resolve()
        if not folder.is_dir():
            raise InputError(f"kernels estimated:{self.folder}: there is no folder {folder}")
        object.__setattr__(self, "folder", folder)

    @property
    def label(self) -> str:
        """The folder's own name."""
        return self.folder.name

    def told(self, kernel: Kernel, image: str, name: str) -> Kernel:  # noqa: ARG002 - of the protocol
        """Return the estimate for an image, Shape (kh, kw), sum 1.

        Raises:
            InputError: where there is no file for it, or several, or it is not a kernel.
        """
        own = self.folder / image / name.partition("/")[2]
        found = [path for path in (own.with_name(own.name + suffix) for suffix in KERNEL_SUFFIXES) if path.is_file()]
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise InputError(
                f"kernel {name} of image {image} wants one file {own} with one of {', '.join(KERNEL_SUFFIXES)}, and "
                f"there is {names}: put it there, or choose other --images and --kernels"
            )
        return read_kernel(found[0])
