"""Damaged files and hostile arguments, thousands of them: taken or refused in words, and nothing half-written.

    python tests/stress/fuzz.py --calls 5000 --seed 0

Half of the calls are readers on mutated files, the others the command line in this process. A call is a fault where it
raises anything but nidbench's own errors, ends with an exit code that means nothing, accepts what is no image or
kernel, or leaves files behind after it was refused. The same seed makes the same calls.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import resource
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from click.testing import CliRunner
from PIL import Image
from scipy.io import savemat

from nidbench.cli import main
from nidbench.errors import NidbenchError
from nidbench.images import RESTORED, read_image, read_kernel, read_pixels, sharp_shape

#: What a person, a script or a shell may put in the place of any argument.
_ODD = (
    "",
    " ",
    ",",
    "\0",
    "a\0b",
    "a\nb",
    "\udc80",
    "é" * 150,
    "a" * 300,
    "9" * 30,
    "9" * 5000,
    "*",
    "$(id)",
    "<b>",
    "|",
)
_NUMBERS = "-1 0 1e999 nan inf 0x10 0-4 4-0 0-99999999 x1.2 x0 xnan"
_METHODS = "a[b wiener[ wiener[weight=] wiener[weight=nan] @ @fast wiener@ wiener:x wiener,,wiener my.py dir/my.py [ ]"
_PATTERNS = "%s {} {image {image:1000000000} {image!r} {0} {image.__class__}"
_DATASETS = (
    "sample set12 folder: folder:. folder:/dev/null folder:none folder:good,folder:good camera camera@8 measured"
)
_KERNELS = (
    "estimated: estimated:. estimated:.:border:turned perturbed: perturbed:noise=nan perturbed:pad=-99 levin/99 "
    "sample@ perturbed:shift=99999 sample@perturbed:noise=0.1"
)
_NOISES = "gaussian: gaussian:-1 gaussian:nan gaussian:1e999 gaussian:0 poisson:0 poisson:1e-300 bsnr:nan bsnr:1e5"
_RESPONSES = "gamma:0 gamma:nan saturation:9 gamma:2.2:99bit identity:8bit"
_WORDS = "estimated float32 auto cuda:99 draws,layers table2 table99 half-kernel shift-aligned:999999 cut-999999999"
_PATHS = (
    ": / . .. - -- /proc/self/mem /dev/zero pipe loop good good/a.png deep.toml binary.toml bom.toml huge.toml a.npy "
    "measured.zip cut.zip"
)
HOSTILE = _ODD + tuple(
    word
    for group in (_NUMBERS, _METHODS, _PATTERNS, _DATASETS, _KERNELS, _NOISES, _RESPONSES, _WORDS, _PATHS)
    for word in group.split()
)

_QUIETLY = "--in-process --tracking none --no-pictures --output out"
_SCENE = "--dataset folder:good --kernels sample"
_FILES = f"score files {_SCENE} --noise gaussian:0.02 --label theirs --pattern {{image}}.npy"
_GRID = "--images a --limit 1 --crop 56 --seeds 0 --noise-seeds 0 --response identity --noise gaussian:0.02"
_HOW = (
    "--preset smoke --name s --device cpu --precision float32 --keep draws --declared known --observe 25 --threads 1 "
    "--protocol half-kernel"
)

#: Commands whose every word may be replaced; what they would compute is small.
COMMANDS = (
    f"run --methods wiener,fid {_SCENE} {_GRID} {_HOW} --yes {_QUIETLY}",
    f"run --methods wiener {_SCENE} {_GRID} {_HOW} --dry-run --yes {_QUIETLY}",
    f"run --methods wiener --dataset folder:measured --dry-run --yes {_QUIETLY}",
    f"run --methods mine --method-file mine.py {_SCENE} --dry-run {_QUIETLY}",
    f"run --config sweep.toml --dry-run {_QUIETLY}",
    f"{_FILES} --bits 12 --name t --output out",
    f"{_FILES} --scale 1 --output out",
    "rescore s --protocol uncropped --dry-run --output out",
    "table s --format md --protocol uncropped --output out",
    "differences s --against wiener --format csv --output out",
    "ranks s --output out",
    "compare s --paper table2 --output out",
    "orders s --paper table2 --output out",
    "sheets s --most 1 --output out",
    "report s --output out",
    "figure fig1 s --method wiener --image a@56 --kernel motion --case 1 --threshold 0.05 --output out",
    f"reproduce table2 --methods wiener --dataset set12 --budget 1m --limit 1 --dry-run {_QUIETLY}",
    "list methods",
    "info wiener",
    "data add kohler measured.zip",
    "data add levin good",
    "data verify kohler",
    "data path levin",
)


#: Bytes of address space, of which libraries take most.
_MEMORY = 6 << 30


@dataclass
class Tally:
    """What became of the calls.

    Attributes:
        ends: how often each end came.
        faults: what should not have been, each with what shows it.
    """

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def fuzz(calls: int, seed: int, folder: Path) -> Tally:
    """Make so many calls in an empty folder and return what became of them."""
    random_ = random.Random(seed)
    tally = Tally()
    with _working_in(folder):
        seeds = _seeds(folder)
        _furnish(folder)
        for number in range(calls):
            if number % 2:
                _command(random_, folder, tally)
            else:
                _reader(random_, seeds, folder, tally)
    return tally


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Work in a folder, with no site to download from."""
    settings = {"NIDBENCH_DATA": str(folder / "cache"), "NIDBENCH_DATA_MIRROR": (folder / "nowhere").as_uri()}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _scene(channels: int = 1) -> np.ndarray:
    """Shape (60, 64, channels) in [0, 1]."""
    rows, columns = np.indices((60, 64))
    waves = [0.5 + 0.4 * np.sin(rows / (3 + c)) * np.cos(columns / (4 + c)) for c in range(channels)]
    return np.stack(waves, -1)


def _kernel() -> np.ndarray:
    return np.outer([1, 2, 1], [1, 3, 4, 1, 0]).astype(float)


def _seeds(folder: Path) -> dict[str, bytes]:
    """Return whole files of every kind, small, by name."""
    gray, colour = np.rint(255 * _scene()[..., 0]).astype(np.uint8), np.rint(255 * _scene(3)).astype(np.uint8)
    made = folder / "seeds"
    made.mkdir()
    for name in ("g.png", "g.bmp", "g.jpg", "g.tif", "g.gif", "g.webp", "g.pgm"):
        Image.fromarray(gray).save(made / name)
    for name in ("c.png", "c.jpg", "c.bmp", "c.tif"):
        Image.fromarray(colour).save(made / name)
    Image.fromarray(gray.astype(np.uint16) * 257).save(made / "deep.png")
    Image.fromarray(gray).save(made / "lzw.tif", compression="tiff_lzw")
    tifffile.imwrite(made / "stack.tif", np.stack([gray] * 3), photometric="minisblack")
    tifffile.imwrite(made / "zip.tif", colour.astype(np.uint16) * 200, compression="zlib", byteorder=">")
    tifffile.imwrite(made / "real.tif", _scene()[..., 0].astype(np.float32), tile=(16, 16))
    for kind in ("f8", ">f4", "f2", "u1", ">u2", "i4", "?", "c16"):
        np.save(made / f"{kind.strip('>')}.npy", _scene(3).astype(kind) if kind[-1] != "1" else colour)
    np.save(made / "k.npy", _kernel())
    np.savez(made / "two.npz", x=_scene(), k=_kernel())
    for name, form in (("five.mat", "5"), ("four.mat", "4")):
        savemat(made / name, {"x": _scene()[..., 0], "k": _kernel(), "t": "text"}, format=form)
    savemat(made / "packed.mat", {"x": gray, "s": {"a": 1}}, do_compression=True)
    return {path.name: path.read_bytes() for path in sorted(made.iterdir())}


def _furnish(folder: Path) -> None:
    """Make what the commands name: sharp and measured images, restorations, sweeps, odd files."""
    for name in ("good", "measured/blurred", "measured/kernels", "measured/truth", "files"):
        (folder / name).mkdir(parents=True)
    gray = np.rint(255 * _scene()[..., 0]).astype(np.uint8)
    for place in ("good/a.png", "measured/blurred/a.png", "measured/truth/a.png"):
        Image.fromarray(gray).save(folder / place)
    np.save(folder / "measured/kernels/a.npy", _kernel())
    np.save(folder / "files/a.npy", _scene()[..., 0])
    np.save(folder / "a.npy", _scene())
    (folder / "measured/measured.toml").write_text('noise = 0.01\nkernel_background = "clip"\n[truth]\nbits = 8\n')
    (folder / "sweep.toml").write_text('methods = "wiener"\ndataset = "folder:good"\nkernels = "sample"\nname = "s"\n')
    (folder / "deep.toml").write_text("a = " + "[" * 4000 + "]" * 4000)
    (folder / "binary.toml").write_bytes(b"\xff\xfe\x00a = 1")
    (folder / "bom.toml").write_bytes(b"\xef\xbb\xbfmethods = 'wiener'\ndataset = 'folder:good'")
    (folder / "huge.toml").write_text(f"limit = {'9' * 4000}")
    (folder / "mine.py").write_text("raise RuntimeError('told to fail')\n")
    with zipfile.ZipFile(folder / "measured.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.mat", b"x" * 900)
    (folder / "cut.zip").write_bytes((folder / "measured.zip").read_bytes()[:-30])
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    CliRunner().invoke(main, COMMANDS[0].split())  # so that other commands have a sweep to work on


def _mutated(random_: random.Random, content: bytes) -> bytes:
    """Return bytes with some of them changed, left out, repeated or cut off."""
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 2, 5, 20))):
        at = random_.randrange(len(data) + 1)
        # headers are where the harm is
        at = min(at, random_.choice((16, 64, 512, len(data))))
        kind = random_.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << random_.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = random_.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del data[at : at + random_.choice((1, 4, 100))]
        elif kind == 3:
            data[at:at] = data[max(0, at - 8) : at + 8]
        elif kind == 4:
            data[at : at + 4] = random_.choice(
                (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f")
            )
        else:
            del data[random_.randrange(len(data) + 1) :]
    return bytes(data)


def _reader(random_: random.Random, seeds: dict[str, bytes], folder: Path, tally: Tally) -> None:
    """Read a mutated file, now and then under the suffix of another kind."""
    name = random_.choice(list(seeds))
    suffix = Path(random_.choice(list(seeds)) if random_.random() < 0.1 else name).suffix
    path = folder / f"mutated{suffix}"
    path.write_bytes(_mutated(random_, seeds[name]))
    reader, check = random_.choice(READERS)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            fault = check(reader(path))
        end = "read"
    except NidbenchError as error:
        fault, end = "" if str(path) in str(error) else f"the message does not name the file: {error}", "refused"
    except Exception:  # noqa: BLE001 - which is what is looked for
        fault, end = traceback.format_exc(), "traceback"
    tally.ends[f"{reader.__name__}: {end}"] += 1
    if fault:
        tally.faults.append(f"{reader.__name__} of a mutated {name} as {suffix}: {fault}")


def _no_image(image: np.ndarray) -> str:
    whole = image.ndim == 3 and image.shape[0] in (1, 3) and min(image.shape[1:]) >= 11 and np.isfinite(image).all()
    return "" if whole else f"no image: {image.shape}"


def _no_kernel(kernel: np.ndarray) -> str:
    whole = kernel.ndim == 2 and kernel.min() >= 0 and abs(kernel.sum() - 1) < 1e-9
    return "" if whole else f"no kernel: {kernel.shape}, sum {kernel.sum()}"


def restored(path: Path) -> np.ndarray:
    """Read an image of any depth."""
    return read_pixels(path, RESTORED).image


READERS: tuple[tuple[Callable[[Path], object], Callable[..., str]], ...] = (
    (read_image, _no_image),
    (restored, _no_image),
    (read_kernel, _no_kernel),
    (sharp_shape, lambda shape: "" if len(shape) == 3 else f"no shape: {shape}"),
)


def _command(random_: random.Random, folder: Path, tally: Tally) -> None:
    """Call the command line with some words replaced, or files behind them mutated."""
    words = random_.choice(COMMANDS).split()
    replaceable = [at for at, word in enumerate(words) if at and not word.startswith("--")]
    values = [at for at in replaceable if words[at - 1] != "--output"]
    for at in random_.sample(values, min(len(values), random_.choice((0, 1, 1, 2)))):
        words[at] = random_.choice(HOSTILE)
    if random_.random() < 0.1:
        words.insert(random_.randrange(1, len(words) + 1), random_.choice(HOSTILE))
    _spoil(random_, folder)
    before = _held(folder / "out")
    result = CliRunner().invoke(main, words)
    kind = f"{words[0]}: exit code {result.exit_code}"
    tally.ends[kind] += 1
    shown = " ".join(word[:60] for word in words).encode(errors="backslashreplace").decode()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        shown_trace = "".join(traceback.format_exception(*result.exc_info))
        tally.faults.append(f"{shown}: {shown_trace}")
    elif result.exit_code not in (0, 1, 2) or "Traceback" in result.output:
        tally.faults.append(f"{shown}: exit code {result.exit_code}: {result.output[-300:]}")
    left = _held(folder / "out") - before
    if (result.exit_code == 2 and left) or any(name.endswith(".partial") for name in left):
        tally.faults.append(f"{shown}: refused, and left {sorted(left)}: {result.output[-300:]}")


def _held(output: Path) -> set[str]:
    """Return the files of a results folder but for those that say that it is one."""
    kept = {"nidbench.json", "lock", ".lock"}
    return {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file() and path.name not in kept}


def _spoil(random_: random.Random, folder: Path) -> None:
    """Write the files that commands read anew, one of them mutated now and then."""
    content = {
        "measured/measured.toml": b'noise = 0.01\nkernel_background = "clip"\n[truth]\nbits = 8\n',
        "sweep.toml": b'methods = "wiener"\ndataset = "folder:good"\nkernels = "sample"\nname = "s"\n',
    }
    content |= {name: (folder / "seeds" / seed).read_bytes() for name, seed in _SPOILT.items()}
    spoilt = random_.choice([*content, "", ""])
    for name, whole in content.items():
        (folder / name).write_bytes(_mutated(random_, whole) if name == spoilt else whole)


#: Files that commands read -> which of the whole files they are.
_SPOILT = {
    "good/a.png": "g.png",
    "measured/blurred/a.png": "g.png",
    "measured/truth/a.png": "g.png",
    "measured/kernels/a.npy": "k.npy",
    "files/a.npy": "f8.npy",
}


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    # what asks for more memory than that is a fault of its own, and not one of this machine
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        tally = fuzz(asked.calls, asked.seed, Path(folder))
    lines = [f"{count:6} {end}" for end, count in sorted(tally.ends.items())]
    lines += [f"FAULT {fault}" for fault in tally.faults]
    sys.stdout.write("\n".join([*lines, f"{sum(tally.ends.values())} calls, {len(tally.faults)} faults\n"]))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(_main())
