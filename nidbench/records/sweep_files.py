"""The sweeps of a results folder: a file each, by their names."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from nidbench.errors import ResultsError, UnknownSweepError
from nidbench.system.whole_files import write_whole

from .record import DAMAGE, format_of
from .results_root import ResultsRoot
from .sweep import Sweep, joined


class SweepFiles(ResultsRoot):
    """The sweeps of a results folder."""

    def write_sweep(self, sweep: Sweep) -> Path:
        """Keep a sweep under its name and return its file.

        Raises:
            NewerError: where a newer nidbench wrote the sweep that has this name; it stays.
            ResultsError: where the folder cannot be written.
        """
        path = self.root / "sweeps" / f"{sweep.name}.json"
        with suppress(OSError, *DAMAGE):  # there is none, or none that could be lost
            format_of(path.read_text(encoding="utf-8"), path)
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, sweep.to_json().encode())
        return path

    def sweep_names(self) -> list[str]:
        """Return the names of the sweeps, latest first."""
        dated = []
        for path in (self.root / "sweeps").glob("*.json"):
            with suppress(OSError):  # removed meanwhile, or a link to nothing
                if path.is_file() and not path.name.startswith("."):
                    dated.append((path.stat().st_mtime, path.stem))
        return [name for _, name in sorted(dated, reverse=True)]

    def latest(self) -> str:
        """Return the name of the latest sweep.

        Raises:
            ResultsError: where there is none.
        """
        names = self.sweep_names()
        if not names:
            raise ResultsError(f"{self.root} holds no sweep yet: nidbench.run or nidbench run makes one")
        return names[0]

    def sweep(self, name: str) -> Sweep:
        """Return a sweep by name, or several as one: `first+second`.

        Raises:
            NewerError: where a newer nidbench wrote it.
            UnknownSweepError: where there is none of that name.
            ResultsError: where it is damaged, or cannot be read.
        """
        if "+" in name:
            return joined([self.sweep(single) for single in name.split("+")])
        path = self.root / "sweeps" / f"{name}.json"
        try:
            return Sweep.from_json(path.read_text(encoding="utf-8"), path)
        except FileNotFoundError:
            known = ", ".join(self.sweep_names()) or "none yet"
            raise UnknownSweepError(f"no sweep {name!r} in {self.root}: there are {known}") from None
        except OSError as error:
            raise ResultsError(f"{path} cannot be read: {error.strerror}") from error
        except DAMAGE as error:
            raise ResultsError(
                f"{path} is damaged ({error}): give the command of its run again, which writes it anew and computes "
                "nothing twice, or set the file aside, which takes no cell away"
            ) from error
