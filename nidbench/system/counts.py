"""Numbers of things as people write them."""

from __future__ import annotations


def count_of(number: int, one: str, several: str = "") -> str:
    """Return a number with what there is so many of: `3 cells`, `1 cell`, `1 cell is`.

    >>> count_of(3, "cell"), count_of(1, "cell is", "cells are")
    ('3 cells', '1 cell is')

    Args:
        number: how many.
        one: what follows 1.
        several: what follows any other number; empty for `one` with an s.
    """
    return f"{number} {one if number == 1 else several or one + 's'}"
