"""Cells side by side end as they do alone, and none is blamed for what another did."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from silent_events import Silent

from nidbench.api.running import Computing
from nidbench.compute.child_process import ChildProcess
from nidbench.compute.message_rules import check
from nidbench.compute.messages import Batch, Draw, MessageError, Of, Outcomes, Progress
from nidbench.compute.same_process import SameProcess
from nidbench.compute.wire import pack, unpack
from nidbench.contract import Clock
from nidbench.contract.stopwatch import Stopwatch
from nidbench.errors import InputError
from nidbench.records import Store
from nidbench.sweep.cell import task_of
from nidbench.sweep.engine import Serial
from nidbench.sweep.options import RunOptions
from nidbench.sweep.plan import make_plan
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.runner import Runner
from nidbench.sweep.side_by_side import SideBySide, arranged

COMPANY = Path(__file__).parents[1] / "resources" / "company.py"
OPTIONS = RunOptions(clock=Clock(20))


def ask(methods: str, **more: str | int) -> Ask:
    return Ask((Experiment(methods, "sample", crop=48, **more),), "cpu", "float32", method_file=COMPANY)


def run(root: Path, question: Ask, size: int, computer=None, options: RunOptions = OPTIONS):
    store, events = Store(root), Silent()
    computer = computer or SameProcess()
    plan = make_plan(question, computer)
    engine = SideBySide(computer, options, size) if size > 1 else Serial(computer, options)
    Runner(store, engine, events).run(plan, arranged(plan.jobs, size))
    return [store.whole(job.cell.id) for job in plan.jobs], events


@pytest.mark.parametrize("size", [2, 3])
def test_fits_side_by_side_score_as_alone_and_share_the_time(tmp_path, size):
    question = ask("ours@smoke,wiener,dip@smoke", images="camera", seeds="0-2")
    together, _ = run(tmp_path / "together", question, size)
    alone, _ = run(tmp_path / "alone", question, 1)
    methods = {record.cell.method: [] for record in together}
    for one, other in zip(together, alone, strict=True):
        assert (one.id, one.status, one.iterations) == (other.id, "done", other.iterations)
        assert one.scores["half-kernel"].psnr == pytest.approx(other.scores["half-kernel"].psnr, abs=0.01)
        assert [point.iteration for point in one.log.curve] == [point.iteration for point in other.log.curve]
        methods[one.cell.method].append(one.batch)
    expected = [2, 2, 1] if size == 2 else [3, 3, 3]
    assert methods == {"ours": expected, "wiener": [1, 1, 1], "dip": expected}
    fits = [record for record in together if record.cell.method == "ours" and record.batch > 1]
    assert len({round(record.seconds, 3) for record in fits}) <= 2  # each of a group is charged the same share


def test_plain_code_side_by_side_gives_the_same_bytes(tmp_path):
    question = ask("company", seeds="0-3")
    together, _ = run(tmp_path / "together", question, 3, ChildProcess(tmp_path / "log", 1))
    run(tmp_path / "alone", question, 1)
    assert images(tmp_path / "together") == images(tmp_path / "alone")
    assert {record.cell.case.image: record.batch for record in together if record.cell.seed == 0} == {
        "camera@48": 3,
        "astronaut@48": 3,
    }  # gray and colour apart


@pytest.mark.parametrize(
    ("mode", "batches"),
    [("raise", [2, 1, 2, 1]), ("exit", [1] * 4), ("raise all", [1] * 4), ("too few", [1] * 4), ("nan", [1, 2, 1, 2])],
)
def test_what_one_does_costs_no_other_cell(tmp_path, mode, batches):
    question = ask(f"company[mode={mode}]", images="camera", seeds="0-3")
    records, events = run(tmp_path, question, 2, ChildProcess(tmp_path / "log", 1))
    assert [(record.status, record.batch) for record in records] == [("done", batch) for batch in batches]
    assert any("computed alone" in warning for warning in events.warnings)


def test_a_batch_that_takes_too_long_is_computed_cell_by_cell(tmp_path):
    options = RunOptions(clock=Clock(0), cell_timeout=2.0)
    records, events = run(
        tmp_path,
        ask("company[mode=hang]", images="camera", seeds="0-1"),
        2,
        ChildProcess(tmp_path / "log", 1),
        options,
    )
    assert [(record.status, record.batch) for record in records] == [("done", 1)] * 2
    assert "within 4 s" in events.warnings[0]


def test_a_signal_saves_every_cell_of_a_batch_and_all_go_on(tmp_path):
    out = tmp_path / "out"
    call = _command(out, "company[iterations=250]")
    code, output = _stopped(call, out)
    assert code == 128 + signal.SIGTERM, output
    assert len(list(out.glob("work/*/checkpoint"))) == 2
    code, output = _finished(call)
    assert code == 0, output
    question = ask("company[iterations=250]", images="camera", seeds="0-1")
    run(tmp_path / "plain", question, 1)
    assert images(out) == images(tmp_path / "plain")
    records = [Store(out).whole(path.name) for path in (out / "cells").iterdir()]
    assert all(record.log.details["first"] > 0 for record in records)


def _command(out: Path, methods: str) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "nidbench", "run", "--methods", methods, "--method-file", str(COMPANY)),
        *("--dataset", "sample", "--images", "camera", "--crop", "48", "--seeds", "0-1", "--batch", "2"),
        *("--tracking", "none", "--no-pictures", "--threads", "1", "--precision", "float32", "--device", "cpu"),
        *("--observe", "1", "--checkpoint-every", "3600", "--yes", "--output", str(out)),
    ]


def _stopped(call: list[str], out: Path) -> tuple[int, str]:
    """Send SIGTERM amid a batch; return the exit code and what was printed."""
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while len(list(out.glob("work/*/curve.jsonl"))) < 2 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        output = process.communicate()[0]
    return process.returncode, output


def _finished(call: list[str]) -> tuple[int, str]:
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def images(root: Path) -> dict[str, bytes]:
    """Return the bytes of every restoration, by its cell's id."""
    store = Store(root)
    return {path.name: store.arrays(path.name)["image"].tobytes() for path in sorted((root / "cells").iterdir())}


def test_jobs_of_a_kind_follow_each_other_in_the_order_of_their_first():
    plan = make_plan(ask("ours@smoke,wiener,dip@smoke", seeds="0-3"), SameProcess())
    order = arranged(plan.jobs, 2)
    assert sorted(map(id, order)) == sorted(map(id, plan.jobs))
    assert arranged(plan.jobs, 1) == list(plan.jobs)
    kinds = [(job.planned.label, job.case.shape) for job in order]
    fits = [kind for kind in kinds if kind[0] != "wiener"]
    assert all(one == other for one, other in zip(fits[::2], fits[1::2], strict=True))
    assert len({shape for _, shape in kinds[:12]}) == 1  # all of the first image, then all of the second


def test_messages_about_a_batch_are_held_to_its_tasks(tmp_path):
    computer = SameProcess()
    plan = make_plan(ask("company", images="camera", seeds="0-1"), computer)
    work = Runner(Store(tmp_path), Serial(computer, OPTIONS), Silent())._work
    batch = Batch([task_of(work(job).request, job.case.problem(), OPTIONS) for job in plan.jobs])
    shape = batch.tasks[0].shape
    for fits in (Of(1, Progress(1, 2)), Of(0, Draw(np.zeros(shape, np.float32)))):
        check(unpack(pack("number", fits))[1], batch)
    for wrong in (
        Of(2, Progress(1, 2)),
        Of(-1, Progress(1, 2)),
        Of(0, Progress(-1, 2)),
        Of(0, Draw(np.zeros((1, 2, 2), np.float32))),
        Outcomes([]),
        Progress(1, 2),
    ):
        with pytest.raises(MessageError):
            check(wrong, batch)


def test_who_shares_a_watch_is_charged_a_share():
    alone, shared = Stopwatch(), Stopwatch(4)
    with alone.untimed():
        while shared.seconds < 0.01:
            pass
    assert alone.seconds < shared.seconds


def test_a_batch_is_not_for_workers():
    with pytest.raises(InputError, match="batch 2 with workers"):
        Computing(batch=2, workers=2)
    with pytest.raises(InputError, match="batch"):
        Computing(batch=0)
