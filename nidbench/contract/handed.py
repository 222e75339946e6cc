"""What methods hand over, made plain: numbers of NumPy become Python's, arrays own float32; the rest is refused.

`Run` and `check_restored` call this in the method's own stack. The parent calls it again on all that it hears.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Values in `Restored.details`, those within lists and mappings counted.
MOST_DETAILS = 10_000

#: Lists and mappings within one another.
DEEPEST = 20

#: Characters of a text that a method hands over, such as why it stopped, and of a name.
LONGEST_TEXT, LONGEST_NAME = 10_000, 100

#: Counts that every reader of JSON holds exactly.
LARGEST = 2**53

# all control characters but the end of a line and the tabulator: a terminal would obey them
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127)}


def whole(name: str, value: Any) -> int:
    """Return a count, such as NumPy's, as an int.

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
    """Return a text that any file and terminal takes: surrogates and control characters escaped, its middle cut."""
    clean = str.encode(value, "utf-8", "backslashreplace").decode().translate(_CONTROLS)
    if len(clean) <= longest:
        return clean
    return f"{clean[: longest // 2]} [{len(clean) - longest} characters cut] {clean[-(longest // 2) :]}"


def name(value: object) -> str:
    """Return a name under which an array is kept.

    Raises:
        TypeError: where it is no string.
        ValueError: where it is empty, long or holds what a file's name cannot.
    """
    if not isinstance(value, str):
        raise TypeError(f"the name {_shown(value)} is no string: give one such as 'layer 01'")
    if not value or len(value) > LONGEST_NAME or not value.isprintable() or set(value) & set("/\\"):
        raise ValueError(f"cannot keep an array as {_shown(value)}: use another name, such as 'layer 01'")
    return str.encode(value).decode()


def floats(what: str, value: object, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
    """Return an array of floats as float32 in memory of its own.

    Args:
        what: its name in messages.
        value: a NumPy array; of a subclass only the values count.
        shape: which it must have, (C, H, W) of x; None for any.

    Raises:
        TypeError: not a NumPy array of floats, or one with a mask.
        ValueError: another shape.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array: give its values with .filled(...)")
    array = np.asarray(value) if isinstance(value, np.ndarray) else None
    if array is None or array.dtype.kind != "f":
        kind = getattr(value, "dtype", type(value).__name__) if array is None else array.dtype
        raise TypeError(f"{what} is {kind}: return a NumPy array of floats (a tensor: .cpu().numpy())")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{what} has shape {array.shape}, the frame of x is {shape}: pad or crop to it")
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite, and refused as such
        return np.array(array, np.float32, order="C")


def numbers(what: str, value: object) -> NDArray[Any]:
    """Return an array of numbers in memory of its own, as they are but float64 as float32.

    Raises:
        TypeError: not a NumPy array of numbers, or one with a mask.
    """
    array = np.asarray(value) if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray) else None
    if array is None or array.dtype.kind not in "fiub":
        kind = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"{what} is {kind}: keep NumPy arrays of numbers (a tensor: .cpu().numpy())")
    if array.dtype.kind != "f":
        return array.copy()
    narrow = array.dtype.newbyteorder("=") if array.dtype.itemsize <= 4 else np.float32
    with np.errstate(over="ignore"):
        return np.array(array, narrow, order="C")


def details(value: object) -> dict[str, Any]:
    """Return what else a method tells as what JSON knows: None, bool, int, float, str, and lists and dicts of them.

    Raises:
        TypeError: for anything else, saying where it is and what to give in its place.
        ValueError: for whole numbers beyond 64 bit, and for what is too deep or too much.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"details are {_shown(value)}: give a dict, such as {{'loss': 0.1}}")
    found: dict[str, Any] = _plain("details", value, DEEPEST, iter(range(MOST_DETAILS)))
    return found


def _plain(where: str, value: object, depth: int, left: Iterator[int]) -> Any:
    if next(left, None) is None:
        raise ValueError(f"details hold more than {MOST_DETAILS} values: keep arrays with run.keep or in a file")
    if depth < 0:
        raise ValueError(f"{where[:60]}... is more than {DEEPEST} lists and dicts deep, or holds itself: give less")
    if isinstance(value, Mapping):
        return {_key(where, key): _plain(f"{where}[{key!r}]", item, depth - 1, left) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{where}[{index}]", item, depth - 1, left) for index, item in enumerate(value)]
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
        f"{where} is {_shown(value)}, which JSON does not know: give numbers, strings, lists or dicts of them "
        "(a tensor: .item() or .tolist(), a set: sorted(...), a path: str(...))"
    )


def _shown(value: Any) -> str:
    """Return a value where its repr is harmless, or what it is: the repr of a method's own class may do anything."""
    kind = type(value)
    if value is None or kind is bool:
        return str(value)
    if kind is float or (kind is int and abs(value) < 1 << 128):
        return repr(value)
    if kind is str:
        return repr(text(value, 60))
    return f"of type {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
