"""Adds files that a person downloaded to the cache: they are recognised by their hash, also inside zip archives."""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from nidbench.errors import DataError

from .cache import destination, hash_of, state
from .remote import RemoteFile

_BLOCK = 1 << 20

#: Exceptions of `zipfile` for archives that are damaged, encrypted, or packed in a way that it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True)
class Provided:
    """The files that were added to the cache, and those that were not.

    Attributes:
        taken: file -> the place from which it was copied.
        refused: place of another file -> why it was not added.
    """

    taken: dict[RemoteFile, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Candidate:
    """Bytes that may be a wanted file: a file on disk, or a member of a zip archive."""

    place: str
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def provide(files: Sequence[RemoteFile], paths: Sequence[Path]) -> Provided:
    """Copy the wanted files among some paths to the cache; no incomplete file is ever left there.

    Files are recognised by their hash, whatever their names.

    Args:
        files: the wanted files; those that are in the cache already stay as they are.
        paths: files, zip archives, and folders, which are searched.

    Raises:
        DataError: where a path does not exist, or the cache cannot be written.
    """
    provided = Provided()
    unknown: list[tuple[_Candidate, str]] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist: give files, folders or zip archives that you downloaded")
        if not (path.is_file() or path.is_dir()):
            provided.refused[str(path)] = "is neither a file nor a folder, but a pipe or a device"
        elif path.is_file():
            unknown += _take_file(path, files, provided, "is none of the wanted files, by its hash")
        else:
            for inner in sorted(file for file in path.rglob("*") if file.is_file()):
                unknown += _take_file(inner, files, provided, "")
    for candidate, otherwise in unknown:
        if reason := _mistaken(candidate, files) or otherwise:
            provided.refused[candidate.place] = reason
    return provided


def _take_file(
    path: Path, files: Sequence[RemoteFile], provided: Provided, otherwise: str
) -> list[tuple[_Candidate, str]]:
    """Add a file; return what was not recognised, with the reason to give where no better one is known."""
    try:
        candidate = _Candidate(str(path), path.name, path.stat().st_size, lambda: path.open("rb"))
        taken = _take(candidate, files, provided)
    except OSError as error:
        provided.refused[str(path)] = f"cannot be read ({error.strerror or error}): correct its permissions"
        return []
    if taken:
        return []
    if zipfile.is_zipfile(path):
        if reason := _mistaken(candidate, files):
            provided.refused[str(path)] = reason
            return []
        return [(member, "") for member in _take_members(path, files, provided, explicit=bool(otherwise))]
    if path.suffix.lower() == ".zip":
        provided.refused[str(path)] = "is a damaged zip archive: download it again"
        return []
    return [(candidate, otherwise)]


def _take_members(path: Path, files: Sequence[RemoteFile], provided: Provided, *, explicit: bool) -> list[_Candidate]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = list(_members(path, archive))
            unknown = [member for member in members if not _take_member(member, files, provided)]
    except _DAMAGE as error:
        provided.refused[str(path)] = f"is a damaged zip archive ({error}): download it again"
        return []
    if explicit and len(unknown) == len(members):
        provided.refused[str(path)] = "holds none of the wanted files, by their hashes"
    return unknown


def _take_member(member: _Candidate, files: Sequence[RemoteFile], provided: Provided) -> bool:
    """Add a member of an archive; return True where it is a wanted file or cannot be unpacked."""
    try:
        return _take(member, files, provided)
    except _DAMAGE as error:
        provided.refused[member.place] = f"cannot be unpacked ({error}): download the archive again"
        return True


def _members(path: Path, archive: zipfile.ZipFile) -> Iterator[_Candidate]:
    for entry in archive.infolist():
        if not entry.is_dir():
            name = PurePosixPath(entry.filename).name
            yield _Candidate(f"{path}: {entry.filename}", name, entry.file_size, partial(archive.open, entry))


def _take(candidate: _Candidate, files: Sequence[RemoteFile], provided: Provided) -> bool:
    """Copy a candidate to the places of the wanted files that it is; return whether there are any."""
    possible = [file for file in files if _may_be(candidate, file)]
    hashes = set()
    for kind in sorted({file.hash[0] for file in possible}):
        with candidate.open() as content:
            hashes.add((kind, hash_of(content, kind)))
    recognised = [file for file in possible if file.hash in hashes]
    for file in recognised:
        if state(file) != "ok":
            _copy(candidate, file)
            provided.taken[file] = candidate.place
    return bool(recognised)


def _may_be(candidate: _Candidate, file: RemoteFile) -> bool:
    """Return whether to hash a candidate: its size must match, or its suffix for large files without a known size."""
    if file.bytes or file.least:
        return file.may_have(candidate.size)
    return PurePosixPath(file.path).suffix == PurePosixPath(candidate.name).suffix.lower()


def _mistaken(candidate: _Candidate, files: Sequence[RemoteFile]) -> str:
    """Return why a candidate with the name of a wanted file is not that file; empty where it has no such name."""
    named = [file for file in files if PurePosixPath(file.path).name == candidate.name]
    if not named or all(state(file) == "ok" for file in named):
        return ""
    file = named[0]
    if not file.bytes:
        return f"has the name of {file}, but not its {file.known_by}: it is cut off or altered; download it again"
    if candidate.size != file.bytes:
        fault = "is cut off or another version" if candidate.size < file.bytes else "is another version"
        return f"has the name of {file}, but {candidate.size} bytes, not {file.bytes}: it {fault}; download it again"
    return f"has the name and size of {file}, but another SHA-256 than {file.sha256}: it was altered; download it again"


def _copy(candidate: _Candidate, file: RemoteFile) -> None:
    target = destination(file)
    with _cache_errors(file, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial_copy = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with candidate.open() as content, partial_copy.open("wb") as copy:
                while block := content.read(_BLOCK):
                    copy.write(block)
            partial_copy.chmod(0o644)
            partial_copy.replace(target)
        finally:
            partial_copy.unlink(missing_ok=True)


@contextmanager
def _cache_errors(file: RemoteFile, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{file}: cannot write {target} ({error.strerror or error}); files copied before stay: free some space "
            "or correct permissions, or set NIDBENCH_DATA to another folder, then run the same command again"
        ) from error
