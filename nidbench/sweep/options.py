"""Options of a run that change no result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nidbench.contract.run import KEEPS, Clock
from nidbench.errors import InputError

#: The default clock.
EVERY = Clock()


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run that change no result.

    Attributes:
        cell_timeout: seconds after which a cell is killed; None for no limit.
        retry: True to try failed cells again.
        renew: True to compute cells again that depend on another version of the engine or the
            measurement, or whose method's file was edited since.
        clock: the iterations after which estimates are observed.
        checkpoint_seconds: time between checkpoints.
        batch: how many cells of one method and frame go side by side, where the method can.
        keep: extra arrays to store beside the restoration: words of `nidbench.contract.run.KEEPS`.

    Raises:
        InputError: for another word in `keep`.
    """

    cell_timeout: float | None = None
    retry: bool = False
    clock: Clock = EVERY
    checkpoint_seconds: float = 30.0
    keep: Sequence[str] = ()
    renew: bool = False
    batch: int = 1

    def __post_init__(self) -> None:
        for word in self.keep:
            if word not in KEEPS:
                raise InputError(f"cannot keep {word!r}: use {', '.join(KEEPS)}, several separated by commas")
