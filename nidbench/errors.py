"""The errors that nidbench raises for problems that a person can solve."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class NidbenchError(Exception):
    """An error whose message names the value, the rule and the way out; the command line shows no traceback."""


class InputError(NidbenchError, ValueError):
    """A value that breaks a rule: an image, a kernel, a noise level, a setting."""


class UnknownNameError(NidbenchError, LookupError):
    """A name that nothing is registered under; the message lists the near misses."""


class DataError(NidbenchError):
    """A dataset file that is missing, altered or could not be fetched."""


class UnstableError(NidbenchError, ArithmeticError):
    """A restoration that is not finite."""


class ResultsError(NidbenchError):
    """A results folder or record that cannot be read or written."""


class UnknownSweepError(ResultsError, KeyError):
    """A sweep that a results folder does not have; as a `KeyError`, by which a mapping's `get` knows it."""

    __str__ = Exception.__str__  # that of `KeyError` quotes the message


class NewerError(ResultsError):
    """A file of results that a newer nidbench wrote, in a format that this one does not read."""


class DamagedError(ResultsError):
    """A record that was damaged after it was written; its cell can be computed again."""


class ConflictError(ResultsError):
    """Two results of one cell, or two sweeps of one name, that cannot both be in a results folder."""


class PackError(InputError):
    """A packed file, or a results folder given in its place, that breaks a rule: nothing of it is taken."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the near misses first, then all."""
    names = sorted(known)
    return f"unknown {kind} {name!r}: {_near(name, names)}there are {', '.join(names) or 'none'}"


def lacking(owner: str, kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that a dataset or kernel set lacks: the near misses first, then all, in order."""
    names = list(known)
    return f"{owner} has no {kind} {name!r}: {_near(name, names)}use one of {', '.join(names)}"


def _near(name: str, names: Sequence[str]) -> str:
    """Return a question by the names that are nearly the one that was given; empty where none is."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? " if near else ""
