"""Images and kernels from files, read the same way for every dataset, or refused with a reason."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .contract import Kernel, normalised
from .errors import InputError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

#: One SSIM window in pixels: a smaller image cannot be scored.
SMALLEST_SIDE = 11

_WAY_OUT = "convert it to 8-bit gray or RGB without alpha"

#: Where arrays are read, too.
_DEEP_WAY_OUT = f"{_WAY_OUT}, or save its values as an array, .npy or .mat"

#: How the names of image files end.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

#: How the names of kernel files end: arrays lose nothing, pictures are rounded.
KERNEL_SUFFIXES = (".mat", ".npy", ".png", ".tif", ".tiff", ".bmp")

#: Names of kernels in MATLAB files that hold several matrices, by preference.
_KERNELS = ("kernel", "ker", "k", "psf", "f", "h")

#: How the names of files end that hold arrays.
ARRAY_SUFFIXES = (".mat", ".npy")

#: Names of images in MATLAB files that hold several matrices, by preference.
_RESTORED = ("x", "image", "img", "im", "deblurred", "restored", "output", "result")
_SHARP = ("x", "sharp", "truth", "gt", "image", "img", "im")
_BLURRED = ("y", "blurred", "blurry", "blur", "image", "img", "im")

#: A median that no image on [0, 1] has, but nearly every one on [0, 255].
_BEYOND = 1.5

_ARRAY_WAY_OUT = "give (H, W) or (H, W, 3) as 8-bit or 16-bit integers, or as real numbers on [0, 1]"

_KERNEL_WAY_OUT = f"give a gray picture or a two-dimensional array, {', '.join(KERNEL_SUFFIXES)}"

#: Side in pixels from which a kernel's border is looked at: small kernels may well be cut off where they are not zero.
_LARGE = 16

#: Share of its mean weight that a kernel's border may have on all four sides. Kernels that are cut out with no margin
#: touch some of the sides, in a few pixels: of those of the datasets, the most is 4e-12. Of photographs most have more.
_BORDER = 0.25


def read_image(path: Path, way_out: str = _WAY_OUT) -> NDArray[np.float64]:
    """Return an 8-bit gray or RGB image file as it is stored: not linearised, turned or converted.

    Args:
        path: PNG, or another format that Pillow reads.
        way_out: what is said to do with one of another kind.

    Returns:
        Shape (C, H, W), C = 1 (gray) or 3 (colour), float64, multiples of 1/255 in [0, 1].

    Raises:
        InputError: not an image, cut off, more than 8 bit, palette, alpha, black-and-white, another colour space, or
            smaller than 11 pixels a side.
    """
    with _picture(path, way_out) as file:
        pixels = np.asarray(file)
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)) / 255


@contextmanager
def _picture(path: Path, way_out: str) -> Iterator[ImageFile]:
    """Lend an image file of which the header was read, or refuse it; errors as of `read_image`."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            if fault := _fault(file):
                raise InputError(f"{path} {fault}: {way_out}")
            if min(file.size) < SMALLEST_SIDE:
                size = f"{file.height}x{file.width}"
                raise InputError(f"{path} is {size} pixels: use an image of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}")
            yield file
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's for broken files
        raise InputError(f"{path} cannot be read as an image ({error}): give an 8-bit gray or RGB PNG") from error


def _fault(file: ImageFile) -> str | None:
    """Return what keeps an image from being read without loss, or None."""
    # Pillow opens 16-bit colour as 8-bit RGB without a word: only the raw mode of its data tells
    if file.mode.startswith(("I", "F")) or ";16" in str(file.tile):
        return f"has more than 8 bit a channel (mode {file.mode})"
    if file.mode in ("P", "PA"):
        return "has a palette"
    if file.mode.endswith(("A", "a")) or "transparency" in file.info:
        return f"has an alpha channel or a transparent colour (mode {file.mode})"
    return None if file.mode in ("L", "RGB") else f"is of mode {file.mode}, not gray (L) or RGB"


def read_restored(path: Path) -> NDArray[np.float64]:
    """Return a restored image: an image file as `read_image`, or an array as computed, which is not rounded.

    Args:
        path: a picture, a NumPy array, or a MATLAB file before v7.3 whose only matrix it is, or where it is named `x`,
            `image`, `img`, `im`, `deblurred`, `restored`, `output` or `result`. Arrays have shape (H, W) or (H, W, 3);
            integers are 8 bit or 16, real numbers on [0, 1] and a little beyond.

    Returns:
        Shape (C, H, W), float64, nominally in [0, 1].

    Raises:
        InputError: where it cannot be read or is not an image.
    """
    return _read_pixels(path, _RESTORED)


def read_blurred(path: Path) -> NDArray[np.float64]:
    """Return a blurred image as `read_restored` does; MATLAB files name it `y`, `blurred`, `blurry` or `blur`."""
    return _read_pixels(path, _BLURRED)


def read_sharp(path: Path) -> NDArray[np.float64]:
    """Return a sharp image as `read_restored` does; MATLAB files name it `x`, `sharp`, `truth` or `gt`."""
    return _read_pixels(path, _SHARP)


def sharp_shape(path: Path) -> tuple[int, int, int]:
    """Return the shape (C, H, W) that `read_sharp` returns: of a picture without reading its pixels."""
    if path.suffix.lower() in ARRAY_SUFFIXES:
        channels, height, width = read_sharp(path).shape
        return channels, height, width
    with _picture(path, _DEEP_WAY_OUT) as file:
        return len(file.getbands()), file.height, file.width


def _read_pixels(path: Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Return an image file or an array; `names` are those of it in a MATLAB file with several matrices."""
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        return read_image(path, _DEEP_WAY_OUT)
    try:
        return _channels_first(_stored(path, names))
    except InputError as error:
        raise InputError(f"{path} is not an image ({error}): {_ARRAY_WAY_OUT}") from error


def _channels_first(stored: NDArray[Any]) -> NDArray[np.float64]:
    if stored.ndim not in (2, 3) or stored.shape[2:] not in ((), (1,), (3,)):
        raise InputError(f"it has shape {stored.shape}")
    if stored.dtype.kind == "f":
        top = 1.0
    elif stored.dtype in (np.uint8, np.uint16):
        top = float(np.iinfo(stored.dtype).max)
    else:
        raise InputError(f"it holds {stored.dtype}")
    pixels = np.asarray(stored, dtype=np.float64) / top
    if not np.isfinite(pixels).all():
        raise InputError("it holds NaN or infinity")
    if np.median(pixels) > _BEYOND:
        raise InputError(f"half of its values are above {np.median(pixels):.3g}, which is not [0, 1]")
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1))


def read_kernel(path: Path) -> Kernel:
    """Return a kernel file as it is stored, neither turned nor shifted, divided by its sum.

    Args:
        path: a gray picture of any bit depth (or one in colour with equal channels), a NumPy array, or a MATLAB
            file before v7.3 whose only matrix it is, or where it is named `kernel`, `ker`, `k`, `psf`, `f` or `h`.

    Returns:
        Shape (kh, kw), float64, not negative, sum 1.

    Raises:
        InputError: where it cannot be read or is not a kernel: of other dimensions, in colour, negative, all zero, or
            with weight along all of its border, as photographs have.
    """
    try:
        kernel = normalised(_plane(_stored(path, _KERNELS)))
    except InputError as error:
        raise InputError(f"{path} is not a kernel ({error}): {_KERNEL_WAY_OUT}") from error
    if kernel.min() < 0:
        raise InputError(f"{path} is not a kernel (it is negative in places, down to {kernel.min():.3g} of its sum)")
    if _like_a_photograph(kernel):
        raise InputError(
            f"{path} is not a kernel (its {kernel.shape[0]}x{kernel.shape[1]} pixels have weight along all four sides, "
            "as those of a photograph): give the blur kernel alone, on a background of 0"
        )
    return kernel


def _like_a_photograph(kernel: Kernel) -> bool:
    """Return whether weight lies on all sides of a large kernel, without the symmetry of wide Gaussians and boxes."""
    sides = kernel[0], kernel[-1], kernel[:, 0], kernel[:, -1]
    if min(kernel.shape) < _LARGE or min(side.mean() for side in sides) < _BORDER * kernel.mean():
        return False
    return not np.allclose(kernel, kernel[::-1, ::-1], rtol=0, atol=0.01 * kernel.max())


def _stored(path: Path, names: Sequence[str]) -> NDArray[Any]:
    """Return the array that a file holds, of a MATLAB file with several that of the first of the names."""
    from PIL import Image

    foreign = (SyntaxError, ValueError, TypeError, NotImplementedError, Image.DecompressionBombError)
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:  # np.load(path) leaves damaged files open
                return np.asarray(np.load(file, allow_pickle=False))
        if path.suffix.lower() == ".mat":
            return _matrix(path, names)
        with Image.open(path) as picture:
            if picture.mode in ("P", "PA"):
                raise InputError("it has a palette")
            return np.asarray(picture)
    except InputError:
        raise
    except (OSError, EOFError, *foreign) as error:
        raise InputError(f"it cannot be read: {error}") from error


def _matrix(path: Path, names: Sequence[str]) -> NDArray[Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        variables = loadmat(path)
    except (MatReadError, EOFError, zlib.error) as error:
        raise InputError(f"it cannot be read: {error}") from error
    found = {name: np.asarray(value) for name, value in variables.items() if not name.startswith("__")}
    matrices = {name: value for name, value in found.items() if value.ndim in (2, 3) and value.dtype.kind in "fiu"}
    chosen = list(matrices) if len(matrices) == 1 else [name for name in names if name in matrices]
    if not chosen:
        raise InputError(f"of its variables ({', '.join(found) or 'none'}) one must be a matrix named {names[0]}")
    return matrices[chosen[0]]


def _plane(stored: NDArray[Any]) -> NDArray[Any]:
    """Return an array of shape (kh, kw), or the one that all colours of (kh, kw, C) have; alpha is dropped."""
    if stored.dtype.kind not in "buif":
        raise InputError(f"it holds {stored.dtype}, not numbers")
    if stored.ndim != 3:
        return stored
    colours = stored[..., :3] if stored.shape[2] > 2 else stored[..., :1]
    if (colours != colours[..., :1]).any():
        raise InputError("its colours differ: kernels are gray")
    return np.asarray(colours[..., 0])
