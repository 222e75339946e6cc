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
        gamma: the exponent's inverse; 1 unless kind is `gamma`.
        gain: how many times as bright as its image a scene is, see `scene`; 1 unless kind is `saturation`.
        bits: after the noise, y is clipped to [0, 1] and rounded to so many bits; None where it is not. No part of g.
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
        """Return the linear x, Shape (C, H, W), of an image in [0, 1] as this camera shows it: g(x) is that image.

        image^gamma for `gamma`; gain * image for `saturation`, whose g(x) is the image so much brighter, clipped.
        """
        if self.kind == "gamma":
            return np.asarray(image.clip(0, None) ** self.gamma)
        return image if self.gain == 1 else np.asarray(self.gain * image)

    def stored(self, y: Image) -> Image:
        """Return a measurement with its noise as the camera stores it, see `bits`."""
        if self.bits is None:
            return y
        top = 2**self.bits - 1
        return np.asarray(np.rint(y.clip(0, 1) * top) / top)

    def apply(self, z: _Array, floor: float = 0.0) -> _Array:
        """Return g(z) of a NumPy array or torch tensor of any shape; values below `floor` count as `floor`."""
        seen: _Array = z
        if self.kind == "gamma":
            seen = z.clip(floor, None) ** (1 / self.gamma)
        elif self.kind == "saturation":
            seen = z.clip(0.0, 1.0)
        return seen


#: The response of a camera that only adds noise.
IDENTITY = Response()
