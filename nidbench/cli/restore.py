"""The command that restores an image of one's own: `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nidbench.system import signals

from . import completion, options
from .shared import make_console, say

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("image", type=_FILE)
@click.option(
    "--kernel",
    required=True,
    shell_complete=completion.kernel_or_file,
    help="The PSF: a file (psf.tif, .png, .fits, .npy, .mat), gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE, or a "
    "kernel of a set, such as levin/4.",
)
@click.option("-o", "--out", required=True, type=_FILE, help="File for the restoration; its suffix says the format.")
@click.option(
    "--method",
    default="tv",
    show_default=True,
    shell_complete=completion.methods,
    help="The method, such as wiener, ours@fast or 'tv[weight=0.3]'; nidbench list methods has all.",
)
@click.option(
    "--noise",
    default="",
    help="Noise of the image: gaussian:SIGMA on [0, 1], poisson:PEAK, or poisson  [default: Gaussian, estimated]",
)
@click.option(
    "--response", default="identity", show_default=True, help="Response of the camera: identity, gamma:2.2, saturation."
)
@click.option(
    "--frame",
    type=click.Choice(["y", "full"]),
    default="y",
    show_default=True,
    help="y: the size of the image. full: all that it shows in part, larger by the kernel's reach.",
)
@click.option("--pages", default="", help="Of a stack: all, each by itself in two dimensions, or the number of one.")
@click.option("--scale", type=float, help="Value of the file that stands for intensity 1, such as 4095.")
@click.option(
    "--bits", type=int, help="Bit depth of the camera, such as 12, whose integers are stored in a deeper type."
)
@click.option(
    "--kernel-background",
    type=click.Choice(["none", "border", "clip", "keep"]),
    default="none",
    show_default=True,
    help="What is taken off a kernel file: the level of its border, or what is negative; keep: nothing, and no doubt.",
)
@click.option("--kernel-centre", is_flag=True, help="Move the kernel's weights to its middle, also from its corners.")
@click.option("--kernel-turn", is_flag=True, help="Turn a kernel file by 180 degrees: one for correlation.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--variance", type=_FILE, help="File for the pixel variance, of methods that give one.")
@click.option("--preview", type=_FILE, help="PNG of before and after, to look at.")
@click.option("--twin", is_flag=True, help="Try --methods on a twin: a restoration, blurred and made noisy again.")
@click.option(
    "--methods",
    default="",
    shell_complete=completion.methods,
    help="Methods for --twin  [default: wiener,tv,fid,richardson-lucy]",
)
@options.one_method_file
@options.device
@click.option("--precision", type=click.Choice(["float32", "bf16"]), default="float32", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads of the method  [default: the free cores]")
@options.memory_limit
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Method seed.")
@click.pass_context
def restore(context: click.Context, /, **given: Any) -> None:
    """Restore a blurred IMAGE of your own, and write it as it came: type, range, size, colour and metadata.

    Files are TIFF, PNG, JPEG, BMP, FITS (nidbench[fits]), .npy, .npz or .mat. The last lines say which noise was used
    and whether what is left of the image looks like it. The exit code is 1 where a file that was asked for is missing.
    """
    from nidbench.api.files import restore_file
    from nidbench.api.restoration_display import RestorationDisplay

    console = make_console()
    display = RestorationDisplay(console)
    try:
        with display:
            done = restore_file(events=display, **_words(given))
    except KeyboardInterrupt as stop:
        number = signals.stopped_by(stop)
        if number is None:
            raise
        click.echo(f"interrupted by {number.name}: no file is half-written", err=True)
        context.exit(signals.exit_code(number))
    for line in done.lines():
        say(console, line)
    if not done.complete:
        context.exit(1)


def _words(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `restore_file` for options.

    Raises:
        UsageError: for options that need another one.
    """
    if given["methods"] and not given["twin"]:
        raise click.UsageError("--methods are those of --twin: add it, or name the one method with --method")
    from nidbench.images import KernelFile

    words = dict(given)
    if not KernelFile.is_meant(words["kernel"]) and any(words[option] not in (False, "none") for option in _OF_FILES):
        raise click.UsageError(f"{words['kernel']} is no kernel file: --kernel-background and its like are for files")
    for option in _OF_FILES:
        value = words.pop(option)
        if value not in (False, "none"):
            words["kernel"] += f":{_AFTER.get(option, value)}"
    methods = words.pop("methods")
    words["twin"] = (methods or True) if words["twin"] else False
    return words


#: Options that say what is done to a kernel file.
_OF_FILES = ("kernel_background", "kernel_centre", "kernel_turn")

#: Option -> the word that says the same after a kernel file's name.
_AFTER = {"kernel_centre": "centred", "kernel_turn": "turned"}

COMMANDS = (restore,)
