"""The paper's experiments by name: what each row of its Tables 2 to 9 was measured on, and how to ask for that here.

The paper is Chen, Quan, Pang, Ji, IJCV 2022; the counts of images and measurements are those of its sections 4.2 to
4.4, the numbers themselves are those of `published`.

>>> [experiment] = experiments("table8", dataset="set12", methods="ours")[:1]
>>> experiment.kernels, experiment.noise, experiment.preset
('levin', 'gaussian:0.01,gaussian:0.03,gaussian:0.05', 'paper')
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from nidbench.cases.kernels import choose_kernels
from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.case_key import MEASURED, CaseKey
from nidbench.physics.noise import NoiseSpec
from nidbench.registry.method_spec import MethodSpec, parse_methods
from nidbench.scoring.protocols import DEFAULT
from nidbench.sweep.request import Experiment, words

from .published import published

#: Comes before the kernel error in the name of a kernel set, as in `levin@estimated:mine`.
ERROR = "@"

#: What `published` calls the kernels that the paper estimated.
INACCURATE = "inaccurate"


@dataclass(frozen=True)
class Condition:
    """A row of a table: one dataset under one set of kernels and one noise, with the names that those have here.

    Attributes:
        dataset, kernels: names here.
        noise: as on the command line; empty for what the kernels bring along, `measured` where the images are given.
        images: how many the paper has.
        cases: measurements, images x kernels or what the dataset has of them.
        declared: what methods were told of the noise level.
        protocol: the metric protocol nearest to what the paper says.
        published_dataset, published_kernels: where `published` calls them otherwise.
        settings: label of a method -> its settings in this experiment where they are not the preset's, as in brackets.
        otherwise: label of a method -> what the paper did with it that is not done here.
        lacking: why the row cannot be measured here, and what can; empty where it can.
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

    def measures(self, kernel_set: str, noise: str) -> bool:
        """Return whether a group of a sweep on the row's dataset, or on one in its place, is of this row."""
        same = ERROR in kernel_set if self.kernels == INACCURATE else kernel_set == self.kernels
        return same and self.noise in ("", noise)

    def labels(self, table: str) -> list[str]:
        """Return the methods of the row that can be run here, in the order of the paper, with their settings."""
        return [label + self.settings.get(label, "") for label in published(table, *self.key)]


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        name: such as `table2`.
        section: of the paper that describes it.
        conditions: its rows, or groups of rows, in the order of the paper.
        note: what whoever compares with it has to know; may be empty.
    """

    name: str
    section: str
    conditions: tuple[Condition, ...]
    note: str = ""

    @property
    def stands_for_any(self) -> bool:
        """Whether it has one dataset only, so that what it says of methods is a claim beyond that."""
        return len({condition.dataset for condition in self.conditions}) == 1

    def row_of(self, dataset: str, kernel_set: str, noise: str) -> Condition | None:
        """Return the condition that a group of a sweep is of, if there is one."""
        fitting = [each for each in self.conditions if each.measures(kernel_set, noise)]
        own = [each for each in fitting if each.dataset == dataset or self.stands_for_any]
        return own[0] if own else None


def _noises(condition: Condition, *noises: str) -> Iterator[Condition]:
    for noise in noises:
        yield replace(condition, noise=noise)


_SET12 = Condition("set12", "levin", "", 12, 96)
_LEVIN = Condition("levin", "levin", "", 4, 32)
_SUN = Condition("sun", "levin", "", 80, 640)
_GAUSSIAN = ("gaussian:0.01", "gaussian:0.03", "gaussian:0.05")
_POISSON = ("poisson:128", "poisson:256", "poisson:512", "poisson:1024")

_INSTEAD = "; nidbench reproduce {} --kernels estimated:PATH takes estimates of your own"
_UNTOLD = "the paper's kernels, estimated by {}, are not public"
_SET12_INACCURATE = replace(
    _SET12,
    kernels=INACCURATE,
    noise="gaussian:0.01",
    protocol="shift-aligned",
    lacking=_UNTOLD.format("Yang & Ji 2019 for Set12"),
)
# Section 4.3.2: "the iteration number of the proposed method is fixed to 2.5 x 10^4".
_FIXED = {"ours": "[stop=iterations,iterations=25000]"}
# Section 4.2.2.
_BEST_MODEL = {"fcnn": "the paper takes the best of FCNN's models for 1, 3 and 5 % noise, here it is the nearest"}

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("table2", "4.2.1", tuple(each for base in (_SET12, _LEVIN, _SUN) for each in _noises(base, *_GAUSSIAN))),
        Table(
            "table3",
            "4.2.2",
            (
                replace(_SET12, kernels="danielyan", cases=72, otherwise=_BEST_MODEL),
                replace(_SUN, kernels="danielyan", cases=480, otherwise=_BEST_MODEL),
            ),
        ),
        Table(
            "table4",
            "4.2.3",
            # section 4.2.3: "the noise level is estimated [...] if the method requires it"
            tuple(each for base in (_SET12, _SUN) for each in _noises(replace(base, declared="estimated"), *_POISSON)),
        ),
        Table(
            "table5",
            "4.3.1",
            (
                Condition("lai-saturated", "lai", MEASURED, 5, 20, published_dataset="lai"),
                Condition("anger", "anger", MEASURED, 8, 8, protocol="anger"),
            ),
        ),
        Table(
            "table6",
            "4.3.2",
            (
                replace(_SET12_INACCURATE, settings=_FIXED),
                Condition(
                    "lai",
                    INACCURATE,
                    MEASURED,
                    25,
                    100,
                    protocol="shift-aligned",
                    published_dataset="lai-synthetic",
                    settings=_FIXED,
                    lacking=_UNTOLD.format("SelfDeblur for the images of Lai et al."),
                ),
                Condition(
                    "kohler",
                    "kohler",
                    MEASURED,
                    4,
                    48,
                    protocol="kohler",
                    published_kernels=INACCURATE,
                    settings=_FIXED,
                ),
            ),
            "On the images of Kohler et al., SSIM is the benchmark's multi-scale SSIM (section 4.3.2).",
        ),
        Table("table7", "4.3.2", (replace(_SET12, noise="gaussian:0.01"), _SET12_INACCURATE)),
        Table(
            "table8",
            "4.4.1",
            (
                *_noises(_SET12, *_GAUSSIAN),
                *_noises(replace(_SET12, declared="estimated"), *_POISSON),
            ),
            "The caption of Table 8 names the dataset of Sun et al. and 5 % noise; its numbers are those that Tables 2 "
            "and 4 give for Set12 under all seven noises, and are compared as such.",
        ),
        Table("table9", "4.4.2", (replace(_SUN, noise="gaussian:0.05"),)),
    )
}


def table(name: str) -> Table:
    """Return a table of the paper.

    Raises:
        UnknownNameError: it is none of `table2` to `table9`.
    """
    if name not in TABLES:
        raise UnknownNameError(unknown("table of the paper", name, TABLES))
    return TABLES[name]


def experiments(name: str, methods: str = "", dataset: str = "", kernels: str = "") -> list[Experiment]:
    """Return what to ask for to measure a table, one experiment for all noises of a dataset.

    Args:
        name: `table2` to `table9`.
        methods: in place of those of the table that can be run here.
        dataset: names, separated by commas; empty for all that the table has.
        kernels: a kernel error, such as `estimated:PATH`, in the place of the paper's estimated kernels: the rows that
            have them are measured, and no others.

    Raises:
        UnknownNameError: for a table, or a dataset that it has not.
        InputError: where none of it can be measured here, or kernels that are no kernel error.
    """
    if kernels and ":" not in kernels:
        raise InputError(f"kernels {kernels!r} in place of estimated ones: give estimated:PATH or perturbed:...")
    ready = measurable(name, dataset, kernels)
    grids: list[Experiment] = []
    for _, rows in groupby(ready, lambda each: replace(each, noise="")):
        conditions = list(rows)
        first, given = conditions[0], conditions[0].noise == MEASURED
        grids.append(
            Experiment(
                ",".join(map(str, parse_methods(methods))) if methods else ",".join(first.labels(name)),
                first.dataset,
                kernels or ("" if given else first.kernels),
                "" if given else ",".join(each.noise for each in conditions),
                preset="paper",
                declared=first.declared,
            )
        )
    return grids


def _chosen(found: Table, datasets: Sequence[str]) -> list[Condition]:
    known = {condition.dataset for condition in found.conditions}
    for dataset in datasets:
        if dataset not in known:
            raise UnknownNameError(unknown(f"dataset of {found.name}", dataset, known))
    return [each for each in found.conditions if not datasets or each.dataset in datasets]


def measurable(name: str, dataset: str = "", kernels: str = "") -> list[Condition]:
    """Return the rows of a table, or of some of its datasets, that can be measured; arguments as of `experiments`.

    Raises:
        UnknownNameError: for a table, or a dataset that it has not.
        InputError: where there is none.
    """
    chosen = _chosen(table(name), words(dataset))
    ready = [each for each in chosen if (each.kernels == INACCURATE if kernels else not each.lacking)]
    if not ready:
        why = dict.fromkeys(each.lacking for each in chosen if each.lacking) or [f"{name} has no estimated kernels"]
        raise InputError(f"{name} cannot be measured: {'; '.join(why)}{'' if kernels else _INSTEAD.format(name)}")
    return ready


def lacking(name: str, dataset: str = "", kernels: str = "") -> list[str]:
    """Return what of a table, or of some of its datasets, is not measured, and what can be; as of `experiments`."""
    rows = [] if kernels else [each for each in _chosen(table(name), words(dataset)) if each.lacking]
    return [f"{name} without {each.dataset} {each.kernels}: {each.lacking}{_INSTEAD.format(name)}" for each in rows]


def told(name: str, keys: Sequence[CaseKey], dataset: str = "", kernels: str = "") -> str:
    """Return a line that says how much of a table, or of some of its datasets, measurements are."""
    cells = {(key.dataset, key.kernel, key.noise, key.image) for key in keys}
    conditions = {(key.dataset, key.kernel.partition("/")[0], key.noise) for key in keys}
    whole = sum(each.cases for each in measurable(name, dataset, kernels))
    return (
        f"{name} of Chen et al., IJCV 2022: {len(cells)} of {whole} measurements, under {len(conditions)} conditions "
        "of dataset, kernels and noise"
    )


def protocol(name: str, key: CaseKey) -> str:
    """Return the metric protocol nearest to the paper's for a measurement; half-kernel for one that it has not."""
    row = table(name).row_of(key.dataset, key.kernel.partition("/")[0], key.noise)
    return DEFAULT.name if row is None else row.protocol


def base_label(label: str) -> str:
    """Return a method as `published.LABELS` has it, without preset and settings: `ours:no-sa` of `ours@fast:no-sa`."""
    return str(MethodSpec(read_label(label).name, None, read_label(label).variants))


def read_label(label: str) -> MethodSpec:
    """Return what a label of a table stands for; images that others restored may have any."""
    try:
        return MethodSpec.parse(label)
    except InputError:
        return MethodSpec(label)


def find_table(groups: Iterable[tuple[str, str, str, str]]) -> str:
    """Return the table that most of a sweep is in: the first of those with most of its methods under most conditions.

    Where no table has any of its methods, its conditions alone decide.

    Args:
        groups: dataset, kernel set, noise and label of what was measured.

    Raises:
        InputError: where no table has any of it.
    """
    asked = list(groups)
    counts = {name: _shared(found, asked) for name, found in TABLES.items()}
    best = max(counts, key=counts.__getitem__)
    if counts[best] == (0, 0):
        there = ", ".join(dict.fromkeys(" ".join(group[:3]) for group in asked)) or "nothing"
        raise InputError(
            f"no table of the paper has {there}: `nidbench reproduce` runs what they have, `--paper` chooses one"
        )
    return best


def _shared(found: Table, asked: Iterable[tuple[str, str, str, str]]) -> tuple[int, int]:
    """Return how many methods, each under how many conditions, a table shares with a sweep; and how many conditions."""
    methods, conditions = set(), set()
    for dataset, kernel_set, noise, label in asked:
        row, base = found.row_of(dataset, kernel_set, noise), base_label(label)
        if row is not None and row.dataset == dataset:
            conditions.add(row.key)
            if base in map(base_label, row.labels(found.name)):
                methods.add((row.key, base))
    return len(methods), len(conditions)
