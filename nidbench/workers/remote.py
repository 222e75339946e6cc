"""Asks a worker of a cluster in place of a process of this machine, which may lack cards, data and memory."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nidbench.compute.computer import Listener
from nidbench.compute.messages import Greet, Hello, Request
from nidbench.errors import NidbenchError

from . import host
from .cluster import CLOSING, GONE, require_scheduler, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

#: Seconds between two looks at who has joined.
_PACE = 0.2

#: Workers that may leave while they are asked the same.
_ATTEMPTS = 3


class _LeftError(NidbenchError):
    """A worker left while it was asked."""


class RemoteComputer:
    """Answers requests on the first worker of a cluster that has the same software.

    Args:
        client: connection to the cluster.
        wait: seconds to wait for such a worker.
        say: receives a line where that has to be waited for.
    """

    def __init__(self, client: Client, wait: float, say: Callable[[str], None]) -> None:
        self._client, self._wait, self._say = client, wait, say
        self._hello: Hello | None = None
        self._address, self._topic = "", f"ask-{secrets.token_hex(8)}"

    def use_threads(self, threads: int) -> None:
        """Do nothing: every task says how many threads it has."""

    def hello(self) -> Hello:
        """Return the devices and the environment of the worker."""
        if self._hello is None:
            hello: Hello = self.ask(Greet(), lambda _: None)
            self._hello = hello
        return self._hello

    def ask(self, request: Request, listener: Listener, seconds: float | None = None) -> Any:
        """Return the answer to a request, see `Computer.ask`; the messages before it come together with it.

        Raises:
            NidbenchError: where no worker is of use.
        """
        answer, before = self._call(host.answered, self._topic, request, seconds)
        if isinstance(answer, Exception):
            raise answer
        for message in before:
            listener(message)
        return answer

    def checkpoint(self, seconds: float) -> None:
        """Do nothing: what is asked here is not resumed."""

    def close(self) -> None:
        """End the computing processes that answered; the cluster's own end is its owner's business."""
        if self._client.status == "running" and self._address in self._workers():
            tell(self._client, host.close, self._topic, CLOSING, workers=[self._address])

    def _call(self, function: Any, *arguments: Any) -> Any:
        for _ in range(_ATTEMPTS - 1):
            with suppress(_LeftError):
                return self._submitted(self._worker(), function, *arguments)
            self._say(f"worker {self._address} left while it was asked: another one is asked")
            self._address = ""
        return self._submitted(self._worker(), function, *arguments)

    def _worker(self) -> str:
        self._address = self._address or self._found()
        return self._address

    def _submitted(self, address: str, function: Any, *arguments: Any) -> Any:
        """Return what a function returns on a worker.

        Raises:
            NidbenchError: where the worker leaves meanwhile, or the scheduler has gone.
            Exception: what the function raises.
        """
        key = f"ask-{secrets.token_hex(8)}"
        future = self._client.submit(function, *arguments, key=key, workers=[address], pure=False)
        while True:
            try:
                return future.result(timeout=1.0)
            except CancelledError:
                raise NidbenchError(GONE) from None
            except TimeoutError:
                if future.status == "error":  # it is the function's own; what only came late is there the next time
                    return future.result()
                require_scheduler(self._client)
                if address not in self._workers():
                    raise _LeftError(f"worker {address} left while it was asked: run the same command again") from None

    def _workers(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def _found(self) -> str:
        """Return the address of a worker with the same software."""
        deadline, refused, waiting = time.monotonic() + self._wait, dict[str, str](), False
        while True:
            require_scheduler(self._client)
            for address in self._workers():
                if address in refused:
                    continue
                refusal = self._refusal(address)
                if not refusal:
                    return address
                refused[address] = refusal
                self._say(f"worker {address} is not used: {refusal}")
            if time.monotonic() >= deadline:
                break
            if not waiting:
                waiting = True
                self._say(f"the scheduler has no worker to compute on: waiting for one, {self._wait:g} s at most")
            time.sleep(_PACE)
        reasons = "; ".join(f"{address}: {why}" for address, why in refused.items()) or "none has joined"
        raise NidbenchError(f"the cluster has no worker to compute on ({reasons}): start one that is of use")

    def _refusal(self, address: str) -> str:
        try:
            return str(self._submitted(address, host.greet, host.software(), None))
        except Exception as error:  # noqa: BLE001 - it may lack nidbench altogether
            return f"{type(error).__name__}: {error}"
