"""Kernels that blind methods estimated, as files that `--kernels estimated:PATH:keep` gives to non-blind ones."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.contract.run import KERNEL
from nidbench.errors import DamagedError, InputError, ResultsError, UnknownNameError, unknown
from nidbench.images import KernelFile
from nidbench.images.psf import WORDS
from nidbench.physics.kernel import normalised
from nidbench.records import Planned, Record, Store, Sweep
from nidbench.system.counts import count_of
from nidbench.system.whole_files import results_errors, write_whole


@dataclass(frozen=True)
class Estimates:
    """Kernels that were written.

    Attributes:
        folder: where they are, as `<image>/<kernel>.npy`.
        written: their files.
        lacking: names of cells that have no kernel, and why.
    """

    folder: Path
    written: Sequence[Path]
    lacking: Sequence[str]

    def lines(self) -> list[str]:
        """Return what to tell of them, in lines."""
        option = f"--kernels {shlex.quote(f'estimated:{self.folder}:keep')}"
        return [
            *(f"no kernel: {line}" for line in self.lacking),
            f"{count_of(len(self.written), 'kernel')} in {self.folder}: {option} gives them, as they are, to methods",
        ]


def write_kernels(store: Store, sweep: Sweep, folder: Path, method: str = "", noise: str = "") -> Estimates:
    """Write the kernels that a method of a sweep estimated, as `<image>/<kernel>.npy`, each file whole or not at all.

    Files that are there already are replaced. The kernel is that which the method kept (`--keep kernel`), or, where it
    was not asked to, that of its details.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        folder: where to; made where it is not there.
        method: its label in tables; may be left out where one method of the sweep has kernels.
        noise: of the measurements; likewise.

    Raises:
        UnknownNameError: for a label or noise that the sweep has not.
        InputError: where no cell has a kernel, several methods have, or several cells have one for the same file; for a
            folder that `estimated:PATH` cannot name.
        ResultsError: where a file cannot be written.
    """
    _check_folder(folder)
    chosen = _chosen(sweep.cells, "method of the sweep", method, lambda planned: planned.label)
    chosen = _chosen(chosen, "noise of the sweep", noise, lambda planned: planned.case.noise)
    kernels: dict[str, NDArray[Any]] = {}
    found: dict[str, Planned] = {}
    lacking: dict[Planned, str] = {}
    for planned in chosen:
        kernel = _kernel(store, planned)
        if isinstance(kernel, str):
            lacking[planned] = kernel
            continue
        name = _file_name(planned, sweep)
        if name in found:
            raise InputError(_several(name, found[name], planned))
        found[name], kernels[name] = planned, kernel
    labels = {planned.label for planned in found.values()}
    if not kernels:
        raise InputError(
            f"no cell of sweep {sweep.name} has an estimated kernel: nidbench run --methods selfdeblur --keep kernel "
            "makes some"
        )
    written = [_write(folder / name, kernel) for name, kernel in kernels.items()]
    missing = [f"{planned.label} {planned.case}: {why}" for planned, why in lacking.items() if planned.label in labels]
    return Estimates(folder, written, missing)


def _check_folder(folder: Path) -> None:
    if "," in str(folder) or KernelFile.parse(f"{folder}:keep").path != folder:
        raise InputError(
            f"{folder} cannot be named as estimated:{folder}, where commas separate kernels, and {', '.join(WORDS)} "
            "after a colon say what is done to them: give a folder with another name"
        )


def _chosen(cells: Sequence[Planned], what: str, wanted: str, of: Callable[[Planned], str]) -> Sequence[Planned]:
    chosen = [planned for planned in cells if wanted in ("", of(planned))]
    if wanted and not chosen:
        raise UnknownNameError(unknown(what, wanted, sorted({of(planned) for planned in cells})))
    return chosen


def _several(name: str, first: Planned, second: Planned) -> str:
    differ = [
        f"{option} {former} and {latter}"
        for option, former, latter in (
            ("--method", first.label, second.label),
            ("--noise", first.case.noise, second.case.noise),
            ("dataset", first.case.dataset, second.case.dataset),
            ("image", first.case.image, second.case.image),
            ("kernel", first.case.kernel, second.case.kernel),
            ("noise seed", first.case.noise_seed, second.case.noise_seed),
            ("seed", first.seed, second.seed),
        )
        if former != latter
    ]
    return (
        f"two cells have a kernel for {name} ({'; '.join(differ) or 'twice the same'}): choose with --method or "
        "--noise, or run a sweep that has one of them"
    )


def _kernel(store: Store, planned: Planned) -> NDArray[Any] | str:
    """Return the kernel that a cell estimated, Shape (kh, kw), or why there is none."""
    try:
        record = store.read(planned.id)
        if record is None:
            return "not computed yet"
        if record.status != "done":
            return record.status
        kernel = _kept(store, record)
        if kernel is None:
            return "its method estimates none, or it was larger than details hold: run with --keep kernel"
        return normalised(kernel)
    except (ResultsError, DamagedError, InputError, ValueError, TypeError) as error:
        return str(error)


def _kept(store: Store, record: Record) -> Any:
    if KERNEL in record.kept:
        kept = store.kept(record.id)
        if KERNEL in kept:
            return kept[KERNEL]
    logged = store.with_log(record)
    return None if logged is None or logged.log is None else logged.log.details.get(KERNEL)


def _file_name(planned: Planned, sweep: Sweep) -> str:
    """Return the name by which `estimated:PATH` finds the kernel of a measurement; of a crop it is the image's."""
    image = planned.case.image
    for experiment in sweep.asked.get("experiments", ()):
        crop = experiment.get("crop") if isinstance(experiment, dict) else None
        if crop is not None and image.endswith(f"@{crop}"):
            image = image.removesuffix(f"@{crop}")
            break
    name = PurePosixPath(image, f"{planned.case.kernel.partition('/')[2] or planned.case.kernel}.npy")
    if name.is_absolute() or ".." in name.parts:
        raise InputError(f"cell {planned.case} has a name that leads out of the folder: {name}")
    return str(name)


def _write(path: Path, kernel: NDArray[Any]) -> Path:
    content = io.BytesIO()
    np.save(content, kernel, allow_pickle=False)
    with results_errors(path.parent, "another folder with --to"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    return path
