"""Processes of this machine: their descendants, their memory and their end, as Linux shows them under /proc."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import socket
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from nidbench.errors import InputError

from .sizes import read_size

#: Whether a process can adopt orphans and look at other processes: this is Linux, and /proc is mounted.
LINUX = sys.platform == "linux" and Path("/proc/self/task").is_dir()

#: Smallest memory limit in bytes: below it no method could work.
LEAST_MEMORY = 16 << 20

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # of prctl(2)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose parent ends, whatever session it is in."""
    _prctl(_SET_SUBREAPER, 1)


def end_with_parent() -> None:
    """Ask the system to kill this process when its parent ends, even in the middle of a computation."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")


def children(pid: int) -> list[int]:
    """Return the running children of all threads of a process, without those that ended but were not waited for."""
    return [child for child in _listed_children(pid) if not _has_ended(child)]


def _listed_children(pid: int) -> list[int]:
    pids: list[int] = []
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                pids += map(int, (thread / "children").read_text().split())
    return pids


def descendants(pid: int) -> Iterator[int]:
    """Yield the children of a process, theirs, and so on."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def kill_descendants(pid: int, spare: Collection[int] = ()) -> list[str]:
    """Kill the descendants of a process, and return what they were, as `command` names them.

    Processes that start meanwhile are killed, too. Where `pid` adopts orphans, none escapes.

    Args:
        pid: the process whose descendants end.
        spare: children of it that stay, with their descendants.
    """
    killed: dict[int, str] = {}
    ended: set[int] = set()
    for _ in range(200):
        listed = [child for child in _listed_children(pid) if child not in spare]
        running = [child for child in listed if not _has_ended(child)]
        # one that ended after the list was read may have left children, which are in the next list
        if not running and ended.issuperset(listed):
            break
        ended = set(listed).difference(running)
        for victim in [each for child in running for each in (child, *descendants(child))]:
            killed.setdefault(victim, command(victim))
            with suppress(ProcessLookupError, PermissionError):
                os.kill(victim, signal.SIGKILL)
        time.sleep(0.002)  # the kernel needs a moment to end them
    return list(killed.values())


def kill_marked(mark: str) -> None:
    """Kill all processes that were started with this text in their environment.

    This is the last resort where the tree of processes no longer shows who started them.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


def command(pid: int) -> str:
    """Return a text for messages that names a process: its number and the beginning of its command."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return f"the process {pid} ({' '.join(words).strip()[:40]})"
    return f"the process {pid}"


def proc_text(path: str) -> str:
    """Return a file under /proc, where the name of a program is of any bytes, and cut off within a letter where long.

    Raises:
        OSError: where it cannot be read, as of a process that has ended.
    """
    return Path(path).read_text(encoding="utf-8", errors="replace")


def memory(pid: int) -> int:
    """Return the bytes of memory of a process that no file backs; 0 where it has ended."""
    with suppress(OSError, ValueError):
        fields = dict(line.split(":", 1) for line in proc_text(f"/proc/{pid}/status").splitlines())
        return 1024 * sum(int(fields.get(key, "0 kB").split()[0]) for key in ("RssAnon", "RssShmem"))
    return 0


def data_size() -> int:
    """Return the bytes of private writable memory of this process, used or not: what RLIMIT_DATA limits."""
    lines = proc_text("/proc/self/status").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData"))


def return_memory() -> None:
    """Give memory that this process has freed back to the system, where the C library can do that."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_here() -> int | None:
    """Return the bytes of memory of this machine or of its control group, whichever is less; None where unknown."""
    limits = []
    with suppress(OSError, ValueError, AttributeError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _limit_files():
        with suppress(OSError, ValueError):  # "max" where there is no limit
            limits.append(int(path.read_text()))
    return min(limits, default=None)


def free_memory() -> int | None:
    """Return the bytes that new work can use without swapping, not more than `memory_here`; None where unknown."""
    total = memory_here()
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
        return free if total is None else min(free, total)
    return total


def _limit_files() -> Iterator[Path]:
    """Yield the files that may limit this process's memory: those of its control group and of all above it."""
    root = Path("/sys/fs/cgroup")
    with suppress(OSError):
        for line in proc_text("/proc/self/cgroup").splitlines():
            _, kind, group = line.split(":", 2)
            group_folder = root / "memory" / group[1:] if "memory" in kind else root / group[1:]
            for folder in (group_folder, *group_folder.parents):
                if folder.is_relative_to(root):
                    yield from (folder / "memory.max", folder / "memory.limit_in_bytes")


def read_memory(text: str) -> int:
    """Return the bytes that a limit such as `8G`, `1.5GiB` or `500M` stands for; units are powers of 1024.

    Raises:
        InputError: where the text is no such limit, is too little for any method, or the system is not Linux.
    """
    limit = read_size("--memory-limit", text)
    if limit < LEAST_MEMORY:
        raise InputError(f"--memory-limit {text!r}: give at least {LEAST_MEMORY >> 20}M, which a single image needs")
    if not LINUX:
        raise InputError("--memory-limit works on Linux only: leave it out")
    return limit


def kernel_kills() -> int:
    """Return how many processes the system's out-of-memory killer has ended; 0 where the system does not count them."""
    counts = 0
    for path in ("/proc/vmstat", "/sys/fs/cgroup/memory.events"):
        with suppress(OSError):
            lines = Path(path).read_text().splitlines()
            counts += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return counts


def _has_ended(pid: int) -> bool:
    """Return whether a process has ended with all of its threads, so that others have adopted its children.

    A process whose first thread has ended is shown as ended, though its other threads run on and have its children.
    """
    with suppress(OSError):
        fields = proc_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return fields[0] in ("Z", "X") and int(fields[17]) <= 1
    return True


@cache
def place() -> str:
    """Return 8 hexadecimal digits that identify the machine, its boot and the container.

    Process numbers of the same place can be compared; those of another place mean other processes.
    """
    identity = [socket.gethostname()]
    try:
        identity.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        identity.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass  # not Linux: the machine's name has to suffice
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:8]


def runs(pid: int, started: str = "") -> bool:
    """Return whether a process of this place runs.

    Args:
        pid: its number, which the system may have given to another process since.
        started: what `start` returned for it; empty where that is not known, so that any process of the number counts.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs, as another user's process
    return not started or start(pid) in ("", started)


def start(pid: int) -> str:
    """Return when a process started, in clock ticks since the system booted; empty where that is unknown."""
    try:
        # the program's name, in parentheses, may hold anything
        return proc_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
