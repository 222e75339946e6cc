"""How long the paper's table takes beside 10,000 records with curves: at most 10 s and 1 GB."""

import resource
import sys
import tempfile
import time
from pathlib import Path

from nidbench.compare import render_compare
from nidbench.contract import CaseKey
from nidbench.metrics import Score
from nidbench.records import Cell, Planned, Point, Record, Store, Sweep

SECONDS, MEGABYTES, RECORDS, POINTS = 10.0, 1000.0, 10_000, 200


def record(index: int) -> Record:
    """Return one of a method's records, in the order of Table 2 with 80 images."""
    names = ("ours", "dip", "dikp", "fid", "fdn")
    rest, method = divmod(index, len(names))
    rest, noise = divmod(rest, 3)
    image, kernel = divmod(rest, 8)
    case = CaseKey("sun", f"{image:02}", f"levin/{kernel + 1}", f"gaussian:0.0{2 * noise + 1}")
    cell = Cell(names[method], 1, {"lr": 1e-4}, case, "i", "k", "known", "identity", 0, "float32", "cpu")
    curve = tuple(Point(25 * step, step / 10, 25.0, 0.7) for step in range(POINTS))
    return Record(cell.id, cell, "done", {"half-kernel": Score(27.0, 0.7)}, curve=curve, environment={"torch": "2"})


def write(store: Store) -> Sweep:
    """Write the records, without the care that `Store.write` takes, and return their sweep."""
    cells = []
    for each in map(record, range(RECORDS)):
        folder = store.root / "cells" / each.id
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(each.to_json())
        cells.append(Planned(each.id, each.cell.method, "paper", "", each.cell.case, "known", 0, each.cell.method))
    return Sweep("many", {}, cells)


def main() -> None:
    """Print a line and fail where it is too slow or too large."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        sweep = write(store)
        start = time.perf_counter()
        text = render_compare(store, sweep)
        seconds = time.perf_counter() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    limits = f"(limits {SECONDS} s, {MEGABYTES:.0f} MB)"
    sys.stdout.write(f"compare: {RECORDS} records: {seconds:.1f} s, {megabytes:.0f} MB {limits}\n")
    if seconds > SECONDS or megabytes > MEGABYTES or "sun" not in text:
        raise SystemExit("too slow or too large")


if __name__ == "__main__":
    main()
