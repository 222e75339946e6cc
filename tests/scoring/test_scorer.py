import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.contract import Noise, Problem, Response, Truth
from nidbench.physics.measure import measure
from nidbench.scoring.measures import MEASURES, OF_NULL_BAND, OF_RESIDUAL
from nidbench.scoring.protocols import CROPS, PROTOCOLS
from nidbench.scoring.score import Score
from nidbench.scoring.scorer import (
    PASSES,
    Averages,
    Scorer,
    calibration,
    closest,
    compare,
    extended,
    null_band,
)

KERNEL = np.full((5, 4), 1 / 20)  # rows 2 before and 2 after, columns 1 before and 2 after
GAMMA = Response("gamma", 2.2)


def image(seed=0, shape=(1, 90, 84)):
    """A smooth image and its like: a plane of blobs."""
    generator = np.random.default_rng(seed)
    return np.kron(generator.random((shape[0], shape[1] // 6, shape[2] // 6)), np.ones((6, 6)))


@pytest.fixture
def sharp():
    return image()


@pytest.fixture
def problem(sharp):
    return measure(sharp, KERNEL, "gaussian:0.02", key="scoring")


def direct(restored, truth, rows, columns):
    """Scikit-image's numbers on a cut of 8-bit values."""
    shown = (np.round(np.clip(restored, 0, 1) * 255) / 255)[:, rows, columns].astype(np.float64)
    wanted = truth[:, rows, columns]
    similarity = structural_similarity(
        shown,
        wanted,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=0,
    )
    return Score(pytest.approx(peak_signal_noise_ratio(wanted, shown, data_range=1)), pytest.approx(similarity))


CUTS = {
    "half-kernel": (slice(2, 88), slice(1, 82)),
    "cut-30": (slice(30, 60), slice(30, 54)),
    "uncropped": (slice(0, 90), slice(0, 84)),
    "anger": (slice(4, 86), slice(2, 80)),
}


def test_scores_are_those_of_scikit_image_under_each_protocol(problem, sharp):
    restored = sharp + np.random.default_rng(1).normal(0, 0.1, sharp.shape)
    scores_by_name = Scorer(problem, [Truth(sharp)]).scores(restored)
    assert set(scores_by_name) == set(CROPS) == set(CUTS)
    for name, cut in CUTS.items():
        assert scores_by_name[name] == direct(restored, sharp, *cut)


def test_the_input_is_y_with_its_edges_repeated_under_each_protocol(problem, sharp):
    (_, h, w) = problem.blurred.shape
    rows, columns = np.arange(90).clip(2, 1 + h) - 2, np.arange(84).clip(1, w) - 1
    wanted = problem.blurred[:, rows][:, :, columns]
    assert np.array_equal(extended(problem), wanted)
    scores_by_name = Scorer(problem, [Truth(sharp)]).input_scores
    assert set(scores_by_name) == set(CUTS)
    for name, cut in CUTS.items():
        assert scores_by_name[name] == direct(wanted, sharp, *cut)


def test_a_perfect_restoration_scores_infinity(problem):
    sharp = np.round(image() * 255) / 255
    scorer = Scorer(problem, [Truth(sharp)])
    assert all(score == Score(math.inf, 1.0) for score in scorer.scores(sharp).values())


def test_a_protocol_that_leaves_nothing_is_left_out():
    sharp = image(shape=(3, 60, 60))
    problem = measure(sharp, KERNEL, "gaussian:0.02", key="small")
    scorer = Scorer(problem, [Truth(sharp)])
    assert set(scorer.scores(sharp)) == set(scorer.input_scores) == {"half-kernel", "uncropped", "anger"}


def test_of_many_truths_the_best_match_counts(problem, sharp):
    others = [image(seed) for seed in (1, 2)]
    restored = 0.9 * sharp + 0.1 * others[0]
    wanted = Scorer(problem, [Truth(sharp)]).scores(restored)
    for truths in ([others[0], sharp, others[1]], [sharp, *others], [*others, sharp]):
        assert Scorer(problem, [Truth(truth_image) for truth_image in truths]).scores(restored) == wanted
    assert Scorer(problem, [Truth(truth_image) for truth_image in others]).scores(restored) != wanted


def test_of_many_truths_each_protocol_has_its_own_best_match(problem, sharp):
    """One truth is right in the middle, the other at the border."""
    middle, border = np.zeros_like(sharp), sharp.copy()
    middle[:, 25:65, 25:60], border[:, 25:65, 25:60] = sharp[:, 25:65, 25:60], 0.5
    restored = sharp + np.random.default_rng(1).normal(0, 0.1, sharp.shape)
    for truths in ((middle, border), (border, middle)):
        scores_by_name = Scorer(problem, [Truth(truth_image) for truth_image in truths]).scores(restored)
        assert scores_by_name["cut-30"] == direct(restored, middle, *CUTS["cut-30"])
        assert scores_by_name["uncropped"] == direct(restored, border, *CUTS["uncropped"])


def test_kohler_takes_the_largest_of_each_number_over_the_truths():
    sharp = np.kron(np.random.default_rng(0).random((1, 34, 34)), np.ones((5, 5)))
    problem = measure(sharp, np.ones((1, 1)), "gaussian:0.02", key="kohler")
    noisy = sharp + np.random.default_rng(1).normal(0, 0.03, sharp.shape)
    shaded = sharp + np.linspace(-0.05, 0.05, 170)
    truths = [Truth(noisy), Truth(shaded), Truth(sharp[:, ::-1])]
    single = [Scorer(problem, [truth], ["kohler"]).scores(sharp)["kohler"] for truth in truths]
    wanted = Score(single[1].psnr, single[0].ssim)
    assert wanted == Score(max(score.psnr for score in single), max(score.ssim for score in single))
    assert Scorer(problem, truths, ["kohler"]).scores(sharp) == {"kohler": wanted}


@pytest.fixture
def photographs(tmp_path):
    """A sharp image, and it as a camera measured it by a kernel of 13x12, with truths of the size of x and of y."""
    kernel = np.pad(np.outer(np.arange(1, 8), np.arange(1, 7)), 3) / 588
    sharp = np.rint(255 * image(shape=(1, 210, 216))) / 255
    problem = measure(sharp, kernel, "gaussian:0.02", key="photographs")
    images = {"sharp/whole": sharp, "measured/truth/whole": sharp, "measured/truth/seen": sharp[:, *problem.valid]}
    images |= dict.fromkeys(("measured/blurred/whole", "measured/blurred/seen"), problem.blurred)
    for name, pixels in images.items():
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.rint(255 * pixels[0].clip(0, 1)).astype(np.uint8)).save(path)
    (tmp_path / "measured" / "kernels").mkdir()
    np.save(tmp_path / "measured" / "kernels" / "lone.npy", kernel)
    return tmp_path


@pytest.mark.parametrize("error", ["shift=2", "pad=20", "pad=-5", "shift=1.5:blur=2:rotate=9:noise=0.3"])
@pytest.mark.parametrize("folder", ["sharp", "measured"])
def test_scores_are_the_same_whatever_kernel_methods_are_told(photographs, folder, error):
    """Under every protocol, for the input and for one restoration in the frames of either kernel."""
    kernels, noises = {"sharp": ("sample", ("gaussian:0.05",)), "measured": ("folder", ())}[folder]
    request = CaseRequest(dataset=f"folder:{photographs / folder}", kernels=(kernels,), noises=noises)
    wrong = replace(request, kernels=(f"{kernels}@perturbed:{error}",))
    for true, misled in zip(cases(request), cases(wrong), strict=True):
        problem, other = true.problem(), misled.problem()
        assert other.kernel.shape != problem.kernel.shape
        scorer, again = (Scorer(case.problem(), case.truths(), list(PROTOCOLS)) for case in (true, misled))
        assert set(scorer.input_scores) == set(PROTOCOLS)
        assert again.input_scores == scorer.input_scores
        assert again.scores(drawn(other)) == scorer.scores(drawn(problem))


def drawn(problem):
    """Return the same image for the same y: random where all frames are, its edges repeated."""
    (_, height, width), (rows, columns) = problem.blurred.shape, problem.kernel.shape
    middle = np.random.default_rng(8).random((1, height + 2, width + 1))
    before, after = ((rows - 1) // 2 - 1, (columns - 1) // 2), (rows // 2 - 1, columns // 2 - 1)
    return np.pad(middle, ((0, 0), *zip(before, after, strict=True)), mode="edge")


def test_the_input_is_scored_against_its_own_best_truth(problem, sharp):
    scorer = Scorer(problem, [Truth(image(1)), Truth(sharp)])
    assert scorer.input_scores == Scorer(problem, [Truth(sharp)]).input_scores
    assert scorer.scores(image(1))["uncropped"].psnr > 40  # while this estimate matches the other


def test_without_truth_there_are_no_scores(problem, sharp):
    scorer = Scorer(problem, [])
    assert scorer.scores(sharp) == {}
    assert scorer.input_scores == {}
    assert scorer.score(sharp) is None
    averages = Averages(scorer)
    averages.add(sharp)
    assert averages.points == []


def test_the_curve_is_under_the_half_kernel_protocol(problem, sharp):
    scorer = Scorer(problem, [Truth(sharp)])
    noisy = (sharp + np.random.default_rng(2).normal(0, 0.05, sharp.shape)).astype(np.float32)
    assert scorer.score(noisy) == direct(noisy, sharp, *CUTS["half-kernel"])


def test_estimates_are_linear_and_the_input_is_encoded_already(sharp):
    """Where the truth is display-encoded: x gets the response once, y, which has it, not again."""
    encoded = sharp ** (1 / 2.2)
    problem = measure(sharp, KERNEL, "gaussian:0.02", key="gamma", response=GAMMA)
    scorer = Scorer(problem, [Truth(encoded, encoded=True)])
    restored = (sharp + np.random.default_rng(3).normal(0, 0.02, sharp.shape)).clip(0, 1)
    for name, cut in CUTS.items():
        assert scorer.scores(restored)[name] == direct(restored ** (1 / 2.2), encoded, *cut)
        assert scorer.input_scores[name] == direct(extended(problem), encoded, *cut)


def test_averages_are_scores_of_the_mean_of_the_first_draws(problem, sharp):
    scorer = Scorer(problem, [Truth(sharp)])
    averages = Averages(scorer)
    draws = sharp + np.random.default_rng(4).normal(0, 0.2, (30, *sharp.shape))
    draws = draws.astype(np.float32)
    for draw in draws:
        averages.add(draw)
    assert [count for count, _ in averages.points] == [1, 2, 3, 5, 10, 20, 30]
    for count, psnr in averages.points:
        mean = draws[:count].astype(np.float64).mean(axis=0)
        assert psnr == direct(mean, sharp, *CUTS["half-kernel"]).psnr
    values = [psnr for _, psnr in averages.points]
    assert values == sorted(values)  # averaging independent errors helps
    assert set(PASSES) >= {1, 2, 5, 10, 20, 50, 100}


def test_draws_are_neither_changed_nor_kept(problem, sharp):
    averages = Averages(Scorer(problem, [Truth(sharp)]))
    draw = sharp.astype(np.float32)
    averages.add(draw)
    first = list(averages.points)
    assert np.array_equal(draw, sharp.astype(np.float32))
    draw[:] = 0
    averages.add(sharp.astype(np.float32))
    assert averages.points[0] == first[0]
    assert averages.points[1][1] == pytest.approx(first[0][1])


def test_a_truth_of_the_size_of_y_lies_at_its_offset(sharp):
    kernel = np.zeros((5, 5))
    kernel[2, 2] = 1
    problem = Problem(sharp[:, 2:-2, 2:-2].astype(np.float32), kernel, Noise("gaussian", 0.01))
    truth = Truth(sharp[:, 2:-2, 2:-2], offset=(2, 2))
    rows = columns = slice(2, -2)
    noisy = sharp + np.random.default_rng(5).normal(0, 0.05, sharp.shape)
    assert Scorer(problem, [truth]).scores(noisy)["half-kernel"] == direct(noisy, sharp, rows, columns)
    assert Scorer(problem, [truth]).scores(noisy)["uncropped"] == direct(noisy, sharp, rows, columns)


def spread_and_estimate(sharp, deviation=0.05):
    noise = np.random.default_rng(6).normal(0, deviation, sharp.shape)
    return (sharp + noise).astype(np.float32), np.full_like(sharp, deviation**2, dtype=np.float32)


def test_measures_are_of_the_region_that_y_shows(problem):
    sharp = 0.3 + 0.4 * image()
    estimate, variance = spread_and_estimate(sharp)
    inside = (slice(None), *CUTS["half-kernel"])
    outside = np.ones(sharp.shape, bool)
    outside[inside] = False
    estimate[outside], variance[outside] = 0.0, 9.0
    variance[inside] *= np.random.default_rng(7).uniform(0.9, 1.1, variance[inside].shape)
    values = Scorer(problem, [Truth(sharp)]).measures(estimate, variance)
    assert set(values) == set(MEASURES) - set(OF_RESIDUAL)
    expected = calibration.calibration(estimate[inside], variance[inside].astype(float), sharp[inside])
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert values["coverage_95"] == pytest.approx(0.95, abs=0.02)
    hidden = null_band.measures(estimate[inside].astype(float) - sharp[inside], sharp[inside], problem)
    assert {name: values[name] for name in OF_NULL_BAND} == pytest.approx(hidden)
    assert values["null_mse"] + values["seen_mse"] == pytest.approx(0.05**2, rel=0.05)


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (255, 0), (1 / 255, 0), (2, -1)])
def test_brightness_is_the_mean_beside_that_of_the_blurred_image(problem, sharp, scale, offset):
    image = scale * sharp + offset
    brightness = Scorer(problem, [Truth(sharp)]).measures(image, None)["brightness"]
    assert brightness == pytest.approx(image[:, *problem.valid].mean() / problem.blurred.mean())


def test_measures_are_against_the_truth_that_matches_best(problem):
    sharp = 0.3 + 0.4 * image()
    estimate, variance = spread_and_estimate(sharp)
    wanted = Scorer(problem, [Truth(sharp)]).measures(estimate, variance)
    assert Scorer(problem, [Truth(image(1)), Truth(sharp), Truth(image(2))]).measures(estimate, variance) == wanted


def test_without_variance_or_truth_there_are_fewer_measures(problem, sharp):
    estimate, _ = spread_and_estimate(sharp)
    assert set(Scorer(problem, [Truth(sharp)]).measures(estimate, None)) == {*OF_NULL_BAND, "brightness"}
    assert set(Scorer(problem, []).measures(sharp, sharp)) == set(OF_RESIDUAL)


def test_a_variance_goes_through_the_response_as_its_interval_does():
    """Errors of a linear estimate are covered as often however the truth is encoded: g is monotone."""
    sharp = 0.3 + 0.4 * image()
    estimate, variance = spread_and_estimate(sharp, 0.01)
    problem = measure(sharp, KERNEL, "gaussian:0.02", key="gamma", response=GAMMA)
    linear = Scorer(problem, [Truth(sharp)]).measures(estimate, variance)
    encoded = Scorer(problem, [Truth(sharp ** (1 / 2.2), encoded=True)]).measures(estimate, variance)
    for level in (50, 68, 95):
        assert encoded[f"coverage_{level}"] == pytest.approx(linear[f"coverage_{level}"], abs=0.005)
    pair = compare(estimate, variance, problem, Truth(sharp ** (1 / 2.2), encoded=True))
    slope = pair.truth**-1.2 / 2.2  # dg/dz at z = t^2.2
    np.testing.assert_allclose(np.sqrt(pair.variance), 0.01 * slope, rtol=0.2)


def test_a_variance_at_black_stays_finite():
    dark = np.zeros((1, 90, 84))
    problem = measure(dark, KERNEL, "gaussian:0.02", key="black", response=GAMMA)
    pair = compare(dark, np.full_like(dark, 1e-4), problem, Truth(dark, encoded=True))
    np.testing.assert_allclose(pair.variance, (0.01 ** (1 / 2.2) / 2) ** 2)


def test_the_truth_for_pictures_is_the_one_that_y_matches_best(problem, sharp):
    truths = [Truth(image(1)), Truth(sharp), Truth(image(2))]
    assert closest(problem, truths) is truths[1]
    assert closest(problem, truths[::-1]) is truths[1]
    assert closest(problem, [Truth(sharp[:, :9, :9]), *truths[:2]]) is truths[1]  # too small to be compared
    assert closest(problem, truths[:1]) is truths[0]
    assert closest(problem, []) is None
