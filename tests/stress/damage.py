"""Results folders whose files were damaged in every way, read by every command: no traceback, other rows as before.

    python tests/stress/damage.py --files 1000 --seed 0

One file of a small sweep is damaged at a time, a record mostly, and several commands are called in this process. A
fault is an exception that is no message, and a row of another method that a damaged cell has changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from nidbench.cli import main

RUN = ("run", "--methods", "wiener,fid", "--dataset", "sample", "--crop", "40", "--tracking", "none", "--no-pictures")
RUN = (*RUN, "--in-process", "--yes", "--device", "cpu", "--precision", "float32", "--observe", "1")
#: Called after every damage, and by turns.
ALWAYS = (("table", "--format", "csv"), ("differences",))
BY_TURNS = (
    ("ranks",),
    ("compare",),
    ("orders",),
    ("figure", "curves"),
    ("figure", "fig1"),
    ("rescore", "--protocol", "shift-aligned"),
    ("rescore", "--protocol", "kohler", "--dry-run"),
    (*RUN, "--dry-run"),
    RUN,
    ("sheets", "--most", "1"),
    ("report",),
    ("table", "--format", "html"),
    ("sync",),
)

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "text", "\0", "\ud800", "<b>|\n|</b>"),
    *([], {}, [[]], {"": None}, "x" * 100_000, [0] * 1000),
)


def places(content: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the way to each value inside JSON."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        yield (*where, key)
        yield from places(value, (*where, key))


def damaged_value(content: bytes, random: np.random.Generator) -> bytes:
    """Return JSON with one value another, gone, there twice, or nested deeply."""
    whole = json.loads(content)
    every = list(places(whole))
    *way, last = every[random.integers(len(every))]
    inner = whole
    for key in way:
        inner = inner[key]
    kind = random.integers(10)
    if kind == 0:
        del inner[last]
    elif kind == 1:
        inner[last] = "HERE"
        return json.dumps(whole).replace('"HERE"', "[" * 100_000 + "]" * 100_000).encode()
    elif kind == 2 and isinstance(inner, dict):
        inner[f"{last}x"] = inner.pop(last)
    elif kind == 3:
        name = json.dumps(last)
        return json.dumps(whole).replace(f"{name}:", f"{name}: 1, {name}:", 1).encode()
    else:
        inner[last] = VALUES[random.integers(len(VALUES))]
    return json.dumps(whole).encode("utf-8", "surrogatepass")


def damaged_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """Return bytes cut off, overwritten, changed in places, repeated, or of another encoding."""
    at = int(random.integers(len(content) + 1))
    flipped = bytearray(content)
    for place in random.integers(len(content), size=3) if content else ():
        flipped[place] ^= 1 << int(random.integers(8))
    ways = (
        *(content[:at], content[at:], bytes(flipped), bytes(flipped), bytes(len(content)), b"", content * 2),
        *(b"\xff\xfe" + content, content[:at] + b"\xff" + content[at:], content[:at] + b"\0" + content[at:]),
        *(random.bytes(100), b"null", b"3", b'"text"', b"[]", b"{}", b"[" * 200_000),
    )
    return ways[random.integers(len(ways))]


def damage(path: Path, random: np.random.Generator) -> None:
    """Damage one file."""
    content, kind = path.read_bytes(), random.integers(20)
    path.unlink()
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        path.symlink_to(path.name if random.integers(2) else "nowhere")
    elif kind > 2 and path.suffix == ".json" and random.integers(3):
        path.write_bytes(damaged_value(content, random))
    elif kind > 2:
        path.write_bytes(damaged_bytes(content, random))


def call(arguments: tuple[str, ...], out: Path) -> Result:
    """Call a command in this process."""
    return CliRunner().invoke(main, [*arguments, "--output", str(out)])


class Damages:
    """A sweep that is damaged again and again.

    Args:
        folder: where to.
        seed: of what is damaged, and how.
        told: takes each fault.
    """

    def __init__(self, folder: Path, seed: int = 0, told: Callable[[str], None] = lambda _: None) -> None:
        self._whole, self._copy = folder / "whole", folder / "copy"
        self._random, self._told = np.random.default_rng(seed), told
        self.faults: Counter[str] = Counter()
        self.calls = 0
        first = call(RUN, self._whole)
        if first.exit_code:
            raise SystemExit(f"the sweep could not be computed:\n{first.output}{first.exception!r}")
        self._methods = {
            path: json.loads(path.read_bytes())["cell"]["method"] for path in self._whole.glob("cells/*/record.json")
        }
        for path in list(self._methods):  # what a cell in flight has
            work = self._whole / "work" / path.parent.name
            work.mkdir(parents=True)
            (work / "curve.jsonl").write_text('{"iteration": 1, "seconds": 0.1, "psnr": 20.0, "ssim": 0.5}\n')
            (work / "checkpoint").write_bytes(bytes(50))
        self._rows = self._by_method(call(ALWAYS[0], self._whole).output)

    def run(self, files: int, *, by_turns: tuple[tuple[str, ...], ...] = BY_TURNS) -> None:
        """Damage so many files, one at a time."""
        every = sorted(path for path in self._whole.rglob("*") if path.is_file() and path.name != ".lock")
        records = sorted(self._methods)
        for number in range(files):
            choice = records if self._random.integers(2) else every
            path = choice[self._random.integers(len(choice))]
            shutil.rmtree(self._copy, ignore_errors=True)
            shutil.copytree(self._whole, self._copy)
            damage(self._copy / path.relative_to(self._whole), self._random)
            for arguments in (*ALWAYS, by_turns[number % len(by_turns)], ALWAYS[0]):
                self._check(path, arguments)

    def _check(self, path: Path, arguments: tuple[str, ...]) -> None:
        result = call(arguments, self._copy)
        self.calls += 1
        where = f"{path.relative_to(self._whole)}, {' '.join(arguments[:3])}"
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            stack = traceback.extract_tb(result.exc_info[2])[-1]
            self.faults[f"{type(result.exception).__name__} in {Path(stack.filename).name}:{stack.lineno}"] += 1
            lines = traceback.format_exception(result.exception)[-4:]
            self._told(f"{where}: {''.join(line[:400] for line in lines)}")
        elif arguments == ALWAYS[0] and path in self._methods and result.exit_code == 0:
            other = {"wiener": "fid", "fid": "wiener"}[self._methods[path]]
            if self._by_method(result.stdout).get(other) != self._rows[other]:
                self.faults["another row changed"] += 1
                self._told(f"{where}: the row of {other} changed\n{result.stdout}")
        elif arguments == ALWAYS[0] and path in self._methods:
            self.faults["no table"] += 1
            self._told(f"{where}: {result.output[:400]}")

    @staticmethod
    def _by_method(table: str) -> dict[str, list[str]]:
        """Return the measured numbers of a CSV table by method."""
        return {row["method"]: [row["done"], row["psnr"], row["ssim"]] for row in csv.DictReader(table.splitlines())}

    def line(self) -> str:
        """Return what was done as a line."""
        return f"damage: {self.calls} calls, {self.faults.total()} faults {dict(self.faults) or ''}"


def main_() -> None:
    """Print each fault and what was done; the exit code is 1 where there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        damages = Damages(Path(folder), given.seed, lambda line: print(line, flush=True))  # noqa: T201
        damages.run(given.files)
    sys.stdout.write(damages.line() + "\n")
    if damages.faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main_()
