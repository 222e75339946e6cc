"""Paths that begin with a person's home folder."""

from __future__ import annotations

from pathlib import Path

from nidbench.errors import InputError


def expanded(path: Path | str) -> Path:
    """Return a path with the folder that `~` or `~name` stands for.

    Raises:
        InputError: where nobody of that name is known here.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        first = Path(path).parts[0]
        raise InputError(
            f"{path}: this machine knows no home folder for {first}: write the path in full, or ./{path} for what is "
            "here"
        ) from None
