"""Keeps what computing processes print: the end of it in memory, more in a log of bounded size."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path

from nidbench.contract import handed

#: Bytes after which a new log is begun; the one before it is kept.
_LOG_SIZE = 1 << 20


class Output:
    """Reads what computing processes print through a pipe, and writes it to a log.

    Args:
        log: the log file; together with the one before it, `.old`, it takes at most 2 MiB.

    Attributes:
        reader, writer: file descriptors of the pipe.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._tail: deque[bytes] = deque(maxlen=16)

    def begin(self) -> None:
        """Forget the output of earlier requests."""
        self.pump()
        self._tail.clear()

    def pump(self) -> None:
        """Read what has been printed, at most 4 MiB of it."""
        for _ in range(64):
            try:
                content = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                return
            self._tail.append(content)
            self._write(content)

    def tail(self) -> list[str]:
        """Return the last lines printed since `begin`."""
        self.pump()
        printed = b"".join(self._tail).decode(errors="replace")
        return [handed.text(line, 500) for line in printed.splitlines()[-20:]]

    def close(self) -> None:
        """Close the pipe; the log stays."""
        for handle in (self.reader, self.writer):
            os.close(handle)

    def _write(self, content: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end a cell that prints
            self._log.parent.mkdir(parents=True, exist_ok=True)
            if self._log.exists() and self._log.stat().st_size + len(content) > _LOG_SIZE:
                self._log.replace(self._log.with_suffix(".old"))
            with self._log.open("ab") as log:
                log.write(content)
