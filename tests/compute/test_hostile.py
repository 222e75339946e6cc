"""Methods that hand over, say, do and leave behind what none should: the sweep goes on, and no other cell notices."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from silent_events import Silent

from nidbench.cli import main
from nidbench.compute.checking import check_apart
from nidbench.compute.child_process import ChildProcess
from nidbench.compute.messages import Task
from nidbench.compute.same_process import SameProcess
from nidbench.contract.conformance import checks, title
from nidbench.errors import NidbenchError
from nidbench.physics.measure import measure
from nidbench.records import Record, Store, error_line
from nidbench.registry.method_spec import MethodSpec
from nidbench.sweep.cost import method_rates
from nidbench.sweep.engine import Serial
from nidbench.sweep.options import RunOptions
from nidbench.sweep.pending import pending_jobs
from nidbench.sweep.plan import make_plan
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.runner import Runner
from nidbench.system.processes import read_memory

HOSTILE = Path(__file__).parents[1] / "resources" / "hostile.py"
MEMORY = 1 << 30

#: mode -> how its cell ends, and what its record or a warning says.
EXPECTED = {
    "numpy_details": ("done", ""),
    "set_details": ("failed", r"details\['kinds'\] is of type set, which JSON cannot hold.*a set: sorted"),
    "tensor_details": ("failed", r"details\['loss'\] is of type torch.Tensor.*\.item\(\)"),
    "nan_key": ("failed", "details has the key nan: give strings"),
    "endless_details": ("failed", "lists and dicts deep, or holds itself"),
    "huge_details": ("failed", "more than 10000 values"),
    "huge_number": ("failed", r"details\['n'\] is beyond 64 bit"),
    "no_details": ("failed", "details are None: give a dict"),
    "odd_text": ("done", ""),
    "stopped_by_number": ("failed", "stopped is int"),
    "huge_iterations": ("failed", "iterations is of type int: give a whole number from 0 to 2|iterations is 12089"),
    "iterations_in_words": ("failed", "iterations is 'many': give a whole number"),
    "nothing": ("failed", "restore returned NoneType"),
    "masked": ("failed", r"masked array: give its values with \.filled"),
    "lying_array": ("failed", "image has shape"),
    "mapped_file": ("done", ""),
    "objects": ("failed", "image is object"),
    "complex_numbers": ("failed", "image is complex64"),
    "beyond_float32": ("unstable", "values that are not finite"),
    "turning_answer": ("done", ""),
    "bursting_answer": ("failed", "ZeroDivisionError"),
    "numpy_counts": ("done", ""),
    "progress_in_words": ("failed", "done is 'a': give a whole number"),
    "observed_shape": ("failed", "the estimate has shape"),
    "observed_bytes": ("failed", "the estimate is uint8"),
    "observed_nan": ("done", "an estimate that is not finite"),
    "observed_array": ("failed", "estimate is no function"),
    "negative_iteration": ("failed", "iteration is -1"),
    "sampled_shape": ("failed", "the draw has shape"),
    "sampled_nan": ("unstable", "posterior draw holds values that are not finite"),
    "kept_objects": ("failed", "layer 01 is object: keep NumPy arrays of numbers"),
    "kept_path": ("failed", "cannot keep an array as '../../elsewhere'"),
    "kept_under_no_name": ("failed", "cannot keep an array as"),
    "saved_text": ("failed", "the state is str: save bytes"),
    "speechless": ("failed", "exception str.. failed"),
    "odd_exception": ("failed", r"characters cut\]"),
    "unpicklable_exception": ("failed", "ValueError"),
    "system_exit": ("failed", "SystemExit"),
    "keyboard_interrupt": ("failed", "KeyboardInterrupt"),
    "signals_itself": ("done", ""),
    "generator_exit": ("failed", "GeneratorExit"),
    "recursion": ("failed", "RecursionError"),
    "exit_at_once": ("failed", "ended with exit code 3\nlast words"),
    "segmentation_fault": ("failed", "ended by signal SIGSEGV"),
    "kills_itself": ("failed", "ended by signal SIGKILL"),
    "kills_above": ("failed", "ended"),
    "closes_everything": ("failed", "ended with|closed its line"),
    "garbage": ("failed", "wrote bytes on the line to the parent that are no message"),
    "framed_garbage": ("failed", "sent a frame that is no message"),
    "endless_frame": ("failed", "wrote bytes on the line to the parent that are no message"),
    "patched_contract": ("failed", "sent a value that no method can hand over: the image is float32 of shape"),
    "forged_progress": ("failed", "sent a frame that is no message"),
    "forged_outcome": ("failed", "the status is 'triumph'"),
    "answers_twice": ("done", ""),
    "forged_greeting": ("failed", "said Hello, which does not answer the request"),
    "default_dtype": ("done", "torch's default dtype"),
    "environment": ("done", "the working directory, the environment, the file mode mask"),
    "patched_numpy": ("done", "numpy.fft.fft2"),
    "patched_builtins": ("done", "builtins.abs"),
    "strict_numbers": ("done", "garbage collection, warning filters, NumPy's treatment of floating point errors"),
    "handlers": ("done", "signal handlers, an alarm"),
    "shallow": ("done", "the recursion limit"),
    "no_modules": ("", ""),
    "thread": ("done", "the thread 'Thread"),
    "waits_for_a_thread": ("done", "the thread 'Thread"),
    "subprocess_left": ("done", "the process"),
    "daemon": ("done", "the process"),
    "daemon_then_exit": ("failed", "exit code 3"),
    "forks": ("done", "a forked process that went on as this one"),
    "forks_and_leaves": ("done", "the process"),
    "forks_and_exits": ("failed", "ended with exit code 0"),
    "multiprocessing_observes": ("done", "a forked process that went on as this one"),
    "floods": ("done", ""),
    "memory": ("out-of-memory", "MemoryError"),
    "memory_of_torch": ("out-of-memory", "DefaultCPUAllocator"),
    "memory_of_a_child": ("out-of-memory", "more memory than its limit of 1 GiB"),
    "plain_torch": ("done", ""),
    "told_to_end": ("done", ""),
    "pool": ("done", ""),
    "replaced_run": ("done", "nidbench.contract.run.Run.progress"),
}

#: Modes that would never end.
ENDLESS = ("hangs", "stops_itself", "hangs_in_c", "half_a_frame", "never_reads")


@dataclass(frozen=True)
class Swept:
    """What a sweep left: records by mode, those of `wiener` in order, warnings, and the pids that modes noted."""

    store: Store
    records: dict[str, Record]
    wieners: list[Record]
    warnings: list[str]
    pids: list[int]

    def images(self) -> list[bytes]:
        return [self.store.arrays(record.id)["image"].tobytes() for record in self.wieners]

    def says(self, mode: str) -> str:
        """What the record and the warnings say of a mode."""
        mine = [warning for warning in self.warnings if f"mode={mode}," in warning or f"mode={mode}]" in warning]
        return "\n".join([self.records[mode].log.error, *mine])


def swept(root: Path, modes: tuple[str, ...], options: RunOptions, computer: ChildProcess) -> Swept:
    """Run each mode and, right after it, `wiener`."""
    notes, store, events = root / "pids", Store(root / "out"), Silent()
    methods = ",".join(f"hostile[mode={mode},note={notes}]" for mode in modes)
    asked = (
        Experiment(methods, "sample", images="camera"),
        Experiment("wiener", "sample", images="camera", seeds=f"0-{len(modes) - 1}"),
    )
    plan = make_plan(Ask(asked, "cpu", "float32", method_file=HOSTILE), computer)
    jobs = pending_jobs(plan, store, options, events)
    mine, others = ([job for job in jobs if (job.cell.method == "wiener") == wiener] for wiener in (False, True))
    order = [job for pair in zip(mine, others, strict=True) for job in pair]
    Runner(store, Serial(computer, options), events, options.keep).run(plan, order)
    records = {job.cell.settings["mode"]: store.whole(job.cell.id) for job in mine}
    wieners = [store.whole(job.cell.id) for job in others]
    pids = [int(line) for line in notes.read_text().split()] if notes.exists() else []
    return Swept(store, records, wieners, events.warnings, pids)


def running(pids: list[int]) -> list[psutil.Process]:
    """Those of some processes that do not end within a time."""
    there = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return [process for process in psutil.wait_procs(there, timeout=10)[1] if process.status() != psutil.STATUS_ZOMBIE]


class Lasting(ChildProcess):
    """Goes on after a sweep: the tests share what it takes seconds to import."""

    def close(self) -> None:
        pass

    def end(self) -> None:
        super().close()


@pytest.fixture(scope="module")
def computer(tmp_path_factory):
    made = Lasting(tmp_path_factory.mktemp("computer") / "worker.log", 1, MEMORY, import_seconds=5)
    yield made
    made.end()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, computer) -> Swept:
    return swept(tmp_path_factory.mktemp("hostile"), tuple(EXPECTED), RunOptions(keep=("layers",)), computer)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> bytes:
    """`wiener` as it is where nothing else was run in the same process."""
    store, same = Store(tmp_path_factory.mktemp("alone")), SameProcess()
    plan = make_plan(Ask((Experiment("wiener", "sample", images="camera"),), "cpu", "float32"), same)
    Runner(store, Serial(same, RunOptions()), Silent()).run(plan, plan.jobs)
    return store.arrays(plan.jobs[0].cell.id)["image"].tobytes()


def test_there_are_enough_kinds():
    assert len(EXPECTED) + len(ENDLESS) >= 40


@pytest.mark.parametrize("mode", EXPECTED)
def test_each_ends_as_its_own_record_says(hostile, mode):
    status, text = EXPECTED[mode]
    assert hostile.records[mode].status in ({status} if status else {"done", "failed"}), hostile.says(mode)
    assert re.search(text, hostile.says(mode), re.DOTALL), hostile.says(mode)


def test_wiener_beside_each_is_wiener_alone(hostile, alone):
    assert {record.status for record in hostile.wieners} == {"done"}
    different = [mode for mode, image in zip(EXPECTED, hostile.images(), strict=True) if image != alone]
    assert different == []


def test_what_is_kept_is_plain(hostile):
    record = hostile.records["numpy_details"]
    assert record.log.details == {"loss": 0.5, "count": 3, "ok": True, "pair": [1.0, [None]]}
    assert record.iterations == 7
    record = hostile.records["odd_text"]
    assert len(record.stopped) < 200
    assert record.stopped.isprintable()
    assert record.log.details == {r"\udfff": r"\x00\ud800"}
    assert len(hostile.records["odd_exception"].log.error) < 20_000
    assert hostile.records["answers_twice"].stopped == "first"
    for record in hostile.records.values():
        record.to_json().encode() and record.log.to_json().encode()


def test_only_what_was_said_in_time_is_in_the_curve(hostile):
    curves = {mode: [point.iteration for point in record.log.curve] for mode, record in hostile.records.items()}
    assert curves["numpy_counts"] == [25]
    assert curves["multiprocessing_observes"] == []
    assert curves["observed_nan"] == []
    assert all(not record.log.curve for record in hostile.wieners)


def test_nothing_runs_on_after_its_cell(hostile):
    assert len(hostile.pids) >= 5
    assert running(hostile.pids) == []


def test_what_is_printed_is_bounded_and_told_by_its_own_cell_only(hostile, computer):
    logs = list(computer.log.parent.glob("worker.*"))
    assert 0 < sum(log.stat().st_size for log in logs) <= 2 << 20
    assert [mode for mode, record in hostile.records.items() if "last words" in record.log.error] == ["exit_at_once"]
    assert not [mode for mode, record in hostile.records.items() if "spam" in record.log.error]


def test_what_never_ends_is_killed_at_its_deadline_and_the_next_cell_runs(tmp_path, computer):
    store, events, options = Store(tmp_path / "out"), Silent(), RunOptions(cell_timeout=1.0)
    methods = ",".join(f"hostile[mode={mode}]" for mode in ENDLESS)
    ask = Ask((Experiment(methods, "sample", images="camera"),), "cpu", "float32", method_file=HOSTILE)
    plan = make_plan(ask, computer)
    summary = Runner(store, Serial(computer, options), events).run(plan, plan.jobs)
    assert summary.counts == {"timeout": len(ENDLESS)}


CHECKED = {
    "set_details": r"details\['kinds'\] is of type set",
    "observed_shape": "the estimate has shape",
    "default_dtype": "left behind: torch's default dtype",
    "subprocess_left": "left behind: the process",
    "daemon": "nothing runs on: the process",
    "system_exit": "it raised SystemExit",
    "exit_at_once": "the computing process ended with exit code 3",
    "garbage": "wrote bytes on the line",
}


@pytest.mark.parametrize("mode", CHECKED)
def test_the_check_says_so_before_a_run_does(computer, mode, tmp_path):
    spec = MethodSpec("hostile", None, (), {"mode": mode, "note": str(tmp_path / "pids")})
    names = ["shape dtype and range", "observing changes nothing", "nothing left behind"]
    findings = list(check_apart(computer, spec, None, HOSTILE, "cpu", names))
    assert [finding.name for finding in findings] == [*names, "nothing runs on"]
    failed = "\n".join(f"{finding.name}: {finding.message}" for finding in findings if not finding.passed)
    assert re.search(CHECKED[mode], failed), failed


def test_what_is_good_passes_the_check_and_plain_torch_does(computer):
    names = [title(check) for check in checks()]
    for spec in (MethodSpec("hostile"), MethodSpec("hostile", None, (), {"mode": "plain_torch"})):
        findings = list(check_apart(computer, spec, None, HOSTILE, "cpu", names))
        assert [finding for finding in findings if not finding.passed] == []


METHOD = """
import time
from dataclasses import dataclass
from typing import ClassVar
from nidbench.contract import MethodInfo, Restored

@dataclass(frozen=True)
class Odd:
    info: ClassVar[MethodInfo] = MethodInfo("odd", version={version})
    setting: object = {setting}

    def restore(self, problem, run):
        return Restored(problem.blurred)

{more}
"""


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"more": "time.sleep(600)"}, r"odd of .*odd\.py could not be imported: no answer within 5 s"),
        ({"more": "import os; os._exit(4)"}, r"odd of .*odd\.py could not be imported: .*exit code 4"),
        ({"more": "raise SystemExit"}, r"odd.py\) cannot be imported: SystemExit"),
        ({"version": "'two'"}, "version of odd is 'two': give a whole number"),
        ({"setting": "frozenset()"}, "setting setting of odd is of type frozenset: settings identify a result"),
        ({"setting": "2**63"}, "setting setting=9223372036854775808 of odd is beyond 64 bits: give a smaller integer"),
    ],
    ids=["hangs", "exits", "raises", "version", "setting", "large"],
)
def test_a_file_that_cannot_be_imported_ends_with_a_message(tmp_path, computer, parts, message):
    file = tmp_path / "odd.py"
    file.write_text(METHOD.format(**{"version": 1, "setting": 1, "more": ""} | parts))
    ask = Ask((Experiment("odd", "sample"),), "cpu", "float32", method_file=file)
    with pytest.raises(NidbenchError, match=message):
        make_plan(ask, computer)


@pytest.mark.parametrize(
    ("module", "remedy"),
    [("beside_odd", r"A method is one file, .*put what it needs into the file"), ("no_such", "Install the package")],
)
def test_a_file_whose_restore_imports_what_is_not_there_is_told_what_to_do(tmp_path, module, remedy):
    file = tmp_path / "odd.py"
    (tmp_path / "beside_odd.py").write_text("")
    file.write_text(METHOD.format(version=1, setting=1, more="").replace("return", f"import {module}; return"))
    problem = measure(np.full((1, 24, 24), 0.5), np.ones((3, 3)), "gaussian:0.01", key="odd")
    how = {"device": "cpu", "precision": "float32", "threads": 1}
    task = Task(spec=MethodSpec("odd"), preset=None, file=file, problem=problem, seed=0, **how)
    outcome = SameProcess().ask(task, lambda _: None)
    assert outcome.status == "failed"
    assert re.search(rf"^ModuleNotFoundError: No module named '{module}'\. {remedy}", error_line(outcome.error))


def test_a_misspelt_name_of_ones_own_method_lists_it_among_the_near_misses(computer):
    ask = Ask((Experiment("hostlie", "sample"),), "cpu", "float32", method_file=HOSTILE)
    with pytest.raises(NidbenchError, match=r"unknown method 'hostlie': did you mean hostile.* there are .*hostile, "):
        make_plan(ask, computer)


def test_plain_code_that_draws_from_global_generators_is_reproducible(tmp_path, hostile):
    seeds = Experiment("hostile[mode=plain_torch]", "sample", images="camera", seeds="0,1")
    store, same = Store(tmp_path), SameProcess()
    plan = make_plan(Ask((seeds,), "cpu", "float32", method_file=HOSTILE), same)
    Runner(store, Serial(same, RunOptions()), Silent()).run(plan, plan.jobs)
    first, second = (store.arrays(job.cell.id)["image"] for job in plan.jobs)
    before = hostile.store.arrays(hostile.records["plain_torch"].id)["image"]
    assert first.tobytes() == before.tobytes()
    assert first.tobytes() != second.tobytes()


def test_a_pilot_keeps_to_the_time_of_a_cell(tmp_path, computer):
    ask = Ask((Experiment("hostile[mode=hangs]", "sample", images="camera"),), "cpu", "float32", method_file=HOSTILE)
    plan, store, options = make_plan(ask, computer), Store(tmp_path), RunOptions(cell_timeout=1.0)
    start = time.monotonic()
    assert method_rates(plan, plan.jobs, store, computer, options, lambda _: None, 60.0) == {
        ("hostile[mode=hangs]", 1): None
    }
    assert time.monotonic() - start < 300


@pytest.mark.parametrize("limit", ["8", "much", "1M", "-1G"])
def test_a_memory_limit_that_is_none_is_refused_before_anything_is_written(tmp_path, limit):
    run = ["run", "--methods", "wiener", "--dataset", "sample", "--output", str(tmp_path / "out")]
    refused = CliRunner().invoke(main, [*run, "--memory-limit", limit])
    assert refused.exit_code == 2
    assert f"--memory-limit '{limit}': give" in refused.output
    assert not (tmp_path / "out").exists()


def test_memory_limits_are_read_in_powers_of_1024():
    assert read_memory("1.5GiB") == 3 << 29
    assert read_memory("500m") == 500 << 20


def test_killed_parent_and_child_leave_nothing_that_runs(tmp_path):
    notes = tmp_path / "pids"
    method = f"hostile[mode=daemon_then_kills,note={notes}]"
    command = [sys.executable, "-P", "-m", "nidbench", "run", "--methods", method, "--method-file", str(HOSTILE)]
    command += ["--dataset", "sample", "--images", "camera", "--tracking", "none", "--no-pictures", "--yes"]
    command += ["--output", str(tmp_path / "out"), "--precision", "float32", "--threads", "1", "--device", "cpu"]
    ran = subprocess.run(command, capture_output=True, check=False)
    assert ran.returncode == -signal.SIGKILL
    pids = [int(line) for line in notes.read_text().split()]
    assert len(pids) >= 3
    assert running(pids) == []


def test_processes_can_be_started_where_they_cannot_be_copied(tmp_path, alone):
    with closing(ChildProcess(tmp_path / "log", 1, copy=False)) as computer:
        sweep = swept(tmp_path, ("default_dtype",), RunOptions(), computer)
    assert "torch's default dtype" in sweep.says("default_dtype")
    assert sweep.images() == [alone]
