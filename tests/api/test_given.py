"""What people hand over from Python: right, or refused with value, rule and way out; never a silent wrong number."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import nidbench as nb
from nidbench.api.given import HIGHEST, check_scale
from nidbench.api.progress import Display
from nidbench.api.running import Computing
from nidbench.errors import InputError
from nidbench.physics.noise import Noise

KERNEL = np.ones((3, 5)) / 15
RNG = np.random.default_rng(0)
SHARP = RNG.uniform(0.1, 0.9, (40, 44))
SMOOTH = 0.5 + 0.4 * np.sin(np.arange(40) / 6)[:, None] * np.cos(np.arange(44) / 5)
Y = nb.measure(SHARP, KERNEL).blurred[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blurred": Y * 255}, r"blurred spans \[.*divide it"),
        ({"blurred": np.ma.masked_less(Y, 0.2)}, "masked array"),
        ({"blurred": [[0.1, 0.2], [0.3]]}, "one shape"),
        ({"blurred": np.where(Y > 0.5, np.nan, Y)}, "not finite"),
        ({"kernel": KERNEL * 1j}, "complex128: give real numbers"),
        ({"kernel": np.array([[1, -1], [1e-9, 0]])}, "weights of at least 0"),
        ({"kernel": np.ones((60, 3))}, "larger than the blurred image"),
        ({"kernel": KERNEL[None]}, "two dimensions"),
        ({"noise": 0.05}, "noise is 0.05: give text, such as 'gaussian:0.01'"),
        ({"response": None}, "response is None: give text"),
        ({"seed": None}, "seed is None: give a whole number"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"seed": True}, "seed is True"),
        ({"seed": -1}, "at least 0"),
        ({"precision": "float16"}, "precision 'float16': use float32 or bf16"),
        ({"device": "gpu"}, "device 'gpu' is not here"),
        ({"method": ["tv"]}, "method is .*: give a name"),
        ({"method": None}, "method is None"),
        ({"method": Path("my_method.py")}, "nidbench.load_method"),
        ({"method": type(nb.load_method("tv"))}, "a method such as TV"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else None,
)
def test_restore_refuses_in_words(change, message):
    with pytest.raises(InputError, match=message):
        nb.restore(**{"method": "wiener", "blurred": Y, "kernel": KERNEL, "noise": "gaussian:0.01"} | change)


@pytest.mark.parametrize("blurred", [Y.astype(np.float64), Y[:, ::1], torch.from_numpy(Y), Y.tolist()])
def test_what_is_an_image_all_the_same(blurred):
    if isinstance(blurred, np.ndarray):
        blurred.flags.writeable = False
    same = nb.restore("wiener", Y, KERNEL, noise="gaussian:0.01")
    assert nb.restore("wiener", blurred, KERNEL, noise="gaussian:0.01") == pytest.approx(same, abs=1e-6)
    assert nb.restore("wiener", Y, np.ones((3, 5), np.uint8), noise="gaussian:0.01") == pytest.approx(same, abs=1e-6)


@pytest.mark.parametrize("noise", [Noise("poisson", 2.0), Noise("gaussian", 0.5), Noise("gaussian", None)])
def test_noise_may_leave_the_range_and_no_more_than_it_can(noise):
    generator = np.random.default_rng(1)
    clean = generator.uniform(0, 1, (1, 200, 200))
    if noise.kind == "poisson":
        y = generator.poisson(noise.level * clean) / noise.level
    else:
        y = clean + generator.normal(0, noise.level or 0.35, clean.shape)
    assert y.max() > HIGHEST
    check_scale(y.astype(np.float32), noise)
    for other in (Noise("gaussian", 0.001), Noise("poisson", 1e6)):
        with pytest.raises(InputError, match="blurred spans"):
            check_scale(y.astype(np.float32), other)
    with pytest.raises(InputError, match="blurred spans"):
        check_scale((255 * clean).astype(np.float32), noise)


@pytest.mark.parametrize("noise", [None, "gaussian:0.01", "poisson:1000"])
def test_a_blurred_image_on_another_range_than_0_to_1_is_refused(noise):
    y = nb.measure(SMOOTH, KERNEL, noise or "gaussian:0.01").blurred[0]
    assert np.isfinite(nb.restore("wiener", y, KERNEL, noise=noise)).all()
    for other in (2 * y - 1, -y, 2 * (0.3 + 0.4 * y) - 1):
        with pytest.raises(InputError, match=r"blurred spans .* which is not \[0, 1\]"):
            nb.restore("wiener", other, KERNEL, noise=noise)


@pytest.mark.parametrize("noise", [Noise("gaussian", None), Noise("gaussian", 0.1)])
def test_noise_around_black_is_taken(noise):
    dark = np.random.default_rng(0).normal(0, 0.1, (1, 100, 100)).astype(np.float32)
    assert dark.min() < -0.3
    check_scale(dark, noise)


@pytest.mark.parametrize("response", ["identity", "gamma:2.2"])
def test_a_restoration_on_another_scale_than_the_truth_has_no_score(response):
    x = SMOOTH if response == "identity" else SMOOTH**2.2
    of_a_sign = (2 * x - 1, -x) if response == "identity" else ()  # a gamma shows what is negative as black
    for other in (x / 255, 1 - x, *of_a_sign):
        with pytest.raises(InputError, match="restored is not on the scale of the truth"):
            nb.score(other, SMOOTH, KERNEL, response=response)
        with pytest.raises(InputError, match="restored is not on the scale of the truth"):
            nb.score(other[1:-1, 2:-2], SMOOTH, KERNEL, response=response)
    noise = np.random.default_rng(0).normal(0, 0.1, x.shape)
    for poor in (x, x + noise, np.full_like(x, x.mean()), np.zeros_like(x), RNG.uniform(0, 1, x.shape)):
        assert nb.score(poor, SMOOTH, KERNEL, response=response).psnr > 0


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_values_of_a_camera_beside_the_peak_of_16_bit_are_warned_of(bits, kind):
    top = 2**bits - 1
    truth = (SHARP[None] * top).astype(kind)
    restored = truth + np.asarray(top // 10, kind)
    for metric in (nb.psnr, nb.ssim):
        right = metric(restored, truth, data_range=top)  # where a warning would be an error
        with pytest.warns(UserWarning, match=rf"if it is of {bits} bit, data_range is {top}") as told:
            assert metric(restored, truth, data_range=65535) > right
        assert told[0].filename == __file__
    deep = (SHARP[None] * 65535).astype(kind)
    assert nb.psnr(deep, deep, data_range=65535) == np.inf


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_images_as_dark_as_those_of_a_camera_divided_by_65535_are_warned_of(bits):
    dark = SHARP * (2**bits - 1) / 65535
    calls = {
        "truth": (
            lambda x: nb.psnr(0.99 * x, x),
            lambda x: nb.ssim(0.99 * x[None], x[None]),
            lambda x: nb.score(0.99 * x, x, KERNEL).psnr,
        ),
        "sharp": (lambda x: nb.measure(x, KERNEL).blurred.mean(),),
    }
    for name, each in calls.items():
        for call in each:
            assert call(SHARP) != call(0 * SHARP)  # where a warning would be an error
            with pytest.warns(UserWarning, match=rf"{name} goes up to .* of 1: if another value is white") as told:
                call(dark)
            assert told[0].filename == __file__


def test_missing_pixels_are_counted():
    holed = SHARP.copy()
    holed[3:5, 7] = np.nan
    for call in (lambda: nb.measure(holed, KERNEL), lambda: nb.restore("wiener", holed, KERNEL)):
        with pytest.raises(InputError, match="not finite, 2 of 1760: fill these, or cut them off where they are its b"):
            call()


def test_ssim_of_many_channels_wants_them_first():
    rng = np.random.default_rng(0)
    truth, noise = rng.random((24, 30, 16)), rng.normal(0, 0.1, (24, 30, 16))
    with pytest.raises(InputError, match=r"channels of \(24, 30, 16\) seem to be last: give numpy.moveaxis"):
        nb.ssim(truth + noise, truth)
    first, second = (np.moveaxis(each, -1, 0) for each in (truth + noise, truth))
    apart = [nb.ssim(one[None], other[None]) for one, other in zip(first, second, strict=True)]
    assert nb.ssim(first, second) == pytest.approx(np.mean(apart))
    batch = np.repeat(first, 4, 0)[:, :16, :16]
    assert 0 < nb.ssim(batch, np.repeat(second, 4, 0)[:, :16, :16]) < 1


def test_scores_are_of_images_on_one_scale():
    with pytest.raises(InputError, match="divide it by the value of white"):
        nb.score(SHARP * 255, SHARP, KERNEL)
    with pytest.raises(InputError, match="scale it to"):
        nb.score(SHARP, SHARP * 255, KERNEL)
    with pytest.raises(InputError, match="not finite"):
        nb.score(np.full_like(SHARP, np.nan), SHARP, KERNEL)
    with pytest.raises(InputError, match="kohler needs more than the 40x44 pixels"):
        nb.score(SHARP, SHARP, KERNEL, protocol="kohler")
    with pytest.raises(InputError, match="protocol is None"):
        nb.score(SHARP, SHARP, KERNEL, protocol=None)


def test_metrics_of_integers_want_their_range():
    first, second = (RNG.integers(0, 256, (1, 20, 20)).astype(np.uint8) for _ in range(2))
    for metric in (nb.psnr, nb.ssim):
        with pytest.raises(InputError, match="uint8 while the peak is 1"):
            metric(first, second)
        floats = metric(first / 255, second / 255)
        for peak in (255, np.uint8(255), np.float16(255)):  # 255 squared is 1 in 8 bit
            assert metric(first, second, data_range=peak) == pytest.approx(floats)


def test_metrics_take_what_is_an_array():
    first, second = RNG.uniform(0, 1, (2, 1, 20, 20))
    for metric in (nb.psnr, nb.ssim):
        for restored in (first.tolist(), torch.from_numpy(first)):
            assert metric(restored, second) == pytest.approx(metric(first, second))


@pytest.mark.parametrize(
    ("restored", "truth", "peak", "message"),
    [
        (SHARP, SHARP, 0, "data_range is 0: give the peak value"),
        (SHARP, SHARP, -1, "data_range is -1"),
        (SHARP, SHARP, float("nan"), "data_range is nan"),
        (SHARP, SHARP, "255", "data_range is '255'"),
        (SHARP, SHARP, None, "data_range is None"),
        (SHARP, SHARP, 1j, "data_range is 1j"),
        (np.ma.masked_less(SHARP, 0.2), SHARP, 1, "restored is a masked array"),
        (SHARP, np.where(SHARP > 0.8, np.nan, SHARP), 1, "truth holds values that are not finite"),
        (SHARP + 0j, SHARP, 1, "restored holds complex128"),
        (SHARP, SHARP.astype(object), 1, "truth holds object"),
        (SHARP[:0], SHARP[:0], 1, r"shape \(0, 44\): give real numbers"),
        (SHARP * 255, SHARP * 255, 1, "while the peak is 1: give data_range, such as 255"),
        (SHARP, (SHARP * 255).astype(np.uint8), 255, "uint8 up to 229 and the other float64 up to 0.89"),
        ((SHARP * 255).astype(np.uint8), SHARP, 255, "bring both to one scale"),
        ((SHARP * 255).astype(np.uint8), (SHARP * 255).astype(np.uint8), 65535, "uint8, up to 255 at most"),
        ((SHARP * 65535).astype(np.uint16), (SHARP * 65535).astype(np.uint16), 255, "while the peak is 255"),
        (
            2 * SHARP - 1,
            2 * SHARP - 1,
            1,
            r"truth goes from -.* more than the peak of 1: bring both images to \[0, peak\]",
        ),
        (510 * SHARP - 255, 510 * SHARP - 255, 255, "more than the peak of 255"),
        (2 * SHARP - 1, SHARP, 1, r"restored goes from -.* nearer to the truth on \[0, 1\]: give \(x \+ 1\) / 2"),
        (510 * SHARP - 255, 255 * SHARP, 255, r"give \(x \+ 255\) / 2"),
        (SHARP, SHARP, 255, r"truth holds float64 up to 0.89.* while the peak is 255: give data_range=1"),
        (SHARP.astype(np.float32), SHARP, 65535, r"divide both images and data_range by 65535"),
        (SHARP * 255, SHARP * 255, 65535, "the peak is 65535: give data_range=255 for images of 8 bit"),
        ((SHARP * 255).astype(np.uint16), (SHARP * 255).astype(np.uint16), 65535, "truth holds uint16 up to 22"),
        ((SHARP > 0.5).astype(np.uint8), (SHARP > 0.4).astype(np.uint8), 255, "give data_range=1"),
        (SHARP, SHARP * 255, 255, "float64 up to 22.* and the other float64 up to 0.89.*: bring both to one scale"),
        (SHARP * 255, SHARP, 255, "bring both to one scale"),
    ],
)
def test_metrics_are_of_images_on_the_scale_of_their_peak(restored, truth, peak, message):
    for metric in (nb.psnr, nb.ssim):
        with pytest.raises(InputError, match=message):
            metric(restored, truth, data_range=peak)


def test_a_black_image_is_on_the_scale_of_any_peak():
    black = np.zeros_like(SHARP)
    assert nb.psnr(black, black, data_range=255) == np.inf
    assert nb.psnr(black, SHARP * 255, data_range=255) == pytest.approx(nb.psnr(black, SHARP))
    assert nb.psnr(SHARP * 255, black, data_range=255) == pytest.approx(nb.psnr(SHARP, black))
    assert nb.psnr(SHARP, SHARP + 0.1, data_range=2) == pytest.approx(20 + 20 * np.log10(2))


def test_metrics_of_images_around_0_are_those_of_their_peak():
    truth = np.linspace(0, 1, 400).reshape(1, 20, 20)
    noisy = truth + RNG.normal(0, 0.1, truth.shape)
    assert nb.psnr(noisy - 0.5, truth - 0.5) == pytest.approx(nb.psnr(noisy, truth))  # of a mean alone it is the same
    assert nb.psnr(2 * noisy - 1, 2 * truth - 1, data_range=2) == pytest.approx(nb.psnr(noisy, truth))


def test_metrics_of_what_goes_far_below_0_but_is_not_on_minus_1_to_1():
    for restored in (SHARP + RNG.normal(0, 2, SHARP.shape), -SHARP, SHARP - 1):
        expected = 10 * np.log10(1 / np.mean((restored - SHARP) ** 2))
        assert nb.psnr(restored, SHARP) == pytest.approx(expected)


SPOT = np.exp(-((np.arange(21) - 10.0) ** 2) / 8)[:, None] * np.exp(-((np.arange(21) - 10.0) ** 2) / 8)
KERNELS = {
    "pedestal": (100 + 2000 * SPOT, r"lie on a background of .*: subtract the level of its border"),
    "padded": (np.pad(100 + 2000 * SPOT, 2), "lie on a background of"),
    "negative": (SPOT - 0.01, r"negative in places, .*: give kernel\.clip\(0, None\)"),
    "wrapped": (np.fft.ifftshift(SPOT), r"wrapped around its corners.*numpy\.fft\.fftshift"),
    "inverted": (1 - SPOT, "brighter along the border than inside"),
    "off its middle": (np.roll(SPOT, 4, 0), r"its weights \+4\.0 rows and .* columns off its middle"),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_that_would_be_refused_or_noted_as_a_file_is_warned_of(name):
    kernel, message = KERNELS[name]
    with pytest.warns(UserWarning, match=message) as caught:
        nb.restore("wiener", SMOOTH, kernel, noise="gaussian:0.01")
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


@pytest.mark.parametrize("kernel", [SPOT, SPOT > 0.5, np.ones((5, 5)), np.eye(7), np.array([[1, 2, 1]])])
def test_a_kernel_in_order_is_not_warned_of(kernel):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nb.restore("wiener", SMOOTH, kernel, noise="gaussian:0.01")


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(40, 44, requires_grad=True), torch.zeros(40, 44).bfloat16()],
    ids=["with a graph", "bfloat16"],
)
def test_a_tensor_that_numpy_does_not_read_is_refused_with_what_it_reads(tensor):
    with pytest.raises(InputError, match=r"blurred is no array .*: give one of NumPy, .*detach\(\)"):
        nb.restore("wiener", tensor, KERNEL, noise="gaussian:0.01")
    with pytest.raises(InputError, match="kernel is no array"):
        nb.restore("wiener", Y, tensor, noise="gaussian:0.01")
    for score in (lambda: nb.score(tensor, SHARP, KERNEL), lambda: nb.psnr(tensor, SHARP)):
        with pytest.raises(InputError, match="restored is no array"):
            score()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": "2"}, "threads is '2'"),
        ({"threads": 0}, "threads is 0: give a whole number of at least 1"),
        ({"threads": 1.5}, "threads is 1.5"),
        ({"cell_timeout": 0}, "more than 0"),
        ({"cell_timeout": float("nan")}, "cell_timeout is nan"),
        ({"observe": -1}, "observe is -1"),
        ({"observe": None}, "observe is None"),
        ({"checkpoint_every": -1}, "at least 0"),
        ({"memory_limit": -5}, "memory_limit is -5"),
    ],
)
def test_how_to_compute_is_checked_before_anything_is(change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Computing(**change)
    with pytest.raises(InputError, match=message):
        nb.run("wiener", "sample", output=tmp_path / "out", progress=False, **change)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": "1"}, "limit is '1'"),
        ({"crop": 64.0}, "crop is 64.0"),
        ({"declared": 1.2}, "declared is 1.2"),
        ({"name": Path("x")}, "name is"),
        ({"preset": 3}, "preset is 3"),
        ({"tracking": "files"}, "use mlflow or none"),
    ],
)
def test_what_is_asked_is_checked(change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        nb.run("wiener", "sample", output=tmp_path / "out", progress=False, **change)


def test_bytes_are_a_memory_limit(tmp_path):
    results = nb.run("wiener", "sample", limit=1, memory_limit=8 << 30, output=tmp_path, threads=1, progress=False)
    assert results.complete


def test_warnings_are_python_s_where_nothing_is_shown():
    from rich.console import Console

    with pytest.warns(UserWarning, match="the file was edited"):
        Display(Console(quiet=True), warns=True).warned("the file was edited")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Display(Console(quiet=True)).warned("the file was edited")
