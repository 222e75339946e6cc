"""DMSP: its steps against NumPy and SciPy, its file against one made alike, and what the authors' weights do."""

import io

import numpy as np
import pytest
import torch
from mirrored import mirror
from nidbench.methods._linear import linearised
from nidbench.methods.dmsp import DMSP, away_from_prior, read_layers
from scipy.io import savemat
from scipy.ndimage import correlate
from scipy.signal import convolve2d, correlate2d

from nidbench.contract import Response, Run
from nidbench.contract.conformance import check
from nidbench.errors import DataError, InputError
from nidbench.files.download import get
from nidbench.fitting import seeded
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset

SIZES = ((3, 7), (7, 5), (5, 3))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Three convolutions by chance, laid out as MatConvNet does."""
    draw = np.random.default_rng(5)
    made = [(draw.normal(0, 0.1 / m, (3, 3, m, n)), draw.normal(0, 1, (n, 1))) for m, n in SIZES]
    layers = np.empty((1, 5), object)
    for n, (kernel, bias) in enumerate(made):
        pair = np.empty((1, 2), object)
        pair[0, 0], pair[0, 1] = kernel, bias
        layers[0, 2 * n] = {"type": "conv", "stride": 1, "pad": 1, "weights": pair}
    layers[0, 1] = layers[0, 3] = {"type": "relu", "leak": 0, "weights": np.empty((0, 0))}
    stored = io.BytesIO()
    savemat(stored, {"net": layers})
    mirror(monkeypatch, tmp_path, DMSP, {"DAE.mat": stored.getvalue()})
    return made


@pytest.fixture
def camera():
    return load_dataset("sample").load("camera")[:, 20:51, 20:54]


def autoencoded(image, made):
    """r of Shape (H, W, 3), blue first, in float64."""
    maps = image
    for n, (kernel, bias) in enumerate(made):
        maps = np.stack(
            [
                sum(correlate(maps[..., i], kernel[..., i, o], mode="constant") for i in range(maps.shape[-1]))
                + bias[o, 0]
                for o in range(len(bias))
            ],
            -1,
        )
        maps = np.maximum(maps, 0) if n < len(made) - 1 else maps
    return image + maps


def expected(problem, made, iterations, noise_blind=False):
    """All steps in float64, on images of (H, W, C)."""
    kernel, y = problem.kernel, 255 * problem.blurred.transpose(1, 2, 0).astype(np.float64)
    before, after = [(side - 1) // 2 for side in kernel.shape], [side // 2 for side in kernel.shape]
    x = np.pad(y, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="edge")
    draws, step, channels = seeded(Run(), "prior"), np.zeros_like(x), x.shape[2]
    for _ in range(iterations):
        noise = 11 * torch.randn((3, *x.shape[:2]), generator=draws).numpy().transpose(1, 2, 0)
        error = np.stack([convolve2d(x[..., c], kernel, "valid") for c in range(channels)], -1) - y
        back = np.stack([correlate2d(error[..., c], kernel, "full") for c in range(channels)], -1)
        shown = np.repeat(x, 3, 2) if channels == 1 else x[..., ::-1]
        away = shown - autoencoded(shown + noise, made)
        away = away.mean(2, keepdims=True) if channels == 1 else away[..., ::-1]
        pull = 1 / (255 * problem.sigma()) ** 2
        if noise_blind:
            pull = y.size / ((error**2).sum() + y.size * 2 * 11**2 * (kernel**2).sum())
        w = pull / (pull + 1 / 11**2)
        step = 0.9 * step - 0.1 * (w * back + (1 - w) * away)
        x = np.clip(x + step, 0, 255)
    return x.transpose(2, 0, 1) / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("noise_blind", [False, True])
def test_steps_are_the_published_ones(weights, camera, channels, noise_blind):
    sharp = np.concatenate([camera, 1 - camera, camera**2])[:channels]
    problem = measure(sharp, np.outer([1.0, 2, 1, 4, 0], [1.0, 3, 0, 1]), "gaussian:0.03", key="dmsp")
    restored = DMSP(iterations=12, noise_blind=noise_blind).restore(problem, Run()).image
    wanted = expected(problem, weights, 12, noise_blind)
    assert np.abs(wanted - expected(problem, weights, 1, noise_blind)).max() > 0.05
    assert np.abs(restored - wanted).max() < 1e-4


@pytest.mark.usefixtures("weights")
def test_gray_is_not_colour_whose_noise_is_the_same_in_all_channels(camera):
    problem = measure(camera, np.ones((3, 3)), "gaussian:0.05", key="dmsp")
    colour = measure(np.repeat(camera, 3, 0), np.ones((3, 3)), "gaussian:0.05", key="dmsp")
    gray, shown = (DMSP(iterations=5).restore(each, Run()).image for each in (problem, colour))
    assert gray.shape[0] == 1
    assert np.abs(shown - gray).max() > 1e-3


@pytest.mark.usefixtures("weights")
def test_a_gamma_response_is_undone_and_no_noise_is_data_alone(camera):
    problem = measure(camera, np.ones((3, 3)), "gaussian:0.01", key="dmsp", response=Response.parse("gamma:2.2"))
    method = DMSP(iterations=4)
    assert np.array_equal(method.restore(problem, Run()).image, method.restore(linearised(problem), Run()).image)
    clean = measure(camera, np.ones((3, 3)), "gaussian:0", key="dmsp")
    runs = [method.restore(clean, Run(seed)).image for seed in (0, 1)]
    assert np.array_equal(*runs)  # the prior has no weight, so that its draws do not count


@pytest.mark.usefixtures("weights")
def test_conforms_and_resumes_with_any_weights():
    findings = check(DMSP(iterations=6))
    assert not [f"{finding.name}: {finding.message}" for finding in findings if not finding.passed]
    assert not any("checkpoint" in finding.message for finding in findings)


def test_bad_input_is_refused(tmp_path, monkeypatch, camera):
    with pytest.raises(InputError, match="iterations=0: give 1 or more"):
        DMSP(iterations=0)
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", (tmp_path / "nothing").as_uri())
    with pytest.raises(DataError, match=r"DAE_sigma11\.mat"):
        DMSP().restore(measure(camera, np.ones((3, 3)), "gaussian:0.01", key="dmsp"), Run())


def test_the_authors_autoencoder_is_as_good_as_it_is_known_to_be(with_files):
    """38.71 dB out of 27.3 dB in, of another port: gray as three equal channels, noise in each, the mean of all."""
    set12 = load_dataset("set12")
    with_files(set12)
    with_files(DMSP)
    layers = read_layers(get(DMSP.files()[0]), "cpu")
    assert sum(weights.numel() + biases.numel() for weights, biases in layers) == 668_227
    sharp = torch.from_numpy(255 * set12.load("01")[:, :160, :160]).float()
    found = sharp - away_from_prior(sharp, torch.Generator().manual_seed(0), layers)
    assert -10 * np.log10(float((found - sharp).div(255).square().mean())) == pytest.approx(38.7, abs=0.3)
