"""Imports DeepInverse when it is needed, or says in words why that cannot be."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from nidbench.errors import NidbenchError

#: Releases whose constructors and defaults are known here; others may mean something else by the same settings.
SUPPORTED = (0, 5)

INSTALL = 'pip install "nidbench[deepinv]"'

#: Operators that torchvision declares in its compiled part and describes in its Python part.
_COMPILED = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def release() -> str:
    """Return the version of DeepInverse that is installed, such as `0.5.0`, without importing it.

    Raises:
        NidbenchError: where there is none, or one of another series than 0.5.
    """
    try:
        found = version("deepinv")
    except PackageNotFoundError:
        raise NidbenchError(f"deepinv, the package DeepInverse, is missing: {INSTALL}") from None
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if numbers != SUPPORTED:
        series = ".".join(map(str, SUPPORTED))
        following = f"{SUPPORTED[0]}.{SUPPORTED[1] + 1}"
        raise NidbenchError(
            f"deepinv {found} is installed, nidbench knows {series}: its settings may mean something else, install "
            f'that one with pip install "deepinv>={series},<{following}"'
        )
    return found


@cache
def load() -> Any:
    """Return the module `deepinv`, which takes seconds to import.

    Raises:
        NidbenchError: where it is missing, of another version, or cannot be imported beside this PyTorch.
    """
    release()
    try:
        _load_torchvision()
        import deepinv
    except (ImportError, RuntimeError, OSError) as error:
        raise NidbenchError(
            f"deepinv cannot be imported beside torch {torch.__version__} ({error}): install torchvision from where "
            "torch came from, see docs/how-to/deepinv.md"
        ) from error
    return deepinv


def _load_torchvision() -> None:
    """Import torchvision, which DeepInverse imports, also where its compiled part is for another build of PyTorch.

    The wheels of the package index are built with CUDA. Beside a PyTorch for the CPU their compiled part does not load,
    and the import then fails on operators that only that part declares. DeepInverse uses none of them: declaring them
    lets the Python part load, and whoever calls them learns that there is no implementation.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in _COMPILED:
            torch.library.define(f"torchvision::{name}", _SCHEMA)
        import torchvision  # noqa: F401
