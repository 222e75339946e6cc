"""The cache of downloaded files: their places, and whether they are complete."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal, TypeAlias

from nidbench.errors import DataError
from nidbench.system.home import expanded

from .remote import RemoteFile

State: TypeAlias = Literal["ok", "missing", "altered"]


def cache_folder() -> Path:
    """Return the folder of downloaded files: `NIDBENCH_DATA`, else `nidbench` in the user's cache folder."""
    if chosen := os.environ.get("NIDBENCH_DATA"):
        return expanded(chosen).absolute()
    import pooch

    return Path(pooch.os_cache("nidbench"))


def destination(file: RemoteFile) -> Path:
    """Return the place of a file in the cache, whether it is there or not."""
    return cache_folder() / file.dataset / file.path


def state(file: RemoteFile) -> State:
    """Return the state of a file in the cache: `ok`, `missing`, or `altered` where its size or hash differs.

    Raises:
        DataError: where it exists but cannot be read.
    """
    path = destination(file)
    try:
        if not file.may_have(path.stat().st_size):
            return "altered"
        kind, value = file.hash
        with path.open("rb") as content:
            return "ok" if hash_of(content, kind) == value else "altered"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError as error:
        raise DataError(f"{file}: cannot read {path} ({error}); correct its permissions or remove it") from error


def hash_of(content: IO[bytes], kind: str) -> str:
    """Return the hexadecimal hash of the bytes from the current position; `kind` is as in `RemoteFile.hash`."""
    if kind == "git-blob-sha1":
        blob = content.read()
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob, usedforsecurity=False).hexdigest()
    digest = hashlib.file_digest(content, lambda: hashlib.new(kind, usedforsecurity=False))  # type: ignore[arg-type]
    return digest.hexdigest()


def local(file: RemoteFile) -> Path | None:
    """Return the place of a file in the cache, or None where it is missing or altered."""
    return destination(file) if state(file) == "ok" else None


def verify(files: Sequence[RemoteFile]) -> list[tuple[RemoteFile, State]]:
    """Return the files with their states, see `state`; nothing is downloaded."""
    return [(file, state(file)) for file in files]
