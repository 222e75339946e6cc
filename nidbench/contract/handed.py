"""Converts values that methods hand over into plain ones, and refuses those that it cannot convert.

Numbers of NumPy become Python's, and arrays are copied to float32. `Run` and `check_restored` call these functions
inside the method's call, so that errors show the method's line. The parent process calls them once more on every
message of a computing process.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Largest number of values in `Restored.details`, including those within lists and mappings.
MOST_DETAILS = 10_000

#: Largest depth of lists and mappings within one another.
DEEPEST = 20

#: Largest number of characters of a text that a method hands over, such as a traceback, and of a name.
LONGEST_TEXT, LONGEST_NAME = 10_000, 100

#: Largest count: every reader of JSON represents counts up to here exactly.
LARGEST = 2**53

# all control characters except newline and tab, because a terminal would obey them
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127)}


def count(name: str, value: Any) -> int:
    """Return a count, which may be one of NumPy's numbers, as an int.

    Raises:
        TypeError: where it is no whole number.
        ValueError: where it is negative or beyond 2^53.
    """
    try:
        number = operator.index(value)
    except TypeError:
        if not isinstance(value, float | np.floating) or not float(value).is_integer():
            raise TypeError(f"{name} is {_shown(value)}: give a whole number, such as 25") from None
        number = int(value)
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{name} is {_shown(number)}: give a whole number from 0 to 2^53")
    return number


def text(value: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text that is safe in files and terminals: surrogates and control characters escaped, its middle cut."""
    clean = str.encode(value, "utf-8", "backslashreplace").decode().translate(_CONTROLS)
    if len(clean) <= longest:
        return clean
    return f"{clean[: longest // 2]} [{len(clean) - longest} characters cut] {clean[-(longest // 2) :]}"


def name(value: object) -> str:
    """Return a valid name for a stored array.

    Raises:
        TypeError: where it is no string.
        ValueError: where it is empty, too long, or has characters that no file name can have.
    """
    if not isinstance(value, str):
        raise TypeError(f"the name {_shown(value)} is no string: give one such as 'layer 01'")
    if not value or len(value) > LONGEST_NAME or not value.isprintable() or set(value) & set("/\\"):
        raise ValueError(f"cannot keep an array as {_shown(value)}: use another name, such as 'layer 01'")
    return str.encode(value).decode()


def floats(label: str, value: object, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
    """Return a copy of an array of floats as float32.

    Args:
        label: its name in messages.
        value: a NumPy array; of a subclass only the values are used.
        shape: the shape that it must have, (C, H, W) of x; None for any.

    Raises:
        TypeError: where it is not a NumPy array of floats, or has a mask.
        ValueError: where it has another shape.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{label} is a masked array: give its values with .filled(...)")
    array = np.asarray(value) if isinstance(value, np.ndarray) else None
    if array is None or array.dtype.kind != "f":
        kind = getattr(value, "dtype", type(value).__name__) if array is None else array.dtype
        raise TypeError(f"{label} is {kind}: return a NumPy array of floats (a tensor: .cpu().numpy())")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{label} has shape {array.shape}, the frame of x is {shape}: pad or crop to it")
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused later as not finite
        return np.array(array, np.float32, order="C")


def numbers(label: str, value: object) -> NDArray[Any]:
    """Return a copy of an array of numbers: float64 as float32, other types as they are.

    Args:
        label: its name in messages.
        value: a NumPy array.

    Raises:
        TypeError: where it is not a NumPy array of numbers, or has a mask.
    """
    array = np.asarray(value) if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray) else None
    if array is None or array.dtype.kind not in "fiub":
        kind = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"{label} is {kind}: keep NumPy arrays of numbers (a tensor: .cpu().numpy())")
    if array.dtype.kind != "f":
        return array.copy()
    narrow = array.dtype.newbyteorder("=") if array.dtype.itemsize <= 4 else np.float32
    with np.errstate(over="ignore"):
        return np.array(array, narrow, order="C")


def details(value: object) -> dict[str, Any]:
    """Return details of a restoration as values that JSON can hold: None, bool, int, float, str, lists and dicts.

    Raises:
        TypeError: for another value; the message says where it is and what to give in its place.
        ValueError: for whole numbers beyond 64 bit, and for details that are too deep or too many.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"details are {_shown(value)}: give a dict, such as {{'loss': 0.1}}")
    plain: dict[str, Any] = _plain("details", value, DEEPEST, iter(range(MOST_DETAILS)))
    return plain


def _plain(where: str, value: object, depth: int, budget: Iterator[int]) -> Any:
    if next(budget, None) is None:
        raise ValueError(f"details hold more than {MOST_DETAILS} values: keep arrays with run.keep or in a file")
    if depth < 0:
        raise ValueError(f"{where[:60]}... is more than {DEEPEST} lists and dicts deep, or holds itself: give less")
    if isinstance(value, Mapping):
        return {_key(where, key): _plain(f"{where}[{key!r}]", item, depth - 1, budget) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{where}[{index}]", item, depth - 1, budget) for index, item in enumerate(value)]
    return _scalar(where, value)


def _key(where: str, key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {_shown(key)}: give strings as keys")
    return text(key, LONGEST_NAME)


def _scalar(where: str, value: object) -> Any:
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int | np.integer):
        if not -(2**63) <= int(value) < 2**63:
            raise ValueError(f"{where} is beyond 64 bit: give it as a string")
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    raise TypeError(
        f"{where} is {_shown(value)}, which JSON cannot hold: give numbers, strings, lists or dicts of them "
        "(a tensor: .item() or .tolist(), a set: sorted(...), a path: str(...))"
    )


def _shown(value: Any) -> str:
    """Return the repr of a plain value, and the type of any other: the repr of a method's class may do anything."""
    kind = type(value)
    if value is None or kind is bool:
        return str(value)
    if kind is float or (kind is int and abs(value) < 1 << 128):
        return repr(value)
    if kind is str:
        return repr(text(value, 60))
    return f"of type {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
