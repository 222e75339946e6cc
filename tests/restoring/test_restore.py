"""An image file in, a restored file out: type, range, size and metadata as they came; what cannot be is said."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

import nidbench as nb
from nidbench.compute.same_process import SameProcess
from nidbench.errors import InputError, NidbenchError
from nidbench.images.stack import read_stack
from nidbench.physics.measure import blur
from nidbench.physics.noise_level import estimate_noise_level
from nidbench.registry.entry_points import Registry, load_method
from nidbench.restoring import restore as module
from nidbench.restoring.bench import Bench, Expected, Place, one_method
from nidbench.restoring.events import Silent
from nidbench.restoring.request import Request
from nidbench.restoring.restore import restore
from nidbench.restoring.source import _as_type, read_source
from nidbench.restoring.twin import TIED, rank, shown_psnr, twin_of
from nidbench.system.whole_files import write_new

KERNEL = np.pad(np.outer([1, 2, 3, 2, 1], [1, 3, 2, 1, 0.5]), 1)
KERNEL /= KERNEL.sum()


class Notes(Silent):
    """Keeps what is said, and the residuals on the way."""

    def __init__(self):
        self.texts, self.parts, self.residuals = [], [], []

    def said(self, text):
        self.texts.append(text)

    def began(self, text):
        self.parts.append(text)

    def residual(self, iteration, relative):
        self.residuals.append((iteration, relative))


def scene(channels=1, height=60, width=70):
    blocks = np.random.default_rng(1).random((channels, -(-height // 10), -(-width // 10)))
    return 0.15 + 0.7 * np.kron(blocks, np.ones((10, 10)))[:, :height, :width]


def blurred(channels=1, sigma=0.01):
    y = blur(scene(channels), KERNEL)
    return y + np.random.default_rng(2).normal(0, sigma, y.shape)


@pytest.fixture
def kernel(tmp_path):
    np.save(tmp_path / "psf.npy", KERNEL)
    return str(tmp_path / "psf.npy")


def run(image, kernel, out, notes=None, **asked):
    asked.setdefault("method", "wiener")
    return restore(
        Request(image=image, kernel=kernel, out=out, **asked), Place(computer=SameProcess()), notes or Silent()
    )


def expected(channels=1, levels=None, **asked):
    """What `nb.restore` makes of the same numbers."""
    y = blurred(channels)
    y = y if levels is None else np.rint(y.clip(0, 1) * levels) / levels
    return nb.restore("wiener", y.astype(np.float32), KERNEL, **asked)


@pytest.mark.parametrize(("name", "quality"), [("a.jpg", 50), ("a.jpg", 75), ("a.tif", 75)])
def test_what_a_jpeg_has_rounded_off_counts_as_noise(tmp_path, kernel, name, quality):
    """Its noise is not seen in it: taken for nearly free of noise, the image was restored worse than it was."""
    path, jpeg, compression = tmp_path / name, tmp_path / "a.jpg", {} if name == "a.jpg" else {"compression": "jpeg"}
    picture = Image.fromarray(np.rint(255 * blurred()[0].clip(0, 1)).astype(np.uint8))
    picture.save(jpeg, quality=quality)
    picture.save(path, quality=quality, **compression)
    with Image.open(jpeg) as file:
        y, steps = np.asarray(file, np.float32)[None] / 255, np.array(file.quantization[0])
    estimate, of_rounding, notes = estimate_noise_level(y), np.sqrt(np.mean(steps**2) / 12) / 255 / 3, Notes()
    done = run(path, kernel, tmp_path / "b.npy", notes, method="tv")
    assert done.pages[0].sigma == pytest.approx(np.hypot(estimate, of_rounding))
    assert any(f"{of_rounding:.2g} of intensity 1 is taken for what it has rounded off" in text for text in notes.texts)
    truth, restored = scene()[:, 3:-3, 3:-3], np.load(tmp_path / "b.npy")[None] / 255
    plain = nb.restore("tv", y, KERNEL, noise=f"gaussian:{estimate}")
    assert nb.psnr(restored, truth) > max(nb.psnr(plain, truth), nb.psnr(y, truth)) + 1
    run(path, kernel, tmp_path / "c.png", notes := Notes(), noise="gaussian:0.01")
    assert not any("JPEG" in text for text in notes.texts)


def test_who_restores_a_lossy_file_of_unknown_loss_is_told(tmp_path, kernel):
    picture = Image.fromarray(np.rint(255 * blurred()[0].clip(0, 1)).astype(np.uint8))
    for lossless in (False, True):
        picture.save(tmp_path / "a.webp", lossless=lossless)
        run(tmp_path / "a.webp", kernel, tmp_path / f"{lossless}.npy", notes := Notes(), method="tv")
        assert any("WebP hides noise, so that the estimate" in text for text in notes.texts) != lossless


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.tif", np.uint16), ("a.png", np.uint16), ("a.png", np.uint8), ("a.bmp", np.uint8), ("a.fits", np.uint16)],
)
def test_integers_keep_depth_range_and_size(tmp_path, kernel, name, kind, channels):
    if name.endswith("fits"):
        pytest.importorskip("astropy")
    top = np.iinfo(kind).max
    stored = np.rint(blurred(channels).clip(0, 1) * top).astype(kind).transpose(1, 2, 0)
    write(tmp_path / name, stored)
    done = run(tmp_path / name, kernel, tmp_path / f"out_{name}")
    back = read_stack(tmp_path / f"out_{name}", (), paged=False).stored.values[0]
    assert back.dtype == kind
    assert back.shape == stored.shape
    x = expected(channels, top).transpose(1, 2, 0) * np.float64(top)
    assert np.abs(back - np.rint(x).clip(0, top)).max() <= 1
    assert done.clipped == np.count_nonzero((np.rint(x) < 0) | (np.rint(x) > top))
    assert done.complete


def write(path, stored):
    from nidbench.images.metadata import Metadata
    from nidbench.images.write import Pixels, encoded

    axes = "YXS" if stored.shape[-1] == 3 else "YX"
    values = stored if axes == "YXS" else stored[..., 0]
    path.write_bytes(encoded(path.suffix, Pixels(values, axes), Metadata()))


@pytest.mark.parametrize("layout", [(0, 1, 2), (1, 2, 0)])
def test_arrays_keep_layout_and_type(tmp_path, kernel, layout):
    y = blurred(3).astype(np.float64).transpose(layout)
    np.save(tmp_path / "a.npy", y)
    run(tmp_path / "a.npy", kernel, tmp_path / "b.npy")
    back = np.load(tmp_path / "b.npy")
    assert (back.dtype, back.shape) == (np.float64, y.shape)
    np.testing.assert_allclose(back, expected(3).transpose(layout), atol=1e-6)


def test_counts_in_real_numbers_stay_counts(tmp_path, kernel):
    notes = Notes()
    tifffile.imwrite(tmp_path / "a.tif", (3000 * blurred()[0] - 20).astype(np.float32))
    done = run(tmp_path / "a.tif", kernel, tmp_path / "b.tif", notes)
    back = tifffile.imread(tmp_path / "b.tif")
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, 3000 * expected()[0] - 20, atol=3)
    assert "the largest is taken for intensity 1" in notes.texts[0]
    assert done.pages[0].sigma * done.white == pytest.approx(30, rel=0.3)


def test_twelve_bit_values_stay_below_4096(tmp_path, kernel):
    stored = np.rint(blurred()[0].clip(0, 1) * 4095).astype(np.uint16)
    stored[20:30, 20:30] = 4095
    tifffile.imwrite(tmp_path / "a.tif", stored)
    done = run(tmp_path / "a.tif", kernel, tmp_path / "b.tif", bits=12)
    assert tifffile.imread(tmp_path / "b.tif").max() == 4095
    assert done.clipped > 0


def test_six_bit_values_in_8_bit_stay_below_64(tmp_path, kernel):
    stored = np.rint(blurred()[0].clip(0, 1) * 63).astype(np.uint8)
    stored[20:30, 20:30] = 63
    np.save(tmp_path / "a.npy", stored)
    done = run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", bits=6)
    assert done.white == 63
    assert np.load(tmp_path / "b.npy").max() == 63
    assert done.clipped > 0


@pytest.mark.parametrize("frame", ["y", "full"])
def test_the_frame_is_that_asked_for(tmp_path, kernel, frame):
    np.save(tmp_path / "a.npy", blurred()[0])
    run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", frame=frame)
    assert np.load(tmp_path / "b.npy").shape == (blurred()[0].shape if frame == "y" else scene()[0].shape)


def test_a_gamma_is_undone_and_done_again(tmp_path, kernel):
    stored = (blurred().clip(0, 1) ** (1 / 2.2)).astype(np.float32)
    np.save(tmp_path / "a.npy", stored[0])
    run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", response="gamma:2.2")
    linear = nb.restore("wiener", stored, KERNEL, response="gamma:2.2")
    np.testing.assert_allclose(np.load(tmp_path / "b.npy"), linear[0].clip(0, None) ** (1 / 2.2), atol=1e-5)


def test_what_the_format_of_the_output_cannot_hold_is_said(tmp_path, kernel):
    np.save(tmp_path / "a.npy", 4 * blurred()[0])
    done = run(tmp_path / "a.npy", kernel, tmp_path / "b.png", scale=4)
    assert read_stack(tmp_path / "b.png", (), paged=False).stored.values.dtype == np.uint16
    assert ".png holds no float64: rounded to 16 bit, where 65535 stands for the 4 of a.npy" in done.notes
    done = run(tmp_path / "a.npy", kernel, tmp_path / "b.jpg", scale=4)
    assert any("8 bit" in note for note in done.notes)
    assert any("JPEG loses detail" in note for note in done.notes)


def test_noise_that_is_given_is_used_and_said(tmp_path, kernel):
    np.save(tmp_path / "a.npy", blurred()[0])
    known = run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", noise="gaussian:0.02")
    assert (known.pages[0].sigma, known.estimated) == (0.02, False)
    np.testing.assert_allclose(np.load(tmp_path / "b.npy"), expected(noise="gaussian:0.02")[0], atol=1e-6)
    poisson = run(tmp_path / "a.npy", kernel, tmp_path / "c.npy", noise="poisson:1000")
    assert poisson.pages[0].sigma == pytest.approx((blurred().mean() / 1000) ** 0.5, rel=1e-3)
    for wrong in ("bsnr:40", "gaussian:5", "salt:1"):
        with pytest.raises(InputError):
            run(tmp_path / "a.npy", kernel, tmp_path / "d.npy", noise=wrong)


def test_the_residual_of_a_restoration_is_reported_on_the_way_and_at_the_end(tmp_path, kernel):
    np.save(tmp_path / "a.npy", blurred()[0])
    notes = Notes()
    done = run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", notes, method="tv", noise="gaussian:0.01")
    assert [iteration for iteration, _ in notes.residuals] == [25, 50, 75, 100]
    assert done.pages[0].tests.chi_squared == pytest.approx(notes.residuals[-1][1] ** 2, rel=1e-3)
    assert 0.5 < done.pages[0].tests.chi_squared < 1.3


def test_stacks_are_restored_page_by_page_when_asked(tmp_path, kernel):
    pages = np.stack([blurred()[0], blurred()[0][:, ::-1], 0.5 * blurred()[0]]).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    with pytest.raises(InputError, match="holds 3 images of 54x64: --pages all restores each by itself"):
        run(tmp_path / "a.tif", kernel, tmp_path / "b.tif")
    assert not (tmp_path / "b.tif").exists()
    done = run(tmp_path / "a.tif", kernel, tmp_path / "b.tif", pages="all")
    back = tifffile.imread(tmp_path / "b.tif")
    assert (back.shape, len(done.pages)) == (pages.shape, 3)
    for page, restored in zip(pages, back, strict=True):
        np.testing.assert_allclose(restored, nb.restore("wiener", page, KERNEL), atol=1e-5)
    run(tmp_path / "a.tif", kernel, tmp_path / "c.tif", pages="2")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "c.tif"), back[1])
    for wrong, words in (("4", "no page 4 among its 3"), ("0", "not all or a number"), ("two", "not all or a number")):
        with pytest.raises(InputError, match=words):
            run(tmp_path / "a.tif", kernel, tmp_path / "d.tif", pages=wrong)
    with pytest.raises(InputError, match="holds a single image, and this is a stack"):
        run(tmp_path / "a.tif", kernel, tmp_path / "d.png", pages="all")


def test_an_ome_description_stays_where_it_is_of_the_same_images(tmp_path, kernel):
    pages = np.stack([blurred()[0]] * 3).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.ome.tif", pages, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.1})
    kept = run(tmp_path / "a.ome.tif", kernel, tmp_path / "b.tif", pages="all")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert (file.is_ome, file.series[0].shape) == (True, pages.shape)
        assert 'PhysicalSizeX="0.1"' in file.ome_metadata
    assert not kept.notes
    for asked in ({"pages": "2"}, {"pages": "all", "frame": "full"}):
        other = run(tmp_path / "a.ome.tif", kernel, tmp_path / "c.tif", overwrite=True, **asked)
        with tifffile.TiffFile(tmp_path / "c.tif") as file:
            assert not file.is_ome
            assert len(file.pages) == (1 if asked["pages"] == "2" else 3)
        assert any("is of other images, and was left out" in note for note in other.notes)


def test_a_preview_and_a_variance_that_no_classic_has(tmp_path, kernel):
    np.save(tmp_path / "a.npy", blurred(3).transpose(1, 2, 0))
    paths = {"preview": tmp_path / "p.png", "variance": tmp_path / "v.tif"}
    done = run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", **paths)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.mode == "RGB"
        assert picture.width > 2 * 60
    assert not (tmp_path / "v.tif").exists()
    assert not done.complete
    assert any("gives no variance" in note for note in done.notes)


SPREAD = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from nidbench.contract import MethodInfo, Problem, Restored, Run

@dataclass(frozen=True)
class Spread:
    info: ClassVar[MethodInfo] = MethodInfo("spread", year=2026)
    mode: str = "fine"

    def restore(self, problem: Problem, run: Run) -> Restored:
        x = problem.operator("cpu").tapered.numpy()
        if self.mode == "fails":
            raise RuntimeError("no such luck")
        if self.mode == "memory":
            raise MemoryError
        if self.mode == "nan":
            return Restored(x * np.nan)
        return Restored(x, variance=np.full_like(x, 0.25))
"""


def test_a_variance_is_in_squares_of_the_file_s_values(tmp_path, kernel):
    (tmp_path / "spread.py").write_text(SPREAD)
    np.save(tmp_path / "a.npy", 100 * blurred()[0])
    own = {"method": "spread", "method_file": tmp_path / "spread.py"}
    run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", scale=100, variance=tmp_path / "v.npy", **own)
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), 0.25 * 100**2)
    assert np.load(tmp_path / "v.npy").shape == blurred()[0].shape


@pytest.mark.parametrize(
    ("mode", "words"),
    [("fails", "no such luck"), ("memory", "ran out of memory on 54x64"), ("nan", "nothing was written")],
)
def test_a_method_that_fails_writes_nothing(tmp_path, kernel, mode, words):
    (tmp_path / "spread.py").write_text(SPREAD)
    np.save(tmp_path / "a.npy", blurred()[0])
    (tmp_path / "b.npy").write_bytes(b"before")
    own = {"method": f"spread[mode={mode}]", "method_file": tmp_path / "spread.py", "overwrite": True}
    with pytest.raises(NidbenchError, match=words):
        run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", **own)
    assert (tmp_path / "b.npy").read_bytes() == b"before"


# --- outputs that cannot be ------------------------------------------------------------------------------------------


def test_outputs_that_cannot_be_are_refused_before_anything_is_computed(tmp_path, kernel):
    image = tmp_path / "a.npy"
    np.save(image, blurred()[0])
    (tmp_path / "there.npy").write_bytes(b"before")
    for out, words in {
        "there.npy": "exists: give another file, or --overwrite",
        "none/b.npy": "there is no folder",
        "b.gif": "cannot be written: use",
        "b": "cannot be written: use",
        ".": "is a folder",
    }.items():
        with pytest.raises(InputError, match=words):
            run(image, kernel, tmp_path / out)
    assert (tmp_path / "there.npy").read_bytes() == b"before"
    for asked, words in (
        ({"variance": tmp_path / "v.png"}, "cannot hold a variance"),
        ({"preview": tmp_path / "p.jpg"}, "give it the suffix .png"),
        ({"variance": tmp_path / "b.npy"}, "have one file"),
    ):
        with pytest.raises(InputError, match=words):
            run(image, kernel, tmp_path / "b.npy", **asked)
    for own in (image, Path(kernel)):
        with pytest.raises(InputError, match=r"is the (measurement itself|kernel's file)"):
            run(image, kernel, own, overwrite=True)
    run(image, kernel, tmp_path / "there.npy", overwrite=True)
    assert np.load(tmp_path / "there.npy").shape == blurred()[0].shape


def test_fits_without_astropy_is_refused_before_anything_is_computed(tmp_path, kernel, monkeypatch):
    np.save(tmp_path / "a.npy", blurred()[0])
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    with pytest.raises(InputError, match=r"pip install 'nidbench\[fits\]'"):
        Request(image=tmp_path / "a.npy", kernel=kernel, out=tmp_path / "b.fits")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("folder", [False, True])
def test_what_appears_in_the_place_of_the_output_stays_and_so_does_the_result(tmp_path, kernel, folder, overwrite):
    np.save(tmp_path / "a.npy", blurred()[0])
    out = tmp_path / "b.npy"
    (tmp_path / "b-2.npy").write_bytes(b"another")

    class Meanwhile(Notes):
        def began(self, _):
            out.mkdir() if folder else out.write_bytes(b"somebody's")

    done = run(tmp_path / "a.npy", kernel, out, Meanwhile(), overwrite=overwrite)
    run(tmp_path / "a.npy", kernel, tmp_path / "right.npy")
    (_, written) = done.files[0]
    is_replaced = overwrite and not folder
    assert written == str(out if is_replaced else tmp_path / "b-3.npy")
    assert Path(written).read_bytes() == (tmp_path / "right.npy").read_bytes()
    assert (tmp_path / "b-2.npy").read_bytes() == b"another"
    assert out.is_dir() if folder else is_replaced or out.read_bytes() == b"somebody's"
    assert any("b-3.npy" in note for note in done.notes) != is_replaced
    assert not list(tmp_path.glob(".*"))


def test_a_new_file_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    for name in ("a.b.tif", "a.b-2.tif"):
        assert write_new(tmp_path / "a.b.tif", name.encode()) == tmp_path / name
        assert (tmp_path / name).read_bytes() == name.encode()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("noise", ["garbage", "gaussian:", "salt:0.1", "bsnr:40"])
def test_noise_that_is_refused_offers_what_restore_takes(tmp_path, kernel, noise):
    np.save(tmp_path / "a.npy", blurred()[0])
    with pytest.raises(InputError, match=r"use gaussian:0\.05 .*poisson:128 .*alone") as refused:
        run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", noise=noise)
    assert "bsnr" not in str(refused.value).removeprefix(f"noise {noise!r}")


@pytest.mark.parametrize(
    ("top", "scale", "method", "words"),
    [
        (1.0, None, "dip@smoke", ""),
        (
            1.7,
            1.0,
            "dip@smoke",
            r"0 to 1, of which 1 is 1 of a.npy, and 0\.\d+ of its .*up to 1\.\d+: .*--scale 1\.\d,",
        ),
        (5000.0, None, "dip@smoke", "of a.npy, its largest: .*say a --scale above it"),
        (5000.0, 5000.0, "dip@smoke", ""),
        (1.7, 1.0, "wiener", ""),
    ],
)
def test_a_network_that_cannot_be_as_bright_says_so_before_computing(tmp_path, kernel, top, scale, method, words):
    np.save(tmp_path / "a.npy", top * blurred()[0].clip(0, 1).astype(np.float64))
    notes = Notes()
    run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", notes, method=method, scale=scale)
    said = [text for text in notes.texts if "too dark" in text]
    assert len(said) == (1 if words else 0)
    assert not words or re.search(words, said[0])


def test_methods_that_say_so_never_exceed_one_and_other_networks_do():
    bright = (1.8 * blurred()[0, :20, :20]).astype(np.float32)
    registry = Registry.installed("method")
    bounded = [name for name in registry.targets if load_method(registry, name).info.bounded]
    highest = {
        name: nb.restore(f"{name}@smoke[iterations=15,lr=0.05]", bright, KERNEL, noise="gaussian:0.03").max()
        for name in (*bounded, "inr", "aseqdip", "self-diffusion")
    }
    assert {"ours", "dip", "ddec"} <= set(bounded)
    assert {name for name, value in highest.items() if value <= 1} == set(bounded)


def test_a_folder_that_is_read_only(tmp_path, kernel):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    np.save(tmp_path / "a.npy", blurred()[0])
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written to"):
        run(tmp_path / "a.npy", kernel, tmp_path / "locked" / "b.npy")


def test_a_file_that_the_system_cuts_off_is_not_there(tmp_path):
    """A limit of the process's file size, as of a quota, comes in the middle of writing."""
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom nidbench.restoring.request import write_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n    write_file(Path(sys.argv[1]), bytes(20000), overwrite=True)\n"
        "except Exception as error:\n    print(error)\n"
    )
    (tmp_path / "b.npy").write_bytes(b"before")
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "b.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not be written (File too large)" in done.stdout
    assert (tmp_path / "b.npy").read_bytes() == b"before"
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*.partial"))


def test_a_full_disk_is_said_before_anything_is_computed(tmp_path, kernel, on_small_disk):
    np.save(tmp_path / "a.npy", blurred()[0].astype(np.float64))
    printed = on_small_disk(
        """
        import sys
        from pathlib import Path
        from nidbench.compute.same_process import SameProcess
        from nidbench.restoring.bench import Place
        from nidbench.restoring.events import Silent
        from nidbench.restoring.request import Request
        from nidbench.restoring.restore import restore

        disk, image, kernel = map(Path, sys.argv[1:])
        request = Request(image=image, kernel=str(kernel), out=disk / "b.npy", method="wiener")
        try:
            restore(request, Place(computer=SameProcess()), Silent())
        except Exception as error:
            print(error)
        print(list(disk.iterdir()))
        """,
        8,
        tmp_path / "a.npy",
        kernel,
    )
    assert "its disk has" in printed
    assert printed.endswith("[]\n")


# --- inputs that cannot be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tif", b"", "cannot be restored"),
        ("a.tif", b"II*\0\x08\0\0\0", "cannot be restored"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "cannot be restored"),
        ("a.npy", b"\x93NUMPY\x01\0v\0", "cannot be restored"),
        ("a.mat", b"MATLAB", "cannot be restored"),
        ("a.txt", b"1 2 3\n4 5 6\n", "give a gray or RGB image: TIFF"),
        ("a.png", b"GIF89a", "cannot be restored"),
    ],
)
def test_files_that_are_no_images(tmp_path, kernel, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        run(tmp_path / name, kernel, tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((30, 30), np.nan), "NaN or infinity, in 900 of 900 values: fill these, or cut them off"),
        (np.zeros((0, 30)), "0x30 pixels"),
        (np.zeros((30,)), r"shape \(30,\)"),
        (np.zeros((30, 30), complex), "not real numbers"),
        (np.zeros((30, 30), bool), "black and white only"),
        (np.linspace(-1, 1, 900).reshape(30, 30), r"\[-1, 1\]"),
        (np.array([{"a": 1}]), "Python objects"),
        (np.zeros((8, 40)), "8x40 pixels"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, kernel, values, words):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=words):
        run(tmp_path / "a.npy", kernel, tmp_path / "b.npy")


def test_images_that_are_missing_or_folders(tmp_path, kernel):
    for image in (tmp_path / "none.tif", tmp_path):
        with pytest.raises(InputError, match="cannot be restored"):
            run(image, kernel, tmp_path / "b.npy")


def test_an_image_of_one_value_is_restored_to_it(tmp_path, kernel):
    np.save(tmp_path / "a.npy", np.full((40, 41), 0.25))
    done = run(tmp_path / "a.npy", kernel, tmp_path / "b.npy")
    np.testing.assert_allclose(np.load(tmp_path / "b.npy"), 0.25, atol=1e-3)
    assert done.pages[0].sigma == pytest.approx(0, abs=1e-6)


def test_three_planes_may_be_colours(tmp_path, kernel):
    planes = np.rint(blurred(3).clip(0, 1) * 65535).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match=r"holds 3 images .*--pages 1 the first; where .* save it as \(H, W, 3\)"):
        run(tmp_path / "a.tif", kernel, tmp_path / "b.tif")


def test_alpha_that_is_opaque_is_said(tmp_path, kernel):
    levels = np.rint(255 * blurred(3).clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(np.dstack([levels, np.full(levels.shape[:2], 255, np.uint8)])).save(tmp_path / "a.png")
    notes = Notes()
    run(tmp_path / "a.png", kernel, tmp_path / "b.png", notes)
    assert "a.png has an alpha channel, opaque everywhere, which is left out" in notes.texts
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.mode == "RGB"


# --- kernels ---------------------------------------------------------------------------------------------------------


def test_a_kernel_that_is_off_on_a_pedestal_or_turned_is_mended_when_asked(tmp_path):
    np.save(tmp_path / "a.npy", blurred()[0])
    np.save(tmp_path / "k.npy", KERNEL)
    run(tmp_path / "a.npy", str(tmp_path / "k.npy"), tmp_path / "right.npy", noise="gaussian:0.01")
    right = np.load(tmp_path / "right.npy")
    wide = np.pad(KERNEL, 4)
    mended = {
        "pedestal.npy:border": 100 + 5000 * wide,
        "off.npy:centred": np.pad(KERNEL, ((0, 10), (6, 0))),
        "corners.npy:centred": np.fft.ifftshift(wide),
        "turned.npy:turned": KERNEL[::-1, ::-1],
    }
    for name, weights in mended.items():
        np.save(tmp_path / name.partition(":")[0], weights)
        run(tmp_path / "a.npy", str(tmp_path / name), tmp_path / "b.npy", noise="gaussian:0.01", overwrite=True)
        inside = (slice(8, -8), slice(8, -8))
        assert np.sqrt(np.square(np.load(tmp_path / "b.npy") - right)[inside].mean()) < 0.01, name
    for name in ("pedestal.npy", "corners.npy"):
        with pytest.raises(InputError, match=f"{name} is not a kernel .* name it as {tmp_path / name}:") as refused:
            run(tmp_path / "a.npy", str(tmp_path / name), tmp_path / "c.npy")
        assert "measured.toml" not in str(refused.value)
    notes = Notes()
    run(tmp_path / "a.npy", str(tmp_path / "off.npy"), tmp_path / "c.npy", notes)
    assert any(
        "off its middle" in text and f"name it as {tmp_path / 'off.npy'}:centred" in text for text in notes.texts
    )


def test_a_kernel_that_is_a_jpeg_is_told(tmp_path):
    np.save(tmp_path / "a.npy", blurred()[0])
    levels = np.pad(np.rint(255 * KERNEL / KERNEL.max()).astype(np.uint8), 3)
    for name in ("k.jpg", "k.png"):
        Image.fromarray(levels).save(tmp_path / name)
        notes = Notes()
        run(tmp_path / "a.npy", str(tmp_path / name), tmp_path / "b.npy", notes, noise="gaussian:0.01", overwrite=True)
        said = [text for text in notes.texts if f"{name} is a JPEG, which changes weights" in text]
        assert len(said) == (name == "k.jpg")


def test_a_kernel_larger_than_the_image_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", blurred()[0])
    with pytest.raises(InputError, match="is larger than the blurred image of 54x64"):
        run(tmp_path / "a.npy", "gaussian:10", tmp_path / "b.npy")


def test_kernels_by_formula_and_of_sets(tmp_path):
    np.save(tmp_path / "a.npy", blurred()[0])
    for text in ("gaussian:1.2", "disk:2", "motion:5:30", "sample/motion"):
        done = run(tmp_path / "a.npy", text, tmp_path / "b.npy", overwrite=True)
        assert done.complete


# --- time and memory -------------------------------------------------------------------------------------------------


def problem_of(side):
    return nb.measure(np.tile(scene(1, 60, 60)[0], (side // 60 + 1,) * 2)[:side, :side], KERNEL, "gaussian:0.01")


def test_an_image_too_large_for_the_memory_is_refused_with_the_size_that_fits():
    problem = problem_of(400)
    bench = Bench(Place(computer=SameProcess(), memory_limit=10**8), one_method("wiener"))
    with pytest.raises(InputError, match=r"about 1000 bytes a pixel, 152.6M for 394x394 .* cut the image to at most"):
        bench.check_memory(problem, Expected(None, 1000.0))
    bench.check_memory(problem, Expected(None, 500.0))
    try:
        bench.check_memory(problem, Expected(None, 1000.0))
    except InputError as error:
        rows, columns = map(int, str(error).partition("at most ")[2].partition(",")[0].split("x"))
    assert 0.9e8 < 1000 * (rows + 6) * (columns + 6) <= 1e8


def test_a_network_says_how_long_it_takes(tmp_path, kernel):
    np.save(tmp_path / "a.npy", blurred()[0])
    notes = Notes()
    run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", notes, method="dip@smoke")
    assert any(text.startswith("dip@smoke will take about ") for text in notes.texts)
    assert notes.parts == ["timing dip@smoke on a part of the image", "dip@smoke"]


# --- twins -----------------------------------------------------------------------------------------------------------


def test_a_twin_is_the_restoration_blurred_with_the_same_noise():
    problem = problem_of(120)
    truth = np.full((1, *problem.frame), 0.4, np.float32)
    twin, of_twin = twin_of(problem, truth, 0.03)
    assert twin.blurred.shape == problem.blurred.shape
    assert np.array_equal(of_twin, truth)
    assert twin.blurred.std() == pytest.approx(0.03, rel=0.05)
    assert twin.blurred.mean() == pytest.approx(0.4, abs=0.002)
    again, _ = twin_of(problem, truth, 0.03)
    assert np.array_equal(twin.blurred, again.blurred)
    assert shown_psnr(problem, truth + 0.1, truth) == pytest.approx(20, abs=1e-3)


def test_methods_are_ranked_and_failures_come_last():
    problem = problem_of(120)
    truth = np.full((1, *problem.frame), 0.4)

    def made(method, _):
        if method == "broken":
            raise NidbenchError("it fell")
        return truth + {"good": 0.01, "poor": 0.1}[method], 1.0

    ranked = rank(problem, truth, ["poor", "broken", "good"], made)
    assert [each.method for each in ranked] == ["good", "poor", "broken"]
    assert ranked[0].psnr - ranked[1].psnr == pytest.approx(20)
    assert ranked[2].failure == "it fell"
    assert TIED < 1


def test_a_twin_on_the_way(tmp_path, kernel):
    np.save(tmp_path / "a.npy", blurred()[0])
    done = run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", twin="wiener,tv")
    assert {each.method for each in done.twin} == {"wiener", "tv"}
    assert all(np.isfinite(each.psnr) for each in done.twin)


def test_sources_say_what_they_are(tmp_path):
    np.save(tmp_path / "a.npy", blurred(3).astype(np.float32))
    source = read_source(tmp_path / "a.npy")
    assert (source.size, source.colours, source.white) == ((54, 64), 3, 1.0)
    np.testing.assert_array_equal(source.image(0), blurred(3).astype(np.float32))


@pytest.mark.parametrize("bits", [2, 4, 12])
def test_a_tiff_of_few_bits_is_restored_by_its_depth(tmp_path, kernel, pictures, bits):
    """Of 2 and 4 bit, 99 of 100 values were clipped: the largest was taken for white, and levels for those of 8 bit."""
    values = np.rint(blurred()[0].clip(0, 1) * (2**bits - 1)).astype(int)
    (tmp_path / "a.tif").write_bytes(pictures.tiff(values, bits))
    done = run(tmp_path / "a.tif", kernel, tmp_path / "b.tif")
    white = 4095 if bits == 12 else 255
    x = expected(levels=2**bits - 1)[0] * np.float64(white)
    assert np.abs(tifffile.imread(tmp_path / "b.tif") - np.rint(x).clip(0, white)).max() <= 1
    assert not any("range is not known" in note for note in done.notes)


@pytest.mark.parametrize("name", ["a.npy", "a.fits"])
def test_three_planes_taken_for_colours_are_told_of(tmp_path, kernel, name):
    """They may be frames: neither an array nor FITS says which."""
    if name == "a.fits":
        fits = pytest.importorskip("astropy.io.fits")
        fits.writeto(tmp_path / name, blurred(3))
    else:
        np.save(tmp_path / name, blurred(3))
    np.save(tmp_path / "last.npy", blurred(3).transpose(1, 2, 0))
    np.save(tmp_path / "gray.npy", blurred(1))
    heard = {}
    for image, pages in ((name, ""), (name, "all"), ("last.npy", ""), ("gray.npy", "")):
        notes = Notes()
        run(tmp_path / image, kernel, tmp_path / "b.npy", notes, pages=pages, overwrite=True)
        heard[image, pages] = [text for text in notes.texts if "colour image" in text]
    told = f"{name}, of three planes, is read as one colour image; if they are frames, say --pages all"
    assert heard == {(name, ""): [told], (name, "all"): [], ("last.npy", ""): [], ("gray.npy", ""): []}


def test_pages_that_tifffile_cannot_decompress_are_restored(tmp_path, kernel):
    first, second = (Image.fromarray(np.rint(y.clip(0, 1) * 255).astype(np.uint8)) for y in blurred(3)[:2])
    first.save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=[second])
    run(tmp_path / "a.tif", kernel, tmp_path / "b.tif", pages="all")
    run(tmp_path / "a.tif", kernel, tmp_path / "c.tif", pages="2")
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif")[1], tifffile.imread(tmp_path / "c.tif"))


@pytest.mark.parametrize(("kind", "bits", "most"), [(np.int16, 16, 15), (np.uint16, 32, 16)])
def test_bits_that_a_type_cannot_hold_are_refused(tmp_path, kernel, kind, bits, most):
    """White pixels came back black: what was clipped to more bits than there are wrapped round."""
    tifffile.imwrite(tmp_path / "a.tif", (blurred()[0].clip(0, 1) * np.iinfo(kind).max).astype(kind))
    with pytest.raises(InputError, match=f"of {most} bit at most, and {bits} are stated"):
        run(tmp_path / "a.tif", kernel, tmp_path / "b.tif", bits=bits)


def test_bits_of_a_camera_change_nothing_of_8_bit(tmp_path, kernel):
    tifffile.imwrite(tmp_path / "a.tif", np.where(np.arange(70) % 20 < 10, 255, 0).astype(np.uint8)[None].repeat(60, 0))
    for name, bits in (("b.tif", 12), ("c.tif", None)):
        run(tmp_path / "a.tif", kernel, tmp_path / name, bits=bits)
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "c.tif").read_bytes()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_what_is_brighter_than_white_is_white(kind):
    most = np.iinfo(kind).max
    stored, clipped = _as_type(np.array([2.0 * most, -1.0, 5.4]), np.dtype(kind), None)
    assert stored[0] > 0.99 * most
    assert stored[2] == 5
    assert clipped == (1 if np.iinfo(kind).min < 0 else 2)


# --- what a measurement says that no file may -------------------------------------------------------------------------


@pytest.fixture
def image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", blurred()[0].astype(np.float32))
    return tmp_path / "a.tif"


@pytest.mark.parametrize("frame", ["y", "full"])
def test_metadata_that_no_writer_takes_is_left_out_and_said_before_computing(
    tmp_path, kernel, image, monkeypatch, frame
):
    read, notes = module.read_source, Notes()

    def damaged(*asked):
        source = read(*asked)
        return replace(source, metadata=replace(source.metadata, tiff={"datetime": "soon"}))

    monkeypatch.setattr(module, "read_source", damaged)
    (tmp_path / "spread.py").write_text(SPREAD)
    own = {"method": "spread", "method_file": tmp_path / "spread.py", "variance": tmp_path / "v.tif", "frame": frame}
    done = run(image, kernel, tmp_path / "b.tif", notes, **own)
    assert done.complete
    assert tifffile.imread(tmp_path / "b.tif").shape == tifffile.imread(tmp_path / "v.tif").shape
    said = [note for note in notes.texts if "says nothing of what a.tif says beside its pixels" in note]
    assert len(said) == 1
    assert "invalid datetime" in said[0]


def test_a_variance_passes_the_response(tmp_path, kernel):
    stored = blurred().clip(0, 1)[0]
    np.save(tmp_path / "a.npy", 100 * stored)
    (tmp_path / "spread.py").write_text(SPREAD)
    own = {"method": "spread", "method_file": tmp_path / "spread.py", "response": "gamma:2.2"}
    run(tmp_path / "a.npy", kernel, tmp_path / "b.npy", scale=100, variance=tmp_path / "v.npy", **own)
    x = (np.load(tmp_path / "b.npy") / 100) ** 2.2
    high, low = ((x + sign * 0.5).clip(0, None) ** (1 / 2.2) for sign in (1, -1))
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), (50 * (high - low)) ** 2, rtol=1e-3)


def test_stacks_of_matlab(tmp_path, kernel):
    pages = np.stack([blurred()[0], blurred()[0][::-1]], -1).repeat(3, -1)
    savemat(tmp_path / "a.mat", {"image": pages})
    with pytest.raises(InputError, match="holds 6 images of 54x64: --pages all"):
        run(tmp_path / "a.mat", kernel, tmp_path / "b.npy")
    run(tmp_path / "a.mat", kernel, tmp_path / "b.tif", pages="all")
    run(tmp_path / "a.mat", kernel, tmp_path / "c.npy", pages="4")
    np.testing.assert_allclose(tifffile.imread(tmp_path / "b.tif")[3], np.load(tmp_path / "c.npy"), atol=1e-6)


def test_neither_the_kernel_nor_a_link_to_itself_is_written_to(tmp_path, kernel, image, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in (f"{kernel}:border", "~/psf.npy:turned:centred"):
        with pytest.raises(InputError, match="is the kernel's file"):
            Request(image=image, kernel=text, out=tmp_path / "psf.npy", overwrite=True)
    assert np.array_equal(np.load(kernel), KERNEL)
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    with pytest.raises(InputError, match="leads back to itself"):
        Request(image=image, kernel=kernel, out=tmp_path / "loop.tif")


def test_a_link_to_nothing_is_there(tmp_path, kernel, image):
    (link := tmp_path / "link.tif").symlink_to("nothing.tif")
    with pytest.raises(InputError, match=r"link\.tif exists: give another file"):
        Request(image=image, kernel=kernel, out=link)
    Request(image=image, kernel=kernel, out=link, overwrite=True)


def test_what_is_said_of_rows_and_depth(tmp_path, kernel):
    pytest.importorskip("astropy")
    tifffile.imwrite(tmp_path / "a.tif", np.rint(blurred()[0].clip(0, 1) * 4095).astype(np.uint16))
    notes = run(tmp_path / "a.tif", kernel, tmp_path / "b.fits", bits=12).notes
    assert sum("viewers of FITS show row 0 at the bottom" in note for note in notes) == 1
    assert "values are 12 bit, 0 to 4095, in 16-bit numbers" in notes
    assert not run(tmp_path / "b.fits", kernel, tmp_path / "c.fits", bits=16).notes
