"""Whether the process that left a file behind still runs: its machine, its number and when it started."""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path


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
