"""Lai, Huang, Hu, Ahuja & Yang, A Comparative Study for Single Image Blind Deblurring (CVPR 2016)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import numpy as np

from nidbench.contract import IDENTITY, MEASURED, UNKNOWN, DatasetInfo, Problem, Response, Truth
from nidbench.errors import InputError, UnknownNameError, lacking
from nidbench.files.remote import RemoteFile
from nidbench.images import read_image, read_kernel

from ._lai import fetched, listed, turned_kernel
from ._measured import given, truth_of

#: Standard deviation of the noise: uniform on [0, 0.01], then rounded to 8 bit.
LEVEL = sqrt((0.01**2 + (1 / 255) ** 2) / 12)

#: PSNR in dB of a perfect restoration of the saturated images whose distributed sharp image is not what was blurred.
CEILINGS = {"saturated_01": 18.90, "saturated_03": 14.60, "saturated_04": 15.29}

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
        return [file for file in listed() if file.path.startswith(wanted)]

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

    def notice(self, names: Sequence[str]) -> str:  # noqa: ARG002 - of the protocol
        """Return nothing."""
        return ""

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a blurred image, Shape (3, h, w); fetched first if need be.

        Raises:
            UnknownNameError: for an unknown image or kernel.
            DataError: where it cannot be fetched.
        """
        number = self._number(name, kernel)
        weights = turned_kernel(number)
        return given(read_image(fetched(f"uniform/{name}_kernel_0{number}.png")), weights, LEVEL, self.response)

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp image, Shape (3, h, w), which shows what y shows; `text_05` has an opaque alpha channel."""
        problem, path = self.measured(name, kernel), fetched(f"gt/{name}.png")
        try:
            return [truth_of(problem, read_image(path))]
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _number(self, name: str, kernel: str) -> str:
        if kernel not in self.kernels(name):
            raise UnknownNameError(f"{name} was not blurred by {kernel!r}: use one of {', '.join(self.kernels(name))}")
        return kernel.partition("/")[2]

    def _check(self, name: str) -> None:
        if name not in self.names():
            raise UnknownNameError(lacking(self.info.title, "image", name, self.names()))


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

    def notice(self, names: Sequence[str]) -> str:
        """Return what PSNR means for those of the images whose ceiling is not that of others."""
        low = {name: ceiling for name, ceiling in CEILINGS.items() if name in names}
        if not low:
            return ""
        return (
            f"sharp images as distributed, which for {', '.join(low)} are not those that were blurred: "
            f"a perfect restoration scores {', '.join(f'{ceiling:.2f}' for ceiling in low.values())} dB"
        )


class LaiReal:
    """A hundred colour photographs, blurred as they were taken; of thirty, a kernel that a blind method estimated.

    No sharp image is known, so that there are no scores. The kernels are taken for true convolution, as blind methods
    estimate them. The other seventy, whose kernel is `lai-real/unknown`, take estimates of one's own,
    `estimated:PATH` with `PATH/bird/unknown.png`; what does not ask for them leaves them out.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Lai et al. 2016, real blur",
        kernels="lai-real",
        noises=(MEASURED,),
        source="Datasets/Lai/real of github.com/xl-tang3/UAUDeblur",
        licence="not stated",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return the photographs and the kernels that there are."""
        return listed("lai-real")

    def names(self) -> Sequence[str]:
        """Return those with a kernel, `Pantheon` to `toy`, then those without, `bird` to `wheel`."""
        return list(self._estimates())

    def kernels(self, name: str) -> Sequence[str]:
        """Return the photograph's kernel, named after the method that estimated it: `lai-real/14_pan`, or `unknown`.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
        """
        estimates = self._estimates()
        if name not in estimates:
            raise UnknownNameError(lacking("lai-real", "image", name, estimates))
        return [f"lai-real/{estimates[name]}"]

    def notice(self, names: Sequence[str]) -> str:  # noqa: ARG002 - of the protocol
        """Return what there is not, and what is not known of the kernels."""
        return (
            "no scores, because real photographs have no sharp image; their kernels are estimates, whose orientation "
            "the source does not state"
        )

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a photograph, Shape (3, h, w), with its estimated kernel, or one pixel; fetched first if need be.

        Raises:
            UnknownNameError: for an unknown image or kernel.
            DataError: where it cannot be fetched.
        """
        method = self._method(name, kernel)
        known = method != UNKNOWN
        path = f"kernels/{name}_{method}_psf.png"
        weights = read_kernel(fetched(path, "lai-real")) if known else np.ones((1, 1))
        return given(read_image(fetched(f"blurry/{name}.jpg", "lai-real")), weights, None)

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return nothing to compare with.

        Raises:
            UnknownNameError: for an unknown image or kernel.
        """
        self._method(name, kernel)
        return []

    def _method(self, name: str, kernel: str) -> str:
        if kernel not in self.kernels(name):
            raise UnknownNameError(f"{name} has no kernel {kernel!r}: use {self.kernels(name)[0]}")
        return kernel.partition("/")[2]

    def _estimates(self) -> dict[str, str]:
        """Return the method that estimated each photograph's kernel: `boat1_09_cho_psf.png` is that of `boat1`."""
        paths = [file.path for file in self.files()]
        kernels = (re.fullmatch(r"kernels/(.+?)_(\d\d_.+)_psf\.png", path) for path in paths)
        photographs = (re.fullmatch(r"blurry/(.+)\.jpg", path) for path in paths)
        known = {match[1]: match[2] for match in kernels if match}
        return known | {match[1]: UNKNOWN for match in photographs if match and match[1] not in known}
