"""The camera response g in y = g(k * x) + n."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from nidbench.errors import InputError

from .arrays import Image as Image

_Array = TypeVar("_Array", bound=Any)
_RESPONSE = re.compile(r"([a-z]+)(?::([\d.]+))?(?::(\d+)bit)?")
_RESPONSES = "identity, saturation or gamma:2.2, with :8bit after it where the camera rounds; saturation:1.5 has a gain"


@dataclass(frozen=True)
class Response:
    """The camera response g in y = g(k * x) + n, and how the camera stores y.

    Attributes:
        kind: `identity`, `gamma` (g(z) = z^(1/gamma), paper section 4.3.1) or `saturation` (g clips to [0, 1]).
        gamma: inverse of the exponent; 1 unless kind is `gamma`.
        gain: how many times as bright as its image a scene is, see `scene`; 1 unless kind is `saturation`.
        bits: number of bits to which y is rounded, after the noise and a clip to [0, 1]; None where it is neither
            clipped nor rounded. This is not included in g.
    """

    kind: str = "identity"
    gamma: float = 1.0
    gain: float = 1.0
    bits: int | None = None

    @classmethod
    def parse(cls, text: str) -> Response:
        """Read `identity`, `saturation`, `saturation:1.5` (with a gain) or `gamma:2.2`, and `:8bit` after any of them.

        Raises:
            InputError: for anything else.
        """
        match = _RESPONSE.fullmatch(text)
        if match is None:
            raise InputError(f"response {text!r}: use {_RESPONSES}")
        kind, value, bits = match.groups()
        gamma, gain = (value or 0, 1) if kind == "gamma" else (1, value or 1)
        try:
            return cls(kind, float(gamma), float(gain), int(bits) if bits else None)
        except ValueError as error:
            raise InputError(f"response {text!r} ({error}): use {_RESPONSES}") from error

    def __str__(self) -> str:
        value = f":{self.gamma!r}" if self.kind == "gamma" else f":{self.gain!r}" if self.gain != 1 else ""
        return self.kind + value + (f":{self.bits}bit" if self.bits else "")

    def __post_init__(self) -> None:
        if self.kind not in ("identity", "gamma", "saturation"):
            raise InputError(f"unknown response {self.kind!r}: use identity, gamma or saturation")
        if not 0 < self.gamma < 10:
            raise InputError(f"gamma {self.gamma} is not in (0, 10): typical cameras have 2.2")
        if not 1 <= self.gain <= (2 if self.kind == "saturation" else 1):
            raise InputError(f"gain {self.gain}: give 1 to 2 for saturation, 1 for any other response")
        if self.bits is not None and not 1 <= self.bits <= 16:
            raise InputError(f"{self.bits} bit are not in [1, 16]: typical files have 8")

    def scene(self, image: Image) -> Image:
        """Return the linear scene x of an image that this camera shows, Shape (C, H, W), so that g(x) is that image.

        It is image^gamma for `gamma`. For `saturation` it is gain * image: g(x) is then the brightened image, clipped.
        """
        if self.kind == "gamma":
            return np.asarray(image.clip(0, None) ** self.gamma)
        return image if self.gain == 1 else np.asarray(self.gain * image)

    def stored(self, y: Image) -> Image:
        """Return y, noise included, as the camera stores it: clipped and rounded to `bits`, or as it is."""
        if self.bits is None:
            return y
        largest = 2**self.bits - 1
        return np.asarray(np.rint(y.clip(0, 1) * largest) / largest)

    def apply(self, z: _Array, floor: float = 0.0) -> _Array:
        """Return g(z) of a NumPy array or torch tensor of any shape; values below `floor` count as `floor`."""
        shown: _Array = z
        if self.kind == "gamma":
            shown = z.clip(floor, None) ** (1 / self.gamma)
        elif self.kind == "saturation":
            shown = z.clip(0.0, 1.0)
        return shown


#: The response of a camera that only adds noise.
IDENTITY = Response()
