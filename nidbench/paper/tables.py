"""The paper's Tables 2 to 9: what each of their rows was measured on.

The paper is Chen, Quan, Pang, Ji, IJCV 2022; the counts of images and measurements are those of its sections 4.2 to
4.4. The numbers themselves are in `published`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.case_key import MEASURED, CaseKey

from .conditions import INACCURATE, Condition, Table
from .labels import base_label, is_blind


def _noises(condition: Condition, *noises: str) -> Iterator[Condition]:
    for noise in noises:
        yield replace(condition, noise=noise)


_SET12 = Condition("set12", "levin", "", 12, 96)

_LEVIN = Condition("levin", "levin", "", 4, 32)

_SUN = Condition("sun", "levin", "", 80, 640)

_GAUSSIAN = ("gaussian:0.01", "gaussian:0.03", "gaussian:0.05")

_POISSON = ("poisson:128", "poisson:256", "poisson:512", "poisson:1024")

_UNTOLD = "the paper's kernels, estimated by {}, are not public"

_SET12_INACCURATE = replace(
    _SET12,
    kernels=INACCURATE,
    noise="gaussian:0.01",
    protocol="shift-aligned",
    lacking=_UNTOLD.format("Yang & Ji 2019 for Set12"),
    blurred_by="levin",
)

# Section 4.3.2: "the iteration number of the proposed method is fixed to 2.5 x 10^4".
_FIXED = {"ours": "[stop=iterations,iterations=25000]"}

# Section 4.2.2.
_BEST_MODEL = {"fcnn": "the paper takes the best of FCNN's models for 1, 3 and 5 % noise, here it is the nearest"}

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("table2", "4.2.1", tuple(row for base in (_SET12, _LEVIN, _SUN) for row in _noises(base, *_GAUSSIAN))),
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
            tuple(row for base in (_SET12, _SUN) for row in _noises(replace(base, declared="estimated"), *_POISSON)),
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
                    blurred_by="lai",
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


def paper_protocol(name: str, key: CaseKey, label: str = "") -> str:
    """Return the metric protocol nearest to the paper's for a measurement; half-kernel for one that it has not.

    Args:
        name: `table2` to `table9`.
        key: the measurement.
        label: the method that restores it, of which it counts whether it is blind.
    """
    return table(name).protocol_of(key.dataset, key.kernel_set, key.noise, blind=is_blind(label))


def find_table(groups: Iterable[tuple[str, str, str, str]]) -> str:
    """Return the table that most of a sweep is in: the first of those with most of its methods under most conditions.

    Where no table has any of its methods, its conditions alone decide.

    Args:
        groups: dataset, kernel set, noise and label of what was measured.

    Raises:
        InputError: where no table has any of it.
    """
    asked = list(groups)
    counts = {name: _shared(paper_table, asked) for name, paper_table in TABLES.items()}
    best = max(counts, key=counts.__getitem__)
    if counts[best] == (0, 0):
        there = ", ".join(dict.fromkeys(" ".join(group[:3]) for group in asked)) or "nothing"
        raise InputError(
            f"no table of the paper has {there}: `nidbench reproduce` runs what they have, `--paper` chooses one"
        )
    return best


def _shared(paper_table: Table, asked: Iterable[tuple[str, str, str, str]]) -> tuple[int, int]:
    """Return how many pairs of method and condition a table shares with a sweep, and how many conditions."""
    methods, conditions = set(), set()
    for dataset, kernel_set, noise, label in asked:
        row, base = paper_table.row_of(dataset, kernel_set, noise, blind=is_blind(label)), base_label(label)
        if row is not None and row.dataset == dataset:
            conditions.add(row.key)
            if base in map(base_label, row.labels(paper_table.name)):
                methods.add((row.key, base))
    return len(methods), len(conditions)
