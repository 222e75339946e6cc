"""What several commands take: options and arguments as decorators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from . import completion

Decorator: TypeAlias = "Callable[[Callable[..., Any]], Callable[..., Any]]"


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator for several, which `--help` lists in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _stated(context: click.Context, option: click.Parameter, text: str) -> str:
    """Refuse an empty text that was given, as of a shell's variable that is not set; left out, it has its default."""
    source = context.get_parameter_source(option.name or "")
    if not text.strip() and source is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError(f"{option.opts[0]} was given nothing: leave it out for its default, or say which")
    return text


sweep = click.argument("sweep", required=False, shell_complete=completion.sweeps)
output = click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    envvar="NIDBENCH_OUTPUT",
    help="The results folder; NIDBENCH_OUTPUT names another by default.",
)
form = click.option(
    "--format",
    "form",
    type=click.Choice(["md", "csv", "latex", "html"]),
    default="md",
    show_default=True,
    help="Format of the table.",
)
protocol = click.option(
    "--protocol",
    default="half-kernel",
    show_default=True,
    shell_complete=completion.protocols,
    help="Metric protocol of the table.",
)
protocol_of_the_paper = click.option(
    "--protocol",
    default="",
    shell_complete=completion.protocols,
    help="Metric protocol  [default: the one nearest to the paper's]",
)
published = click.option(
    "--paper",
    "published",
    default="",
    help="Table of the paper, such as table9  [default: the one that has most of the sweep]",
)
name = click.option("--name", default="", help="Name of the sweep  [default: made from what is asked for]")

#: Which measurements.
kernels = click.option(
    "--kernels",
    default="",
    callback=_stated,
    shell_complete=completion.kernels,
    help="Kernel sets or kernels, levin or levin/1,levin/4; files, psf.npy; formulas, gaussian:SIGMA, disk:RADIUS, "
    "motion:LENGTH:ANGLE; with kernel errors, perturbed:noise=0.1 or levin/4@estimated:PATH (estimated:PATH:turned for "
    "files that are to be turned by 180 degrees).",
)
rotate_kernels = click.option(
    "--rotate-kernels",
    is_flag=True,
    help="Blur each image by one of the kernels only, image i by number i mod n: few cells that use all kernels.",
)
noise = click.option(
    "--noise",
    default="",
    callback=_stated,
    help="Noise: gaussian:SIGMA, poisson:PEAK or bsnr:DB, separated by commas.",
)
response = click.option(
    "--response",
    default="",
    callback=_stated,
    help="Response of the camera: gamma:2.2, saturation:1.5 (of scenes 1.5 times as bright) or identity, with :8bit "
    "after it to round y; separated by commas.",
)
images = click.option(
    "--images", default="", callback=_stated, help="Names of images, separated by commas  [default: all]"
)
limit = click.option("--limit", type=int, help="Use at most this number of images of each dataset.")
crop = click.option(
    "--crop", type=click.IntRange(1), help="Use a square of this side, in pixels, from the middle of each image."
)
seeds = click.option("--seeds", default="0", show_default=True, help="Method seeds, such as 0 or 0,3 or 0-4.")
noise_seeds = click.option(
    "--noise-seeds", default="0", show_default=True, help="Noise draws, such as 0 or 0,3 or 0-4."
)

#: The measurements that `run` and `score` ask for.
measurements = together(kernels, rotate_kernels, noise, response, images, limit, crop, noise_seeds)


def _memory(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    from nidbench.system.processes import read_memory

    return None if text is None else read_memory(text)


def _only(_context: click.Context, option: click.Parameter, given: tuple[Path, ...]) -> Path | None:
    """Return what an option was given, once; click itself keeps the last without a word."""
    if len(given) > 1:
        raise click.UsageError(
            f"{option.opts[0]} was given {len(given)} times, {', '.join(map(str, given))}: give one; several methods "
            "are registered as entry points of a package"
        )
    return given[0] if given else None


one_method_file = click.option(
    "--method-file",
    type=click.Path(path_type=Path),
    multiple=True,
    callback=_only,
    help="A Python file with your method. Its name is the file's: my_method for my_method.py.",
)
device = click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
memory_limit = click.option(
    "--memory-limit",
    callback=_memory,
    help="Memory that the method may take, such as 8G or 500M  [default: what this machine or its control group has]",
)

#: How cells are computed.
computing = together(
    one_method_file,
    name,
    device,
    click.option(
        "--precision",
        default="auto",
        show_default=True,
        help="Precision: float32, bf16 or auto: that of the sweep before; in a new one bf16 where it is faster.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        help="CPU threads of the computing process  [default: those of the sweep before; in a new one, the free cores "
        "where they are worth it, else 1]",
    ),
    click.option(
        "--cell-timeout", type=click.FloatRange(min=0, min_open=True), help="Kill a cell after this number of seconds."
    ),
    click.option(
        "--memory-limit",
        callback=_memory,
        help="Memory that a cell may take, such as 8G or 500M  [default: what this machine or its control group has]",
    ),
    click.option("--retry", is_flag=True, help="Compute cells again that failed before."),
    click.option(
        "--renew",
        is_flag=True,
        help="Compute cells again that rest on an older engine or measurement, or on an edited method file.",
    ),
    click.option(
        "--observe",
        type=click.IntRange(0),
        default=25,
        show_default=True,
        help="Observe the estimate after every this many iterations; 0 for never.",
    ),
    click.option(
        "--keep",
        default="",
        help="Extra arrays to store: draws or layers for figures, kernel of blind methods; several with commas.",
    ),
    click.option(
        "--checkpoint-every",
        type=click.FloatRange(0),
        default=30.0,
        show_default=True,
        help="Seconds between checkpoints.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Compute cells at once in so many processes of this machine  [default: one cell after the other]",
    ),
    click.option(
        "--scheduler",
        default="",
        help="Compute on the workers of a running dask scheduler: its address or its file.",
    ),
    click.option(
        "--per-device",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Cells at once on one card of a worker.",
    ),
    click.option(
        "--wait-for-workers",
        type=click.FloatRange(0),
        default=120.0,
        show_default=True,
        help="Seconds to wait for a worker where the scheduler has none, as while a cluster's jobs are queued.",
    ),
    click.option(
        "--batch",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Fit up to so many cells of one method and image size side by side, as one network: it is for cards.",
    ),
    click.option(
        "--in-process",
        is_flag=True,
        help="Compute in this process, for debuggers; limits of time and memory do not hold then.",
    ),
)

#: What happens before anything is computed.
asking = together(
    click.option(
        "--dry-run",
        is_flag=True,
        help="Show which cells would be computed and, by short pilots of the methods, for how long, and stop.",
    ),
    click.option("--yes", is_flag=True, help="Start without asking, however long it takes."),
)

#: What a finished sweep leaves for people.
publishing = together(
    click.option(
        "--tracking", type=click.Choice(["mlflow", "none"]), default="mlflow", show_default=True, help="Where to log."
    ),
    click.option("--pictures/--no-pictures", default=True, show_default=True, help="Draw contact sheets."),
)
