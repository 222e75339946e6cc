"""PnP-FFDNet: its loop and network against NumPy and SciPy, and the authors' weights against known figures."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from mirrored import mirror
from nidbench.methods._linear import linearised
from nidbench.methods.fdn import FDN
from nidbench.methods.pnp_ffdnet import PREFIX, PnPFFDNet, denoised, read_layers, turned, turned_back
from scipy.ndimage import convolve, correlate

from nidbench.contract import Response, Run, Truth
from nidbench.contract.conformance import check
from nidbench.errors import DataError, InputError
from nidbench.files.download import get
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.scoring.protocols import DEFAULT

WIDTH = 6


def chance(channels, seed):
    """Return weights by chance of three convolutions, the second normalised, by the authors' names."""
    draw = np.random.default_rng(seed)
    sizes = {0: (WIDTH, 5 * channels), 2: (WIDTH, WIDTH), 5: (4 * channels, WIDTH)}
    arrays = {f"{place}.weight": draw.normal(0, 0.5 / (3 * n), (m, n, 3, 3)) for place, (m, n) in sizes.items()}
    for name, values in {"weight": (1, 0.2), "bias": (0.1, 0.1), "running_mean": (0, 0.1)}.items():
        arrays[f"3.{name}"] = draw.normal(*values, WIDTH)
    arrays["3.running_var"] = draw.uniform(0.5, 2, WIDTH)
    return {name: np.float32(array) for name, array in arrays.items()}


@pytest.fixture
def weights(tmp_path, monkeypatch):
    made = {1: chance(1, 3), 3: chance(3, 4)}
    contents = {}
    for name, arrays in (("gray.pth", made[1]), ("colour.pth", made[3])):
        stored = io.BytesIO()
        torch.save({PREFIX + key: torch.from_numpy(array) for key, array in arrays.items()}, stored)
        contents[name] = stored.getvalue()
    mirror(monkeypatch, tmp_path, PnPFFDNet, contents)
    return made


@pytest.fixture
def camera():
    return load_dataset("sample").load("camera")[:, 20:59, 20:56]


def convolved(maps, weights):
    return np.stack(
        [
            sum(correlate(plane, each, mode="constant") for plane, each in zip(maps, kernel, strict=True))
            for kernel in weights.astype(np.float64)
        ]
    )


def cleaned(image, sigma, arrays):
    """FFDNet in float64, layer by layer, as its papers have it."""
    channels, height, width = image.shape
    even = np.pad(image, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    parts = [even[c, i::2, j::2] for c in range(channels) for i in (0, 1) for j in (0, 1)]
    maps = np.stack([*[np.full_like(parts[0], sigma)] * channels, *parts])
    maps = np.maximum(convolved(maps, arrays["0.weight"]), 0)
    maps = convolved(maps, arrays["2.weight"])
    scale, shift, mean, variance = (
        arrays[f"3.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")
    )
    maps = np.maximum((maps - mean) / np.sqrt(variance + 1e-5) * scale + shift, 0)
    found = convolved(maps, arrays["5.weight"])
    noise = np.zeros_like(even)
    for n, (c, i, j) in enumerate((c, i, j) for c in range(channels) for i in (0, 1) for j in (0, 1)):
        noise[c, i::2, j::2] = found[n]
    return image - noise[:, :height, :width]


#: Each pair undoes the other; written out as the eight symmetries of a square, not by turns and mirrors.
EIGHT = [
    (lambda a: a, lambda a: a),
    (lambda a: a.swapaxes(1, 2), lambda a: a.swapaxes(1, 2)),
    (lambda a: a[:, ::-1], lambda a: a[:, ::-1]),
    (lambda a: a.swapaxes(1, 2)[:, :, ::-1], lambda a: a[:, :, ::-1].swapaxes(1, 2)),
    (lambda a: a[:, :, ::-1], lambda a: a[:, :, ::-1]),
    (lambda a: a.swapaxes(1, 2)[:, ::-1], lambda a: a[:, ::-1].swapaxes(1, 2)),
    (lambda a: a[:, ::-1, ::-1], lambda a: a[:, ::-1, ::-1]),
    (lambda a: a.swapaxes(1, 2)[:, ::-1, ::-1], lambda a: a[:, ::-1, ::-1].swapaxes(1, 2)),
]


def expected(problem, sigma, arrays, iterations=8):
    """All iterations in float64."""
    tapered = problem.operator().tapered.numpy().astype(np.float64)
    kernel, shape = problem.kernel, tapered.shape[1:]
    padded = np.zeros(shape)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    blur = np.fft.fft2(np.roll(padded, [-(side // 2) for side in kernel.shape], (0, 1)))
    inside = np.zeros(shape, bool)
    inside[problem.valid] = True
    levels = np.exp(np.linspace(np.log(49 / 255), np.log(sigma), iterations))
    z = y = tapered
    for i, level in enumerate(levels):
        if i:
            y = np.where(inside, tapered, [convolve(plane, kernel, mode="wrap") for plane in z])
        r = 0.23 * sigma**2 / level**2
        x = np.fft.ifft2((blur.conj() * np.fft.fft2(y) + r * np.fft.fft2(z)) / (abs(blur) ** 2 + r)).real
        there, back = EIGHT[i % 8]
        z = back(cleaned(there(x), min(level, 75 / 255), arrays))
    return z


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_published_loop(weights, camera, channels):
    sharp = np.concatenate([camera, 1 - camera, camera**2])[:channels]
    kernel = np.outer([1.0, 2, 1, 4, 0], [1.0, 3, 0])
    problem = measure(sharp, kernel, "gaussian:0.02", key="pnp")
    restored = PnPFFDNet(iterations=10).restore(problem, Run())
    wanted = expected(problem, 0.02, weights[channels], 10)
    assert np.abs(wanted - problem.operator().tapered.numpy()).max() > 0.05
    assert np.abs(restored.image - wanted).max() < 1e-4
    assert (restored.iterations, restored.details["sigma"]) == (10, pytest.approx(0.02))


def test_noise_beyond_the_training_and_none_at_all(weights, camera):
    for given, used in (("0.4", 0.4), ("0", 0.001)):
        problem = measure(camera, np.ones((3, 3)), f"gaussian:{given}", key="pnp")
        restored = PnPFFDNet().restore(problem, Run())
        assert restored.details["sigma"] == pytest.approx(used)
        assert np.abs(restored.image - expected(problem, used, weights[1])).max() < 1e-3


@pytest.mark.parametrize("number", range(9))
def test_an_image_is_turned_as_a_square_can_be_and_back(number):
    image = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(number))
    there, back = EIGHT[number % 8]
    assert np.array_equal(turned(image, number).numpy(), there(image.numpy()))
    assert np.array_equal(turned_back(turned(image, number), number).numpy(), image.numpy())
    assert np.array_equal(back(there(image.numpy())), image.numpy())


@pytest.mark.usefixtures("weights")
def test_a_gamma_response_is_undone(camera):
    problem = measure(camera, np.ones((3, 3)), "gaussian:0.01", key="pnp", response=Response.parse("gamma:2.2"))
    restored = PnPFFDNet().restore(problem, Run()).image
    assert np.array_equal(restored, PnPFFDNet().restore(linearised(problem), Run()).image)


@pytest.mark.usefixtures("weights")
def test_poisson_noise_counts_as_its_root_mean_square(camera):
    problem = measure(camera, np.ones((3, 3)), "poisson:200", key="pnp")
    assert PnPFFDNet().restore(problem, Run()).details["sigma"] == pytest.approx(problem.sigma())


@pytest.mark.usefixtures("weights")
def test_conforms_with_any_weights():
    assert not [f"{finding.name}: {finding.message}" for finding in check(PnPFFDNet()) if not finding.passed]


def test_no_iteration_is_refused():
    with pytest.raises(InputError, match="iterations=0: give 1 or more"):
        PnPFFDNet(iterations=0)


def test_missing_weights_are_named(tmp_path, monkeypatch, camera):
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", (tmp_path / "nothing").as_uri())
    with pytest.raises(DataError, match=r"net_gray\.pth"):
        PnPFFDNet().restore(measure(camera, np.ones((3, 3)), "gaussian:0.01", key="pnp"), Run())


@pytest.mark.usefixtures("weights")
def test_a_file_that_holds_more_than_tensors_is_not_run(tmp_path):
    class Loud:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "loud.pth"
    torch.save({"weight": Loud()}, path)
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        read_layers(path, "cpu")


def test_the_authors_denoiser_is_as_good_as_it_is_known_to_be(with_files):
    """Another draw of the noise, by another port of the network, gave 30.17 dB."""
    set12 = load_dataset("set12")
    with_files(set12)
    with_files(PnPFFDNet)
    sharp = set12.load("01")
    noisy = sharp + 25 / 255 * np.random.default_rng(0).standard_normal(sharp.shape)
    layers = read_layers(get(PnPFFDNet.files()[0]), "cpu")
    assert len(layers) == 15
    found = denoised(torch.from_numpy(noisy).float(), 25 / 255, layers).numpy()
    assert -10 * np.log10(np.square(found - sharp).mean()) == pytest.approx(30.17, abs=0.2)


def test_the_authors_weights_restore_as_well_as_the_anchor(with_files):
    """On this image and kernel it is ahead of FDN, by 0.7 dB; on others it is behind: see its page."""
    set12, levin = load_dataset("set12"), load_kernels("levin")
    for provider in (set12, levin, PnPFFDNet, FDN):
        with_files(provider)
    sharp = set12.load("01")
    problem = measure(sharp, levin.load("1"), "gaussian:0.01", key="pnp")
    pnp, fdn = (
        DEFAULT.score(method.restore(problem, Run()).image, problem, Truth(sharp)).psnr
        for method in (PnPFFDNet(), FDN())
    )
    assert pnp == pytest.approx(fdn + 0.7, abs=0.3)
    colour = np.repeat(problem.blurred[:, :48, :48], 3, 0)
    assert PnPFFDNet().restore(replace(problem, blurred=colour), Run()).image.shape[0] == 3
