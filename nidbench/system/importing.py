"""Modules that take long to import, imported while something else is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread


@contextmanager
def imported_beside(module: str) -> Iterator[None]:
    """Import a module while the block runs; when it ends, by an error too, nothing is being imported any more.

    A program that ends while a thread imports prints a traceback of it, as modules can no longer say what is to be done
    at the end. A module that cannot be imported says so where it is used.
    """
    thread = Thread(target=_attempt, args=(module,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _attempt(module: str) -> None:
    with suppress(Exception):
        import_module(module)
