"""The conformance checks of a method in a process of its own, which may end: the next check has another one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nidbench.contract.conformance import Finding
from nidbench.errors import NidbenchError
from nidbench.registry.method_spec import MethodSpec

from .computer import Computer, DeadlineError, WorkerDiedError
from .messages import Began, Check, Checked, Refusal, Said


def check_apart(
    computer: Computer, spec: MethodSpec, preset: str | None, file: Path | None, device: str, names: Sequence[str]
) -> Iterator[Finding]:
    """Yield what the checks find in a method.

    Args:
        computer: whose process it is that the checks run in.
        spec: which method.
        preset: of its settings.
        file: where it is, or None.
        device: torch device.
        names: of the checks, in their order, as of `conformance.title`.

    Raises:
        NidbenchError: where the method cannot be made.
    """
    rest, left = list(names), ["it was not seen"]
    while rest:
        found: list[Finding] = []
        begun: list[tuple[str, float]] = []

        def heard(said: Said, found: list[Finding] = found, begun: list[tuple[str, float]] = begun) -> None:
            if isinstance(said, Began):
                begun.append((said.name, time.perf_counter()))
            elif isinstance(said, Finding):
                found.append(said)

        try:
            answer = computer.ask(Check(spec, preset, file, device, rest), heard)
        except (DeadlineError, WorkerDiedError) as error:
            if len(begun) == len(found):
                raise NidbenchError(f"{spec} could not be checked: {error}") from None
            name, start = begun[-1]
            found.append(Finding(name, False, str(error), time.perf_counter() - start))
        else:
            if isinstance(answer, Refusal):
                raise NidbenchError(answer.message)
            left = list(answer.left) if isinstance(answer, Checked) else left
            rest = []
        yield from found
        rest = rest[len(found) :]
    yield Finding("nothing runs on", not left, ", ".join(left), 0.0)
