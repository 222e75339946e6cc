"""Processes as Linux shows them under /proc: which one a number means, who descends from whom, their memory and end."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from nidbench.errors import InputError

#: Whether a process can take in orphans and look at others: the kernel is Linux, and /proc is there.
LINUX = sys.platform == "linux" and Path("/proc/self/task").is_dir()

#: Bytes below which a memory limit would let no method work.
LEAST_MEMORY = 16 << 20

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # of prctl(2)


def adopt_orphans() -> None:
    """Have every descendant whose parent ends become a child of this process, whatever session it is in."""
    _prctl(_SET_SUBREAPER, 1)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, even amid a computation."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")


def children(pid: int) -> list[int]:
    """Return the children of all threads of a process, dead ones that nobody waited for left out."""
    found: list[int] = []
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return [child for child in found if _state(child) not in ("Z", "X", "")]


def descendants(pid: int) -> Iterator[int]:
    """Yield the children of a process, theirs, and so on."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def kill_descendants(pid: int, spare: Collection[int] = ()) -> list[str]:
    """Kill all descendants of a process but some of its children with theirs, and return what they were.

    Those that are born meanwhile are killed, too: where `pid` adopts orphans none escapes.
    """
    killed: dict[int, str] = {}
    for _ in range(200):
        doomed = [each for child in children(pid) if child not in spare for each in (child, *descendants(child))]
        if not doomed:
            break
        for each in doomed:
            killed.setdefault(each, command(each))
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.002)  # they end when the kernel comes to it
    return list(killed.values())


def kill_marked(mark: str) -> None:
    """Kill all processes that began with this text in their environment: a last resort, where kinship tells no more."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


def command(pid: int) -> str:
    """Return what a process runs, for messages: its number and the first words of its command."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return f"the process {pid} ({' '.join(words).strip()[:40]})"
    return f"the process {pid}"


def memory(pid: int) -> int:
    """Return the bytes of memory that a process takes and that no file holds; 0 where it has ended."""
    with suppress(OSError, ValueError):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return 1024 * sum(int(fields.get(key, "0 kB").split()[0]) for key in ("RssAnon", "RssShmem"))
    return 0


def data_size() -> int:
    """Return the bytes of this process that are private and writable, touched or not: what RLIMIT_DATA limits."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData"))


def return_memory() -> None:
    """Give memory that this process has freed back to the system, where its C library can."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_here() -> int | None:
    """Return the bytes of memory that this machine or its control group has, the less; None where nothing tells."""
    found = []
    with suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _limits():
        with suppress(OSError, ValueError):  # "max" where there is no limit
            found.append(int(path.read_text()))
    return min(found, default=None)


def _limits() -> Iterator[Path]:
    """Yield the files that may limit this process's memory: those of its control group and of all above it."""
    root = Path("/sys/fs/cgroup")
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kind, group = line.split(":", 2)
            own = root / "memory" / group[1:] if "memory" in kind else root / group[1:]
            for folder in (own, *own.parents):
                if folder.is_relative_to(root):
                    yield from (folder / "memory.max", folder / "memory.limit_in_bytes")


def read_memory(text: str) -> int:
    """Return the bytes that a limit such as `8G`, `1.5GiB` or `500M` stands for; units are powers of 1024.

    Raises:
        InputError: where it is something else or too little for any method, or this system cannot hold to it.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise InputError(f"--memory-limit {text!r}: give a number and a unit, such as 8G or 500M")
    found = int(float(match[1]) * 1024 ** (1 + "KMGT".index(match[2].upper())))
    if found < LEAST_MEMORY:
        raise InputError(f"--memory-limit {text!r}: give at least {LEAST_MEMORY >> 20}M, which one image takes")
    if not LINUX:
        raise InputError("--memory-limit works on Linux only: leave it out")
    return found


def kernel_kills() -> int:
    """Return how many processes the system's out-of-memory killer has ended; 0 where it does not say."""
    counts = 0
    for path in ("/proc/vmstat", "/sys/fs/cgroup/memory.events"):
        with suppress(OSError):
            lines = Path(path).read_text().splitlines()
            counts += sum(int(line.split()[1]) for line in lines if line.split()[0] == "oom_kill")
    return counts


def _state(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


@cache
def place() -> str:
    """Return 8 hexadecimal digits for where process numbers mean what they mean here: machine, boot and container."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass  # not Linux: the machine's name has to do
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def runs(pid: int, started: str = "") -> bool:
    """Return whether a process of this place runs, and where it is known since when, whether it is still that one."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    return not started or start(pid) in ("", started)


def start(pid: int) -> str:
    """Return when a process started, in the system's clock ticks since it booted; empty where nothing says so."""
    try:
        # the program's name, in parentheses, may hold anything
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
