"""A worker whose time is over leaves in order: its cells save their state, and go on elsewhere with nobody to blame.

Slurm, Kubernetes and others send SIGTERM to a job some seconds before they kill it: some to every process, some to the
first alone. A worker of `dask worker --no-nanny` then cuts its connection in the middle of a cell, and a nanny closes
its worker; both look as if the cell had taken the worker along.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

#: The signals at which dask's commands have their workers leave.
SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: Seconds in which cells must have saved their state and results been fetched: a nanny kills its worker after 8.
PATIENCE = 6.0

#: Seconds between two looks whether results were fetched.
_PACE = 0.05

#: Seconds after which a signal to a worker of a nanny that does not close it has its usual end.
_ALONE = 1.0


class Leaving(WorkerPlugin):  # type: ignore[misc]  # dask has no types
    """Has a worker announce that it leaves, end its cells, and hand over what is finished, before it closes.

    Dask calls `setup` and `teardown` in the thread of the worker's loop.

    Args:
        announce: says that it leaves.
        end_cells: has its cells end, and waits for them.
        is_result: whether a task of a name is a cell.

    Attributes:
        begun: whether it leaves.
    """

    def __init__(
        self, announce: Callable[[], None], end_cells: Callable[[], None], is_result: Callable[[str], bool]
    ) -> None:
        self._announce, self._end_cells, self._is_result = announce, end_cells, is_result
        self.begun = False
        self._worker: Any = None
        self._before: dict[signal.Signals, Any] = {}
        self._closing: asyncio.Task[None] | None = None

    def setup(self, worker: Any) -> None:
        """Take the signals over, where this is the program's main thread, and not a part of somebody's program."""
        self._worker = worker
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._told) for number in SIGNALS}

    async def teardown(self, worker: Any) -> None:
        """Announce it, end the cells, and wait until what is finished was fetched."""
        self.begun = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        self._announce()
        await asyncio.to_thread(self._end_cells)
        while any(self._is_result(str(key)) for key in worker.data) and loop.time() < deadline:
            await asyncio.sleep(_PACE)

    def _told(self, number: int, _frame: FrameType | None) -> None:
        self._give_back_signals()
        self._worker.loop.asyncio_loop.call_soon_threadsafe(self._begin, number)

    def _give_back_signals(self) -> None:
        for number, action in self._before.items():
            signal.signal(number, action)

    def _begin(self, number: int) -> None:
        self._closing = asyncio.get_running_loop().create_task(self._close(number))

    async def _close(self, number: int) -> None:
        """Close the worker, unless its nanny does so: that one may also have found that it takes too much memory."""
        if not self._worker.nanny:
            await self._worker.close(reason="told to stop")
            return
        await asyncio.sleep(_ALONE)
        if not self.begun:
            signal.raise_signal(signal.Signals(number))
