"""Reads array files of NumPy (.npy, .npz) and MATLAB (.mat); where it is not clear which array to read, lists them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .stored import Stored, check_size, native

#: Suffixes of array files.
ARRAY_SUFFIXES = (".mat", ".npy", ".npz")

#: MATLAB's classes of matrices -> NumPy's type; only reading shows whether a matrix is complex.
_TYPES = {"double": "f8", "single": "f4", "logical": "?"}
_TYPES |= {f"{sign}int{8 * size}": f"{sign or 'i'}{size}" for sign in ("", "u") for size in (1, 2, 4, 8)}

#: First bytes of HDF5 files; in those of MATLAB v7.3 they follow 512 bytes of text.
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read(path: Path, names: Sequence[str]) -> Stored:
    """Return the array of a file; of several arrays the one with a known name.

    Args:
        path: the file.
        names: names that the array may have in files with several.

    Raises:
        InputError: where there is no array, where it is not clear which one to read (the message lists them), or where
            the array does not hold real numbers.
    """
    suffix = path.suffix.lower()
    values = _npy(path) if suffix == ".npy" else _npz(path, names) if suffix == ".npz" else _mat(path, names)
    if values.dtype.kind not in "buif":
        raise InputError(f"it holds {values.dtype}, not real numbers")
    return Stored(native(values))


def _npy(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        return _array(file, path.stat().st_size)


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """Return the array of a .npy file; its header is checked before memory is allocated.

    Args:
        file: the file, at its beginning.
        size: number of its bytes.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, kind = header(file)
    if kind.hasobject:
        raise InputError("it holds Python objects, not numbers")
    check_size(shape)
    if math.prod(shape) * kind.itemsize > size - file.tell():
        raise InputError(f"it is cut off: {'x'.join(map(str, shape))} of {kind} are more than its {size} bytes")
    file.seek(0)
    return np.asarray(npy.read_array(file, allow_pickle=False))


def _npz(path: Path, names: Sequence[str]) -> NDArray[Any]:
    from zipfile import ZipFile

    with ZipFile(path) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}

        def load(name: str) -> NDArray[Any]:
            with archive.open(entries[name]) as file:
                return _array(file, entries[name].file_size)

        return _chosen(dict.fromkeys(entries, "array"), names, load)


def _mat(path: Path, names: Sequence[str]) -> NDArray[Any]:
    from scipy.io import loadmat, whosmat

    with path.open("rb") as file:
        head = file.read(520)
    if head.startswith(_HDF5) or head[512:] == _HDF5:
        raise InputError("it is a MATLAB file of version 7.3 (HDF5): save it with save(..., '-v7')")
    held = {name: (shape, kind) for name, shape, kind in whosmat(path)}
    matrices = {name: shape for name, (shape, kind) in held.items() if kind in _TYPES}
    large = {name: shape for name, shape in matrices.items() if math.prod(shape) != 1} or matrices
    described = {name: f"{kind} {'x'.join(map(str, shape))}" for name, (shape, kind) in held.items()}

    def load(name: str) -> NDArray[Any]:
        shape, kind = held[name]
        check_size(shape)
        stored = np.asarray(loadmat(path, variable_names=[name])[name])
        # files store doubles that are whole numbers as integers; they become doubles again, as in MATLAB
        return stored if stored.dtype.kind == "c" else stored.astype(_TYPES[kind])

    if not large:
        raise InputError(f"it holds no real matrix ({_listed(described)}): save it as one, full and real")
    return _chosen({name: described[name] for name in large}, names, load)


def _chosen(described: Mapping[str, str], names: Sequence[str], load: Callable[[str], NDArray[Any]]) -> NDArray[Any]:
    """Return the only array, or the one with a known name; of several known names only where their arrays are equal."""
    known = [name for name in described if name in names]
    chosen = list(described) if len(described) == 1 else known
    if not chosen:
        raise InputError(
            f"it holds {_listed(described) or 'nothing'}, and which is meant is not clear: name one of them "
            f"{names[0] if names else 'x'}, or save it alone"
        )
    first, *further = map(load, chosen)
    if any(not np.array_equal(first, array) for array in further):
        raise InputError(
            f"it holds {_listed(described)}, of which {', '.join(chosen)} may be meant and differ: save one alone"
        )
    return first


def _listed(described: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({description})" for name, description in described.items())
