"""Methods by name, in the computing process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nidbench.contract.method import Method
from nidbench.registry import entry_points
from nidbench.registry.method_spec import MethodSpec, Resolved, resolve


def resolved(spec: MethodSpec, preset: str | None, file: Path | None) -> Resolved:
    """Return the method of a specification, with its settings."""
    file_of_method = file if file is not None and file.stem == spec.name else None
    return resolve(spec, _method(spec.name, file_of_method), preset)


@cache
def _method(name: str, file: Path | None) -> type[Method]:
    return entry_points.load_method(registered(file), name)


@cache
def registered(file: Path | None = None) -> entry_points.Registry:
    """Return the registry of methods, read once: a search through all packages takes longer than a short cell."""
    return entry_points.methods(file)
