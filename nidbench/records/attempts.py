"""Files beside a record: each attempt at a cell has its own, so that one is whole until the next one is."""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import ResultsError

#: Files of arrays that a cell may have beside its record.
ARRAYS = ("arrays.npz", "kept.npz")

#: What `zipfile` and NumPy raise for files of arrays that are damaged or made up. NumPy reads an array's header as
#: Python, and allocates what that says.
ARRAYS_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    TokenError,
    SyntaxError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
)

#: Files of a cell beside its record: those of the first attempt have plain names, those of the second `arrays.2.npz`.
_BESIDE = re.compile(r"(?:arrays|kept|log)(?:\.([0-9]{1,9}))?\.(?:npz|json)")


def file_name(name: str, attempt: int) -> str:
    """Return how a file beside a record is called: `arrays.npz` of the first attempt, `arrays.2.npz` of the second.

    Args:
        name: `log.json` or one of `ARRAYS`.
        attempt: that of the record.
    """
    stem, _, ending = name.partition(".")
    return name if attempt == 1 else f"{stem}.{attempt}.{ending}"


def attempt_of(path: Path) -> int:
    """Return which attempt at a cell a file is of; 0 for what is of none."""
    match = _BESIDE.fullmatch(path.name)
    return 0 if match is None else int(match[1] or 1)


def forget_others(folder: Path, attempt: int) -> None:
    """Remove the files of a cell's other attempts."""
    for path in folder.iterdir():
        if attempt_of(path) not in (0, attempt):
            path.unlink(missing_ok=True)


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays by name as the content of their file."""
    content = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(content, **named)
    return content.getvalue()


def unpacked(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name.

    Raises:
        ResultsError: where it is missing or damaged.
    """
    try:
        # not np.load(path): it leaves damaged files open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except ARRAYS_DAMAGE as error:
        raise ResultsError(f"{path} cannot be read ({error}): delete its folder and rerun the sweep") from error
