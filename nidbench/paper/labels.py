"""Labels of methods in tables: which of the paper's methods a label stands for."""

from __future__ import annotations

from functools import cache

from nidbench.errors import InputError
from nidbench.registry.entry_points import Registry
from nidbench.registry.method_spec import MethodSpec
from nidbench.registry.stated import stated


def base_label(label: str) -> str:
    """Return a method as `published.LABELS` has it, without preset and settings: `ours:no-sa` of `ours@fast:no-sa`."""
    return str(MethodSpec(read_label(label).name, None, read_label(label).variants))


def read_label(label: str) -> MethodSpec:
    """Return the method that a label of a table stands for; restorations that somebody submitted may have any label."""
    try:
        return MethodSpec.parse(label)
    except InputError:
        return MethodSpec(label)


def is_blind(label: str) -> bool:
    """Return whether a label is of a registered method that finds the kernel itself, as its source says."""
    return _states_blind(read_label(label).name)


@cache
def _states_blind(name: str) -> bool:
    target = Registry.installed("method").targets.get(name, "")
    return bool(target) and stated(target).blind
