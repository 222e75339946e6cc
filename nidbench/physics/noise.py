"""Noise: the specification that a person gives, and what a method knows of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nidbench.errors import InputError


@dataclass(frozen=True)
class Noise:
    """What a method knows of the noise.

    Attributes:
        kind: `gaussian` or `poisson`.
        level: standard deviation on [0, 1] (gaussian) or photon count of intensity 1 (poisson); None where the level
            is not declared. A declared level may be wrong on purpose, see `declared_noise`.
    """

    kind: str
    level: float | None


_RANGES = {"gaussian": (0.0, 1.0), "poisson": (1.0, 1e9), "bsnr": (0.0, 120.0)}
_KNOWN = "gaussian:0.05 (standard deviation on [0, 1]), poisson:128 (peak count)"
_EXAMPLES = f"{_KNOWN} or bsnr:40 (dB)"
_OF_A_MEASUREMENT = f"{_KNOWN}, or gaussian or poisson alone where the level is not known"


@dataclass(frozen=True)
class NoiseSpec:
    """The noise that a person asks for.

    Attributes:
        kind: `gaussian`, `poisson` or `bsnr`.
        value: standard deviation on [0, 1]; photon count of intensity 1; or blurred-signal-to-noise ratio in dB.
    """

    kind: str
    value: float

    @classmethod
    def parse(cls, text: str, examples: str = _EXAMPLES) -> NoiseSpec:
        """Read `kind:value`.

        Args:
            text: what was given.
            examples: what errors offer in its place.

        Raises:
            InputError: for another form, an unknown kind or a value out of range.
        """
        kind, _, value = text.partition(":")
        if kind not in _RANGES:
            raise InputError(f"noise {text!r} is of no known kind: use {examples}")
        low, high = _RANGES[kind]
        try:
            number = float(value)
        except ValueError:
            raise InputError(f"noise {text!r} has no number: use {examples}") from None
        if not (math.isfinite(number) and low <= number <= high):
            hint = " (a percentage? 5 % is gaussian:0.05)" if kind == "gaussian" and number > 1 else ""
            raise InputError(f"noise {text!r}: the value must lie in [{low:g}, {high:g}]{hint}")
        return cls(kind, number + 0.0)  # -0 is 0, also by its name

    def __str__(self) -> str:
        return f"{self.kind}:{self.value!r}".removesuffix(".0")


def noise_of_measurement(text: str) -> Noise:
    """Return what a person states of the noise of a measurement that is there: `kind:value`, or a kind alone.

    Raises:
        InputError: for another kind than Gaussian and Poisson, or a level that breaks a rule.
    """
    if text in ("gaussian", "poisson"):
        return Noise(text, None)
    spec = NoiseSpec.parse(text, _OF_A_MEASUREMENT)
    if spec.kind == "bsnr":
        raise InputError(f"noise {text!r} depends on the sharp image: use {_OF_A_MEASUREMENT}")
    return Noise(spec.kind, spec.value)


def declared_noise(noise: Noise, declared: str) -> Noise:
    """Return the noise that is declared to a method, of the noise that a measurement has.

    Args:
        noise: the true noise.
        declared: `known` (the true level), `estimated` (no level, the method estimates it) or a factor such as `x1.2`
            by which the declared standard deviation is wrong. A Poisson peak is divided by the factor's square.

    Raises:
        InputError: for another word or factor, or a factor on a level that nobody knows.
    """
    factor = declared_factor(declared)
    if noise.level is None and declared not in ("known", "estimated"):
        raise InputError(
            f"declared noise level {declared!r}: nobody knows the true level of this measurement; leave it out"
        )
    if noise.level is None or factor is None:
        return Noise(noise.kind, None)
    return Noise(noise.kind, noise.level / factor**2 if noise.kind == "poisson" else noise.level * factor)


def declared_factor(declared: str) -> float | None:
    """Return the factor by which a declared standard deviation is wrong: 1 for `known`, None for `estimated`.

    Raises:
        InputError: for anything but `known`, `estimated` or `xFACTOR`.
    """
    if declared == "estimated":
        return None
    if declared == "known":
        return 1.0
    try:
        factor = float(declared.removeprefix("x")) if declared.startswith("x") else math.nan
    except ValueError:
        factor = math.nan
    if not 0 < factor < 100:
        raise InputError(f"declared noise level {declared!r}: use known, estimated, or a factor such as x1.2")
    return factor
