"""Signals that this process sends to itself, for real."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import click
import psutil
import pytest
from click.testing import CliRunner

from nidbench.cli import _Group, track
from nidbench.system.signals import STOPPING, Interrupted, check, heeded, shielded


@pytest.fixture(autouse=True)
def usual_actions():
    """Those of a program that a terminal starts, whoever started the tests."""
    before = [signal.getsignal(number) for number in STOPPING]
    for number in STOPPING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, action in zip(STOPPING, before, strict=True):
        signal.signal(number, action)


def send(number):
    os.kill(os.getpid(), number)


def invoke(act, given=""):
    group = _Group("program")
    group.add_command(click.Command("act", callback=act))
    return CliRunner().invoke(group, ["act"], input=given)


@pytest.mark.parametrize("number", STOPPING)
def test_a_command_that_is_asked_to_stop_says_what_to_do(number):
    before = [signal.getsignal(stopping) for stopping in STOPPING]
    result = invoke(lambda: send(number))
    assert result.exit_code == 128 + number
    assert result.output == (f"interrupted by {number.name}: what was finished is kept, run the same command again\n")
    assert [signal.getsignal(stopping) for stopping in STOPPING] == before


def test_a_signal_ends_a_question_and_a_no_is_no_signal():
    def cut_off():
        try:
            send(signal.SIGTERM)
        except KeyboardInterrupt:
            raise click.Abort from None  # as click.confirm does

    assert invoke(cut_off).exit_code == 128 + signal.SIGTERM
    no = invoke(lambda: click.confirm("Start?", abort=True), "n\n")
    assert no.exit_code == 1
    assert "interrupted" not in no.output


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    result = invoke(lambda: (send(signal.SIGHUP), click.echo("goes on")))
    assert (result.exit_code, result.output) == (0, "goes on\n")


def stopped(act):
    """Return the name of the signal that ended a shielded block."""
    with heeded():
        try:
            with shielded():
                act()
        except Interrupted as stop:
            return str(stop)
    return None


def test_a_signal_waits_for_a_shielded_block_and_a_second_one_does_not():
    done = []

    def once():
        send(signal.SIGTERM)
        with shielded():
            done.append("inner")
        done.append("outer")

    def twice():
        send(signal.SIGTERM)
        send(signal.SIGINT)
        done.append("never")

    assert (stopped(once), stopped(twice)) == ("SIGTERM", "SIGINT")
    assert done == ["inner", "outer"]


def test_an_error_amid_a_shielded_block_does_not_lose_the_signal():
    def fail():
        send(signal.SIGTERM)
        raise OSError("full")

    assert stopped(fail) == "SIGTERM"


def test_a_signal_whose_exception_was_lost_is_raised_again():
    with heeded():
        check()
        with suppress(KeyboardInterrupt):  # as a finaliser's caller does
            send(signal.SIGHUP)
        with pytest.raises(Interrupted, match="SIGHUP"):
            check()
    with heeded():
        check()


def test_threads_leave_signals_to_the_main_one():
    actions = []

    def act():
        with heeded(), shielded():
            actions.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    assert actions == [signal.SIG_DFL]


def test_what_the_pages_are_served_by_ends_with_all_that_it_started():
    inner = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, start_new_session=True) as server:
        server.stdout.readline()
        (child,) = psutil.Process(server.pid).children()
        track._end(server)
        assert server.returncode == -signal.SIGTERM
        psutil.wait_procs([child], timeout=30)
        assert not child.is_running()


LATE = """
import os, signal, sys, threading
from nidbench.__main__ import program

def send():
    threading.main_thread().join()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=send).start()
sys.argv = ["nidbench", "--version"]
program()
"""


def test_a_signal_that_comes_when_all_is_done_leaves_no_traceback():
    done = subprocess.run([sys.executable, "-P", "-c", LATE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    assert done.stdout.startswith("nidbench, version")


WHILE_IMPORTING = """
import _imp, _thread, operator, signal, threading, time
from functools import partial
from importlib import _bootstrap, import_module
from itertools import chain, repeat
from types import SimpleNamespace

from nidbench.system.signals import Interrupted, heeded

# one call that takes the lock, and has a signal come before the code that would give it back
signalled = partial(list, map(operator.call, [_imp.acquire_lock, partial(_thread.interrupt_main, signal.SIGTERM)]))
acquired = map(operator.call, chain([signalled], repeat(_imp.acquire_lock)))
with heeded():
    _bootstrap._imp = SimpleNamespace(**{**vars(_imp), "acquire_lock": partial(next, acquired)})
    try:
        import colorsys
        time.sleep(60)
    except Interrupted as stop:
        _bootstrap._imp = _imp
        print(stop, "held" if _imp.lock_held() else "free")
thread = threading.Thread(target=import_module, args=("this",), daemon=True)
thread.start()
thread.join(20)
"""


def test_a_signal_in_the_middle_of_an_import_keeps_no_thread_from_importing():
    ended = subprocess.run(
        [sys.executable, "-c", WHILE_IMPORTING], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.stdout.startswith("SIGTERM free\nThe Zen of Python"), ended.stdout + ended.stderr
