"""What a preset gains at equal PSNR: made-up curves whose crossings are known, and what must not change a factor."""

import doctest
import math
from dataclasses import replace

import numpy as np
import pytest

from nidbench.analysis import curves
from nidbench.analysis.curves import Cost, curve_of, factor, mean_curve, time_to
from nidbench.records import Point
from nidbench.scoring.score import Score


def curve(*points, pace=0.1):
    return [Point(iteration, iteration * pace, psnr, 0.7) for iteration, psnr in points]


RISING = curve((100, 20.0), (200, 24.0), (400, 26.0))
FALLING = curve((100, 20.0), (200, 28.0), (300, 26.0), (400, 22.0))


def test_the_example_works():
    failures, examples = doctest.testmod(curves)
    assert failures == 0
    assert examples > 0


@pytest.mark.parametrize(
    ("psnr", "cost"),
    [
        (24.0, Cost(200, 20.0)),
        (22.0, Cost(150, 15.0)),
        (25.0, Cost(300, 30.0, last=True)),
        (26.0, Cost(400, 40.0, last=True)),
        (26.1, None),
        (20.0, Cost(100, 10.0, first=True)),
        (-5.0, Cost(100, 10.0, first=True)),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_the_first_crossing_of_a_curve(psnr, cost):
    assert time_to(RISING, psnr) == cost


def test_the_first_crossing_is_the_one_on_the_way_up():
    assert time_to(FALLING, 22.0) == Cost(125, 12.5)
    assert time_to(curve((1, 20.0), (2, 19.0), (3, 21.0)), 20.5).iterations == 2.75


def test_what_is_not_finite_is_passed_over():
    holed = curve((50, math.nan), (100, 20.0), (150, math.nan), (200, 24.0), (300, -math.inf), (400, 26.0))
    for psnr in (20.0, 22.0, 25.0, 27.0):
        assert time_to(holed, psnr) == time_to(RISING, psnr)
    assert time_to(curve((1, math.nan)), 0.0) is None
    assert time_to([], 0.0) is None


@pytest.mark.parametrize("seed", range(5))
def test_costs_rise_with_the_target_and_agree_with_interpolation(seed):
    rng = np.random.Generator(np.random.Philox(key=seed))
    iterations, values = np.cumsum(rng.integers(1, 30, 40)), 20 + np.cumsum(rng.random(40))
    made = curve(*zip(iterations.tolist(), values.tolist(), strict=True))
    targets = np.linspace(values[0], values[-1], 50)
    found = [time_to(made, psnr).iterations for psnr in targets]
    assert found == pytest.approx(np.interp(targets, values, iterations))  # a rising curve has an inverse
    noisy = curve(*zip(iterations.tolist(), (values + 3 * rng.standard_normal(40)).tolist(), strict=True))
    costs = [cost.iterations for psnr in targets if (cost := time_to(noisy, psnr))]
    assert costs == sorted(costs)


def test_a_factor_by_hand():
    fast = curve((20, 22.0), (40, 26.0), (80, 27.0), pace=0.05)
    found = factor(fast, RISING)
    assert (found.target, found.cost.iterations, found.reference.iterations) == (26.0, 40, 400)
    assert (found.iterations, found.seconds) == (10, 20)
    assert (found.short, found.end) == (0, 1.0)
    assert factor(fast, RISING, 24.0).iterations == 200 / 30


def test_never_there_has_no_factor_and_says_what_is_lacking():
    found = factor(curve((20, 22.0), (40, 25.2)), RISING)
    assert found.cost is None
    assert math.isnan(found.iterations)
    assert math.isnan(found.seconds)
    assert (found.short, found.end) == pytest.approx((0.8, -0.8))
    reverse = factor(RISING, curve((20, 22.0), (40, 25.2)), 26.0)
    assert reverse.reference is None
    assert (math.isnan(reverse.iterations), reverse.short) == (True, pytest.approx(0.8))


def test_a_reference_that_falls_is_passed_early_at_its_stop_and_late_at_its_best():
    late = curve((100, 18.0), (200, 22.0), (300, 28.0))
    assert factor(late, FALLING).iterations == 125 / 200  # both on the way up, long before 400
    assert factor(late, FALLING, curves.best(FALLING)).iterations == 200 / 300
    assert factor(late, FALLING).end == 6


@pytest.mark.parametrize("times", [0.5, 2.0, 10.0])
def test_a_factor_scales_with_what_the_reference_spends(times):
    fast = curve((30, 21.0), (70, 27.0), pace=0.07)
    slower = [replace(point, seconds=point.seconds * times) for point in RISING]
    longer = [replace(point, iteration=int(point.iteration * times)) for point in RISING]
    before = factor(fast, RISING)
    assert factor(fast, slower).seconds == pytest.approx(times * before.seconds)
    assert factor(fast, slower).iterations == before.iterations
    assert factor(fast, longer).iterations == pytest.approx(times * before.iterations)


def test_a_factor_is_1_with_itself_and_the_inverse_the_other_way_round():
    fast = curve((30, 21.0), (70, 27.0), pace=0.07)
    assert factor(RISING, RISING).iterations == factor(RISING, RISING).seconds == 1
    there, back = factor(fast, RISING, 25.5), factor(RISING, fast, 25.5)
    assert there.iterations * back.iterations == pytest.approx(1)
    assert there.seconds * back.seconds == pytest.approx(1)


def test_nothing_is_divided_by_0_seconds():
    assert math.isnan(factor(curve((10, 30.0), pace=0.0), RISING).seconds)


def test_a_curve_ends_with_what_was_returned_and_all_it_took(make_record):
    record = make_record(psnr=26.0, curve=((50, 25.0), (100, 26.0)), seconds=12.0, iterations=100)
    assert [(p.iteration, p.seconds, p.psnr) for p in curve_of(record)] == [(50, 5.0, 25.0), (100, 12.0, 26.0)]
    other = replace(record, scores={"half-kernel": Score(27.0, 0.8)})  # the last observation was of something else
    assert [(p.iteration, p.psnr) for p in curve_of(other)] == [(50, 25.0), (100, 26.0), (100, 27.0)]
    earlier = replace(other, iterations=50, seconds=1.0)  # what was returned cost all that was done
    assert [(p.iteration, p.seconds) for p in curve_of(earlier)] == [(50, 5.0), (100, 10.0), (100, 10.0)]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "timeout"},
        {"scores": {}},
        {"scores": {"half-kernel": Score(math.nan, 0.5)}},
        {"scores": {"half-kernel": Score(math.inf, 1.0)}},
        {"curve": ()},
        {"iterations": None},
    ],
)
def test_what_has_no_curve(make_record, fields):
    record = make_record(curve=fields.pop("curve", ((50, 25.0),)))
    assert curve_of(replace(record, **fields)) == ()
    assert curve_of(None) == ()


def test_a_mean_curve_holds_what_was_returned():
    places, means = mean_curve([curve((10, 20.0), (20, 22.0)), curve((15, 24.0), (40, 29.0))], "iteration")
    assert places.tolist() == [15, 20, 40]
    assert means == pytest.approx([(21 + 24) / 2, (22 + 25) / 2, (22 + 29) / 2])
    assert mean_curve([RISING], "seconds")[0].tolist() == [10, 20, 40]
