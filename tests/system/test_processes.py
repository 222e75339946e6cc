"""Processes that others leave behind are ended, whatever those are about to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from nidbench.system import processes

pytestmark = pytest.mark.skipif(not processes.LINUX, reason="needs Linux's list of processes")

#: A process that adopts orphans. What it starts says the number of the last of a family, which ends with it at latest.
FAMILY = """
    import atexit, os, signal, subprocess, sys
    from nidbench.system import processes

    def started(text):
        command = [sys.executable, "-S", "-c", text]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        last = int(process.stdout.readline())
        atexit.register(os.kill, last, signal.SIGKILL)
        return process.pid, last

    SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    FORKS = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {SLEEPS!r}])"
    processes.adopt_orphans()
"""


def printed(script: str) -> list[str]:
    """Return the lines that a script prints in a process of its own."""
    command = [sys.executable, "-c", dedent(FAMILY) + dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def test_the_children_of_a_process_whose_first_thread_has_ended_are_ended():
    lines = printed("""
        in_a_thread = f"import ctypes, threading; threading.Thread(target=exec, args=({FORKS!r},)).start()"
        parent, sleeper = started(f"{in_a_thread}; ctypes.CDLL(None).pthread_exit(None)")
        while open(f"/proc/{parent}/stat").read().rpartition(")")[2].split()[0] != "Z":
            pass
        print(processes.children(os.getpid()) == [parent])
        killed = processes.kill_descendants(os.getpid())
        print(any(f"process {sleeper} " in text for text in killed), processes.children(os.getpid()))
    """)
    assert lines == ["True", "True []"]


def test_the_children_of_a_process_that_ends_while_it_is_looked_at_are_ended():
    lines = printed("""
        parent, sleeper = started(FORKS)
        has_ended = processes._has_ended

        def ends_now(pid):
            if pid == parent:
                os.kill(pid, signal.SIGKILL)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return has_ended(pid)

        processes._has_ended = ends_now
        killed = processes.kill_descendants(os.getpid())
        print(any(f"process {sleeper} " in text for text in killed), processes.children(os.getpid()))
    """)
    assert lines == ["True []"]


def test_what_is_spared_stays():
    lines = printed("""
        spared, sleeper = started(FORKS)
        other, _ = started(SLEEPS)
        killed = processes.kill_descendants(os.getpid(), {spared})
        print(len(killed), f"process {other} " in killed[0])
        print(list(processes.descendants(os.getpid())) == [spared, sleeper])
        processes.kill_descendants(os.getpid())
    """)
    assert lines == ["1 True", "True"]


def test_a_program_whose_name_is_no_text_is_a_process_like_others(tmp_path):
    program = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfecat"))
    program.symlink_to(shutil.which("cat"))
    with subprocess.Popen(["cat"], executable=program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        cat.stdin.write(b"runs\n")
        cat.stdin.flush()
        assert cat.stdout.readline() == b"runs\n"
        assert cat.pid in processes.children(os.getpid())
        assert processes.memory(cat.pid) > 0
        assert processes.start(cat.pid).isdecimal()
