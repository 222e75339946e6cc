"""Sizes as people write them."""

from __future__ import annotations

import re

from nidbench.errors import InputError


def read_size(option: str, text: str) -> int:
    """Return the bytes that a size such as `8G`, `1.5GiB` or `500M` stands for; units are powers of 1024.

    Args:
        option: name of the option that it was given to, for messages.
        text: a number and a unit.

    Raises:
        InputError: where the text is no such size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise InputError(f"{option} {text!r}: give a number and a unit, such as 8G or 500M")
    return int(float(match[1]) * 1024 ** (1 + "KMGT".index(match[2].upper())))


def size_text(number: int) -> str:
    """Return a number of bytes as `read_size` reads it, rounded: `3.2G`."""
    for power, unit in ((4, "T"), (3, "G"), (2, "M")):
        if number >= 1024**power:
            return f"{number / 1024**power:.1f}{unit}"
    return f"{number / 1024:.1f}K"
