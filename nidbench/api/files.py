"""An image file in, a restored image file out, from Python and for the command line."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from nidbench.errors import InputError
from nidbench.restoring.request import CANDIDATES, DEFAULT_METHOD, Request
from nidbench.system.counts import count_of
from nidbench.system.durations import duration

from .given import path_of, text_of, value_of, whole_number

if TYPE_CHECKING:
    from nidbench.restoring.events import Events
    from nidbench.restoring.twin import Ranked
    from nidbench.restoring.written import Done

#: Chi-squared within which a residual is called about as large as the noise: of the restorations by `tv`, `fid` and
#: `wiener` that were tried, most fit some of the noise and lie between 0.7 and 1.
_LOW, _HIGH = 0.5, 1.25

#: Times the whiteness of white noise beyond which a residual is called structured.
_STRUCTURED = 4.0


@dataclass(frozen=True)
class Report:
    """What `restore_file` did.

    Attributes:
        done: the restoration, its residual and its files.
        notes: what was assumed on the way, in sentences.
    """

    done: Done
    notes: Sequence[str]

    @property
    def complete(self) -> bool:
        """Whether all files that were asked for are there."""
        return self.done.complete

    @property
    def files(self) -> dict[str, Path]:
        """The files by what they are: `restored`, `variance`, `preview`."""
        return {name: Path(path) for name, path in self.done.files}

    @property
    def twin(self) -> Sequence[Ranked]:
        """Methods by a twin experiment, the best first; empty where none was asked for."""
        return self.done.twin

    def lines(self) -> list[str]:
        """Return what a person should read at the end."""
        done = self.done
        seconds = sum(page.seconds for page in done.pages)
        pages = f", {len(done.pages)} images" if len(done.pages) > 1 else ""
        steps = f", {count_of(done.pages[0].iterations, 'iteration')}" if done.pages[0].iterations else ""
        lines = [f"method    {done.method}: {_seconds(seconds)}{pages}{steps}"]
        lines += [f"noise     {self._noise()}", f"residual  {self._residual()}"]
        if done.clipped:
            share = f"{done.clipped / done.values:.2%}"
            lines.append(
                f"clipped   {done.clipped} of {done.values} values ({share}) lay beyond what the file can hold"
            )
        lines += [f"note      {note}" for note in done.notes]
        if done.twin:
            lines += list(_twin_lines(done.twin))
        return lines + [f"{name:9} {path}" for name, path in done.files]

    def _noise(self) -> str:
        sigma = fmean(page.sigma for page in self.done.pages)
        how = "estimated from the image" if self.done.estimated else "as given"
        in_file = "" if self.done.white == 1 else f", {sigma * self.done.white:.3g} in the file's values"
        return f"standard deviation {sigma:.4g} of intensity 1{in_file}, {how}"

    def _residual(self) -> str:
        tests = [page.tests for page in self.done.pages]
        chi, whiteness, white = (
            fmean(values)
            for values in zip(*((each.chi_squared, each.whiteness, each.white) for each in tests), strict=True)
        )
        return (
            f"chi-squared {_number(chi)} (noise: 1), whiteness {whiteness:.2g} (white noise: {white:.2g}): "
            + verdict(chi, whiteness, white)
        )

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.3g}"


def verdict(chi: float, whiteness: float, white: float) -> str:
    """Return what a residual says of a restoration, in words.

    Args:
        chi: reduced chi-squared.
        whiteness: root mean square of the residual's autocorrelation.
        white: that of white noise.
    """
    if math.isnan(chi):
        return "without noise there is nothing to compare it with"
    if chi < _LOW:
        return "much smaller than the noise: noise was fitted, or there is less of it than was taken"
    if chi > _HIGH:
        return "larger than the noise: kernel, noise or method does not fit the image"
    if whiteness > _STRUCTURED * white:
        return "about as large as the noise, but less white: some structure is left in it"
    return "it looks like the noise"


def _twin_lines(ranked: Sequence[Ranked]) -> Iterator[str]:
    from nidbench.restoring.twin import MAKER, TIED

    best = ranked[0].psnr
    yield f"twin      the middle as {MAKER} restores it, blurred and made noisy again; which method is best on that:"
    for each in ranked:
        if each.failure:
            yield f"          {each.method}: no result ({each.failure.splitlines()[0]})"
            continue
        tied = ", not told apart from the first" if each is not ranked[0] and best - each.psnr < TIED else ""
        yield f"          {each.method}: {each.psnr:.2f} dB, {_seconds(each.seconds)}{tied}"
    yield f"          a hint, no measurement of your image: its truth is what {MAKER} made, and it favours {MAKER}"


def restore_file(
    image: str | Path,
    kernel: str | Path,
    out: str | Path,
    *,
    method: str = DEFAULT_METHOD,
    method_file: str | Path | None = None,
    noise: str = "",
    response: str = "identity",
    frame: Literal["y", "full"] = "y",
    pages: str = "",
    scale: float | None = None,
    bits: int | None = None,
    overwrite: bool = False,
    variance: str | Path | None = None,
    preview: str | Path | None = None,
    twin: str | bool = False,
    device: str = "auto",
    precision: Literal["float32", "bf16"] = "float32",
    threads: int | None = None,
    memory_limit: int | None = None,
    seed: int = 0,
    events: Events | None = None,
) -> Report:
    """Restore an image file, and write it as it came: type, range, size, colour and metadata.

    The method runs in a process of its own. Files are written whole, all after the last computation.

    Args:
        image: the blurred image: TIFF, PNG, JPEG, BMP, FITS, .npy, .npz or .mat, gray or RGB.
        kernel: a kernel file, with `:border`, `:clip`, `:keep`, `:turned` or `:centred` after it where something is to
            be done to it; `gaussian:SIGMA`, `disk:RADIUS`, `motion:LENGTH:ANGLE`; or a kernel of a set, `levin/4`.
        out: the file to write, in the format of its suffix.
        method: as on the command line, `tv` or `ours@fast[iterations=500]`.
        method_file: a Python file with a method of your own, whose stem is its name.
        noise: `gaussian:SIGMA` (on [0, 1]), `poisson:PEAK`, a kind alone, or empty for Gaussian that is estimated.
        response: of the camera: `identity`, `gamma:2.2` or `saturation`.
        frame: `y` for the size of the image, `full` for all that it shows in part.
        pages: of a stack, `all` or the number of one image; empty for a single image.
        scale: value of the file that is intensity 1; None where its type says it.
        bits: bit depth of integers that are stored in a deeper type.
        overwrite: whether files that exist are replaced.
        variance: file for the pixel variance, of methods that give one.
        preview: PNG of before and after.
        twin: whether to try methods on a twin experiment: True for the fast ones, or methods separated by commas.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `float32` or, on a device that has it, `bf16`.
        threads: CPU threads; None for the free cores.
        memory_limit: bytes that the method may take; None for what is free.
        seed: method seed.
        events: receives progress and notes; None for nobody.

    Returns:
        What was done, with `lines()` to read.

    Raises:
        NidbenchError: where a file cannot be read or written, the kernel does not fit, or the method fails; nothing is
            written then.
    """
    from nidbench.compute.child_process import ChildProcess
    from nidbench.restoring.bench import Place
    from nidbench.restoring.events import Silent
    from nidbench.restoring.restore import restore
    from nidbench.sweep.choices import check_precision
    from nidbench.sweep.plan import choose_device
    from nidbench.system import cores

    psf = kernel if isinstance(kernel, str) else str(path_of("kernel", kernel))
    words = {"method": (method, "tv"), "noise": (noise, "gaussian:0.01"), "response": (response, "identity")}
    words |= {"pages": (pages, "all"), "device": (device, "cpu"), "kernel": (psf, "psf.npy")}
    said = {name: text_of(name, value, example) for name, (value, example) in words.items()}
    if frame not in ("y", "full"):
        raise InputError(f"frame {frame!r}: use y for the size of the image, or full for all that it shows")
    request = Request(
        image=path_of("image", image),
        kernel=said["kernel"],
        out=path_of("out", out),
        method=said["method"],
        method_file=None if method_file is None else Path(method_file).resolve(),
        noise=said["noise"],
        response=said["response"],
        frame=frame,
        pages=said["pages"],
        scale=value_of("scale", scale),
        bits=None if bits is None else whole_number("bits", bits, 1),
        overwrite=overwrite,
        variance=None if variance is None else path_of("variance", variance),
        preview=None if preview is None else path_of("preview", preview),
        twin=(CANDIDATES if twin is True else twin) or "",
    )
    cpus = whole_number("threads", threads, 1) if threads is not None else cores.free()
    noting = _Noting(events or Silent())
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with closing(ChildProcess(log, cpus, memory_limit)) as computer:
            hello = computer.hello()
            place = Place(
                computer=computer,
                device=choose_device(said["device"], hello),
                precision=precision,
                threads=cpus,
                seed=whole_number("seed", seed),
                memory_limit=memory_limit,
            )
            check_precision(precision, place.device, hello)
            return Report(restore(request, place, noting), noting.notes)


class _Noting:
    """Passes reports on, and keeps the notes.

    Args:
        events: receives them.

    Attributes:
        notes: what was said.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self.notes: list[str] = []
        self.began, self.progress, self.residual = events.began, events.progress, events.residual

    def said(self, text: str) -> None:
        """Keep a note, and pass it on."""
        self.notes.append(text)
        self._events.said(text)
