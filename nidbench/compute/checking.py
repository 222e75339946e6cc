"""Makes the conformance checks of a method in a separate process, so that a method that ends it fails a check only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nidbench.contract.conformance import Finding
from nidbench.errors import NidbenchError
from nidbench.registry.method_spec import MethodSpec

from .computer import Computer, DeadlineError, WorkerDiedError
from .messages import Began, Check, Checked, Message, Refusal


class _CheckLog:
    """The checks that one process has begun, and the findings of those that it has ended."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._begun: list[tuple[str, float]] = []

    def receive(self, message: Message) -> None:
        """Note a message of the process."""
        if isinstance(message, Began):
            self._begun.append((message.name, time.perf_counter()))
        elif isinstance(message, Finding):
            self.findings.append(message)

    def add_failure(self, error: Exception) -> bool:
        """Add the finding of the check in which the process ended; return False where it ended before any check."""
        if len(self._begun) == len(self.findings):
            return False
        name, start = self._begun[-1]
        self.findings.append(Finding(name, False, str(error), time.perf_counter() - start))
        return True


def check_apart(
    computer: Computer, spec: MethodSpec, preset: str | None, file: Path | None, device: str, names: Sequence[str]
) -> Iterator[Finding]:
    """Yield the findings of the conformance checks on a method.

    Where a check ends the process, the next check gets a new one.

    Args:
        computer: runs the checks.
        spec: the method.
        preset: preset of its settings; None for that of `spec`.
        file: its Python file; None for a registered method.
        device: torch device.
        names: the checks to make, in their order, named as by `conformance.title`.

    Raises:
        NidbenchError: where the method cannot be made.
    """
    remaining, left_behind = list(names), ["the process ended before it could be looked at"]
    while remaining:
        log = _CheckLog()
        try:
            answer = computer.ask(Check(spec, preset, file, device, remaining), log.receive)
        except (DeadlineError, WorkerDiedError) as error:
            if not log.add_failure(error):
                raise NidbenchError(f"{spec} could not be checked: {error}") from None
            remaining = remaining[len(log.findings) :]
        else:
            if isinstance(answer, Refusal):
                raise NidbenchError(answer.message)
            left_behind = list(answer.left_behind) if isinstance(answer, Checked) else left_behind
            remaining = []
        yield from log.findings
    yield Finding("nothing runs on", not left_behind, ", ".join(left_behind), 0.0)
