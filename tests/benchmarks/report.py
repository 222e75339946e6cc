"""How long a report of 1,000 cells takes to open: at most 3 s in a browser, its pictures as files beside it.

Records are made up and have small restorations; the browser is NIDBENCH_CHROMIUM, or `chromium` on the path.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from nidbench.analysis.cells import SweepCells
from nidbench.api.reporting import write_report
from nidbench.physics.case_key import CaseKey
from nidbench.records import Cell, Log, Planned, Point, Record, Store, Sweep
from nidbench.scoring.score import Score

LIMIT = 3.0
#: Methods and images of a sweep: methods compared, and settings of one tried on an image.
SHAPES = ((10, 100), (500, 2))


def record(method: str, image: str, psnr: float) -> Record:
    """Return the record of a cell, with a curve of 40 points."""
    case = CaseKey("made", image, "levin/1", "gaussian:0.05")
    cell = Cell(
        method=method,
        version=1,
        settings={},
        case=case,
        image_hash="i",
        kernel_hash="k",
        declared="known",
        response="identity",
        seed=0,
        precision="float32",
        device="cpu",
    )
    scores = {"half-kernel": Score(psnr, 0.8)}
    points = tuple(Point(25 * n, n / 4, psnr - 5 / n, 0.7) for n in range(1, 41))
    made = Record(cell.id, cell, "done", scores, {"half-kernel": Score(18, 0.4)}, seconds=10.0, iterations=1000)
    return made.with_log(Log(points, environment={"torch": "2.13.0"}))


def made(root: Path, methods: int, images: int) -> tuple[Store, Sweep]:
    """Return a results folder with a cell for each method on each image."""
    store, rng = Store(root), np.random.Generator(np.random.Philox(1))
    planned = []
    for image in (f"image-{n:03d}" for n in range(images)):
        for place in range(methods):
            method = f"method-{place}"
            each = record(method, image, 24 + place % 10 / 3 + float(rng.normal()))
            store.write(each, {"image": rng.random((1, 32, 32))})
            planned.append(
                Planned(
                    id=each.id,
                    label=method,
                    preset="default",
                    note="",
                    case=each.cell.case,
                    declared="known",
                    seed=0,
                    method=method,
                )
            )
    sweep = Sweep("made", {"experiments": []}, planned)
    store.write_sweep(sweep)
    return store, sweep


def main() -> None:
    """Print how long it takes to write the report and to open it, and fail where that is too long."""
    from playwright.sync_api import sync_playwright

    browser = os.environ.get("NIDBENCH_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        slowest = max(measured(chromium, methods, images) for methods, images in SHAPES)
        chromium.close()
    if slowest > LIMIT:
        raise SystemExit("too slow")


def measured(chromium: Any, methods: int, images: int) -> float:
    """Print what a report of so many methods and images takes, and return the seconds until it is open, at best."""
    with tempfile.TemporaryDirectory() as folder:
        store, sweep = made(Path(folder, "results"), methods, images)
        start, before = time.perf_counter(), time.process_time()
        page_path = write_report(store, SweepCells.read(store, sweep), "half-kernel", folder=Path(folder, "report"))
        written, worked = time.perf_counter() - start, time.process_time() - before
        opened, busy = zip(*(open_seconds(chromium, page_path.as_uri()) for _ in range(5)), strict=True)
        size = page_path.stat().st_size / 1e6
    median, least = statistics.median(busy), min(opened)
    cells = f"{methods * images} cells, {methods} methods of {images} images"
    took = f"written in {written:.1f} s ({worked:.1f} s of CPU), page of {size:.1f} MB open in {least:.2f} s at best"
    sys.stdout.write(f"report: {cells}: {took} (limit {LIMIT} s), {median:.2f} s of the page's own thread\n")
    return float(least)


def open_seconds(chromium: Any, address: str) -> tuple[float, float]:
    """Return seconds until a page shows its pictures, and seconds of CPU of the page's own thread."""
    page = chromium.new_page()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    start = time.perf_counter()
    page.goto(address)
    page.locator("#panels figure").first.wait_for()
    opened = time.perf_counter() - start
    metrics = session.send("Performance.getMetrics")["metrics"]
    page.close()
    return opened, next(each["value"] for each in metrics if each["name"] == "TaskDuration")


if __name__ == "__main__":
    main()
