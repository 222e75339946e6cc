"""The engine that hands cells to workers, and takes them back, whatever becomes of a worker.

Every cell is handed to one place of one worker, and none before that place is free: so it is known which cells were
under way where a worker died. Where they were several, each has the next worker to itself, so that only the one that
kills is blamed. Dask says who joins and who leaves; it retries nothing.
"""

from __future__ import annotations

import queue
import secrets
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from nidbench.errors import NidbenchError
from nidbench.records import Point
from nidbench.sweep.cell import ComputedCell, failed_cell
from nidbench.sweep.engine import Latest, Work, scored_case
from nidbench.sweep.events import CellEvents, Events
from nidbench.sweep.options import RunOptions
from nidbench.system.signals import check

from . import host
from .cluster import CLOSING, GONE, require_scheduler, tell
from .handed import Handed, Wanted, attempt_at, case_of

if TYPE_CHECKING:
    from distributed import Client, Future

#: Workers that a cell may take along before it is given up.
DEATHS = 3

#: Seconds of the attempts to fetch a result, between which is looked whether its worker is still there.
FETCH = (2.0, 4.0, 8.0, 16.0, 30.0)

#: Seconds in which workers that are there must say whether they are of use.
GREETING = 120.0

#: A worker's address and the number of one of its places.
Place = tuple[str, int]


@dataclass(eq=False)
class _Attempt:
    """A cell under way."""

    work: Work
    places: Sequence[Place]
    reports: CellEvents
    future: Future | None = None
    begun: bool = False

    @property
    def address(self) -> str:
        """Its worker's."""
        return self.places[0][0]


@dataclass(eq=False)
class _State:
    """What is under way.

    Attributes:
        free: places that wait for a cell.
        places: how many a worker has, by its address.
        attempts: by their names.
        again: cells whose worker left.
        suspects: ids of cells that were under way with others where a worker died.
        deaths: how many workers a cell took along, by its id.
        refused: why workers are of no use.
        greeted: workers that were asked whether they are of use; None in the place of an answer that was heard.
        leaving: workers that said that they leave.
        lonely: whether it was said that there is no worker left.
    """

    free: deque[Place] = field(default_factory=deque)
    places: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, _Attempt] = field(default_factory=dict)
    suspects: set[str] = field(default_factory=set)
    again: deque[Work] = field(default_factory=deque)
    deaths: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    greeted: dict[str, Future | None] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)
    lonely: bool = False


class Parallel:
    """Computes cells on the workers of a cluster.

    Args:
        client: connection to the cluster.
        wanted: what workers must be able to do.
        options: time limits, checkpoints and observation.
        per_device: cells at once on one card.
        wait: seconds in which a first worker must be fit for use, or another take the place of the last that left.
    """

    def __init__(self, client: Client, wanted: Wanted, options: RunOptions, per_device: int, wait: float) -> None:
        self._client, self._wanted, self._options, self._per_device = client, wanted, options, per_device
        self._wait = wait
        self._news: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._state = _State()
        self._cases, self._scored = Latest(case_of), Latest(scored_case)

    def cells(self, works: Iterable[Work], events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Yield every cell as it ends, see `Engine`.

        Raises:
            NidbenchError: where no worker is of use, or the scheduler has gone.
        """
        state, source = self._state, iter(works)
        self._client.subscribe_topic(self._wanted.topic, lambda event: self._news.put(("report", event[1])))
        self._client.subscribe_topic("all", lambda event: self._news.put(("cluster", event[1])))
        for address in self._addresses():
            self._greet(address)
        since = time.monotonic()
        ended: list[tuple[Work, ComputedCell]] = []
        upcoming = next(source, None)
        while True:
            try:  # free places first: the next cells are under way while those that ended are written
                check()
                while (upcoming or state.again) and (places := self._places_for_next()):
                    if state.again:
                        self._hand_out(state.again.popleft(), places, events)
                    elif upcoming:
                        self._hand_out(upcoming, places, events)
                        upcoming = next(source, None)
            finally:
                yield from ended
            if not upcoming and not state.attempts and not state.again:
                return
            if upcoming and state.attempts:
                self._cases.of(upcoming.job)  # made while the workers are busy
            if state.attempts:
                since = time.monotonic()
            self._require_workers(since, events)
            ended = list(self._heed(events))

    def checkpoint(self, seconds: float) -> None:
        """Make the cells under way save their state, see `Engine`."""
        deadline = time.monotonic() + seconds
        busy = list({attempt.address for attempt in self._state.attempts.values()})
        if busy:
            tell(self._client, host.interrupt, self._wanted.topic, seconds / 2, workers=busy)
        while self._state.attempts and time.monotonic() < deadline:
            try:
                kind, news = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if kind == "ended":
                self._state.attempts.pop(news, None)
            elif kind == "cluster" and news.get("action") == "remove-worker":
                for name in self._attempts_on(news["worker"]):  # what it did not save by now it never will
                    del self._state.attempts[name]

    def close(self) -> None:
        """End what computes on the workers; the cluster's own end is its owner's business."""
        if self._client.status != "running":
            return
        if self._state.attempts:
            tell(self._client, host.interrupt, self._wanted.topic, CLOSING)
        for attempt in self._state.attempts.values():
            if attempt.future is not None:
                attempt.future.cancel()
        tell(self._client, host.close, self._wanted.topic, CLOSING)
        for topic in (self._wanted.topic, "all"):
            with suppress(ValueError):  # it ended before anything was heard
                self._client.unsubscribe_topic(topic)

    def _addresses(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def _greet(self, address: str) -> None:
        """Ask a worker whether it is of use."""
        if address in self._state.greeted:
            return
        future = self._submit(host.greet, host.software(), self._wanted, address=address, key=f"greet-{address}")
        self._state.greeted[address] = future
        future.add_done_callback(lambda _: self._news.put(("greeted", address)))

    def _submit(self, function: Any, *arguments: Any, address: str, key: str) -> Future:
        return self._client.submit(
            function, *arguments, key=f"{key}-{secrets.token_hex(4)}", workers=[address], pure=False, retries=0
        )

    def _places_for_next(self) -> Sequence[Place]:
        """Return the places that the next cell takes: one, or a whole worker for a suspect; none where it must wait."""
        state = self._state
        if not state.again or state.again[0].job.cell.id not in state.suspects:
            return [state.free[0]] if state.free else []
        for address, count in state.places.items():
            places = [place for place in state.free if place[0] == address]
            if len(places) == count:
                return places
        return []

    def _hand_out(self, work: Work, places: Sequence[Place], events: Events) -> None:
        """Hand a cell to free places."""
        state, name = self._state, attempt_at(work.job.cell.id)
        state.free = deque(place for place in state.free if place not in places)
        address, number = places[0]
        handed = Handed(
            attempt=name,
            topic=self._wanted.topic,
            request=replace(work.request, device=self._wanted.device),
            case=self._cases.of(work.job),
            options=self._options,
            place=number,
            memory=self._wanted.memory,
            home=_home(work.request.work.parent),
        )
        attempt = _Attempt(work, places, events.started(work.job))
        state.attempts[name] = attempt
        attempt.future = self._submit(host.compute, handed, address=address, key=name)
        attempt.future.add_done_callback(lambda _: self._news.put(("ended", name)))

    def _heed(self, events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Wait for news, at most a second; yield the cell that it ends, if any."""
        try:
            kind, news = self._news.get(timeout=1.0)
        except queue.Empty:
            return
        if kind == "report" and news["kind"] == "leaving":
            self._state.leaving.add(news["address"])
            self._forget_places(news["address"])
        elif kind == "report":
            self._report(news)
        elif kind == "greeted":
            self._welcome(news, events)
        elif kind == "ended":
            yield from self._ended(news, events)
        elif news.get("action") == "add-worker":
            self._greet(news["worker"])
        elif news.get("action") == "remove-worker":
            yield from self._left(news["worker"], bool(news.get("expected")), events)

    def _report(self, news: Any) -> None:
        attempt = self._state.attempts.get(news["attempt"])
        if attempt is None:  # of an attempt that has ended
            return
        values = news["values"]
        if news["kind"] == "begun":
            attempt.begun = True
        elif news["kind"] == "progress":
            attempt.reports.progress(*values)
        elif news["kind"] == "observed":
            attempt.reports.observed(Point(*values))
        else:
            attempt.reports.warned(*values)

    def _welcome(self, address: str, events: Events) -> None:
        """Take note of what a worker said of itself."""
        future = self._state.greeted.get(address)
        if future is None or future.status not in ("finished", "error"):  # it has left
            return
        refusal: object = _words(future.exception()) if future.status == "error" else self._fetched(future, address)
        if isinstance(refusal, TimeoutError) and address in self._addresses():  # it is still there: look again later
            self._news.put(("greeted", address))
            return
        self._state.greeted[address] = None  # the worker can forget it, too
        if isinstance(refusal, Exception):  # it has just left
            return
        if refusal:
            self._state.refused[address] = str(refusal)
            events.warned(f"worker {address} is not used: {refusal}")
            return
        info = self._client.scheduler_info(n_workers=-1)["workers"].get(address)
        if info is not None and address not in self._state.leaving:
            self._state.places[address] = places(info, self._wanted, self._per_device)
            self._state.free.extend((address, number) for number in range(self._state.places[address]))

    def _ended(self, name: str, events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Take the result of an attempt, unless its worker has left with it."""
        attempt = self._state.attempts.get(name)
        if attempt is None or attempt.future is None:
            return
        future = attempt.future
        if future.status == "cancelled":
            raise NidbenchError(GONE)
        if future.status == "error":
            why = _words(future.exception())
            self._give_up_worker(attempt.address, why, events)
            yield from self._refused(name, why, events)
        elif future.status == "finished":  # else its worker has left with the result, and dask will say so
            yield from self._taken(name, self._fetched(future, attempt.address), events)

    def _taken(self, name: str, result: object, events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Take what a worker returned, or look again later where it did not arrive."""
        attempt = self._state.attempts[name]
        if isinstance(result, Exception):
            if attempt.address in self._state.places:
                self._news.put(("ended", name))
        elif isinstance(result, str):
            yield from self._refused(name, result, events)
        else:
            self._free(self._state.attempts.pop(name))
            if isinstance(result, ComputedCell):
                yield attempt.work, result
            else:  # somebody told the worker to stop
                self._state.again.append(attempt.work)

    def _refused(self, name: str, why: str, events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Hand a cell to another worker that one could not compute."""
        attempt = self._state.attempts.pop(name)
        self._free(attempt)
        yield from self._again(attempt, f"could not be computed on {attempt.address}: {why}", events)

    def _free(self, attempt: _Attempt) -> None:
        if attempt.address in self._state.places:  # else it left, or is not used any more
            self._state.free.extend(attempt.places)

    def _fetched(self, future: Future, address: str) -> object:
        """Return the result that a worker has, or why it did not arrive."""
        why: Exception = TimeoutError(f"{address} handed nothing over")
        for seconds in FETCH:
            try:
                return future.result(timeout=seconds)
            except TimeoutError as error:
                why = error
            except Exception as error:  # noqa: BLE001 - whatever dask says of a worker that left with its result
                return error
            if address not in self._addresses():
                break
        return why

    def _left(self, address: str, expected: bool, events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Hand the cells of a worker that left to others; it was not theirs where it left in order."""
        state = self._state
        expected = expected or address in state.leaving
        state.leaving.discard(address)
        state.greeted.pop(address, None)
        self._forget_places(address)
        lost = self._attempts_on(address)
        begun = sum(state.attempts[name].begun for name in lost)
        for attempt in [state.attempts.pop(name) for name in lost]:
            if attempt.future is not None:
                attempt.future.cancel()
            if expected or not attempt.begun:
                state.again.append(attempt.work)
            elif begun > 1:
                state.suspects.add(attempt.work.job.cell.id)
                state.again.append(attempt.work)
                self._say(attempt.work, f"its worker {address} died", events)
            else:
                yield from self._again(attempt, f"its worker {address} died", events)

    def _attempts_on(self, address: str) -> list[str]:
        """Return the names of the attempts that are under way on a worker."""
        return [name for name, attempt in self._state.attempts.items() if attempt.address == address]

    def _again(self, attempt: _Attempt, why: str, events: Events) -> Iterator[tuple[Work, ComputedCell]]:
        """Have a cell computed again elsewhere; yield it as failed where it took too many workers along."""
        work, deaths = attempt.work, self._state.deaths
        deaths[work.job.cell.id] += 1
        if deaths[work.job.cell.id] < DEATHS:
            self._say(work, why, events)
            self._state.again.append(work)
            return
        yield (
            work,
            failed_cell(work.request, self._scored.of(work.job), f"{DEATHS} workers could not do it; the last: {why}"),
        )

    @staticmethod
    def _say(work: Work, why: str, events: Events) -> None:
        label, key = work.job.planned.label, work.job.case.key
        events.warned(f"{label} {key}: {why}; the cell is computed again elsewhere")

    def _give_up_worker(self, address: str, why: str, events: Events) -> None:
        """Use a worker no more that cannot do its part."""
        self._forget_places(address)
        self._state.refused[address] = why
        events.warned(f"worker {address} is not used any more: {why}")

    def _forget_places(self, address: str) -> None:
        """Hand a worker no further cell."""
        self._state.places.pop(address, None)
        self._state.free = deque(place for place in self._state.free if place[0] != address)

    def _require_workers(self, since: float, events: Events) -> None:
        """Say that there is no worker, and refuse to wait for ever for one.

        Raises:
            NidbenchError: naming why those that there were are of no use.
        """
        state = self._state
        if state.attempts or state.places:
            state.lonely = False
            return
        asked = any(state.greeted.values())
        if not (state.lonely or asked):
            state.lonely = True
            events.warned(f"there is no worker: waiting for one, {self._wait:g} s at most")
        if time.monotonic() - since < (max(self._wait, GREETING) if asked else self._wait):
            return
        require_scheduler(self._client)
        reasons = "; ".join(f"{address}: {why}" for address, why in state.refused.items()) or "none has joined"
        raise NidbenchError(
            f"no worker to compute on for {self._wait:g} s ({reasons}): start one that is of use and run the same "
            "command again; finished cells are kept"
        )


def places(info: Any, wanted: Wanted, per_device: int) -> int:
    """Return how many cells a worker computes at once: as its card allows, else its threads.

    Args:
        info: what dask knows of it.
        wanted: what the cells need.
        per_device: cells at once on one card.
    """
    threads = int(info["nthreads"])
    return min(per_device, threads) if wanted.device.startswith("cuda") else max(1, threads // wanted.threads)


def _home(folder: Path) -> str:
    """Return a name for a results folder of this machine."""
    return sha256(f"{gethostname()} {folder.absolute()}".encode()).hexdigest()[:16]


def _words(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"[:300]
