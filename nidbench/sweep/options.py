"""How cells are run; none of it changes a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nidbench.contract.run import KEEPS, Clock
from nidbench.errors import InputError

#: The usual clock.
EVERY = Clock()


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How cells are run; none of it changes a result.

    Attributes:
        cell_timeout: seconds after which a cell is killed, or None.
        retry: whether cells that failed before are tried again.
        renew: whether cells are computed again that rest on another version of the engine or the measurement.
        threads: CPU threads of the computing process.
        clock: when estimates are observed.
        checkpoint_seconds: time between checkpoints.
        keep: which arrays to keep besides the restoration: words of `run.KEEPS`.

    Raises:
        InputError: where there is no such word.
    """

    cell_timeout: float | None = None
    retry: bool = False
    threads: int = 1
    clock: Clock = EVERY
    checkpoint_seconds: float = 30.0
    keep: Sequence[str] = ()
    renew: bool = False

    def __post_init__(self) -> None:
        for word in self.keep:
            if word not in KEEPS:
                raise InputError(f"cannot keep {word!r}: use {' or '.join(KEEPS)}, or both separated by a comma")
