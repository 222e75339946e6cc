"""What a file says in a way that no writer takes is mended or left out when it is read."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat, savemat

from nidbench.errors import InputError
from nidbench.images.compression import Compression
from nidbench.images.metadata import Metadata, metadata_of
from nidbench.images.stack import count_images, read_stack
from nidbench.images.write import Pixels, encoded

PIXELS = np.arange(20 * 31, dtype=np.uint16).reshape(20, 31)


def again(tmp_path, suffix=".tif", corner=(0, 0), name="a.tif"):
    """Write the pixels with what a file says, and return the path."""
    path = tmp_path / f"b{suffix}"
    path.write_bytes(encoded(suffix, Pixels(PIXELS, "YX", corner), metadata_of(tmp_path / name)))
    return path


def tags_of(path):
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


def test_text_of_a_tiff_beyond_ascii_stays(tmp_path):
    extra = [(33432, 2, 0, "© Müller".encode(), True), (315, 2, 0, "Łukasz".encode(), True)]
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, extratags=extra, metadata=None)
    tags = tags_of(again(tmp_path))
    assert (tags[33432], tags[315]) == ("© Müller", "Łukasz")


@pytest.mark.parametrize("date", [b"2026-01-02T03:04:05", b"yesterday", b"2026:01:02 03:04   "])
def test_a_date_that_is_none_is_left_out(tmp_path, date):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, extratags=[(306, 2, 0, date, True)], metadata=None)
    assert 306 not in tags_of(again(tmp_path))


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_an_orientation_that_there_is_not_is_none(tmp_path, orientation):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, extratags=[(274, 3, 1, orientation, True)], metadata=None)
    assert metadata_of(tmp_path / "a.tif").orientation == 1
    assert 274 not in tags_of(again(tmp_path))


def scaled(path, tags):
    """Write a TIFF of 300 pixels per inch, with some tags replaced."""
    tifffile.imwrite(path, PIXELS, resolution=(300, 300), resolutionunit=2, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for code, value in tags.items():
            file.pages.first.tags[code].overwrite(value)


@pytest.mark.parametrize("ratio", [(0, 0), (1, 0)])
def test_a_resolution_that_is_no_number_is_left_out(tmp_path, ratio):
    scaled(tmp_path / "a.tif", {282: ratio})
    assert metadata_of(tmp_path / "a.tif").per_metre is None
    tags = tags_of(again(tmp_path))
    assert (tags[282], tags[283], tags[296]) == ((1, 1), (1, 1), 1)


@pytest.mark.parametrize("unit", [0, 7])
def test_a_unit_that_there_is_not_is_none(tmp_path, unit):
    scaled(tmp_path / "a.tif", {296: unit})
    tags = tags_of(again(tmp_path))
    assert tags[282][0] / tags[282][1] == pytest.approx(300)
    assert tags[296] == 1


def test_micrometres_of_imagej_are_written_as_it_does(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, metadata={"unit": "um", "Info": "5 µm beads"})
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content.replace(b"unit=um", b"unit=\xb5m"))
    with tifffile.TiffFile(again(tmp_path)) as file:
        assert file.imagej_metadata["unit"] == "\\u00b5m"
        assert file.imagej_metadata["Info"] == "5 µm beads"


def fits_of(tmp_path, *cards):
    """Make a file with cards that astropy would not write."""
    fits = pytest.importorskip("astropy.io.fits")
    fits.writeto(tmp_path / "a.fits", PIXELS, fits.Header([("OBJECT", "M 31"), ("HERE", 1)]))
    content = bytearray((tmp_path / "a.fits").read_bytes())
    start = content.index(b"HERE    =")
    for place, card in enumerate((*cards, "END")):
        content[start + 80 * place : start + 80 * (place + 1)] = card.encode().ljust(80)
    (tmp_path / "a.fits").write_bytes(content)
    return fits


def test_keywords_that_fits_has_not_are_left_out(tmp_path):
    fits = fits_of(tmp_path, "EXP TIM =                 30.0", "EXP(S)  =                 30.0", "GAIN    = 2.5")
    assert metadata_of(tmp_path / "a.fits").damaged == ("EXP TIM", "EXP(S)")
    header = fits.getheader(again(tmp_path, ".fits", name="a.fits"))
    assert (header["OBJECT"], header["GAIN"]) == ("M 31", 2.5)
    assert not any(keyword.startswith("EXP") for keyword in header)


@pytest.mark.parametrize("card", ["CRPIX1  = abc def", "CRPIX1  = 'abc'", "CRPIX1  ="])
def test_coordinates_that_are_no_numbers_stay(tmp_path, card):
    fits = fits_of(tmp_path, card, "CRPIX2  = 3.0")
    header = fits.getheader(again(tmp_path, ".fits", corner=(2, 5), name="a.fits"))
    assert header["CRPIX2"] == 5.0
    assert not isinstance(header["CRPIX1"], float)


@pytest.mark.parametrize("axes", ["YXZ", "YXSZ"])
def test_stacks_of_matlab_count_along_the_last_axis(tmp_path, axes):
    stored = np.random.default_rng(0).random((20, 31, 4) if axes == "YXZ" else (20, 31, 3, 5))
    path = tmp_path / "a.mat"
    path.write_bytes(encoded(".mat", Pixels(stored, axes), Metadata()))
    stack = read_stack(path, (), paged=True)
    assert np.array_equal(stack.stored.values.squeeze(), np.moveaxis(stored, -1, 0))
    assert np.array_equal(stack.arranged(stack.stored.values), stored)
    (tmp_path / "b.tif").write_bytes(encoded(".tif", Pixels(stored, axes), Metadata()))
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), np.moveaxis(stored, -1, 0))
    first = np.ascontiguousarray(np.moveaxis(stored, -1, 0))
    (tmp_path / "c.mat").write_bytes(encoded(".mat", Pixels(first, axes[-1] + axes[:-1]), Metadata()))
    assert np.array_equal(loadmat(tmp_path / "c.mat")["image"], stored)
    if axes == "YXSZ":
        assert count_images(path, ()) == (5, (20, 31))


@pytest.mark.parametrize(("channels", "name"), [(2, "gray and alpha"), (4, "RGBA")])
@pytest.mark.parametrize("suffix", [".npy", ".mat"])
def test_colours_with_alpha_are_no_stack(tmp_path, suffix, channels, name):
    values = np.random.default_rng(0).random((20, 31, channels))
    np.save(tmp_path / "a.npy", values)
    savemat(tmp_path / "a.mat", {"image": values})
    with pytest.raises(InputError, match=f"seems to be {name}: save it without alpha"):
        count_images(tmp_path / f"a{suffix}", ())


@pytest.mark.parametrize("step", [2, 8, 20])
def test_the_rounding_of_a_jpeg_is_that_of_its_steps(tmp_path, step):
    """Of noise far above the steps every coefficient is rounded by an error uniform in one of them."""
    noise = (40 * np.random.default_rng(0).standard_normal((160, 160)) + 128).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", qtables=[[step] * 64])
    with Image.open(tmp_path / "a.jpg") as file:
        rounded = np.asarray(file, float) - noise
    rounding = metadata_of(tmp_path / "a.jpg").compression.rounding
    assert rounding == pytest.approx(step / np.sqrt(12) / 255)
    assert np.hypot(rounding * 255, np.sqrt(1 / 12)) == pytest.approx(rounded.std(), rel=0.05)  # and to whole numbers
    Image.fromarray(noise).save(tmp_path / "a.png")
    assert metadata_of(tmp_path / "a.png").compression is None


@pytest.mark.parametrize("channels", [1, 3])
def test_the_rounding_of_a_jpeg_within_a_tiff_is_that_of_its_steps(tmp_path, channels):
    noise = np.random.default_rng(0).integers(0, 256, (160, 160) if channels == 1 else (160, 160, 3), np.uint8)
    for quality in (50, 90):
        Image.fromarray(noise).save(tmp_path / "a.jpg", quality=quality)
        Image.fromarray(noise).save(tmp_path / "a.tif", compression="jpeg", quality=quality)
        assert metadata_of(tmp_path / "a.tif").compression == metadata_of(tmp_path / "a.jpg").compression
    Image.fromarray(noise).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert metadata_of(tmp_path / "a.tif").compression is None


def test_a_jpeg_within_a_tiff_that_is_not_read_here_has_lost_values_of_unknown_size(tmp_path):
    """Of 12 bit, say: other libraries read its pixels."""
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "a.tif", compression="jpeg")
    content = (tmp_path / "a.tif").read_bytes()
    frame = content.index(b"\xff\xc0")
    (tmp_path / "a.tif").write_bytes(content[: frame + 4] + b"\x0c" + content[frame + 5 :])
    assert metadata_of(tmp_path / "a.tif").compression == Compression("JPEG", None)


@pytest.mark.parametrize("profile", [b"", b"VP7 profile"])
def test_a_webp_has_lost_values_unless_it_is_lossless(tmp_path, profile):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    picture.save(tmp_path / "a.webp", quality=80, icc_profile=profile)
    assert metadata_of(tmp_path / "a.webp").compression == Compression("WebP", None)
    picture.save(tmp_path / "a.webp", lossless=True, icc_profile=profile)
    assert metadata_of(tmp_path / "a.webp").compression is None


@pytest.mark.parametrize(("code", "name"), [(34712, "JPEG2000"), (33003, "APERIO_JP2000_YCBC"), (50001, "WEBP")])
def test_other_compressions_of_tiff_may_have_lost_values(tmp_path, code, name):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 31), np.uint8))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages.first.tags["Compression"].overwrite(code)
    assert metadata_of(tmp_path / "a.tif").compression == Compression(name, None)
