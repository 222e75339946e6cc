"""What a table of the paper is made of: conditions, each a dataset under one set of kernels and one noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nidbench.cases.kernels import choose_kernels
from nidbench.physics.case_key import MEASURED
from nidbench.physics.noise import NoiseSpec
from nidbench.scoring.protocols import DEFAULT

from .labels import is_blind
from .published import BY_NAME_ONLY, published

#: Comes before the kernel error in the name of a kernel set, as in `levin@estimated:mine`.
ERROR = "@"

#: What `published` calls the kernels that the paper estimated.
INACCURATE = "inaccurate"


@dataclass(frozen=True)
class Condition:
    """A row of a table: one dataset under one set of kernels and one noise, with the names that those have here.

    Attributes:
        dataset, kernels: the names that they have here.
        noise: the noise as on the command line; empty where each kernel brings its own, `measured` where the blurred
            images are given.
        images: how many images the paper has.
        cases: how many measurements it has: images x kernels, or what the dataset has of them.
        declared: what methods were told of the noise level.
        protocol: the metric protocol nearest to what the paper says.
        published_dataset, published_kernels: the names that `published` has for them, where those are others.
        settings: label of a method -> its settings in this experiment where they are not the preset's, as in brackets.
        otherwise: label of a method -> what the paper did with it that is not done here.
        lacking: why the row cannot be measured here, and what can; empty where it can. Blind methods can all the same.
        blurred_by: where the paper estimated the kernels: the true ones, of which blind methods know the size.
    """

    dataset: str
    kernels: str
    noise: str
    images: int
    cases: int
    declared: str = "known"
    protocol: str = DEFAULT.name
    published_dataset: str = ""
    published_kernels: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    otherwise: Mapping[str, str] = field(default_factory=dict)
    lacking: str = ""
    blurred_by: str = ""

    @property
    def text(self) -> str:
        """Dataset, kernels and noise as text, by the names that they have here."""
        return " ".join(filter(None, (self.dataset, self.kernels, self.noise)))

    @property
    def key(self) -> tuple[str, str, str]:
        """Dataset, kernels and noise as `published` has them."""
        noise = "" if self.noise == MEASURED else self.noise
        return self.published_dataset or self.dataset, self.published_kernels or self.kernels, noise

    @property
    def noise_of_kernels(self) -> Mapping[str, str]:
        """Kernel -> noise where the kernels bring their own; empty for a row of one noise."""
        if self.noise:
            return {}
        return {
            kernel.name: str(NoiseSpec.parse(kernel.noise))
            for kernel in choose_kernels((self.kernels,), "")
            if kernel.noise
        }

    def measures(self, kernel_set: str, noise: str, *, blind: bool = False) -> bool:
        """Return whether a group of a sweep on the row's dataset, or on one in its place, is of this row.

        Args:
            kernel_set: as tables name it.
            noise: likewise.
            blind: whether the group is of blind methods, which the row has under the kernels that blurred.
        """
        same = ERROR in kernel_set if self.kernels == INACCURATE else kernel_set == self.kernels
        return (same or (blind and kernel_set == self.blurred_by)) and self.noise in ("", noise)

    def labels(self, table: str, *, blind: bool | None = None) -> list[str]:
        """Return the methods of the row that are run here, in the order of the paper, with their settings.

        Args:
            table: the row's.
            blind: only those that are blind, or only those that are not; None for all.
        """
        return [
            label + self.settings.get(label, "")
            for label in published(table, *self.key)
            if label not in BY_NAME_ONLY and blind in (None, is_blind(label))
        ]


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        name: such as `table2`.
        section: the section of the paper that describes it.
        conditions: its rows, or groups of rows, in the order of the paper.
        note: what has to be known to compare with it; may be empty.
    """

    name: str
    section: str
    conditions: tuple[Condition, ...]
    note: str = ""

    @property
    def title(self) -> str:
        """What it is, for captions."""
        return f"{self.name.replace('table', 'Table ')} of Chen et al., IJCV 2022 (section {self.section})"

    @property
    def stands_for_any(self) -> bool:
        """Whether it has one dataset only, so that what it says of methods is a claim beyond that."""
        return len({condition.dataset for condition in self.conditions}) == 1

    def row_of(self, dataset: str, kernel_set: str, noise: str, *, blind: bool = False) -> Condition | None:
        """Return the condition that a group of a sweep is of, if there is one; `blind` as of `Condition.measures`."""
        fitting = [condition for condition in self.conditions if condition.measures(kernel_set, noise, blind=blind)]
        chosen = [condition for condition in fitting if condition.dataset == dataset or self.stands_for_any]
        return chosen[0] if chosen else None

    def protocol_of(self, dataset: str, kernel_set: str, noise: str, *, blind: bool = False) -> str:
        """Return the metric protocol nearest to the paper's for a group of a sweep; half-kernel without a condition.

        `blind` is as of `Condition.measures`.
        """
        condition = self.row_of(dataset, kernel_set, noise, blind=blind)
        return DEFAULT.name if condition is None else condition.protocol
