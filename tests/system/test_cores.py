"""How many cores are free: what other programs leave, whatever this one and its own processes do meanwhile."""

import subprocess
import sys

import psutil
import pytest

from nidbench.system import cores


@pytest.fixture
def four(monkeypatch):
    """Four cores of eight, and readings that come without waiting: of shares of all cores, and of our own seconds."""
    monkeypatch.setattr(cores, "_affinity", lambda: {0, 1, 2, 3})
    clock = iter(range(1000))
    monkeypatch.setattr(cores.time, "perf_counter", lambda: next(clock))  # a second passes in every window

    def readings(*busy, own=0.0, beyond=0.0):
        shares = iter([[100 * each / 4] * 4 + [beyond] * 4 for each in busy])
        seconds = iter([number // 2 * 100 + number % 2 * own for number in range(2 * len(busy))])
        monkeypatch.setattr(psutil, "cpu_percent", lambda _interval, *, percpu: next(shares) if percpu else None)
        monkeypatch.setattr(cores, "own_seconds", lambda: next(seconds))

    return readings


@pytest.mark.parametrize(
    ("busy", "free"),
    [((0, 0, 0), 4), ((0.1, 0.4, 0.2), 4), ((1, 1, 1), 3), ((0, 4, 0), 4), ((1.9, 2, 2.1), 2), ((4, 4, 4), 1)],
)
def test_what_others_leave_is_free_and_one_always(four, busy, free):
    four(*busy)
    assert cores.free() == free


@pytest.mark.parametrize(("busy", "own", "free"), [(2, 2, 4), (3, 1, 2), (4, 4.2, 4), (1, 0.3, 3)])
def test_what_this_program_does_itself_takes_no_core_from_it(four, busy, own, free):
    four(*[busy] * 3, own=own)
    assert cores.free() == free


def test_only_the_cores_of_this_process_count(four):
    four(1, 1, 1, beyond=100.0)
    assert cores.free() == 3


def test_a_core_that_the_system_does_not_tell_of_is_idle(four, monkeypatch):
    four(4, 4, 4)
    monkeypatch.setattr(cores, "_affinity", lambda: {0, 9})
    assert cores.free() == 1
    four(0, 0, 0)
    assert cores.free() == 2


BUSY = """
import subprocess, sys, time
if len(sys.argv) == 1:
    subprocess.run([sys.executable, "-c", sys.stdin.readline(), "grandchild"])
while time.process_time() < 0.5:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def test_seconds_are_those_of_this_process_and_of_what_it_started():
    before = cores.own_seconds()
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        child.stdin.write(f"exec({BUSY!r})\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"  # the grandchild's
        with_grandchild = cores.own_seconds() - before
        child.stdin.close()
    assert with_grandchild >= 0.5 - 0.1  # the kernel counts a process's time in whole ticks of 10 ms


def test_free_cores_are_some_of_those_there_are():
    assert 1 <= cores.free() <= cores.usable()
