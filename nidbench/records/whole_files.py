"""Files that are whole or not there, and what the system refuses in words; hashes of arrays."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import ResultsError


@contextmanager
def results_errors(root: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        remedies = {
            errno.ENOSPC: "the disk is full: free some space, then run the same command again; finished cells are kept",
            errno.EDQUOT: "the quota is spent: free some space, then run the same command again; finished cells stay",
            errno.EROFS: "it is read-only: give another --output",
            errno.EACCES: "permission is denied: give another --output, or change the folder's permissions",
            errno.ENOTDIR: "a file is in the way: give another --output",
            errno.EEXIST: "a file is in the way: give another --output",
        }
        remedy = remedies.get(error.errno or 0, f"{error.strerror or error}: give another --output")
        raise ResultsError(f"cannot write to {root}: {remedy}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is, even after a power cut, either whole or as before."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def array_hash(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and values."""
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()
