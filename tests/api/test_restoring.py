"""One image in, one image out: layouts, frames, noise, scores by closed form and against the scorer's own figures."""

import random

import numpy as np
import pytest
from scipy.signal import convolve2d
from skimage import data

import nidbench as nb
from nidbench.compute.messages import Hello
from nidbench.compute.same_process import SameProcess
from nidbench.errors import InputError, UnknownNameError

KERNEL = np.outer([1, 2, 1], [1, 3, 5, 3, 1])


@pytest.fixture(scope="module")
def sharp():
    rows, columns = np.mgrid[:48, :56]
    return 0.5 + 0.4 * np.sin(rows / 3) * np.cos(columns / 5)


@pytest.fixture(scope="module")
def colour(sharp):
    return np.stack([sharp, sharp**2, 1 - sharp])


def test_measure_blurs_by_true_convolution(sharp):
    problem = nb.measure(sharp, KERNEL, "gaussian:0")
    expected = convolve2d(sharp, KERNEL / KERNEL.sum(), mode="valid")
    assert problem.blurred.shape == (1, 46, 52)
    assert problem.blurred[0] == pytest.approx(expected, abs=1e-6)
    assert problem.kernel.sum() == pytest.approx(1)


def test_a_measurement_is_the_same_for_the_same_seed_only(sharp):
    first, again = (nb.measure(sharp, KERNEL, "gaussian:0.05", noise_seed=3).blurred for _ in range(2))
    other = nb.measure(sharp, KERNEL, "gaussian:0.05", noise_seed=4).blurred
    assert first.tobytes() == again.tobytes()
    assert np.std(first - other) == pytest.approx(0.05 * np.sqrt(2), rel=0.1)


def test_declared_and_response_are_those_of_a_sweep(sharp):
    problem = nb.measure(sharp, KERNEL, "gaussian:0.02", declared="x1.5", response="gamma:2.2:8bit")
    assert problem.noise.level == pytest.approx(0.03)
    assert np.rint(problem.blurred * 255) == pytest.approx(problem.blurred * 255, abs=1e-4)
    assert nb.measure(sharp, KERNEL, "gaussian:0.02", declared="estimated").noise.level is None


@pytest.mark.parametrize("axis", [0, 2])
def test_the_result_has_the_layout_and_the_size_of_the_input(colour, axis):
    y = np.moveaxis(nb.measure(colour, KERNEL).blurred, 0, axis)
    inside = nb.restore("wiener", y, KERNEL, noise="gaussian:0.01")
    whole = nb.restore("wiener", y, KERNEL, noise="gaussian:0.01", frame="full")
    assert inside.shape == y.shape
    assert np.array_equal(nb.restore("wiener", y, KERNEL, noise="gaussian:0.01", frame="x"), whole)
    assert np.moveaxis(whole, axis, 0).shape == colour.shape
    assert np.moveaxis(whole, axis, 0)[:, 1:-1, 2:-2].tobytes() == np.moveaxis(inside, axis, 0).tobytes()


def test_colour_is_its_channels(colour):
    y = nb.measure(colour, KERNEL).blurred
    together = nb.restore("wiener", y, KERNEL, noise="gaussian:0.01")
    alone = [nb.restore("wiener", channel, KERNEL, noise="gaussian:0.01") for channel in y]
    assert together == pytest.approx(np.stack(alone), abs=1e-5)


def test_a_restoration_is_that_of_a_sweep(tmp_path):
    """The same bytes as a cell of `run` on the same measurement."""
    from nidbench.rescoring.measurements import Measurements

    results = nb.run("wiener,tv", "sample", images="camera", output=tmp_path, threads=1, progress=False)
    measurements = Measurements(results.sweep)
    for _, row in results.cells.iterrows():
        found = results.restoration(row)
        problem = measurements.case(found.record.cell).problem()
        noise = f"gaussian:{problem.noise.level!r}"
        image = nb.restore(row["label"], problem.blurred, problem.kernel, noise=noise, frame="full")
        assert image.tobytes() == found.image.tobytes()


def test_a_method_of_ones_own_and_generators_as_they_were(sharp):
    from nidbench.contract import MethodInfo, Restored

    class Mine:
        info = MethodInfo("mine")

        def restore(self, problem, _run):
            return Restored(np.full((len(problem.blurred), *problem.frame), random.random(), np.float32))

    y = nb.measure(sharp, KERNEL).blurred
    random.seed(1)
    expected = random.random()
    random.seed(1)
    first, again = (nb.restore(Mine(), y, KERNEL, seed=2) for _ in range(2))
    assert random.random() == expected
    assert first.tobytes() == again.tobytes()
    assert nb.restore(Mine(), y, KERNEL, seed=3).tobytes() != first.tobytes()


def test_an_unknown_noise_level_is_estimated(sharp):
    y = nb.measure(sharp, KERNEL, "gaussian:0.05").blurred[0]
    unknown = nb.restore("wiener", y, KERNEL)
    assert unknown.tobytes() == nb.restore("wiener", y, KERNEL, noise="gaussian").tobytes()
    assert np.isfinite(nb.restore("richardson-lucy", y.clip(0), KERNEL, noise="poisson:200")).all()


def test_score_is_the_metric_inside_half_a_kernel(sharp):
    rng = np.random.default_rng(0)
    x = sharp + rng.normal(0, 0.02, sharp.shape)
    stored, truth = (np.rint(each.clip(0, 1) * 255) / 255 for each in (x, sharp))
    part = np.s_[1:-1, 2:-2]
    found = nb.score(x, sharp, KERNEL)
    assert found.psnr == pytest.approx(10 * np.log10(1 / np.mean((stored[part] - sharp[part]) ** 2)), abs=0.02)
    assert nb.score(x[part], sharp, KERNEL) == found
    assert nb.psnr(stored, truth) == pytest.approx(10 * np.log10(1 / np.mean((stored - truth) ** 2)))
    assert 0 < nb.ssim(x[None], sharp[None]) < 1


@pytest.mark.parametrize("part", [np.s_[:, :, :], np.s_[:, 1:-1, 2:-2]], ids=["of x", "of y"])
@pytest.mark.parametrize(
    ("words", "misread"),
    [
        ("the restoration were upside down", lambda x: x[:, ::-1]),
        ("the restoration were mirrored left to right", lambda x: x[:, :, ::-1]),
        ("the restoration's channels were in reverse, BGR for RGB", lambda x: x[::-1]),
        ("the restoration were 2 rows higher", lambda x: np.roll(x, 2, 1)),
    ],
)
def test_a_restoration_that_is_turned_or_moved_is_warned_of(words, misread, part):
    rng = np.random.default_rng(1)
    sharp = np.stack([rng.random((12, 14)).repeat(4, 0).repeat(4, 1) for _ in range(3)])
    x = (sharp + rng.normal(0, 0.02, sharp.shape))[part]
    right = nb.score(x, sharp, KERNEL)  # where a warning would be an error
    with pytest.warns(UserWarning, match=words):
        assert nb.score(misread(x), sharp, KERNEL).psnr < right.psnr - 10


@pytest.mark.parametrize("noise", ["gaussian:0.05", "poisson:50"])
def test_noise_of_a_restoration_that_another_kernel_would_smooth_is_not_warned_of(noise):
    line = np.zeros((15, 15))
    line[7] = 1
    moon = data.moon()[100:260, 100:260] / 255
    blurred = nb.measure(moon, line, noise).blurred
    assert nb.score(nb.restore("richardson-lucy", blurred, line, noise=noise), moon, line).psnr > 30


def test_a_restoration_that_is_stretched_is_warned_of(sharp):
    squeezed = 0.5 + 0.5 * (sharp - 0.5)
    assert nb.score(squeezed, squeezed, KERNEL).psnr > 55
    with pytest.warns(UserWarning, match="has 2 times the contrast that the blurred image shows"):
        assert nb.score(sharp, squeezed, KERNEL).psnr < 20


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda x: x**2.2, "has a mean of .* another response"),
        (lambda x: x**1.3, "below what the blurred image shows"),
        (lambda x: x + 0.1, "has a mean 0.1 above what the blurred image shows"),
        (lambda x: 0.85 * x, "below what the blurred image shows"),
    ],
)
@pytest.mark.parametrize("part", [np.s_[:, :], np.s_[2:-2, 2:-2]])
def test_a_restoration_of_another_brightness_is_warned_of(changed, words, part):
    x = data.camera()[150:214, 180:250] / 255
    box = np.ones((5, 5))
    assert nb.score(x[part], x, box).psnr > 55  # where a warning would be an error
    with pytest.warns(UserWarning, match=words):
        assert nb.score(changed(x)[part], x, box).psnr < 25


def test_one_gray_for_all_is_not_warned_of(sharp):
    assert nb.score(np.full_like(sharp, sharp.mean()), sharp, KERNEL).psnr < 15


def test_a_protocol_that_looks_beyond_the_restoration_is_refused(sharp):
    whole = nb.score(sharp, sharp, KERNEL, protocol="uncropped")
    assert whole.psnr > 50
    with pytest.raises(InputError, match=r"uncropped compares more than .* use half-kernel"):
        nb.score(sharp[1:-1, 2:-2], sharp, KERNEL, protocol="uncropped")
    with pytest.raises(UnknownNameError, match="did you mean half-kernel"):
        nb.score(sharp, sharp, KERNEL, protocol="half-kernal")
    with pytest.raises(InputError, match="give the size of the truth"):
        nb.score(sharp[2:], sharp, KERNEL)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((40, 40), np.uint8), "uint8: give floats"),
        (np.zeros((3, 40, 3)), "channels may be first or last"),
        (np.zeros((40, 40, 4)), "C = 1 or 3"),
        (np.zeros((2, 2, 40, 40)), "C = 1 or 3"),
    ],
)
def test_what_is_no_image_is_refused(array, message):
    with pytest.raises(InputError, match=message):
        nb.restore("wiener", array, KERNEL)


def test_wrong_words_are_refused(sharp):
    y = sharp[1:-1, 2:-2]
    with pytest.raises(InputError, match="frame 'z': use y"):
        nb.restore("wiener", y, KERNEL, frame="z")
    with pytest.raises(InputError, match="depends on the sharp image"):
        nb.restore("wiener", y, KERNEL, noise="bsnr:30")
    with pytest.raises(InputError, match="names 2 methods"):
        nb.restore("wiener,tv", y, KERNEL)
    with pytest.raises(UnknownNameError, match="did you mean wiener"):
        nb.restore("winer", y, KERNEL)
    with pytest.raises(InputError, match="positive sum"):
        nb.restore("wiener", y, -KERNEL)


def test_a_precision_that_the_device_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(SameProcess, "hello", lambda _: Hello(["cpu"], [], {}, 1))
    with pytest.raises(InputError, match="precision bf16: cpu has no instructions for it"):
        nb.restore("wiener", np.full((32, 32), 0.5), np.ones((3, 3)), precision="bf16")
