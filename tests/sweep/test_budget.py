"""Parts of sweeps: their limit, their spread over conditions, and that the rest of the sweep stays as it was."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from nidbench.contract import CaseKey
from nidbench.errors import InputError
from nidbench.paper.experiments import experiments
from nidbench.sweep.budget import affordable, as_budget, condition, read_budget, restrict, spread
from nidbench.sweep.cost import Rate
from nidbench.sweep.request import Ask

NOISES = ("gaussian:0.01", "gaussian:0.03", "gaussian:0.05")
KEYS = [
    CaseKey(dataset, f"{image:02}", f"levin/{kernel}", noise)
    for dataset, images in (("set12", 12), ("levin", 4))
    for image in range(1, images + 1)
    for kernel in range(1, 9)
    for noise in NOISES
]
RATES = {(label, 1): Rate(about, 0.1, 10.0) for label, about in (("ours", 2.0), ("dip", 1.0))}


def jobs(keys, labels=("ours", "dip"), pixels=1, *, stops_itself=False):
    """What `affordable` looks at of jobs."""
    return [
        SimpleNamespace(
            planned=SimpleNamespace(label=label),
            case=SimpleNamespace(key=key, shape=(1, 1, pixels)),
            method=SimpleNamespace(stops_itself=stops_itself),
        )
        for key in keys
        for label in labels
    ]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), (" 1s ", 1)])
def test_times(text, seconds):
    assert read_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "0m", "-1h", "m", "1d", "1h30m"])
def test_times_that_are_none(text):
    with pytest.raises(InputError, match=r"90s, 30m or 1\.5h"):
        read_budget(text)


def test_times_are_rounded_up():
    assert [as_budget(seconds) for seconds in (0.2, 119.5, 121, 7199, 7201)] == ["1s", "120s", "3m", "120m", "3h"]
    assert read_budget(as_budget(12345)) >= 12345


def test_all_measurements_come_once():
    order = spread([*KEYS, *KEYS[:5]])
    assert sorted(map(str, order)) == sorted(map(str, KEYS))


@pytest.mark.parametrize("count", [6, 24, 48, 100, 192])
def test_any_beginning_is_spread(count):
    beginning = spread(KEYS)[:count]
    strata = Counter(map(condition, beginning))
    assert len(strata) == 6
    assert max(strata.values()) - min(strata.values()) <= 1  # as long as none is used up, at 6 x 32
    for stratum in strata:
        members = [key for key in beginning if condition(key) == stratum]
        for used in (Counter(key.image for key in members), Counter(key.kernel for key in members)):
            assert max(used.values()) - min(used.values()) <= 1
        assert len({key.kernel for key in members}) == min(8, len(members))
        assert len({key.image for key in members}) == min(12 if stratum[0] == "set12" else 4, len(members))


@pytest.mark.parametrize(("images", "kernels"), [(12, 8), (4, 8), (12, 6), (80, 8), (5, 4), (7, 1), (1, 3), (9, 6)])
def test_any_beginning_of_a_grid_uses_images_alike_and_kernels_alike(images, kernels):
    keys = [CaseKey("set", str(i), f"k/{k}", "gaussian:0.05") for i in range(images) for k in range(kernels)]
    order = spread(keys)
    assert set(order) == set(keys)
    of_images, of_kernels = (
        Counter(dict.fromkeys(map(str, range(images)), 0)),
        Counter(dict.fromkeys(range(kernels), 0)),
    )
    for key in order:
        of_images[key.image] += 1
        of_kernels[int(key.kernel[2:])] += 1
        for used in (of_images, of_kernels):
            assert max(used.values()) - min(used.values()) <= 1


def test_after_a_turn_of_images_and_kernels_the_kernels_move_on():
    """The order that `tests/benchmarks/coverage.py` has the coverage of."""
    keys = [CaseKey("set", str(i), f"k/{k}", "gaussian:0.05") for i in range(12) for k in range(8)]
    pairs = [(int(key.image), int(key.kernel[2:])) for key in spread(keys)]
    assert pairs == [(step % 12, (step + step // 24) % 8) for step in range(96)]


def test_noise_draws_come_one_after_the_other():
    keys = [
        CaseKey("set", str(i), f"k/{k}", "poisson:128", seed) for i in range(3) for k in range(2) for seed in (0, 1)
    ]
    order = spread(keys)
    assert [key.noise_seed for key in order] == [0] * 6 + [1] * 6
    assert [key.image for key in order[:6]] == [key.image for key in order[6:]]


def test_given_images_with_a_kernel_each_are_spread_too():
    keys = [CaseKey("anger", str(n), f"anger/{n}", "measured") for n in range(1, 9)]
    assert spread(keys) == keys


def test_the_budget_is_kept_and_used():
    for budget in (30, 100, 500):
        chosen = affordable(jobs(KEYS), KEYS, RATES, budget)
        assert len(chosen) == min(budget // 3, len(KEYS))
        assert {condition(key) for key in chosen} == {condition(key) for key in KEYS}
        assert chosen == affordable(jobs(KEYS), KEYS, RATES, budget)
    assert affordable(jobs(KEYS), KEYS, RATES, 100)[:10] == affordable(jobs(KEYS), KEYS, RATES, 30)


def test_what_is_there_costs_nothing():
    done = set(spread(KEYS)[:50])
    pending = jobs([key for key in KEYS if key not in done])
    assert len(affordable(pending, KEYS, RATES, 30)) == 60


def test_cost_goes_by_pixels_and_dear_measurements_are_not_passed_over():
    dear = jobs(KEYS[:1], pixels=1000) + jobs(KEYS[1:])
    with pytest.raises(InputError, match=r"a budget of 90s .* each of the 6 conditions, which take about 51m"):
        affordable(dear, KEYS, RATES, 90)


def test_too_little_says_what_is_enough():
    with pytest.raises(InputError, match=r"about 18s: give --budget 20s, or --preset fast"):
        affordable(jobs(KEYS), KEYS, RATES, 17)
    assert len(affordable(jobs(KEYS), KEYS, RATES, read_budget("20s"))) == 6
    with pytest.raises(
        InputError, match=r"ours, dip may stop sooner: with one measurement finished .* its time counts"
    ):
        affordable(jobs(KEYS, stops_itself=True), KEYS, RATES, 17)


def test_a_method_of_unknown_cost_is_named():
    with pytest.raises(InputError, match="run time of fdn"):
        affordable(jobs(KEYS, ("ours", "fdn")), KEYS, {**RATES, ("fdn", 1): None}, 1000)


def test_a_part_asks_for_its_measurements_and_no_others():
    grids = experiments("table2", "wiener", "set12,levin")
    rotated = [replace(grid, rotate_kernels=True) for grid in grids]
    assert restrict(Ask(tuple(rotated)), spread(KEYS)[:20]) == restrict(Ask(tuple(grids)), spread(KEYS)[:20])
    restricted = restrict(Ask(tuple(grids), name="restricted"), spread(KEYS)[:20])
    assert restricted.name == "restricted"
    asked = {
        (experiment.dataset, image, experiment.kernels, experiment.noise)
        for experiment in restricted.experiments
        for image in experiment.images.split(",")
    }
    assert asked == {(key.dataset, key.image, key.kernel, key.noise) for key in spread(KEYS)[:20]}
    assert {experiment.methods for experiment in restricted.experiments} == {"wiener"}
    assert {experiment.limit for experiment in restricted.experiments} == {None}


def test_crops_are_asked_for_by_the_image_s_own_name():
    (grid,) = experiments("table7", "wiener")
    restricted = restrict(
        Ask((replace(grid, crop=96, limit=2),)), [CaseKey("set12", "02@96", "levin/3", "gaussian:0.01")]
    )
    (only,) = restricted.experiments
    assert (only.images, only.kernels, only.crop, only.limit) == ("02", "levin/3", 96, None)


def test_noise_bound_to_kernels_and_given_images_are_found():
    ask = Ask(tuple(experiments("table3", "wiener", "set12") + experiments("table5", "wiener", "anger")))
    keys = [CaseKey("set12", "01", "danielyan/3", "bsnr:40"), CaseKey("anger", "2", "anger/2", "measured")]
    restricted = restrict(ask, keys)
    assert [(experiment.dataset, experiment.kernels, experiment.noise) for experiment in restricted.experiments] == [
        ("set12", "danielyan/3", "bsnr:40"),
        ("anger", "anger/2", "measured"),
    ]
