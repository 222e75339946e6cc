"""The paper's experiments: what to ask for here to measure a table, or some of it.

>>> [experiment] = experiments("table8", dataset="set12", methods="ours")[:1]
>>> experiment.kernels, experiment.noise, experiment.preset
('levin', 'gaussian:0.01,gaussian:0.03,gaussian:0.05', 'paper')
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.case_key import MEASURED, CaseKey
from nidbench.registry.method_spec import parse_methods
from nidbench.sweep.request import Experiment, words
from nidbench.system.counts import count_of

from .conditions import ERROR, INACCURATE, Condition, Table
from .labels import is_blind
from .published import BY_NAME_ONLY, published
from .tables import TABLES, table

_INSTEAD = "; nidbench reproduce {} --kernels estimated:PATH takes estimates of your own"


def experiments(name: str, methods: str = "", dataset: str = "", kernels: str = "") -> list[Experiment]:
    """Return what to ask for to measure a table, one experiment for all noises of a dataset.

    Args:
        name: `table2` to `table9`.
        methods: the methods to run, in place of those of the table that can be run here; empty for these.
        dataset: names, separated by commas; empty for all that the table has.
        kernels: a kernel error, such as `estimated:PATH`, in the place of the paper's estimated kernels: the rows that
            have them are measured, and no others. Without it, only blind methods are run where the paper's estimates
            are not public; they are given the size of the kernels that blurred, with it and without.

    Raises:
        UnknownNameError: for a table, or a dataset that it has not.
        InputError: where none of it can be measured here, or kernels that are no kernel error.
    """
    if kernels and ":" not in kernels:
        raise InputError(f"kernels {kernels!r} in place of estimated ones: give estimated:PATH or perturbed:...")
    asked = [str(spec) for spec in parse_methods(methods)] if methods else None
    ready = measurable(name, dataset, kernels, methods)
    grids: list[Experiment] = []
    for _, rows in groupby(ready, lambda condition: replace(condition, noise="")):
        conditions = list(rows)
        first = conditions[0]
        labels = first.labels(name) if asked is None else asked
        if not first.blurred_by:
            grids.append(_experiment(conditions, labels, kernels or first.kernels))
            continue
        blind = [label for label in labels if is_blind(label)]
        others = [label for label in labels if not is_blind(label)]
        if blind:
            grids.append(_experiment(conditions, blind, first.blurred_by))
        if others and kernels:
            grids.append(_experiment(conditions, others, kernels))
    return grids


def _experiment(conditions: Sequence[Condition], labels: Sequence[str], kernels: str) -> Experiment:
    """Return the experiment of conditions that differ in their noise only."""
    first = conditions[0]
    given = first.noise == MEASURED
    return Experiment(
        ",".join(labels),
        first.dataset,
        "" if given and ":" not in kernels else kernels,
        "" if given else ",".join(condition.noise for condition in conditions),
        preset="paper",
        declared=first.declared,
    )


def _chosen(paper_table: Table, datasets: Sequence[str]) -> list[Condition]:
    known = {condition.dataset for condition in paper_table.conditions}
    for dataset in datasets:
        if dataset not in known:
            raise UnknownNameError(unknown(f"dataset of {paper_table.name}", dataset, known))
    return [condition for condition in paper_table.conditions if not datasets or condition.dataset in datasets]


def measurable(name: str, dataset: str = "", kernels: str = "", methods: str = "") -> list[Condition]:
    """Return the rows of a table, or of some of its datasets, that can be measured; arguments as of `experiments`.

    Raises:
        UnknownNameError: for a table, or a dataset that it has not.
        InputError: where there is none.
    """
    chosen = _chosen(table(name), words(dataset))
    ready = [condition for condition in chosen if _is_measurable(condition, name, kernels, methods)]
    if not ready:
        why = dict.fromkeys(condition.lacking for condition in chosen if condition.lacking) or [
            f"{name} has no estimated kernels"
        ]
        raise InputError(f"{name} cannot be measured: {'; '.join(why)}{'' if kernels else _INSTEAD.format(name)}")
    return ready


def _is_measurable(condition: Condition, name: str, kernels: str, methods: str) -> bool:
    if kernels:
        return condition.kernels == INACCURATE
    labels = list(map(str, parse_methods(methods))) if methods else condition.labels(name)
    return not condition.lacking or any(map(is_blind, labels))


def lacking(name: str, dataset: str = "", kernels: str = "", methods: str = "") -> list[str]:
    """Return a line for each row of a table that cannot be measured, and for each method that is not run.

    Lines say what can be done about it; arguments are those of `experiments`.
    """
    chosen = _chosen(table(name), words(dataset))
    rows = [] if kernels else [condition for condition in chosen if condition.lacking]
    lines = []
    for condition in rows:
        blind = condition.labels(name, blind=True) if not methods else []
        which = f" but for {', '.join(blind)}, which is blind" if blind else ""
        lines.append(
            f"{name} without {condition.dataset} {condition.kernels}{which}: {condition.lacking}{_INSTEAD.format(name)}"
        )
    there = {label for condition in chosen for label in published(name, *condition.key)}
    unasked = [] if methods else [label for label in BY_NAME_ONLY if label in there]
    return [*lines, *(f"{name} without {label}: {BY_NAME_ONLY[label]}" for label in unasked)]


def table_lines() -> Iterator[str]:
    """Yield a line for each table of the paper and one for each of its rows: how many measurements, which methods."""
    for paper_table in TABLES.values():
        yield f"{paper_table.name:20s} section {paper_table.section}"
        for condition in paper_table.conditions:
            methods = ", ".join(condition.labels(paper_table.name, blind=True if condition.lacking else None))
            instead = "; others with --kernels estimated:PATH" if condition.lacking else ""
            yield f"    {condition.text}: {count_of(condition.cases, 'measurement')}; {methods or 'none'}{instead}"


def coverage_line(name: str, keys: Sequence[CaseKey], dataset: str = "", kernels: str = "", methods: str = "") -> str:
    """Return a line that says how much of a table, or of some of its datasets, measurements are.

    Args:
        name: `table2` to `table9`.
        keys: the measurements; one under several sets of estimates of its kernel is one.
        dataset: as of `experiments`.
        kernels: likewise.
        methods: likewise.
    """
    cells = {(key.dataset, _blurred_by(key.kernel), key.noise, key.image) for key in keys}
    conditions = {(of, kernel.partition("/")[0], noise) for of, kernel, noise, _ in cells}
    whole = sum(condition.cases for condition in measurable(name, dataset, kernels, methods))
    return (
        f"{name} of Chen et al., IJCV 2022: {len(cells)} of {count_of(whole, 'measurement')}, under "
        f"{count_of(len(conditions), 'condition')} "
        "of dataset, kernels and noise"
    )


def _blurred_by(kernel: str) -> str:
    """Return the kernel that blurred, by the name of one that methods are told."""
    told, _, in_set = kernel.partition("/")
    return f"{told.partition(ERROR)[0]}/{in_set}"
