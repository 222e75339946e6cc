"""The paper's experiments: what to ask for here to measure a table, or some of it.

>>> [experiment] = experiments("table8", dataset="set12", methods="ours")[:1]
>>> experiment.kernels, experiment.noise, experiment.preset
('levin', 'gaussian:0.01,gaussian:0.03,gaussian:0.05', 'paper')
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.case_key import MEASURED, CaseKey
from nidbench.registry.method_spec import parse_methods
from nidbench.sweep.request import Experiment, words

from .conditions import INACCURATE, Condition, Table
from .tables import table

_INSTEAD = "; nidbench reproduce {} --kernels estimated:PATH takes estimates of your own"


def experiments(name: str, methods: str = "", dataset: str = "", kernels: str = "") -> list[Experiment]:
    """Return what to ask for to measure a table, one experiment for all noises of a dataset.

    Args:
        name: `table2` to `table9`.
        methods: the methods to run, in place of those of the table that can be run here; empty for these.
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
    for _, rows in groupby(ready, lambda condition: replace(condition, noise="")):
        conditions = list(rows)
        first, given = conditions[0], conditions[0].noise == MEASURED
        grids.append(
            Experiment(
                ",".join(map(str, parse_methods(methods))) if methods else ",".join(first.labels(name)),
                first.dataset,
                kernels or ("" if given else first.kernels),
                "" if given else ",".join(condition.noise for condition in conditions),
                preset="paper",
                declared=first.declared,
            )
        )
    return grids


def _chosen(paper_table: Table, datasets: Sequence[str]) -> list[Condition]:
    known = {condition.dataset for condition in paper_table.conditions}
    for dataset in datasets:
        if dataset not in known:
            raise UnknownNameError(unknown(f"dataset of {paper_table.name}", dataset, known))
    return [condition for condition in paper_table.conditions if not datasets or condition.dataset in datasets]


def measurable(name: str, dataset: str = "", kernels: str = "") -> list[Condition]:
    """Return the rows of a table, or of some of its datasets, that can be measured; arguments as of `experiments`.

    Raises:
        UnknownNameError: for a table, or a dataset that it has not.
        InputError: where there is none.
    """
    chosen = _chosen(table(name), words(dataset))
    ready = [
        condition for condition in chosen if (condition.kernels == INACCURATE if kernels else not condition.lacking)
    ]
    if not ready:
        why = dict.fromkeys(condition.lacking for condition in chosen if condition.lacking) or [
            f"{name} has no estimated kernels"
        ]
        raise InputError(f"{name} cannot be measured: {'; '.join(why)}{'' if kernels else _INSTEAD.format(name)}")
    return ready


def lacking(name: str, dataset: str = "", kernels: str = "") -> list[str]:
    """Return a line for each row of a table that cannot be measured, and what can be; arguments as of `experiments`."""
    rows = [] if kernels else [condition for condition in _chosen(table(name), words(dataset)) if condition.lacking]
    return [
        f"{name} without {condition.dataset} {condition.kernels}: {condition.lacking}{_INSTEAD.format(name)}"
        for condition in rows
    ]


def coverage_line(name: str, keys: Sequence[CaseKey], dataset: str = "", kernels: str = "") -> str:
    """Return a line that says how much of a table, or of some of its datasets, measurements are."""
    cells = {(key.dataset, key.kernel, key.noise, key.image) for key in keys}
    conditions = {(key.dataset, key.kernel.partition("/")[0], key.noise) for key in keys}
    whole = sum(condition.cases for condition in measurable(name, dataset, kernels))
    return (
        f"{name} of Chen et al., IJCV 2022: {len(cells)} of {whole} measurements, under {len(conditions)} conditions "
        "of dataset, kernels and noise"
    )
