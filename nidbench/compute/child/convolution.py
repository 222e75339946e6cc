"""How a device fits networks faster, from one convolution each: in which precision, on one thread or several."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

#: Channels and side, in pixels, of the maps: the widest layers of the untrained networks, on a crop of usual size.
CHANNELS, SIDE = 96, 96

#: Pairs of runs that are compared; the run of each kind before them is slow, as libraries prepare for it.
PAIRS = 3

#: Convolutions of a run where threads are compared, which the clock times.
_RUNS = 4


def bf16_ratios(device: str, threads: int) -> list[float]:
    """Return the time of a convolution with its gradients in bf16 over that in float32, pair by pair.

    The two take turns, and on a CPU the time is that which the process used, so that other programs do not decide.

    Args:
        device: torch device name, which has bf16.
        threads: CPU threads of the process from now on.
    """
    torch.set_num_threads(threads)
    clock = time.process_time if device == "cpu" else _device_clock(device)
    runs = {bf16: _convolution(device, bf16=bf16) for bf16 in (False, True)}
    with torch.inference_mode(mode=False), torch.enable_grad():
        for run in runs.values():
            run()
        return [_seconds(runs[True], clock) / _seconds(runs[False], clock) for _ in range(PAIRS)]


def thread_ratios(precision: str, threads: int) -> list[float]:
    """Return the time of convolutions with their gradients on several threads over that on one, pair by pair.

    The two take turns. The time is that of the clock: a thread that waits for a core which another program uses makes
    the others wait, and this is to be seen.

    Args:
        precision: `float32` or `bf16`.
        threads: how many are several; the process has them from now on.
    """
    run = _convolution("cpu", bf16=precision == "bf16")

    def several_runs(threads: int) -> Callable[[], None]:
        def runs() -> None:
            torch.set_num_threads(threads)
            for _ in range(_RUNS):
                run()

        return runs

    alone, together = several_runs(1), several_runs(threads)
    with torch.inference_mode(mode=False), torch.enable_grad():
        alone()
        together()
        times = [(_seconds(alone, time.perf_counter), _seconds(together, time.perf_counter)) for _ in range(PAIRS)]
    return [several / one for one, several in times]


def _convolution(device: str, *, bf16: bool) -> Callable[[], None]:
    """Return a function that convolves with 3x3 weights and takes the gradients, as the layers of a fold do."""
    # constants: what is convolved does not change the time, and random generators stay as they are
    shape = 1, CHANNELS, SIDE, SIDE
    maps = torch.full(shape, 0.5, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.full((CHANNELS, CHANNELS, 3, 3), 0.01, device=device)
    weight = weight.contiguous(memory_format=torch.channels_last).requires_grad_()

    def run() -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            convolved = F.conv2d(maps, weight, padding=1)
        torch.autograd.grad(convolved, (maps, weight), torch.ones_like(convolved))

    return run


def _seconds(run: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start


def _device_clock(device: str) -> Callable[[], float]:
    """Return a clock that waits until a device has done its work."""

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock
