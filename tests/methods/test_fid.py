"""FID: its shrinkage against a grid search, its x-step against a linear solver, its chain against published figures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nidbench.contract import Response, Run, Truth
from nidbench.errors import InputError
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_method, methods
from nidbench.scoring.protocols import DEFAULT

FID = load_method(methods(), "fid")
shrink = __import__(FID.__module__, fromlist=["shrink"]).shrink


@pytest.mark.parametrize("beta", [0.5, 1.0, 8.0, 181.0])
def test_shrinkage_minimises_its_cost(beta):
    grid = np.linspace(-3, 3, 60_001)
    for v in (-2.0, -0.7, -0.05, 0.0, 0.02, 0.3, 1.0, 2.5):
        cost = np.sqrt(abs(grid)) + beta / 2 * (grid - v) ** 2
        found = float(shrink(torch.tensor(v, dtype=torch.float64), beta))
        own = np.sqrt(abs(found)) + beta / 2 * (found - v) ** 2
        assert own <= cost.min() + 1e-6


def test_one_step_solves_its_normal_equations():
    rng = np.random.default_rng(0)
    x = rng.random((1, 20, 22))
    problem = measure(x, np.ones((3, 2)), "gaussian:0.01", key="fid")
    beta = 5.0
    found = FID(beta=beta, beta_limit=beta + 1e-9).restore(problem, Run()).image[0]
    # a contrast of 0.2 without the noise, and about 0
    blurred = problem.blurred.astype(np.float64)
    unit, mean = np.sqrt(blurred.var() - 0.01**2) / 0.2, blurred.mean()
    y = (problem.operator().tapered[0].double().numpy() - mean) / unit
    fidelity = 3400 * (0.01 / np.hypot(0.01 / unit, 3e-3)) ** 1.5
    height, width = y.shape

    def matrix(function):
        columns = [function(unit.reshape(height, width)).ravel() for unit in np.eye(height * width)]
        return np.stack(columns, 1)

    impulse = np.zeros_like(y)
    impulse[:3, :2] = problem.kernel
    impulse = np.roll(impulse, (-1, -1), (0, 1))
    blur = matrix(lambda u: np.real(np.fft.ifft2(np.fft.fft2(u) * np.fft.fft2(impulse))))
    total, right = fidelity * blur.T @ blur, fidelity * blur.T @ y.ravel()
    for difference in (
        matrix(lambda u: np.roll(u, 1, 1) - np.roll(u, 0, 1)),
        matrix(lambda u: np.roll(u, 1, 0) - np.roll(u, 0, 0)),
    ):
        split = shrink(torch.from_numpy(difference @ y.ravel()), beta).numpy()
        total += beta * difference.T @ difference
        right += beta * difference.T @ split
    expected = mean + unit * np.linalg.solve(total, right).reshape(y.shape)
    assert np.abs(expected - found).max() < 1e-3


def test_restores_better_than_the_blurred_input(sharp_sample):
    for noise in ("gaussian:0.01", "gaussian:0.05"):
        problem = measure(sharp_sample, np.ones((7, 5)), noise, key="fid")
        restored = FID().restore(problem, Run())
        blurred = problem.operator().extend(torch.from_numpy(problem.blurred)).numpy()
        scores = [DEFAULT.score(image, problem, Truth(sharp_sample)).psnr for image in (blurred, restored.image)]
        assert scores[1] > scores[0] + 1


@pytest.fixture
def sharp_sample():
    from nidbench.registry.entry_points import load_dataset

    return load_dataset("sample").load("camera")


def test_a_gamma_response_is_undone_first():
    """Noise-free, the camera with g and the one without see the same y once g is undone."""
    x = np.random.default_rng(3).random((1, 24, 24)) * 0.8 + 0.1
    plain, curved = (
        measure(x, np.ones((3, 3)), "gaussian:0.0001", key="gamma", response=response)
        for response in (Response(), Response("gamma", 2.2))
    )
    method = FID()
    found = [method.restore(problem, Run()).image for problem in (plain, curved)]
    assert abs(found[0] - found[1]).mean() < 0.02
    ignored = method.restore(replace(curved, response=Response()), Run()).image
    assert abs(found[0] - ignored).mean() > 0.1


@pytest.mark.parametrize(
    "settings",
    [{"fidelity": 0.0}, {"fidelity": float("nan")}, {"beta": -1.0}, {"growth": 1.0}, {"beta_limit": 0.5}],
)
def test_impossible_settings_are_refused(settings):
    (name,) = settings
    with pytest.raises(InputError, match=f"{name}={settings[name]}"):
        FID(**settings)
