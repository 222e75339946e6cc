"""Reads TOML files that people write, and refuses those that are not with a message that says why."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from nidbench.errors import InputError

#: Digits of the longest number: more are a slip, and Python refuses to print very long ones.
_DIGITS = 18

#: A number with a decimal comma as a value.
_COMMA = re.compile(r"^\s*[\w.-]+\s*=\s*(-?\d+),(\d+)\s*(?:#.*)?$", re.MULTILINE)

#: Largest size of a file that a person may have written.
_BYTES = 10_000_000


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        InputError: where it cannot be read, is no TOML in UTF-8, is nested too deeply, or has numbers beyond 18 digits.
    """
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise InputError(f"cannot read {path}: it is a pipe or a device, not a file")
        if path.exists() and path.stat().st_size > _BYTES:
            raise InputError(f"cannot read {path}: it has more than {_BYTES} bytes: give a smaller file")
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(f"cannot read {path}: it is nested too deeply") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"cannot read {path}: it is not in UTF-8 ({error.reason}): save it in that encoding"
        ) from error
    except ValueError as error:  # TOMLDecodeError is one
        comma = _COMMA.search(path.read_bytes().decode("utf-8-sig"))
        remedy = f": write {comma[1]}.{comma[2]}, with a point, for {comma[1]},{comma[2]}" if comma else ""
        raise InputError(f"cannot read {path}: {_in_words(str(error))}{remedy}") from error
    _check_numbers(path, content)
    return content


def _in_words(reason: str) -> str:
    """Return why a text is no TOML, with what to do where Python's words do not say it."""
    remedies = {
        "Cannot overwrite a value": "a key is given twice: keep one of them",
        "Invalid value": 'text stands in quotes, as in dataset = "sample"',
    }
    said = [f"{reason}: {remedy}" for start, remedy in remedies.items() if reason.startswith(start)]
    return said[0] if said else reason


def _check_numbers(path: Path, value: Any) -> None:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_numbers(path, item)
    elif isinstance(value, int) and abs(value) >= 10**_DIGITS:
        raise InputError(f"{path}: a whole number has more than {_DIGITS} digits: give a smaller one")
