"""Commands around what is registered: `list`, `info` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(name="list")
@click.argument("kind", type=click.Choice(["methods", "datasets", "kernels", "kernel-errors", "protocols"]))
def list_(kind: str) -> None:
    """List what is registered."""
    if kind == "protocols":
        from nidbench.metrics import PROTOCOLS

        lines = [f"{each.name:20s} {each.title}" for each in PROTOCOLS.values()]
    else:
        from nidbench.registry import Registry

        kinds = {"methods": "method", "datasets": "dataset", "kernels": "kernel set", "kernel-errors": "kernel error"}
        registry = Registry.installed(kinds[kind])
        lines = [f"{name:20s} {registry.targets[name]}" for name in registry.names()]
    click.echo("\n".join(lines))


@click.command()
@click.argument("method")
def info(method: str) -> None:
    """Show a METHOD's source, presets, variants and settings; METHOD is a name or a Python file."""
    import dataclasses

    from nidbench.registry import load_method

    registry, name = _method_registry(method)
    kind: Any = load_method(registry, name)
    facts = kind.info
    click.echo(f"{name}: {facts.title} ({facts.year or 'no year'}), version {facts.version}")
    for text in filter(None, (facts.paper, facts.licence and f"licence: {facts.licence}", facts.notice)):
        click.echo(f"  {text}")
    for title, sets in (("presets", facts.presets), ("variants", facts.variants)):
        for key, settings in sets.items():
            values = ", ".join(f"{each}={value}" for each, value in settings.items()) or "the defaults"
            click.echo(f"{title[:-1]} {key}: {values}")
    for preset, images in facts.tuned_on.items():
        click.echo(f"preset {preset} was tuned on {images}")
    for field in dataclasses.fields(kind):
        click.echo(f"setting {field.name} = {field.default}")


@click.command()
@click.argument("method")
@click.option("--device", default="cpu", show_default=True)
@click.pass_context
def check(context: click.Context, method: str, device: str) -> None:
    """Run the conformance suite on a METHOD: a name or a Python file."""
    from nidbench import conformance
    from nidbench.registry import load_method
    from nidbench.specs import MethodSpec, resolve

    registry, name = _method_registry(method)
    found = resolve(MethodSpec(name), load_method(registry, name), "smoke")
    if found.note:
        click.echo(f"note {found.note}")
    findings = conformance.check(found.method, device=device)
    for finding in findings:
        mark = "ok  " if finding.passed else "FAIL"
        click.echo(f"{mark} {finding.name} ({finding.seconds:.1f} s) {finding.message}")
    if not all(finding.passed for finding in findings):
        context.exit(1)


def _method_registry(method: str) -> tuple[Any, str]:
    from nidbench.registry import methods

    file = Path(method) if method.endswith(".py") else None
    return methods(file), file.stem if file else method


COMMANDS = (list_, info, check)
