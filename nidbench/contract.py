"""The nouns that methods, datasets and the harness share: plain data, NumPy only.

A *method* is a frozen dataclass: its fields are its settings, `info` says who wrote it and which presets it has,
`restore` does the work. This is a whole one, and all there is to adding one:

>>> from dataclasses import dataclass
>>> from typing import ClassVar
>>> import torch
>>> from nidbench.contract import MethodInfo, Problem, Restored, Run
>>>
>>> @dataclass(frozen=True)
... class Landweber:
...     info: ClassVar[MethodInfo] = MethodInfo("Landweber iteration", year=1951)
...     iterations: int = 20  #: gradient steps
...
...     def restore(self, problem: Problem, run: Run) -> Restored:
...         operator = problem.operator(run.device)
...         x = operator.tapered
...         for _ in range(self.iterations):
...             x = x + operator.adjoint(operator.blurred - operator.blur(x))
...         return Restored(x.cpu().numpy(), iterations=self.iterations)

The harness hands it a problem, then checks, scores and stores what comes back:

>>> import numpy as np
>>> from nidbench.degrade import measure
>>> sharp = np.pad(np.ones((1, 24, 24)), ((0, 0), (12, 12), (12, 12)))
>>> problem = measure(sharp, np.full((5, 3), 1 / 15), "gaussian:0.01", key="doctest")
>>> problem.blurred.shape, problem.frame
((1, 44, 46), (48, 48))
>>> restored = check_restored(Landweber().restore(problem, Run(seed=0)), problem)
>>> start = problem.operator("cpu").tapered.numpy()
>>> bool(abs(restored.image - sharp).mean() < abs(start - sharp).mean())
True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from . import handed
from .errors import InputError, UnstableError
from .noise_level import estimate_noise_level
from .run import NEVER as NEVER
from .run import Clock as Clock
from .run import Image as Image
from .run import Run as Run

if TYPE_CHECKING:
    from .blur import Operator
    from .fetch import RemoteFile

Kernel: TypeAlias = NDArray[Any]
"""A blur kernel: Shape (kh, kw), float64, sum 1, to be used for *true* convolution."""

Setting: TypeAlias = "int | float | str | bool | None"
Settings: TypeAlias = Mapping[str, Setting]

_Array = TypeVar("_Array", bound=Any)


@dataclass(frozen=True)
class Noise:
    """What a method is told of the noise.

    Attributes:
        kind: `gaussian` or `poisson`.
        level: standard deviation on [0, 1] (gaussian) or photon count of intensity 1 (poisson); None where the level
            is not declared. A method cannot know whether a declared level is right.
    """

    kind: str
    level: float | None


_RESPONSE = re.compile(r"([a-z]+)(?::([\d.]+))?(?::(\d+)bit)?")
_RESPONSES = "identity, saturation or gamma:2.2, with :8bit after it where the camera rounds; saturation:1.5 has a gain"


@dataclass(frozen=True)
class Response:
    """The camera response g in y = g(k * x) + n, and how the camera stores y.

    Attributes:
        kind: `identity`, `gamma` (g(z) = z^(1/gamma), paper section 4.3.1) or `saturation` (g clips to [0, 1]).
        gamma: the exponent's inverse; 1 unless kind is `gamma`.
        gain: how many times as bright as its image a scene is, see `scene`; 1 unless kind is `saturation`.
        bits: after the noise, y is clipped to [0, 1] and rounded to so many bits; None where it is not. No part of g.
    """

    kind: str = "identity"
    gamma: float = 1.0
    gain: float = 1.0
    bits: int | None = None

    @classmethod
    def parse(cls, text: str) -> Response:
        """Read `identity`, `saturation`, `saturation:1.5` (with a gain) or `gamma:2.2`, and `:8bit` after any of them.

        Raises:
            InputError: for anything else.
        """
        match = _RESPONSE.fullmatch(text)
        if match is None:
            raise InputError(f"response {text!r}: use {_RESPONSES}")
        kind, value, bits = match.groups()
        gamma, gain = (value or 0, 1) if kind == "gamma" else (1, value or 1)
        try:
            return cls(kind, float(gamma), float(gain), int(bits) if bits else None)
        except ValueError as error:
            raise InputError(f"response {text!r} ({error}): use {_RESPONSES}") from error

    def __str__(self) -> str:
        value = f":{self.gamma!r}" if self.kind == "gamma" else f":{self.gain!r}" if self.gain != 1 else ""
        return self.kind + value + (f":{self.bits}bit" if self.bits else "")

    def __post_init__(self) -> None:
        if self.kind not in ("identity", "gamma", "saturation"):
            raise InputError(f"unknown response {self.kind!r}: use identity, gamma or saturation")
        if not 0 < self.gamma < 10:
            raise InputError(f"gamma {self.gamma} is not in (0, 10): typical cameras have 2.2")
        if not 1 <= self.gain <= (2 if self.kind == "saturation" else 1):
            raise InputError(f"gain {self.gain}: give 1 to 2 for saturation, 1 for any other response")
        if self.bits is not None and not 1 <= self.bits <= 16:
            raise InputError(f"{self.bits} bit are not in [1, 16]: typical files have 8")

    def scene(self, image: Image) -> Image:
        """Return the linear x, Shape (C, H, W), of an image in [0, 1] as this camera shows it: g(x) is that image.

        image^gamma for `gamma`; gain * image for `saturation`, whose g(x) is the image so much brighter, clipped.
        """
        if self.kind == "gamma":
            return np.asarray(image.clip(0, None) ** self.gamma)
        return image if self.gain == 1 else np.asarray(self.gain * image)

    def stored(self, y: Image) -> Image:
        """Return a measurement with its noise as the camera stores it, see `bits`."""
        if self.bits is None:
            return y
        top = 2**self.bits - 1
        return np.asarray(np.rint(y.clip(0, 1) * top) / top)

    def apply(self, z: _Array, floor: float = 0.0) -> _Array:
        """Return g(z) of a NumPy array or torch tensor of any shape; values below `floor` count as `floor`."""
        seen: _Array = z
        if self.kind == "gamma":
            seen = z.clip(floor, None) ** (1 / self.gamma)
        elif self.kind == "saturation":
            seen = z.clip(0.0, 1.0)
        return seen


#: Stands for the noise specification of what was measured, not made.
MEASURED = "measured"

#: The name within its set of a kernel that nobody knows.
UNKNOWN = "unknown"

#: The response of a camera that only adds noise.
IDENTITY = Response()


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a method is handed. The truth is not: methods are trusted to look for it nowhere else.

    Attributes:
        blurred: y, Shape (C, h, w), float32, nominally in [0, 1]; not clipped or quantised unless the response says so.
        kernel: k, Shape (kh, kw), float64, sums to 1, any size, square or not, odd or even, for true convolution.
        noise: kind and declared level of n.
        response: g.

    Raises:
        InputError: where an array breaks these rules.
    """

    blurred: Image
    kernel: Kernel
    noise: Noise
    response: Response = IDENTITY

    def __post_init__(self) -> None:
        shape = self.blurred.shape
        if self.blurred.dtype != np.float32 or len(shape) != 3 or shape[0] not in (1, 3) or 0 in shape:
            raise InputError(f"blurred is {self.blurred.dtype} of shape {shape}: give float32 of (1 or 3, h, w)")
        if not np.isfinite(self.blurred).all():
            raise InputError("blurred holds values that are not finite")
        check_kernel(self.kernel)
        if abs(self.kernel.sum() - 1) > 1e-6:
            raise InputError(f"kernel sums to {self.kernel.sum():.6g}, not to 1: divide it by its sum")

    @property
    def frame(self) -> tuple[int, int]:
        """(H, W) of x: y extended by (k-1)//2 before and k//2 after on each axis."""
        (_, h, w), (kh, kw) = self.blurred.shape, self.kernel.shape
        return h + kh - 1, w + kw - 1

    @property
    def valid(self) -> tuple[slice, slice]:
        """The rows and columns of x that y shows."""
        (_, h, w), (kh, kw) = self.blurred.shape, self.kernel.shape
        top, left = (kh - 1) // 2, (kw - 1) // 2
        return slice(top, top + h), slice(left, left + w)

    def sigma(self) -> float:
        """Return the standard deviation of the noise on [0, 1].

        The declared level of Gaussian noise; for a declared Poisson peak its root mean square, sqrt(mean y / peak);
        where nothing is declared the estimate of Chen, Zhu & Heng (ICCV 2015), as in paper sections 4.1 and 4.2.3.
        """
        level = self.noise.level
        if level is None:
            return self.estimated_sigma()
        if self.noise.kind == "poisson":
            return float(np.sqrt(max(self.blurred.mean(dtype=np.float64), 0.0) / level))
        return level

    def estimated_sigma(self) -> float:
        """Return the noise level estimated from y alone, whatever is declared (Chen, Zhu & Heng 2015)."""
        return estimate_noise_level(self.blurred)

    def operator(self, device: str = "cpu") -> Operator:
        """Return x -> g(k * x) with its adjoint, transfer function and edge-tapered input, on a torch device."""
        from .blur import Operator

        return Operator(self.blurred, self.kernel, self.response.apply, device)


def check_kernel(kernel: Kernel) -> None:
    """Refuse what is not a kernel.

    Raises:
        InputError: not two-dimensional, empty, not finite, all zero, or with a sum that is not positive.
    """
    if kernel.ndim != 2 or 0 in kernel.shape:
        raise InputError(f"kernel has shape {kernel.shape}: give two dimensions (kh, kw), for gray kernels only")
    if not np.isfinite(kernel).all():
        raise InputError("kernel holds values that are not finite: give real numbers, at least one of them positive")
    if not kernel.any():
        raise InputError("kernel is zero everywhere: give one with a positive sum")
    with np.errstate(over="ignore"):
        total = kernel.sum(dtype=np.float64)
    if not 0 < total < np.inf:
        raise InputError(f"kernel sums to {total:.4g}: give one with a positive sum that is finite")


def normalised(kernel: NDArray[Any]) -> Kernel:
    """Return the kernel as float64 with sum 1, refusing what `check_kernel` refuses."""
    kernel = np.asarray(kernel, dtype=np.float64)
    check_kernel(kernel)
    unit: Kernel = kernel / kernel.sum()
    return unit


@dataclass(frozen=True, eq=False)
class Truth:
    """A sharp image to compare with.

    Attributes:
        image: Shape (C, H', W'), in [0, 1].
        offset: row and column of its first pixel in the frame of x (may be negative: a truth larger than that frame).
        encoded: True where it is display-encoded, so that the response applies to x before comparing.
        taps: rows and columns of the true kernel, where methods are told another: what is scored never depends on what
            they are told. None where they are told the true one.
    """

    image: Image
    offset: tuple[int, int] = (0, 0)
    encoded: bool = False
    taps: tuple[int, int] | None = None

    def moved(self, rows: int, columns: int, taps: tuple[int, int] | None = None) -> Truth:
        """Return the truth with its offset changed by so many rows and columns, and with `taps` where given."""
        return replace(self, offset=(self.offset[0] + rows, self.offset[1] + columns), taps=taps or self.taps)


class StoredTruth(Truth):
    """A truth that is read anew at every look: hundreds of frames for one measurement would fill the memory.

    Args:
        read: makes the image, Shape (C, H', W'), in [0, 1].
        offset, encoded, taps: as of `Truth`.
    """

    _read: Callable[[], Image]

    def __init__(
        self,
        read: Callable[[], Image],
        offset: tuple[int, int] = (0, 0),
        encoded: bool = False,
        taps: tuple[int, int] | None = None,
    ) -> None:
        for name, value in (("_read", read), ("offset", offset), ("encoded", encoded), ("taps", taps)):
            object.__setattr__(self, name, value)

    @property
    def image(self) -> Image:
        """Read the image."""
        return self._read()

    def moved(self, rows: int, columns: int, taps: tuple[int, int] | None = None) -> Truth:
        """Return the truth with its offset changed, and with `taps` where given, still unread."""
        place = self.offset[0] + rows, self.offset[1] + columns
        return StoredTruth(self._read, place, self.encoded, taps or self.taps)


@dataclass(frozen=True)
class CaseKey:
    """Which measurement: the names that also key its noise generator.

    Attributes:
        dataset, image, kernel: names; the kernel's with its set, as in `levin/4`.
        noise: as on the command line, `gaussian:0.05`, with `+gamma:2.2` after it for a response other than the
            dataset's own; `measured` where the blurred image is given.
        noise_seed: which draw of the noise.
    """

    dataset: str
    image: str
    kernel: str
    noise: str
    noise_seed: int = 0

    def __str__(self) -> str:
        return f"{self.dataset}/{self.image} {self.kernel} {self.noise} #{self.noise_seed}"


@dataclass(frozen=True, eq=False)
class Case:
    """A Problem with its identity and its truth, both made only when asked for.

    Attributes:
        key: which measurement.
        image_hash, kernel_hash: SHA-256 of the sharp x (where the blurred image is given: of that and of what is
            known of its noise) and of the kernel.
        declared: what the method is told of the noise level: `known`, `estimated` or a factor such as `x1.2`.
        response: g.
        problem: makes the measurement; the same bytes at every call, in every process.
        truths: none, one or many sharp images.
        truth_hash: makes the SHA-256 of what is scored against: of the sharp images and their places; empty for none.
        shape: of x, (C, H, W), for estimates of cost.
        notice: what tables should say of the data, such as that there is no truth and how to get it.
    """

    key: CaseKey
    image_hash: str
    kernel_hash: str
    declared: str
    response: Response
    problem: Callable[[], Problem]
    truths: Callable[[], Sequence[Truth]]
    truth_hash: Callable[[], str]
    shape: tuple[int, int, int]
    notice: str = ""


@dataclass(frozen=True, eq=False)
class Restored:
    """What a method found.

    Attributes:
        image: x, Shape (C, H, W) in the frame of x, linear (before g), nominally in [0, 1]; the harness clips.
        variance: pixel variance of the estimate, same shape, or None.
        iterations: steps done, 0 for a closed form.
        stopped: why it ended: `closed form`, `iterations`, `noise level`, ...
        details: what else is worth keeping, as JSON-able values.
    """

    image: Image
    variance: Image | None = None
    iterations: int = 0
    stopped: str = "iterations"
    details: Mapping[str, Any] = field(default_factory=dict)


def check_restored(restored: Restored, problem: Problem) -> Restored:
    """Return a method's answer as float32, or refuse it: the one place where the contract is enforced.

    Each of its attributes is looked at once, so that one that is computed is what was checked. NumPy's numbers in
    `iterations` and `details` become Python's, text becomes printable.

    Raises:
        TypeError: where it is no `Restored`, or holds no NumPy arrays of floats, or details that JSON does not know.
        ValueError: where an array has not the frame of x, or a number is out of range.
        UnstableError: where it holds values that are not finite.
    """
    if not isinstance(restored, Restored):
        raise TypeError(f"restore returned {type(restored).__name__}: return a nidbench.contract.Restored")
    shape = problem.blurred.shape[0], *problem.frame
    given = restored.variance
    stopped = restored.stopped
    if not isinstance(stopped, str):
        raise TypeError(f"stopped is {type(stopped).__name__}: give a few words, such as 'iterations'")
    return Restored(
        _finite("image", restored.image, shape),
        None if given is None else _finite("variance", given, shape),
        handed.whole("iterations", restored.iterations),
        handed.text(stopped, handed.LONGEST_NAME),
        handed.details(restored.details),
    )


def _finite(name: str, value: object, shape: tuple[int, ...]) -> Image:
    array = handed.floats(name, value, shape)
    finite = np.isfinite(array)
    if not finite.all():
        raise UnstableError(f"{name} holds {np.count_nonzero(~finite)} values that are not finite")
    return array


@dataclass(frozen=True)
class MethodInfo:
    """Who made a method, and the names under which its settings are known.

    Attributes:
        title: the name in the literature.
        year: of publication.
        paper: citation.
        licence: of the authors' code or weights, where they bind users.
        version: raise it when a change alters results; it is part of every cell's id.
        presets: name -> settings that differ from the defaults. Well-known names: `paper` (as the paper describes it),
            `released` (as its authors' code does it), `fast` (same estimator, less compute), `smoke` (seconds).
        variants: name -> settings on top of a preset, for ablations.
        reconstructed: True where no authors' code exists to check against; tables say so.
        notice: what binds whoever uses the method; `run` says it before it computes anything, and tables repeat it.
        tuned_on: preset (`default` where there are none) -> images on which its settings were chosen by their score. As
            `set12/02, 04` where they are images of a dataset: `run` and tables then say it, too.
    """

    title: str
    year: int | None = None
    paper: str = ""
    licence: str = ""
    version: int = 1
    presets: Mapping[str, Settings] = field(default_factory=dict)
    variants: Mapping[str, Settings] = field(default_factory=dict)
    reconstructed: bool = False
    notice: str = ""
    tuned_on: Mapping[str, str] = field(default_factory=dict)


class Method(Protocol):
    """A frozen dataclass of settings that restores an image. See the module's example."""

    info: ClassVar[MethodInfo]

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the restoration of one problem, using only what `problem` and `run` hold."""
        ...


@runtime_checkable
class BatchMethod(Protocol):
    """A method that gains from fitting several problems side by side, of which `restore` is the N = 1 case."""

    info: ClassVar[MethodInfo]

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the restoration of one problem."""
        ...

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Return one outcome for each problem (same channels and frame), each as if it were alone.

        A problem that fails yields its exception and leaves the others as they are.
        """
        ...


@runtime_checkable
class NeedsFiles(Protocol):
    """A method that rests on files from elsewhere, such as weights: it adds this to what `Method` asks for.

    The harness fetches them before anything is computed, and `nidbench data` knows the method's name. `restore` finds
    them with `nidbench.fetch.get`, which then reads the cache only.
    """

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the files to fetch, whatever the settings."""
        ...


@runtime_checkable
class StopsItself(Protocol):
    """A method that may end before the iterations that it plans (`Run.progress`) adds this to what `Method` asks for.

    What a short pilot tells of its cost is then the most that it can be, and the harness says so.
    """

    def stops_itself(self) -> bool:
        """Return whether a rule may end a run early under these settings."""
        ...


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset is and which experiment it stands for.

    Attributes:
        title: the name in the literature.
        kernels: default kernel set.
        noises: default noise specifications.
        source, licence: where the images come from and on what terms.
        response: of the camera, as `identity` or `gamma:2.2`; sharp images are as it shows them, see `Response.scene`.
    """

    title: str
    kernels: str
    noises: tuple[str, ...]
    source: str = ""
    licence: str = ""
    response: str = "identity"


class Dataset(Protocol):
    """Sharp images by name."""

    info: ClassVar[DatasetInfo]

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to fetch, none for data that ships."""
        ...

    def names(self) -> Sequence[str]:
        """Return the images' names in the order of the literature, without loading one."""
        ...

    def load(self, name: str) -> Image:
        """Return a sharp image, Shape (C, H, W), float64 in [0, 1]."""
        ...


@runtime_checkable
class Noticed(Protocol):
    """A dataset that whoever uses it has to know something of adds this; `MeasuredDataset` has it."""

    def notice(self, names: Sequence[str]) -> str:
        """Return what there is to know of these images, for the run's output and the notes of its tables."""
        ...


@runtime_checkable
class MeasuredDataset(Protocol):
    """Blurred images that are given, not made, with their kernels and, where there are any, sharp images.

    Its `info.kernels` is the name of its own kernels, its `info.noises` is `(MEASURED,)`.
    """

    info: ClassVar[DatasetInfo]

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to fetch, none for data that is at hand."""
        ...

    def names(self) -> Sequence[str]:
        """Return the images' names in the order of the literature, without loading one."""
        ...

    def kernels(self, name: str) -> Sequence[str]:
        """Return the kernels that an image was blurred by, as `set/name`, without loading one.

        Where nobody knows the kernel this is `set/unknown` (`UNKNOWN`): `measured` then has one pixel for it, and only
        a kernel error that `replaces` it makes the image usable.
        """
        ...

    def notice(self, names: Sequence[str]) -> str:
        """Return what whoever uses these images has to know, such as that they have no truth and how to get it.

        Nothing where there is nothing to know. What a person provided is checked here, before anything is computed.

        Raises:
            DataError: where it is not what it should be.
        """
        ...

    def measured(self, name: str, kernel: str) -> Problem:
        """Return an image as one of its kernels blurred it, with what is known of the noise; the same at every call.

        The level of the noise is None where nobody knows it.
        """
        ...

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp images to compare with: none, one or many, of which the best match counts.

        Offsets count from the first pixel of the frame of x: a truth that shows what y shows has those of
        `Problem.valid`.
        """
        ...


@runtime_checkable
class KnownTruths(Protocol):
    """A dataset of blurred images whose sharp ones are known by a hash without reading them all adds this."""

    def truth_hash(self, name: str, kernel: str) -> str:
        """Return a hash that changes wherever `truths` would; empty where there are none."""
        ...


@runtime_checkable
class FilesByHand(Protocol):
    """A dataset some of whose files only a person can get adds this. It works without them, with less to tell.

    `nidbench data` names them, takes them and verifies them. What is there and is not as listed, `notice` refuses.
    """

    def by_hand(self) -> Sequence[RemoteFile]:
        """Return these files."""
        ...


class KernelSet(Protocol):
    """Blur kernels by name."""

    info: ClassVar[KernelSetInfo]

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to fetch, none for kernels made by formula."""
        ...

    def names(self) -> Sequence[str]:
        """Return the kernels' names in the order of the literature."""
        ...

    def load(self, name: str) -> Kernel:
        """Return a kernel in the orientation for true convolution, Shape (kh, kw), sum 1."""
        ...


@runtime_checkable
class Labelled(Protocol):
    """What is made from `name:ARGUMENT` on the command line adds this: its class is called with the argument.

    Attributes:
        argument: what the argument is, for messages: `PATH`.
        label: stands for it in keys and tables, and so keys noise: without `/`, the same wherever the data lies.
    """

    argument: ClassVar[str]

    @property
    def label(self) -> str:
        """Return the label."""
        ...


class KernelError(Labelled, Protocol):
    """How the kernel that methods are told differs from the one that blurred.

    Attributes:
        replaces: True where it takes nothing from the one that blurred, which then may be `UNKNOWN`; may be left out.
    """

    def told(self, kernel: Kernel, image: str, name: str) -> Kernel:
        """Return the kernel told, of any size, for true convolution, with its origin at k//2; the same at every call.

        Args:
            kernel: the one that blurs, Shape (kh, kw), sum 1.
            image: name of the image, without its crop.
            name: of the kernel, with its set, as `levin/4`.
        """
        ...


@dataclass(frozen=True)
class KernelSetInfo:
    """What a kernel set is.

    Attributes:
        title: the name in the literature.
        source, licence: where it comes from and on what terms.
        noises: kernel name -> the noise bound to it, for sets of scenarios; empty otherwise.
    """

    title: str
    source: str = ""
    licence: str = ""
    noises: Mapping[str, str] = field(default_factory=dict)
