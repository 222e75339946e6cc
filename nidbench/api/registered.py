"""What is registered by name, made from Python: methods, datasets, and the check of a method of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from nidbench.contract.method import Method

if TYPE_CHECKING:
    from nidbench.contract.conformance import Finding
    from nidbench.contract.dataset import Dataset, MeasuredDataset


def load_method(name: str, *, preset: str | None = None, method_file: str | Path | None = None) -> Method:
    """Return a method with all of its settings.

    Args:
        name: `name[@preset][:variant...][[key=value,...]]`, as on the command line: `ours@fast`, `dip[lr=0.005]`.
        preset: for a name that has none.
        method_file: a Python file with a method of your own, whose stem is its name.

    Raises:
        UnknownNameError: for a method, preset or variant that there is not; the message lists the near misses.
        InputError: for a setting that breaks a rule.
    """
    from nidbench.errors import InputError
    from nidbench.registry.entry_points import load_method as load
    from nidbench.registry.entry_points import methods
    from nidbench.registry.method_spec import parse_methods, resolve

    specs = parse_methods(name)
    if len(specs) != 1:
        raise InputError(f"{name!r} names {len(specs)} methods: give one")
    registry = methods(None if method_file is None else Path(method_file).resolve())
    return resolve(specs[0], load(registry, specs[0].name), preset).method


def load_dataset(name: str) -> Dataset | MeasuredDataset:
    """Return a dataset, nothing of it read yet.

    Args:
        name: such as `set12` or `folder:PATH`.

    Raises:
        UnknownNameError: for a dataset that there is not; the message lists the near misses.
        InputError: for an argument that breaks a rule.
    """
    from nidbench.registry.entry_points import load_dataset as load

    return load(name)


@dataclass(frozen=True)
class Findings:
    """What the conformance checks found in a method.

    Attributes:
        findings: one for each check, in their order.
    """

    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(finding.passed for finding in self.findings)

    def lines(self) -> list[str]:
        """Return a line for each check."""
        return [
            f"{'ok  ' if finding.passed else 'FAIL'} {finding.name} ({finding.seconds:.1f} s) {finding.message}"
            for finding in self.findings
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def check(method: Method | str, *, device: str = "cpu") -> Findings:
    """Return what the conformance checks find in a method: shapes, determinism, no state, resume, and more.

    The checks run in this process; `nidbench check` runs them in one of its own, as in a sweep.

    Args:
        method: an instance with cheap settings, as it restores about twenty images of 64x48, or a name; a name without
            preset is taken at `smoke`.
        device: torch device.

    Raises:
        UnknownNameError: for a method that there is not.
    """
    from nidbench.contract import conformance

    made = load_method(method, preset="smoke") if isinstance(method, str) else method
    return Findings(conformance.check(made, device=device))
