"""Being asked to stop, by Ctrl-C, SIGTERM or SIGHUP: one exception, and never in the middle of a file.

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


class Interrupted(KeyboardInterrupt):
    """A person or the system asks to stop.

    Args:
        number: which signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = signal.Signals(number)


class _State:
    """What came, and whether it has to wait: signals are the process's, and so is this."""

    came: int | None = None
    shields = 0
    held_back = False


def stopped_by(error: BaseException | None = None) -> signal.Signals | None:
    """Return the signal of an interruption, or the last one that came; None where there was none."""
    if isinstance(error, Interrupted):
        return error.number
    if _State.came is not None:
        return signal.Signals(_State.came)
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else None


def exit_code(number: signal.Signals) -> int:
    """Return what a shell reports of a process that a signal ended: 130, 143 or 129."""
    return 128 + number


@contextmanager
def heeded() -> Iterator[None]:
    """Raise `Interrupted` where a signal asks to stop; those that are ignored, as under nohup, stay so."""
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
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
        _State.came, _State.held_back = None, False  # answered: what runs later in this process begins afresh


def end_at_once() -> None:
    """Let the next signal end the process, without a traceback: all that is left is to leave."""
    for number in STOPPING:
        if signal.getsignal(number) is _heed:
            signal.signal(number, signal.SIG_DFL)


def left_to_parent() -> None:
    """Do nothing where a signal asks to stop: the parent, which gets it too, says when.

    Unlike ignoring them, which programs that are started from here would inherit.
    """
    for number in STOPPING:
        signal.signal(number, lambda *_: None)


@contextmanager
def shielded() -> Iterator[None]:
    """Let a signal wait until the block is over; a second one does not wait."""
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
    """Raise `Interrupted` where a signal came whose exception was lost, as one raised in a finaliser is."""
    if _State.came is not None:
        raise Interrupted(_State.came)


def _heed(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGHUP:
        _leave_lost_terminal()
    first, _State.came = _State.came is None, number
    if first and _State.shields:
        _State.held_back = True
        return
    _State.held_back = False
    raise Interrupted(number)


def _leave_lost_terminal() -> None:
    """Print into nothing where the terminal is gone, so that an error of printing does not end what saves the work."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, descriptor)
            os.close(nothing)
