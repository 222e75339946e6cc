"""The errors nidbench raises for what a person can put right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NidbenchError(Exception):
    """What was given, what is allowed and what to do: shown by the command line without a traceback."""


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


class DamagedError(ResultsError):
    """A record that was written whole and is so no longer: its cell can be computed again."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the near misses first, then all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}there are {', '.join(names) or 'none'}"
