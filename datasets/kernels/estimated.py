"""Kernels that somebody estimated: `estimated:PATH`, a folder of files, for non-blind methods behind blind ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nidbench.contract import Kernel
from nidbench.errors import InputError
from nidbench.images import KERNEL_SUFFIXES, Background, KernelFile, expanded, read_kernel

#: Comes after the folder where its kernels are for correlation.
TURNED = ":turned"


@dataclass(frozen=True, init=False)
class Estimated:
    """Kernels from `PATH/<image>/<kernel>.png`, as in `PATH/01/4.png` for image 01 and kernel levin/4.

    The measurement is made with the true kernel; methods get the file's, of whatever size. Files are for true
    convolution; `estimated:PATH:turned` turns them by 180 degrees, for those that were estimated for correlation, as
    with Lai et al. (2016). The wrong way round costs many dB and gives no other sign: try both on one image. The origin
    is in the middle, at k//2. A shifted estimate gives a shifted restoration, which only protocols that align forgive.

    `estimated:PATH:border` takes the level of its border off each estimate, `estimated:PATH:clip` what is negative, as
    `kernel_background` of measured folders does, and `:keep` takes estimates as they stand; `:turned` may come beside
    them.

    Attributes:
        folder: PATH.
        turned: whether the files' kernels are turned by 180 degrees.
        background: what is taken off them.
        centred: whether their weights are moved to the middle, as `:centred` says.
    """

    argument: ClassVar[str] = "PATH"
    replaces: ClassVar[bool] = True
    folder: Path
    turned: bool
    background: Background
    centred: bool

    def __init__(self, text: Path | str) -> None:
        asked = KernelFile.parse(str(text))
        folder, turned, background = expanded(asked.path).resolve(), asked.turned, asked.background
        if not folder.is_dir():
            raise InputError(
                f"kernels estimated:{text}: there is no folder {folder}; write estimated:PATH, or "
                f"estimated:PATH{TURNED} for kernels that are to be turned by 180 degrees"
            )
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "turned", turned)
        object.__setattr__(self, "background", background)
        object.__setattr__(self, "centred", asked.centred)

    @property
    def label(self) -> str:
        """The folder's own name, and what is done to its kernels."""
        taken_off = "" if self.background == "none" else f":{self.background}"
        return self.folder.name + taken_off + (TURNED if self.turned else "") + (":centred" if self.centred else "")

    def known_kernel(self, kernel: Kernel, image: str, name: str) -> Kernel:  # noqa: ARG002 - of the protocol
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
        say = lambda word: f"say estimated:{self.folder}:{word}"  # noqa: E731
        estimate = read_kernel(found[0], self.background, centred=self.centred, say=say)
        return estimate[::-1, ::-1] if self.turned else estimate
