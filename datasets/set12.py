"""Set12: twelve classic gray test images, of which the paper's tables use all (section 4.1)."""

from __future__ import annotations

from typing import ClassVar

from nidbench.contract import DatasetInfo

from ._listed import Listed


class Set12(Listed):
    """Twelve gray images, `01` to `12`: 01 to 07 of 256x256, 08 to 12 of 512x512 pixels."""

    listed: ClassVar[str] = "set12"
    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Set12",
        kernels="levin",
        noises=("gaussian:0.01", "gaussian:0.03", "gaussian:0.05"),
        source="testsets/Images/GT/Set12 of github.com/scut-mingqinchen/Model_Uncertainty_NID",
        licence="not stated for the images",
    )
