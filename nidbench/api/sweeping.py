"""Sweeps from Python: `run`, with the words of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nidbench.errors import InputError
from nidbench.system.signals import heeded

from .given import text_of

if TYPE_CHECKING:
    from nidbench.sweep.request import Ask

    from .results import Results
    from .words import Seeds, Words


def run(
    methods: Words = "",
    dataset: Words = "",
    *,
    kernels: Words = "",
    rotate_kernels: bool = False,
    noise: Words = "",
    response: Words = "",
    images: Words = "",
    limit: int | None = None,
    crop: int | None = None,
    seeds: Seeds = "0",
    noise_seeds: Seeds = "0",
    preset: str | None = None,
    declared: str = "known",
    config: str | Path | None = None,
    method_file: str | Path | None = None,
    name: str = "",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    cell_timeout: float | None = None,
    memory_limit: str | int | None = None,
    retry: bool = False,
    renew: bool = False,
    observe: int = 25,
    keep: Words = "",
    checkpoint_every: float = 30.0,
    in_process: bool = False,
    workers: int | None = None,
    scheduler: str = "",
    per_device: int = 1,
    wait_for_workers: float = 120.0,
    batch: int = 1,
    protocol: str = "half-kernel",
    output: str | Path = "results",
    pictures: bool = False,
    tracking: Literal["mlflow", "none"] = "none",
    progress: bool = True,
) -> Results:
    """Compute what is missing of a sweep and return its results.

    Finished cells are never computed again: call it again after an interruption, or with one more method, image or
    seed. Ctrl-C, or the stop button of a notebook, lets the cell in progress save its state, for 10 s at most. Methods
    run in processes of their own. A cell that fails is a row with a reason, see `Results.failures`.

    Args:
        methods: such as `ours,dip@fast` or `ours:no-sa[iterations=500,lr=2e-3]`; whatever is separated by commas may
            be a list instead.
        dataset: names separated by commas, or `folder:PATH`.
        kernels: kernel sets or kernels, `levin` or `levin/1,levin/4`; empty for the dataset's own.
        rotate_kernels: whether image i has kernel i mod n only: a small part that uses all of them.
        noise: `gaussian:SIGMA`, `poisson:PEAK` or `bsnr:DB`, separated by commas; empty for the dataset's own.
        response: of the camera, such as `gamma:2.2`; empty for the dataset's own.
        images: names of images, separated by commas; empty for all.
        limit: at most so many images of each dataset.
        crop: side in pixels of a square from the middle of each image.
        seeds: method seeds: `0`, `0,3` or `0-4`, a number, or numbers such as `range(5)`.
        noise_seeds: noise draws, likewise.
        preset: for methods that name none: `paper`, `released`, `fast` or `smoke`.
        declared: noise level that methods are given: `known`, `estimated` or a factor such as `x1.2`.
        config: a sweep file in place of all of the above.
        method_file: a Python file with a method of your own, whose stem is its name.
        name: of the sweep; empty for one made from the question.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto` (that of the sweep before; in a new one bf16 where the device has it and is faster by it),
            `float32` or `bf16`.
        threads: CPU threads of a computing process; None for those of the sweep before, in a new one the cores that
            are free.
        cell_timeout: seconds after which a cell is killed.
        memory_limit: memory that a cell may take, such as `8G`, or bytes.
        retry: whether cells that failed before are tried again.
        renew: whether cells are computed again that rest on an older engine or measurement, or an edited method file.
        observe: iterations between observations of an estimate.
        keep: arrays to store besides the restorations: `draws`, `layers`, `kernel`, several separated by commas.
        checkpoint_every: seconds between checkpoints.
        in_process: whether to compute in this process, for debuggers; no limit holds then.
        workers: processes of this machine that compute cells at once; None for one cell after the other.
        scheduler: address or file of a running dask scheduler, whose workers compute.
        per_device: cells at once on one card of a worker.
        wait_for_workers: seconds to wait for a worker where the scheduler has none.
        batch: how many cells of one method and image size are fitted side by side, as one network.
        protocol: metric protocol of the results.
        output: folder of results.
        pictures: whether to draw contact sheets, see `Results.pictures`.
        tracking: `mlflow` to write the sweep to MLflow as well, or `none`.
        progress: whether to show it, as the command line does; without, warnings are Python's.

    Raises:
        NidbenchError: for unknown names, settings or devices, missing data, or another run in the folder.
        KeyboardInterrupt: where it was interrupted; what was finished is kept.
    """
    from rich.console import Console

    from nidbench.analysis.cells import SweepCells
    from nidbench.records import Store
    from nidbench.scoring.protocols import protocol as find_protocol
    from nidbench.sweep.plan import make_plan
    from nidbench.sweep.request import Ask
    from nidbench.system.processes import read_memory

    from .outputs import SHEETS, track, write_sheets, write_tables
    from .progress import Display
    from .results import Results
    from .running import Computing, run_sweep
    from .words import as_words, experiment_of

    find_protocol(protocol)
    if tracking not in ("mlflow", "none"):
        raise InputError(f"tracking {tracking!r}: use mlflow or none")
    experiment = experiment_of(
        methods=methods,
        dataset=dataset,
        kernels=kernels,
        rotate_kernels=rotate_kernels,
        noise=noise,
        response=response,
        images=images,
        limit=limit,
        crop=crop,
        seeds=seeds,
        noise_seeds=noise_seeds,
        preset=preset,
        declared=declared,
    )
    file = None if method_file is None else Path(method_file).resolve()
    ask = _with_config(Ask((experiment,), device, precision, file, text_of("name", name, "my-sweep")), config)
    computing = Computing(
        threads=threads,
        cell_timeout=cell_timeout,
        memory_limit=read_memory(memory_limit) if isinstance(memory_limit, str) else memory_limit,
        retry=retry,
        renew=renew,
        observe=observe,
        keep=as_words("keep", keep),
        checkpoint_every=checkpoint_every,
        in_process=in_process,
        workers=workers,
        scheduler=scheduler,
        per_device=per_device,
        wait_for_workers=wait_for_workers,
        batch=batch,
    )
    store, display = Store(Path(output)), Display(Console(quiet=not progress), warns=not progress)
    with heeded():
        ran = run_sweep(
            store,
            lambda computer, _, chooser: (make_plan(ask, computer, chooser), None),
            lambda _: protocol,
            computing,
            display,
        )
    if ran is None:
        raise RuntimeError("a sweep that was run has results")
    if ran.summary.interrupted is not None:
        raise KeyboardInterrupt(f"{ran.summary.interrupted.name}: what was finished is kept, run it again to go on")
    results = Results(store, ran.sweep, protocol)
    sheets = write_sheets(store, ran.sweep, SHEETS)[0] if pictures else ()
    if tracking == "mlflow":
        cells = SweepCells.read(store, ran.sweep)
        track(store, cells, display.say, sheets, write_tables(store, cells, protocol))
    return results


def _with_config(ask: Ask, config: str | Path | None) -> Ask:
    """Return what is asked for: of a sweep file, or of the arguments.

    Raises:
        InputError: where neither says it, or both do.
    """
    from nidbench.sweep.request import Experiment
    from nidbench.sweep.sweep_file import read_ask

    (experiment,) = ask.experiments
    if config is None:
        if not experiment.methods or not experiment.dataset:
            raise InputError('give methods and dataset, such as methods="ours,dip", dataset="sample", or config=FILE')
        return ask
    if experiment != Experiment("", ""):
        raise InputError("methods, dataset and what is measured stand in the file of config: write them there")
    return read_ask(Path(config)).chosen(
        device=ask.device, precision=ask.precision, method_file=ask.method_file, name=ask.name
    )
