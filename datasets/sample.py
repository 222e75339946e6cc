"""Two small images that ship inside scikit-image: an experiment that needs no download."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import ClassVar

import numpy as np

from nidbench.contract import DatasetInfo, Image
from nidbench.errors import DataError, UnknownNameError, lacking
from nidbench.files.remote import RemoteFile
from nidbench.images import read_image

SIDE = 96  #: pixels a side

#: name -> first row and column of the crop, in the image at half its size: faces, edges, cloth and background
CORNERS = {"camera": (24, 76), "astronaut": (8, 62)}


class Sample:
    """One gray and one colour image, 96x96, downscaled twofold so that they are sharp to the pixel."""

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Sample",
        kernels="sample",
        noises=("gaussian:0.05",),
        source="scikit-image, skimage.data.camera and skimage.data.astronaut",
        licence="camera: CC0; astronaut: public domain (NASA)",
    )

    def files(self) -> Sequence[RemoteFile]:
        """Return no file: the images come with scikit-image."""
        return []

    def names(self) -> Sequence[str]:
        """Return the gray image's name, then the colour image's."""
        return list(CORNERS)

    def load(self, name: str) -> Image:
        """Return an image, Shape (1 or 3, 96, 96), float64 in [0, 1].

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where the installed scikit-image lacks the file.
        """
        if name not in CORNERS:
            raise UnknownNameError(lacking("sample", "image", name, CORNERS))
        # not through skimage.data, whose functions may download
        shipped = files("skimage") / "data" / f"{name}.png"
        if not shipped.is_file():
            raise DataError(
                f"sample: scikit-image does not ship {shipped}; install scikit-image 0.24 or later from PyPI"
            )
        with as_file(shipped) as path:
            levels = np.rint(read_image(path) * 255)
        top, left = (2 * corner for corner in CORNERS[name])
        levels = levels[:, top : top + 2 * SIDE, left : left + 2 * SIDE]
        blocks = levels.reshape(-1, SIDE, 2, SIDE, 2)  # (C, 96, 2, 96, 2)
        return np.asarray(blocks.sum((2, 4)) / (4 * 255))  # sums of integers: the same bits on every machine
