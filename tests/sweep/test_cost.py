"""What a sweep will cost: from spans of time in closed form, and measured beside a rival for the core."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from nidbench.api.progress import duration_range
from nidbench.cli import main
from nidbench.compute.child.tasks import _Reporter
from nidbench.compute.messages import Outcome
from nidbench.compute.pace import Span
from nidbench.compute.same_process import SameProcess
from nidbench.records import Store
from nidbench.sweep.choices import Chooser
from nidbench.sweep.cost import Rate, estimate, kind, method_rates
from nidbench.sweep.options import RunOptions
from nidbench.sweep.plan import make_plan
from nidbench.sweep.request import Ask, Experiment


@pytest.mark.parametrize(
    ("span", "threads", "seconds"),
    [
        (Span(1, 2.0, 2.0, 0.0), 1, 2.0),  # one thread, never held up
        (Span(1, 2.0, 2.0, 0.0), 4, 2.0),  # likewise: the other threads had nothing to do
        (Span(1, 2.0, 4.0, 0.0), 2, 2.0),
        (Span(1, 6.0, 2.0, 4.0), 1, 2.0),  # a third of one core
        (Span(1, 6.0, 4.0, 8.0), 2, 2.0),  # a third of two
        (Span(1, 6.0, 4.0, 1.0), 2, 5.0),
        (Span(1, 6.0, 4.0, math.nan), 2, 2.0),  # where the system does not say who waited
        (Span(1, 2.0, 2.1, 0.0), 1, 2.0),  # clocks differ
        (Span(1, 6.0, 0.1, 0.0), 1, 6.0),  # on a GPU
    ],
)
def test_time_alone_is_that_without_waits_for_a_core(span, threads, seconds):
    assert span.alone(threads) == pytest.approx(seconds)


BURN = """
    import os, sys, time
    os.sched_setaffinity(0, {int(sys.argv[1])})
    from nidbench.compute.pace import Meter
    print("ready", flush=True)
    sys.stdin.readline()
    meter = Meter()
    begin = time.thread_time()
    while time.thread_time() < begin + float(sys.argv[2]):
        pass
    span = meter.span(1)
    print(span.seconds, span.cpu, span.waited, span.alone(1), flush=True)
"""


def burning(seconds: float) -> subprocess.Popen[str]:
    """Start a process that will, on a line of input, use a core for so many seconds of CPU, the same core each time."""
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-P", "-c", dedent(BURN), str(core), str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not say who waits for a core")
def test_a_rival_for_the_core_is_not_counted():
    with burning(0.3) as one, burning(60.0) as rival:
        rival.stdin.write("\n")
        rival.stdin.flush()
        seconds, cpu, waited, alone = map(float, one.communicate("\n")[0].split())
        rival.kill()
    assert waited > 0.1
    assert alone < 0.8 * seconds
    assert alone >= min(seconds, cpu) >= 0.3


class Timed:
    """A computer whose pilots take what they are told to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._real, self._outcomes = SameProcess(), iter(outcomes)

    def hello(self):
        return self._real.hello()

    def use_threads(self, threads):
        assert threads == 2

    def ask(self, request, heard, seconds=None):
        if hasattr(request, "pilot_seconds"):
            return next(self._outcomes)
        return self._real.ask(request, heard, seconds)


def rates_of(tmp_path, *outcomes):
    """Return the rate of a method whose pilots end like this, for a cell, and what was said."""
    computer, said = Timed(*outcomes), []
    ask = Ask((Experiment("wiener", "sample", images="camera"),), device="cpu", precision="float32")
    plan = make_plan(ask, computer, Chooser(threads=2))
    rates = method_rates(plan, plan.jobs, Store(tmp_path), computer, RunOptions(), said.append)
    return estimate(plan.jobs, rates), said


def pilot(*spans: Span, planned: int = 1000) -> Outcome:
    return Outcome("pilot", spans=spans, planned=planned, iterations=sum(span.iterations for span in spans))


def test_one_disturbance_does_not_change_the_estimate(tmp_path):
    even = [Span(2, 0.2, 0.4, 0.0)] * 6
    calm, said = rates_of(tmp_path, pilot(*even))
    assert (calm.seconds, calm.low, calm.high) == pytest.approx((110, 50, 125))
    assert said == ["timing wiener: a short pilot of each"]
    disturbed, _ = rates_of(tmp_path, pilot(Span(2, 4.0, 0.4, 7.0), *even))
    assert (disturbed.seconds, disturbed.low, disturbed.high) == pytest.approx((110, 50, 2500))


def test_a_lasting_rival_counts_for_the_estimate_and_not_for_its_lower_bound(tmp_path):
    slow, _ = rates_of(tmp_path, pilot(*[Span(1, 5.0, 0.2, 9.0)] * 4))
    assert (slow.seconds, slow.low, slow.high) == pytest.approx((5500, 50, 6250))


def test_iterations_of_unequal_work_count_by_their_mean(tmp_path):
    light, heavy = Span(4, 0.4, 0.8, 0.0), Span(4, 0.8, 1.6, 0.0)  # 0.1 and 0.2 s an iteration
    mixed, _ = rates_of(tmp_path, pilot(*[light, light, heavy] * 2))
    assert mixed.seconds == pytest.approx(1.1 * 1000 * (2 * 0.1 + 0.2) / 3)
    beside_a_rival = [Span(span.iterations, 3 * span.seconds, span.cpu, 4 * span.seconds) for span in (light, heavy)]
    thrice, _ = rates_of(tmp_path, pilot(*[beside_a_rival[0], *beside_a_rival] * 2))
    assert thrice.seconds == pytest.approx(3 * mixed.seconds)
    assert thrice.low == pytest.approx(mixed.low)
    assert thrice.seconds <= thrice.high


@pytest.mark.parametrize(
    ("spans", "enough"),
    [
        ([Span(5, 0.4, 0.4, 0.0)] * 4, False),  # too short
        ([Span(1, 0.5, 0.5, 0.0)] * 5, False),  # too few iterations
        ([Span(10, 1.1, 1.1, 0.0)] * 2, False),  # too few spans to compare
        ([Span(5, 0.6, 0.6, 0.0)] * 4, True),
        ([Span(1, 5.0, 5.0, 0.0)] * 3, True),  # slow: fewer have to do
    ],
)
def test_a_pilot_sees_enough_of_a_method(spans, enough):
    reporter = _Reporter(lambda _: None, SimpleNamespace(pilot_seconds=2.0))
    reporter.spans = spans
    assert reporter._enough(2.0) == enough


@pytest.mark.parametrize(("threads", "expected"), [(2, 7.0), (1, 110.0)])
def test_finished_cells_tell_the_time_where_they_had_as_many_threads(tmp_path, make_record, threads, expected):
    store, computer = Store(tmp_path), Timed(pilot(*[Span(2, 0.2, 0.4, 0.0)] * 6))
    ask = Ask((Experiment("wiener", "sample", images="camera", seeds="0-1"),), device="cpu", precision="float32")
    plan = make_plan(ask, computer, Chooser(threads=2))
    done, waiting = plan.jobs
    store.write(replace(make_record(), id=done.cell.id, cell=done.cell, seconds=7.0, threads=threads), {})
    rates = method_rates(plan, [waiting], store, computer, RunOptions(), lambda _: None)
    assert estimate([waiting], rates).seconds == pytest.approx(expected)


def test_a_pilot_that_is_soon_done_is_repeated_and_its_first_run_is_no_measure(tmp_path):
    runs = [Outcome("done", spans=[Span(1, seconds, seconds, 0.0)]) for seconds in (1.0, 0.01, 0.02)]
    cost, _ = rates_of(tmp_path, *runs)
    assert (cost.seconds, cost.low, cost.high) == pytest.approx((0.02, 0.005, 1.25))
    long, _ = rates_of(tmp_path, Outcome("done", spans=[Span(1, 3.0, 3.0, 0.0)]))
    assert long.seconds == pytest.approx(3)


def test_a_pilot_that_fails_tells_nothing(tmp_path):
    cost, _ = rates_of(tmp_path, Outcome("failed"))
    assert cost.unknown == ("wiener",)
    assert cost.high == 0


def test_parts_add_up():
    plan = make_plan(Ask((Experiment("wiener,tv", "sample"),), device="cpu", precision="float32"), SameProcess())
    gray, colour = ("wiener", 1), ("wiener", 3)
    rates = {gray: Rate(2.0, 1.0, 4.0), colour: Rate(20.0, 10.0, 40.0), ("tv", 1): None, ("tv", 3): None}
    pixels = {kind(job): math.prod(job.case.shape[1:]) for job in plan.jobs}
    cost = estimate(plan.jobs, rates)
    least = pixels[gray] + 10 * pixels[colour]
    assert (cost.low, cost.seconds, cost.high) == (least, 2 * least, 4 * least)
    assert cost.unknown == ("tv",)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(20, 50, "20 to 50 s"), (50, 600, "50 s to 10 min"), (120, 540, "2 to 9 min"), (3000, 9000, "50 min to 2.5 h")],
)
def test_ranges(low, high, text):
    assert duration_range(low, high) == text


def test_bounds_that_read_the_same_are_one():
    assert duration_range(120, 121) == "2 min"


ENDLESS = """
    from dataclasses import dataclass
    from typing import ClassVar
    from nidbench.contract import MethodInfo

    @dataclass(frozen=True)
    class Endless:
        info: ClassVar[MethodInfo] = MethodInfo("Endless")

        def restore(self, problem, run):
            for i in range(1, 10**12):
                run.progress(i, 10**12)
"""

ARGUMENTS = ("--dataset", "sample", "--in-process", "--tracking", "none", "--no-pictures", "--device", "cpu")


def test_what_takes_more_than_an_hour_at_least_wants_yes(tmp_path):
    (tmp_path / "endless.py").write_text(dedent(ENDLESS))
    method = ("--methods", "endless", "--method-file", str(tmp_path / "endless.py"))
    result = CliRunner().invoke(main, ["run", *method, "--output", str(tmp_path / "out"), *ARGUMENTS])
    assert result.exit_code == 2
    assert "at least" in result.output
    assert "--yes" in result.output
    assert not [path for folder in ("cells", "sweeps") for path in (tmp_path / "out").glob(f"{folder}/*")]


@pytest.fixture
def hours(tmp_path) -> Iterator[Path]:
    """Results of `wiener`, of which one cell says that it took a thousand hours."""
    command = ["run", "--methods", "wiener", "--noise-seeds", "0,1", "--output", str(tmp_path), *ARGUMENTS]
    assert CliRunner().invoke(main, [*command, "--images", "camera"]).exit_code == 0
    store = Store(tmp_path)
    (name,) = (path.stem for path in (tmp_path / "sweeps").glob("*.json"))
    record = store.read(store.sweep(name).cells[0].id)
    store.write(replace(record, seconds=3.6e6), store.arrays(record.id))
    return tmp_path


def test_an_estimate_beyond_an_hour_starts_where_it_may_be_wrong(hours):
    arguments = ["run", "--methods", "wiener", "--noise-seeds", "0-3", "--output", str(hours), *ARGUMENTS]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert re.search(r"about \d{4}\.\d h \(\S+ s to", result.output)
