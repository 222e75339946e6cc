"""A method that does, as its `mode` says, one of the things that hostile or careless methods do."""

import builtins
import ctypes
import gc
import locale
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import torch

from nidbench.contract import MethodInfo, Problem, Restored, Run

MODES: dict[str, Callable] = {}
SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]


def mode(act):
    """Register what a mode does: a function of x, the run and the setting `note` that returns what restore returns."""
    MODES[act.__name__] = act
    return act


@dataclass(frozen=True)
class Hostile:
    info: ClassVar[MethodInfo] = MethodInfo("Hostile")
    mode: str = "work"
    note: str = ""  #: file that a mode may write to

    def restore(self, problem: Problem, run: Run) -> Restored:
        rows, columns = problem.valid
        x = np.zeros((problem.blurred.shape[0], *problem.frame), np.float32)
        x[:, rows, columns] = problem.blurred
        act = MODES.get(self.mode)
        return Restored(x) if act is None else act(x, run, self.note)


def note(path, pid):
    if path:
        with Path(path).open("a") as file:
            file.write(f"{pid}\n")


# what it returns


@mode
def numpy_details(x, _run, _note):
    details = {"loss": np.float32(0.5), "count": np.int64(3), "ok": np.bool_(True), "pair": (np.float16(1), [None])}
    return Restored(x, iterations=np.int32(7), details=details)


@mode
def set_details(x, _run, _note):
    return Restored(x, details={"kinds": {1, 2}})


@mode
def tensor_details(x, _run, _note):
    return Restored(x, details={"loss": torch.tensor(0.5)})


@mode
def nan_key(x, _run, _note):
    return Restored(x, details={float("nan"): 1})


@mode
def endless_details(x, _run, _note):
    loop: list = []
    loop += [loop, loop]
    return Restored(x, details={"loop": loop})


@mode
def huge_details(x, _run, _note):
    return Restored(x, details={"losses": list(range(10**6))})


@mode
def huge_number(x, _run, _note):
    return Restored(x, details={"n": 10**30})


@mode
def no_details(x, _run, _note):
    return Restored(x, details=None)


@mode
def odd_text(x, _run, _note):
    return Restored(x, stopped="\ud800 \x00 \x1b[31m " + "long " * 10**5, details={"\udfff": "\x00\ud800"})


@mode
def stopped_by_number(x, _run, _note):
    return Restored(x, stopped=3)


@mode
def huge_iterations(x, _run, _note):
    return Restored(x, iterations=2**80)


@mode
def iterations_in_words(x, _run, _note):
    return Restored(x, iterations="many")


@mode
def nothing(_x, _run, _note):
    return None


@mode
def masked(x, _run, _note):
    return Restored(np.ma.masked_less(x, 0.5))


class Liar(np.ndarray):
    shape = property(lambda _self: (1, 96, 96))
    dtype = property(lambda _self: np.dtype(np.float32))


@mode
def lying_array(x, _run, _note):
    return Restored(x[:, 1:].view(Liar))


@mode
def mapped_file(x, _run, _note):
    with tempfile.NamedTemporaryFile() as file:
        found = np.memmap(file.name, np.float32, "w+", shape=x.shape)
    found[:] = x
    return Restored(found)


@mode
def objects(x, _run, _note):
    return Restored(x.astype(object))


@mode
def complex_numbers(x, _run, _note):
    return Restored(x + 0j)


@mode
def beyond_float32(x, _run, _note):
    return Restored(x.astype(np.float64) + 1e300)


class Turning(Restored):
    looks = 0
    image = property(lambda self: self.turn())

    def __init__(self, x):
        object.__setattr__(self, "kept", x)
        for name, value in {"variance": None, "iterations": 0, "stopped": "x", "details": {}}.items():
            object.__setattr__(self, name, value)

    def turn(self):
        Turning.looks += 1
        return self.kept if Turning.looks == 1 else "something else"


@mode
def turning_answer(x, _run, _note):
    return Turning(x)


class Bursting(Restored):
    variance = property(lambda _self: 1 / 0)

    def __init__(self):
        pass


@mode
def bursting_answer(_x, _run, _note):
    return Bursting()


# what it says


@mode
def numpy_counts(x, run, _note):
    run.progress(np.int64(1), np.float64(2.0))
    run.observe(np.int64(25), lambda: x)
    return Restored(x)


@mode
def progress_in_words(x, run, _note):
    run.progress("a", None)
    return Restored(x)


@mode
def observed_shape(x, run, _note):
    run.observe(1, lambda: x[:, 1:])
    return Restored(x)


@mode
def observed_bytes(x, run, _note):
    run.observe(1, lambda: (255 * x).astype(np.uint8))
    return Restored(x)


@mode
def observed_nan(x, run, _note):
    run.observe(1, lambda: x * np.nan)
    return Restored(x)


@mode
def observed_array(x, run, _note):
    run.observe(1, x)
    return Restored(x)


@mode
def negative_iteration(x, run, _note):
    run.observe(-1, lambda: x)
    return Restored(x)


@mode
def sampled_shape(x, run, _note):
    run.sample(x[0])
    return Restored(x)


@mode
def sampled_nan(x, run, _note):
    run.sample(x * np.nan)
    return Restored(x)


@mode
def kept_objects(x, run, _note):
    run.keep("layer 01", np.array([None, x], object))
    return Restored(x)


@mode
def kept_path(x, run, _note):
    run.keep("../../elsewhere", x)
    return Restored(x)


@mode
def kept_under_no_name(x, run, _note):
    run.keep("\ud800\x00", x)
    return Restored(x)


@mode
def saved_text(x, run, _note):
    run.save("state")
    return Restored(x)


# what it raises


class SpeechlessError(Exception):
    def __str__(self):
        raise RuntimeError("no words")

    __repr__ = __str__


@mode
def speechless(_x, _run, _note):
    raise SpeechlessError


@mode
def odd_exception(_x, _run, _note):
    raise ValueError("\ud800 \x00 \x1b[31m [/bold] [link=x] " + "long " * 10**6)


@mode
def unpicklable_exception(_x, _run, _note):
    raise ValueError(threading.Lock(), lambda: 0)


@mode
def system_exit(_x, _run, _note):
    sys.exit(0)


@mode
def keyboard_interrupt(_x, _run, _note):
    raise KeyboardInterrupt


@mode
def signals_itself(x, _run, _note):
    signal.raise_signal(signal.SIGINT)
    return Restored(x)


@mode
def generator_exit(_x, _run, _note):
    raise GeneratorExit


@mode
def recursion(_x, run, note):
    return recursion(_x, run, note)


@mode
def exit_at_once(_x, _run, _note):
    os.write(1, b"last words\n")
    os._exit(3)


@mode
def segmentation_fault(_x, _run, _note):
    ctypes.string_at(0)


@mode
def kills_itself(_x, _run, _note):
    os.kill(os.getpid(), signal.SIGKILL)


@mode
def kills_above(_x, _run, path):
    note(path, subprocess.Popen(SLEEPER, start_new_session=True).pid)
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()


# what it does to the line


def sockets():
    handles = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    found = []
    for handle in handles:
        try:
            if stat.S_ISSOCK(os.fstat(handle).st_mode):
                found.append(handle)
        except OSError:
            continue
    return found


@mode
def closes_everything(x, _run, _note):
    os.closerange(0, 1000)
    return Restored(x)


@mode
def garbage(x, _run, _note):
    for handle in sockets():
        os.write(handle, b"garbage " * 100)
    return Restored(x)


@mode
def framed_garbage(x, _run, _note):
    for handle in sockets():
        os.write(handle, b"nidb" + (5).to_bytes(8, "little") + b"\xff\xfe\xfd\xfc\xfb")
    return Restored(x)


@mode
def endless_frame(x, _run, _note):
    for handle in sockets():
        os.write(handle, b"nidb" + (2**60).to_bytes(8, "little"))
    return Restored(x)


@mode
def half_a_frame(x, _run, _note):
    for handle in sockets():
        os.write(handle, b"nidb" + (2**29).to_bytes(8, "little"))
    return Restored(x)


@mode
def patched_contract(x, _run, _note):
    sys.modules["nidbench.contract.handed"].floats = lambda _what, value, _shape=None: value
    return Restored(x[:, 1:])


@mode
def forged_progress(x, run, _note):
    run._on_progress.__self__._send(sys.modules["nidbench.compute.messages"].Progress("a", None))
    return Restored(x)


@mode
def forged_outcome(x, run, _note):
    send = run._on_progress.__self__._send
    send(sys.modules["nidbench.compute.messages"].Outcome("triumph", x))
    return Restored(x)


@mode
def answers_twice(x, run, _note):
    send = run._on_progress.__self__._send
    send(sys.modules["nidbench.compute.messages"].Outcome("done", x, stopped="first"))
    return Restored(x, stopped="second")


@mode
def forged_greeting(x, run, _note):
    send = run._on_progress.__self__._send
    send(sys.modules["nidbench.compute.messages"].Hello(["abacus"], [], {}, 1))
    return Restored(x)


# what it leaves behind


@mode
def default_dtype(x, _run, _note):
    torch.set_default_dtype(torch.float64)
    return Restored(x)


@mode
def environment(x, _run, _note):
    os.environ["LEFT"] = "behind"
    os.chdir("/")
    os.umask(0)
    return Restored(x)


@mode
def patched_numpy(x, _run, _note):
    np.fft.fft2 = np.fft.ifft2 = torch.fft.rfft2 = torch.conj = lambda *_, **__: 0
    return Restored(x)


@mode
def patched_builtins(x, _run, _note):
    builtins.abs = lambda _: 1
    return Restored(x)


@mode
def strict_numbers(x, _run, _note):
    np.seterr(all="raise")
    warnings.simplefilter("error")
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    gc.disable()
    return Restored(x)


@mode
def handlers(x, _run, _note):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    return Restored(x)


@mode
def shallow(x, _run, _note):
    sys.setrecursionlimit(60)
    return Restored(x)


@mode
def no_modules(x, _run, _note):
    sys.modules.clear()
    return Restored(x)


@mode
def thread(x, run, _note):
    def go_on():
        while True:
            run.observe(3, lambda: x * 0)

    threading.Thread(target=go_on, daemon=True).start()
    return Restored(x)


@mode
def waits_for_a_thread(x, _run, _note):
    threading.Thread(target=time.sleep, args=(600,)).start()
    return Restored(x)


@mode
def subprocess_left(x, _run, path):
    note(path, subprocess.Popen(SLEEPER).pid)
    return Restored(x)


@mode
def daemon(x, _run, path):
    script = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=2).pid)"
    done = subprocess.run([sys.executable, "-S", "-c", script, *SLEEPER], stdout=subprocess.PIPE, env={}, check=True)
    note(path, int(done.stdout))
    return Restored(x)


@mode
def daemon_then_exit(x, run, path):
    daemon(x, run, path)
    os._exit(3)


@mode
def daemon_then_kills(x, run, path):
    daemon(x, run, path)
    note(path, os.getpid())
    note(path, os.getppid())
    sweeping = psutil.Process(os.getppid()).ppid()
    os.kill(sweeping, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


@mode
def forks(x, _run, path):
    if os.fork() == 0:
        note(path, os.getpid())
        return Restored(x * 0)
    os.wait()
    return Restored(x)


@mode
def forks_and_leaves(x, _run, path):
    if os.fork() == 0:
        note(path, os.getpid())
        time.sleep(600)
    return Restored(x)


@mode
def forks_and_exits(x, _run, _note):
    if os.fork() != 0:
        os._exit(0)
    time.sleep(0.05)
    return Restored(x * 0)


def observe_elsewhere(run, x):
    run.observe(5, lambda: x * 0)


@mode
def multiprocessing_observes(x, run, _note):
    process = multiprocessing.get_context("fork").Process(target=observe_elsewhere, args=(run, x))
    process.start()
    process.join()
    return Restored(x)


@mode
def floods(x, _run, _note):
    line = "spam " * 2000 + "\n"
    for _ in range(1000):
        sys.stdout.write(line)
    return Restored(x)


# what it takes


@mode
def memory(x, _run, _note):
    return Restored(x + np.ones(1 << 30, np.float32)[0])


@mode
def memory_of_torch(x, _run, _note):
    return Restored(x + torch.ones(1 << 30)[0].item())


@mode
def memory_of_a_child(x, _run, path):
    # shared: no limit of the kernel's holds for that
    script = (
        "import mmap, time; m = mmap.mmap(-1, 2 << 30); [m.write(bytes(1 << 20)) for _ in range(2048)]; time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-S", "-c", script])
    note(path, child.pid)
    child.wait()
    return Restored(x)


@mode
def hangs(_x, _run, _note):
    while True:
        pass


@mode
def stops_itself(_x, _run, _note):
    os.kill(os.getpid(), signal.SIGSTOP)


@mode
def hangs_in_c(_x, _run, _note):
    ctypes.PyDLL(None).sleep(600)  # holds Python's lock: no thread of this process can act


@mode
def never_reads(_x, _run, _note):
    left, _right = socket.socketpair()
    left.recv(1)


# what plain code does


@mode
def told_to_end(x, _run, _note):
    for pid in (os.getpid(), os.getppid()):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGHUP)
    return Restored(x)


@mode
def pool(x, _run, _note):
    with multiprocessing.get_context("fork").Pool(1) as workers:
        return Restored(x * workers.apply(int, ("1",)))


@mode
def plain_torch(x, _run, _note):
    return Restored(x + torch.nn.Conv2d(1, 1, 3).weight.detach().numpy().mean() + np.float32(np.random.rand()))  # noqa: NPY002


@mode
def replaced_run(x, _run, _note):
    Run.progress = Run.observe = lambda *_: None
    return replace(Restored(x), stopped="as told")
