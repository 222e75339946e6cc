"""Clusters of workers: one of this machine, that lives as long as it is needed, or one that runs already."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nidbench.errors import InputError, NidbenchError

if TYPE_CHECKING:
    from distributed import Client

#: Seconds in which a scheduler must answer.
PATIENCE = 10.0

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
        raise InputError(
            f"{workers} workers on {len(cards)} cards with {asked.per_device} on each: give at most "
            f"{len(cards) * asked.per_device} workers, or more of them on each card (per_device)"
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

    where: Mapping[str, Any] = {"address": scheduler}
    if "://" not in scheduler and (os.sep in scheduler or Path(scheduler).suffix == ".json"):
        if not Path(scheduler).is_file():
            raise InputError(
                f"scheduler {scheduler}: there is no such file; give that of dask scheduler --scheduler-file, or an "
                "address such as tcp://node1:8786"
            )
        where = {"scheduler_file": scheduler}
    try:
        client = Client(**where, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
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


def require_scheduler(client: Client) -> None:
    """Refuse to go on with a scheduler that has gone.

    Raises:
        NidbenchError: saying what to do.
    """
    if client.status not in ("running", "connecting") or not client.scheduler_comm:
        raise NidbenchError(GONE)
