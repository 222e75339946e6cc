"""Kernels by formula, of any size: `gaussian:SIGMA`, `disk:RADIUS`, `motion:LENGTH:ANGLE`; nothing is fetched.

Every weight is the exact integral of the continuous kernel over its pixel, sides are odd, and the origin is the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nidbench.contract import Kernel, KernelSetInfo, normalised
from nidbench.errors import InputError
from nidbench.files.remote import RemoteFile

#: Standard deviations that a Gaussian reaches to every side: 6e-5 of a line's weight lie beyond.
REACH = 4

#: Largest standard deviation, radius and length in pixels.
MOST_SIGMA, MOST_RADIUS, MOST_LENGTH = 100.0, 300.0, 600.0

_HERE = "MIT, as nidbench"


def _numbers(kernel: str, text: str, form: str, limits: Sequence[tuple[float, float]]) -> list[float]:
    """Return the numbers of a kernel's name.

    Raises:
        InputError: for another count of numbers, or one outside its limits.
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != len(limits):
        raise InputError(f"kernel {kernel}:{text}: write {kernel}:{form} with numbers of pixels and degrees")
    for name, number, (low, high) in zip(form.split(":"), numbers, limits, strict=True):
        if not low <= number <= high:
            raise InputError(f"kernel {kernel}:{text}: {name} is {number:g}, give {low:g} to {high:g}")
    return numbers


class _Formula:
    """What kernels by formula share: none has a fixed list of names."""

    def files(self) -> Sequence[RemoteFile]:
        """Return no file: kernels are computed."""
        return []

    def names(self) -> Sequence[str]:
        """Return no name: any numbers make one."""
        return []


class Gaussian(_Formula):
    """`gaussian:SIGMA`: a Gaussian of so many pixels standard deviation, out to 4 of them."""

    formula: ClassVar[str] = "SIGMA"
    info: ClassVar[KernelSetInfo] = KernelSetInfo("Gaussian", source="formula", licence=_HERE)

    def load(self, name: str) -> Kernel:
        """Return the kernel of a standard deviation in pixels, 0.1 to 100: Shape (n, n), n odd, sum 1.

        Raises:
            InputError: for a name that is no such number.
        """
        (sigma,) = _numbers("gaussian", name, self.formula, [(0.1, MOST_SIGMA)])
        radius = max(1, math.ceil(REACH * sigma - 0.5))
        edges = (np.arange(-radius, radius + 2) - 0.5) / sigma
        line = np.diff(ndtr(edges))
        return normalised(np.outer(line, line))


class Disk(_Formula):
    """`disk:RADIUS`: a uniform disk, as an aperture makes of a point out of focus."""

    formula: ClassVar[str] = "RADIUS"
    info: ClassVar[KernelSetInfo] = KernelSetInfo("Disk", source="formula", licence=_HERE)

    def load(self, name: str) -> Kernel:
        """Return the kernel of a radius in pixels, 0.5 to 300: Shape (n, n), n odd, sum 1.

        Raises:
            InputError: for a name that is no such number.
        """
        (radius,) = _numbers("disk", name, self.formula, [(0.5, MOST_RADIUS)])
        reach = max(1, math.ceil(radius - 0.5))
        corners = np.arange(-reach, reach + 2) - 0.5
        signs = np.sign(corners)
        area = np.outer(signs, signs) * _quarter(np.abs(corners), radius)
        return normalised(np.diff(np.diff(area, axis=0), axis=1).clip(0, None))


def _quarter(sides: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Return the area of a disk about the origin within [0, x] x [0, y] for all pairs of sides, Shape (n, n)."""
    x, y = np.meshgrid(sides.clip(0, radius), sides.clip(0, radius), indexing="ij")

    def under(t: NDArray[np.float64]) -> NDArray[np.float64]:
        segment, sector = t * np.sqrt(radius**2 - t**2), radius**2 * np.arcsin(t / radius)
        return np.asarray((segment + sector) / 2)

    meets = np.sqrt(radius**2 - y**2)
    area: NDArray[np.float64] = np.where(x <= meets, x * y, y * meets + under(x) - under(meets))
    return area


class Motion(_Formula):
    """`motion:LENGTH:ANGLE`: a straight path at constant speed, its angle counter-clockwise from the right."""

    formula: ClassVar[str] = "LENGTH:ANGLE"
    info: ClassVar[KernelSetInfo] = KernelSetInfo("Motion", source="formula", licence=_HERE)

    def load(self, name: str) -> Kernel:
        """Return the kernel of a length in pixels, 1 to 600, and an angle in degrees: odd sides, sum 1.

        A weight is the length of the path within its pixel.

        Raises:
            InputError: for a name that is not two such numbers.
        """
        length, angle = _numbers("motion", name, self.formula, [(1, MOST_LENGTH), (-360, 360)])
        right, up = length * math.cos(math.radians(angle)) / 2, length * math.sin(math.radians(angle)) / 2
        rows, columns = (math.ceil(round(abs(half) - 0.5, 9)) for half in (up, right))
        rows, columns = max(0, rows), max(0, columns)
        cuts = [*_crossings(right, columns), *_crossings(up, rows), -1.0, 1.0]
        times = np.unique(np.clip(cuts, -1, 1))
        middles, weights = (times[1:] + times[:-1]) / 2, np.diff(times)
        kernel = np.zeros((2 * rows + 1, 2 * columns + 1))
        places = np.rint(-middles * up).astype(int) + rows, np.rint(middles * right).astype(int) + columns
        np.add.at(kernel, (places[0].clip(0, 2 * rows), places[1].clip(0, 2 * columns)), weights)
        return normalised(kernel)


def _crossings(half: float, reach: int) -> NDArray[np.float64]:
    """Return the times, -1 to 1, at which a path from -half to half crosses the borders of pixels."""
    borders = np.arange(-reach, reach + 2) - 0.5
    return np.asarray(borders / half) if abs(half) > 1e-9 else np.zeros(0)
