"""Files that a person downloaded by hand: recognised by their hash, and copied to where they belong."""

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

#: What `zipfile` raises of archives that are damaged, encrypted, or packed in a way that it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True)
class Provided:
    """What became of the files that a person gave.

    Attributes:
        taken: file -> where its bytes were found.
        refused: what was given -> why it was not taken.
    """

    taken: dict[RemoteFile, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Candidate:
    """Bytes that may be one of the files: a file, or a member of a zip archive."""

    where: str
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def provide(files: Sequence[RemoteFile], given: Sequence[Path]) -> Provided:
    """Copy to their places what is recognised, whatever its name; each file is whole there or not there.

    Args:
        files: those that are wanted; what is in its place already is left alone.
        given: files, folders that are searched, and zip archives that are looked into.

    Raises:
        DataError: where something given does not exist, or the cache cannot be written.
    """
    provided = Provided()
    unknown: list[tuple[_Candidate, str]] = []
    for path in given:
        if not path.exists():
            raise DataError(f"{path} does not exist: give files, folders or zip archives that you downloaded")
        if not (path.is_file() or path.is_dir()):
            provided.refused[str(path)] = "is neither a file nor a folder, but a pipe or a device"
        elif path.is_file():
            unknown += _take_file(path, files, provided, "is none of the files wanted, by its hash")
        else:
            for inner in sorted(each for each in path.rglob("*") if each.is_file()):
                unknown += _take_file(inner, files, provided, "")
    for candidate, otherwise in unknown:
        if reason := _mistaken(candidate, files) or otherwise:
            provided.refused[candidate.where] = reason
    return provided


def _take_file(
    path: Path, files: Sequence[RemoteFile], provided: Provided, otherwise: str
) -> list[tuple[_Candidate, str]]:
    """Return what was not recognised, each with what else to say of it."""
    try:
        candidate = _Candidate(str(path), path.name, path.stat().st_size, lambda: path.open("rb"))
        taken = _take(candidate, files, provided)
    except OSError as error:
        provided.refused[str(path)] = f"cannot be read ({error.strerror or error}): mend its permissions"
        return []
    if taken:
        return []
    if zipfile.is_zipfile(path):
        if reason := _mistaken(candidate, files):
            provided.refused[str(path)] = reason
            return []
        return [(member, "") for member in _take_members(path, files, provided, explicit=bool(otherwise))]
    if path.suffix.lower() == ".zip":
        provided.refused[str(path)] = "is no whole zip archive: download it again"
        return []
    return [(candidate, otherwise)]


def _take_members(path: Path, files: Sequence[RemoteFile], provided: Provided, *, explicit: bool) -> list[_Candidate]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = list(_members(path, archive))
            unknown = [member for member in members if not _take_member(member, files, provided)]
    except _DAMAGE as error:
        provided.refused[str(path)] = f"is no whole zip archive ({error}): download it again"
        return []
    if explicit and len(unknown) == len(members):
        provided.refused[str(path)] = "holds none of the files wanted, by their hashes"
    return unknown


def _take_member(member: _Candidate, files: Sequence[RemoteFile], provided: Provided) -> bool:
    """Return whether a member of an archive needs no further look: it is one of the files, or cannot be unpacked."""
    try:
        return _take(member, files, provided)
    except _DAMAGE as error:
        provided.refused[member.where] = f"cannot be unpacked ({error}): download the archive again"
        return True


def _members(path: Path, archive: zipfile.ZipFile) -> Iterator[_Candidate]:
    for entry in archive.infolist():
        if not entry.is_dir():
            name = PurePosixPath(entry.filename).name
            yield _Candidate(f"{path}: {entry.filename}", name, entry.file_size, partial(archive.open, entry))


def _take(candidate: _Candidate, files: Sequence[RemoteFile], provided: Provided) -> bool:
    """Return whether a candidate is one or more of the files, after copying it to their places."""
    possible = [file for file in files if _may_be(candidate, file)]
    hashes = set()
    for kind in sorted({file.hash[0] for file in possible}):
        with candidate.open() as content:
            hashes.add((kind, hash_of(content, kind)))
    recognised = [file for file in possible if file.hash in hashes]
    for file in recognised:
        if state(file) != "ok":
            _copy(candidate, file)
            provided.taken[file] = candidate.where
    return bool(recognised)


def _may_be(candidate: _Candidate, file: RemoteFile) -> bool:
    """Return whether to look into it: what has no known size is large, and is looked for under its suffix only."""
    if file.bytes:
        return file.bytes == candidate.size
    return PurePosixPath(file.path).suffix == PurePosixPath(candidate.name).suffix.lower()


def _mistaken(candidate: _Candidate, files: Sequence[RemoteFile]) -> str:
    """Return what is wrong with something that has the name of a file, but not its bytes."""
    named = [file for file in files if PurePosixPath(file.path).name == candidate.name]
    if not named or all(state(file) == "ok" for file in named):
        return ""
    wanted = named[0]
    if not wanted.bytes:
        return f"has the name of {wanted}, but is not known by {wanted.known_by}: it is cut off or altered; get it anew"
    if candidate.size != wanted.bytes:
        found = "is cut off or another version" if candidate.size < wanted.bytes else "is another version"
        return (
            f"has the name of {wanted}, but {candidate.size} bytes, not {wanted.bytes}: it {found}; download it again"
        )
    return f"has the name and size of {wanted}, but another SHA-256 than {wanted.sha256}: it was altered; get it anew"


def _copy(candidate: _Candidate, file: RemoteFile) -> None:
    target = destination(file)
    with _cache_errors(file, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with candidate.open() as content, beside.open("wb") as copy:
                while block := content.read(_BLOCK):
                    copy.write(block)
            beside.chmod(0o644)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def _cache_errors(file: RemoteFile, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{file}: cannot write {target} ({error.strerror or error}); what was copied before stays: free some space "
            "or mend permissions, or set NIDBENCH_DATA to another folder, then run the same command again"
        ) from error
