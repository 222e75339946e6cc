"""Commands around what is registered: `list`, `info` and `check`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from nidbench.errors import NidbenchError


@click.command(name="list")
@click.argument("kind", type=click.Choice(["methods", "datasets", "kernels", "kernel-errors", "protocols"]))
def list_(kind: str) -> None:
    """List what is registered."""
    if kind == "protocols":
        from nidbench.scoring.protocols import PROTOCOLS

        lines = [f"{each.name:20s} {each.title}" for each in PROTOCOLS.values()]
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

    from nidbench.registry.entry_points import load_method

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
    """Run the conformance suite on a METHOD: a name or a Python file.

    It runs in a process of its own, as in a sweep: what ends that process is a finding, too.
    """
    import tempfile

    from nidbench.compute.checking import check_apart
    from nidbench.compute.child_process import ChildProcess
    from nidbench.compute.messages import Refusal, Resolve
    from nidbench.contract import conformance
    from nidbench.registry.method_spec import MethodSpec

    _, name = _method_registry(method)
    spec, file = MethodSpec(name), Path(method).resolve() if method.endswith(".py") else None
    with tempfile.TemporaryDirectory() as folder, closing(ChildProcess(Path(folder) / "log", 1)) as computer:
        facts = computer.ask(Resolve(spec, "smoke", file), lambda _: None)
        if isinstance(facts, Refusal):
            raise NidbenchError(facts.message)
        if facts.note:
            click.echo(f"note {facts.note}")
        passed = True
        names = [conformance.title(each) for each in conformance.checks()]
        for finding in check_apart(computer, spec, "smoke", file, device, names):
            mark = "ok  " if finding.passed else "FAIL"
            click.echo(f"{mark} {finding.name} ({finding.seconds:.1f} s) {finding.message}")
            passed &= finding.passed
    if not passed:
        context.exit(1)


def _method_registry(method: str) -> tuple[Any, str]:
    from nidbench.registry.entry_points import methods

    file = Path(method) if method.endswith(".py") else None
    return methods(file), file.stem if file else method


COMMANDS = (list_, info, check)
