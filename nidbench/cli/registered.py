"""Commands around what is registered: `list`, `info` and `check`."""

from __future__ import annotations

from typing import Any

import click


@click.command(name="list")
@click.argument("kind", type=click.Choice(["methods", "datasets", "kernels", "kernel-errors", "protocols"]))
def list_(kind: str) -> None:
    """List what is registered."""
    if kind == "protocols":
        from nidbench.scoring.protocols import PROTOCOLS

        lines = [f"{protocol.name:20s} {protocol.title}" for protocol in PROTOCOLS.values()]
    else:
        from nidbench.registry.entry_points import Registry

        kinds = {"methods": "method", "datasets": "dataset", "kernels": "kernel set", "kernel-errors": "kernel error"}
        registry = Registry.installed(kinds[kind])
        lines = [f"{name:20s} {registry.targets[name]}" for name in registry.names()]
    click.echo("\n".join(lines))


@click.command()
@click.argument("method")
def info(method: str) -> None:
    """Show a METHOD's source, presets, variants and settings; METHOD is a name or a Python file."""
    import dataclasses

    from nidbench.api.registered import registry_of
    from nidbench.registry.entry_points import load_method

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
    for field in dataclasses.fields(kind):
        click.echo(f"setting {field.name} = {field.default}")


@click.command()
@click.argument("method")
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
