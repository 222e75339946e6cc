"""What the images and the kernels of Lai, Huang, Hu, Ahuja & Yang (CVPR 2016) share: their files."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from nidbench.contract import Kernel
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.images import read_kernel


def listed(dataset: str = "lai") -> list[RemoteFile]:
    """Return the files of `lai` or `lai-real`."""
    return read_manifest(files("nidbench.datasets") / "files.csv", dataset)


def fetched(path: str, dataset: str = "lai") -> Path:
    """Return where one of these files lies, fetched first if need be.

    Raises:
        DataError: where it cannot be fetched.
    """
    return get(next(file for file in listed(dataset) if file.path == path))


def turned_kernel(number: str) -> Kernel:
    """Return kernel `1` to `4` as the authors' images were blurred by it, Shape (kh, kw), sum 1, for true convolution.

    They blur by correlation with the stored pictures, which the blurred images they distribute confirm. The true
    convolution that gives the same is with the pictures turned by 180 degrees.
    """
    stored = read_kernel(fetched(f"kernels/kernel_0{number}.png"))
    return np.ascontiguousarray(stored[::-1, ::-1])
