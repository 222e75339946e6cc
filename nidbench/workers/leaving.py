"""A worker whose time is over leaves in order: its cells save their state, and go on elsewhere with nobody to blame.

Slurm, Kubernetes and others send SIGTERM to a job some seconds before they kill it. Dask's own command then cuts the
connection in the middle of a cell, which nobody can tell from a worker that the cell took along.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

#: The signals at which dask's command has its worker leave.
LEAVING = (signal.SIGINT, signal.SIGTERM)

#: Seconds between two looks whether results were fetched.
_PACE = 0.05


class Leaving:
    """Has a worker leave in order when its process is told to stop; told again, it does what it did before.

    Args:
        worker: dask's.
        announce: says that it leaves; called in the thread of its loop.
        end_cells: has its cells end, and waits for them.
        seconds: in which their results must be fetched.

    Attributes:
        begun: whether it was told to stop.
    """

    def __init__(
        self, worker: Any, announce: Callable[[], None], end_cells: Callable[[], None], seconds: float
    ) -> None:
        self._worker, self._announce, self._end_cells, self._seconds = worker, announce, end_cells, seconds
        self.begun = False
        self._before: dict[signal.Signals, Any] = {}
        self._task: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Take the signals over; to be called in the thread of the worker's loop, which must be the main one."""
        if threading.current_thread() is not threading.main_thread():  # it is a part of somebody's program
            return
        self._before = {number: signal.signal(number, self._told) for number in LEAVING}

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        for number, action in self._before.items():
            signal.signal(number, action)
        self._worker.loop.asyncio_loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._leave())

    async def _leave(self) -> None:
        self.begun = True
        self._announce()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        await asyncio.to_thread(self._end_cells)
        while self._worker.state.tasks and loop.time() < deadline:  # until the coordinating process has all results
            await asyncio.sleep(_PACE)
        await self._worker.close(reason="told to stop")
