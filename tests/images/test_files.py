"""Image files are written as the measurement came, and read back: 33 files of all formats, made here by formula."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat

from nidbench.errors import InputError
from nidbench.images import read_kernel, read_pixels
from nidbench.images.metadata import Metadata, metadata_of
from nidbench.images.stack import count_images, read_stack
from nidbench.images.write import WRITTEN_SUFFIXES, Pixels, encoded, held_type

LOSSLESS = [suffix for suffix in WRITTEN_SUFFIXES if suffix not in (".jpg", ".jpeg")]
AXES = {"YX": (20, 31), "YXS": (20, 31, 3), "SYX": (3, 20, 31)}
PLAIN = Metadata()


def values(shape, kind):
    kind = np.dtype(kind)
    generator = np.random.default_rng(0)
    if kind.kind == "f":
        return generator.random(shape).astype(kind)
    return generator.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def opened(path):
    with Image.open(path) as picture:
        return np.array(picture)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_every_format_keeps_every_value_of_the_types_it_holds(tmp_path, suffix, axes):
    for asked in ("uint8", "uint16", "int16", "float32", "float64"):
        kind = held_type(suffix, np.dtype(asked))
        stored = values(AXES[axes], kind)
        path = tmp_path / f"{asked}{suffix}"
        path.write_bytes(encoded(suffix, Pixels(stored, axes), PLAIN))
        back = read_stack(path, ("image",), paged=False)
        expected = stored.transpose(1, 2, 0) if axes == "SYX" else stored.reshape(20, 31, -1)
        assert back.stored.values.dtype == kind
        assert np.array_equal(back.stored.values[0], expected)


def test_other_libraries_read_the_same(tmp_path):
    deep = values((20, 31, 3), np.uint16)
    for suffix, read in {
        ".tif": tifffile.imread,
        ".npy": np.load,
        ".mat": lambda path: loadmat(path)["image"],
        ".npz": lambda path: np.load(path)["image"],
    }.items():
        path = tmp_path / f"a{suffix}"
        path.write_bytes(encoded(suffix, Pixels(deep, "YXS"), PLAIN))
        assert np.array_equal(read(path), deep)
    shallow = values((20, 31, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(encoded(".png", Pixels(shallow, "YXS"), PLAIN))
    assert np.array_equal(opened(tmp_path / "a.png"), shallow)
    (tmp_path / "g.png").write_bytes(encoded(".png", Pixels(deep[..., 0], "YX"), PLAIN))
    assert np.array_equal(opened(tmp_path / "g.png"), deep[..., 0])


def test_jpeg_is_near(tmp_path):
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    (tmp_path / "a.jpg").write_bytes(encoded(".jpg", Pixels(smooth, "YX"), PLAIN))
    assert np.abs(opened(tmp_path / "a.jpg").astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("axes", ["ZYX", "TZYX", "ZYXS"])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".fits"])
def test_stacks_come_back_as_they_were(tmp_path, suffix, axes):
    shape = {"ZYX": (4, 20, 31), "TZYX": (2, 4, 20, 31), "ZYXS": (4, 20, 31, 3)}[axes]
    stored = values(shape, np.uint16)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encoded(suffix, Pixels(stored, axes), PLAIN))
    stack = read_stack(path, (), paged=True)
    assert stack.count == int(np.prod(shape[: axes.index("Y")]))
    assert np.array_equal(stack.stored.values.reshape(stored.shape), stored)
    on_disk = read_stack(path, (), paged=True).arranged(stack.stored.values)
    assert np.array_equal(on_disk if suffix != ".fits" or "S" not in axes else np.moveaxis(on_disk, -3, -1), stored)
    assert count_images(path, ()) == (stack.count, stack.stored.values.shape[1:3])
    assert np.array_equal(stack.only(2).stored.values[0].squeeze(), stored.reshape(-1, *shape[axes.index("Y") :])[1])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_stacks_that_a_format_cannot_hold(suffix):
    with pytest.raises(InputError, match="holds a single image, and this is a stack"):
        encoded(suffix, Pixels(values((4, 20, 31), np.uint8), "ZYX"), PLAIN)


def test_what_imagej_says_of_scale_and_units_stays(tmp_path):
    stack = values((3, 20, 31), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        stack,
        imagej=True,
        resolution=(9.2, 9.2),
        metadata={"unit": "um", "spacing": 0.3, "Info": "bead 3", "axes": "ZYX"},
    )
    metadata = metadata_of(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(encoded(".tif", Pixels(stack, "ZYX"), metadata))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_imagej
        assert file.series[0].axes == "ZYX"
        said = file.imagej_metadata
        assert (said["unit"], said["spacing"], said["Info"], said["slices"]) == ("um", 0.3, "bead 3", 3)
        x, y = file.pages.first.tags[282].value, file.pages.first.tags[283].value
        assert x[0] / x[1] == y[0] / y[1] == pytest.approx(9.2, rel=1e-6)


def test_tags_of_a_tiff_stay(tmp_path):
    profile = b"an ICC profile"
    tifffile.imwrite(
        tmp_path / "a.tif",
        values((20, 31, 3), np.uint8),
        photometric="rgb",
        resolution=(300, 200),
        resolutionunit=2,
        description="a slide",
        datetime="2026:01:02 03:04:05",
        iccprofile=profile,
        compression="zlib",
        extratags=[(274, 3, 1, 6, True), (315, 2, 0, "A. Person", True)],
    )
    metadata = metadata_of(tmp_path / "a.tif")
    assert metadata.orientation == 6
    assert metadata.per_metre == pytest.approx((300 / 0.0254, 200 / 0.0254))
    (tmp_path / "b.tif").write_bytes(encoded(".tif", Pixels(values((20, 31, 3), np.uint8), "YXS"), metadata))
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        for code in (270, 282, 283, 296, 306, 274, 315, 34675):
            assert after.pages.first.tags[code].value == before.pages.first.tags[code].value, code
        assert after.pages.first.compression == before.pages.first.compression


def test_chunks_of_a_png_stay(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Comment", "through the fog")
    exif = Image.Exif()
    exif[274] = 8
    picture = Image.fromarray(values((20, 31), np.uint8))
    picture.save(tmp_path / "a.png", dpi=(300, 300), pnginfo=text, exif=exif, icc_profile=b"profile")
    metadata = metadata_of(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(encoded(".png", Pixels(values((20, 31), np.uint16), "YX"), metadata))
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        assert (after.info["dpi"], after.info["Comment"]) == (before.info["dpi"], "through the fog")
        assert (after.getexif()[274], after.info["icc_profile"]) == (8, b"profile")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_the_orientation_of_a_photograph_goes_along(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(values((20, 31, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif, dpi=(96, 96))
    path = tmp_path / f"b{suffix}"
    path.write_bytes(encoded(suffix, Pixels(values((20, 31, 3), np.uint8), "YXS"), metadata_of(tmp_path / "a.jpg")))
    after = metadata_of(path)
    assert after.orientation == orientation
    assert after.per_metre == pytest.approx((96 / 0.0254,) * 2, rel=1e-3)


def test_a_fits_header_stays_and_its_coordinates_move_with_the_frame(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    header = fits.Header([("OBJECT", "M 31"), ("CRPIX1", 10.0), ("CRPIX2", 20.0), ("EXPTIME", 30.0)])
    header.update(CRPIX1P=1.0, CRPIX2P=2.0, LTV1=0.0, LTV2=-3.0, LTM1_1=1.0)
    fits.writeto(tmp_path / "a.fits", values((20, 31), np.uint16), header)
    metadata = metadata_of(tmp_path / "a.fits")
    (tmp_path / "b.fits").write_bytes(encoded(".fits", Pixels(values((24, 41), np.float32), "YX", (2, 5)), metadata))
    with fits.open(tmp_path / "b.fits") as units:
        after = units[0].header
        assert (after["OBJECT"], after["EXPTIME"], after["BITPIX"]) == ("M 31", 30.0, -32)
        assert (after["CRPIX1"], after["CRPIX2"]) == (15.0, 22.0)
        assert (after["CRPIX1P"], after["CRPIX2P"]) == (6.0, 4.0)  # other coordinates of the same pixels
        assert (after["LTV1"], after["LTV2"], after["LTM1_1"]) == (5.0, -1.0, 1.0)
        assert "BZERO" not in after


def test_fits_files_are_images_and_kernels(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    image = values((20, 31), np.float32)
    fits.writeto(tmp_path / "a.fits", image)
    assert np.array_equal(read_pixels(tmp_path / "a.fits", ()).image[0], image)
    weights = np.pad(np.outer([1, 2, 1], [1, 3, 1]), 2).astype(np.float32)
    fits.writeto(tmp_path / "psf.fits", weights)
    np.testing.assert_allclose(read_kernel(tmp_path / "psf.fits"), weights / weights.sum())


@pytest.mark.parametrize("blank", [0, -32768, 100])
@pytest.mark.parametrize("kind", ["unsigned", "signed", "compressed", "scaled"])
def test_missing_pixels_of_a_fits_file_are_no_numbers(tmp_path, blank, kind):
    fits = pytest.importorskip("astropy.io.fits")
    stored = np.random.default_rng(0).integers(1000, 30000, (20, 31)).astype(np.int16)
    header = fits.Header([("BLANK", blank)])
    unit = fits.CompImageHDU(stored, header) if kind == "compressed" else fits.PrimaryHDU(stored, header)
    for name, pixel, said in (
        ("whole", 2000, "which is not|whose range"),
        ("holed", blank, "1 pixel is missing of 620, by its keyword BLANK"),
    ):
        stored[3, 4] = pixel
        scaled = {"unsigned": (1, 32768), "scaled": (0.5, 10)}.get(kind)
        units = [unit] if kind != "compressed" else [fits.PrimaryHDU(), unit]
        path = tmp_path / f"{name}.fits"
        fits.HDUList(units).writeto(path)
        if scaled:
            content = path.read_bytes()
            card = fits.Card("BSCALE", scaled[0]).image, fits.Card("BZERO", scaled[1]).image
            end = content.index(b"END" + b" " * 77)
            path.write_bytes(content[:end] + "".join(card).encode() + content[end : end + 80] + content[end + 240 :])
        if (kind, name) == ("unsigned", "whole"):
            assert read_pixels(path, ()).image[0, 3, 4] * 65535 == 2000 + 32768
            continue
        with pytest.raises(InputError, match=said):
            read_pixels(path, ())


def test_fits_with_several_images_or_cut_off(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    image = values((20, 31), np.float32)
    units = [fits.PrimaryHDU(), fits.ImageHDU(image, name="SCI"), fits.ImageHDU(image * 0, name="ERR")]
    fits.HDUList(units).writeto(tmp_path / "hst.fits")
    assert np.array_equal(read_pixels(tmp_path / "hst.fits", ()).image[0], image)
    units[1].name = "A"
    fits.HDUList(units).writeto(tmp_path / "two.fits")
    with pytest.raises(InputError, match=r"2 images \(A \(20x31\), ERR"):
        read_pixels(tmp_path / "two.fits", ())
    content = (tmp_path / "hst.fits").read_bytes()
    fits.writeto(tmp_path / "whole.fits", image)
    content = (tmp_path / "whole.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(content[:4000])
    (tmp_path / "empty.fits").write_bytes(b"")
    for name in ("cut", "empty"):
        with pytest.raises(InputError, match=f"{name}.fits cannot be read as an image"):
            read_pixels(tmp_path / f"{name}.fits", ())


def test_without_astropy_fits_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.fits").write_bytes(b"SIMPLE  =                    T")
    monkeypatch.setitem(__import__("sys").modules, "astropy.io", None)
    with pytest.raises(InputError, match=r"pip install 'nidbench\[fits\]'"):
        read_pixels(tmp_path / "a.fits", ())


@pytest.mark.parametrize("suffix", [".gif", "", ".txt", ".raw"])
def test_formats_that_cannot_be_written(suffix):
    with pytest.raises(InputError, match=r"cannot be written: use \.png"):
        held_type(suffix, np.dtype(np.uint8))
