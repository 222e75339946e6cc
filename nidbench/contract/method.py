"""Methods: a frozen dataclass of settings that restores an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias, runtime_checkable

from nidbench.physics.problem import Problem

from .restored import Restored
from .run import Run as Run

if TYPE_CHECKING:
    from nidbench.files.remote import RemoteFile


Setting: TypeAlias = "int | float | str | bool | None"
Settings: TypeAlias = Mapping[str, Setting]


@dataclass(frozen=True)
class MethodInfo:
    """Who made a method, and the names under which its settings are known.

    Attributes:
        title: the name in the literature.
        year: of publication.
        paper: citation.
        licence: of the authors' code or weights, where they bind users.
        version: raise it when a change alters results; it is part of every cell's id.
        presets: name -> settings that differ from the defaults. Well-known names: `paper` (as the paper describes it),
            `released` (as its authors' code does it), `fast` (same estimator, less compute), `smoke` (seconds).
        variants: name -> settings on top of a preset, for ablations.
        reconstructed: True where no authors' code exists to check against; tables say so.
        notice: what binds whoever uses the method; `run` says it before it computes anything, and tables repeat it.
        tuned_on: preset (`default` where there are none) -> images on which its settings were chosen by their score. As
            `set12/02, 04` where they are images of a dataset: `run` and tables then say it, too.
    """

    title: str
    year: int | None = None
    paper: str = ""
    licence: str = ""
    version: int = 1
    presets: Mapping[str, Settings] = field(default_factory=dict)
    variants: Mapping[str, Settings] = field(default_factory=dict)
    reconstructed: bool = False
    notice: str = ""
    tuned_on: Mapping[str, str] = field(default_factory=dict)


class Method(Protocol):
    """A frozen dataclass of settings that restores an image. See the module's example."""

    info: ClassVar[MethodInfo]

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the restoration of one problem, using only what `problem` and `run` hold."""
        ...


@runtime_checkable
class BatchMethod(Protocol):
    """A method that gains from fitting several problems side by side, of which `restore` is the N = 1 case."""

    info: ClassVar[MethodInfo]

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the restoration of one problem."""
        ...

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Return one outcome for each problem (same channels and frame), each as if it were alone.

        A problem that fails yields its exception and leaves the others as they are.
        """
        ...


@runtime_checkable
class StopsItself(Protocol):
    """A method that may end before the iterations that it plans (`Run.progress`) adds this to what `Method` asks for.

    What a short pilot shows of its cost is then the most that it can be, and the harness says so.
    """

    def stops_itself(self) -> bool:
        """Return whether a rule may end a run early under these settings."""
        ...


@runtime_checkable
class NeedsFiles(Protocol):
    """A method that rests on files from elsewhere, such as weights: it adds this to what `Method` asks for.

    The harness fetches them before anything is computed, and `nidbench data` knows the method's name. `restore` finds
    them with `nidbench.files.download.get`, which then reads the cache only.
    """

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the files to fetch, whatever the settings."""
        ...
