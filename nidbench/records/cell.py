"""A cell: what determines a result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from nidbench.contract.method import Setting
from nidbench.physics.case_key import CaseKey

#: Made once: every id is made with it.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One unit of work: what determines its result, and nothing else.

    Attributes:
        method: the registered name of the method.
        version: the version that the method declares.
        settings: all settings of the method, resolved.
        case: the names of the measurement, which key its noise.
        image_hash, kernel_hash: SHA-256 of the image's and the kernel's values, see `Case`.
        declared: what the method is told of the noise level.
        response: the camera's response, as text.
        seed: the seed of the method.
        precision: `float32` or `bf16`.
        device: the kind of device, `cpu` or `cuda`.
    """

    method: str
    version: int
    settings: Mapping[str, Setting]
    case: CaseKey
    image_hash: str
    kernel_hash: str
    declared: str
    response: str
    seed: int
    precision: str
    device: str

    @property
    def id(self) -> str:
        """The SHA-256 of all attributes, its first 20 hexadecimal digits."""
        # not `asdict`, which copies deeply: the id of every record that is read is checked
        content = _ENCODER.encode(vars(self) | {"case": vars(self.case)})
        return hashlib.sha256(content.encode()).hexdigest()[:20]
