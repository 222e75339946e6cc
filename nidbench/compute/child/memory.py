"""The memory of a computing process: its limit, its peak, and errors that say that it ran out."""

from __future__ import annotations

import resource
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from nidbench.contract import handed
from nidbench.system import processes


def in_a_line(error: BaseException) -> str:
    """Return an exception as a line of text: its type and its message, or only its type where the message fails."""
    return handed.text(traceback.format_exception_only(error)[-1].strip(), 1000)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory ran out; PyTorch's CPU allocator has no exception type for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in in_a_line(error)


@contextmanager
def limit_memory(limit: int | None) -> Iterator[None]:
    """Limit the memory of this process while the block runs, so that a method that asks for more gets an error.

    Args:
        limit: bytes beyond those that the process has now; None for no limit. Linux counts private writable memory;
            other systems have no limit.
    """
    if limit is None or not processes.LINUX:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    total = processes.data_size() + limit
    resource.setrlimit(resource.RLIMIT_DATA, (total if hard == resource.RLIM_INFINITY else min(total, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def reset_peak_memory(device: str) -> int:
    """Start a new measurement of the peak, where the system allows that, and return the bytes in use now."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    processes.return_memory()  # memory that an earlier cell freed would hide what this one uses
    with suppress(OSError):  # not Linux: the peak is that since the process started
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory(device)


def peak_memory(device: str) -> int:
    """Return the peak since the last reset: resident bytes of this process, or allocated bytes of a CUDA device.

    Args:
        device: torch device name.
    """
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = processes.proc_text("/proc/self/status").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
