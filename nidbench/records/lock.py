"""One run at a time in a results folder.

What is promised: of two runs on one machine the second is refused, and a killed one holds nothing. The same holds for
two machines that share a folder where the file system passes `flock` on: NFS from Linux 2.6.12 on, unless it is mounted
with `nolock` or `local_lock`, CephFS, GPFS, Lustre with `flock`. Where `flock` is unknown a file stands for it that
names its holder: that of a killed run is recognised on its own machine, elsewhere a person has to delete it. Where
`flock` holds on one machine only, two machines are not kept apart: both compute, and every file is whole all the same.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from nidbench.errors import ResultsError
from nidbench.system.processes import place, runs, start
from nidbench.system.whole_files import results_errors

#: What `flock` says where the file system has none.
_UNKNOWN = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}

_HELD = {errno.EWOULDBLOCK, errno.EACCES}


@contextmanager
def locked(root: Path) -> Iterator[bool]:
    """Keep other runs out of a results folder, and lend whether the one before left it properly.

    Raises:
        ResultsError: where another run is in it, or the folder cannot be written.
    """
    with results_errors(root):
        handle = (root / ".lock").open("a+")
    with handle:
        with results_errors(root):
            known = _flock(handle.fileno(), root)
        if not known:
            with _held_by_file(root) as tidy:
                yield tidy
            return
        with results_errors(root):
            handle.seek(0)
            tidy = not handle.read()
            handle.truncate(0)
            handle.write(f"{os.getpid()} on {socket.gethostname()}")
            handle.flush()
        try:
            yield tidy
        finally:
            with suppress(OSError):
                handle.truncate(0)


def _flock(descriptor: int, root: Path) -> bool:
    """Take the lock; return False where the file system knows none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return False
        if error.errno not in _HELD:
            raise
        holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
        raise _refusal(root, holder or "unknown") from None
    return True


def _refusal(root: Path, holder: str, more: str = "") -> ResultsError:
    return ResultsError(
        f"another run (process {holder}) is writing to {root}: wait for it, or give another --output{more}"
    )


@dataclass(frozen=True)
class _Holder:
    """Who holds the lock; `started` and `place` as of `processes`."""

    pid: int
    host: str
    place: str
    started: str

    @classmethod
    def this(cls) -> _Holder:
        return cls(os.getpid(), socket.gethostname(), place(), start(os.getpid()))

    @property
    def is_gone(self) -> bool:
        """Whether it is known to run no more."""
        return self.place == place() and not runs(self.pid, self.started)


@contextmanager
def _held_by_file(root: Path) -> Iterator[bool]:
    """Hold the lock by a file that only one process can make."""
    path = root / ".lock.holder"
    mine = json.dumps(asdict(_Holder.this()))
    with results_errors(root):
        tidy = _make(path, mine)
        if not tidy:
            _remove_stale(root, path)
            if not _make(path, mine):
                raise _refusal(root, "unknown")  # another was faster
    try:
        yield tidy
    finally:
        with suppress(OSError):
            path.unlink()


def _make(path: Path, content: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, content.encode())
    except OSError:  # a full disk: an empty file would keep everybody out
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def _remove_stale(root: Path, path: Path) -> None:
    """Remove the lock of a run that was killed.

    Raises:
        ResultsError: where its holder runs, or nobody can know.
    """
    content, holder = _read(path)
    advice = f"; if no such run is there any more, delete {path}"
    if holder is None:
        raise _refusal(root, "unknown", advice)
    if not holder.is_gone:
        raise _refusal(root, f"{holder.pid} on {holder.host}", "" if holder.place == place() else advice)
    aside = path.with_name(f".lock.{place()}.{os.getpid()}.partial")
    with suppress(FileNotFoundError):  # another removed it
        path.rename(aside)
        if aside.read_text() != content:  # another had removed it, and this is its own
            with suppress(FileExistsError):
                path.hardlink_to(aside)
            aside.unlink()
            raise _refusal(root, "unknown")
        aside.unlink()


def _read(path: Path) -> tuple[str, _Holder | None]:
    try:
        content = path.read_text()
        return content, _Holder(**json.loads(content))
    except (FileNotFoundError, ValueError, TypeError):  # just removed, or just made and still empty
        return "", None
