"""Clusters of workers: one of this machine, that lives as long as it is needed, or one that runs already."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nidbench.errors import InputError, NidbenchError
from nidbench.system.counts import count_of

if TYPE_CHECKING:
    from distributed import Client

#: Seconds in which a scheduler must answer.
PATIENCE = 10.0

#: Seconds in which workers must have ended what computes for a command that ends.
CLOSING = 5.0

#: Dask's setting of the variables with which a nanny starts a worker, and the one of them that slows cells down: free
#: memory in bytes beyond which it goes back to the system, from where fetching it again takes long.
ENVIRONMENT, TRIM = "distributed.nanny.pre-spawn-environ", "MALLOC_TRIM_THRESHOLD_"

#: What is said where a running cluster's scheduler has gone.
GONE = "the scheduler has gone: finished cells are kept; start it again and run the same command"

_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Asked:
    """Which workers compute.

    Attributes:
        workers: how many are started on this machine; None for none.
        scheduler: address or file of a running scheduler, whose workers compute; empty for none.
        per_device: cells at once on one card.
        wait: seconds to wait for a worker where the scheduler has none.

    Raises:
        InputError: where both are given, or a number is below 1.
    """

    workers: int | None = None
    scheduler: str = ""
    per_device: int = 1
    wait: float = 120.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler:
            raise InputError(
                f"workers {self.workers} and scheduler {self.scheduler}: give one of them, as a running cluster has "
                "workers of its own"
            )
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers {self.workers}: give 1 or more")
        if self.per_device < 1:
            raise InputError(f"per_device {self.per_device}: give 1 or more")

    @property
    def any(self) -> bool:
        """Whether workers compute at all."""
        return self.workers is not None or bool(self.scheduler)


def require(asked: Asked) -> None:
    """Refuse workers where dask is not installed.

    Raises:
        InputError: with the line that installs it.
    """
    try:
        import distributed  # noqa: F401 - whether it is there
    except ImportError as error:
        how = f"workers {asked.workers}" if asked.workers is not None else f"scheduler {asked.scheduler}"
        raise InputError(
            f"{how}: this needs dask, which is not installed ({error}): pip install 'nidbench[workers]'"
        ) from error


def visible(devices: Sequence[str]) -> Sequence[str]:
    """Return the cards of this machine, as `CUDA_VISIBLE_DEVICES` names them, by torch's names of its devices."""
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = sum(device.startswith("cuda") for device in devices)
    return given[:count] if given else [str(number) for number in range(count)]


@contextmanager
def cluster(asked: Asked, threads: int, cards: Sequence[str] = ()) -> Iterator[Client]:
    """Lend a connection to the workers asked for; those of this machine end with it.

    Args:
        asked: which.
        threads: CPU threads of a cell.
        cards: of this machine, as `CUDA_VISIBLE_DEVICES` names them, where cells are computed on them.

    Raises:
        InputError: where dask is not installed, or there are fewer cards than workers need.
        NidbenchError: where no scheduler answers.
    """
    require(asked)
    from distributed import Client

    with _silent():
        if asked.workers is None:
            with _connected(asked.scheduler) as client:
                yield client
            return
        with _local(asked.workers, threads, _shared(cards, asked)) as local, Client(local, timeout=PATIENCE) as client:
            yield client


@contextmanager
def _silent() -> Iterator[None]:
    """Keep dask's own words, tracebacks among them, from the terminal: what matters of them is said in ours."""
    handlers = logging.getLogger("distributed").handlers  # each of its loggers has a level of its own
    before = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in zip(handlers, before, strict=True):
            handler.setLevel(level)


def _shared(cards: Sequence[str], asked: Asked) -> Sequence[str]:
    """Return the card of every worker; none where cells need no card."""
    workers = asked.workers or 0
    if cards and workers > len(cards) * asked.per_device:
        most = count_of(len(cards) * asked.per_device, "worker")
        raise InputError(
            f"{count_of(workers, 'worker')} on {count_of(len(cards), 'card')} with {asked.per_device} on each: give at "
            f"most {most}, or more of them on each card (per_device)"
        )
    return [cards[number % len(cards)] for number in range(workers)] if cards else []


@contextmanager
def _local(workers: int, threads: int, cards: Sequence[str]) -> Iterator[Any]:
    """Start workers of this machine, which only this machine can reach."""
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    def options(number: int) -> Mapping[str, Any]:
        card = {"CUDA_VISIBLE_DEVICES": cards[number]} if cards else {}
        return {
            "nthreads": threads,
            "host": _HOST,
            "dashboard": False,
            "memory_limit": 0,  # a cell's own limit holds
            "preload": ["nidbench.workers.host"],
            "env": card,
            "silence_logs": logging.CRITICAL,
        }

    spec = {number: {"cls": Nanny, "options": options(number)} for number in range(workers)}
    # without a dashboard nothing listens but the scheduler, also to who asks for figures about it, and the workers: all
    # on the loopback device, on ports that are free
    served = {"dashboard": False, "dashboard_address": f"{_HOST}:0"}
    scheduler = {"cls": Scheduler, "options": {"host": _HOST, "port": 0, **served}}
    quiet = {"distributed.worker.use-file-locking": False, "distributed.comm.retry.count": 0}
    keeping = {name: value for name, value in dask.config.get(ENVIRONMENT).items() if name != TRIM}
    with (
        dask.config.set({**quiet, ENVIRONMENT: keeping}),
        SpecCluster(workers=spec, scheduler=scheduler, silence_logs=logging.CRITICAL, asynchronous=False) as running,
    ):
        yield running


@contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    """Connect to a running scheduler, whose address a file may hold."""
    from distributed import Client

    address = _address(scheduler)
    try:
        asyncio.run(_require_answer(address))
        client = Client(address, timeout=PATIENCE)
    except Exception as error:  # a program of another kind may answer anything, and dask raises as much
        raise NidbenchError(
            f"no scheduler answers at {scheduler} within {PATIENCE:g} s ({type(error).__name__}: {error}): start one "
            "with dask scheduler, or use --workers for this machine"
        ) from error
    with client:
        try:
            yield client
        except (CancelledError, OSError) as error:  # dask cancels what it no longer hears of
            if not isinstance(error, CancelledError):
                require_scheduler(client)
                raise
            raise NidbenchError(GONE) from error


def _address(scheduler: str) -> str:
    """Return the address of a scheduler, which a file may hold.

    Raises:
        InputError: where there is no such file, or it holds none.
    """
    file = Path(scheduler)
    if "://" in scheduler or not (os.sep in scheduler or file.suffix == ".json" or file.is_file()):
        return scheduler
    remedy = "give that of dask scheduler --scheduler-file, or an address such as tcp://node1:8786"
    if not file.is_file():
        raise InputError(f"scheduler {scheduler}: there is no such file; {remedy}")
    try:
        address = json.loads(file.read_bytes())["address"]
    except OSError as error:
        raise InputError(f"scheduler {scheduler}: it cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        address = None
    if not isinstance(address, str):
        raise InputError(f"scheduler {scheduler}: the file holds no address, or not yet; {remedy}")
    return address


async def _require_answer(address: str) -> None:
    """Wait for a scheduler's first words, and not for ever, as dask does where something else takes the connection."""
    from distributed import Security
    from distributed.comm import connect

    how = Security().get_connection_args("client")
    try:
        comm = await asyncio.wait_for(connect(address, timeout=PATIENCE, **how), PATIENCE)
    except TimeoutError as error:
        raise TimeoutError("what listens there says nothing that a scheduler says") from error
    comm.abort()


def tell(
    client: Client, function: Callable[[str], None], topic: str, seconds: float, workers: Sequence[str] | None = None
) -> None:
    """Call a function on workers, and wait for that, but no longer than a number of seconds.

    A worker that is frozen, or whose machine is out of reach, would be waited for as long as dask believes in it.

    Args:
        client: connection to the cluster.
        function: one of `host` that takes a topic.
        topic: the topic.
        seconds: the time.
        workers: addresses; None for all.
    """

    def call() -> None:
        with suppress(Exception):  # the connection may end before all have answered
            client.run(function, topic, workers=workers, on_error="ignore")

    calling = threading.Thread(target=call, name="nidbench tells workers", daemon=True)
    calling.start()
    calling.join(seconds)


def require_scheduler(client: Client) -> None:
    """Refuse to go on with a scheduler that has gone.

    Raises:
        NidbenchError: saying what to do.
    """
    if client.status not in ("running", "connecting") or not client.scheduler_comm:
        raise NidbenchError(GONE)
