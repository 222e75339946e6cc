"""Receives the messages of a cell that is being computed: scores estimates, and keeps the curve and extra arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.compute.messages import Draw, Kept, MessageError, Observation, Progress
from nidbench.contract.run import DRAWS
from nidbench.records import Point
from nidbench.scoring.scorer import Averages, Scorer

from .events import CellEvents

#: Largest number of bytes of the arrays that are kept of a cell.
MOST_KEPT = 1 << 30


class Nobody:
    """Receives the reports on a cell that nobody watches."""

    def progress(self, done: int, planned: int) -> None:
        """Do nothing."""

    def observed(self, point: Point) -> None:
        """Do nothing."""

    def warned(self, message: str) -> None:
        """Do nothing."""


class CellWatch:
    """Scores the estimates that a method shows, and keeps the curve and the extra arrays of its cell.

    Args:
        scorer: scores the estimates.
        events: receives the progress, the points of the curve, and warnings.
        work: folder of the unfinished cell, for its curve.
        keeps_draws: True to keep posterior draws.

    Attributes:
        done: number of iterations done.
        resumed: how often the cell went on in a new process.
        averages: PSNR of averaged draws.
        faults: estimates that could not be scored, in words.
    """

    def __init__(self, scorer: Scorer, events: CellEvents, work: Path, *, keeps_draws: bool = False) -> None:
        self._scorer = scorer
        self._keeps_draws = keeps_draws
        self._events = events
        self._file = work / "curve.jsonl"
        self._points = {point.iteration: point for point in _read_curve(self._file)}
        self._unwritten: list[Point] = []
        self._trouble = ""
        self.done = 0
        self.resumed = 0
        self.begin()

    def begin(self) -> None:
        """Forget the draws and arrays of an attempt that was cut off: the next attempt shows all of them again."""
        self.averages = Averages(self._scorer)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._draws: list[NDArray[np.float16]] = []
        self._bytes = 0
        self.faults: Sequence[str] = ()

    def killed(self, message: str) -> None:
        """Note that the computing process died and that another one will go on; `message` warns of it."""
        self.resumed += 1
        self._events.warned(message)

    def receive(self, message: object) -> None:
        """Receive a message of the computing process.

        Raises:
            MessageError: where the arrays to keep are too large.
        """
        if isinstance(message, Progress):
            self.done = message.done
            self._events.progress(message.done, message.planned)
        elif isinstance(message, Draw):
            self.averages.add(message.image)
            if self._keeps_draws:
                self._count_bytes(message.image)
                with np.errstate(over="ignore"):  # values beyond float16 become infinite, which a record can hold
                    self._draws.append(message.image.astype(np.float16))
        elif isinstance(message, Kept):
            self._count_bytes(message.array)
            self._arrays[message.name] = message.array
        elif isinstance(message, Observation):
            self._observe(message)

    def _observe(self, observation: Observation) -> None:
        self.done = max(self.done, observation.iteration)
        if not np.isfinite(observation.image).all():
            self.faults = ("an estimate that is not finite, which the curve has no point for",)
            return
        score = self._scorer.score(observation.image)
        if score is not None:
            point = Point(observation.iteration, observation.seconds, score.psnr, score.ssim)
            self._points[point.iteration] = point
            self._write_point(point)
            self._events.observed(point)

    def _count_bytes(self, array: NDArray[Any]) -> None:
        self._bytes += array.nbytes
        if self._bytes > MOST_KEPT:
            raise MessageError(f"it handed over more than {MOST_KEPT >> 30} GiB to be kept: keep less")

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return the method's arrays by name and, where draws are kept, its draws, Shape (n, C, H, W), float16."""
        return self._arrays | ({DRAWS: np.stack(self._draws)} if self._draws else {})

    def curve(self) -> list[Point]:
        """Return the points of the curve by iteration; a point that was computed again replaces the earlier one."""
        return [self._points[iteration] for iteration in sorted(self._points)]

    def trouble(self, details: Mapping[str, Any]) -> dict[str, str]:
        """Return the detail `trouble` of a record: that of the method, and that of the curve; empty for none.

        Args:
            details: details of the restoration.
        """
        troubles = [text for text in (details.get("trouble"), self._trouble) if text]
        return {"trouble": "; ".join(map(str, troubles))} if troubles else {}

    def _write_point(self, point: Point) -> None:
        """Add a point to the file of the curve, for a cell that is cut off; a full disk does not end the cell."""
        self._unwritten.append(point)
        lines = [json.dumps(asdict(unwritten)) for unwritten in self._unwritten]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                # begin with a new line, because the last one may be cut off
                file.write("".join(f"\n{line}" for line in lines))
        except OSError as error:
            if not self._trouble:
                self._events.warned(f"the curve cannot be written ({error}): it is lost if the cell is cut off now")
            self._trouble = f"the curve could not be written: {error}"
        else:
            self._unwritten.clear()


def _read_curve(path: Path) -> list[Point]:
    points = []
    for line in _lines(path):
        try:
            point = json.loads(line)
            numbers = (float(point[name]) for name in ("seconds", "psnr", "ssim"))
            points.append(Point(int(point["iteration"]), *numbers))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # cut off while it was being written
            continue
    return points


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:  # missing or unreadable: the record will have the points from now on
        return []
