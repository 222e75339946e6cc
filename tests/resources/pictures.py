"""Small images and kernels as files, and the forward model written out by SciPy."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image
from scipy.ndimage import convolve, correlate


def blobs(shape, seed=0):
    """An image of 8-bit levels with edges, Shape (C, H, W), in [0, 1]."""
    generator = np.random.default_rng(seed)
    sides = [-(-side // 6) for side in shape[1:]]
    image = np.kron(generator.random((shape[0], *sides)), np.ones((6, 6)))[:, : shape[1], : shape[2]]
    return np.rint(255 * (0.1 + 0.8 * image)) / 255


def levels(image):
    """The image as 8-bit pixels, Shape (H, W) or (H, W, 3)."""
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8).transpose(1, 2, 0).squeeze()


def encoded(image, form="PNG", mode=None):
    """The bytes of an image file."""
    file = BytesIO()
    picture = Image.fromarray(levels(image))
    (picture.convert(mode) if mode else picture).save(file, form)
    return file.getvalue()


def png(pixels, depth, colour):
    """The bytes of a PNG by the format's definition: pixels (H, W, channels), big endian, filter 0."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(values, bits, photometric=1):
    """The bytes of a TIFF of gray levels by the format's definition: no gaps in a row, high bits first."""
    height, width = values.shape
    each = (values[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    content = np.packbits(each.reshape(height, -1), axis=1).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags[279] = len(content)
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, tags[tag]) for tag in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + directory


def lopsided(rows=5, columns=7):
    """A kernel of 8-bit weights that a flip changes, its brightest 255, Shape (rows, columns)."""
    kernel = np.zeros((rows, columns))
    kernel[0, : columns - 2] = 255
    kernel[1:, 0] = 130
    kernel[rows // 2, columns // 2] = 80
    return kernel


def blurred(image, kernel, way="convolution"):
    """y of the image's size, its edges repeated outside."""
    weights = kernel / kernel.sum()
    turn = convolve if way == "convolution" else correlate
    return np.stack([turn(channel, weights, mode="nearest") for channel in image])
