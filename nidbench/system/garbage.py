"""Python's collector of reference cycles, kept from looking through what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let the collector rest while many objects are made that stay, such as 100,000 records.

    Meanwhile it would look through all of them again and again, which takes as long as making them. What is no part of
    a cycle is freed all the same.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def keep_all() -> None:
    """Keep all that there is until the process ends, for use at its end.

    To look through it all once more takes half a second where MLflow was imported.
    """
    gc.freeze()
