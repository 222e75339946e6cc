"""Precision and threads are chosen once: by measurement in a new sweep, by the earlier choice in one that goes on."""

import json
import os
from dataclasses import replace

import psutil
import pytest
import torch

from nidbench.compute.child.convolution import PAIRS, bf16_ratios, thread_ratios
from nidbench.compute.child_process import ChildProcess
from nidbench.compute.computer import DeadlineError, WorkerDiedError
from nidbench.compute.message_rules import check
from nidbench.compute.messages import ComparePrecisions, CompareThreads, Hello, MessageError, Ratios
from nidbench.compute.same_process import SameProcess
from nidbench.errors import InputError
from nidbench.records import Choices, Store
from nidbench.sweep.choices import Chooser
from nidbench.sweep.plan import make_plan
from nidbench.sweep.request import Ask, Experiment

NETWORK = Experiment("dip@smoke", "sample", images="camera")
CLASSICAL = replace(NETWORK, methods="wiener")
BOTH = replace(NETWORK, methods="wiener,dip@smoke")

FASTER, TIE, SLOWER = (0.5, 0.6, 0.7), (0.90, 0.97, 1.2), (1.3, 1.4, 2.0)


class Machine(SameProcess):
    """A computer that says how fast its bf16 and its threads are, and counts how often it is asked."""

    def __init__(self, ratios=FASTER, *, shared=(0.3, 0.5, 0.6), bf16=("cpu",), devices=("cpu",)):
        super().__init__()
        self._ratios, self._shared, self._bf16, self._devices = ratios, shared, bf16, devices
        self.compared, self.shared, self.threads = [], [], []

    def hello(self):
        return Hello(self._devices, self._bf16, {}, 1)

    def use_threads(self, threads):
        self.threads.append(threads)

    def ask(self, request, listener, seconds=None):
        if isinstance(request, ComparePrecisions):
            self.compared.append(request)
            return said_or_raised(self._ratios)
        if isinstance(request, CompareThreads):
            self.shared.append(request)
            return said_or_raised(self._shared)
        return super().ask(request, listener, seconds)


def said_or_raised(ratios):
    if isinstance(ratios, Exception):
        raise ratios
    return Ratios(ratios)


class Cores:
    """A number of free cores that is asked for."""

    def __init__(self, free):
        self.free, self.asked = free, 0

    def __call__(self):
        self.asked += 1
        return self.free


@pytest.fixture
def planned(tmp_path):
    """Plan a sweep in one folder and keep it, as a run does; what is said ends in `planned.said`."""
    store = Store(tmp_path / "out")

    def plan(experiment, machine, threads=None, free=4, **asked):
        plan.said = []
        chooser = Chooser(store, threads, free if callable(free) else lambda: free, plan.said.append)
        made = make_plan(Ask((experiment,), **{"device": "cpu", **asked}), machine, chooser)
        store.write_sweep(made.sweep)
        return made

    plan.store = store
    return plan


def precisions(plan):
    return {job.planned.label: job.cell.precision for job in plan.jobs}


@pytest.mark.parametrize(
    ("ratios", "precision"),
    [(FASTER, "bf16"), (TIE, "float32"), (SLOWER, "float32"), ((0.1, 0.96, 1.1), "float32"), ((9.0, 0.9, 0.9), "bf16")],
)
def test_bf16_has_to_be_clearly_faster(planned, ratios, precision):
    machine = Machine(ratios)
    plan = planned(NETWORK, machine)
    assert {job.cell.precision for job in plan.jobs} == {precision}
    assert plan.sweep.choices == Choices("cpu", precision, 4)
    assert machine.compared == [ComparePrecisions("cpu", 4)]
    assert planned.said == [
        f"{precision}, as a convolution in bf16 takes {sorted(ratios)[1]:.2f} of its time in float32",
        "4 threads, as a convolution on 4 takes 0.50 of its time on one",
    ]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("shared", "threads"), [((0.5, 0.6, 2.0), 4), ((0.2, 0.7, 0.8), 1), ((8.0, 9.0, 0.5), 1)])
def test_several_threads_have_to_be_worth_it(planned, precision, shared, threads):
    """Where they are not, one is not slowed down by what else the machine does."""
    machine = Machine(shared=shared)
    plan = planned(NETWORK, machine, precision=precision)
    assert plan.sweep.choices == Choices("cpu", precision, threads)
    assert {job.threads for job in plan.jobs} == {threads}
    assert machine.threads[-1] == threads
    assert machine.shared == [CompareThreads(precision, 4)]
    chosen = f"{threads} threads" if threads > 1 else "1 thread"
    assert planned.said == [f"{chosen}, as a convolution on 4 takes {sorted(shared)[1]:.2f} of its time on one"]


@pytest.mark.parametrize("failure", [WorkerDiedError("it ended"), DeadlineError("no answer")])
def test_where_threads_cannot_be_compared_it_is_one(planned, failure):
    plan = planned(NETWORK, Machine(shared=failure), precision="float32")
    assert plan.sweep.choices.threads == 1
    assert planned.said == [f"1 thread, as 4 could not be timed: {failure}"]


@pytest.mark.parametrize("asked", [{"threads": 4}, {"free": 1}, {"device": "cuda"}])
def test_threads_are_not_compared_where_nothing_depends_on_it(planned, asked):
    machine = Machine(devices=("cuda:0", "cpu"))
    planned(NETWORK, machine, **asked)
    assert not machine.shared


def test_threads_of_classical_methods_are_those_that_are_free(planned):
    machine = Machine(shared=SLOWER)
    assert planned(CLASSICAL, machine).sweep.choices == Choices("cpu", None, 4)
    assert not machine.shared


def test_without_bf16_there_is_nothing_to_measure(planned):
    machine = Machine(bf16=())
    assert planned(NETWORK, machine).sweep.choices.precision == "float32"
    assert not machine.compared
    with pytest.raises(InputError, match="precision bf16: cpu has no instructions for it"):
        planned(NETWORK, machine, precision="bf16")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_what_is_asked_is_not_measured(planned, precision):
    machine = Machine()
    assert planned(NETWORK, machine, precision=precision).sweep.choices.precision == precision
    assert not machine.compared


@pytest.mark.parametrize("failure", [WorkerDiedError("it ended"), DeadlineError("no answer")])
def test_where_the_comparison_fails_it_is_float32(planned, failure):
    assert planned(NETWORK, Machine(failure)).sweep.choices.precision == "float32"
    assert planned.said[0] == f"float32, as bf16 could not be timed: {failure}"


def test_classical_methods_are_not_kept_waiting_and_their_cells_stay_when_a_network_joins(planned):
    machine = Machine()
    alone = planned(CLASSICAL, machine, name="s")
    assert not machine.compared
    assert alone.sweep.choices == Choices("cpu", None, 4)
    assert precisions(alone) == {"wiener": "float32"}
    together = planned(BOTH, machine, name="s")
    assert len(machine.compared) == 1
    assert precisions(together) == {"wiener": "float32", "dip@smoke": "bf16"}
    assert alone.jobs[0].cell.id in {job.cell.id for job in together.jobs}


def test_a_method_of_a_file_may_use_bf16(planned, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom nidbench.contract import MethodInfo\n\n@dataclass(frozen=True)\n"
        "class Mine:\n    info = MethodInfo('Mine')\n    def restore(self, problem, run): ...\n"
    )
    machine = Machine()
    plan = planned(replace(CLASSICAL, methods="mine"), machine, method_file=tmp_path / "mine.py")
    assert plan.sweep.choices.precision == "bf16"


def test_neither_load_nor_another_measurement_changes_a_sweep(planned):
    first = planned(NETWORK, Machine(FASTER), free=2)
    machine, cores = Machine(SLOWER), Cores(1)
    again = planned(NETWORK, machine, free=cores)
    assert not machine.compared
    assert not cores.asked
    assert set(machine.threads) == {2}
    assert again.sweep == first.sweep
    assert {job.threads for job in again.jobs} == {2}
    assert not planned.said


@pytest.mark.parametrize("more", [{"methods": "dip@smoke,wiener"}, {"images": ""}, {"seeds": "0-1"}])
def test_a_sweep_that_is_extended_under_another_name_goes_on_alike(planned, more):
    first = planned(NETWORK, Machine(FASTER), free=2)
    machine = Machine(SLOWER)
    extended = planned(replace(NETWORK, **more), machine, free=1)
    assert extended.sweep.name != first.sweep.name
    assert extended.sweep.choices == first.sweep.choices
    assert {job.cell.id for job in first.jobs} < {job.cell.id for job in extended.jobs}
    assert machine.threads[-1] == 2


def test_a_sweep_without_a_common_cell_is_a_new_one(planned):
    planned(NETWORK, Machine(FASTER), free=2)
    machine = Machine(SLOWER)
    other = planned(replace(NETWORK, noise="gaussian:0.01"), machine, free=1)
    assert other.sweep.choices == Choices("cpu", "float32", 1)


def test_the_latest_of_several_sweeps_decides(planned):
    planned(NETWORK, Machine(FASTER), name="a", free=2)
    for name, precision, threads in (("b", "float32", 3), ("c", "bf16", 1)):
        planned(NETWORK, Machine(), threads, precision=precision, name=name)
    ages = {"a": 1, "b": 3, "c": 2}
    for name, seconds in ages.items():
        os.utime(planned.store.root / "sweeps" / f"{name}.json", (seconds, seconds))
    assert planned(NETWORK, Machine()).sweep.choices == Choices("cpu", "float32", 3)


def test_another_device_is_another_choice(planned):
    both = {"devices": ("cuda:0", "cpu"), "bf16": ("cuda:0", "cpu")}
    planned(NETWORK, Machine(SLOWER, **both), name="s", free=2)
    plan = planned(NETWORK, Machine(FASTER, **both), name="s", device="cuda", free=1)
    assert plan.sweep.choices == Choices("cuda", "bf16", 1)


def test_other_wishes_than_before_are_met_and_said(planned):
    first = planned(NETWORK, Machine(FASTER), 2, name="s")
    float32 = planned(NETWORK, Machine(), 2, name="s", precision="float32")
    assert planned.said == ["s was in bf16, whose cells stay in the folder: in float32 they are others"]
    assert not {job.cell.id for job in first.jobs} & {job.cell.id for job in float32.jobs}
    one = planned(NETWORK, Machine(), 1, name="s")
    assert one.sweep.choices == Choices("cpu", "float32", 1)
    (said,) = planned.said
    assert "threads 1, where s has 2" in said
    assert "bf16" in said
    planned(NETWORK, Machine(), 1, name="s")
    assert not planned.said


def test_a_sweep_in_bf16_does_not_go_on_where_there_is_none(planned):
    first = planned(NETWORK, Machine(), name="s")
    lacking = Machine(bf16=())
    with pytest.raises(InputError, match=r"s is in bf16, which cpu does not have: go on where .* --precision float32"):
        planned(NETWORK, lacking, name="s")
    assert planned.store.sweep("s") == first.sweep
    extended = planned(BOTH, lacking, name="t")
    assert set(precisions(extended).values()) == {"float32"}
    assert planned(NETWORK, lacking, name="s", precision="float32").sweep.choices.precision == "float32"


def test_a_part_of_a_sweep_is_computed_like_the_whole(tmp_path):
    """As `--budget` asks: first the plan of all, then that of the measurements which fit."""
    machine, cores = Machine(), Cores(3)
    chooser = Chooser(Store(tmp_path), None, cores)
    whole, part = (
        make_plan(Ask((replace(NETWORK, images=images),), "cpu", name="s"), machine, chooser)
        for images in ("", "astronaut")
    )
    assert len(machine.compared) == cores.asked == 1
    assert whole.sweep.choices == part.sweep.choices
    assert {job.cell.id for job in part.jobs} < {job.cell.id for job in whole.jobs}


def forget_choices(store, name):
    path = store.root / "sweeps" / f"{name}.json"
    content = json.loads(path.read_text())
    del content["choices"]
    path.write_text(json.dumps(content))


def test_a_sweep_of_before_goes_on_as_its_records_say(planned, make_record):
    first = planned(BOTH, Machine(), name="s", precision="bf16")
    forget_choices(planned.store, "s")
    cell = first.jobs[-1].cell
    planned.store.write(replace(make_record(), id=cell.id, cell=cell, threads=3), {})
    machine = Machine(SLOWER)
    again = planned(BOTH, machine, name="s", free=1)
    assert not machine.compared
    assert again.sweep.choices == Choices("cpu", "bf16", 3)
    assert again.sweep.cells == first.sweep.cells


def test_a_sweep_of_before_without_any_record_is_a_new_one(planned):
    planned(NETWORK, Machine(), name="s")
    forget_choices(planned.store, "s")
    assert planned(NETWORK, Machine(SLOWER), name="s", free=1).sweep.choices == Choices("cpu", "float32", 1)


def test_a_damaged_sweep_is_no_hindrance(planned):
    planned(NETWORK, Machine(), name="s")
    (planned.store.root / "sweeps" / "s.json").write_text("{")
    assert planned(NETWORK, Machine(SLOWER), name="s").sweep.choices.precision == "float32"


def test_without_a_folder_there_is_one_thread():
    plan = make_plan(Ask((NETWORK,), "cpu"), Machine())
    assert plan.sweep.choices == Choices("cpu", "bf16", 1)


def test_the_comparison_is_of_times_and_leaves_no_trace():
    """Both types work on every CPU, bf16 slowly where there are no instructions for it."""
    before = torch.get_rng_state()
    for ratios in (bf16_ratios("cpu", 1), thread_ratios("float32", 2), thread_ratios("bf16", 1)):
        assert len(ratios) == PAIRS
        assert all(ratio > 0 for ratio in ratios)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_computing_process_compares_and_has_the_threads_that_are_chosen(tmp_path):
    computer = ChildProcess(tmp_path / "log", 1)
    try:
        first = psutil.Process(computer.hello().pid)
        assert first.environ()["OMP_NUM_THREADS"] == "1"
        computer.use_threads(1)
        assert first.is_running()
        computer.use_threads(3)
        answer = computer.ask(ComparePrecisions("cpu", 3), lambda _: None, 120)
        assert len(answer.ratios) == PAIRS
        (child,) = (each for each in psutil.Process().children(recursive=True) if is_copy(each))
        assert child.pid != first.pid
        assert child.environ()["OMP_NUM_THREADS"] == "3"
    finally:
        computer.close()


def is_copy(process):
    """Return whether a process is a running copy of the one that computing processes are copied from."""
    return process.status() != psutil.STATUS_ZOMBIE and process.parent().cmdline() == process.cmdline()


@pytest.mark.parametrize("ratios", [(), (0.5, float("nan")), (float("inf"),), (0.0,), (-1.0,)])
def test_ratios_that_no_clock_gives_are_refused(ratios):
    with pytest.raises(MessageError, match="the ratios are"):
        check(Ratios(ratios), ComparePrecisions("cpu", 1))
