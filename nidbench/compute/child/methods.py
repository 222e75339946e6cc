"""Methods by name, in the computing process."""

from __future__ import annotations

import traceback
from functools import cache
from pathlib import Path
from typing import Any

from nidbench.compute.messages import Task
from nidbench.contract import handed
from nidbench.contract.method import Method
from nidbench.errors import NidbenchError
from nidbench.registry import entry_points
from nidbench.registry.method_spec import MethodSpec, Resolved, all_settings, resolve


def resolved(spec: MethodSpec, preset: str | None, file: Path | None) -> Resolved:
    """Return the method of a specification, with its settings."""
    return resolve(spec, _method(spec.name, _file_of(spec, file)), preset)


def traceback_of(error: BaseException, spec: MethodSpec, file: Path | None) -> str:
    """Return an exception of a method with its traceback, and what to do about it; the middle of a long one is cut.

    Args:
        error: the exception.
        spec: the method.
        file: the Python file that was given with it; None for none.
    """
    lines = "".join(traceback.format_exception(error)).rstrip("\n")
    return handed.text(f"{lines}{entry_points.import_remedy(str(_file_of(spec, file) or ''), error)}")


def _file_of(spec: MethodSpec, file: Path | None) -> Path | None:
    """Return the file where a method is its own, also where nobody has the name: it may be the file's, misspelt."""
    is_of_file = file is not None and (file.stem == spec.name or spec.name not in registered().targets)
    return file if is_of_file else None


@cache
def _method(name: str, file: Path | None) -> type[Method]:
    return entry_points.load_method(registered(file), name)


@cache
def registered(file: Path | None = None) -> entry_points.Registry:
    """Return the registry of methods, read once: a search through all packages takes longer than a short cell."""
    return entry_points.methods(file)


def plain_settings(spec: MethodSpec, method: Method) -> dict[str, Any]:
    """Return all settings of a method.

    Raises:
        NidbenchError: for a setting that is no plain value, or an integer beyond 64 bits.
    """
    settings = all_settings(method)
    for name, value in settings.items():
        if type(value) not in (int, float, str, bool, type(None)):
            raise NidbenchError(
                f"setting {name} of {spec.name} is of type {type(value).__name__}: settings identify a result, so give "
                "it a default of int, float, str, bool or None"
            )
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise NidbenchError(f"setting {name}={value} of {spec.name} is beyond 64 bits: give a smaller integer")
    return settings


def check_settings(task: Task, method: Method) -> None:
    """Refuse a method that has other settings here than its cell was planned with.

    What a method fills in by itself, such as the hash of a file, may have changed since, or differ on this machine.

    Raises:
        NidbenchError: naming the settings.
    """
    if task.settings is None:
        return
    here = plain_settings(task.spec, method)
    other = [name for name in sorted({*here, *task.settings}) if repr(here.get(name)) != repr(task.settings.get(name))]
    if other:
        changed = ", ".join(f"{name} was {task.settings.get(name)!r} and is {here.get(name)!r}" for name in other)
        raise NidbenchError(f"{task.spec} is not as the sweep was planned with it: {changed}; start the sweep anew")
