"""Images written by another library (and by hand) are read exactly, or refused with a reason."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from nidbench.errors import InputError
from nidbench.images import (
    RESTORED,
    read_blurred,
    read_image,
    read_kernel,
    read_pixels,
    read_restored,
    read_sharp,
    sharp_shape,
    tiffs,
)

#: The tag with the orientation in which a photograph is to be shown.
_ORIENTATION = 0x0112


def levels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (3, 2)], ids=["gray", "rgb"])
def test_eight_bit_png(tmp_path, pictures, channels, colour):
    pixels = levels(12, 17, channels)
    (tmp_path / "image.png").write_bytes(pictures.png(pixels, 8, colour))
    image = read_image(tmp_path / "image.png")
    assert image.shape == (channels, 12, 17)
    assert image.dtype == np.float64
    for channel in range(channels):
        assert np.array_equal(image[channel], pixels[:, :, channel] / 255)


def refused(path, *parts):
    with pytest.raises(InputError) as caught:
        read_image(path)
    for text in (str(path), *parts):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("colour", "channels", "depth", "reason"),
    [
        (0, 1, 16, "more than 8 bit"),
        (2, 3, 16, "more than 8 bit"),
        (4, 2, 16, "alpha"),
        (6, 4, 16, "alpha"),
        (4, 2, 8, "alpha"),
        (6, 4, 8, "alpha"),
    ],
)
def test_png_of_another_kind(tmp_path, pictures, colour, channels, depth, reason):
    (tmp_path / "image.png").write_bytes(pictures.png(levels(12, 17, channels), depth, colour))
    refused(tmp_path / "image.png", reason, "give an 8-bit gray or RGB picture without alpha")


@pytest.mark.parametrize(("mode", "reason"), [("P", "palette"), ("1", "black and white"), ("CMYK", "mode CMYK")])
def test_modes(tmp_path, mode, reason):
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.fromarray(levels(12, 17, 3)).convert(mode).save(path)
    refused(path, reason, "8-bit gray or RGB")


def test_other_formats(tmp_path):
    Image.fromarray(levels(12, 17).astype(np.float32)).save(tmp_path / "float.tif")
    refused(tmp_path / "float.tif", "more than 8 bit")
    Image.fromarray(levels(12, 17, 3)).save(tmp_path / "image.bmp")
    assert read_image(tmp_path / "image.bmp").shape == (3, 12, 17)


@pytest.mark.parametrize(("colour", "channels"), [(4, 1), (6, 3)])
@pytest.mark.parametrize("depth", [8, 16])
def test_an_opaque_alpha_channel_says_nothing(tmp_path, pictures, colour, channels, depth):
    top = 2**depth - 1
    pixels = np.random.default_rng(0).integers(0, top, (12, 17, channels + 1))
    pixels[..., -1] = top
    (tmp_path / "image.png").write_bytes(pictures.png(pixels, depth, colour))
    assert np.array_equal(read_restored(tmp_path / "image.png"), pixels[..., :-1].transpose(2, 0, 1) / top)
    assert sharp_shape(tmp_path / "image.png") == (channels, 12, 17)
    pixels[3, 5, -1] = top - 1
    (tmp_path / "image.png").write_bytes(pictures.png(pixels, depth, colour))
    with pytest.raises(InputError, match="alpha channel that is not opaque"):
        read_restored(tmp_path / "image.png")


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)])
def test_16_bit_pictures_keep_every_bit(tmp_path, pictures, colour, channels):
    pixels = np.random.default_rng(0).integers(0, 65536, (12, 17, channels))
    (tmp_path / "image.png").write_bytes(pictures.png(pixels, 16, colour))
    assert np.array_equal(read_restored(tmp_path / "image.png"), pixels.transpose(2, 0, 1) / 65535)


TIFFS = {
    "big endian": {"byteorder": ">"},
    "big tiff": {"bigtiff": True},
    "tiles": {"tile": (16, 16)},
    "deflate": {"compression": "zlib", "predictor": True},
    "planes": {"planarconfig": "separate", "software": "a scanner"},
}


@pytest.mark.parametrize("name", TIFFS)
def test_tiff_files_whatever_their_layout(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 65536, (30, 37, 3)).astype(np.uint16)
    stored = pixels.transpose(2, 0, 1) if name == "planes" else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **TIFFS[name])
    assert np.array_equal(read_restored(tmp_path / "a.tif"), pixels.transpose(2, 0, 1) / 65535)
    assert sharp_shape(tmp_path / "a.tif") == (3, 30, 37)


def test_three_planes_that_tifffile_took_for_colours_may_be_a_stack(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", levels(3, 30, 37), photometric="rgb", planarconfig="separate")
    refused(tmp_path / "a.tif", "may be a stack", "a single page as a separate file")


def test_compressed_tiff_files_that_pillow_reads(tmp_path):
    gray, colour = levels(30, 37), levels(30, 37, 3)
    for stored, compression in ((gray, "tiff_lzw"), (colour, "tiff_lzw"), (gray.astype(np.uint16) * 257, "tiff_lzw")):
        Image.fromarray(stored).save(tmp_path / "a.tif", compression=compression)
        expected = np.atleast_3d(stored).transpose(2, 0, 1) / np.iinfo(stored.dtype).max
        assert np.array_equal(read_restored(tmp_path / "a.tif"), expected)
    smooth = Image.fromarray(np.rint(np.indices((32, 48)).sum(0)[..., None] + np.array([0, 60, 120])).astype(np.uint8))
    smooth.save(tmp_path / "a.tif", compression="jpeg", quality=100)
    assert np.abs(255 * read_image(tmp_path / "a.tif") - np.asarray(smooth).transpose(2, 0, 1)).max() < 6


def test_luminance_and_chrominance_are_not_taken_for_colours(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", levels(30, 37, 3), photometric="ycbcr", subsampling=(1, 1))
    refused(tmp_path / "a.tif", "luminance and chrominance")
    tifffile.imwrite(tmp_path / "a.tif", levels(30, 37, 3), photometric="cielab")
    refused(tmp_path / "a.tif", "CIELAB")


def test_previews_beside_a_page_are_not_asked_for(tmp_path):
    pixels = levels(30, 37)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels[::2, ::2], subfiletype=1, metadata=None)
        file.write(pixels, metadata=None)
    assert np.array_equal(read_image(tmp_path / "a.tif")[0], pixels / 255)


def test_tiff_files_whose_0_is_white_and_of_real_numbers(tmp_path):
    pixels = levels(12, 17)
    for depth, stored in ((8, pixels), (16, pixels.astype(np.uint16) * 257)):
        tifffile.imwrite(tmp_path / "white.tif", stored, photometric="miniswhite")
        assert np.allclose(read_restored(tmp_path / "white.tif")[0], 1 - pixels / 255, rtol=0, atol=1e-12), depth
    tifffile.imwrite(tmp_path / "real.tif", (pixels / 255).astype(np.float32))
    assert np.allclose(read_restored(tmp_path / "real.tif")[0], pixels / 255, atol=1e-7)
    tifffile.imwrite(tmp_path / "signed.tif", pixels.astype(np.int16))
    with pytest.raises(InputError, match="int16 from 0 to 249, whose range is not known: if 255 is"):
        read_restored(tmp_path / "signed.tif")


@pytest.mark.parametrize("bits", [2, 4, 12])
def test_a_tiff_of_few_bits_says_its_depth(tmp_path, pictures, bits):
    """Levels of 2 and 4 bit, which Pillow had stretched to 255, were compared with 3 and 15."""
    values = np.random.default_rng(0).integers(0, 2**bits, (13, 19))
    for photometric, expected in ((1, values), (0, 2**bits - 1 - values)):
        if bits == 12 and photometric == 0:
            continue  # refused, see below
        (tmp_path / "a.tif").write_bytes(pictures.tiff(values, bits, photometric))
        reading = read_pixels(tmp_path / "a.tif", RESTORED)
        np.testing.assert_allclose(reading.image[0], expected / (2**bits - 1), rtol=0, atol=1e-12)
        assert reading.assumed == ""


@pytest.mark.parametrize(("bits", "photometric"), [(6, 1), (10, 1), (14, 1), (12, 0)])
def test_bits_that_no_library_here_unpacks_are_named(tmp_path, pictures, bits, photometric):
    (tmp_path / "a.tif").write_bytes(pictures.tiff(np.zeros((13, 19), int), bits, photometric))
    refused(tmp_path / "a.tif", f"its pixels of {bits} bit are not read", "without compression, with 8 or 16 bit")


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32"])
def test_compressions_that_tifffile_lacks_are_left_to_pillow(tmp_path, compression, kind):
    values = levels(2, 30, 37).astype(kind)
    pages = [Image.fromarray(page.astype(np.int32) if kind == "int16" else page) for page in values]
    if kind == "int16":
        pages = [Image.frombytes("I;16", page.shape[::-1], page.tobytes()) for page in values]
    tags = {_ORIENTATION: 6, 339: 2} if kind == "int16" else {_ORIENTATION: 6}
    pages[0].save(tmp_path / "a.tif", compression=compression, tiffinfo=tags)
    stored = tiffs.read(tmp_path / "a.tif")
    assert (stored.values.dtype, stored.bits) == (kind, None)
    assert np.array_equal(stored.values, values[0])
    pages[0].save(tmp_path / "a.tif", compression=compression, save_all=True, append_images=pages[1:], tiffinfo=tags)
    stack, axes = tiffs.read_pages(tmp_path / "a.tif")
    assert (axes[1:], stack.values.dtype) == ("YX", kind)
    assert np.array_equal(stack.values, values)


def test_a_preview_beside_a_compressed_page_is_not_counted(tmp_path):
    pixels = levels(30, 37)
    preview = Image.fromarray(pixels[::2, ::2])
    preview.encoderinfo = {"tiffinfo": {254: 1}, "compression": "tiff_lzw"}
    Image.fromarray(pixels).save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=[preview])
    assert np.array_equal(read_image(tmp_path / "a.tif")[0], pixels / 255)


def test_compressed_pixels_of_which_pillow_would_lose_some_are_refused(tmp_path):
    Image.fromarray(levels(30, 37).astype(np.uint16)).save(tmp_path / "a.tif", compression="tiff_lzw")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags[262].overwrite(0)
    refused(tmp_path / "a.tif", "16 bit compressed by LZW are not read", "pip install imagecodecs")


def test_damage_of_a_compressed_tiff_is_seen(tmp_path):
    Image.fromarray(levels(30, 37)).save(tmp_path / "a.tif", compression="tiff_lzw")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        start, size = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    content[start : start + size] = bytes(size)
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", "it is damaged")


def test_a_mask_by_tifffile_whose_true_is_black_by_the_format_is_refused(tmp_path, pictures):
    """Read as the format has it, it is the complement of what was written and of what tifffile reads."""
    mask = np.eye(15, dtype=bool)
    tifffile.imwrite(tmp_path / "a.tif", mask)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), mask)
    for read in (read_kernel, read_restored):
        with pytest.raises(InputError, match=r"True is black and False is white.*astype\('uint8'\)"):
            read(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", mask.astype("uint8"))
    np.testing.assert_allclose(read_kernel(tmp_path / "a.tif"), mask / 15)
    Image.fromarray(mask).save(tmp_path / "a.tif")
    np.testing.assert_allclose(read_kernel(tmp_path / "a.tif"), mask / 15)
    inverted = pictures.tiff(1 - mask.astype(int), 1, photometric=0)  # by another program, which heeds the format
    (tmp_path / "a.tif").write_bytes(inverted)
    np.testing.assert_allclose(read_kernel(tmp_path / "a.tif"), mask / 15)


def test_colours_of_a_ppm_are_not_rounded(tmp_path):
    pixels = levels(12, 17, 3)
    for most in (255, 15, 1):
        few = pixels // (256 // (most + 1))
        (tmp_path / "a.ppm").write_bytes(f"P6 17 12 {most}\n".encode() + few.tobytes())
        np.testing.assert_allclose(read_restored(tmp_path / "a.ppm"), few.transpose(2, 0, 1) / most)
    (tmp_path / "a.ppm").write_bytes(b"P6 17 12 4095\n" + pixels.astype(">u2").tobytes())
    refused(tmp_path / "a.ppm", "colours of more than 8 bit")


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {"quality": 100}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
    ],
    ids=["png", "jpg", "tif", "tif, LZW", "webp"],
)
def test_an_orientation_tag_turns_nothing(tmp_path, name, options, tag):
    """It is obeyed in TIFF and not in JPEG and PNG: datumaro issue 1756, Pillow pull request 4063 and issue 8554."""
    rows, columns = np.indices((24, 40))
    pixels = np.repeat((4 * rows + 3 * columns)[..., None].astype(np.uint8), 3, 2)
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = tag
    picture.save(tmp_path / name, exif=exif, **options)
    image = read_image(tmp_path / name)
    assert image.shape == sharp_shape(tmp_path / name) == (3, 24, 40)
    assert np.abs(image * 255 - pixels.transpose(2, 0, 1)).max() < 3


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_several_pictures_in_a_file_are_refused(tmp_path, name):
    first, *others = (Image.fromarray(levels(20, 30) // 2 + shade) for shade in (0, 50, 100))
    first.save(tmp_path / name, save_all=True, append_images=others)
    refused(tmp_path / name, "holds 3 p", "as a separate file")


def test_what_would_fill_the_memory_is_refused_before_it_is_read(tmp_path, pictures):
    header = {"descr": "<f8", "fortran_order": False, "shape": (200_000, 200_000)}
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(InputError, match="200000x200000, more than the"):
        read_restored(tmp_path / "a.npy")
    content = bytearray(pictures.png(levels(12, 12, 1), 8, 0))
    content[16:24] = struct.pack(">II", 100_000, 100_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", "cannot be read as an image")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name in ("pipe.png", "loop.png", "a" * 300 + ".png", "a\0b.png"):
        with pytest.raises(InputError, match="cannot be read as an image"):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="a folder, a pipe or a device"):
        read_image(Path("/dev/zero"))


def test_transparent_colour(tmp_path):
    Image.fromarray(levels(12, 17)).save(tmp_path / "image.png", transparency=3)
    refused(tmp_path / "image.png", "alpha", "transparent")


def test_not_an_image(tmp_path):
    (tmp_path / "notes.png").write_text("not an image")
    refused(tmp_path / "notes.png", "cannot be read as an image", "8-bit gray or RGB picture")
    refused(tmp_path / "absent.png", "cannot be read as an image", "No such file")
    refused(tmp_path, "cannot be read as an image")


@pytest.mark.parametrize("kept", [0, 20, 60, -30])
def test_cut_off(tmp_path, pictures, kept):
    (tmp_path / "image.png").write_bytes(pictures.png(levels(40, 40, 3), 8, 2)[:kept])
    refused(tmp_path / "image.png", "cannot be read as an image")


@pytest.mark.parametrize("shape", [(64, 1), (1, 64), (10, 64)])
def test_too_small(tmp_path, pictures, shape):
    (tmp_path / "image.png").write_bytes(pictures.png(levels(*shape, 1), 8, 0))
    refused(tmp_path / "image.png", f"{shape[0]}x{shape[1]} pixels", "at least 11x11")


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
    image = read_restored(saved_array(tmp_path / f"a{suffix}", array))
    np.testing.assert_array_equal(image, wanted.transpose(2, 0, 1))


def saved_array(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        savemat(path, {"deblurred": array, "elsewhere": np.ones((2, 2))})
    return path


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_arrays_of_a_file_by_what_is_wanted(tmp_path, suffix):
    def save(**arrays):
        save_as = savemat if suffix == ".mat" else lambda path, held: np.savez(path, **held)
        save_as(tmp_path / f"all{suffix}", arrays)
        return tmp_path / f"all{suffix}"

    planes = {name: np.full((12, 13), level) for name, level in (("x", 0.1), ("y", 0.2), ("z", 0.3))}
    readers = (read_restored, read_sharp, read_blurred)
    assert [reader(save(**planes))[0, 0, 0] for reader in readers] == [0.1, 0.1, 0.2]
    assert read_restored(save(z=planes["z"]))[0, 0, 0] == 0.3
    same = save(**planes, image=planes["x"])
    assert read_restored(same)[0, 0, 0] == 0.1
    with pytest.raises(InputError, match=r"holds x .*, y .*, z .*, of which y, image may be meant and differ"):
        read_blurred(same)
    with pytest.raises(InputError, match=r"holds p .*, q .*, and which is meant is not clear"):
        read_restored(save(p=planes["x"], q=planes["y"]))


def test_what_matlab_files_hold_beside_real_matrices_is_refused_by_name(tmp_path):
    half = np.full((12, 13), 0.5)
    for kind, value in {
        "sparse": csc_matrix(half),
        "struct": {"a": 1},
        "char": "text",
        "cell": np.array([1, "b"], object),
    }.items():
        savemat(tmp_path / "a.mat", {"x": value})
        with pytest.raises(InputError, match=rf"holds no real matrix \(x \({kind} "):
            read_restored(tmp_path / "a.mat")
    savemat(tmp_path / "a.mat", {"x": half + 1j})
    with pytest.raises(InputError, match="complex128, not real"):
        read_restored(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match=r"version 7\.3 \(HDF5\): save it with save\(\.\.\., '-v7'\)"):
        read_restored(tmp_path / "a.mat")
    savemat(tmp_path / "a.mat", {"x": half, "sigma": 0.1})
    assert read_restored(tmp_path / "a.mat")[0, 0, 0] == 0.5  # a number is no image


def test_whole_numbers_in_matlab_files_have_the_type_they_have_in_matlab(tmp_path):
    """MATLAB stores doubles that are whole numbers as integers: 0 and 1 here are no 8-bit levels."""
    savemat(tmp_path / "a.mat", {"x": np.eye(20)})
    content = (tmp_path / "a.mat").read_bytes()
    numbers = np.eye(20).tobytes()
    at = content.index(struct.pack("<II", 9, len(numbers)) + numbers)
    short = struct.pack("<II", 2, 400) + np.eye(20, dtype=np.uint8).tobytes()
    changed = content[: at - 0] + short + content[at + 8 + len(numbers) :]
    outer = struct.unpack_from("<I", changed, 132)[0] - (len(numbers) - 400)
    (tmp_path / "a.mat").write_bytes(changed[:132] + struct.pack("<I", outer) + changed[136:])
    assert loadmat(tmp_path / "a.mat")["x"].dtype == np.uint8
    assert np.array_equal(read_restored(tmp_path / "a.mat")[0], np.eye(20))


@pytest.mark.parametrize("shape", [(1, 14, 13), (14, 13, 1), (3, 14, 13), (1, 3, 14, 13), (1, 1, 14, 13)])
def test_axes_in_another_order_where_they_can_mean_one_thing(tmp_path, shape):
    array = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "a.npy", array)
    channels = 3 if 3 in shape else 1
    expected = array.reshape(channels, 14, 13)
    assert np.array_equal(read_restored(tmp_path / "a.npy"), expected)
    assert sharp_shape(tmp_path / "a.npy") == (channels, 14, 13)


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
        (255 * COLOUR, r"go up to 2.*, which is not \[0, 1\]: if 255 is intensity 1, say scale=255"),
        (np.full((12, 12), np.nan), "NaN"),
        (np.ones((2, 12, 12, 3)), "shape"),
        (np.ones((12, 12, 4)), "shape"),
        (np.ones((3, 14, 3)), "3x14 pixels"),
        (np.ones(12), "shape"),
        (np.float64(1), "shape"),
        (np.ones((12, 12, 0)), "shape"),
        (np.ones((12, 12), np.int32), "int32"),
        (np.ones((12, 12), bool), "bool"),
        (np.ones((12, 12), complex), "complex128"),
    ],
)
def test_arrays_that_are_no_image_are_refused(tmp_path, array, reason):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=rf"a\.npy cannot be read as an image .*{reason}.*real numbers on"):
        read_restored(tmp_path / "a.npy")
