"""DeepRED: its steps of ADMM against NumPy, its denoiser that lags, what it keeps, and what it returns."""

import numpy as np
import pytest
import torch
from nidbench.methods._prior import FixedInput, Network
from nidbench.methods.deep_red import DeepRED, SplitImage, non_local_means, usual_weights

from nidbench.contract import Noise, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Loss, seeded

SHAPE = (2, 6, 5)
BETA, MU, EVERY = 0.02, 0.04, 3


def draw(seed):
    return np.random.default_rng(seed).random(SHAPE)


def halved(image):
    """A denoiser whose results tell what it was given."""
    return image / 2


def split(y):
    fixed = FixedInput(Network((1, 1, 1), None), lambda x: Loss(x.sum(), x.sum().detach()), Run(), 0, False)
    return SplitImage(fixed, torch.from_numpy(y), halved, BETA, MU, EVERY)


def steps_of_the_authors(y, outputs):
    """Yield x and u after each output, as their loop has them: what is denoised waits for the next renewal."""
    x, u, denoised, waiting = y, np.zeros_like(y), y, y
    for iteration, out in enumerate(outputs, 1):
        if iteration % EVERY == 0:
            denoised, waiting = waiting / 2, x
        x = np.clip((BETA * denoised + MU * (out + u)) / (BETA + MU), 0, 1)
        u = u + out - x
        yield x, u


def test_steps_and_loss_are_those_of_the_authors():
    y, outputs = draw(0), [1.4 * draw(seed) - 0.2 for seed in range(1, 12)]
    objective, x, u = split(y), y, np.zeros_like(y)
    clipped = False
    for iteration, (out, after) in enumerate(zip(outputs, steps_of_the_authors(y, outputs), strict=True), 1):
        _, loss_of = objective.draw(seeded(Run(), "training"))
        wanted = out.sum() + MU * ((out - (x - u)) ** 2).mean()
        assert float(loss_of(torch.from_numpy(out)).value) == pytest.approx(wanted)
        objective.learn(iteration, torch.from_numpy(out))
        x, u = after
        clipped |= bool(((x == 0) | (x == 1)).any())
        np.testing.assert_allclose(objective.state()["x"], x, atol=1e-12)
        np.testing.assert_allclose(objective.state()["u"], u, atol=1e-12)
        np.testing.assert_allclose(objective.estimate(None, None, None).image, x - u, atol=1e-12)
    assert clipped


def test_a_resumed_one_goes_on_as_if_nothing_had_been():
    y, outputs = draw(0), [draw(seed) for seed in range(1, 10)]
    whole, first, rest = split(y), split(y), split(draw(99))
    for n, out in enumerate(outputs, 1):
        whole.learn(n, torch.from_numpy(out))
        if n <= 4:
            first.learn(n, torch.from_numpy(out))
    rest.load(first.state())
    for n, out in enumerate(outputs[4:], 5):
        rest.learn(n, torch.from_numpy(out))
    for name, tensor in whole.state().items():
        assert torch.equal(rest.state()[name], tensor), name


def test_the_denoiser_takes_noise_away_and_keeps_channels_apart():
    rows, columns = np.mgrid[:40, :40]
    clean = np.stack([0.5 + 0.3 * (columns > 20), 0.5 + 0.3 * (rows > 15)])
    noisy = clean + 0.05 * np.random.default_rng(3).standard_normal(clean.shape)
    image = torch.from_numpy(noisy.astype(np.float32))
    cleaned = non_local_means(image, 0.05)
    assert cleaned.dtype == torch.float32
    assert ((cleaned.numpy() - clean) ** 2).mean() < 0.4 * 0.05**2
    np.testing.assert_allclose(cleaned[1:], non_local_means(image[1:], 0.05))


def test_without_network_the_fixed_point_is_that_of_the_denoiser():
    """Where f(z) stays and beta vanishes beside mu, x is f(z); with the denoiser alone, D's."""
    y, out = draw(0), torch.from_numpy(0.2 + 0.6 * draw(1))
    objective = split(y)
    for n in range(1, 400):
        objective.learn(n, out)
    # u is constant there: x = f(z), u = beta/mu (x - D(x))
    state = objective.state()
    np.testing.assert_allclose(state["x"], out, atol=1e-6)
    np.testing.assert_allclose(state["u"], BETA / MU * (out - out / 2), atol=1e-6)


def test_the_rate_falls_by_a_tenth_each_thousand_iterations():
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    schedule = DeepRED().recipe(Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.01))).schedule
    assert schedule.iterations == 30_000
    assert [schedule.rate(i) for i in (1, 1000, 1001)] == pytest.approx([0.004, 0.004, 0.0036])


def test_weights_that_follow_the_noise_are_the_authors_at_both_of_their_levels():
    assert usual_weights(2**0.5 / 255) == pytest.approx((0.02, 0.04))
    assert usual_weights(25 / 255) == pytest.approx((0.5, 0.5))
    beta, mu = usual_weights(0.05)
    assert 0.02 < beta < 0.5
    assert 0.04 < mu < 0.5
    assert all(0 < weight < 0.02 for weight in usual_weights(0.0))


def test_weights_that_are_given_stay_whatever_the_noise():
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    noisy = Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 25 / 255))
    assert DeepRED().weights(noisy) == (0.02, 0.04)
    assert DeepRED(beta=None).weights(noisy) == (pytest.approx(0.5), 0.04)
    assert DeepRED(mu=None).weights(noisy) == (0.02, pytest.approx(0.5))
    few = [
        DeepRED(iterations=2, lr=1e-8, **weights).restore(noisy, Run()).image
        for weights in ({}, {"beta": None, "mu": None}, {"beta": 0.5, "mu": 0.5})
    ]
    assert not np.allclose(few[0], few[1], atol=1e-3)
    np.testing.assert_allclose(few[1], few[2], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"), [({"beta": 0}, "beta=0"), ({"mu": -1}, "mu=-1"), ({"every": 0}, "every=0: give iterations")]
)
def test_impossible_settings_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        DeepRED(**settings)


def test_pixels_that_x_begins_with_are_not_held_out():
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    with pytest.raises(InputError, match="x begins as y"):
        DeepRED(stop="held-out").recipe(Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.01)))
