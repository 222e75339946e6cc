"""The interface through which a restoration reports its progress."""

from __future__ import annotations

from typing import Protocol


class Events(Protocol):
    """Receives reports on a restoration."""

    def said(self, text: str) -> None:
        """A person should know the text."""
        ...

    def began(self, text: str) -> None:
        """A part of the work of this name begins."""
        ...

    def progress(self, done: int, planned: int) -> None:
        """The method has done a number of its planned iterations."""
        ...

    def residual(self, iteration: int, relative: float) -> None:
        """After an iteration the residual has this root mean square, in standard deviations of the noise."""
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
