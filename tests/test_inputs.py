"""Inputs that gave other programs, and once this one, a wrong number or picture, each with the right value asserted.

They are made after public bug reports of this field; the reports stand with the tests.
"""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.contract import Run
from nidbench.errors import InputError
from nidbench.images import read_kernel
from nidbench.records import Store
from nidbench.registry.entry_points import load_method, methods
from nidbench.rescoring.submission import Submission
from nidbench.rescoring.take import take
from nidbench.scoring.protocols import protocol
from nidbench.sweep.request import Experiment


def scene(height=61, width=74, channels=1, seed=3):
    """A smooth scene with edges, Shape (C, H, W), 8-bit values from 0.05 to 0.95."""
    random = np.random.Generator(np.random.Philox(seed))
    waves = gaussian_filter(random.standard_normal((channels, height, width)), (0, 3, 3)) * 3 + 0.5
    for _ in range(6):
        top, left = random.integers(0, height - 8), random.integers(0, width - 8)
        waves[:, top : top + height // 3, left : left + width // 3] += random.uniform(-0.35, 0.35)
    return np.rint(255 * waves.clip(0.05, 0.95)) / 255


def lopsided(rows, columns):
    """A kernel that no flip leaves as it is, sum 1."""
    kernel = np.zeros((rows, columns))
    kernel[0, 0] = 1
    for step in range(max(rows, columns)):
        at = step * rows // max(rows, columns), step * columns // max(rows, columns)
        kernel[at] += 1.7 - 1.5 * step / max(rows, columns)
    kernel[-1, 0] += 0.4
    return kernel / kernel.sum()


def blurred(x, kernel):
    return np.stack([convolve2d(channel, kernel, mode="valid") for channel in x])


def shown(x, kernel):
    """What y shows of x."""
    rows, columns = ((side - 1) // 2 for side in kernel.shape)
    height, width = (length - side + 1 for length, side in zip(x.shape[1:], kernel.shape, strict=True))
    return x[:, rows : rows + height, columns : columns + width]


def last(image):
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def folder(path, y, kernel, truth, toml="noise = 0.002\n"):
    """A folder of one blurred image `a`, arrays as they are given; no measured.toml for empty text."""
    for name, array in (("blurred", last(y)), ("kernels", kernel), ("truth", last(truth))):
        (path / name).mkdir(parents=True)
        np.save(path / name / "a.npy", array)
    if toml:
        (path / "measured.toml").write_text(toml)
    return path


def only(path, **asked):
    (case,) = cases(CaseRequest(dataset=f"folder:{path}", **asked))
    return case


def restored(case, method="wiener"):
    """x in its frame, linear."""
    return load_method(methods(), method)().restore(case.problem(), Run(seed=0)).image


def score(case, method="wiener"):
    return protocol("half-kernel").score(restored(case, method), case.problem(), case.truths()[0]).psnr


def psnr(one, other):
    return 10 * np.log10(1 / np.mean((one.astype(float) - other) ** 2))


@pytest.mark.parametrize("truth_of", ["y", "x"])
@pytest.mark.parametrize("shape", [(4, 4), (4, 7), (1, 6), (12, 13)])
def test_kernels_of_every_parity_shift_nothing(tmp_path, shape, truth_of):
    """Even kernels a pixel apart: deepinv pull request 954."""
    x, kernel = scene(), lopsided(*shape)
    y = blurred(x, kernel)
    case = only(folder(tmp_path / "mine", y, kernel, x if truth_of == "x" else shown(x, kernel)))
    for method in ("wiener", "fid", "richardson-lucy"):
        image = restored(case, method)
        shifts = [(rows, columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1)]
        fits = {each: psnr(shown(np.roll(image, each, (1, 2)), kernel), shown(x, kernel)) for each in shifts}
        assert max(fits, key=fits.get) == (0, 0)
        rounded = np.rint(255 * shown(image, kernel).clip(0, 1)) / 255
        found = protocol("half-kernel").score(image, case.problem(), case.truths()[0]).psnr
        assert found == pytest.approx(psnr(rounded, shown(x, kernel)), abs=1e-4)


@pytest.mark.parametrize("shape", [(5, 5), (4, 7)])
def test_correlation_is_convolution_with_the_kernel_turned(tmp_path, shape):
    """DMBSR issue 4, SourceXtractorPlusPlus pull request 72."""
    x, kernel = scene(), lopsided(*shape)
    y, sharp = blurred(x, kernel), shown(x, kernel)
    found = {}
    for name, weights, way in (
        ("right", kernel, "convolution"),
        ("turned", kernel[::-1, ::-1], "correlation"),
        ("wrong", kernel, "correlation"),
    ):
        toml = f'noise = 0.002\nkernels = "{way}"\n'
        found[name] = score(only(folder(tmp_path / name, y, weights, sharp, toml)))
    assert found["turned"] == pytest.approx(found["right"], abs=1e-6)
    assert found["wrong"] < found["right"] - 3


def test_the_origin_of_an_even_kernel_is_told_where_it_matters(tmp_path):
    """Mode "same" is centred differently: stackoverflow.com questions 3731093 and 26857829."""
    x = scene()
    for sides, told in (((6, 6), True), ((5, 6), True), ((5, 5), False)):
        kernel = lopsided(*sides)
        y = convolve2d(x[0], kernel, "same", "symm")[None]
        notice = only(folder(tmp_path / f"{sides}", y, kernel, x)).notice
        assert ("kernels of even size have their origin at k//2" in notice) == told
    kernel = lopsided(6, 6)
    assert "even size" not in only(folder(tmp_path / "x", blurred(x, kernel), kernel, x)).notice


@pytest.mark.parametrize("way", ["Pillow", "tifffile", "ImageJ", "one directory"])
def test_a_stack_is_refused_and_never_its_first_page_taken(tmp_path, way):
    """jimp issue 816, flowdec issue 23."""
    x, kernel = scene(), lopsided(15, 15)
    path = folder(tmp_path / "psf", blurred(x, kernel), kernel, shown(x, kernel))
    (path / "kernels" / "a.npy").unlink()
    planes = np.stack([np.ones((15, 15)) / 225, kernel, np.ones((15, 15)) / 225]).astype(np.float32)
    save_stack(path / "kernels" / "a.tif", planes, way)
    with pytest.raises(InputError, match=r"kernels/a\.tif .*page"):
        only(path)
    (tmp_path / "sharp").mkdir()
    save_stack(tmp_path / "sharp" / "cells.tif", np.rint(255 * scene(channels=3)).astype(np.uint8), way)
    with pytest.raises(InputError, match=r"cells\.tif .*page"):
        list(cases(CaseRequest(dataset=f"folder:{tmp_path / 'sharp'}", kernels=("sample",))))


def save_stack(path, planes, way):
    if way == "Pillow":
        first, *others = map(Image.fromarray, planes)
        first.save(path, save_all=True, append_images=others)
    else:
        options = {"tifffile": {}, "ImageJ": {"imagej": True}, "one directory": {"truncate": True}}
        tifffile.imwrite(path, planes, photometric="minisblack", **options[way])


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_in_16_are_told_and_right_where_they_are_stated(tmp_path, bits):
    """Read as of 16 bit they are nearly black, and PSNR rises: CellProfiler issue 4470, fc4 issue 24."""
    x, kernel = scene(), lopsided(5, 5)
    y = blurred(x, kernel) + 0.01 * np.random.default_rng(5).standard_normal((1, 57, 70))

    def levels(image, depth):
        return np.rint(image.clip(0, 1) * (2**depth - 1)).astype(np.uint16)

    deep = folder(tmp_path / "16", levels(y, 16), kernel, levels(shown(x, kernel), 16), "")
    right = only(deep)
    assert "range" not in right.notice
    files = levels(y, bits), kernel, levels(shown(x, kernel), bits)
    unsaid = only(folder(tmp_path / "unsaid", *files, ""))
    for what in ("blurred", "sharp"):
        assert f"range of the {what} images: a.npy has 16-bit values up to" in unsaid.notice
    assert f"if they are of {bits} bit, say bits = {bits} in measured.toml" in unsaid.notice
    stated = only(folder(tmp_path / "stated", *files, f"bits = {bits}\n"))
    assert "range" not in stated.notice
    assert np.abs(stated.problem().blurred - right.problem().blurred).max() <= 0.51 / (2**bits - 1) + 1e-5
    assert score(stated) == pytest.approx(score(right), abs=0.1)
    assert score(unsaid) > score(right) + 4  # the wrong number that is told of


def test_a_dim_picture_of_16_bit_is_read_as_what_it_is_and_told(tmp_path):
    """Photon counts up to 60: scikit-image issues 2551 and 4378."""
    x, kernel = scene(), lopsided(5, 5)
    counts = [np.rint(60 * image).astype(np.uint16) for image in (blurred(x, kernel), shown(x, kernel))]
    case = only(folder(tmp_path / "dim", counts[0], kernel, counts[1], ""))
    assert np.array_equal(case.problem().blurred, (counts[0] / 65535).astype(np.float32))
    assert "16-bit values up to 5" in case.notice


@pytest.mark.parametrize(
    ("blur_scale", "truth_scale"),
    [(4095, 65535), (65535, 4095), (255, 65535), (1023, 4095)],
    ids=["12 and 16 bit", "16 and 12 bit", "8 and 16 bit", "10 and 12 bit"],
)
def test_a_truth_on_another_scale_is_refused_until_it_is_stated(tmp_path, blur_scale, truth_scale):
    x, kernel = scene(), lopsided(5, 5)
    y, sharp = blurred(x, kernel), shown(x, kernel)
    files = np.rint(blur_scale * y).astype(np.uint16), kernel, np.rint(truth_scale * sharp).astype(np.uint16)
    with pytest.raises(InputError, match=r"truth/a\.npy and .*blurred/a\.npy.* are not on one scale.*\[truth\]"):
        only(folder(tmp_path / "unsaid", *files))
    toml = f"[blurred]\nscale = {blur_scale}\n[truth]\nscale = {truth_scale}\n"
    case = only(folder(tmp_path / "said", *files, toml))
    assert np.abs(case.problem().blurred - y).max() < 1 / blur_scale
    assert np.abs(case.truths()[0].image - sharp).max() < 1 / truth_scale


@pytest.fixture
def submitted(tmp_path):
    """Save an array as the only restoration of a sharp scene, and score it."""
    x = scene(64, 70)
    (tmp_path / "sharp").mkdir()
    Image.fromarray(np.rint(255 * x[0]).astype(np.uint8)).save(tmp_path / "sharp" / "a.png")
    experiment = Experiment("theirs", f"folder:{tmp_path / 'sharp'}", "sample", "gaussian:0.02")
    store = Store(tmp_path / "results")

    def score_of(array, **options):
        (tmp_path / "files").mkdir(exist_ok=True)
        np.save(tmp_path / "files" / "a.npy", array)
        taken = take(store, Submission(tmp_path / "files", experiment, "{image}.npy", **options))
        return store.read(taken.sweep.cells[0].id).scores["half-kernel"].psnr, taken

    score_of.x = x[0]
    return score_of


def test_restorations_on_another_range_are_refused(submitted):
    """Networks with tanh give [-1, 1]: piq issue 235."""
    x = submitted.x
    noisy = x + 0.02 * np.random.default_rng(0).standard_normal(x.shape)
    perfect, _ = submitted(x)
    assert perfect == np.inf
    assert submitted(noisy)[0] == pytest.approx(34, abs=0.5)
    bright = 0.7 + 0.3 * x
    for name, wrong in {
        "[-1, 1]": 2 * x - 1,
        "noise on [-1, 1]": 2 * noisy - 1,
        "negative": -x,
        "inverted": 1 - x,
        "0 to 255": 255 * x,
        "single precision": (255 * x).astype(np.float32),
        "divided twice": x / 255,
        "12 of 16 bit": np.rint(4095 * x).astype(np.uint16),
        "whole numbers": np.rint(255 * x).astype(int),
    }.items():
        with pytest.raises(InputError, match=r"a\.npy") as caught:
            submitted(wrong)
        assert "scale" in str(caught.value) or "(values + 1) / 2" in str(caught.value), name
    assert submitted(bright)[0] < 15  # a poor restoration is scored, whatever it is


def test_the_range_of_restorations_can_be_stated(submitted):
    from nidbench.images import Units

    x, key = submitted.x, "--{name} {value}"
    with pytest.raises(InputError, match="if 255 is intensity 1, say --scale 255"):
        submitted(255 * x, units=Units(key=key))
    assert submitted(255 * x, units=Units(255, key=key))[0] == np.inf
    assert submitted(np.rint(4095 * x).astype(np.uint16), units=Units(bits=12, key=key))[0] > 60
    with pytest.raises(InputError, match="not on the scale of the blurred image"):
        submitted(x, units=Units(255, key=key))  # the same file, stated otherwise, is looked at anew
    (value, taken) = submitted(np.rint(65535 * 0.45 * x).astype(np.uint16))
    assert value < 15
    assert any("16-bit values up to" in line for line in taken.lines())


@pytest.mark.parametrize("kind", [">f4", ">f8", ">u2", "fortran"])
def test_byte_order_and_layout_are_no_part_of_the_values(tmp_path, kind):
    """FITS data are big-endian: cosipy issue 636, sep issue 57, cupy issue 3652."""
    x, kernel = scene(channels=3), lopsided(5, 5)
    arrays = [blurred(x, kernel), shown(x, kernel), kernel]
    if kind == ">u2":
        arrays = [np.rint(65535 * each).astype("<u2") for each in arrays]
    native, other = (
        [each if kind == "fortran" else each.astype(f"{way}{kind[1:]}") for each in arrays] for way in "<>"
    )
    plain = only(folder(tmp_path / "native", native[0], native[2], native[1]))
    made = folder(tmp_path / "other", other[0], other[2], other[1])
    if kind == "fortran":
        for path in made.rglob("*.npy"):
            np.save(path, np.asfortranarray(np.load(path)))
    found = only(made)
    for one, same in zip((plain.problem(), plain.truths()[0]), (found.problem(), found.truths()[0]), strict=True):
        for name in ("blurred", "kernel", "image"):
            if hasattr(one, name):
                assert np.array_equal(getattr(one, name), getattr(same, name))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["blurred", "kernels", "truth"])
def test_what_is_not_finite_is_refused_by_its_file(tmp_path, place, value):
    """astropy issue 7662, scikit-image issue 2551."""
    x, kernel = scene(), lopsided(5, 5)
    path = folder(tmp_path / "mine", blurred(x, kernel), kernel, shown(x, kernel))
    array = np.load(path / place / "a.npy")
    array[2, 3] = value
    np.save(path / place / "a.npy", array)
    with pytest.raises(InputError, match=rf"{place}/a\.npy"):
        only(path)


@pytest.mark.parametrize("kind", [int, np.uint16, np.float16, np.int8])
def test_the_sum_of_a_kernel_changes_no_brightness(tmp_path, kind):
    """scikit-image issue 6331 and pull request 7589."""
    x, weights = scene(), np.rint(100 * lopsided(5, 5))
    kernel = weights / weights.sum()
    files = blurred(x, kernel), shown(x, kernel)
    right = only(folder(tmp_path / "unit", files[0], kernel, files[1]))
    found = only(folder(tmp_path / "sum", files[0], weights.astype(kind), files[1]))
    assert np.allclose(found.problem().kernel, right.problem().kernel, rtol=1e-12, atol=0)
    assert shown(restored(found), kernel).mean() == pytest.approx(shown(x, kernel).mean(), abs=2e-3)


def wide_kernel():
    rows, columns = np.arange(31.0)[:, None], np.arange(31.0)[None]
    return np.exp(-((rows - 15) ** 2) / 30 - (columns - 14) ** 2 / 20)


def test_a_kernel_of_16_bit_in_colour_is_exact(tmp_path, pictures):
    """Pillow has 8 of the 16 bit, cut off: Pillow issue 7723, matplotlib pull request 15193."""
    for top in (65535, 250):
        levels = np.rint(wide_kernel() * top).astype(np.uint16)
        (tmp_path / "k.png").write_bytes(pictures.png(np.stack([levels] * 3, -1), 16, 2))
        assert np.allclose(read_kernel(tmp_path / "k.png"), levels / levels.sum(dtype=float), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("shape", "points"),
    [((1, 1), [(0, 0)]), ((5, 5), [(0, 0)]), ((5, 5), [(4, 4)]), ((7, 5), [(0, 4), (6, 0)])],
    ids=["one pixel", "first corner", "last corner", "two points"],
)
def test_kernels_mostly_of_zeros(tmp_path, shape, points):
    """edgetaper refuses them: IRCNN issues 8, 9 and 10."""
    x, kernel = scene(), np.zeros(shape)
    for point in points:
        kernel[point] = 1 / len(points)
    case = only(folder(tmp_path / "mine", blurred(x, kernel), kernel, x))
    for method in ("wiener", "fid", "tv", "richardson-lucy"):
        image = restored(case, method)
        inside = shown(image, kernel)[:, 6:-6, 6:-6]
        assert np.isfinite(image).all()
        if len(points) == 1:  # two have zeros in their spectrum; one only shifts
            assert psnr(inside, shown(x, kernel)[:, 6:-6, 6:-6]) > 30


def test_a_kernel_larger_than_the_image_is_refused_with_both_sizes(tmp_path):
    """fastdeconv issue 1, BigStitcher issue 52."""
    x, kernel = scene(60, 60), np.pad(wide_kernel(), 17)
    with pytest.raises(
        InputError, match="kernel of 65x65 is larger than the blurred image of 60x60: cut off its border"
    ):
        only(folder(tmp_path / "large", x, kernel, x))
    assert only(folder(tmp_path / "fits", x, kernel[14:-14, 14:-14], x)).problem().kernel.shape == (37, 37)


def test_a_shifted_kernel_costs_decibels_unless_the_protocol_aligns(tmp_path):
    """DeblurGAN issue 218, albumentations issue 1233."""
    (tmp_path / "sharp").mkdir()
    Image.fromarray(np.rint(255 * scene(96, 100)[0]).astype(np.uint8)).save(tmp_path / "sharp" / "a.png")
    found = {}
    for kernels in ("sample", "sample@perturbed:pad=2", "sample@perturbed:shift=2"):
        case = only(tmp_path / "sharp", kernels=(kernels,), noises=("gaussian:0.02",))
        image, problem, (truth,) = restored(case), case.problem(), case.truths()
        found[kernels.rpartition(":")[2]] = [
            protocol(name).score(image, problem, truth).psnr for name in ("half-kernel", "shift-aligned")
        ]
    assert found["shift=2"][0] < found["sample"][0] - 2
    assert found["shift=2"][1] == pytest.approx(found["pad=2"][1], abs=0.5)
    assert found["pad=2"][0] == pytest.approx(found["sample"][0], abs=0.5)


@pytest.mark.parametrize("noise", [0, 3])
def test_a_kernel_on_a_camera_s_pedestal_is_refused_and_right_without(tmp_path, noise):
    """stitching-spark pull request 6."""
    x, rows = scene(80, 84), np.arange(-10.0, 11)
    bead = np.exp(-(rows[:, None] ** 2) / 8 - rows[None] ** 2 / 8)
    kernel = bead / bead.sum()
    files = blurred(x, kernel), shown(x, kernel)
    seen = np.rint(100 + 2000 * bead + noise * np.random.default_rng(0).standard_normal(bead.shape)).astype(np.uint16)
    with pytest.raises(InputError, match=r"on a background of (99|100|101).*kernel_background = \"border\""):
        only(folder(tmp_path / "as it is", files[0], seen, files[1]))
    toml = 'noise = 0.002\nkernel_background = "border"\n'
    found = only(folder(tmp_path / "border", files[0], seen, files[1], toml))
    right = only(folder(tmp_path / "right", files[0], kernel, files[1]))
    assert np.abs(found.problem().kernel - kernel).sum() < 0.03
    assert score(found) == pytest.approx(score(right), abs=1)


def test_noise_fields_are_independent_and_do_not_hang_on_the_order(tmp_path):
    """One pattern in every test: WIN issue 1; in every detector: ScopeSim issue 295."""
    (tmp_path / "sharp").mkdir()
    for name in "ab":
        Image.fromarray(np.rint(255 * last(scene(60, 60, 3))).astype(np.uint8)).save(tmp_path / "sharp" / f"{name}.png")

    def made(noises, kernels):
        asked = CaseRequest(dataset=f"folder:{tmp_path / 'sharp'}", kernels=kernels, noises=noises, noise_seeds=(0, 1))
        return {str(case.key): case.problem().blurred for case in cases(asked)}

    kernels = "danielyan/1", "danielyan/2"
    noisy = made(("gaussian:0.05", "gaussian:0.051"), kernels)
    clean = {key.rsplit(" ", 2)[0]: y for key, y in made(("gaussian:0",), kernels).items()}
    fields = [channel[:40, :40].ravel() for key, y in noisy.items() for channel in y - clean[key.rsplit(" ", 2)[0]]]
    correlations = np.corrcoef(fields) - np.eye(len(fields))
    assert len(fields) == 48
    assert np.abs(correlations).max() < 5.5 / 40
    assert np.mean([field.std() for field in fields]) == pytest.approx(0.0505, abs=6e-4)
    again = made(("gaussian:0.051", "gaussian:5e-2"), kernels[::-1])
    assert all(np.array_equal(again[key], y) for key, y in noisy.items())


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_of_files_are_those_written_out(tmp_path, channels):
    """Wang et al. 2004 with valid windows: scikit-image issues 3942 and 5538, torchmetrics issue 2718."""
    x = scene(64, 70, channels)
    z = np.rint(255 * (x + 0.06 * np.random.default_rng(1).standard_normal(x.shape)).clip(0, 1)) / 255
    for name, image in (("sharp", x), ("files", z)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.rint(255 * last(image)).astype(np.uint8)).save(tmp_path / name / "a.png")
    experiment = Experiment("theirs", f"folder:{tmp_path / 'sharp'}", "sample", "gaussian:0.02")
    store = Store(tmp_path / "results")
    taken = take(store, Submission(tmp_path / "files", experiment, "{image}.png"))
    scores = store.read(taken.sweep.cells[0].id).scores
    for name, cut in (("half-kernel", 6), ("uncropped", 0), ("anger", 12)):
        part = (slice(None), slice(cut, 64 - cut), slice(cut, 70 - cut))
        assert scores[name].psnr == pytest.approx(psnr(z[part], x[part]), abs=1e-6)
        assert scores[name].ssim == pytest.approx(ssim(z[part], x[part]), abs=1e-6)
    assert "cut-30" not in scores  # 4x10 pixels are no window


def ssim(one, other):
    line = np.exp(-((np.arange(11) - 5.0) ** 2) / 4.5)
    window = np.outer(line, line) / line.sum() ** 2

    def mean(plane):
        return convolve2d(plane, window, mode="valid")

    values = []
    for p, q in zip(one, other, strict=True):
        mp, mq = mean(p), mean(q)
        vp, vq, both = mean(p * p) - mp**2, mean(q * q) - mq**2, mean(p * q) - mp * mq
        top = (2 * mp * mq + 1e-4) * (2 * both + 9e-4)
        values.append((top / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))).mean())
    return np.mean(values)
