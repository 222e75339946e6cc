"""The paper's Fig. 5: variance maps of the network's layers, and of the channels of one.

What `ours` keeps as layer n is the input of its n-th convolution, before the dropout of that input. Layer 01 is thus
the input of the network: the variance of the seeds alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError, ResultsError

from .canvas import Canvas
from .view import Drawn, View

#: The layer whose channels the paper shows, of 18.
LAYER = 17

_COLUMNS = 9


def layers(view: View) -> Drawn:
    """Draw the variance of the neurons: each layer's mean over its channels, then single channels of one layer."""
    kept = view.kept("layers", lambda names: any(name.startswith("layer ") for name in names))
    label, arrays = next(iter(kept.items()))
    layer_maps = {name: _maps(array) for name, array in sorted(arrays.items()) if name.startswith("layer ")}
    number = view.choice.layer or min(LAYER, len(layer_maps))
    if not 1 <= number <= len(layer_maps):
        raise InputError(f"layer {number}: {label} kept {len(layer_maps)} layers, give 1 to {len(layer_maps)}")
    chosen = list(layer_maps.values())[number - 1][:_COLUMNS]
    columns = min(_COLUMNS, max(len(layer_maps), len(chosen)))
    rows = -(-len(layer_maps) // columns)
    heading = (
        f"Variance of the neurons of {label}: layers (mean over channels), then channels of layer {number}\n"
        f"(layer n of ours is the input of convolution n, so layer 01 is the seeds)\n{view.key}"
    )
    canvas = Canvas(rows + 1, columns, next(iter(layer_maps.values())).shape, heading, size=1.25)
    for place, (name, maps) in enumerate(layer_maps.items()):
        canvas.relative(*divmod(place, columns), maps.mean(axis=0), name)
    for place, values in enumerate(chosen):
        canvas.relative(rows, place, values, f"L{number} channel {place + 1}")
    canvas.relative_bar("variance over the number\nin the panel's title")
    lines = [
        f"{label} {name}: variance {maps.mean(dtype=np.float64):.3e} on average, Shape {maps.shape}"
        for name, maps in layer_maps.items()
    ]
    return Drawn(canvas.figure, view.key, lines)


def _maps(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return a layer's array as maps, Shape (C, H, W)."""
    if array.ndim not in (2, 3):
        raise ResultsError(f"a layer of shape {array.shape} was kept: the method must keep (C, H, W)")
    return array.astype(np.float32).reshape(-1, *array.shape[-2:])
