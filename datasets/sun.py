"""The 80 sharp images of Sun, Cho, Wang & Hays (ICCP 2013), derived from the colour photographs they were made of."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nidbench.contract import DatasetInfo, Image
from nidbench.files.remote import RemoteFile

from ._listed import Listed

#: MATLAB's `rgb2gray` (ITU-R BT.601): the first row of the inverse of its YIQ matrix.
GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)

#: Pixels that the authors discard at each border.
BORDER = 50


class Sun(Listed):
    """80 gray images, `01` to `80`, most of 924x668 or 924x583 pixels, blurred by the Levin kernels.

    The paper takes the photographs of Sun & Hays (ICCP 2012) in gray, without the outer 50 pixels, and blurs them anew;
    the 640 blurred files of the authors are not used. Only image 52 was published: it equals what is derived here, bit
    for bit. The public copies of the photographs are cut to multiples of 8 at the bottom and right, so that other
    images may lack up to 7 rows or columns there; their pixel values are exact.
    """

    listed: ClassVar[str] = "sun"
    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Sun et al. 2013",
        kernels="levin",
        noises=("gaussian:0.01", "gaussian:0.03", "gaussian:0.05"),
        source="data/Sun-Hays80 of github.com/jbhuang0604/SelfExSR; Sun, Hays, ICCP 2012",
        licence="not stated for the images",
    )

    def name_of(self, file: RemoteFile) -> str:
        """Return `52` for `img_052_SRF_8_HR.png`."""
        return f"{int(file.path.split('_')[1]):02}"

    def load(self, name: str) -> Image:
        """Return an image, Shape (1, H, W), float64 in [0, 1]; its photograph is fetched first if need be.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where it cannot be fetched.
        """
        return derived(super().load(name))


def derived(photograph: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sharp image that a colour photograph gives: gray, rounded half up to 8 bit, its border cut off.

    Args:
        photograph: Shape (3, H, W), multiples of 1/255 in [0, 1].

    Returns:
        Shape (1, H - 100, W - 100), where 680 beside 1024 counts as the 683 pixels it was cut from.
    """
    levels = np.rint(photograph * 255)
    gray = sum(weight * plane for weight, plane in zip(GRAY, levels, strict=True))
    eight_bit = np.floor(np.asarray(gray) + 0.5).clip(0, 255)
    height, width = eight_bit.shape
    bottom, right = _full(height, width) - BORDER, _full(width, height) - BORDER
    return np.asarray(eight_bit[None, BORDER:bottom, BORDER:right] / 255)


def _full(side: int, other: int) -> int:
    """Return the length of a side before it was cut to a multiple of 8."""
    return 683 if (side, other) == (680, 1024) else side
