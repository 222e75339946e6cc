"""DIP-WTV: its loss and its steps of ADMM against NumPy, pixel by pixel; what it keeps; its narrower network."""

import numpy as np
import pytest
import torch
from nidbench.methods._prior import FixedInput, Network
from nidbench.methods.dip_wtv import DIPWTV, SplitGradient, gradient

from nidbench.contract import Noise, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Loss, seeded

SHAPE = (2, 5, 4)


def draw(seed, shape=SHAPE):
    return np.random.default_rng(seed).random(shape)


def stepped(x, y, t, u, mu, released=False):
    """One step of t and u, pixel by pixel, in the order of the authors'; `released`: with their clip as it is."""
    v = ((x - y) ** 2).mean() / 2
    new_t, left = np.zeros_like(t), np.zeros_like(u)
    for place in np.ndindex(x.shape):
        c, row, column = place
        d = [x[place] - x[c, row, column - 1], x[place] - x[c, row - 1, column]]
        q = np.array([d[n] + u[n][place] for n in (0, 1)])
        length = np.hypot(*q)
        left_over = length - v / length / mu
        shrunk = (np.clip(left_over, 0, left_over) if released else max(left_over, 0)) / length
        for n in (0, 1):
            new_t[n][place] = np.clip(shrunk * q[n], -1, 1)
            left[n][place] = u[n][place] + d[n] - new_t[n][place]
    return new_t, left


def split(y, mu, **settings):
    fixed = FixedInput(Network((1, 1, 1), None), lambda x: Loss(x.sum(), x.sum().detach()), Run(), 0, False)
    return SplitGradient(fixed, torch.from_numpy(y), mu, **settings)


@pytest.mark.parametrize("released", [False, True])
def test_steps_and_loss_are_those_of_the_authors(released):
    y, mu = draw(0), 0.1
    objective = split(y, mu, through_zero=released)
    t = u = np.zeros((2, *SHAPE))
    kinds = set()
    for iteration in range(1, 7):
        x = y + 0.3 * draw(iteration)
        _, loss_of = objective.draw(seeded(Run(), "training"))
        d = np.stack([x - np.roll(x, 1, 2), x - np.roll(x, 1, 1)])
        wanted = x.sum() + mu * sum(((d[n] - t[n] + u[n]) ** 2).mean() for n in (0, 1))
        assert float(loss_of(torch.from_numpy(x)).value) == pytest.approx(wanted)
        objective.learn(iteration, torch.from_numpy(x))
        t, u = stepped(x, y, t, u, mu, released)
        kinds |= set((t == 0).ravel().tolist())
        np.testing.assert_allclose(objective.state()["t"], t, atol=1e-9)
        np.testing.assert_allclose(objective.state()["u"], u, atol=1e-9)
    assert kinds == ({False} if released else {True, False})  # whether some gradient is shrunk to nothing
    other = split(y, mu, through_zero=released)
    other.load(objective.state())
    for each in (objective, other):
        each.learn(7, torch.from_numpy(draw(9)))
    assert torch.equal(objective.state()["u"], other.state()["u"])


def test_mu_grows_where_x_is_near_y_and_its_bar_rises():
    y = draw(0)
    objective = split(y, 0.1, raising=0.033)

    def after(iteration, decibels):
        x = y + 10 ** (-decibels / 20) * np.where(np.indices(SHAPE).sum(0) % 2, 1, -1)
        objective.learn(iteration, torch.from_numpy(x))
        return objective.state()["weights"].tolist()

    assert after(1, 39.9) == pytest.approx([0.1, 40.0])
    assert after(2, 40.1) == pytest.approx([0.133, 40.01])
    assert after(3, 40.005) == pytest.approx([0.133, 40.01])
    assert after(4, 40.015) == pytest.approx([0.166, 40.02])
    _, loss_of = objective.draw(seeded(Run(), "training"))
    x, state = draw(7), objective.state()
    apart = sum(
        ((x - np.roll(x, 1, 2 - n) - state["t"][n].numpy() + state["u"][n].numpy()) ** 2).mean() for n in (0, 1)
    )
    assert float(loss_of(torch.from_numpy(x)).value) == pytest.approx(x.sum() + 0.166 * apart)


def test_the_mean_is_a_moving_one_and_goes_on_after_a_resume():
    y, images = draw(0), [draw(seed) for seed in range(1, 5)]
    whole, first, rest = (split(y, 0.1, averaging=0.9) for _ in range(3))
    for n, x in enumerate(images, 1):
        whole.learn(n, torch.from_numpy(x))
    for n, x in enumerate(images[:2], 1):
        first.learn(n, torch.from_numpy(x))
    rest.load(first.state())
    for n, x in enumerate(images[2:], 3):
        rest.learn(n, torch.from_numpy(x))
    wanted = images[0]
    for x in images[1:]:
        wanted = 0.9 * wanted + 0.1 * x
    for each in (whole, rest):
        np.testing.assert_allclose(each.estimate(None, None, None).image, wanted)


def test_the_presets_are_the_paper_and_the_notebook():
    presets = DIPWTV.info.presets
    assert next(iter(presets)) == "paper"
    assert DIPWTV(**presets["paper"]) == DIPWTV()
    assert not DIPWTV(**presets["fast"]).through_zero
    assert DIPWTV(**presets["released"]).through_zero


def test_fast_descends_as_the_authors_and_stops_by_the_discrepancy():
    """The dual takes one step an iteration: a fit of few iterations would be over before it counts."""
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    problem = Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05))
    fast, paper = (DIPWTV(**DIPWTV.info.presets[name]).recipe(problem) for name in ("fast", "paper"))
    assert fast.optimizer == paper.optimizer == "adam"
    assert {fast.schedule.rate(n) for n in range(1, fast.schedule.iterations + 1)} == {paper.schedule.lr}
    assert fast.stop.rule == "averaged-noise-level"


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("y", [np.zeros(SHAPE), draw(0)])
def test_flat_images_and_perfect_fits_are_no_division_by_zero(y, released):
    objective = split(y, 1e-3, through_zero=released, raising=0.033)
    for iteration, x in enumerate((np.zeros(SHAPE), y, np.ones(SHAPE)), 1):
        objective.learn(iteration, torch.from_numpy(x))
        assert all(torch.isfinite(each).all() for each in objective.state().values())


def test_differences_reach_around():
    x = torch.arange(6.0).reshape(1, 2, 3)
    assert gradient(x).tolist() == [[[[-2, 1, 1], [-2, 1, 1]]], [[[-3, -3, -3], [3, 3, 3]]]]


def test_the_network_is_that_of_the_authors():
    """The number is the sum over the layers that their notebook asks for, by hand."""
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    recipe = DIPWTV().recipe(Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05)))
    networks = recipe.networks([seeded(Run(), "weights")])

    def layer(inputs, outputs, size):
        return inputs * outputs * size**2 + 3 * outputs  # with bias, scale and shift

    widths, total, inputs = (16, 32, 64, 128, 128), 0, 32
    for n, width in enumerate(widths):
        joined = 4 + widths[min(n + 1, 4)]
        total += layer(inputs, 4, 1) + layer(inputs, width, 3) + layer(width, width, 3)
        total += 2 * joined + layer(joined, width, 3) + layer(width, width, 1)
        inputs = width
    assert sum(each.numel() for each in networks.parameters()) == total + 16 + 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mu": 0}, "mu=0: give a weight above 0"),
        ({"raising": -1.0}, "raising=-1.0: give what mu grows by"),
        ({"averaging": 1.0}, "averaging=1.0: give the weight of the past"),
    ],
)
def test_impossible_settings_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        DIPWTV(**settings)
