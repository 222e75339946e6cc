"""Commands around what is registered: `list`, `info` and `check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nidbench.system.counts import count_of

from . import completion, options

if TYPE_CHECKING:
    from nidbench.records import Sweep


@click.command(name="list")
@click.argument(
    "kind", type=click.Choice(["methods", "datasets", "kernels", "kernel-errors", "protocols", "tables", "sweeps"])
)
@options.output
def list_(kind: str, output: Path) -> None:
    """List what is registered, with its title and presets.

    tables are the paper's, with the measurements and methods that `nidbench reproduce` has of each; sweeps those of a
    results folder, the latest first.
    """
    if kind == "protocols":
        from nidbench.scoring.protocols import PROTOCOLS

        lines = [f"{protocol.name:20s} {protocol.title}" for protocol in PROTOCOLS.values()]
    elif kind == "tables":
        from nidbench.paper.experiments import table_lines

        lines = list(table_lines())
    elif kind == "sweeps":
        lines = list(_sweep_lines(output))
    else:
        lines = list(_registered_lines(kind))
    click.echo("\n".join(lines))


def _registered_lines(kind: str) -> Iterator[str]:
    """Yield a line for each name: its title and presets as its source says, or where it is."""
    from nidbench.registry.entry_points import Registry
    from nidbench.registry.stated import stated

    kinds = {"methods": "method", "datasets": "dataset", "kernels": "kernel set", "kernel-errors": "kernel error"}
    registry = Registry.installed(kinds[kind])
    for name in registry.names():
        said = stated(registry.targets[name])
        presets = f"  [{', '.join(said.presets)}]" if said.presets else ""
        yield f"{name:20s} {said.title or registry.targets[name]}{presets}"


def _sweep_lines(output: Path) -> Iterator[str]:
    """Yield a line for each sweep of a folder: when it was written, how many of its cells are done, what it is of."""
    from nidbench.errors import ResultsError
    from nidbench.records import Store

    store = Store(output, create=False)
    store.latest()  # which says what to do where there is none
    for name in store.sweep_names():
        try:
            sweep = store.sweep(name)
        except ResultsError as error:
            yield f"{name}  {error}"
            continue
        ids = {planned.id for planned in sweep.cells}
        recorded = sum((store.root / "cells" / cell_id / "record.json").exists() for cell_id in ids)
        methods, data = (list(dict.fromkeys(each)) for each in _about(sweep))
        yield f"{name}  {recorded}/{count_of(len(ids), 'cell')} computed  {', '.join(methods)} on {', '.join(data)}"


def _about(sweep: Sweep) -> tuple[list[str], list[str]]:
    return [planned.label for planned in sweep.cells], [planned.case.dataset for planned in sweep.cells]


@click.command()
@click.argument("method", shell_complete=completion.method_or_file)
def info(method: str) -> None:
    """Show a METHOD's source, presets, variants and settings with their meanings; METHOD is a name or a Python file."""
    import dataclasses
    import textwrap

    from nidbench.api.registered import registry_of
    from nidbench.registry.entry_points import load_method
    from nidbench.registry.stated import meanings

    registry, name = registry_of(method)
    kind: Any = load_method(registry, name)
    facts = kind.info
    click.echo(f"{name}: {facts.title} ({facts.year or 'no year'}), version {facts.version}")
    for text in filter(None, (facts.paper, facts.licence and f"licence: {facts.licence}", facts.notice)):
        click.echo(f"  {text}")
    for title, sets in (("presets", facts.presets), ("variants", facts.variants)):
        for key, settings in sets.items():
            values = ", ".join(f"{setting}={value}" for setting, value in settings.items()) or "the defaults"
            click.echo(f"{title[:-1]} {key}: {values}")
    for preset, images in facts.tuned_on.items():
        click.echo(f"preset {preset} was tuned on {images}")
    means = meanings(kind)
    for field in dataclasses.fields(kind):
        click.echo(f"setting {field.name} = {field.default}")
        for line in textwrap.wrap(means.get(field.name, ""), 100):
            click.echo(f"    {line}")


@click.command()
@click.argument("method", shell_complete=completion.method_or_file)
@click.option("--device", default="cpu", show_default=True)
@click.pass_context
def check(context: click.Context, method: str, device: str) -> None:
    """Run the conformance suite on a METHOD: a name or a Python file.

    It runs in a process of its own, as in a sweep: what ends that process is a finding, too.
    """
    from nidbench.api.registered import finding_line, findings_apart

    passed = True
    for finding in findings_apart(method, device, lambda note: click.echo(f"note {note}")):
        click.echo(finding_line(finding))
        passed &= finding.passed
    if not passed:
        context.exit(1)


COMMANDS = (list_, info, check)
