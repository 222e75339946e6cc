"""Stopping rules in closed form, and against plain re-computations."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from nidbench.errors import InputError
from nidbench.fitting import RULES, Stop, noise_threshold
from nidbench.fitting.stopping import NEAR, PRODUCTS

FLAT, ONES = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)


def feed(stopper, residuals, images=None, best=None):
    """Return (iteration, reason) of the stop, or None; append to `best` what the stopper says of each iterate."""
    for count, residual in enumerate(residuals, 1):
        reason = stopper.update(residual, FLAT if images is None else images[count - 1], residual * ONES)
        if best is not None:
            best.append(stopper.best)
        if reason is not None:
            return count, reason
    return None


def test_iterations_never_stop():
    stopper = Stop().start()
    assert feed(stopper, [0.0] * 50) is None
    assert stopper.best is None


def test_one_residual_under_the_noise_level_stops():
    threshold = noise_threshold(0.05)
    assert threshold == pytest.approx((0.05 + 5e-4) ** 2)
    stopper = Stop("noise-level").start(threshold)
    assert feed(stopper, [threshold, 2 * threshold, 0.999 * threshold]) == (3, "noise level")


def test_the_smoothed_rule_is_a_weighted_mean():
    residuals = np.random.Generator(np.random.Philox(0)).random(60)
    for count in range(1, 61):
        weights = (1 - 1 / 20) ** np.arange(count)[::-1]
        mean = (weights * residuals[:count]).sum() / weights.sum()
        half_full = 1 - (1 - 1 / 20) ** count > 0.5
        for threshold, expected in ((mean * (1 - 1e-9), False), (mean * (1 + 1e-9), half_full)):
            stopper = Stop("smoothed-noise-level", memory=20).start(-math.inf)
            feed(stopper, residuals[: count - 1])
            stopper._threshold = threshold
            assert (stopper.update(residuals[count - 1], FLAT, None) is not None) == expected


@pytest.mark.parametrize("margin", [0, 2])
def test_the_averaged_rule_looks_at_the_average_of_the_predictions(margin):
    """Passes that scatter about the truth: no single one is below the noise level, their average is."""
    rng = np.random.Generator(np.random.Philox(3))
    noise = 0.05 * rng.standard_normal((1, 64, 64))
    passes = torch.from_numpy(0.95 * noise + 0.03 * rng.standard_normal((60, 1, 64, 64)))
    assert (passes.square().mean((1, 2, 3)).sqrt() > 0.055).all()
    stopper = Stop("averaged-noise-level", margin=margin).start(noise_threshold(0.05))
    count = next(n for n, each in enumerate(passes, 1) if stopper.update(1.0, FLAT, each))
    products = [(one * other).mean().item() for one, other in itertools.pairwise(passes)]
    levels = {n: math.sqrt(np.median(products[n - PRODUCTS - 1 : n - 1])) for n in range(PRODUCTS + 1, 61)}
    level = 0.05 * (1 - margin / math.sqrt(2 * 64**2))
    assert levels[count] < level <= min([1.0, *(levels[n] for n in range(PRODUCTS + 1, count))])
    assert levels[count] == pytest.approx(float(np.sqrt(np.square(0.95 * noise).mean())), rel=0.01)


def test_the_averaged_rule_goes_on_from_its_state_and_wants_predictions():
    passes = torch.from_numpy(np.random.Generator(np.random.Philox(4)).standard_normal((50, 1, 9, 9)))
    level = noise_threshold(0.2)
    whole, first = (Stop("averaged-noise-level").start(level) for _ in range(2))
    reasons = [whole.update(1.0, FLAT, each) for each in passes]
    for each in passes[:15]:
        first.update(1.0, FLAT, each)
    second = Stop("averaged-noise-level").start(level)
    second.load(first.state())
    assert [second.update(1.0, FLAT, each) for each in passes[15:]] == reasons[15:]
    assert any(reasons)
    with pytest.raises(TypeError, match=r"looks at Loss\.difference"):
        second.update(1.0, FLAT, None)


def residuals_of_held_out(count=60):
    """Differences that fall and rise again, under noise that stays and scatter that is another one in every pass."""
    rng = np.random.Generator(np.random.Philox(5))
    noise, error = rng.standard_normal((2, 400))
    size = 0.3 + np.abs(np.arange(count) - 25) / 30
    return torch.from_numpy(noise + size[:, None] * error + 0.1 * rng.standard_normal((count, 400)))


@pytest.mark.parametrize("margin", [0, 2, 4])
def test_held_out_pixels_end_the_fit_once_their_residual_has_risen_for_sure(margin):
    passes = residuals_of_held_out().numpy()
    products = passes[1:] * passes[:-1]
    levels = {n: products[n - 6 : n - 1].mean(0) for n in range(6, 61)}
    lowest, when, expected = levels[6], 6, 0
    for n in range(7, 61):
        if levels[n].mean() < lowest.mean():
            lowest, when = levels[n], n
        elif n >= when + 5 and stats.ttest_rel(levels[n], lowest).statistic > margin:
            expected = n
            break
    stopper = Stop("held-out", window=5, margin=margin).start()
    reasons = {n: stopper.update(1.0, FLAT, each) for n, each in enumerate(torch.from_numpy(passes), 1)}
    assert next((n, reason) for n, reason in reasons.items() if reason) == (expected, "held-out pixels")
    assert stopper.best is None


def test_held_out_pixels_are_remembered_in_the_state():
    passes = residuals_of_held_out()
    whole = Stop("held-out", window=4, margin=3).start()
    reasons = [whole.update(1.0, FLAT, each) for each in passes]
    for cut in (1, 3, 30):
        first = Stop("held-out", window=4, margin=3).start()
        for each in passes[:cut]:
            first.update(1.0, FLAT, each)
        second = Stop("held-out", window=4, margin=3).start()
        second.load(first.state())
        assert [second.update(1.0, FLAT, each) for each in passes[cut:]] == reasons[cut:]
    assert any(reasons)
    with pytest.raises(TypeError, match=r"looks at Loss\.difference"):
        whole.update(1.0, FLAT, None)


def iterates(count, noise, seed=0):
    """Images that drift and wander, by a standard deviation for each iteration."""
    rng = np.random.Generator(np.random.Philox(seed))
    drift = np.linspace(0, 0.1, count)[:, None, None, None]
    scale = np.broadcast_to(noise, count)[:, None, None, None]
    return torch.from_numpy(0.5 + drift + scale * rng.standard_normal((count, 1, 6, 5)))


def test_the_windowed_variance_stops_at_its_minimum_once_patience_runs_out():
    noise = np.abs(np.arange(80) - 40) / 400 + 0.01  # quietest at iteration 41
    images = iterates(80, noise)
    windows = [images[end - 10 : end].numpy() for end in range(10, 81)]
    variances = [((window - window.mean(0)) ** 2).mean() for window in windows]
    quietest = 10 + int(np.argmin(variances))  # the iteration that ends that window
    stopper, best = Stop("windowed-variance", window=10, patience=15).start(), []
    for count, image in enumerate(images, 1):
        reason = stopper.update(1.0, image, None)
        best += [count] if stopper.best else []
        if reason:
            break
    assert reason == "windowed variance"
    assert best[-1] == quietest
    assert count == quietest + 15


def test_the_windowed_variance_waits_for_a_full_window():
    stopper = Stop("windowed-variance", window=5, patience=1).start()
    still = torch.ones(10, 1, 2, 2)
    assert feed(stopper, [1.0] * 10, still) == (6, "windowed variance")


def test_the_rising_variance_stops_once_it_is_above_its_lowest_by_the_margin():
    noise = np.abs(np.arange(120) - 60) / 400 + 0.01  # quietest at iteration 61
    images = iterates(120, noise)
    windows = [images[end - 10 : end].numpy() for end in range(10, 121)]
    variances = np.array([((window - window.mean(0)) ** 2).mean() for window in windows])
    for margin in (0.05, 0.5, 2.0):
        risen = variances > (1 + margin) * np.minimum.accumulate(variances)
        stopper = Stop("rising-variance", window=10, margin=margin).start(noise_threshold(1.0))
        assert feed(stopper, [1.0] * 120, images) == (10 + int(np.argmax(risen)), "rising variance")


def test_the_rising_variance_heeds_nothing_before_the_residual_is_near_the_noise():
    """Networks that stay for long at what they begin with vary more once they leave it."""
    images = iterates(60, np.linspace(0.01, 0.05, 60))
    residuals = [1.3] * 30 + [1.0] * 30  # `feed` has differences of these, so that their products are the squares
    near = 31 + PRODUCTS // 2 + 1  # most of the products are of the second half by then
    assert 1.0 < NEAR < 1.3**2
    reason = feed(Stop("rising-variance", window=5, margin=0.0).start(noise_threshold(1.0)), residuals, images)
    assert reason is not None
    assert near <= reason[0] < near + 5
    never = Stop("rising-variance", window=5, margin=0.0).start(noise_threshold(0.9))
    assert feed(never, residuals, images) is None
    noiseless = Stop("rising-variance", window=5, margin=0.0).start(noise_threshold(0.0))
    assert feed(noiseless, [1e-9] * 60, images) is None


def test_the_rising_variance_goes_on_from_its_state():
    images = iterates(120, np.abs(np.arange(120) - 60) / 400 + 0.01)
    whole = Stop("rising-variance", window=10, margin=0.5).start(noise_threshold(1.0))
    reasons = [whole.update(1.0, image, ONES) for image in images]
    for cut in (4, 15, 30, 70):
        first = Stop("rising-variance", window=10, margin=0.5).start(noise_threshold(1.0))
        assert [first.update(1.0, image, ONES) for image in images[:cut]] == reasons[:cut]
        second = Stop("rising-variance", window=10, margin=0.5).start(noise_threshold(1.0))
        second.load(first.state())
        assert [second.update(1.0, image, ONES) for image in images[cut:]] == reasons[cut:]
    assert any(reasons)


def test_the_lowest_residual_counts_where_it_is_lower_by_half_a_percent():
    residuals = [1.0, 0.996, 0.99, 2.0, 0.5, 0.499, 0.4]
    lowest, expected = math.inf, []
    for residual in residuals:
        expected.append(residual < lowest / 1.005)
        lowest = residual if expected[-1] else lowest
    assert expected == [True, False, True, False, True, False, True]
    stopper, found = Stop("lowest-residual").start(), []
    for residual in residuals:
        assert stopper.update(residual, FLAT, None) is None
        found.append(stopper.best)
    assert found == expected


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_says_that_it_ends_early_does(rule):
    stop = Stop(rule, memory=6, window=5, patience=4)
    restless = iterates(40, np.linspace(0.001, 0.2, 40))
    residuals = [float(n) for n in range(40)] if stop.holds_out else [0.0] * 40
    assert (feed(stop.start(0.4), residuals, restless) is not None) == stop.ends_early


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("cut", [1, 7, 12])
def test_a_state_goes_on_where_it_was(rule, cut):
    stop = Stop(rule, memory=6, window=5, patience=4)
    residuals = np.linspace(1, 0, 40) + 0.1 * (np.arange(40) % 3)
    images = iterates(40, np.linspace(0.001, 0.2, 40))
    whole, first, second = (stop.start(0.4) for _ in range(3))
    best: tuple[list, list] = [], []
    expected = feed(whole, residuals, images, best[0])
    if feed(first, residuals[:cut], images[:cut], best[1]) is None:
        second.load(first.state())
        found = feed(second, residuals[cut:], images[cut:], best[1])
        assert found == (None if expected is None else (expected[0] - cut, expected[1]))
        assert best[0] == best[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rule": "early"},
            "averaged-noise-level, held-out, rising-variance, windowed-variance, lowest-residual",
        ),
        ({"window": 1}, "window=1"),
        ({"patience": 0}, "patience=0"),
        ({"memory": 0}, "memory=0"),
        ({"margin": -1}, "margin=-1"),
    ],
)
def test_impossible_rules_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Stop(**settings)
