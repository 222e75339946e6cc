"""Images written by another library (and by hand) are read exactly, or refused with a reason."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nidbench.errors import InputError
from nidbench.images import read_image


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
