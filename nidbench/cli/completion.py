"""What the shell completes: names of methods, data sets, kernels, protocols and sweeps; nothing heavy is imported.

`nidbench` itself has no command for it: click reads `_NIDBENCH_COMPLETE`, see docs/how-to/terminal.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, FishComplete, add_completion_class

from nidbench.errors import NidbenchError

#: Kernels of a formula, up to their first number.
_FORMULAS = ("gaussian:", "disk:", "motion:")


@add_completion_class
class _Fish(FishComplete):
    """What click has for fish, but for lists: it takes all behind the first comma of `plain,tv,wiener` for no value."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


def sweeps(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the sweeps of the results folder of the call, after a `+` those to show beside the ones before it."""
    from nidbench.records import Store

    before, plus, last = incomplete.rpartition("+")
    with suppress(NidbenchError, OSError):
        names = Store(context.params.get("output") or Path("results"), create=False).sweep_names()
        return [CompletionItem(f"{before}{plus}{name}") for name in names if name.startswith(last)]
    return []


def methods(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the methods, and after an `@` the presets of one, as the last of a list separated by commas."""
    before, comma, last = incomplete.rpartition(",")
    if last.count("[") > last.count("]") or "[" in before.rpartition("]")[2]:  # amid settings
        return []
    name, at, preset = last.partition("@")
    found = _names("method") if not at else [f"{name}@{each}" for each in _presets(name)]
    return [CompletionItem(f"{before}{comma}{each}") for each in found if each.startswith(f"{name}{at}{preset}")]


def datasets(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the data sets, as the last of a list separated by commas."""
    return _listed("dataset", incomplete)


def kernels(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the kernel sets, as the last of a list separated by commas."""
    return _listed("kernel set", incomplete)


def kernel_or_file(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return files, and the words by which a kernel is given without one."""
    words = [CompletionItem(word) for word in _FORMULAS if incomplete and word.startswith(incomplete)]
    sets = [item for item in kernels(context, parameter, incomplete) if f"{item.value}:" not in _FORMULAS]
    return [CompletionItem(incomplete, type="file"), *words, *sets]


def labels(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the methods of the sweep that is shown, as its tables name them."""
    from nidbench.records import Store

    with suppress(NidbenchError, OSError, StopIteration):
        store = Store(context.params.get("output") or Path("results"), create=False)
        sweep = store.sweep(context.params.get("sweep") or next(iter(store.sweep_names())))
        found = dict.fromkeys(planned.label for planned in sweep.cells)
        return [CompletionItem(label) for label in found if label.startswith(incomplete)]
    return []


def protocols(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the metric protocols."""
    from nidbench.scoring.protocols import PROTOCOLS

    return [CompletionItem(name, help=each.title) for name, each in PROTOCOLS.items() if name.startswith(incomplete)]


def method_or_file(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the methods, and the Python files of the working folder."""
    files = (path.name for path in Path().glob("*.py"))
    return [CompletionItem(name) for name in (*_names("method"), *files) if name.startswith(incomplete)]


def anything(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return data sets, kernel sets and methods."""
    names = dict.fromkeys(name for kind in ("dataset", "kernel set", "method") for name in _names(kind))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _listed(kind: str, incomplete: str) -> list[CompletionItem]:
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{name}") for name in _names(kind) if name.startswith(last)]


def _names(kind: str) -> Iterable[str]:
    from nidbench.registry.entry_points import Registry

    with suppress(NidbenchError):
        return Registry.installed(kind).names()
    return ()


def _presets(name: str) -> Iterable[str]:
    from nidbench.registry.entry_points import Registry
    from nidbench.registry.stated import stated

    with suppress(NidbenchError):
        return stated(Registry.installed("method").target(name)).presets
    return ()
