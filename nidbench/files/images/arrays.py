"""Array files, of NumPy (.npy, .npz) and MATLAB (.mat): the one array that is meant, or a list of those there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError

from .stored import Stored, check_size, native

#: How the names of files end that hold arrays.
ARRAY_SUFFIXES = (".mat", ".npy", ".npz")

#: MATLAB's classes of matrices -> NumPy's type; whether a matrix is complex shows when it is read.
_TYPES = {"double": "f8", "single": "f4", "logical": "?"}
_TYPES |= {f"{sign}int{8 * size}": f"{sign or 'i'}{size}" for sign in ("", "u") for size in (1, 2, 4, 8)}

#: What HDF5 files begin with, as those of MATLAB v7.3 do after 512 bytes of text.
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read(path: Path, names: Sequence[str]) -> Stored:
    """Return the array of a file; where there are several, that of one of the names.

    Args:
        path: the file.
        names: what the array may be called in files with several.

    Raises:
        InputError: where there is none, or which one is meant is not clear, listing them; for arrays of other things
            than real numbers.
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
    """Return the array of a .npy file of so many bytes, whose header is looked at before memory is taken for it."""
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

        return _meant(dict.fromkeys(entries, "array"), names, load)


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
        # as MATLAB has it: files store doubles that are whole numbers as integers
        return stored if stored.dtype.kind == "c" else stored.astype(_TYPES[kind])

    if not large:
        raise InputError(f"it holds no real matrix ({_listed(described)}): save it as one, full and real")
    return _meant({name: described[name] for name in large}, names, load)


def _meant(described: Mapping[str, str], names: Sequence[str], load: Callable[[str], NDArray[Any]]) -> NDArray[Any]:
    """Return the only array, or that of a known name; of several known names only where they hold the same."""
    known = [name for name in described if name in names]
    chosen = list(described) if len(described) == 1 else known
    if not chosen:
        raise InputError(
            f"it holds {_listed(described) or 'nothing'}, and which is meant is not clear: name one of them "
            f"{names[0] if names else 'x'}, or save it alone"
        )
    first, *others = map(load, chosen)
    if any(not np.array_equal(first, other) for other in others):
        raise InputError(
            f"it holds {_listed(described)}, of which {', '.join(chosen)} may be meant and differ: save one alone"
        )
    return first


def _listed(described: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({what})" for name, what in described.items())
