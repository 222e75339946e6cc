"""Self-diffusion: its noise in closed form, its rounds by hand, and what a checkpoint within a round holds."""

import numpy as np
import pytest
import torch
from nidbench.methods.self_diffusion import Diffusing, SelfDiffusion, noise_levels

from nidbench.contract import Noise, Problem, Run
from nidbench.errors import InputError


@pytest.fixture
def operator():
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    return Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05)).operator()


def test_the_noise_falls_as_the_authors_has_it():
    found = noise_levels(40)
    kept = np.cumprod(1 - np.linspace(1e-4, 1e-2, 40))
    np.testing.assert_allclose(found, np.sqrt(1 - kept)[::-1])
    assert found[0] == pytest.approx(0.43, abs=0.01)
    assert found[-1] == pytest.approx(0.01)
    assert noise_levels(1) == [pytest.approx(0.01)]


def test_each_round_begins_with_the_last_output_and_noise_that_stays(operator):
    first, levels = torch.full((1, 14, 12), 0.5), [0.4, 0.2, 0.1]
    diffusing, generator, again = Diffusing(operator, first, levels, 2), torch.Generator(), torch.Generator()
    generator.manual_seed(1)
    again.manual_seed(1)
    x = first
    for iteration in range(1, 7):
        z, loss_of = diffusing.draw(generator)
        if iteration % 2:
            wanted = x + levels[iteration // 2] * torch.randn(first.shape, generator=again)
        assert torch.equal(z, wanted)
        assert torch.equal(diffusing.estimate(lambda given, _: given, None, None).image, wanted)
        x = torch.full_like(first, iteration / 10)
        loss = loss_of(x)
        assert float(loss.value) == pytest.approx(float((operator.predict(x) - operator.blurred).square().mean()))
        diffusing.learn(iteration, x)
        other = Diffusing(operator, first, levels, 2)
        other.load(diffusing.state())
        if iteration < 6:
            copies = [torch.Generator().manual_seed(iteration) for _ in range(2)]
            assert torch.equal(other.draw(copies[0])[0], diffusing.draw(copies[1])[0])
            diffusing.load(other.state() | {"done": torch.tensor(iteration), "noisy": wanted})


def test_every_iteration_has_its_round_whatever_their_numbers():
    y = np.random.default_rng(0).random((1, 16, 16), dtype=np.float32)
    problem = Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05))
    for iterations, rounds in ((7, 3), (2, 5), (6, 6)):
        restored = SelfDiffusion(iterations=iterations, rounds=rounds, width=2).restore(problem, Run())
        assert restored.iterations == iterations
    assert SelfDiffusion().recipe(problem).schedule.iterations == 6000


@pytest.mark.parametrize("settings", [{"rounds": 0}, {"width": 0}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        SelfDiffusion(**settings)
