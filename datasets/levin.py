"""The four sharp images of Levin, Weiss, Durand & Freeman (CVPR 2009), as the paper's Table 2 uses them."""

from __future__ import annotations

from typing import ClassVar

from nidbench.contract import DatasetInfo

from ._listed import Listed


class LevinImages(Listed):
    """Four gray images, `im1` to `im4`, of 255x255 pixels, blurred anew by the eight kernels.

    The authors' files hold 32 captured photographs and 32 sharp images: one for each kernel, shifted against each other
    by up to 4 pixels, and those of kernels 1 to 5 from another capture than those of 6 to 8, up to 0.2 apart. "The four
    sharp images" of the literature are those of kernel 8, rounded to 8 bit. Hence nothing here is to be compared with
    the captured photographs, whose blur is moreover the correlation with the stored kernels.
    """

    listed: ClassVar[str] = "levin-images"
    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Levin et al. 2009",
        kernels="levin",
        noises=("gaussian:0.01", "gaussian:0.03", "gaussian:0.05"),
        source="datasets/levin/gt of github.com/csdwren/SelfDeblur; the authors' Levin09blurdata, kernel 8",
        licence="not stated for the images",
    )
