"""PIP-DIP: its input against the formula, and that nothing else differs from the deep image prior."""

import numpy as np
from nidbench.methods.dip import DIP
from nidbench.methods.pip_dip import PIPDIP, fourier_features

from nidbench.contract import Noise, Problem, Run
from nidbench.fitting import seeded


def test_the_input_has_cosine_and_sine_of_both_coordinates_at_eight_frequencies():
    z = fourier_features((5, 9)).numpy()
    rows, columns = np.mgrid[:5, :9] / np.reshape([4, 8], (2, 1, 1))
    frequencies = 2.0 ** (8 / 7 * np.arange(8))
    assert frequencies[-1] == 256
    wanted = [wave(f * axis) for wave in (np.cos, np.sin) for axis in (rows, columns) for f in frequencies]
    np.testing.assert_allclose(z, wanted, atol=1e-5)
    assert fourier_features((1, 3)).shape == (32, 1, 3)


def test_the_rest_is_the_deep_image_prior():
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    problem = Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05))
    recipes = [method.recipe(problem) for method in (DIP(reg_noise=0), PIPDIP(reg_noise=0))]
    assert recipes[0].schedule == recipes[1].schedule
    shapes = [[p.shape for p in each.networks([seeded(Run(), "weights")]).parameters()] for each in recipes]
    assert shapes[0] == shapes[1]
    inputs = [each.objective(problem, Run()).draw(seeded(Run(), "training"))[0] for each in recipes]
    assert inputs[0].shape == inputs[1].shape
    np.testing.assert_array_equal(inputs[1], fourier_features(problem.frame))
