"""Cells on workers: the same bytes as one after the other, and nothing lost, whatever becomes of a worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from distributed import Client

from nidbench.records import Store
from nidbench.workers.handed import is_cell

FAULTY = Path(__file__).parents[1] / "resources" / "faulty.py"
STEADY = Path(__file__).parents[1] / "resources" / "steady.py"
WORKERS_OF = "NIDBENCH_TEST_SWEEP"


def command(out: Path, *more: str, methods: str, file: Path = FAULTY) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "nidbench", "run", "--methods", methods, "--method-file", str(file)),
        *("--dataset", "sample", "--crop", "48", "--tracking", "none", "--no-pictures", "--checkpoint-every", "0"),
        *("--threads", "1", "--yes", "--precision", "float32", "--device", "cpu", "--output", str(out), *more),
    ]


def environment(out: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", WORKERS_OF: str(out)}


def run(out: Path, *more: str, **how: object) -> subprocess.CompletedProcess[str]:
    call = command(out, *more, **how)
    return subprocess.run(call, capture_output=True, text=True, timeout=300, env=environment(out), check=False)


def processes(out: Path) -> list[psutil.Process]:
    """Return the live processes of a sweep, whatever started them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(WORKERS_OF) == str(out) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def require_no_process(out: Path) -> None:
    _, alive = psutil.wait_procs(processes(out), timeout=30)
    assert not alive


def restorations(root: Path) -> dict[str, bytes]:
    store, found = Store(root), {}
    for folder in sorted((root / "cells").iterdir()):
        record = store.read(folder.name)
        if record is not None and record.status == "done":
            found[f"{record.cell.method} {record.cell.settings} {record.cell.case}"] = store.arrays(folder.name)[
                "image"
            ].tobytes()
    return found


def statuses(root: Path) -> Counter[str]:
    store = Store(root)
    records = [store.read(folder.name) for folder in (root / "cells").iterdir()]
    return Counter(record.status for record in records if record is not None)


def iterations_done(log: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in log.read_text().splitlines())


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> dict[str, bytes]:
    """What cells come to one after the other."""
    out = tmp_path_factory.mktemp("serial")
    done = run(out, "--seeds", "0,1", methods="wiener,ours@smoke,faulty")
    assert done.returncode == 0, done.stdout
    return restorations(out)


def test_workers_in_any_order_give_the_same_bytes(tmp_path, serial):
    done = run(tmp_path, "--seeds", "0,1", "--workers", "2", methods="faulty,ours@smoke,wiener")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "workers: 2, threads of each: 1" in done.stdout
    assert restorations(tmp_path) == serial
    assert done.stderr == ""
    require_no_process(tmp_path)


def test_a_port_that_dask_would_like_and_another_program_has_is_no_news(tmp_path):
    with socket.socket() as other:
        with suppress(OSError):  # it is taken already
            other.bind(("127.0.0.1", 8787))
            other.listen()
        done = run(tmp_path, "--images", "camera", "--workers", "1", methods="wiener")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def test_a_cell_whose_worker_was_killed_goes_on_elsewhere_and_one_that_kills_three_is_given_up(tmp_path):
    log = tmp_path / "iterations"
    methods = f"faulty[mode=kill parent,log={log}],faulty[mode=kill every parent],faulty[mode=raise],wiener,faulty"
    done = run(tmp_path / "out", "--images", "camera", "--workers", "2", methods=methods)
    assert done.returncode == 1, done.stdout + done.stderr
    assert statuses(tmp_path / "out") == {"done": 3, "failed": 2}
    assert iterations_done(log) == dict.fromkeys("123456", 1)  # from the checkpoint on
    assert len(re.findall("its worker .* died; the cell is computed again elsewhere", done.stdout)) == 3
    assert re.search("3 workers could not do it; the last: its worker .* died", done.stdout)
    restored = restorations(tmp_path / "out")
    plain, killed = (next(restored[name] for name in restored if mode in name) for mode in ("'work'", "'kill parent'"))
    assert plain == killed
    require_no_process(tmp_path / "out")


def test_a_signal_has_all_cells_save_their_state(tmp_path):
    out, methods = tmp_path / "out", "steady[iterations=100000]"
    call = command(out, "--workers", "2", "--checkpoint-every", "1000", methods=methods, file=STEADY)
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(out), start_new_session=True
    ) as process:
        wait_for(lambda: len(list(out.glob("work/*/curve.jsonl"))) == 2, process)
        os.killpg(process.pid, signal.SIGTERM)  # as a terminal does, and a scheduler: all of the group
        told = process.communicate(timeout=60)[0]
    assert process.returncode == 143, told
    assert len(list(out.glob("work/*/checkpoint"))) == 2
    require_no_process(out)


def test_a_frozen_worker_does_not_hold_up_a_signal(tmp_path):
    out, methods = tmp_path / "out", "steady[iterations=100000]"
    call = command(out, "--workers", "2", "--checkpoint-every", "1000", methods=methods, file=STEADY)
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(out), start_new_session=True
    ) as process:
        wait_for(lambda: len(list(out.glob("work/*/curve.jsonl"))) == 2, process)
        frozen = next(each for each in processes(out) if "multiprocessing.spawn" in " ".join(each.cmdline()))
        frozen.suspend()
        process.send_signal(signal.SIGTERM)
        try:
            told = process.communicate(timeout=60)[0]
        finally:
            for each in processes(out):
                each.kill()
    assert process.returncode == 143, told
    assert list(out.glob("work/*/checkpoint"))  # of the other worker


def wait_for(condition, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 300  # beside other work a process takes its time to start
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.02)


def test_a_coordinator_that_is_killed_leaves_no_process_and_loses_nothing_finished(tmp_path):
    out = tmp_path / "out"
    methods = "wiener,tv[iterations=5],steady[iterations=100000]"
    with subprocess.Popen(
        command(out, "--workers", "2", methods=methods, file=STEADY),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(out),
    ) as process:
        wait_for(lambda: len(list(out.glob("cells/*/record.json"))) >= 2, process)
        process.kill()
    before = {path: path.read_bytes() for path in out.glob("cells/*/record.json")}
    require_no_process(out)
    done = run(out, "--workers", "2", methods="wiener,tv[iterations=5]", file=STEADY)
    assert done.returncode == 0
    assert all(path.read_bytes() == content for path, content in before.items())


@contextmanager
def scheduler(folder: Path) -> Iterator[Path]:
    """Run a scheduler on the loopback device, and lend the file that says where it is."""
    file = folder / "scheduler.json"
    call = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with dask(*call) as process:
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), process)
        yield file


@contextmanager
def dask(
    *arguments: str, out: Path = Path(), before: str = "", inside: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run dask's command after some statements, inside of what another command makes."""
    code = f"import sys\n{before}\nfrom dask.cli import run_cli\nsys.argv = ['dask', *sys.argv[1:]]\nrun_cli()"
    process = subprocess.Popen(
        [*inside, sys.executable, "-P", "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(out),
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # it has left by itself
                os.killpg(process.pid, signal.SIGKILL)


def worker(
    file: Path, out: Path, before: str = "", *, threads: int = 1, nanny: str = "--no-nanny", inside: Sequence[str] = ()
):
    call = ("worker", "--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard", nanny)
    return dask(*call, "--nthreads", str(threads), "--local-directory", str(out), out=out, before=before, inside=inside)


def test_a_cluster_of_workers_that_come_and_go(tmp_path, serial):
    out = tmp_path / "out"
    call = ("--seeds", "0,1", "--scheduler")
    with (
        scheduler(tmp_path) as file,
        worker(file, tmp_path) as first,
        subprocess.Popen(
            command(out, *call, str(file), methods="faulty,ours@smoke,wiener"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(out),
        ) as process,
    ):
        wait_for(lambda: list(out.glob("cells/*/record.json")), process)
        with worker(file, tmp_path):
            os.killpg(first.pid, signal.SIGTERM)  # leaves in order
            told = process.communicate(timeout=120)[0]
    assert process.returncode == 0, told
    assert restorations(out) == serial


def stop_all(worker: subprocess.Popen[str]) -> None:
    """Send SIGTERM to every process of a job, as Slurm does."""
    process = psutil.Process(worker.pid)
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGTERM)


def stop_first(worker: subprocess.Popen[str]) -> None:
    """Send SIGTERM to the first process alone, as Kubernetes does."""
    worker.send_signal(signal.SIGTERM)


@contextmanager
def steady_sweep(out: Path, file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a sweep of one cell that saves its state only when it is told to stop."""
    methods, often = "steady[iterations=100000]", ("--checkpoint-every", "1000", "--observe", "10")
    call = command(out, "--images", "camera", *often, "--scheduler", str(file), methods=methods, file=STEADY)
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(out)
    ) as process:
        yield process


@pytest.mark.parametrize(
    ("nanny", "stop"),
    [("--no-nanny", stop_all), ("--nanny", stop_all), ("--nanny", stop_first)],
    ids=["without", "all", "nanny"],
)
def test_no_cell_is_blamed_for_workers_whose_time_is_over(nanny, stop, tmp_path):
    out = tmp_path / "out"
    with scheduler(tmp_path) as file, steady_sweep(out, file) as process:
        done = 0
        for _ in range(3):  # a cell that takes three workers along has failed
            with worker(file, tmp_path, nanny=nanny) as leaving:
                wait_for(lambda: last_iteration(out) > done, process)  # noqa: B023 - called here only
                stop(leaving)
                assert leaving.wait(60) == 0
            done = last_iteration(out)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[0]
    assert process.returncode == 143, told
    assert "died" not in told
    assert not list(out.glob("cells/*"))
    (curve,) = out.glob("work/*/curve.jsonl")
    iterations = [json.loads(line)["iteration"] for line in curve.read_text().splitlines() if line]
    assert iterations == sorted(set(iterations))  # each goes on from where the one before it saved its state


def test_a_worker_closes_only_after_its_finished_result_was_fetched(tmp_path):
    out, often = tmp_path / "out", ("--checkpoint-every", "1000")
    call = command(
        *(out, "--images", "camera", *often, "--scheduler", str(tmp_path / "scheduler.json")),
        methods="steady[iterations=300]",
        file=STEADY,
    )
    with (
        scheduler(tmp_path) as file,
        worker(file, tmp_path) as leaving,
        subprocess.Popen(
            call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(out)
        ) as process,
    ):
        wait_for(lambda: list(out.glob("work/*/curve.jsonl")), process)
        process.send_signal(signal.SIGSTOP)
        try:
            wait_for(lambda: finished_cells(file))
            leaving.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                leaving.wait(1)
        finally:
            process.send_signal(signal.SIGCONT)
        told = process.communicate(timeout=60)[0]
        assert leaving.wait(60) == 0
    assert process.returncode == 0, told
    assert statuses(out) == {"done": 1}


def finished_cells(file: Path) -> list[str]:
    """Return the cells whose results lie on workers."""
    with Client(scheduler_file=str(file), timeout=10) as client:
        return [key for key, holders in client.who_has().items() if holders and is_cell(str(key))]


def test_a_worker_that_its_nanny_ends_for_its_memory_has_died(tmp_path):
    out = tmp_path / "out"
    with (
        scheduler(tmp_path) as file,
        worker(file, tmp_path, nanny="--nanny") as nanny,
        steady_sweep(out, file) as process,
    ):
        wait_for(lambda: last_iteration(out) > 0, process)
        (own,) = (p for p in psutil.Process(nanny.pid).children() if "spawn_main" in " ".join(p.cmdline()))
        own.terminate()  # as the nanny does, which looks again after 0.1 s
        with pytest.raises(psutil.TimeoutExpired):
            own.wait(0.1)
        own.kill()
        told = next(line for line in process.stdout if "died" in line)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert "the cell is computed again elsewhere" in told


def test_a_command_waits_for_a_worker_as_long_as_it_is_told(tmp_path):
    with scheduler(tmp_path) as file:
        call = ("--images", "camera", "--scheduler", str(file), "--wait-for-workers")
        refused = run(tmp_path / "out", *call, "0.5", methods="wiener")
        assert refused.returncode == 2
        assert "waiting for one, 0.5 s at most" in refused.stdout
        assert "the cluster has no worker to compute on (none has joined)" in refused.stderr
        with worker(file, tmp_path):
            wait_for(lambda: workers_of(file) == 1)
            done = run(tmp_path / "out", *call, "0", methods="wiener")  # one that is there is asked all the same
    assert done.returncode == 0, done.stdout + done.stderr


def last_iteration(out: Path) -> int:
    """Return the last iteration of the curve of the only cell under way; 0 for none."""
    lines = [line for curve in out.glob("work/*/curve.jsonl") for line in curve.read_text().split("\n") if line]
    with suppress(IndexError, json.JSONDecodeError):  # it is being written
        return int(json.loads(lines[-1])["iteration"])
    return 0


def test_a_full_disk_of_a_worker_costs_its_checkpoints_and_no_cell(tmp_path, serial):
    """The results lie on another disk, which the worker does not see."""
    out, here = tmp_path / "out", tmp_path / "worker"
    out.mkdir(), here.mkdir()
    mounts = (
        f"mount -t tmpfs -o size=1m tmpfs {here} && mount -t tmpfs -o size=64k tmpfs {out}"
        f" && TMPDIR={here} && export TMPDIR"
    )
    inside = ["unshare", "-rm", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets no test mount a small disk")
    with scheduler(tmp_path) as file, worker(file, here, inside=inside):
        done = run(out, "--seeds", "0,1", "--scheduler", str(file), methods="faulty,ours@smoke,wiener")
    assert done.returncode == 0, done.stdout + done.stderr
    assert restorations(out) == serial
    store = Store(out)
    records = [store.whole(folder.name) for folder in (out / "cells").iterdir()]
    troubled = {record.cell.method for record in records if "No space left" in record.log.details.get("trouble", "")}
    assert troubled == {"ours"}  # whose networks are larger than the disk
    assert not list(out.glob("work/*"))


def test_a_running_cluster_serves_the_next_command_after_an_interruption(tmp_path):
    out, methods = tmp_path / "out", "faulty[mode=hang],wiener"
    with scheduler(tmp_path) as file, worker(file, tmp_path):
        call = command(out, "--images", "camera", "--scheduler", str(file), methods=methods)
        with subprocess.Popen(
            call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(out)
        ) as process:
            wait_for(lambda: len(list(out.glob("work/*/checkpoint"))) == 1, process)
            process.send_signal(signal.SIGINT)
            told = process.communicate(timeout=60)[0]
        assert process.returncode == 130, told
        again = run(out, "--images", "camera", "--scheduler", str(file), methods="faulty,wiener")
        assert again.returncode == 0, again.stdout + again.stderr
        assert workers_of(file) == 1


def test_of_cells_that_a_worker_had_together_only_the_one_that_kills_is_blamed(tmp_path):
    methods = "faulty[mode=kill every parent],faulty[iterations=40],faulty[iterations=41],wiener"
    with scheduler(tmp_path) as file, worker(file, tmp_path, threads=2, nanny="--nanny"):
        done = run(tmp_path / "out", "--images", "camera", "--scheduler", str(file), methods=methods)
    assert done.returncode == 1, done.stdout + done.stderr
    assert statuses(tmp_path / "out") == {"done": 3, "failed": 1}
    assert re.search("3 workers could not do it; the last: its worker .* died", done.stdout)


def test_a_worker_of_another_version_or_without_the_file_of_the_method_is_not_used(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text(STEADY.read_text().replace("class Steady", "class Mine"))
    hidden = "from pathlib import Path\nreal = Path.exists\nPath.exists = lambda p: p.name != 'mine.py' and real(p)"
    other = "import nidbench.versions\nnidbench.versions.CURRENT = {**nidbench.versions.CURRENT, 'engine': 99}"
    with (
        scheduler(tmp_path) as file,
        worker(file, tmp_path, hidden),
        worker(file, tmp_path, other),
        worker(file, tmp_path),
    ):
        wait_for(lambda: workers_of(file) == 3)
        # ten cells of a second each: there is time for all workers to be asked
        done = run(
            tmp_path / "out", "--scheduler", str(file), "--seeds", "0-4", methods="mine[iterations=100]", file=own
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"worker tcp://\S+ is not used: it has no file \S+mine.py", done.stdout)
    assert re.search(r"worker tcp://\S+ is not used: it has results of nidbench .*'engine': 99", done.stdout)
    assert statuses(tmp_path / "out") == {"done": 10}


def workers_of(file: Path) -> int:
    """Return how many workers a scheduler has."""
    with Client(scheduler_file=str(file), timeout=10) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def test_a_scheduler_that_goes_away_ends_the_run_in_words_and_costs_no_finished_cell(tmp_path):
    out = tmp_path / "out"
    with scheduler(tmp_path) as file, worker(file, tmp_path):
        address = json.loads(file.read_text())["id"]
        with subprocess.Popen(
            command(out, "--scheduler", str(file), methods="wiener,steady[iterations=100000]", file=STEADY),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(out),
        ) as process:
            wait_for(lambda: list(out.glob("work/*/curve.jsonl")), process)
            (pid,) = (p.pid for p in psutil.process_iter() if is_scheduler(p, file))
            os.kill(pid, signal.SIGKILL)
            told = process.communicate(timeout=120)[0]
    assert address
    assert process.returncode == 2, told
    assert "the scheduler has gone: finished cells are kept" in told
    assert "Traceback" not in told
    assert statuses(out)["done"] >= 1


@contextmanager
def asked(folder: Path, file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a sweep until its planning waits for a worker, whose first import of the method does not end."""
    begun, own = folder / "begun", folder / "slow.py"
    wait = f"from pathlib import Path\nif not Path({str(begun)!r}).exists():\n    Path({str(begun)!r}).touch()\n"
    own.write_text(f"{wait}    import time\n    time.sleep(600)\n{STEADY.read_text()}")
    call = command(folder / "out", "--scheduler", str(file), "--images", "camera", methods="slow@smoke", file=own)
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(folder / "out")
    ) as process:
        try:
            wait_for(begun.exists, process)
            yield process
        finally:
            process.kill()  # where it has not ended, it would sleep on


def test_a_scheduler_that_goes_away_during_planning_ends_the_run_in_words(tmp_path):
    with scheduler(tmp_path) as file, worker(file, tmp_path), asked(tmp_path, file) as process:
        (pid,) = (p.pid for p in psutil.process_iter() if is_scheduler(p, file))
        os.kill(pid, signal.SIGKILL)
        told = process.communicate(timeout=120)[0]
    assert process.returncode == 2, told
    assert "the scheduler has gone: finished cells are kept" in told
    assert "Traceback" not in told


def test_where_a_worker_is_killed_while_it_is_asked_another_one_is(tmp_path):
    with scheduler(tmp_path) as file, worker(file, tmp_path) as first, asked(tmp_path, file) as process:
        os.killpg(first.pid, signal.SIGKILL)
        with worker(file, tmp_path):
            told = process.communicate(timeout=120)[0]
    assert process.returncode == 0, told
    assert "left while it was asked: another one is asked" in told


def is_scheduler(process: psutil.Process, file: Path) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "scheduler" in words and str(file) in words


def test_what_cannot_be_is_said_before_anything_is_computed(tmp_path):
    def refusal(*more: str) -> str:
        done = run(tmp_path, *more, methods="wiener")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "no scheduler answers at tcp://127.0.0.1:9" in refusal("--scheduler", "tcp://127.0.0.1:9")
    assert "there is no such file" in refusal("--scheduler", str(tmp_path / "no.json"))
    assert "give one of them" in refusal("--scheduler", "tcp://127.0.0.1:9", "--workers", "2")
    assert "debug one cell at a time" in refusal("--workers", "2", "--in-process")


def test_without_dask_cells_are_computed_one_after_the_other(tmp_path):
    code = "import sys\nsys.modules['distributed'] = None\nfrom nidbench.cli import main\nmain()"
    call = [sys.executable, "-P", "-c", code, *command(tmp_path, methods="wiener")[4:]]
    refused = subprocess.run([*call, "--workers", "2"], capture_output=True, text=True, check=False, timeout=120)
    assert refused.returncode == 2
    assert "pip install 'nidbench[workers]'" in refused.stderr
    assert subprocess.run(call, capture_output=True, check=False, timeout=120).returncode == 0
