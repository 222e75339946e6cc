"""Measurements: blur and noise against scipy and statistics, the same bytes everywhere, and what is refused."""

import hashlib
import itertools
import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest
from scipy.signal import convolve2d

from nidbench.contract import CaseKey, Response
from nidbench.errors import InputError
from nidbench.physics.measure import blur, bsnr_sigma, check_image, measure, noise_generator
from nidbench.physics.noise import NoiseSpec, declared_factor

KERNELS = [(1, 1), (5, 5), (4, 6), (5, 8), (1, 7), (19, 3)]

# SHA-256 of the measurements of `sample`: results of different versions compare only while these stay as they are
GOLDEN = {
    ("camera", "gaussian:0.05"): "98de3134964efcb09245c112032620c8cb62e679ee2d8602f1421058b6add917",
    ("camera", "poisson:128"): "9fad31a0f28014bae8f6072c2642df3d85513a059ed9def61cbe1bfcae5cefb8",
    ("camera", "bsnr:40"): "c2a845670b9c65f27e03c8f9d2391e92c1b6fbdeb1a8c8b66a8a1af20324f5a4",
    ("astronaut", "gaussian:0.05"): "59d99d32d64ceb46035bc6137d18d174d0c09c47b87c8842fcfb94d7f9bd7028",
    ("astronaut", "poisson:128"): "be0c7a6b057850b9e9a60306724fb711dd4855f515a931017d742dd7dc930c5e",
    ("astronaut", "bsnr:40"): "d770d6790c1f580a7508b103234fc99384a4180e70d2c5ad51d1d85e75abf9be",
}


def sharp_image(channels=1, size=(40, 44)):
    return np.random.default_rng(0).random((channels, *size))


def random_kernel(shape=(5, 5)):
    return np.random.default_rng(1).random(shape)


def flat(level=0.5, side=320):
    return np.full((1, side, side), level)


def digest(problem):
    return hashlib.sha256(problem.blurred.tobytes()).hexdigest()


def provider(group, name):
    return next(iter(entry_points(group=f"nidbench.{group}", name=name))).load()()


def sample(image, noise):
    key = CaseKey("sample", image, "sample/motion", noise)
    return measure(
        provider("datasets", "sample").load(image), provider("kernels", "sample").load("motion"), noise, key=key
    )


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
@pytest.mark.parametrize("shape", KERNELS, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_blur_is_valid_true_convolution(shape, channels):
    sharp, kernel = sharp_image(channels), random_kernel(shape)
    expected = np.stack([convolve2d(channel, kernel, mode="valid") for channel in sharp])
    assert np.allclose(blur(sharp, kernel), expected, atol=1e-12)
    assert np.allclose(blur(sharp.astype(np.float32), kernel), expected, atol=1e-5)


@pytest.mark.parametrize("shape", KERNELS, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_measurement_without_noise_is_the_blur_by_the_normalised_kernel(shape):
    sharp, kernel = sharp_image(3), random_kernel(shape)
    problem = measure(sharp, 7 * kernel, "gaussian:0", key="test")
    expected = np.stack([convolve2d(channel, kernel / kernel.sum(), mode="valid") for channel in sharp])
    assert problem.blurred.dtype == np.float32
    assert np.allclose(problem.blurred, expected, atol=1e-7)
    assert np.allclose(problem.kernel, kernel / kernel.sum())
    assert problem.frame == sharp.shape[1:]


def test_gaussian_noise():
    noise = measure(flat(), np.ones((1, 1)), "gaussian:0.05", key="test").blurred.astype(np.float64) - 0.5
    assert noise.std() == pytest.approx(0.05, rel=0.01)
    assert abs(noise.mean()) < 4 * 0.05 / 320
    assert (noise**4).mean() / noise.var() ** 2 == pytest.approx(3, rel=0.05)  # kurtosis of a Gaussian
    lag = (noise[0, :, 1:] * noise[0, :, :-1]).mean() / noise.var()
    assert abs(lag) < 4 / 320  # white


def test_measurement_is_not_clipped():
    blurred = measure(flat(1.0), np.ones((1, 1)), "gaussian:0.05", key="test").blurred
    assert (blurred > 1).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("peak", "level"), [(128, 0.5), (1024, 0.2), (4, 0.9)])
def test_poisson_noise(peak, level):
    problem = measure(flat(level), np.ones((1, 1)), f"poisson:{peak}", key="test")
    counts = problem.blurred.astype(np.float64) * peak
    assert np.allclose(counts, np.rint(counts), atol=1e-3)
    assert problem.blurred.mean() == pytest.approx(level, rel=0.01)
    assert problem.blurred.var() == pytest.approx(level / peak, rel=0.02)
    assert (problem.noise.kind, problem.noise.level) == ("poisson", peak)


def test_poisson_of_black_is_black():
    assert not measure(flat(0.0, 20), np.ones((1, 1)), "poisson:128", key="test").blurred.any()


@pytest.mark.parametrize("decibels", [10, 40])
def test_blurred_signal_to_noise_ratio(decibels):
    sharp, kernel = sharp_image(3, (200, 210)), random_kernel()
    clean = np.stack([convolve2d(channel, kernel / kernel.sum(), mode="valid") for channel in sharp])
    problem = measure(sharp, kernel, f"bsnr:{decibels}", key="test")
    noise = problem.blurred - clean
    assert 10 * np.log10(clean.var() / noise.var()) == pytest.approx(decibels, abs=0.1)
    assert problem.noise.kind == "gaussian"
    assert problem.noise.level == pytest.approx(np.sqrt(clean.var() / 10 ** (decibels / 10)), rel=1e-5)
    assert problem.sigma() == problem.noise.level


def test_bsnr_of_a_constant_is_no_noise():
    assert bsnr_sigma(flat().astype(np.float32), 40) == 0


def test_gamma_and_saturation_come_before_the_noise():
    sharp, kernel = 1.6 * sharp_image(), random_kernel()
    clean = convolve2d(sharp[0], kernel / kernel.sum(), mode="valid")
    gamma = measure(sharp, kernel, "gaussian:0", key="test", response=Response("gamma", 2.2))
    assert np.allclose(gamma.blurred[0], clean ** (1 / 2.2), atol=1e-6)
    clipped = measure(sharp, kernel, "gaussian:0", key="test", response=Response.parse("saturation"))
    assert np.allclose(clipped.blurred[0], np.minimum(clean, 1), atol=1e-6)
    noisy = measure(flat(1.5), np.ones((1, 1)), "gaussian:0.05", key="test", response=Response("saturation"))
    assert noisy.blurred.std() == pytest.approx(0.05, rel=0.01)
    assert noisy.response == Response("saturation")


@pytest.mark.parametrize(("image", "noise"), GOLDEN, ids=lambda value: value.replace(":", "-"))
def test_measurements_of_sample_are_what_they_were(image, noise):
    assert digest(sample(image, noise)) == GOLDEN[image, noise]


def test_order_does_not_matter():
    for image, noise in reversed(GOLDEN):
        assert digest(sample(image, noise)) == GOLDEN[image, noise]


def test_fresh_process_measures_the_same_bytes_without_torch():
    script = """
import sys
from importlib.metadata import entry_points
import hashlib
from nidbench.contract import CaseKey
from nidbench.physics.measure import measure
sharp, kernels = [entry_points(group=f"nidbench.{group}", name="sample")["sample"].load()()
                  for group in ("datasets", "kernels")]
key = CaseKey("sample", "camera", "sample/motion", "poisson:128")
problem = measure(sharp.load("camera"), kernels.load("motion"), "poisson:128", key=key)
print(hashlib.sha256(problem.blurred.tobytes()).hexdigest(), "torch" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True)
    assert answer.stdout.split() == [GOLDEN["camera", "poisson:128"], "False"]


def test_global_random_state_is_neither_used_nor_moved():
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - what must not be touched
    first = measure(flat(side=20), np.ones((1, 1)), "gaussian:0.05", key="test")
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert digest(first) == digest(measure(flat(side=20), np.ones((1, 1)), "gaussian:0.05", key="test"))


def test_each_part_of_the_key_changes_the_noise():
    base = ("set", "image", "kernels/1", "gaussian:0.05", 0)
    keys = [CaseKey(*base)]
    for place, other in enumerate(("set2", "image2", "kernels/2", "gaussian:0.06", 1)):
        keys.append(CaseKey(*base[:place], other, *base[place + 1 :]))
    draws = [noise_generator(key).standard_normal(4000) for key in keys]
    for one, other in itertools.combinations(draws, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(4000)
    assert np.array_equal(noise_generator(keys[0]).standard_normal(4000), draws[0])


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (np.zeros((5, 5)), "zero everywhere"),
        (-np.ones((5, 5)), "sums to -25"),
        (np.array([[1.0, -1.0]]), "positive sum"),
        (np.full((5, 5), np.nan), "not finite"),
        (np.array([[1.0, np.inf]]), "not finite"),
        (np.ones(5), "two dimensions"),
        (np.ones((5, 5, 3)), "two dimensions"),
        (np.ones((0, 5)), "two dimensions"),
        (np.ones((41, 41)), "too small for a kernel of 41x41"),
        (np.ones((60, 60)), "valid region .*0x0"),
        (np.ones((31, 5)), "valid region .*10x40"),
        (np.ones((5, 50)), "too small for a kernel of 5x50"),
    ],
)
def test_refused_kernels(kernel, reason):
    with pytest.raises(InputError, match=reason):
        measure(sharp_image(), kernel, "gaussian:0.05", key="test")


def test_smallest_valid_region_is_one_window():
    assert measure(sharp_image(), np.ones((30, 34)), "gaussian:0.05", key="test").blurred.shape == (1, 11, 11)


@pytest.mark.parametrize(
    ("noise", "reason"),
    [
        ("gaussian:-0.1", "must lie in"),
        ("gaussian:5", "a percentage"),
        ("gaussian:1.01", "a percentage"),
        ("gaussian:nan", "must lie in"),
        ("gaussian:inf", "must lie in"),
        ("gaussian:five", "has no number"),
        ("gaussian", "has no number"),
        ("poisson:0", "must lie in"),
        ("poisson:-5", "must lie in"),
        ("poisson:1e12", "must lie in"),
        ("bsnr:-1", "must lie in"),
        ("bsnr:500", "must lie in"),
        ("salt:0.1", "no known kind"),
        ("0.05", "no known kind"),
        ("", "no known kind"),
    ],
)
def test_refused_noise(noise, reason):
    with pytest.raises(InputError, match=reason) as caught:
        measure(sharp_image(), random_kernel(), noise, key="test")
    assert repr(noise) in str(caught.value)


@pytest.mark.parametrize("text", ["gaussian:0.05", "gaussian:0", "poisson:128", "bsnr:40", "bsnr:33.3"])
def test_noise_reads_what_it_writes(text):
    assert str(NoiseSpec.parse(text)) == text


def test_the_same_noise_has_one_name():
    for text in ("gaussian:0", "gaussian:-0.0", "gaussian:0e3"):
        assert str(NoiseSpec.parse(text)) == "gaussian:0"


def test_a_few_values_below_0_are_of_an_image_as_before():
    image = sharp_image()
    image[:, ::20, ::20] = -0.4  # fewer than one of a hundred
    assert check_image(image) is image
    assert check_image(sharp_image() - 0.2).min() < 0


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ((255 * sharp_image()).astype(np.uint8), "image holds uint8"),
        (255 * sharp_image(), r"spans .*scale it to \[0, 1\]"),
        (sharp_image() - 3, "spans"),
        (sharp_image() - 0.5, r"one of a hundred values is below -0.\d+: bring it to \[0, 1\], such as by x \+ 0.5"),
        (np.where(sharp_image() > 0.9, np.nan, 0.5), "not finite"),
        (sharp_image()[0], r"shape \(40, 44\)"),
        (sharp_image(2), r"shape \(2, 40, 44\)"),
        (sharp_image().transpose(1, 2, 0), r"shape \(40, 44, 1\)"),
        (np.zeros((1, 0, 5)), r"shape \(1, 0, 5\)"),
        (sharp_image().astype(complex), "image holds complex"),
    ],
)
def test_refused_images(image, reason):
    with pytest.raises(InputError, match=reason):
        check_image(image)
    with pytest.raises(InputError, match=reason):
        measure(image, random_kernel((3, 3)), "gaussian:0.05", key="test")


@pytest.mark.parametrize(("declared", "level"), [("known", 0.05), ("estimated", None), ("x1.2", 0.06), ("x0.5", 0.025)])
def test_declared_factor(declared, level):
    known = measure(sharp_image(), random_kernel(), "gaussian:0.05", key="test")
    problem = measure(sharp_image(), random_kernel(), "gaussian:0.05", key="test", declared=declared)
    assert problem.noise.level == (level if level is None else pytest.approx(level))
    assert digest(problem) == digest(known)  # what is said changes nothing of what is


@pytest.mark.parametrize("declared", ["", "1.2", "x", "xx2", "x0", "x-1", "xnan", "guess"])
def test_refused_declared_factor(declared):
    with pytest.raises(InputError, match="known, estimated, or a factor"):
        declared_factor(declared)


@pytest.mark.parametrize(
    ("text", "response"),
    [("identity", Response()), ("gamma:2.2", Response("gamma", 2.2)), ("saturation", Response("saturation"))],
)
def test_responses(text, response):
    assert Response.parse(text) == response


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "use identity"),
        ("gama:2.2", "unknown response 'gama'"),
        ("gamma", r"gamma 0\.0 is not in \(0, 10\)"),
        ("gamma:0", r"gamma 0\.0 is not in"),
        ("gamma:100", r"gamma 100\.0 is not in"),
        ("gamma:1.2.3", "could not convert"),
        ("gamma:-1", "use identity"),
        ("gamma:two", "use identity"),
        ("gamma:nan", "use identity"),
        ("gamma:2.2:8", "use identity"),
        ("gamma:8bit", r"gamma 0\.0 is not in"),
        ("identity:2", r"gain 2\.0: give 1 to 2 for saturation, 1 for any other"),
        ("saturation:3", r"gain 3\.0: give 1 to 2"),
        ("saturation:0.5", r"gain 0\.5: give 1 to 2"),
        ("identity:0bit", r"0 bit are not in \[1, 16\]"),
        ("identity:32bit", r"32 bit are not in \[1, 16\]"),
    ],
)
def test_refused_responses(text, reason):
    with pytest.raises(InputError, match=reason) as caught:
        Response.parse(text)
    assert str(caught.value).startswith(f"response {text!r}")
    assert "use identity, saturation or gamma:2.2, with :8bit" in str(caught.value)


@pytest.mark.parametrize("bits", [1, 8, 12])
def test_a_camera_that_rounds_clips_and_rounds_after_the_noise(bits):
    sharp, kernel = sharp_image(), random_kernel()
    raw = measure(sharp, kernel, "gaussian:0.3", key="test", response=Response("gamma", 2.2))
    stored = measure(sharp, kernel, "gaussian:0.3", key="test", response=Response("gamma", 2.2, bits=bits))
    assert (raw.blurred.min() < 0, raw.blurred.max() > 1) == (True, True)
    levels = np.arange(2**bits) / (2**bits - 1)
    nearest = levels[abs(raw.blurred[..., None] - levels).argmin(-1)]
    assert np.allclose(stored.blurred, nearest, atol=1e-7)
    assert stored.noise == raw.noise


@pytest.mark.parametrize("text", ["identity", "gamma:2.2", "gamma:1.8:8bit", "saturation", "saturation:1.5:8bit"])
def test_the_scene_of_an_image_is_what_the_camera_shows_as_that_image(text):
    response, image = Response.parse(text), sharp_image(3)
    shown = response.apply(response.scene(image))
    assert np.allclose(shown, np.minimum(response.gain * image, 1), atol=1e-12)
    assert response.scene(image).max() == pytest.approx(response.gain * image.max() ** response.gamma)


def test_what_is_told_of_poisson_noise_gives_its_standard_deviation():
    """Root mean square sqrt(mean y / peak); a wrong level is wrong by the factor, an unknown one is estimated."""
    sharp = np.broadcast_to(np.linspace(0.1, 0.9, 200), (1, 200, 200))
    known, estimated, wrong = (
        measure(sharp, np.ones((1, 1)), "poisson:128", key="test", declared=declared)
        for declared in ("known", "estimated", "x1.2")
    )
    assert digest(known) == digest(estimated) == digest(wrong)
    true = np.sqrt(np.mean((known.blurred - sharp) ** 2))
    assert known.sigma() == pytest.approx(true, rel=0.01)
    assert estimated.sigma() == known.estimated_sigma() != known.sigma()
    assert wrong.sigma() == pytest.approx(1.2 * known.sigma(), rel=1e-9)
    assert (known.noise.level, estimated.noise.level) == (128, None)
    assert wrong.noise.level == pytest.approx(128 / 1.44)
