"""Writes files so that they are complete or absent, and explains what the system refuses in plain words."""

from __future__ import annotations

import errno
import glob
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import IO, TYPE_CHECKING

from nidbench.errors import ResultsError

from .processes import place, runs
from .signals import shielded

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_DAY = 86_400.0

#: Files that wait for the disk side by side: it writes them together.
_WAITING = 8

#: Remedy in messages about a folder that was deleted or moved while a command wrote to it.
GONE = (
    "it was deleted or moved while this command was running, and the finished cells in it with it: "
    "move it back, or run the same command again to start over"
)


@contextmanager
def results_errors(root: Path, other: str = "another --output") -> Iterator[None]:
    """Turn errors of the operating system inside the block into `ResultsError` with a remedy.

    Args:
        root: the results folder, or that of an output, for the message.
        other: what to give for another place.
    """
    try:
        yield
    except OSError as error:
        not_made = f"no folder can be made there: give {other}"
        remedies = {
            errno.ENOSPC: "the disk is full: free some space, then run the same command again; finished cells are kept",
            errno.EDQUOT: "the quota is spent: free some space, then run the same command again; finished cells stay",
            errno.EROFS: f"it is read-only: give {other}",
            errno.EACCES: f"permission is denied: give {other}, or change the folder's permissions",
            errno.ENOTDIR: f"a file is in the way: give {other}",
            errno.EEXIST: f"{_in_the_way(error, Path(root))} give {other}",
            errno.EISDIR: f"a folder is in the way: give {other}, or remove it",
            errno.ENAMETOOLONG: "the name is too long for this file system: give a shorter one",
            errno.ENOENT: not_made if _lacks(error, root) else GONE,
            errno.ESTALE: GONE,
        }
        remedy = remedies.get(error.errno or 0, f"{error.strerror or error}: give {other}")
        raise ResultsError(f"cannot write to {root}: {remedy}") from error


def _in_the_way(error: OSError, root: Path) -> str:
    """Return what keeps a folder from being made: a file, or a link to what is not there, as an unmounted disk."""
    if error.errno == errno.EEXIST and root.is_symlink() and not root.exists():
        return f"it is a link to {root.readlink()}, which is not there: make or mount that, or"
    return "a file is in the way:"


def _lacks(error: OSError, root: Path) -> bool:
    """Return whether it is the folder itself, or one above it, that could not be made, and not what goes into it."""
    return isinstance(error.filename, str) and Path(root).is_relative_to(error.filename)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file: after a kill, a signal or a power cut it is either complete or as it was before.

    Args:
        path: the file to write.
        content: all of its bytes.

    Raises:
        OSError: where it cannot be written, as on a full disk; no incomplete file is left.
    """
    with shielded(), writing_whole(path) as file:
        file.write(content)


def write_new(path: Path, content: bytes) -> Path:
    """Write a file that takes no other's place, and return its path: with a number behind its name where that is taken.

    It is complete or not there, as by `write_whole`.

    Args:
        path: the file to write, where there is none of its name.
        content: all of its bytes.

    Raises:
        OSError: where it cannot be written.
    """
    further = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    partial = _partial(path)
    try:
        with shielded():
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            chosen = next(free for free in chain([path], further) if _is_placed(partial, free))
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    return chosen


def _is_placed(partial: Path, path: Path) -> bool:
    """Give a file its name, and return whether it has it: not where another file has."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if os.path.lexists(path):
            return False
        partial.replace(path)
    return True


def write_unsettled(path: Path, content: bytes) -> None:
    """Write one of many files: after a kill it is complete or as it was before, after a power cut only once settled.

    Waiting for the disk takes longer than writing; `settle` waits for many files at once.

    Args:
        path: the file to write.
        content: all of its bytes.

    Raises:
        OSError: where it cannot be written, as on a full disk; no incomplete file is left.
    """
    partial = _partial(path)
    try:
        partial.write_bytes(content)
        with shielded():
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def settle(paths: Sequence[Path]) -> None:
    """Make files that were written by `write_unsettled` survive a power cut, with their names.

    Raises:
        OSError: where they cannot be written to the disk.
    """
    # the disk is waited for about once, not once for each
    folders = _waiting().map(sync_folder, {path.parent for path in paths})
    list(chain(_waiting().map(_settle, paths), folders))


@cache
def _waiting() -> ThreadPoolExecutor:
    """Return threads that wait for the disk, kept: to start them takes longer than a disk takes to write some files."""
    from concurrent.futures import ThreadPoolExecutor  # here and not at the top: every command imports this module

    return ThreadPoolExecutor(_WAITING, "nidbench waits for the disk")


if hasattr(os, "register_at_fork"):  # a copy of this process has none of its threads
    os.register_at_fork(after_in_child=_waiting.cache_clear)


def _settle(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_naming(path: Path, content: bytes, beside: Mapping[Path, bytes]) -> None:
    """Write files and, in the end, one that names them: it is in its place only when all would survive a power cut.

    Args:
        path: the file that names the others, complete or as it was before.
        content: all of its bytes.
        beside: the other files, none of which anything names yet, with their content.

    Raises:
        OSError: where one cannot be written, as on a full disk; then `path` is as it was before.
    """
    partial = _partial(path)
    try:
        with shielded():
            for other, others_content in beside.items():
                write_unsettled(other, others_content)
            partial.write_bytes(content)
            settle([*beside, partial])
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def writing_whole(path: Path) -> Iterator[IO[bytes]]:
    """Lend a file that takes the place of `path` when the block has ended well; see `write_whole`.

    Raises:
        OSError: where it cannot be written, as on a full disk; no incomplete file is left.
    """
    partial = _partial(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with shielded():
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _partial(path: Path) -> Path:
    """Return the name that a file has until it is complete."""
    return path.with_name(f"{_partial_stem(path)}.{place()}.{os.getpid()}.partial")


def _partial_stem(path: Path) -> str:
    return f".{path.name[:40]}"


def sync_folder(folder: Path) -> None:
    """Make the names of the files in a folder survive a power cut, renamed ones under their new name."""
    with suppress(OSError):  # some file systems cannot do that
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep_partials(folder: Path, of: str = "") -> None:
    """Remove the incomplete files of writers that were killed; those of running processes stay.

    Whether a process of another machine or container runs cannot be known: its files are removed after a day.

    Args:
        folder: where they are.
        of: name of the one file that they should have become, in a folder that is not nidbench's; empty for all.
    """
    stem = glob.escape(_partial_stem(folder / of)) + "." if of else ""
    for path in folder.glob(f"{stem}*.partial"):
        with suppress(OSError):  # removed by another process, or another user's
            if _is_abandoned(path):
                path.unlink()


def _is_abandoned(path: Path) -> bool:
    *_, writer_place, pid, _ = ("", "", *path.name.split("."))
    if writer_place == place() and pid.isdecimal() and not runs(int(pid)):
        return True
    return time.time() - path.stat().st_mtime > _DAY
