"""INR: network, coordinates and derivative against NumPy; settings without meaning."""

import numpy as np
import pytest
import torch
from nidbench.methods.inr import INR, Sirens, coordinates, steepness

from nidbench.contract import Noise, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import seeded


def test_coordinates_go_from_corner_to_corner():
    rows, columns = np.mgrid[-1:1:3j, -1:1:5j]
    np.testing.assert_allclose(coordinates((3, 5)), [rows, columns], atol=1e-7)


def test_it_is_sines_of_sines_at_each_pixel_by_itself():
    settings = INR(width=6, first_omega=7.0, omega=1.5)
    network = Sirens([torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)], 2, settings).double()
    inputs = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 2, 3, 4)))
    found = network(inputs).detach().numpy()
    for n in (0, 1):
        layers = [layer.weight.detach().numpy()[:, :, 0, 0] for layer in (network.first, *network.layers, network.last)]
        first, *hidden, last = (weights.reshape(2, -1, weights.shape[1])[n] for weights in layers)
        bias = network.first.bias.detach().numpy().reshape(2, -1)[n]
        for row, column in np.ndindex(3, 4):
            values = np.sin(7.0 * (first @ inputs[n, :, row, column].numpy() + bias))
            for weights in hidden:
                values = np.sin(1.5 * weights @ values)
            np.testing.assert_allclose(found[n, :, row, column], last @ values, atol=1e-12)
        assert len(hidden) == 3


def test_weights_begin_as_those_of_siren():
    """Uniform, to 1 / inputs in the first layer, sqrt(6 / inputs) / omega in others: phases have a variance near 1."""
    settings = INR(width=256, omega=1.5)
    network = Sirens([torch.Generator().manual_seed(1)], 3, settings)
    for layer, limit in ((network.first, 1 / 2), *((each, np.sqrt(6 / 256) / 1.5) for each in network.layers)):
        weights = layer.weight.detach().numpy()
        assert abs(weights).max() <= limit
        assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.06)
    assert float(network.last.weight.detach().abs().max()) == pytest.approx(np.sqrt(6 / 256) / 1.5, rel=0.01)
    with torch.no_grad():
        maps = torch.sin(30 * network.first(coordinates((40, 40))[None]))
        for layer in network.layers:
            phases = 1.5 * layer(maps)
            assert 0.7 < float(phases.square().mean()) < 1.3
            maps = torch.sin(phases)


def test_phases_are_not_rounded_at_bf16():
    network = Sirens([torch.Generator().manual_seed(1)], 1, INR())
    inputs = coordinates((6, 7))[None]
    plain = network(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(inputs), plain)


def test_steepness_is_that_of_a_plane_and_of_one_row():
    """x rises by 3 from top to bottom, which are 2 apart, and falls by 1 from left to right."""
    rows, columns = coordinates((7, 4))
    assert float(steepness((1.5 * rows - 0.5 * columns)[None])) == pytest.approx((1.5 + 0.5) / 2)
    assert float(steepness(torch.tensor([[[0.0, 0.5, 1.0]]]))) == pytest.approx(0.25)


def test_the_loss_is_residual_and_steepness_of_what_is_above_the_mean():
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    problem = Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05))
    x = torch.from_numpy(np.random.default_rng(1).random((1, 14, 12)))
    operator = problem.operator()
    output = x - y.astype(np.float64).mean()
    loss = INR(alpha=0.3).recipe(problem).objective(problem, Run()).draw(seeded(Run(), "training"))[1](output)
    difference = operator.predict(x) - operator.blurred
    assert float(loss.residual) == pytest.approx(float(difference.square().mean()))
    assert float(loss.value - loss.residual) == pytest.approx(0.3 * float(steepness(x)))


@pytest.mark.parametrize("settings", [{"width": 0}, {"first_omega": 0.0}, {"omega": -1.0}, {"alpha": -1e-4}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        INR(**settings)


def test_the_weight_follows_the_noise_where_none_is_given():
    x = torch.from_numpy(np.random.default_rng(1).random((1, 8, 8))).float()
    y = np.random.default_rng(0).random((1, 6, 6), dtype=np.float32)
    problem = Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05))
    for given, wanted in ((None, 5e-4), (0.0, 0.0), (1e-4, 1e-4)):
        loss = INR(alpha=given).misfit(problem.operator(), problem)(x)
        assert float(loss.value - loss.residual) == pytest.approx(wanted * float(steepness(x)), abs=1e-7)
