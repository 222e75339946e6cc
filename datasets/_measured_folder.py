"""Blurred images of one's own, with their kernels and, where there are any, sharp images: a folder of files.

PATH/blurred/NAME.png            gray or RGB, also .tif, .bmp, .jpg, and arrays, .npy, .npz, .mat
PATH/kernels/NAME.png            or .tif, .bmp, .npy, .npz, .mat; a single file serves all images
PATH/truth/NAME.png              optional, likewise: of the blurred image's size, or of that with its kernel's reach
PATH/measured.toml               optional: what is known of the camera

    noise = 0.01                 # standard deviation on [0, 1]; without it, methods estimate it
    response = "gamma:2.2"       # or "identity" (the default), "saturation"; "gamma:2.2:8bit" where it is rounded
    kernels = "convolution"      # the default; "correlation" for kernels to be turned by 180 degrees
    kernel_background = "none"   # the default; "border" takes the level of its border off each kernel, and then what is
                                 # within the noise of the border; "clip" what is negative; "keep" nothing, of
                                 # kernels that are taken for what they are not
    bits = 12                    # of the camera, whose integers are stored in a deeper type; or
    scale = 4095                 # the value of intensity 1, whatever the type

    [truth]                      # where sharp images differ in that from blurred ones, [blurred]
    scale = 1

Files of one name belong together. Of integers of 8 bit 255 is intensity 1; of 16 bit 65535 is, unless `bits` or `scale`
says something else; real numbers are on [0, 1]; others need `scale`. With kernels of even size, the origin is k//2, and
(k-1)//2 of those for correlation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from unicodedata import normalize

from nidbench.contract import IDENTITY, MEASURED, DatasetInfo, Image, Problem, Response, Truth
from nidbench.errors import DataError, InputError, UnknownNameError, lacking, unknown
from nidbench.files.remote import RemoteFile
from nidbench.images import (
    ARRAY_SUFFIXES,
    BACKGROUNDS,
    BLURRED,
    IMAGE_SUFFIXES,
    JPEG_SUFFIXES,
    KERNEL_SUFFIXES,
    SHARP,
    Background,
    Reading,
    Units,
    contradiction,
    frames_note,
    kernel_notice,
    lossy_notice,
    other_contrast,
    other_level,
    other_mean,
    read_kernel,
    read_pixels,
    sharp_shape,
    unlike,
    unread_note,
)
from nidbench.system.toml_file import read_toml

from ._measured import FRAMES_APART, first_of, given, offset_of, truth_of

_SUFFIXES = (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
_SAID = "{name} = {value} in measured.toml"
_UNSAID = Units(key=_SAID)
_LAYOUT = "put blurred images into blurred/, kernels of the same names (or a single one) into kernels/"
_EVEN = (
    "kernels of even size have their origin at k//2, as in MATLAB's conv2(x, k, 'same'), and the truth is taken to "
    "show what the blurred image shows; made by scipy's mode 'same' it is a pixel off"
)


def _background_said(word: str) -> str:
    """Return how a person says what to do about the background of a kernel; a kernel cannot be moved here."""
    return "" if word == "centred" else f'write kernel_background = "{word}" into measured.toml'


@dataclass(frozen=True)
class _Camera:
    """What `measured.toml` says.

    Attributes:
        noise: standard deviation on [0, 1], or None.
        response: of the camera.
        turned: whether kernels are for correlation.
        background: what is taken off kernels.
        blurred, truth: what the values of the files mean.
    """

    noise: float | None = None
    response: Response = IDENTITY
    turned: bool = False
    background: Background = "none"
    blurred: Units = _UNSAID
    truth: Units = _UNSAID


class MeasuredFolder:
    """The blurred images of a folder: names are those of the files, without suffix.

    Args:
        path: the folder, with `blurred` and `kernels` in it.
    """

    info: ClassVar[DatasetInfo] = DatasetInfo(
        "Folder of blurred images", kernels="folder", noises=(MEASURED,), source="files of one's own"
    )

    argument: ClassVar[str] = "PATH"

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def label(self) -> str:
        """Return the folder's name."""
        return self._path.resolve().name

    @staticmethod
    def fits(path: Path) -> bool:
        """Return whether a folder holds blurred images, rather than sharp ones."""
        return (path / "blurred").is_dir()

    def files(self) -> Sequence[RemoteFile]:
        """Return no file: they are at hand."""
        return []

    def names(self) -> Sequence[str]:
        """Return the blurred images' names, sorted.

        Raises:
            DataError: where there are none, or two of one name.
        """
        return list(self._blurred)

    def kernels(self, name: str) -> Sequence[str]:
        """Return the kernel of an image: that of its name, or the only one.

        Raises:
            UnknownNameError: for a name that is not among `names()`.
            DataError: where it has none.
        """
        return [f"folder/{self._kernel_file(name).stem}"]

    def notice(self, names: Sequence[str]) -> str:
        """Return how many of these images have no sharp one, and what was taken for granted of their files.

        Raises:
            InputError: where a file cannot be read, or an image and its truth are on different scales.
        """
        lacking = [name for name in names if name not in self._sharp]
        lines = [f"no scores for {len(lacking)} of {len(names)} images: they have no sharp image in truth"] * bool(
            lacking
        )
        said: dict[str, list[str]] = {}
        for name in names:
            for about, what in self._assumptions(name):
                said.setdefault(about, []).append(what)
        unread = (
            f"{folder.name}: {note}"
            for folder in (self._path / "blurred", self._path / "truth")
            if folder.is_dir() and (note := unread_note(folder.iterdir()))
        )
        return "; ".join([*lines, *(f"{about}: {first_of(whats)}" for about, whats in said.items()), *unread])

    def _assumptions(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield what was taken for granted of an image's files: of what kind, and of which file."""
        blurred = self._read_blurred(name)
        problem = self._problem(name, blurred.image)
        if blurred.assumed:
            yield "range of the blurred images", f"{self._blurred[name].name} has {blurred.assumed}"
        if blurred.may_be_frames:
            yield "colours of the blurred images", frames_note(self._blurred[name].name, FRAMES_APART)
        if problem.noise.level is None and self._blurred[name].suffix.lower() in JPEG_SUFFIXES:
            hides = "JPEG hides noise, so that it is estimated too low: write noise = 0.01, where you know it, into"
            yield "noise", f"{self._blurred[name].name}: {hides} measured.toml"
        kernel = self._kernel_file(name)
        if off := kernel_notice(problem.kernel, say=_background_said):
            yield "kernels", f"{kernel.name} {off}"
        if lossy := lossy_notice(kernel):
            yield "kernels", f"{kernel.name} {lossy}"
        if name not in self._sharp:
            return
        sharp, rows = self._read_sharp(name), problem.valid
        if sharp.assumed:
            yield "range of the sharp images", f"{self._sharp[name].name} has {sharp.assumed}"
        of_y = sharp.image.shape == problem.blurred.shape
        shown = sharp.image if of_y else sharp.image[:, *rows]
        if shown.shape == problem.blurred.shape and (fitting := unlike(shown, problem.blurred)):
            raise InputError(
                f"{self._sharp[name]} and {self._blurred[name]}, of which it is the truth, are not on one scale: the "
                f"blurred image is {fitting}: say scale or bits under [truth] or [blurred] in measured.toml"
            )
        other = other_mean(shown, problem.blurred) if shown.shape == problem.blurred.shape else ""
        if other:
            yield "brightness", f"{self._sharp[name].name} has {other}"
        if sharp.image.shape in (problem.blurred.shape, problem.shape):  # else it is refused
            truth = truth_of(problem, sharp.image, encoded=problem.response.kind == "gamma")
            linear = problem.response.scene(truth.image) if truth.encoded else truth.image
            if not other and (contrast := other_contrast(problem, linear, truth.offset)):
                yield "contrast", f"{self._sharp[name].name} has {contrast}"
            elif not other and (level := other_level(problem, linear, truth.offset)):
                yield "brightness", f"{self._sharp[name].name} has {level}"
            if contradicts := contradiction(problem, linear, truth.offset):
                yield "blurred images and their truths", f"{self._blurred[name].name}: {contradicts}"
        if of_y and any(side % 2 == 0 for side in problem.kernel.shape):
            yield _EVEN, f"{kernel.name} has {problem.kernel.shape[0]}x{problem.kernel.shape[1]}"

    def measured(self, name: str, kernel: str) -> Problem:
        """Return a blurred image, Shape (1 or 3, h, w).

        Raises:
            UnknownNameError: for an unknown image or kernel.
            InputError: where a file is not an image or not a kernel, or the sharp image does not fit the blurred one.
            DataError: where the image has no kernel.
        """
        if kernel not in self.kernels(name):
            raise UnknownNameError(f"{self._path}: {name} has no kernel {kernel!r}: use {self.kernels(name)[0]}")
        problem = self._problem(name, self._read_blurred(name).image)
        if name in self._sharp:  # found out now, when a run is planned, not when its scores are due
            with self._about_truth(name):
                offset_of(problem, sharp_shape(self._sharp[name]))
        return problem

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp image of the same name, in the encoding of the blurred one; none where there is none.

        Raises:
            InputError: where it does not fit the blurred image.
        """
        problem = self.measured(name, kernel)
        if name not in self._sharp:
            return []
        with self._about_truth(name):
            return [truth_of(problem, self._read_sharp(name).image, encoded=problem.response.kind == "gamma")]

    def _problem(self, name: str, blurred: Image) -> Problem:
        camera = self._camera
        weights = read_kernel(self._kernel_file(name), camera.background, say=_background_said)
        turned = weights[::-1, ::-1] if camera.turned else weights
        return given(blurred, turned, camera.noise, camera.response)

    def _read_blurred(self, name: str) -> Reading:
        return read_pixels(self._blurred[name], BLURRED, self._camera.blurred)

    def _read_sharp(self, name: str) -> Reading:
        return read_pixels(self._sharp[name], SHARP, self._camera.truth)

    @contextmanager
    def _about_truth(self, name: str) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            raise InputError(f"{self._sharp[name]}, the truth of {self._blurred[name]}: {error}") from error

    @cached_property
    def _given(self) -> Mapping[str, Path]:
        """The blurred images by name, whether their truths have owners or not."""
        return _by_name(self._path / "blurred", _SUFFIXES)

    @cached_property
    def _blurred(self) -> Mapping[str, Path]:
        found = self._given
        if not found:
            raise DataError(f"{self._path / 'blurred'} holds no image ({', '.join(_SUFFIXES)}): {_LAYOUT}")
        strays = [name for name in self._sharp if name not in found]
        if strays:
            raise DataError(
                f"{self._sharp[strays[0]]} is the truth of no image in {self._path / 'blurred'}: give both the same "
                "name, or remove it"
            )
        return found

    @cached_property
    def _sharp(self) -> Mapping[str, Path]:
        return _by_name(self._path / "truth", _SUFFIXES, self._given)

    @cached_property
    def _kernels(self) -> Mapping[str, Path]:
        folder, formats = self._path / "kernels", ", ".join(KERNEL_SUFFIXES)
        found = _by_name(folder, KERNEL_SUFFIXES, self._given)
        if not found:
            raise DataError(f"{folder} holds no kernel ({formats}): {_LAYOUT}")
        for path in sorted(set(folder.iterdir()) - set(found.values())):
            # another image's kernel would take its place
            owner = next(
                (name for name in self._blurred if path.name == name or path.name.startswith(f"{name}.")), None
            )
            if owner is not None and owner not in found:
                raise DataError(
                    f"{path} has the name of {self._blurred[owner]} and is no kernel file ({formats}): save the kernel "
                    "as one of these, or rename what is none"
                )
        return found

    def _kernel_file(self, name: str) -> Path:
        if name not in self._blurred:
            raise UnknownNameError(lacking(str(self._path), "image", name, self._blurred))
        if name not in self._kernels and len(self._kernels) > 1:
            raise DataError(
                f"{self._blurred[name]} has no kernel of its name in {self._path / 'kernels'}, which has "
                f"{', '.join(self._kernels)}: {_LAYOUT}"
            )
        return self._kernels.get(name) or next(iter(self._kernels.values()))

    @cached_property
    def _camera(self) -> _Camera:
        return _read_camera(self._path / "measured.toml")


def _by_name(folder: Path, suffixes: Sequence[str], partners: Iterable[str] = ()) -> dict[str, Path]:
    """Return the files of a folder by their names without suffix, sorted; none where there is no such folder.

    Args:
        folder: the folder.
        suffixes: of the files.
        partners: names that theirs are to be found under, also where accents are written otherwise, as by macOS.

    Raises:
        DataError: where two files have one name, or one a name that cannot be printed.
    """
    found: dict[str, Path] = {}
    written = {normalize("NFC", name): name for name in partners}
    written |= {name: name for name in partners}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if not path.name.isprintable():
                raise DataError(f"{folder} has {path.name!r}, a name that tables cannot show: rename it")
            name = written.get(path.stem) or written.get(normalize("NFC", path.stem), path.stem)
            if name in found:
                raise DataError(f"{folder} has {found[name].name} and {path.name}: remove one of the two")
            found[name] = path
    return found


#: Suffixes of files in which people say things.
_TEXTS = (".toml", ".txt", ".yaml", ".yml", ".json", ".ini", ".cfg")

_KEYS = ("noise", "response", "kernels", "kernel_background", "scale", "bits", "blurred", "truth")


def _read_camera(path: Path) -> _Camera:
    """Read `measured.toml`, if it is there.

    Raises:
        InputError: naming the key, its rule and what to write.
    """
    if not (path.is_symlink() or path.exists()):
        _check_names(path)
        return _Camera()
    content = read_toml(path)
    if others := set(content) - set(_KEYS):
        raise InputError(f"{path}: {unknown('key', min(others), _KEYS)}")
    noise, way = content.get("noise"), content.get("kernels", "convolution")
    if noise is not None and not (type(noise) in (int, float) and 0 <= noise <= 1):
        raise InputError(f"{path}: noise = {noise!r}: give its standard deviation on [0, 1], such as 0.01")
    if way not in ("convolution", "correlation"):
        raise InputError(f'{path}: kernels = {way!r}: write "convolution" or "correlation"')
    background = content.get("kernel_background", "none")
    if background not in BACKGROUNDS:
        raise InputError(f"{path}: kernel_background = {background!r}: write one of {', '.join(BACKGROUNDS)}")
    try:
        response = Response.parse(str(content.get("response", IDENTITY)))
        units = [_read_units(content, kind) for kind in ("blurred", "truth")]
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return _Camera(None if noise is None else float(noise), response, way == "correlation", background, *units)


def _check_names(path: Path) -> None:
    """Refuse a file that says what `measured.toml` is to say, under another name: it would not be heeded.

    Raises:
        InputError: naming it.
    """
    for other in sorted(path.parent.iterdir()):
        if other.name.lower().startswith("measured.") and other.suffix.lower() in _TEXTS:
            raise InputError(
                f"{other} is not read: name it {path.name}, with lines such as noise = 0.01, or move it elsewhere"
            )


def _read_units(content: Mapping[str, Any], kind: str) -> Units:
    """Return what is said of the values of blurred or sharp images: under their name, else for both.

    Raises:
        InputError: for another key or value.
    """
    own = content.get(kind, {})
    if not isinstance(own, dict) or set(own) - {"scale", "bits"}:
        raise InputError(f"{kind} = {own!r}: write [{kind}] with scale or bits below it")
    said = own or {key: content[key] for key in ("scale", "bits") if key in content}
    for key, value in said.items():
        if type(value) is not int and not (key == "scale" and type(value) is float):
            raise InputError(f"{key} = {value!r}: give a number, such as {'4095' if key == 'scale' else '12'}")
    return Units(said.get("scale"), said.get("bits"), _SAID)
