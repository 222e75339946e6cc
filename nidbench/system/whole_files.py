"""Files that are whole or not there, and what the system refuses in words; hashes of arrays."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nidbench.errors import ResultsError

from .processes import place, runs
from .signals import shielded

_DAY = 86_400.0

#: What to say of a folder that was deleted or moved while it was written to.
GONE = (
    "it was deleted or moved while this command was running, and what was finished in it with it: "
    "move it back, or run the same command again to begin anew"
)


@contextmanager
def results_errors(root: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        remedies = {
            errno.ENOSPC: "the disk is full: free some space, then run the same command again; finished cells are kept",
            errno.EDQUOT: "the quota is spent: free some space, then run the same command again; finished cells stay",
            errno.EROFS: "it is read-only: give another --output",
            errno.EACCES: "permission is denied: give another --output, or change the folder's permissions",
            errno.ENOTDIR: "a file is in the way: give another --output",
            errno.EEXIST: "a file is in the way: give another --output",
            errno.EISDIR: "a folder is in the way: give another --output, or remove it",
            errno.ENAMETOOLONG: "the name is too long for this file system: give a shorter one",
            errno.ENOENT: GONE,
            errno.ESTALE: GONE,
        }
        remedy = remedies.get(error.errno or 0, f"{error.strerror or error}: give another --output")
        raise ResultsError(f"cannot write to {root}: {remedy}") from error


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file so that it is, even after a kill, a signal or a power cut, either whole or as before.

    Args:
        path: where to.
        content: all of it.
        sync: False to leave `sync_folder` to the caller, who has more to write there.

    Raises:
        OSError: where it cannot be written, as on a full disk; nothing of it is left then.
    """
    partial = path.with_name(f".{path.name[:40]}.{place()}.{os.getpid()}.partial")
    with shielded():
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if sync:
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlast a power cut: what was renamed in it is there under its new name."""
    with suppress(OSError):  # some file systems know no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep_partials(folder: Path) -> None:
    """Remove what writers left in a folder that were killed; what a live process is writing stays.

    Whether a process of another machine or container lives cannot be known: what it left goes after a day.
    """
    for path in folder.glob("*.partial"):
        with suppress(OSError):  # gone meanwhile, or not ours to remove
            if _is_left(path):
                path.unlink()


def _is_left(path: Path) -> bool:
    *_, where, pid, _ = ("", "", *path.name.split("."))
    if where == place() and pid.isdecimal() and not runs(int(pid)):
        return True
    return time.time() - path.stat().st_mtime > _DAY
