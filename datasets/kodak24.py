"""Kodak24: 24 colour photographs from Kodak's Photo CD, whole. Not in the paper."""

from __future__ import annotations

from typing import ClassVar

from nidbench.contract import DatasetInfo

from ._listed import Listed


class Kodak24(Listed):
    """24 colour images, `kodim01` to `kodim24`, of 768x512 or 512x768 pixels, blurred as Set12 is in the paper.

    Denoisers are often tested on 500x500 crops under the same names; their numbers are not comparable.
    """

    listed: ClassVar[str] = "kodak24"
    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Kodak24",
        kernels="levin",
        noises=("gaussian:0.01", "gaussian:0.03", "gaussian:0.05"),
        source="testsets/Set24 of github.com/cszn/IRCNN; r0k.us/graphics/kodak",
        licence="released by the Eastman Kodak Company for unrestricted usage (r0k.us)",
    )
