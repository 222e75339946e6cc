"""What the parent makes of the messages of a cell that is being computed."""

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

#: Bytes of arrays that are kept of one cell.
MOST_KEPT = 1 << 30


class CellWatch:
    """Scores what a method shows on the way, and keeps the curve of an unfinished cell."""

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
        """Forget the draws and arrays of an attempt that was cut off: the next one shows them all."""
        self.averages = Averages(self._scorer)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._draws: list[NDArray[np.float16]] = []
        self._bytes = 0
        self.faults: Sequence[str] = ()

    def killed(self, message: str) -> None:
        """Take note that the computing process died and that another one goes on."""
        self.resumed += 1
        self._events.warned(message)

    def heard(self, message: object) -> None:
        """Take one message of the computing process."""
        if isinstance(message, Progress):
            self.done = message.done
            self._events.progress(message.done, message.planned)
        elif isinstance(message, Draw):
            self.averages.add(message.image)
            if self._keeps_draws:
                self._take(message.image)
                with np.errstate(over="ignore"):  # a draw that is so far off is infinite, and a record all the same
                    self._draws.append(message.image.astype(np.float16))
        elif isinstance(message, Kept):
            self._take(message.array)
            self._arrays[message.name] = message.array
        elif isinstance(message, Observation):
            self.done = max(self.done, message.iteration)
            if not np.isfinite(message.image).all():
                self.faults = ("an estimate that is not finite, which the curve has no point for",)
                return
            score = self._scorer.score(message.image)
            if score is not None:
                point = Point(message.iteration, message.seconds, score.psnr, score.ssim)
                self._points[point.iteration] = point
                self._keep(point)
                self._events.observed(point)

    def _take(self, array: NDArray[Any]) -> None:
        self._bytes += array.nbytes
        if self._bytes > MOST_KEPT:
            raise MessageError(f"it handed over more than {MOST_KEPT >> 30} GiB to be kept: keep less")

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return the method's arrays by name and, where they were asked for, its draws, Shape (n, C, H, W)."""
        return self._arrays | ({DRAWS: np.stack(self._draws)} if self._draws else {})

    def curve(self) -> list[Point]:
        """Return the points by iteration; one that was computed again after an interruption counts once."""
        return [self._points[iteration] for iteration in sorted(self._points)]

    def trouble(self, details: Mapping[str, Any]) -> dict[str, str]:
        """Return what a record should say besides of trouble, where there was any."""
        told = [text for text in (details.get("trouble"), self._trouble) if text]
        return {"trouble": "; ".join(map(str, told))} if told else {}

    def _keep(self, point: Point) -> None:
        """Write a point down for the case that the cell is cut off; a disk that is full costs no more than that."""
        self._unwritten.append(point)
        lines = [json.dumps(asdict(each)) for each in self._unwritten]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                # a line of its own, even after one that was cut off
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
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # cut off while it was written
            continue
    return points


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:  # none is there, or none that can be read: the record will have the points from here on
        return []
