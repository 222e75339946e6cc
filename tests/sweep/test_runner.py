"""Sweeps from end to end, and faults that really happen."""

from __future__ import annotations

import json
import math
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from silent_events import Silent

from nidbench.compute.child_process import PASSIVE, ChildProcess
from nidbench.compute.computer import Computer
from nidbench.compute.same_process import SameProcess
from nidbench.contract import Clock
from nidbench.errors import InputError
from nidbench.records import Record, Store
from nidbench.scoring.measures import MEASURES, OF_NULL_BAND, OF_RESIDUAL
from nidbench.sweep.cost import Rate, estimate, kind, method_rates
from nidbench.sweep.engine import Serial
from nidbench.sweep.options import RunOptions
from nidbench.sweep.pending import pending_jobs
from nidbench.sweep.plan import Plan, make_plan
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.runner import Runner, Summary
from nidbench.system.signals import STOPPING
from nidbench.versions import CURRENT

FAULTY = Path(__file__).parents[1] / "resources" / "faulty.py"
FAST = RunOptions(clock=Clock(1), checkpoint_seconds=0)


def question(methods: str, **more: str) -> Ask:
    return Ask((Experiment(methods, "sample", **more),), device="cpu", precision="float32", method_file=FAULTY)


def sweep(
    root: Path, ask: Ask, options: RunOptions = FAST, *, same_process: bool = False
) -> tuple[Plan, Summary, dict[str, Record], Silent]:
    """Run a sweep and return its plan, summary, records by label and image, and events."""
    store, events = Store(root), Silent()
    computer: Computer = SameProcess() if same_process else ChildProcess(root / "work" / "worker.log", 1)
    plan = make_plan(ask, computer)
    summary = Runner(store, Serial(computer, options), events, options.keep).run(
        plan, pending_jobs(plan, store, options, events)
    )
    records = {f"{planned.label} {planned.case.image}": store.whole(planned.id) for planned in plan.sweep.cells}
    return plan, summary, records, events


def command(*arguments: str | Path, methods: str) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "nidbench", "run", "--methods", methods, "--method-file", str(FAULTY)),
        *("--dataset", "sample", "--tracking", "none", "--no-pictures", "--checkpoint-every", "0", "--threads", "1"),
        *("--yes", "--precision", "float32", "--device", "cpu"),
        *map(str, arguments),
    ]


def iterations_done(log: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in log.read_text().splitlines())


def images(root: Path) -> dict[str, bytes]:
    """Return the bytes of every restoration in a results folder, by method and measurement."""
    store = Store(root)
    images = {}
    for path in sorted((root / "cells").iterdir()):
        record = store.read(path.name)
        if record is not None and record.status == "done":
            images[f"{record.cell.method} {record.cell.case}"] = store.arrays(path.name)["image"].tobytes()
    return images


def test_every_way_to_fail_is_a_record_and_stops_no_other_cell(tmp_path):
    modes = ["raise", "nan", "memory", "exit", "work"]
    methods = ",".join(f"faulty[mode={mode}]" for mode in modes)
    _, summary, records, _ = sweep(tmp_path, question(methods, images="camera"))
    ended = {mode: records[f"faulty[mode={mode}] camera"] for mode in modes}
    assert {mode: record.status for mode, record in ended.items()} == {
        "raise": "failed",
        "nan": "unstable",
        "memory": "out-of-memory",
        "exit": "failed",
        "work": "done",
    }
    assert "told to fail" in ended["raise"].error
    assert "exit code 3" in ended["exit"].error
    assert not ended["raise"].scores
    assert summary.counts == {"failed": 2, "unstable": 1, "out-of-memory": 1, "done": 1}
    assert not summary.complete


def test_a_hung_cell_is_killed_at_its_deadline_and_the_next_one_runs(tmp_path):
    options = RunOptions(cell_timeout=1.0, clock=Clock(1), checkpoint_seconds=0)
    start = time.monotonic()
    _, _, records, _ = sweep(tmp_path, question("faulty[mode=hang],faulty", images="camera"), options)
    assert records["faulty[mode=hang] camera"].status == "timeout"
    assert records["faulty camera"].status == "done"
    assert records["faulty[mode=hang] camera"].iterations == 4
    assert time.monotonic() - start < 60


def test_done_cells_are_not_computed_again_and_failed_ones_only_with_retry(tmp_path):
    log = tmp_path / "log"
    ask = question(f"faulty[log={log}],faulty[mode=raise,log={log}]", images="camera")
    sweep(tmp_path / "out", ask)
    assert iterations_done(log) == Counter({"1": 2, "2": 2, "3": 2, "4": 2, "5": 1, "6": 1})
    _, summary, _, events = sweep(tmp_path / "out", ask)
    assert summary.computed == 0
    assert events.warnings == ["1 cell failed before and stays: --retry computes it again (in Python retry=True)"]
    assert iterations_done(log)["1"] == 2
    _, summary, _, events = sweep(tmp_path / "out", ask, RunOptions(retry=True, checkpoint_seconds=0))
    assert summary.computed == 1
    assert not events.warnings


def test_a_method_file_that_no_method_is_of_is_said(tmp_path):
    *_, events = sweep(tmp_path, question("wiener", images="camera"), same_process=True)
    (warning,) = events.warnings
    assert f"{FAULTY} is not used" in warning
    assert "add faulty to --methods" in warning


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (None, ""),
        (0, "the sharp image that scores it"),
        (1, "the version of a component"),
        (2, "the source of its method"),
    ],
)
def test_a_checkpoint_that_rests_on_something_else_is_not_gone_on_from_and_its_loss_is_told(tmp_path, place, changed):
    """Else the record would say today's version of a result that is half of another."""
    ask, store, events = question("faulty", images="camera"), Store(tmp_path / "out"), Silent()
    plan = make_plan(ask, SameProcess())
    work = store.work(plan.jobs[0].cell.id)

    class CutOff(Silent):
        def observed(self, point):
            if point.iteration == 4:
                shutil.copytree(work, tmp_path / "saved")  # as a kill at this moment leaves it

    Runner(store, Serial(SameProcess(), FAST), CutOff()).run(plan, plan.jobs)
    shutil.rmtree(store.root / "cells")
    shutil.copytree(tmp_path / "saved", work)
    if place is not None:
        basis = json.loads((work / "basis.json").read_text())
        basis[place] = "another"
        (work / "basis.json").write_text(json.dumps(basis))
    Runner(store, Serial(SameProcess(), FAST), events).run(plan, plan.jobs)
    record = store.whole(plan.jobs[0].cell.id)
    assert (record.status, record.resumed) == ("done", 0 if changed else 1)
    lost = f"faulty on sample/camera sample/motion gaussian:0.05 #0: {changed} changed since its checkpoint was saved"
    assert [text for text in events.warnings if text.endswith("begins anew")] == (
        [f"{lost}, so the cell begins anew"] if changed else []
    )
    assert not work.exists()


def test_one_more_seed_and_method_compute_only_what_is_new(tmp_path):
    sweep(tmp_path, question("faulty", images="camera"))
    _, summary, _, _ = sweep(tmp_path, question("faulty,wiener", seeds="0,1", images="camera"))
    assert summary.computed == 3
    assert summary.counts == {"done": 4}


def test_a_killed_child_resumes_from_its_checkpoint_and_the_result_is_the_same(tmp_path):
    log = tmp_path / "log"
    _, _, records, events = sweep(tmp_path / "a", question(f"faulty[mode=kill child,log={log}]", images="camera"))
    (record,) = records.values()
    assert (record.status, record.resumed) == ("done", 2)  # asked twice, found a checkpoint the second time
    assert "SIGKILL" in events.warnings[0]
    assert max(iterations_done(log).values()) == 1
    assert [point.iteration for point in record.log.curve] == [1, 2, 3, 4, 5, 6]
    sweep(tmp_path / "b", question("faulty", images="camera"))
    assert images(tmp_path / "a") == images(tmp_path / "b")


def test_a_killed_parent_loses_nothing_finished_and_its_child_ends(tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    call = command("--output", out, methods=f"wiener,faulty[mode=kill parent,log={log}]")
    killed = subprocess.run(call, capture_output=True, check=False)
    assert killed.returncode == -9
    child = int(log.read_text().split()[0])
    if psutil.pid_exists(child):
        psutil.wait_procs([psutil.Process(child)], timeout=30)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    done = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/record.json")}
    assert len(done) == 1

    again = subprocess.run(command("--output", out, methods=f"wiener,faulty[mode=kill parent,log={log}]"), check=False)
    assert again.returncode == -9  # the second image kills it too
    last = subprocess.run(call, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stdout + last.stderr
    assert all(path.stat().st_mtime_ns == written for path, written in done.items())
    assert max(iterations_done(log).values()) == 2  # each iteration once for each of the two images
    sweep(tmp_path / "plain", question("wiener,faulty"))
    assert images(out) == images(tmp_path / "plain")


STEADY = FAULTY.with_name("steady.py")


def steady(out: Path, *arguments: str, methods: str = "steady") -> list[str]:
    """Return a command that saves its state only where a signal asks for it."""
    call = command("--output", out, "--images", "camera", "--observe", "5", *arguments, methods=methods)
    call[call.index("--checkpoint-every") + 1] = "3600"
    call[call.index(str(FAULTY))] = str(STEADY)
    return call


def heed() -> None:
    """Undo what a shell does to what it starts in the background, or nohup: have it ignore signals."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def points(out: Path) -> int:
    return sum(path.read_text().count("\n") for path in out.glob("work/*/curve.jsonl"))


def stopped(call: list[str], out: Path, number: signal.Signals) -> tuple[int, str]:
    """Send a signal amid a cell; return the exit code and what was printed."""
    before = points(out)
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed
    ) as process:
        while points(out) < before + 2 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        output = process.communicate()[0]
    return process.returncode, output


def test_signals_save_a_checkpoint_and_the_same_command_goes_on(tmp_path):
    out = tmp_path / "out"
    for number in (signal.SIGINT, signal.SIGTERM):
        code, output = stopped(steady(out), out, number)
        assert code == 128 + number, output
        assert f"interrupted by {number.name}: run the same command again" in output
        assert "Traceback" not in output
        assert not list(out.glob("cells/*/record.json"))
        assert list(out.glob("work/*/checkpoint"))
    again = subprocess.run(steady(out), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    (record,) = (Store(out).whole(path.name) for path in (out / "cells").iterdir())
    assert 10 <= record.log.details["first"] < record.iterations
    plain = Ask((Experiment("steady", "sample", images="camera"),), "cpu", "float32", method_file=STEADY)
    sweep(tmp_path / "plain", plain, same_process=True)
    assert images(out) == images(tmp_path / "plain")


def test_a_terminal_that_closes_saves_a_checkpoint(tmp_path):
    """Printing fails from then on, and must not end what saves the work."""
    out = tmp_path / "out"
    pid, terminal = pty.fork()
    if pid == 0:
        heed()
        os.execvp(sys.executable, steady(out))
    while points(out) < 2:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), os.read(terminal, 10_000)
        time.sleep(0.01)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert list(out.glob("work/*/checkpoint"))


def test_a_second_signal_does_not_wait_for_a_method_that_never_saves(tmp_path):
    out = tmp_path / "out"
    call = steady(out, methods="steady[deaf=true,iterations=100000]")
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed
    ) as process:
        while points(out) < 2 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        output = ""
        for line in process.stdout:
            output += line
            if "has 10 s to save its state" in line:
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "interrupted by SIGTERM: what was finished is kept, run the same command again" in output
    assert "Traceback" not in output


def test_order_process_and_company_change_no_byte(tmp_path):
    sweep(tmp_path / "a", question("faulty,wiener"))
    sweep(tmp_path / "b", question("wiener,faulty"), same_process=True)
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    ids = sorted(path.name for path in (tmp_path / "a" / "cells").iterdir())
    assert ids == sorted(path.name for path in (tmp_path / "b" / "cells").iterdir())
    for cell in ids:
        assert first.arrays(cell)["image"].tobytes() == second.arrays(cell)["image"].tobytes()
        assert first.read(cell).measurement_hash == second.read(cell).measurement_hash


def test_what_methods_are_told_of_the_noise_is_part_of_the_case(tmp_path):
    experiments = tuple(
        Experiment("wiener", "sample", images="camera", declared=declared) for declared in ("known", "x3")
    )
    ask = Ask(experiments, device="cpu", precision="float32")
    plan, summary, _, _ = sweep(tmp_path, ask, same_process=True)
    assert summary.computed == 2
    informed, misled = (Store(tmp_path).arrays(planned.id)["image"] for planned in plan.sweep.cells)
    assert abs(informed - misled).max() > 0.01
    assert plan.jobs[0].case.problem().blurred.tobytes() == plan.jobs[1].case.problem().blurred.tobytes()


def test_a_damaged_record_is_kept_aside_and_computed_again(tmp_path):
    plan, _, _, _ = sweep(tmp_path, question("wiener", images="camera"))
    path = tmp_path / "cells" / plan.sweep.cells[0].id / "record.json"
    path.write_text(path.read_text()[:100])
    _, summary, _, events = sweep(tmp_path, question("wiener", images="camera"))
    assert summary.computed == 1
    assert "damaged" in events.warnings[0]
    assert path.with_suffix(".damaged").exists()


def test_the_curve_scores_what_was_observed(tmp_path):
    plan, _, records, _ = sweep(tmp_path, question("faulty", images="camera"))
    (record,) = records.values()
    last = record.log.curve[-1]
    assert last.iteration == record.iterations == 6
    assert last.psnr == pytest.approx(record.scores["half-kernel"].psnr)
    assert record.oracle.psnr == max(point.psnr for point in record.log.curve)
    stored = Store(tmp_path).arrays(plan.sweep.cells[0].id)["image"]
    truth = plan.jobs[0].case.truths()[0].image
    rows, columns = plan.jobs[0].case.problem().valid
    error = np.rint(stored[:, rows, columns].clip(0, 1).astype(float) * 255) / 255 - truth[:, rows, columns]
    assert record.scores["half-kernel"].psnr == pytest.approx(-10 * np.log10((error**2).mean()))


def test_the_pilot_tells_the_cost_of_what_is_pending(tmp_path):
    store, computer = Store(tmp_path), SameProcess()
    plan = make_plan(question("faulty,wiener"), computer)
    jobs = pending_jobs(plan, store, FAST, Silent())
    cost = estimate(jobs, method_rates(plan, jobs, store, computer, FAST, lambda _: None))
    assert 0 < cost.low <= cost.seconds <= cost.high < 600
    assert (cost.unknown, cost.most) == ((), ())
    assert (
        estimate(jobs, method_rates(plan, jobs, store, computer, FAST, lambda _: None, pilot_seconds=0.0)).seconds > 0
    )


def test_rates_told_once_serve_any_part_of_a_sweep(tmp_path):
    store, computer = Store(tmp_path), SameProcess()
    plan = make_plan(question("faulty,wiener"), computer)
    jobs = pending_jobs(plan, store, FAST, Silent())
    rates = method_rates(plan, jobs, store, computer, FAST, lambda _: None)
    assert set(rates) == {(name, channels) for name in ("faulty", "wiener") for channels in (1, 3)}
    parts = [estimate([job], rates).seconds for job in jobs]
    assert estimate(jobs, rates).seconds == pytest.approx(sum(parts))
    _, height, width = jobs[0].case.shape
    assert parts[0] == rates[kind(jobs[0])].about * height * width
    assert estimate([], rates).seconds == 0


def test_finished_cells_tell_the_cost_of_others_of_their_method(tmp_path):
    sweep(tmp_path, question("wiener", images="camera"))
    store, computer = Store(tmp_path), SameProcess()
    plan = make_plan(question("wiener", images="camera", noise_seeds="0-1"), computer)
    jobs = pending_jobs(plan, store, FAST, Silent())
    assert 0 < len(jobs) < len(plan.jobs)
    done = [job for job in plan.jobs if job not in jobs]
    paces = [store.read(job.planned.id).seconds / math.prod(job.case.shape[1:]) for job in done]
    said = []
    rates = method_rates(plan, jobs, store, computer, FAST, said.append)
    assert rates == {("wiener", 1): Rate(pytest.approx(np.mean(paces)), min(paces), max(paces))}
    assert not said  # no pilot


def test_methods_that_stop_by_themselves_are_told():
    computer = SameProcess()
    jobs = make_plan(question("ours@paper,ours@fast[stop=iterations],dip"), computer).jobs
    assert estimate(jobs, {kind(job): Rate(1.0, 1.0, 1.0) for job in jobs}).most == ("ours@paper",)


def full_disk(folder: Path, kilobytes: int) -> list[str]:
    """Return the start of a command that runs with a folder on a disk of so many kilobytes."""
    mount = f'mount -t tmpfs -o size={kilobytes}k tmpfs {folder} && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", mount, "sh"]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*full_disk(folder, 64), "true"], capture_output=True, check=False).returncode == 0


def test_a_full_disk_stops_the_run_with_a_plain_message(tmp_path):
    if not can_mount(tmp_path):
        pytest.skip("this system lets no test mount a small disk")
    inside = " ".join(
        [*command("--output", tmp_path / "out", methods="wiener"), ";", "echo code $?;", "find", str(tmp_path)]
    )
    ran = subprocess.run([*full_disk(tmp_path, 120), "sh", "-c", inside], capture_output=True, text=True, check=False)
    assert "code 2" in ran.stdout, ran.stdout + ran.stderr
    assert "the disk is full" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ".partial" not in ran.stdout


ON_FULL_DISK = """
    import json, subprocess, sys
    from pathlib import Path
    from threading import Event, Thread
    from nidbench.records import Store

    disk, command = Path(sys.argv[1]), sys.argv[2:]
    command[command.index("OUT")] = str(disk / "out")

    def lines():
        return sum(path.read_text().count("iteration") for path in disk.glob("out/work/*/curve.jsonl"))

    def keep_full(until):
        # Filled once, it would have room again as soon as a checkpoint that is being written replaces the one before.
        with (disk / "ballast").open("wb", buffering=0) as file:
            while not until.wait(0.001):
                for size in (1 << 16, 1 << 12, 1):
                    try:
                        while True:
                            file.write(bytes(size))
                    except OSError:
                        pass

    def run(full_to_the_end):
        before, enough = lines(), Event()
        filling = Thread(target=keep_full, args=(enough,))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            while lines() < before + 2 and process.poll() is None:
                pass
            filling.start()
            told = ""
            for line in process.stdout:
                told += line
                if "the curve cannot be written" in line and not full_to_the_end:
                    enough.set()
                    filling.join()
                    (disk / "ballast").unlink(missing_ok=True)
        enough.set()
        filling.join()
        (disk / "ballast").unlink(missing_ok=True)
        return process.returncode, told, [path.name for path in disk.rglob("*") if "partial" in path.name]

    first = run(True)
    left = [path.name for path in disk.glob("out/work/*/*")]
    second = run(False)
    (cell,) = (disk / "out" / "cells").iterdir()
    log = Store(disk / "out").whole(cell.name).log
    told = {"details": log.details, "curve": [point.iteration for point in log.curve], "left": left}
    print(json.dumps({"first": first, "second": second, **told}))
"""


def test_a_disk_that_fills_up_costs_checkpoints_and_no_more(on_small_disk):
    """At the record's write the run ends with a message; with space again, the same command goes on from before."""
    call = steady(Path("OUT"), methods="steady[iterations=300]")
    call[call.index("--checkpoint-every") + 1] = "0"
    runs = json.loads(on_small_disk(ON_FULL_DISK, 400, *call))
    code, output, partial = runs["first"]
    assert (code, partial) == (2, []), output
    assert "the disk is full: free some space, then run the same command again" in output
    assert "Traceback" not in output
    assert set(runs["left"]) == {"basis.json", "checkpoint", "curve.jsonl"}
    code, output, partial = runs["second"]
    assert (code, partial) == (0, []), output
    assert runs["details"]["first"] > 5
    trouble = runs["details"]["trouble"]
    assert "no checkpoint could be written: [Errno 28]" in trouble
    assert "the curve could not be written: [Errno 28]" in trouble
    first, due = runs["details"]["first"], [iteration for iteration in range(301) if Clock(5).due(iteration)]
    assert [iteration for iteration in runs["curve"] if iteration > first] == [
        iteration for iteration in due if iteration > first
    ]


def test_records_tell_how_they_came_to_be(tmp_path):
    _, _, records, _ = sweep(tmp_path, question("faulty[iterations=2]", images="camera"))
    (record,) = records.values()
    assert record.cell.settings["iterations"] == 2
    assert record.log.environment["torch"]
    assert record.threads == 1
    assert 0 < record.peak_memory < 100_000_000  # without PyTorch, which alone takes more
    assert len(record.measurement_hash) == 64
    assert record.truth_hash == record.cell.image_hash
    assert record.versions == {component: CURRENT[component] for component in ("measurement", "metric")}
    assert json.loads((tmp_path / "cells" / record.id / "record.json").read_text())["status"] == "done"
    assert not (tmp_path / "work" / record.id).exists()
    assert os.path.commonpath([tmp_path, Store(tmp_path).root]) == str(tmp_path)


SAMPLER = FAULTY.with_name("sampler.py")


def sampling(methods: str = "sampler") -> Ask:
    return Ask((Experiment(methods, "sample", images="camera"),), "cpu", "float32", method_file=SAMPLER)


def kept(root: Path) -> dict[str, np.ndarray]:
    (folder,) = (root / "cells").iterdir()
    return Store(root).kept(folder.name)


def test_keeping_changes_no_byte_and_keeps_what_was_asked(tmp_path):
    for name, keep in {"none": (), "draws": ("draws",), "both": ("draws", "layers")}.items():
        sweep(tmp_path / name, sampling(), RunOptions(keep=keep), same_process=name == "draws")
    assert images(tmp_path / "none") == images(tmp_path / "draws") == images(tmp_path / "both")
    arrays = kept(tmp_path / "both")
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
        "draws": ((12, 1, 96, 96), "float16"),
        "layer 01": ((3, 96, 96), "float32"),
        "layer 02": ((4, 48, 48), "float32"),
    }
    assert list(kept(tmp_path / "draws")) == ["draws"]
    assert not list(tmp_path.glob("none/cells/*/kept.npz"))
    (cell,) = (tmp_path / "both" / "cells").iterdir()
    stored = Store(tmp_path / "both").arrays(cell.name)
    np.testing.assert_allclose(arrays["draws"].astype(float).mean(axis=0), stored["image"], atol=1e-3)


def test_done_cells_without_what_is_asked_are_computed_again_and_say_so(tmp_path):
    sweep(tmp_path, sampling())
    _, summary, records, events = sweep(tmp_path, sampling(), RunOptions(keep=("draws",)))
    assert summary.computed == 1
    assert events.warnings == ["1 cell is done without draws: it is computed again"]
    assert [record.kept for record in records.values()] == [("draws",)]
    _, summary, _, events = sweep(tmp_path, sampling(), RunOptions(keep=("draws",)))
    assert (summary.computed, events.warnings) == (0, [])
    _, summary, records, _ = sweep(tmp_path, sampling(), RunOptions(keep=("layers",)))
    assert summary.computed == 1
    assert set(kept(tmp_path)) == {"draws", "layer 01", "layer 02"}  # what was kept before is kept again
    next(tmp_path.glob("cells/*/kept.*.npz")).unlink()
    assert sweep(tmp_path, sampling())[1].computed == 0
    assert sweep(tmp_path, sampling(), RunOptions(keep=("layers",)))[1].computed == 1


def test_a_method_with_nothing_to_keep_is_asked_once(tmp_path):
    sweep(tmp_path, sampling("wiener"), RunOptions(keep=("draws", "layers")))
    assert kept(tmp_path) == {}
    assert sweep(tmp_path, sampling("wiener"), RunOptions(keep=("draws", "layers")))[1].computed == 0


def test_a_cell_killed_amid_its_draws_keeps_each_of_them_once(tmp_path):
    sweep(tmp_path / "plain", sampling(), RunOptions(keep=("draws", "layers"), checkpoint_seconds=0))
    options = RunOptions(keep=("draws", "layers"), checkpoint_seconds=0)
    _, _, records, _ = sweep(tmp_path / "killed", sampling("sampler[mode=kill child]"), options)
    (record,) = records.values()
    assert (record.status, record.resumed) == ("done", 2)
    assert [n for n, _ in record.log.passes] == [1, 2, 3, 5, 10]
    whole, resumed = kept(tmp_path / "plain"), kept(tmp_path / "killed")
    assert list(whole) == list(resumed)
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)


def test_a_done_cell_is_not_lost_to_what_it_cannot_keep(tmp_path):
    plan, _, before, _ = sweep(tmp_path, sampling())
    store, events, computer = Store(tmp_path), Silent(), ChildProcess(tmp_path / "work" / "worker.log", 1)
    options = RunOptions(keep=("draws",), cell_timeout=1e-9)
    summary = Runner(store, Serial(computer, options), events, options.keep).run(
        plan, pending_jobs(plan, store, options, events)
    )
    assert summary.counts == {"done": 1}
    assert store.whole(plan.sweep.cells[0].id) == next(iter(before.values()))
    assert "the cell stays as it was" in events.warnings[-1]


def test_words_that_cannot_be_kept_are_refused():
    with pytest.raises(InputError, match="cannot keep 'drawings': use draws, layers, kernel"):
        RunOptions(keep=("drawings",))


def test_every_done_cell_has_its_measures(tmp_path):
    _, _, records, _ = sweep(tmp_path, sampling("sampler,wiener"))
    assert set(records["sampler camera"].measures) == set(MEASURES) - set(OF_RESIDUAL)
    measures = records["wiener camera"].measures
    assert set(measures) == {*OF_NULL_BAND, "brightness"}
    # the taper weighs the middle more, so that the sum is near the error of the score and not equal to it
    scored = 10 ** (-records["wiener camera"].scores["half-kernel"].psnr / 10)
    assert measures["null_mse"] + measures["seen_mse"] == pytest.approx(scored, rel=0.5)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, PASSIVE), ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"})],
)
def test_threads_wait_asleep_unless_the_user_says_how(chosen, expected, tmp_path, monkeypatch):
    for name in PASSIVE:
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    computer = ChildProcess(tmp_path / "worker.log", 3)
    environment = psutil.Process(computer.hello().pid).environ()
    computer.close()
    assert {name: environment[name] for name in PASSIVE if name in environment} == expected
    assert environment["OMP_NUM_THREADS"] == "3"
