"""Turns Ctrl-C, SIGTERM and SIGHUP into one exception, which never comes in the middle of writing a file.

Schedulers and containers send SIGTERM some seconds before SIGKILL, a terminal that closes sends SIGHUP.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: The signals that ask a command to stop.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: File of the code of Python's that finds modules. An exception in the middle of it leaves its lock held, and every
#: thread that imports waiting for ever; in one of its callbacks, the exception is lost. What a module does when it is
#: imported is code of another file.
_IMPORTLIB = "<frozen importlib._bootstrap>"

#: Seconds after which a signal that came there comes again.
_STEPS = 0.001


class Interrupted(KeyboardInterrupt):
    """A person or the system asks this process to stop.

    Args:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = signal.Signals(number)


class _State:
    """The signal that came last, and whether it waits for a `shielded` block; one state for the whole process."""

    came: int | None = None
    shields = 0
    held_back = False


def stopped_by(error: BaseException | None = None) -> signal.Signals | None:
    """Return the signal that an exception stands for, or else the last one that came; None where none came."""
    if isinstance(error, Interrupted):
        return error.number
    if _State.came is not None:
        return signal.Signals(_State.came)
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else None


def exit_code(number: signal.Signals) -> int:
    """Return the exit code that shells report for a process that a signal ended: 130, 143 or 129."""
    return 128 + number


@contextmanager
def heeded() -> Iterator[None]:
    """Raise `Interrupted` in the block where a signal asks to stop; those ignored before, as by nohup, stay so."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    before = {number: action for number, action in before.items() if action is not signal.SIG_IGN}
    _State.came, _State.held_back = None, False
    try:
        for number in before:
            signal.signal(number, _heed)
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        _State.came, _State.held_back = None, False  # answered: a later block in this process starts without them


def end_at_once() -> None:
    """Let the next signal end the process at once and without a traceback; for use when all work is saved."""
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def left_to_parent() -> None:
    """Do nothing where a signal asks to stop: the parent process receives it, too, and decides.

    The signals get a handler and are not ignored, because programs started from here would inherit ignored ones.
    """
    for number in STOPPING:
        signal.signal(number, lambda *_: None)


@contextmanager
def shielded() -> Iterator[None]:
    """Delay a signal until the block has ended; a second signal interrupts the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
        if _State.held_back and not _State.shields and _State.came is not None:
            _State.held_back = False
            raise Interrupted(_State.came)


def check() -> None:
    """Raise `Interrupted` where a signal came but its exception was lost, as happens in a finaliser."""
    if _State.came is not None:
        raise Interrupted(_State.came)


def _heed(number: int, frame: FrameType | None) -> None:
    if _is_in_importlib(frame):
        again = threading.Timer(_STEPS, signal.pthread_kill, [threading.get_ident(), number])
        again.daemon = True
        again.start()
        return
    if number == signal.SIGHUP:
        _leave_lost_terminal()
    first, _State.came = _State.came is None, number
    if first and _State.shields:
        _State.held_back = True
        return
    _State.held_back = False
    raise Interrupted(number)


def _is_in_importlib(frame: FrameType | None) -> bool:
    """Return whether what a signal interrupts, or what was interrupted by one that is being heeded, is that code."""
    interrupted = frame
    while frame is not None:
        if frame.f_code is _heed.__code__:
            interrupted = frame.f_back
        frame = frame.f_back
    return interrupted is not None and interrupted.f_code.co_filename == _IMPORTLIB


def _leave_lost_terminal() -> None:
    """Send output to nowhere where the terminal is gone: printing would fail and end the code that saves the work."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
