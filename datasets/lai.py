"""Lai, Huang, Hu, Ahuja & Yang, A Comparative Study for Single Image Blind Deblurring (CVPR 2016)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image as Pillow

from nidbench.contract import IDENTITY, MEASURED, DatasetInfo, Image, Problem, Response, Truth
from nidbench.errors import InputError, UnknownNameError
from nidbench.fetch import RemoteFile, get, read_manifest
from nidbench.images import read_image, read_kernel

from ._measured import given, truth_of

#: Standard deviation of the noise: uniform on [0, 0.01], then rounded to 8 bit.
LEVEL = sqrt((0.01**2 + (1 / 255) ** 2) / 12)

_SOURCE = (
    "blurred: datasets/lai of github.com/JuneFire/mySelfDeblur; sharp and kernels: Datasets/Lai of "
    "github.com/xl-tang3/UAUDeblur"
)


class Lai:
    """Twenty colour photographs and texts of about 1024x680 pixels, each blurred by four kernels of 31 to 75 pixels.

    The blurred images are those that the authors distribute, of the size of the sharp ones: y is the *correlation* of x
    with the stored kernels, hence kernels here are those rotated by 180 degrees. Outside the sharp image x repeats its
    edge. The noise is not Gaussian: uniform on [0, 0.01], so that y is brighter by 1.275/255 than k * x, with a
    standard deviation of 0.79/255 after rounding, which is what methods are told.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Lai et al. 2016, uniform blur", kernels="lai", noises=(MEASURED,), source=_SOURCE, licence="not stated"
    )
    response: ClassVar[Response] = IDENTITY
    categories: ClassVar[tuple[str, ...]] = ("manmade", "natural", "people", "text")

    def files(self) -> Sequence[RemoteFile]:
        """Return the four kernels, then the sharp and the blurred images."""
        wanted = ("kernels/", *(f"{folder}/{name}_" for folder in ("gt", "uniform") for name in self.categories))
        return [file for file in _manifest() if file.path.startswith(wanted)]

    def names(self) -> Sequence[str]:
        """Return `manmade_01` to `text_05`."""
        return [f"{category}_{number:02}" for category in self.categories for number in range(1, 6)]

    def kernels(self, name: str) -> Sequence[str]:
        """Return `lai/1` to `lai/4`, which all images were blurred by.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
        """
        self._check(name)
        return [f"lai/{number}" for number in range(1, 5)]

    def notice(self) -> str:
        """Return nothing."""
        return ""

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a blurred image, Shape (3, h, w); fetched first if need be.

        Raises:
            UnknownNameError: for an image or kernel that there is not.
            DataError: where it cannot be fetched.
        """
        number = self._number(name, kernel)
        weights = read_kernel(_file(f"kernels/kernel_0{number}.png"))[::-1, ::-1]
        return given(read_image(_file(f"uniform/{name}_kernel_0{number}.png")), weights, LEVEL, self.response)

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp image, Shape (3, h, w), which shows what y shows."""
        problem, path = self.measured(name, kernel), _file(f"gt/{name}.png")
        try:
            return [truth_of(problem, without_alpha(path))]
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _number(self, name: str, kernel: str) -> str:
        if kernel not in self.kernels(name):
            raise UnknownNameError(f"{name} was not blurred by {kernel!r}: use one of {', '.join(self.kernels(name))}")
        return kernel.partition("/")[2]

    def _check(self, name: str) -> None:
        if name not in self.names():
            raise UnknownNameError(f"unknown image {name!r} of {self.info.title}: use one of {', '.join(self.names())}")


class LaiSaturated(Lai):
    """Five night scenes whose lights saturate the sensor, each blurred by four kernels: paper Table 5.

    y clips at 1. Of 01, 03 and 04 the distributed sharp image is not what was blurred: that was clip(1.9 x - 0.1), and
    a perfect restoration scores 18.90, 14.60 and 15.29 dB. The numbers of the literature lie under that ceiling.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Lai et al. 2016, saturated",
        kernels="lai",
        noises=(MEASURED,),
        source=_SOURCE,
        licence="not stated",
        response="saturation",
    )
    response: ClassVar[Response] = Response("saturation")
    categories: ClassVar[tuple[str, ...]] = ("saturated",)

    def notice(self) -> str:
        """Return what PSNR means here."""
        return (
            "sharp images as distributed, which for 01, 03 and 04 are not those that were blurred: "
            "a perfect restoration scores 18.90, 14.60 and 15.29 dB"
        )


class LaiReal:
    """Thirty colour photographs, blurred as they were taken, each with a kernel that a blind method estimated.

    No sharp image is known, so that there are no scores. Those of the study's hundred photographs are here for which a
    kernel is public. The kernels are taken for true convolution, as blind methods estimate them.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Lai et al. 2016, real blur",
        kernels="lai-real",
        noises=(MEASURED,),
        source="Datasets/Lai/real of github.com/xl-tang3/UAUDeblur",
        licence="not stated",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the photographs and their kernels."""
        return _manifest("lai-real")

    def names(self) -> Sequence[str]:
        """Return `Pantheon` to `toy`."""
        return list(self._estimates())

    def kernels(self, name: str) -> Sequence[str]:
        """Return the photograph's kernel, named after the method that estimated it, as `lai-real/14_pan`.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
        """
        estimates = self._estimates()
        if name not in estimates:
            raise UnknownNameError(f"lai-real has no image {name!r}: use one of {', '.join(estimates)}")
        return [f"lai-real/{estimates[name]}"]

    def notice(self) -> str:
        """Return what there is not, and what is not known of the kernels."""
        return (
            "no scores, because real photographs have no sharp image; their kernels are estimates, whose orientation "
            "the source does not state"
        )

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a photograph, Shape (3, h, w), with its estimated kernel; fetched first if need be.

        Raises:
            UnknownNameError: for an image or kernel that there is not.
            DataError: where it cannot be fetched.
        """
        estimate = _file(f"kernels/{name}_{self._method(name, kernel)}_psf.png", "lai-real")
        return given(read_image(_file(f"blurry/{name}.jpg", "lai-real")), read_kernel(estimate), None)

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return nothing to compare with.

        Raises:
            UnknownNameError: for an image or kernel that there is not.
        """
        self._method(name, kernel)
        return []

    def _method(self, name: str, kernel: str) -> str:
        if kernel not in self.kernels(name):
            raise UnknownNameError(f"{name} has no kernel {kernel!r}: use {self.kernels(name)[0]}")
        return kernel.partition("/")[2]

    def _estimates(self) -> dict[str, str]:
        """Return the method that estimated each photograph's kernel: `boat1_09_cho_psf.png` is that of `boat1`."""
        kernels = [file.path for file in self.files() if file.path.startswith("kernels/")]
        found = (re.fullmatch(r"kernels/(.+?)_(\d\d_.+)_psf\.png", path) for path in kernels)
        return {match[1]: match[2] for match in found if match}


def without_alpha(path: Path) -> Image:
    """Return a colour image of 8 bit, Shape (3, H, W); `text_05` alone has an alpha channel, opaque, which is dropped.

    Raises:
        InputError: where it is neither RGB nor RGBA.
    """
    with Pillow.open(path) as file:
        if file.mode == "RGBA":
            return np.asarray(file, np.float64)[..., :3].transpose(2, 0, 1) / 255
    return read_image(path)


def _manifest(dataset: str = "lai") -> list[RemoteFile]:
    return read_manifest(files("nidbench.datasets") / "files.csv", dataset)


def _file(path: str, dataset: str = "lai") -> Path:
    return get(next(file for file in _manifest(dataset) if file.path == path))
