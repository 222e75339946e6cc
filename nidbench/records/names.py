"""Names that are those of files: of sweeps, and of restorations that somebody submitted."""

from __future__ import annotations

import re

from nidbench.errors import InputError

#: Bytes of a name: file systems take 255, and what is made from it has endings.
_NAME_BYTES = 100


def checked_name(what: str, name: str) -> str:
    """Return the name of a sweep, or of another thing that files are called after, if it is one that files can have.

    Args:
        what: the kind of thing that has the name, for messages.
        name: the name that was given.

    Raises:
        InputError: other characters than letters, digits, '.', '-' and '_', or too many.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(f"{what} {name[:100]!r}: use letters, digits, '.', '-' and '_', first a letter or digit")
    if len(name.encode()) > _NAME_BYTES:
        raise InputError(f"{what} {name[:20]}...: it has {len(name.encode())} bytes, use at most {_NAME_BYTES}")
    return name
