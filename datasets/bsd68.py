"""BSD68: 68 gray photographs of the Berkeley segmentation dataset (Roth & Black, IJCV 2009). Not in the paper."""

from __future__ import annotations

from typing import ClassVar

from nidbench.contract import DatasetInfo

from ._listed import Listed


class BSD68(Listed):
    """68 gray images, `test001` to `test068`, of 481x321 or 321x481 pixels, blurred as Set12 is in the paper."""

    listed: ClassVar[str] = "bsd68"
    info: ClassVar[DatasetInfo] = DatasetInfo(
        "BSD68",
        kernels="levin",
        noises=("gaussian:0.01", "gaussian:0.03", "gaussian:0.05"),
        source="testsets/BSD68 of github.com/cszn/FFDNet; Martin, Fowlkes, Tal, Malik, ICCV 2001",
        licence="not stated for the images",
    )
