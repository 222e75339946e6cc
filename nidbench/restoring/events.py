"""The interface through which a restoration reports its progress."""

from __future__ import annotations

from typing import Protocol


class Events(Protocol):
    """Receives reports on a restoration."""

    def said(self, text: str) -> None:
        """Receive a note for the person who waits."""
        ...

    def began(self, text: str) -> None:
        """Receive the name of the part of the work that begins."""
        ...

    def progress(self, done: int, planned: int) -> None:
        """Receive how many of its planned iterations the method has done."""
        ...

    def residual(self, iteration: int, relative: float) -> None:
        """Receive the residual's root mean square after an iteration, in standard deviations of the noise."""
        ...


class Silent:
    """Receives reports that nobody reads."""

    def said(self, text: str) -> None:
        """Do nothing."""

    def began(self, text: str) -> None:
        """Do nothing."""

    def progress(self, done: int, planned: int) -> None:
        """Do nothing."""

    def residual(self, iteration: int, relative: float) -> None:
        """Do nothing."""
