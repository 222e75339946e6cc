"""Records and results folders made by hand, so that what rests on them is tested without running a method; weights."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nidbench.contract import CaseKey, NeedsFiles
from nidbench.files.cache import local
from nidbench.files.download import sources
from nidbench.files.remote import RemoteFile
from nidbench.records import Cell, Log, Planned, Point, Record, Store, Sweep
from nidbench.scoring.score import Score
from nidbench.system.signals import STOPPING

MakeRecord = Callable[..., Record]
MakeStore = Callable[..., tuple[Store, Sweep]]


def pytest_configure() -> None:
    """Heed signals, in the programs that tests start, too, although a background job or nohup has them ignored."""
    for number in STOPPING:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """On a machine that is busy with something else, threads that wait for each other made tests 30 times slower."""
    torch.set_num_threads(int(os.environ.get("NIDBENCH_TEST_THREADS", "1")))


@pytest.fixture(autouse=True)
def one_seed() -> None:
    """A test that takes torch's own generator, as plain modules do for their weights, draws the same in any order."""
    torch.manual_seed(0)  # noqa: TID251 - the very generator that methods leave alone


@pytest.fixture
def with_files(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Give a method its files from the cache or a mirror, never from the sites themselves, or skip."""

    def provide(method: Any) -> None:
        if not isinstance(method, NeedsFiles):
            return
        missing = [file for file in method.files() if local(file) is None]
        if missing and os.environ.get("NIDBENCH_DATA_MIRROR"):
            monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path_factory.getbasetemp() / "data"))
            addresses = [[unquote(each) for each in sources(file)] for file in method.files()]
            missing = [
                each for each in addresses if not any(url[:7] != "file://" or Path(url[7:]).is_file() for url in each)
            ]
        if missing:
            pytest.skip(f"the files of {method.files()[0].dataset} are neither in the cache nor in a mirror")

    return provide


@pytest.fixture(scope="session")
def pictures() -> ModuleType:
    """`resources/pictures.py`: tests of several datasets make images and kernels with it."""
    spec = spec_from_file_location("pictures", Path(__file__).parent / "resources" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shared_mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch from a mirror, never from the sites themselves, into a cache that the tests share, or skip."""
    if not os.environ.get("NIDBENCH_DATA_MIRROR"):
        pytest.skip("needs a mirror of the data: set NIDBENCH_DATA_MIRROR")
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Callable[..., str]:
    """Run Python with a folder, its first argument, on a disk of so many kilobytes; return what it prints, or skip."""

    def run(code: str, kilobytes: int, *arguments: object) -> str:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = f'mount -t tmpfs -o size={kilobytes}k tmpfs "{disk}" && exec "$@"'
        prefix = ["unshare", "-rm", "sh", "-c", mount, "sh"]
        try:
            subprocess.run([*prefix, "true"], check=True, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"this system lets no test mount a small disk: {error}")
        command = [*prefix, sys.executable, "-P", "-c", dedent(code), str(disk), *map(str, arguments)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    return run


@pytest.fixture
def fake_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Mapping[str, bytes]], None]:
    """Put files in the place of those that a dataset's module fetches."""

    def provide(module: str, contents: Mapping[str, bytes]) -> None:
        files = []
        for path, content in contents.items():
            source = tmp_path / "mirror" / "data.test" / path
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            files.append(RemoteFile("fake", path, f"https://data.test/{path}", digest, len(content)))
        monkeypatch.setenv("NIDBENCH_DATA_MIRROR", (tmp_path / "mirror").as_uri())
        monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
        monkeypatch.setattr(f"nidbench.datasets.{module}.read_manifest", lambda *_: files)

    return provide


@pytest.fixture
def make_record() -> MakeRecord:
    """A record of `method` on one case: done with a PSNR and SSIM, or ended as `status` says."""

    def make(
        method: str = "ours",
        image: str = "cat",
        psnr: float = 26.0,
        *,
        ssim: float = 0.75,
        seed: int = 0,
        kernel: str = "levin/1",
        noise: str = "gaussian:0.05",
        noise_seed: int = 0,
        input_psnr: float = 20.0,
        curve: tuple[tuple[int, float], ...] = (),
        settings: Mapping[str, Any] | None = None,
        declared: str = "known",
        dataset: str = "sample",
        **fields: Any,
    ) -> Record:
        case = CaseKey(dataset, image, kernel, noise, noise_seed)
        cell = Cell(
            method=method,
            version=1,
            settings=settings or {"lr": 0.002},
            case=case,
            image_hash="i",
            kernel_hash="k",
            declared=declared,
            response="identity",
            seed=seed,
            precision="float32",
            device="cpu",
        )
        status = fields.setdefault("status", "done")
        fields.setdefault("input_scores", {"half-kernel": Score(input_psnr, 0.5), "cut-30": Score(input_psnr + 1, 0.6)})
        if status == "done":
            fields.setdefault("scores", {"half-kernel": Score(psnr, ssim), "cut-30": Score(psnr + 1, ssim + 0.1)})
        fields.setdefault("seconds", 10.0)
        fields.setdefault("iterations", 100)
        fields.setdefault("peak_memory", 500_000_000)
        fields.setdefault("threads", 1)
        logged = {name: fields.pop(name) for name in ("passes", "details", "error") if name in fields}
        logged["environment"] = fields.pop("environment", {"torch": "2.13.0", "python": "3.11"})
        fields.setdefault("versions", {"engine": 1, "measurement": 1, "metric": 1})
        fields.setdefault("truth_hash", "t")
        fields.setdefault("finished", "2026-01-02T03:04:05+00:00")
        points = tuple(Point(iteration, iteration / 10, value, 0.7) for iteration, value in curve)
        return Record(cell.id, cell, **fields).with_log(Log(points, **logged))

    return make


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A results folder with these records and a sweep `demo` over them and over records that are not written."""

    def make(
        *records: Record,
        missing: tuple[Record, ...] = (),
        arrays: Mapping[str, NDArray[Any]] | None = None,
        preset: str = "fast",
        note: str = "",
        name: str = "results",
    ) -> tuple[Store, Sweep]:
        store = Store(tmp_path / name)
        for record in records:
            store.write(record, arrays or {})
        cells = [
            Planned(
                id=each.id,
                label=each.cell.method,
                preset=preset,
                note=note,
                case=each.cell.case,
                declared=each.cell.declared,
                seed=each.cell.seed,
                method=each.cell.method,
            )
            for each in (*records, *missing)
        ]
        sweep = Sweep("demo", {"experiments": [{"methods": "ours,dip"}], "device": "auto"}, cells)
        store.write_sweep(sweep)
        return store, sweep

    return make


@pytest.fixture
def sample_store(make_record: MakeRecord, make_store: MakeStore) -> tuple[Store, Sweep]:
    """Two methods on two images: `ours` whole, `dip` with one cell that ran out of time."""
    error = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nTimeoutError: over 60_000 s\n'
    curve = ((50, 25.0), (100, 26.5), (150, 26.0))
    return make_store(
        make_record("ours", "cat", 26.0, ssim=0.7, curve=curve),
        make_record("ours", "dog", 28.0, ssim=0.8, input_psnr=22.0, curve=curve[:2]),
        make_record("dip", "cat", 30.0, ssim=0.9, curve=curve),
        make_record("dip", "dog", status="timeout", input_psnr=22.0, error=error, seconds=None, iterations=None),
        arrays={"image": np.zeros((1, 4, 4))},
    )
