"""Scores against closed forms and an SSIM written out, and what protocols compare against slices typed by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as scipy_shift
from scipy.signal import convolve2d
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity
from skimage.registration import phase_cross_correlation

from nidbench.contract import IDENTITY, Noise, Problem, Response, Truth
from nidbench.errors import InputError, UnknownNameError
from nidbench.physics.measure import measure
from nidbench.scoring.metrics import Similarities, psnr, ssim
from nidbench.scoring.ms_ssim import ms_ssim
from nidbench.scoring.protocols import ON_DEMAND, PROTOCOLS, luminance, protocol, to_8_bit
from nidbench.scoring.score import Score


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def problem_of(kernel_shape, size=(40, 50), channels=1, response=IDENTITY):
    blurred = random_image(channels, *size, seed=5).astype(np.float32)
    kernel = np.full(kernel_shape, 1 / (kernel_shape[0] * kernel_shape[1]))
    return Problem(blurred, kernel, Noise("gaussian", 0.05), response)


def numpy_ssim(one, other, peak=1.0):
    """Return the mean SSIM as Wang et al. 2004 define it: 'valid' windows, population covariance."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2

    def mean(image):
        return convolve2d(image, window, mode="valid")

    values = []
    for x, y in zip(one, other, strict=True):
        mx, my = mean(x), mean(y)
        vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        values.append(((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())
    return np.mean(values)


def numpy_psnr(one, other):
    return -10 * np.log10(((one - other) ** 2).sum() / one.size)


@pytest.mark.parametrize("offset", [0.1, 0.01, 0.5])
def test_psnr_of_a_constant_error(offset):
    truth = random_image(3, 12, 14) * 0.4
    assert psnr(truth + offset, truth) == pytest.approx(-20 * np.log10(offset))
    assert psnr(255 * (truth + offset), 255 * truth, data_range=255) == pytest.approx(-20 * np.log10(offset))


def test_psnr_takes_the_squared_error_over_all_channels():
    truth = np.zeros((3, 12, 12))
    restored = truth.copy()
    restored[0] = 0.3
    assert psnr(restored, truth) == pytest.approx(-10 * np.log10(0.09 / 3))


def test_psnr_of_equal_images_is_infinite():
    assert psnr(random_image(1, 12, 12), random_image(1, 12, 12)) == float("inf")


def test_psnr_of_other_types():
    one, other = random_image(1, 20, 20), random_image(1, 20, 20, seed=1)
    assert psnr(one.astype(np.float16), other) == pytest.approx(numpy_psnr(one, other), abs=0.01)
    low, high = (np.full((1, 4, 4), value, np.uint8) for value in (1, 2))
    assert psnr(low, high, data_range=255) == pytest.approx(20 * np.log10(255))  # unsigned does not wrap


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
@pytest.mark.parametrize("size", [(11, 11), (11, 30), (32, 27)])
def test_ssim(channels, size):
    truth = random_image(channels, *size)
    restored = 0.8 * truth + 0.2 * random_image(channels, *size, seed=1)
    assert ssim(restored, truth) == pytest.approx(numpy_ssim(restored, truth), abs=1e-9)
    assert ssim(255 * restored, 255 * truth, data_range=255) == pytest.approx(numpy_ssim(restored, truth), abs=1e-9)
    assert ssim(truth, truth) == pytest.approx(1)


@pytest.mark.parametrize("peak", [1.0, 255.0])
@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
def test_ssim_has_the_digits_of_scikit_image(channels, peak):
    truth, restored = random_image(channels, 33, 40), random_image(channels, 33, 40, seed=1)
    like_wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    of_all = {"data_range": peak, "channel_axis": 0, "full": True}
    _, expected = structural_similarity(peak * restored, peak * truth, **like_wang, **of_all)
    assert ssim(peak * restored, peak * truth, data_range=peak) == expected[:, 5:-5, 5:-5].mean()


def test_truths_in_turns_are_not_mixed_up():
    truths = [random_image(1, 20, 21, seed=seed) for seed in (0, 0, 1, 0)] + [random_image(1, 20, 22)]
    kept = Similarities()
    for truth in truths:
        restored = random_image(*truth.shape, seed=9)
        assert np.array_equal(kept.to(truth).map(restored), Similarities().to(truth).map(restored))
    assert kept.to(truths[-1].copy()) is kept.to(truths[-1])  # the same pixels: nothing is computed twice


def test_ssim_of_constants():
    dark, light = np.full((1, 16, 16), 0.2), np.full((1, 16, 16), 0.6)
    assert ssim(dark, light) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))


@pytest.mark.parametrize("shapes", [((1, 12, 12), (1, 12, 13)), ((1, 12, 12), (3, 12, 12))])
def test_shapes_must_agree(shapes):
    for metric in (psnr, ssim):
        with pytest.raises(InputError, match=r"\(1, 12, 12\)"):
            metric(random_image(*shapes[0]), random_image(*shapes[1]))


@pytest.mark.parametrize("shape", [(1, 10, 30), (30, 30)])
def test_ssim_needs_a_window(shape):
    with pytest.raises(InputError, match="at least 11x11"):
        ssim(random_image(*shape), random_image(*shape))


def test_eight_bit():
    image = np.array([-0.3, 0.0, 0.0019, 0.002, 0.5, 0.998, 1.0, 1.7])
    assert np.array_equal(to_8_bit(image) * 255, [0, 0, 0, 1, 128, 254, 255, 255])
    assert to_8_bit(image.astype(np.float32)).dtype == np.float64


# half-kernel: (k-1)//2 before and k//2 after, by hand
HALVES = {(5, 5): (2, 2, 2, 2), (4, 6): (1, 2, 2, 3), (7, 4): (3, 3, 1, 2), (1, 1): (0, 0, 0, 0), (1, 8): (0, 0, 3, 4)}


def stored(image):
    """Return what an 8-bit file would hold, by another way."""
    return np.clip(np.floor(image * 255 + 0.5), 0, 255) / 255


def check_score(score, restored, truth):
    assert score.psnr == pytest.approx(numpy_psnr(restored, truth), abs=1e-9)
    assert score.ssim == pytest.approx(numpy_ssim(restored, truth), abs=1e-9)


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
@pytest.mark.parametrize("shape", HALVES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_half_kernel(shape, channels):
    problem = problem_of(shape, channels=channels)
    top, bottom, left, right = HALVES[shape]
    height, width = problem.frame
    restored = 1.4 * random_image(channels, height, width) - 0.2
    truth = random_image(channels, height, width, seed=1)
    inside = (slice(None), slice(top, height - bottom), slice(left, width - right))
    assert restored[inside].shape == problem.blurred.shape
    check_score(protocol("half-kernel").score(restored, problem, Truth(truth)), stored(restored[inside]), truth[inside])


@pytest.mark.parametrize("shape", HALVES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("name", ["half-kernel", "uncropped"])
def test_truth_of_the_measurements_size(shape, name):
    problem = problem_of(shape, channels=3)
    top, bottom, left, right = HALVES[shape]
    height, width = problem.frame
    restored, truth = random_image(3, height, width), random_image(*problem.blurred.shape, seed=1)
    score = protocol(name).score(restored, problem, Truth(truth, offset=(top, left)))
    check_score(score, stored(restored[:, top : height - bottom, left : width - right]), truth)


def test_truth_that_covers_a_part():
    problem = problem_of((5, 5))  # frame 44x54, valid rows 2..42, columns 2..52
    restored, truth = random_image(1, 44, 54), random_image(1, 20, 30, seed=1)
    score = protocol("half-kernel").score(restored, problem, Truth(truth, offset=(-3, 30)))
    check_score(score, stored(restored[:, 2:17, 30:52]), truth[:, 5:20, 0:22])


def test_truth_larger_than_the_frame():
    problem = problem_of((5, 4))  # frame 44x53
    restored, truth = random_image(1, 44, 53), random_image(1, 60, 70, seed=1)
    check_score(
        protocol("uncropped").score(restored, problem, Truth(truth, offset=(-6, -8))),
        stored(restored),
        truth[:, 6:50, 8:61],
    )


def test_cut_30_and_uncropped():
    problem = problem_of((5, 4), size=(80, 90))  # frame 84x93
    restored, truth = random_image(1, 84, 93), random_image(1, 84, 93, seed=1)
    cut = protocol("cut-30").score(restored, problem, Truth(truth))
    check_score(cut, stored(restored[:, 30:54, 30:63]), truth[:, 30:54, 30:63])
    check_score(protocol("uncropped").score(restored, problem, Truth(truth)), stored(restored), truth)


@pytest.mark.parametrize("name", ["cut-30", "shift-aligned"])
@pytest.mark.parametrize("shape", HALVES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_pixels_are_cut_off_what_the_truth_shows(name, shape):
    """A truth of the size of y, as measured data has it, has as much cut off whatever the kernel's size."""
    problem = problem_of(shape, size=(80, 90))
    top, _, left, _ = HALVES[shape]
    truth = random_image(1, 80, 90, seed=1)
    cut = {"cut-30": 30, "shift-aligned": 15}[name]
    compared = protocol(name).reference(problem, Truth(truth, offset=(top, left)))
    assert np.array_equal(compared, truth[:, cut:-cut, cut:-cut])
    seen = protocol(name).crop(np.pad(truth, ((0, 0), HALVES[shape][:2], HALVES[shape][2:])), problem, Truth(truth))
    assert np.array_equal(seen[:, top : top + 9, left : left + 9], truth[:, cut : cut + 9, cut : cut + 9])


#: sizes of the kernel told, where the true one has 13x10
TOLD = [(13, 10), (53, 50), (3, 1), (14, 9), (10, 13), (1, 30)]


def told_problem(shape, truth):
    """Return what a method sees of a truth, told a kernel of a shape, and where it has the truth; by hand."""
    problem = problem_of(shape, size=(168, 171), channels=3)
    top, left = (shape[0] - 1) // 2 - 6, (shape[1] - 1) // 2 - 4
    return problem, Truth(truth, (top, left), taps=(13, 10))


def told_content(smallest, shape):
    """Return an image known where the smallest frame is, in the frame of another kernel, edges repeated."""
    before, after = ((shape[0] - 1) // 2, (shape[1] - 1) // 2), (shape[0] // 2, shape[1] // 2)
    return np.pad(smallest, ((0, 0), (before[0], after[0]), (before[1], after[1])), mode="edge")


@pytest.mark.parametrize("name", [*PROTOCOLS, "shift-aligned:15"])
@pytest.mark.parametrize("offset", [None, (0, 0), (-9, 7)], ids=["of x", "of y", "beside y"])
def test_scores_do_not_depend_on_the_size_of_the_kernel_told(name, offset):
    """The same image, in frames of other sizes, is compared with the same pixels of the truth."""
    whole, smallest = smooth(3, 190, 195), smooth(3, 168, 171, seed=2)
    truth = whole[:, :180, :180] if offset is None else whole[:, :174, :175]
    scores = []
    for shape in TOLD:
        problem, place = told_problem(shape, truth)
        if offset is not None:
            place = Truth(truth, ((shape[0] - 1) // 2 + offset[0], (shape[1] - 1) // 2 + offset[1]), taps=(13, 10))
        scores.append(protocol(name).score(told_content(smallest, shape), problem, place))
    assert scores == [scores[0]] * len(TOLD)
    problem, _ = told_problem((13, 10), truth)
    place = Truth(truth) if offset is None else Truth(truth, (6 + offset[0], 4 + offset[1]))
    assert scores[0] == protocol(name).score(told_content(smallest, (13, 10)), problem, place)


def test_what_a_smaller_kernel_told_leaves_unknown_is_the_nearest_pixel():
    truth = smooth(3, 180, 180)
    problem, place = told_problem((3, 2), truth)
    restored = random_image(3, 170, 172)
    wanted = stored(np.pad(restored, ((0, 0), (5, 5), (4, 4)), mode="edge"))
    check_score(protocol("uncropped").score(restored, problem, place), wanted, truth)
    check_score(protocol("cut-30").score(restored, problem, place), wanted[:, 30:-30, 30:-30], truth[:, 30:-30, 30:-30])
    check_score(protocol("anger").score(restored, problem, place), wanted[:, 12:-12, 8:-10], truth[:, 12:-12, 8:-10])


def test_nothing_left_to_compare():
    problem = problem_of((5, 5))
    restored = random_image(1, *problem.frame)
    with pytest.raises(InputError, match="cut-30 leaves 0x0 pixels: it needs 11 a side; use another --protocol"):
        protocol("cut-30").score(restored, problem, Truth(restored))
    with pytest.raises(InputError, match="half-kernel leaves 4x50 pixels"):
        protocol("half-kernel").score(restored, problem, Truth(restored, offset=(38, 0)))
    with pytest.raises(InputError, match="uncropped leaves 44x0 pixels"):
        protocol("uncropped").score(restored, problem, Truth(restored, offset=(0, 500)))


def test_response_is_applied_where_the_truth_is_encoded():
    problem = problem_of((5, 5), response=Response("gamma", 2.2))
    restored, truth = 1.2 * random_image(1, *problem.frame) - 0.1, random_image(1, *problem.frame, seed=1)
    inside = (slice(None), slice(2, -2), slice(2, -2))
    linear = protocol("half-kernel").score(restored, problem, Truth(truth))
    check_score(linear, stored(restored[inside]), truth[inside])
    encoded = protocol("half-kernel").score(restored, problem, Truth(truth, encoded=True))
    check_score(encoded, stored(np.maximum(restored, 0) ** (1 / 2.2))[inside], truth[inside])


def test_score_of_the_truth_is_perfect():
    problem = problem_of((5, 5))
    truth = to_8_bit(random_image(1, *problem.frame))
    score = protocol("half-kernel").score(truth.astype(np.float32), problem, Truth(truth))
    assert score.psnr == float("inf")
    assert score.ssim == pytest.approx(1)


@pytest.mark.parametrize("shape", HALVES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_anger_cuts_half_the_kernel_twice(shape):
    """The released script: h off the sharp image, which has the size of y, and 2 h off x."""
    problem = problem_of(shape, channels=3)
    top, bottom, left, right = HALVES[shape]
    height, width = problem.frame
    restored, truth = random_image(3, height, width), random_image(*problem.blurred.shape, seed=1)
    score = protocol("anger").score(restored, problem, Truth(truth, offset=(top, left)))
    inside = restored[:, 2 * top : height - 2 * bottom, 2 * left : width - 2 * right]
    check_score(score, stored(inside), truth[:, top : 40 - bottom, left : 50 - right])


def smooth(*shape, seed=0):
    return to_8_bit(gaussian_filter(random_image(*shape, seed=seed), (0, 1.5, 1.5)) * 2 - 0.5)


def aligned(restored, truth, maximum, step):
    """Return what is left of x at the shift of least squared error in gray, by trying all with SciPy."""
    margin = (restored.shape[1] - truth.shape[1]) // 2
    candidates = []
    for down in np.arange(-maximum, maximum + step / 2, step):
        for across in np.arange(-maximum, maximum + step / 2, step):
            there = scipy_shift(restored, (0, -down, -across), order=1)[:, margin:-margin, margin:-margin]
            candidates.append((((rgb2gray(there.T) - rgb2gray(truth.T)) ** 2).sum(), there))
    return min(candidates, key=lambda pair: pair[0])[1]


def test_shift_aligned_against_all_shifts():
    problem = problem_of((5, 4), size=(62, 67), channels=3)  # frame 66x70
    truth = smooth(3, 66, 70)
    restored = scipy_shift(truth, (0, 0.7, -1.1), order=3) + 0.05 * smooth(3, 66, 70, seed=1)
    score = protocol("shift-aligned:1.25").score(restored, problem, Truth(truth))
    inside = truth[:, 15:-15, 15:-15]
    check_score(score, aligned(stored(restored)[:, 13:-13, 13:-13], inside, 1.25, 0.25), inside)


def test_sun_official_against_all_shifts():
    problem = problem_of((4, 5), size=(123, 126), channels=3)  # frame 126x130
    truth = smooth(3, 126, 130)
    restored = np.roll(truth, (3, -10), (1, 2)) + 0.0503 * smooth(3, 126, 130, seed=1) + 1e-6
    score = protocol("sun-official").score(restored, problem, Truth(truth))
    inside = truth[:, 11:-12, 12:-12]  # half the kernel and the 10 px of the search
    there = stored(restored)[:, 14:-9, 2:-22]
    weights = np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])[:, None, None]
    check_score(score, (weights * there).sum(axis=0)[None], (weights * inside).sum(axis=0)[None])


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [("shift-aligned", (-5, 4), (6, 0)), ("shift-aligned:7", (7, -7), (0, 8)), ("sun-official", (10, -7), (0, 11))],
)
@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
def test_a_shifted_copy_is_perfect_within_the_largest_shift(name, near, far, channels):
    problem = problem_of((5, 5), size=(126, 126), channels=channels)
    truth = smooth(channels, 130, 130)
    for offset, perfect in (((0, 0), True), (near, True), (far, False)):
        moved = np.roll(truth, offset, (1, 2))
        score = protocol(name).score(moved, problem, Truth(truth))
        assert (score.psnr == float("inf")) is perfect
        if offset != (0, 0):
            assert protocol("half-kernel").score(moved, problem, Truth(truth)).psnr < 40


def test_sun_official_cuts_nothing_off_a_truth_that_is_cut_already():
    """The benchmark's own data: the sharp images lack 50 px a side of what was blurred, and are compared whole."""
    problem = problem_of((13, 10), size=(228, 231))  # frame 240x240
    photograph = smooth(1, 240, 240)
    truth = Truth(photograph[:, 50:-50, 50:-50], (50, 50))
    assert np.array_equal(protocol("sun-official").reference(problem, truth), truth.image)
    shown = protocol("sun-official").reference(problem, Truth(photograph))
    assert np.array_equal(shown, photograph[:, 16:-16, 14:-15])  # (k-1)//2 and k//2 of 13x10, and the search


@pytest.mark.parametrize("name", ["shift-aligned", "sun-official"])
def test_the_cut_is_from_the_part_of_the_truth_that_is_there(name):
    """A truth of the size of y, as measured data has it, counts like y with as much cut off."""
    problem = problem_of((9, 6), size=(120, 124))  # frame 128x129
    restored, truth = smooth(1, 128, 129), smooth(1, 120, 124, seed=1)
    score = protocol(name).score(restored, problem, Truth(truth, offset=(4, 2)))
    bare = problem_of((1, 1), size=(120, 124))
    assert score == protocol(name).score(restored[:, 4:124, 2:126], bare, Truth(truth))
    rows, columns = protocol(name).reach(problem, Truth(truth, offset=(4, 2)))
    unseen = restored.copy()
    unseen[:, rows, columns] = 0
    assert protocol(name).score(restored - unseen, problem, Truth(truth, offset=(4, 2))) == score


def test_kohler_by_hand():
    problem = problem_of((5, 4), size=(166, 177), channels=3)  # frame 170x180
    truth = smooth(3, 166, 177)
    restored = np.pad(0.613 * np.roll(truth, (3, -2), (1, 2)), ((0, 0), (2, 2), (1, 2)))
    restored = restored + 0.1007 * smooth(3, 170, 180, seed=1) + 1e-6
    x = stored(restored)[:, 2:168, 1:178]
    x = x * (x * truth).sum() / (x * x).sum()
    down, across = map(int, phase_cross_correlation(truth.mean(axis=0), x.mean(axis=0), normalization=None)[0])
    assert (down, across) == (-3, 2)
    x, seen = np.roll(x, (down, across), (1, 2)), np.ones(x.shape[1:])
    seen[-3:], seen[:, :2] = 0, 0
    one, other = (np.einsum("c,chw->hw", [0.299, 0.587, 0.114], image * seen) for image in (x, truth))
    score = protocol("kohler").score(restored, problem, Truth(truth, offset=(2, 1)))
    assert score.psnr == pytest.approx(numpy_psnr(one, other))
    assert score.ssim == pytest.approx(ms_ssim(one, other))


def test_kohler_forgives_scale_and_a_shift_but_for_the_scale_that_goes_before_it():
    problem = problem_of((1, 1), size=(170, 170))
    truth = np.rint(smooth(1, 170, 170) * 100) * 2 / 255  # even levels up to 200, so that halves are levels too
    assert protocol("kohler").score(truth, problem, Truth(truth)).psnr == float("inf")
    half = protocol("kohler").score(truth / 2, problem, Truth(truth))
    assert half.psnr > 200
    assert half.ssim == pytest.approx(1)
    for offset in ((4, -3), (-9, 0)):
        restored = np.roll(truth, offset, (1, 2))
        scale = (restored * truth).sum() / (truth**2).sum()
        left = truth[:, max(0, -offset[0]) : 170 - max(0, offset[0]), max(0, -offset[1]) : 170 - max(0, offset[1])]
        error = (1 - scale) ** 2 * (left**2).sum() / truth.size
        assert protocol("kohler").score(restored, problem, Truth(truth)).psnr == pytest.approx(-10 * np.log10(error))
    assert protocol("kohler").score(0 * truth, problem, Truth(truth)).psnr == pytest.approx(psnr(0 * truth, truth))


def test_of_two_truths_kohler_takes_the_larger_of_each_number():
    one, other = Score(30.0, 0.8), Score(28.0, 0.9)
    assert protocol("kohler").best(one, other) == protocol("kohler").best(other, one) == Score(30.0, 0.9)
    for name in ("shift-aligned", "sun-official"):
        assert protocol(name).best(one, other) == protocol(name).best(other, one) == one


@pytest.mark.parametrize("name", ON_DEMAND)
def test_what_is_on_demand_applies_the_response_where_the_truth_is_encoded(name):
    sharp = smooth(1, 180, 180)
    gamma = Response("gamma", 2.2)
    problem = measure(sharp**2.2, np.full((3, 3), 1 / 9), "gaussian:0.01", key="encoded", response=gamma)
    assert protocol(name).score(sharp**2.2, problem, Truth(sharp, encoded=True)).psnr > 200
    assert protocol(name).score(sharp**2.2, problem, Truth(sharp)).psnr < 40


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("shift-aligned", (36, 60), "leaves 10x34 pixels: it needs 11 a side"),
        ("sun-official", (74, 24), "leaves 54x4 pixels: it needs 11 a side"),
        ("kohler", (160, 200), "leaves 160x200 pixels: it needs 161 a side"),
    ],
)
def test_too_little_for_what_is_on_demand(name, size, words):
    problem = problem_of((5, 5), size=size)
    restored = random_image(1, *problem.frame)
    with pytest.raises(InputError, match=f"{name} {words}"):
        protocol(name).score(restored, problem, Truth(restored))


def test_the_largest_shift_is_part_of_the_name():
    assert protocol("shift-aligned:10").maximum == 10
    assert protocol("shift-aligned:10").name == "shift-aligned:10"
    assert "shifts to 0.5 px" in protocol("shift-aligned:0.50").title
    assert protocol("shift-aligned:5.0") == PROTOCOLS["shift-aligned"]  # one rule, one name
    for text in ("", "ten", "0", "-1", "0.1", "15.25", "nan", "inf"):
        with pytest.raises(InputError, match=r"multiple of 0\.25 px up to 15"):
            protocol(f"shift-aligned:{text}")


def test_luminance():
    image = random_image(3, 5, 6)
    assert luminance(image) == pytest.approx(rgb2gray(image.transpose(1, 2, 0)), abs=0.1)  # Rec. 709 there
    assert luminance(np.ones((3, 2, 2))) == pytest.approx(np.ones((2, 2)))
    assert np.array_equal(luminance(image[:1]), image[0])


def test_unknown_protocol_lists_those_there_are():
    with pytest.raises(UnknownNameError) as caught:
        protocol("half")
    for name in ("'half'", *PROTOCOLS):
        assert name in str(caught.value)
