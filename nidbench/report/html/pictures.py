"""The pictures of a case: what was blurred, what methods made of it and what it should have been, 8 bit as scored.

A picture of a restoration has the very pixels that its score is computed from, so that nothing is lost between a number
and what one sees; a truth is scored against as it is, and shown rounded. Errors are signed, restoration minus truth,
the mean over channels, on one scale for all methods of a case; standard deviations are those that a method gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from nidbench.contract.truth import Truth
from nidbench.errors import NidbenchError
from nidbench.physics.arrays import Image, Kernel, eight_bit_levels
from nidbench.physics.case_key import CaseKey
from nidbench.physics.problem import Problem
from nidbench.records import Planned, Record, Store
from nidbench.report.levels import LEVELS, channel_mean, colour_table, error_limit, signed_levels
from nidbench.report.shown_cells import choose, restorations
from nidbench.rescoring.measurements import Measurements
from nidbench.scoring.protocols import DEFAULT, encoded, to_8_bit
from nidbench.scoring.scorer import closest, compare, extended, looked_at


@dataclass(frozen=True)
class Panel:
    """One image of a case, and what is shown in its place on demand.

    Attributes:
        name: `input`, `truth`, or the method as `shown_cells.choose` names it.
        record: of the method; None for input and truth.
        pictures: `image`, `error` and `deviation`, those that there are, as PNG files.
    """

    name: str
    record: Record | None
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Shown:
    """What is shown of a case.

    Attributes:
        panels: in their order.
        shape: of the images, (h, w); None where there are none.
        scales: `error` and `deviation` -> the value at the end of the colours, in levels of 255.
        kernel: a PNG file; None where it is not known.
        lacking: methods without a restoration, each with its reason.
        note: why something is not shown; empty where all is.
    """

    panels: Sequence[Panel]
    shape: tuple[int, int] | None
    scales: Mapping[str, float]
    kernel: bytes | None
    lacking: Sequence[str]
    note: str = ""


def shown(store: Store, key: CaseKey, cells: Sequence[Planned], measurements: Measurements) -> Shown:
    """Return what is shown of a case.

    Where its measurement cannot be made again, because its data are gone, stored restorations stand alone.

    Args:
        store: the results folder.
        key: the case.
        cells: the cells of it.
        measurements: those of the sweep.
    """
    try:
        case = measurements.named(key)
        reason = "" if case else "the data are others than when it was computed, or no longer there"
        chosen, lacking = choose(store, cells, measurements.today if case else None)
        problem = None if case is None else case.problem()
        truth = None if case is None or problem is None else closest(problem, case.truths())
    except NidbenchError as error:  # the data are gone, or it was asked for in another version
        reason, problem, truth = str(error), None, None
        chosen, lacking = choose(store, cells)
    arrays = restorations(store, chosen, lacking)
    if problem is None:
        return _alone(chosen, arrays, lacking, f"Restorations only, not cropped: {reason}.")
    try:
        return _compared(problem, truth, chosen, arrays, lacking)
    except NidbenchError as error:  # too few pixels to compare
        return _alone(chosen, arrays, lacking, f"Restorations only, not cropped: {error}.")


def _alone(
    chosen: Mapping[str, Record],
    arrays: Mapping[str, Mapping[str, NDArray[np.float32]]],
    lacking: Sequence[str],
    note: str,
) -> Shown:
    panels = [Panel(name, chosen[name], {"image": png(levels(restored["image"]))}) for name, restored in arrays.items()]
    shape = next((restored["image"].shape[1:] for restored in arrays.values()), None)
    return Shown(panels, None if shape is None else (shape[0], shape[1]), {}, None, lacking, note)


def _compared(
    problem: Problem,
    truth: Truth | None,
    chosen: Mapping[str, Record],
    arrays: Mapping[str, Mapping[str, NDArray[np.float32]]],
    lacking: Sequence[str],
) -> Shown:
    place = looked_at(problem, truth)
    images = {"input": DEFAULT.crop(extended(problem), problem, place)}
    deviations: dict[str, NDArray[np.float64]] = {}
    for name, restored in arrays.items():
        images[name] = encoded(DEFAULT.crop(restored["image"], problem, place), problem, place)
        spread = compare(restored["image"], restored.get("variance"), problem, place).variance
        if spread is not None:
            deviations[name] = LEVELS * np.sqrt(channel_mean(spread))
    eight_bit = {name: to_8_bit(image) for name, image in images.items()}
    errors: dict[str, NDArray[np.float64]] = {}
    if truth is not None:
        reference = DEFAULT.reference(problem, truth).astype(np.float64)
        errors = {name: signed_levels(image - reference) for name, image in eight_bit.items()}
        eight_bit["truth"] = reference
    scales = _scales(errors, deviations)
    panels = [
        Panel(name, chosen.get(name), _pictures(image, errors.get(name), deviations.get(name), scales))
        for name, image in eight_bit.items()
    ]
    height, width = images["input"].shape[1:]
    return Shown(panels, (height, width), scales, _kernel(problem.kernel), lacking)


def _scales(
    errors: Mapping[str, NDArray[np.float64]], deviations: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    """Return `Shown.scales` of the maps, Shape (h, w), of each panel; the errors of the input are among them."""
    scales = {}
    if errors:
        # the methods set the scale: the larger errors of the input saturate rather than pale all others
        of_methods = [values for name, values in errors.items() if name != "input"]
        scales["error"] = error_limit(of_methods or list(errors.values()))
    if deviations:
        scales["deviation"] = max(0.01, float(np.percentile(list(deviations.values()), 99.5)))
    return scales


def _pictures(
    image: Image, error: NDArray[np.float64] | None, deviation: NDArray[np.float64] | None, scales: Mapping[str, float]
) -> dict[str, bytes]:
    """Return `Panel.pictures` of an image, Shape (C, h, w), with its error and deviation, Shape (h, w), if any."""
    pictures = {"image": png(levels(image))}
    if error is not None:
        pictures["error"] = coloured(error / (2 * scales["error"]) + 0.5, "RdBu_r")
    if deviation is not None:
        pictures["deviation"] = coloured(deviation / scales["deviation"], "magma")
    return pictures


def _kernel(kernel: Kernel) -> bytes:
    return png(levels(kernel[None] / max(float(kernel.max()), 1e-30)))


def levels(image: Image) -> NDArray[np.uint8]:
    """Return values on [0, 1], any Shape, as levels of 255: no number is black, infinity white."""
    return eight_bit_levels(np.nan_to_num(image)).astype(np.uint8)


def png(image: NDArray[np.uint8]) -> bytes:
    """Return an image, Shape (C, H, W), as a PNG file of the same pixels; of other than 1 or 3 channels their mean."""
    if len(image) not in (1, 3):
        image = np.rint(image.mean(axis=0, keepdims=True)).astype(np.uint8)
    return _written(Pillow.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))))


def coloured(values: NDArray[Any], colours: str) -> bytes:
    """Return a map, Shape (h, w), 0 to 1 from one end of the colours to the other, as a PNG file of 256 of them."""
    picture = Pillow.fromarray(levels(values), mode="L")
    picture.putpalette(_palette(colours))
    return _written(picture)


@cache
def _palette(colours: str) -> bytes:
    return colour_table(colours).tobytes()


def _written(picture: Pillow.Image) -> bytes:
    content = BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()
