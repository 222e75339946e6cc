"""The interface of methods: frozen dataclasses of settings that restore images."""

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
    """Facts of a method: who published it, its presets and variants, and its version.

    Attributes:
        title: the name in the literature.
        year: of publication.
        paper: its citation.
        licence: of the authors' code or weights, where it binds users.
        version: raise it when a change alters results; it is part of every cell's id.
        presets: name -> settings that differ from the defaults. Well-known names: `paper` (as the paper describes it),
            `released` (as its authors' code does it), `fast` (same estimator, less compute), `smoke` (seconds).
        variants: name -> settings on top of a preset, for ablations.
        blind: True for a method that finds the kernel itself: it is given a kernel that is uniform and tells the size
            of the true one, no more; tables say so.
        reconstructed: True where no authors' code exists to check against; tables say so.
        notice: terms that bind users of the method; `run` prints them before it computes anything, and tables repeat
            them.
        tuned_on: preset (`default` where there are none) -> images by whose scores its settings were chosen. Images of
            a dataset are named as `set12/02, 04`, so that `run` and tables can warn where these are restored.
        supervised: whether it has learned from sharp images, which no dataset-free method has; or the name of a setting
            by which it has, wherever that is not None.
        bounded: True where x is on [0, 1] whatever y is, as of networks that end in a sigmoid; `restore` warns where
            the measurement is brighter.
    """

    title: str
    year: int | None = None
    paper: str = ""
    licence: str = ""
    version: int = 1
    presets: Mapping[str, Settings] = field(default_factory=dict)
    variants: Mapping[str, Settings] = field(default_factory=dict)
    blind: bool = False
    reconstructed: bool = False
    notice: str = ""
    tuned_on: Mapping[str, str] = field(default_factory=dict)
    supervised: bool | str = False
    bounded: bool = False

    def given(self, problem: Problem) -> Problem:
        """Return a problem as the method is to get it: of one that is blind, without what the kernel holds."""
        return problem.of_unknown_kernel() if self.blind else problem


class Method(Protocol):
    """A frozen dataclass of settings that restores an image; `nidbench.contract` shows an example."""

    info: ClassVar[MethodInfo]

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the restoration of one problem, using only what `problem` and `run` hold."""
        ...


@runtime_checkable
class BatchMethod(Protocol):
    """A method that is faster when it fits several problems side by side; `restore` is the case of one problem."""

    info: ClassVar[MethodInfo]

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the restoration of one problem."""
        ...

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Return an outcome for every problem, the same as if it were restored alone.

        All problems have the same number of channels and the same frame. The outcome of a problem that fails is its
        exception; the others go on.
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
    """Implemented, besides `Method`, by methods that need files from elsewhere, such as weights.

    The harness downloads the files before anything is computed, and `nidbench data` takes the method's name. `restore`
    reads them with `nidbench.files.download.get`, which then only looks into the cache.
    """

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the files to download; they do not depend on the settings."""
        ...
