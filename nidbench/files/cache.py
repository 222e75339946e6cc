"""The cache of downloaded files: where they lie, and whether they are whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal, TypeAlias

from nidbench.errors import DataError

from .remote import RemoteFile

State: TypeAlias = Literal["ok", "missing", "altered"]


def cache_folder() -> Path:
    """Return where files are kept: `NIDBENCH_DATA`, else `nidbench` in the user's cache folder."""
    if chosen := os.environ.get("NIDBENCH_DATA"):
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("nidbench"))


def destination(file: RemoteFile) -> Path:
    """Return where a file lies, or would lie, in the cache."""
    return cache_folder() / file.dataset / file.path


def state(file: RemoteFile) -> State:
    """Return how a file is in the cache: `ok`, `missing`, or `altered` where size or hash differ.

    Raises:
        DataError: where it is there and cannot be read.
    """
    path = destination(file)
    try:
        if file.bytes and path.stat().st_size != file.bytes:
            return "altered"
        kind, value = file.hash
        with path.open("rb") as content:
            return "ok" if hash_of(content, kind) == value else "altered"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError as error:
        raise DataError(f"{file}: cannot read {path} ({error}); mend its permissions or remove it") from error


def hash_of(content: IO[bytes], kind: str) -> str:
    """Return a hash of what is left to read, hexadecimal; `kind` as of `RemoteFile.hash`."""
    digest = hashlib.file_digest(content, lambda: hashlib.new(kind, usedforsecurity=False))  # type: ignore[arg-type]
    return digest.hexdigest()


def local(file: RemoteFile) -> Path | None:
    """Return where a file lies in the cache, or None unless it is there, whole and unaltered."""
    return destination(file) if state(file) == "ok" else None


def verify(files: Sequence[RemoteFile]) -> list[tuple[RemoteFile, State]]:
    """Return how each file is in the cache; nothing is downloaded. See `state`."""
    return [(file, state(file)) for file in files]
