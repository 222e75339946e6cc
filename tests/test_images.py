"""Images written by another library (and by hand) are read exactly, or refused with a reason."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from nidbench.errors import InputError
from nidbench.images import read_blurred, read_image, read_kernel, read_restored, read_sharp, sharp_shape
from nidbench.registry import load_dataset


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels, depth, colour):
    """Return a PNG from the format's definition: pixels (H, W, channels), big endian, filter 0."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def levels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (3, 2)], ids=["gray", "rgb"])
def test_eight_bit_png(tmp_path, channels, colour):
    pixels = levels(12, 17, channels)
    (tmp_path / "image.png").write_bytes(png(pixels, 8, colour))
    image = read_image(tmp_path / "image.png")
    assert image.shape == (channels, 12, 17)
    assert image.dtype == np.float64
    for channel in range(channels):
        assert np.array_equal(image[channel], pixels[:, :, channel] / 255)


def refused(path, *parts):
    with pytest.raises(InputError) as caught:
        read_image(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("colour", "channels", "depth", "reason"),
    [
        (0, 1, 16, "more than 8 bit"),
        (2, 3, 16, "more than 8 bit"),
        (4, 2, 16, "alpha"),
        (6, 4, 16, "more than 8 bit"),
        (4, 2, 8, "alpha"),
        (6, 4, 8, "alpha"),
    ],
)
def test_png_of_another_kind(tmp_path, colour, channels, depth, reason):
    (tmp_path / "image.png").write_bytes(png(levels(12, 17, channels), depth, colour))
    refused(tmp_path / "image.png", reason, "convert it to 8-bit gray or RGB")


@pytest.mark.parametrize(
    ("mode", "reason"), [("P", "palette"), ("1", "mode 1"), ("I;16", "more than 8 bit"), ("RGBA", "alpha")]
)
def test_modes(tmp_path, mode, reason):
    picture = Image.fromarray(levels(12, 17))
    (picture.point(lambda x: x * 256, "I").convert(mode) if mode == "I;16" else picture.convert(mode)).save(
        tmp_path / "image.png"
    )
    refused(tmp_path / "image.png", reason, "8-bit gray or RGB")


def test_other_formats(tmp_path):
    Image.fromarray(levels(12, 17).astype(np.float32)).save(tmp_path / "float.tif")
    refused(tmp_path / "float.tif", "more than 8 bit")
    Image.fromarray(levels(12, 17, 4), mode=None).convert("CMYK").save(tmp_path / "print.jpg")
    refused(tmp_path / "print.jpg", "mode CMYK")
    Image.fromarray(levels(12, 17, 3)).save(tmp_path / "image.bmp")
    assert read_image(tmp_path / "image.bmp").shape == (3, 12, 17)


def test_transparent_colour(tmp_path):
    Image.fromarray(levels(12, 17)).save(tmp_path / "image.png", transparency=3)
    refused(tmp_path / "image.png", "alpha", "transparent")


def test_not_an_image(tmp_path):
    (tmp_path / "notes.png").write_text("not an image")
    refused(tmp_path / "notes.png", "cannot be read as an image", "8-bit gray or RGB PNG")
    refused(tmp_path / "absent.png", "cannot be read as an image", "No such file")
    refused(tmp_path, "cannot be read as an image")


@pytest.mark.parametrize("kept", [0, 20, 60, -30])
def test_cut_off(tmp_path, kept):
    (tmp_path / "image.png").write_bytes(png(levels(40, 40, 3), 8, 2)[:kept])
    refused(tmp_path / "image.png", "cannot be read as an image")


@pytest.mark.parametrize("shape", [(64, 1), (1, 64), (10, 64)])
def test_too_small(tmp_path, shape):
    (tmp_path / "image.png").write_bytes(png(levels(*shape, 1), 8, 0))
    refused(tmp_path / "image.png", f"{shape[0]}x{shape[1]} pixels", "at least 11x11")


WEIGHTS = np.array([[0, 10, 200], [30, 0, 15]], np.uint8)


def saved(path: Path, weights=WEIGHTS) -> Path:
    if path.suffix == ".npy":
        np.save(path, weights)
    elif path.suffix == ".mat":
        savemat(path, {"ker": weights.astype(float)})
    else:
        Image.fromarray(weights).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".npy", ".mat", ".MAT"])
def test_kernels_are_read_as_they_are_stored_and_sum_to_1(tmp_path, suffix):
    kernel = read_kernel(saved(tmp_path / f"k{suffix.lower()}").rename(tmp_path / f"k{suffix}"))
    assert kernel.dtype == np.float64
    assert np.allclose(kernel, WEIGHTS / 255, rtol=1e-15)  # the weights sum to 255


def test_kernels_of_more_bits_and_of_equal_colours(tmp_path):
    deep = saved(tmp_path / "deep.png", WEIGHTS.astype(np.uint16) * 257)
    colour = saved(tmp_path / "colour.png", np.repeat(WEIGHTS[..., None], 3, 2))
    alpha = saved(tmp_path / "alpha.png", np.dstack([WEIGHTS] * 3 + [np.full_like(WEIGHTS, 9)]))
    for path in (deep, colour, alpha):
        assert np.allclose(read_kernel(path), WEIGHTS / 255, rtol=1e-15)


def test_the_matrix_of_a_matlab_file_that_is_named_a_kernel(tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.ones((9, 9)), "f": WEIGHTS.astype(float), "title": "text"})
    assert read_kernel(tmp_path / "a.mat").shape == (2, 3)
    savemat(tmp_path / "b.mat", {"x": np.ones((9, 9)), "y": np.ones((9, 9))})
    with pytest.raises(InputError, match=r"b\.mat is not a kernel \(of its variables \(x, y\) one must be"):
        read_kernel(tmp_path / "b.mat")


NO_KERNELS = {
    "zero": (np.zeros((3, 3)), "zero everywhere"),
    "negative": (np.array([[2.0, -1.0]]), "negative in places"),
    "colour": (np.arange(27, dtype=np.uint8).reshape(3, 3, 3), "its colours differ"),
    "flat": (np.ones(5), "two dimensions"),
    "endless": (np.array([[np.inf, 1.0]]), "not finite"),
    "words": (np.array([["a", "b"]]), "not numbers"),
}


@pytest.mark.parametrize("name", NO_KERNELS)
def test_what_is_not_a_kernel_is_refused(tmp_path, name):
    array, reason = NO_KERNELS[name]
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(InputError, match=f"{name}.npy is not a kernel .*{reason}"):
        read_kernel(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("suffix", [".png", ".npy", ".mat"])
@pytest.mark.parametrize("content", [b"", b"no kernel at all, but some text that goes on for a while" * 9, None])
def test_a_file_that_is_no_kernel_or_cut_off_is_refused(tmp_path, suffix, content):
    path = saved(tmp_path / f"k{suffix}", levels(40, 40))
    path.write_bytes(path.read_bytes()[:-400] if content is None else content)
    with pytest.raises(InputError, match=rf"k\{suffix} is not a kernel .*give a gray picture"):
        read_kernel(path)


def disk(side):
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    return (rows**2 + columns**2 < (side / 2) ** 2).astype(float)


WIDE_KERNELS = {
    "box": np.ones((21, 33)),
    "disk": disk(25),
    "gaussian": np.exp(-((np.indices((31, 31)) - 15) ** 2).sum(0) / 2 / 12**2),
    "small": np.random.default_rng(0).random((15, 40)),
    "motion to every side": np.eye(40) + np.eye(40)[::-1] + 0.001,
    "with a floor": np.pad(np.random.default_rng(0).random((9, 9)), 11) + 0.01,
}


@pytest.mark.parametrize("name", WIDE_KERNELS)
def test_kernels_with_weight_on_their_border(tmp_path, name):
    np.save(tmp_path / "k.npy", WIDE_KERNELS[name])
    assert np.allclose(read_kernel(tmp_path / "k.npy"), WIDE_KERNELS[name] / WIDE_KERNELS[name].sum())


@pytest.mark.parametrize("name", ["camera", "astronaut"])
def test_a_photograph_is_no_kernel(tmp_path, name):
    gray = load_dataset("sample").load(name).mean(axis=0)
    np.save(tmp_path / "k.npy", gray)
    with pytest.raises(InputError, match=r"k\.npy is not a kernel \(its 96x96 pixels have weight along all four sides"):
        read_kernel(tmp_path / "k.npy")


def test_a_palette_is_no_kernel(tmp_path):
    Image.fromarray(levels(9, 9)).convert("P").save(tmp_path / "p.png")
    with pytest.raises(InputError, match="palette"):
        read_kernel(tmp_path / "p.png")


def test_a_kernel_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_kernel(tmp_path / "none.png")


COLOUR = np.random.Generator(np.random.Philox(3)).random((14, 13, 3))


@pytest.mark.parametrize("suffix", [".npy", ".mat"])
@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (COLOUR - 0.01, COLOUR - 0.01),
        (COLOUR[..., :1].astype(np.float32), COLOUR[..., :1].astype(np.float32)),
        (COLOUR[..., 0], COLOUR[..., :1]),
        (np.rint(255 * COLOUR).astype(np.uint8), np.rint(255 * COLOUR) / 255),
        (np.rint(65535 * COLOUR).astype(np.uint16), np.rint(65535 * COLOUR) / 65535),
    ],
    ids=["real", "single", "gray", "8-bit", "16-bit"],
)
def test_restored_arrays_are_not_rounded(tmp_path, suffix, array, wanted):
    found = read_restored(saved_array(tmp_path / f"a{suffix}", array))
    np.testing.assert_array_equal(found, wanted.transpose(2, 0, 1))


def saved_array(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        savemat(path, {"deblurred": array, "elsewhere": np.ones((2, 2))})
    return path


def test_matrices_of_a_matlab_file_by_what_is_wanted(tmp_path):
    planes = {name: np.full((12, 13), level) for name, level in (("x", 0.1), ("y", 0.2), ("image", 0.3))}
    savemat(tmp_path / "all.mat", planes)
    readers = (read_restored, read_sharp, read_blurred)
    assert [reader(tmp_path / "all.mat")[0, 0, 0] for reader in readers] == [0.1, 0.1, 0.2]


def test_the_shape_of_a_sharp_image_is_that_of_what_is_read(tmp_path):
    Image.fromarray(levels(20, 30, 3)).save(tmp_path / "a.png")
    Image.fromarray(levels(20, 31)).save(tmp_path / "b.png")
    np.save(tmp_path / "c.npy", COLOUR)
    for name in ("a.png", "b.png", "c.npy"):
        assert sharp_shape(tmp_path / name) == read_sharp(tmp_path / name).shape
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    assert sharp_shape(tmp_path / "cut.png") == (3, 20, 30)  # the header is all that is read
    with pytest.raises(InputError, match=r"cut\.png cannot be read"):
        read_sharp(tmp_path / "cut.png")


def test_restored_pictures_are_read_as_images(tmp_path):
    Image.fromarray(levels(20, 30)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_restored(tmp_path / "a.png"), read_image(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (255 * COLOUR, "half of its values are above .* which is not"),
        (np.full((12, 12), np.nan), "NaN"),
        (np.ones((2, 12, 12, 3)), "shape"),
        (np.ones((12, 12, 4)), "shape"),
        (np.ones((12, 12), np.int32), "int32"),
        (np.ones((12, 12), complex), "complex128"),
    ],
)
def test_arrays_that_are_no_image_are_refused(tmp_path, array, reason):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=rf"a\.npy is not an image .*{reason}.*real numbers on"):
        read_restored(tmp_path / "a.npy")
