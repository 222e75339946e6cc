"""DeepInverse as a method: what it needs is said before anything is computed, and its models see our measurement.

What is ours, the weights and how they are read, is tried without the package; the models only where it is.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from nidbench.methods import _deepinverse_denoisers as denoisers
from nidbench.methods import _ffdnet
from nidbench.methods._deepinverse_models import MODELS, Solver
from nidbench.methods._state_dict import digest_of, fill, read_state
from nidbench.methods.deepinverse import DeepInverse, _watched
from torch import nn
from torch.nn import functional as F
from with_deepinverse import WITH_DEEPINVERSE

from nidbench.cli import main
from nidbench.contract import Clock, Noise, Problem, Run, check_restored
from nidbench.deepinverse import package
from nidbench.deepinverse.physics import physics_of
from nidbench.errors import DataError, InputError, NidbenchError
from nidbench.physics.measure import measure

FEATURES, LAYERS = 6, 4


def ported(channels: int) -> dict[str, torch.Tensor]:
    """Return made weights, named and shaped as in the files of the IPOL port."""
    generator = torch.Generator().manual_seed(3)
    state, number, width = {}, 0, 5 * channels
    for layer in range(LAYERS):
        outputs = 4 * channels if layer == LAYERS - 1 else FEATURES
        names = {"weight": torch.randn(outputs, width, 3, 3, generator=generator) / (9 * width**0.5)}
        state |= {f"module.intermediate_dncnn.itermediate_dncnn.{number}.{name}": each for name, each in names.items()}
        number, width = number + 1, outputs
        if 0 < layer < LAYERS - 1:
            normal = {name: torch.rand(outputs, generator=generator) + 0.5 for name in ("weight", "running_var")}
            normal |= {name: torch.randn(outputs, generator=generator) / 9 for name in ("bias", "running_mean")}
            normal["num_batches_tracked"] = torch.tensor(7)
            state |= {
                f"module.intermediate_dncnn.itermediate_dncnn.{number}.{name}": each for name, each in normal.items()
            }
            number += 1
        number += layer < LAYERS - 1  # the ReLU
    return state


def by_the_port(state, x, sigma):
    """Return what the IPOL port gives, written from its description: C maps first, then the sub-images, noise out."""
    channels, height, width = x.shape
    phases = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    parts = torch.stack(phases, 1).reshape(4 * channels, height // 2, width // 2)
    z = torch.cat([torch.full((channels, height // 2, width // 2), sigma), parts])[None]
    number = 0
    for layer in range(LAYERS):
        names = {k.rpartition(".")[2]: v for k, v in state.items() if k.split(".")[-2] == str(number)}
        z, number = F.conv2d(z, names["weight"], padding=1), number + 1
        if 0 < layer < LAYERS - 1:
            n = {k.rpartition(".")[2]: v for k, v in state.items() if k.split(".")[-2] == str(number)}
            z = F.batch_norm(z, n["running_mean"], n["running_var"], n["weight"], n["bias"])
            number += 1
        if layer < LAYERS - 1:
            z, number = F.relu(z), number + 1
    noise = torch.zeros_like(x)
    for c in range(channels):
        for phase in range(4):
            noise[c, phase // 2 :: 2, phase % 2 :: 2] = z[0, 4 * c + phase]
    return x - noise


def by_deepinverse(state, x, sigma):
    """Return what DeepInverse's FFDNet gives with a residual: one map after the image, all unshuffled, added."""
    z = F.pixel_unshuffle(torch.cat([x, torch.full((1, *x.shape[1:]), sigma)])[None], 2)
    for layer in range(LAYERS):
        name = f"blocks.{layer}" if layer == LAYERS - 1 else f"blocks.{layer}.0"
        z = F.conv2d(z, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
        z = z if layer == LAYERS - 1 else F.relu(z)
    return x + F.pixel_shuffle(z, 2)[0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_weights_of_the_ipol_port_compute_the_same_in_the_other_form(channels, sigma):
    state, x = ported(channels), torch.rand(channels, 14, 10)
    expected = by_the_port(state, x, sigma)
    assert float((expected - x).abs().max()) > 5e-3
    assert _ffdnet.is_ported(state)
    converted = _ffdnet.converted(state)
    assert _ffdnet.shape_of(converted) == (LAYERS, FEATURES, channels)
    torch.testing.assert_close(by_deepinverse(converted, x, sigma), expected, atol=1e-5, rtol=0)


@pytest.fixture
def weights(tmp_path):
    def save(state, name="weights.pth"):
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return save


def read(path):
    return read_state(path, digest_of(path))


def test_files_of_tensors_are_read_also_one_level_down(weights):
    state = {"a": torch.ones(2, 3)}
    for content in (state, {"state_dict": state, "epoch": 7}, {"params": state}):
        assert torch.equal(read(weights(content))["a"], state["a"])


class Hostile:
    def __reduce__(self):
        return (sys.exit, ("this object was made",))


@pytest.mark.parametrize("content", [Hostile(), {"a": Hostile()}, {"a": 1.0}, [torch.ones(2)], {}, {"a": np.ones(2)}])
def test_files_of_anything_else_are_refused_and_make_no_object(weights, content):
    with pytest.raises(DataError, match=r"weights\.pth (cannot be read as tensors|hold no tensors)"):
        read(weights(content))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "cannot be read as tensors"),
        (b"PK\x03\x04 cut off", "cannot be read as tensors"),
        (b"<html>not found</html>", "cannot be read as tensors"),
        (pickle.dumps({"a": 1}), "cannot be read as tensors|hold no tensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1f\nsize 7\n", "pointer of Git LFS.*git lfs pull"),
    ],
)
def test_damaged_files_and_pointers_are_refused_in_words(tmp_path, raw, said):
    (tmp_path / "net.pth").write_bytes(raw)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "net.pth")


def test_missing_and_altered_files_are_refused_in_words(weights, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.pth cannot be read \(No such file"):
        digest_of(tmp_path / "nowhere.pth")
    with pytest.raises(DataError, match="cannot be read"):
        digest_of(tmp_path)
    path = weights({"a": torch.ones(1)})
    before = digest_of(path)
    weights({"a": torch.zeros(1)})
    with pytest.raises(DataError, match=f"were altered: they had SHA-256 {before}"):
        read_state(path, before)


def test_weights_of_another_network_are_refused_in_words(tmp_path):
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = network.state_dict()
    assert fill(network, state, tmp_path).training is False
    for other in (
        {**state, "2.weight": torch.ones(1)},
        {name: tensor for name, tensor in state.items() if name != "0.weight"},
        {**state, "0.bias": torch.ones(4)},
    ):
        with pytest.raises(DataError, match="not those of this Sequential"):
            fill(network, other, tmp_path)
    fill(network, {name: tensor for name, tensor in state.items() if name != "1.bias"}, tmp_path, partly=True)
    with pytest.raises(DataError, match=r"1 tensors are missing.*among them 0\.bias"):
        fill(network, {name: tensor for name, tensor in state.items() if name != "0.bias"}, tmp_path, partly=True)


@pytest.mark.parametrize("size", [(8, 6), (7, 6), (9, 5), (1, 1)])
def test_a_denoiser_takes_any_size_and_a_level_for_each_image(size):
    class Adding(nn.Module):
        def forward(self, x, sigma):
            assert not [length % 4 for length in x.shape[-2:] if length % 4]
            return x + sigma[:, None, None, None]

    x = torch.rand(2, 3, *size)
    denoiser = denoisers.Denoiser(Adding(), 4)
    assert torch.equal(denoiser(x, 0.5), x + 0.5)
    levels = torch.tensor([0.25, 0.75])
    assert torch.equal(denoiser(x, levels), x + levels[:, None, None, None])


@pytest.mark.parametrize(("calls", "ahead"), [(1, 0), (2, 0), (1, 1)])
def test_iterations_are_counted_shown_and_the_curve_ends_with_the_result(calls, ahead):
    layer, seen, told = nn.Identity(), [], []
    run = Run(
        clock=Clock(2, 10**6),
        on_observe=lambda i, _seconds, image: seen.append((i, float(image.flat[0]))),
        on_progress=lambda done, planned: told.append((done, planned)),
    )
    run.progress = lambda done, planned: told.append((done, planned))
    with _watched(Solver(lambda: torch.zeros(()), layer, calls=calls, ahead=ahead), run, 5) as end:
        for i in range(calls * 5 + ahead):
            layer(torch.full((1, 1, 2, 2), float(i)))
        end(torch.full((1, 1, 2, 2), 99.0))
    assert told == [(i, 5) for i in range(1, 6)]
    assert seen == [(i, float(i * calls + ahead - 1)) for i in (2, 4)] + [(5, 99.0)]
    assert not layer._forward_hooks


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "dpri"}, "unknown model of deepinv 'dpri': did you mean dpir"),
        ({"model": "dpir", "denoiser": "drunnet", "weights": "x"}, "unknown denoiser of deepinv"),
        ({"model": "dpir"}, "needs weights: give weights=PATH, or hub or hub-colour"),
        ({"model": "tv", "weights": "x.pth"}, "weights=x.pth with model=tv: the model has none"),
        ({"model": "epll", "denoiser": "ffdnet"}, "denoiser=ffdnet with model=epll: the model has none"),
        ({"model": "dpir", "iterations": 9}, "iterations=9 with model=dpir: leave it out"),
        ({"iterations": 0}, "iterations=0 with model=tv: give 1 or more"),
        ({"model": "ddrm", "iterations": 1, "weights": "x"}, "give 2 or more"),
        ({"weight": 0.0}, "weight=0.0 with model=tv: give a positive number"),
        ({"weight": float("nan")}, "weight=nan"),
        ({"model": "dip", "weight": 1.0}, "weight=1.0 with model=dip: the model has none"),
        ({"model": "dip", "side": 0}, "side=0"),
        ({"model": "dip", "lr": float("inf")}, "lr=inf"),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_the_package_is_wanted(settings, said, monkeypatch):
    monkeypatch.setattr("nidbench.methods.deepinverse.release", lambda: pytest.fail("the package was wanted"))
    with pytest.raises(InputError, match=said):
        DeepInverse(**settings)


@pytest.fixture
def installed(monkeypatch):
    def say(version):
        def found(name):
            if version is None:
                raise metadata.PackageNotFoundError(name)
            return version

        monkeypatch.setattr(package, "version", found)

    return say


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (None, r'deepinv.*is missing: pip install "nidbench\[deepinv\]"'),
        ("0.4.1", r'deepinv 0.4.1 is installed, nidbench knows 0.5.*pip install "deepinv>=0.5,<0.6"'),
        ("0.6.0rc1", "deepinv 0.6.0rc1 is installed"),
        ("1.0", "deepinv 1.0 is installed"),
    ],
)
def test_without_the_package_or_with_another_version_a_sweep_is_refused_before_it_starts(
    version, said, installed, tmp_path
):
    installed(version)
    with pytest.raises(NidbenchError, match=said):
        DeepInverse()
    arguments = ["run", "--methods", "wiener,deepinv", "--dataset", "sample", "--in-process", "--output", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "pip install" in result.output
    assert not (tmp_path / "cells").exists()


@pytest.mark.parametrize("version", ["0.5.0", "0.5.12", "0.5.1.dev3"])
def test_releases_of_the_series_are_taken(version, installed):
    installed(version)
    assert package.release() == version


def test_without_the_package_it_is_listed_and_described(installed):
    installed(None)
    assert "deepinv" in CliRunner().invoke(main, ["list", "methods"]).output
    text = " ".join(CliRunner().invoke(main, ["info", "deepinv"]).output.split())
    for word in ("BSD-3-Clause", "Tachella", "model=wavelet", "setting denoiser"):
        assert word in text


# --- with the package ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gray():
    rows, columns = np.mgrid[:40, :35]
    disc = (rows - 20) ** 2 + (columns - 15) ** 2 < 90
    return measure((0.3 + 0.4 * disc)[None], np.outer([1, 2, 1], [1, 2, 2, 1]), "gaussian:0.03", key="deepinverse")


@pytest.fixture(scope="module")
def colour(gray):
    planes = [gray.blurred, 0.5 * gray.blurred, 1 - gray.blurred]
    return Problem(np.concatenate(planes), gray.kernel, gray.noise)


def mixture(channels: int) -> dict[str, torch.Tensor]:
    """Return the tensors of EPLL's mixture: two components on patches of 3x3."""
    import deepinv

    network = deepinv.optim.EPLL(n_components=2, pretrained=None, patch_size=3, channels=channels)
    size = 9 * channels
    network.GMM.set_cov(torch.stack([torch.eye(size) * 0.01, torch.ones(size, size) * 0.2 + torch.eye(size) * 1e-3]))
    return network.state_dict()


SETTINGS = {
    "tv": {"iterations": 3},
    "wavelet": {"iterations": 3},
    "dip": {"iterations": 2, "channels": 6, "side": 2},
    "dpir": {"denoiser": "ffdnet"},
    "pnp": {"denoiser": "ffdnet", "iterations": 2, "weight": 0.5},
    "diffpir": {"denoiser": "ffdnet", "iterations": 3},
    "ddrm": {"denoiser": "ffdnet", "iterations": 3},
    "dps": {"denoiser": "ffdnet", "iterations": 3},
    "epll": {},
}


def test_every_model_is_tried_but_for_one_of_140_megabytes():
    assert set(MODELS) - set(SETTINGS) == {"ram"}


def made(model, weights, channels=1):
    state = {"denoiser": ported, "weights": mixture}.get(MODELS[model].needs)
    given = {} if state is None else {"weights": str(weights(state(channels), f"{model}-{channels}.pth"))}
    return DeepInverse(model=model, **SETTINGS[model], **given)


@WITH_DEEPINVERSE
@pytest.mark.parametrize("model", SETTINGS)
def test_every_model_restores_gray_and_colour_the_same_each_time(model, weights, gray, colour):
    if model == "wavelet":
        pytest.importorskip("ptwt")
    method = made(model, weights)
    for problem in (gray, colour):
        found = []
        for _ in range(2):
            torch.manual_seed(1)  # noqa: TID251 - as the harness does before a cell
            found.append(check_restored(method.restore(problem, Run()), problem))
        np.testing.assert_array_equal(found[0].image, found[1].image)
        assert found[0].details["model"] == model
        assert found[0].details["deepinv"] == metadata.version("deepinv")


@WITH_DEEPINVERSE
@pytest.mark.parametrize("model", ["tv", "dpir", "pnp", "epll"])
def test_gray_networks_and_priors_restore_channels_one_by_one(model, weights, colour):
    method = made(model, weights)
    whole = method.restore(colour, Run()).image
    for channel in range(3):
        plane = Problem(colour.blurred[channel : channel + 1], colour.kernel, colour.noise)
        # the library's conjugate gradients stop for all images of a batch at once, by their tolerance of 1e-4
        np.testing.assert_allclose(method.restore(plane, Run()).image[0], whole[channel], atol=5e-3)


@WITH_DEEPINVERSE
@pytest.mark.parametrize("model", ["dpir", "epll"])
def test_colour_networks_restore_channels_together_and_refuse_gray(model, weights, gray, colour):
    method = made(model, weights, channels=3)
    together = check_restored(method.restore(colour, Run()), colour).image
    shuffled = Problem(colour.blurred[::-1].copy(), colour.kernel, colour.noise)
    assert float(np.abs(method.restore(shuffled, Run()).image[::-1] - together).max()) > 1e-4
    with pytest.raises(InputError, match="for colour images, and this one is gray"):
        method.restore(gray, Run())


@WITH_DEEPINVERSE
def test_dpir_is_what_the_library_gives_from_the_same_start(weights, gray):
    import deepinv

    method = made("dpir", weights)
    network = deepinv.models.FFDNet(LAYERS, FEATURES, 1, residual_denoising=True, pretrained=None)
    network.load_state_dict(_ffdnet.converted(ported(1)))
    denoiser = denoisers.Denoiser(network, 2)
    start = gray.operator().tapered[None]
    y = torch.from_numpy(gray.blurred)[None]
    expected = deepinv.optim.DPIR(sigma=0.03, denoiser=denoiser)(y, physics_of(gray), init=(start, start))
    np.testing.assert_allclose(method.restore(gray, Run()).image, expected[0].detach().numpy(), atol=1e-5)


@WITH_DEEPINVERSE
def test_total_variation_comes_near_the_minimum_that_tv_finds(gray):
    """Both minimise 1/2 |k * x - y|^2 + lambda TV(x); `tv` does so in units of contrast, hence its weight."""
    from nidbench.methods.tv import TV

    def cost(image, weight):
        x, y = torch.from_numpy(image).double(), torch.from_numpy(gray.blurred).double()
        steps = torch.zeros(2, *x.shape, dtype=torch.float64)
        steps[0, :, :-1], steps[1, :, :, :-1] = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
        residual = gray.operator().blur(x.float()).double() - y
        return float(residual.square().sum() / 2 + weight * steps.square().sum(0).sqrt().sum())

    ours = DeepInverse(iterations=200)
    weight = 0.6 * 0.03**1.5
    contrast = float(np.sqrt(gray.blurred.var() - 0.03**2))
    same = TV(weight=0.6 * (contrast / 0.2) ** 0.5, iterations=400)  # lambda / contrast = weight (sigma / contrast)^1.5
    costs = [cost(method.restore(gray, Run()).image, weight) for method in (ours, same)]
    assert costs[0] == pytest.approx(costs[1], rel=0.01)


@WITH_DEEPINVERSE
def test_weights_and_release_are_a_part_of_what_identifies_a_result(weights):
    method = made("dpir", weights)
    path = method.weights
    assert method.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert method.release == metadata.version("deepinv")
    assert DeepInverse(model="dpir", denoiser="ffdnet", weights=path, sha256=method.sha256) == method
    with pytest.raises(DataError, match="sha256=1f is asked for, and here is"):
        DeepInverse(model="dpir", denoiser="ffdnet", weights=path, sha256="1f")
    with pytest.raises(DataError, match=r"release=0.5.99 is asked for, and here is 0.5"):
        DeepInverse(release="0.5.99")


@WITH_DEEPINVERSE
def test_weights_altered_after_the_plan_are_refused(weights, gray):
    method = made("dpir", weights)
    other = {name: 2 * tensor for name, tensor in ported(1).items()}
    weights(other, "dpir-1.pth")
    with pytest.raises(DataError, match="were altered"):
        method.restore(gray, Run())


@WITH_DEEPINVERSE
@pytest.mark.parametrize(("denoiser", "model"), [("drunet", "dpir"), ("dncnn", "pnp"), ("ffdnet", "dpir")])
def test_what_the_hub_has_is_looked_for_and_never_fetched(denoiser, model, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("it is fetched"))
    with pytest.raises(DataError, match=r'nidbench does not fetch it.*python -c "from deepinv.models import.*PATH'):
        DeepInverse(model=model, denoiser=denoiser, weights="hub")


@WITH_DEEPINVERSE
def test_what_the_hub_has_is_used_where_it_is(tmp_path, monkeypatch, gray):
    import deepinv

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    network = deepinv.models.DnCNN(1, 1, pretrained=None)
    file = tmp_path / "checkpoints" / "dncnn_sigma2_gray.pth"
    torch.save(network.state_dict(), file)
    hub, path = (
        DeepInverse(model="pnp", denoiser="dncnn", weights=weights, iterations=1).restore(gray, Run()).image
        for weights in ("hub", str(file))
    )
    assert np.array_equal(hub, path)


@WITH_DEEPINVERSE
@pytest.mark.parametrize("denoiser", sorted(denoisers.DENOISERS))
def test_weights_of_another_denoiser_are_refused_in_words(denoiser, weights):
    path = weights({"a.weight": torch.ones(2, 2)})
    with pytest.raises(DataError, match=r"weights\.pth (are of no|hold no|are not those)"):
        DeepInverse(model="dpir", denoiser=denoiser, weights=str(path))


@WITH_DEEPINVERSE
def test_a_curved_response_is_undone_and_poisson_noise_is_of_its_mean_level(gray):
    from dataclasses import replace

    from nidbench.contract import Response

    curved = replace(gray, blurred=gray.blurred.clip(0) ** (1 / 2.2), response=Response.parse("gamma:2.2"))
    method = DeepInverse(iterations=20)
    assert float(np.abs(method.restore(curved, Run()).image - method.restore(gray, Run()).image).mean()) < 0.05
    counted = replace(gray, noise=Noise("poisson", 500.0))
    level = replace(gray, noise=Noise("gaussian", counted.sigma()))
    np.testing.assert_array_equal(method.restore(counted, Run()).image, method.restore(level, Run()).image)


def test_the_networks_need_no_package_to_be_described():
    made_of = SimpleNamespace(**{name: each.title for name, each in denoisers.DENOISERS.items()})
    assert vars(made_of) == {"drunet": "DRUNet", "ffdnet": "FFDNet", "dncnn": "DnCNN"}
