"""FDN: its equations against NumPy and SciPy, its files against what lacks them, its figures against published ones."""

import hashlib
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from nidbench.methods._linear import linearised
from nidbench.methods.fdn import FDN
from nidbench.methods.fid import FID
from scipy.fft import idctn
from scipy.ndimage import convolve

from nidbench.cli import main
from nidbench.compute.child.worker import Worker
from nidbench.compute.messages import MethodFacts, Refusal, Resolve
from nidbench.contract import Response, Run, Truth
from nidbench.contract.conformance import check
from nidbench.errors import DataError, NidbenchError
from nidbench.files.cache import destination
from nidbench.files.remote import RemoteFile
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.registry.method_spec import MethodSpec
from nidbench.scoring.protocols import DEFAULT

SHAPES = {f"conv{number}": (3, 3, 1 if number == 1 else 32, 1 if number == 6 else 32) for number in range(1, 7)}
SHAPES |= {"dense1": (1, 16), "dense2": (16, 16), "dense3": (16, 16), "lambda": (16, 1)}


def synthesise(path):
    """Write weights by chance, laid out as the authors' Keras does, and return them stage by stage."""
    rng = np.random.default_rng(7)
    stages = []
    with h5py.File(path, "w") as content:
        for stage in range(1, 11):
            arrays = {}
            for name, shape in SHAPES.items():
                arrays[f"{name}_{stage}/kernel:0"] = rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape)
                arrays[f"{name}_{stage}/bias:0"] = rng.normal(0, 0.1, shape[-1:])
            arrays[f"conv6_{stage}/kernel:0"] *= 0.1
            for name in ("dense1", "dense2", "dense3", "lambda"):  # less noise, more weight on the data
                arrays[f"{name}_{stage}/kernel:0"] = abs(arrays[f"{name}_{stage}/kernel:0"])
            arrays[f"x_out_{stage}/filter_weights:0"] = rng.normal(0, 0.1, (24, 24)) + 0.3 * np.eye(24)
            for name, array in arrays.items():
                content[f"model_{stage + 1}/{name}"] = array.astype(np.float32)
            stages.append({name.replace(f"_{stage}/", "/"): np.float32(array) for name, array in arrays.items()})
    return stages


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """Weights by chance in place of the authors', to be fetched from a mirror into an empty cache."""
    source = tmp_path / "mirror" / "nowhere.org" / "fdn.hdf5"
    source.parent.mkdir(parents=True)
    made = synthesise(source)
    content = source.read_bytes()
    file = RemoteFile(
        "fdn", "w.hdf5", "https://nowhere.org/fdn.hdf5", hashlib.sha256(content).hexdigest(), len(content)
    )
    monkeypatch.setattr(FDN, "files", staticmethod(lambda: [file]))
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    return made


@pytest.fixture
def no_mirror(tmp_path, monkeypatch):
    """The authors' files, an empty cache, and no way to fetch."""
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", (tmp_path / "nothing").as_uri())


@pytest.fixture
def camera():
    return load_dataset("sample").load("camera")[:, :40, :36]


def elu(values):
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))


def correlated(maps, weights, biases):
    """Zero-padded correlation of (H, W, in) with (3, 3, in, out)."""
    padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    return np.tensordot(windows, weights.transpose(2, 0, 1, 3), 3) + biases


def spectrum_of(kernel, shape):
    """Full spectrum of a kernel of odd sides about its centre."""
    padded = np.zeros(shape)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.fft.fft2(np.roll(padded, [-(side // 2) for side in kernel.shape], (0, 1)))


def expected(tapered, kernel, sigma, stages, width=20):
    """All stages on one gray image in float64, sigma out of 255, continued as far as the authors do."""
    x = y = tapered.astype(np.float64)
    top, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    inside = np.zeros(x.shape, bool)
    inside[top : x.shape[0] - top, left : x.shape[1] - left] = True
    blur = spectrum_of(kernel, x.shape)
    for number, arrays in enumerate(stages):
        if number:
            y = np.where(inside, tapered, convolve(x, kernel, mode="wrap"))
        weight = np.array([1 / sigma**2])
        for name in ("dense1", "dense2", "dense3"):
            weight = elu(weight @ arrays[f"{name}/kernel:0"] + arrays[f"{name}/bias:0"])
        weight = np.logaddexp(0, weight @ arrays["lambda/kernel:0"] + arrays["lambda/bias:0"])
        maps = np.pad(x, width, mode="edge")[..., None]
        for layer in range(1, 7):
            maps = correlated(maps, arrays[f"conv{layer}/kernel:0"], arrays[f"conv{layer}/bias:0"])
            maps = elu(maps) if layer < 6 else maps
        basis = np.stack([idctn(unit.reshape(5, 5), norm="ortho").T.ravel() for unit in np.eye(25)[1:]], 1)
        filters = (basis @ arrays["x_out/filter_weights:0"]).reshape(5, 5, 24)
        prior = sum(abs(spectrum_of(filters[..., i], x.shape)) ** 2 for i in range(24))
        added = np.fft.fft2(maps[width:-width, width:-width, 0])
        numerator = weight * blur.conj() * np.fft.fft2(y) + added
        x = np.fft.ifft2(numerator / (weight * abs(blur) ** 2 + prior)).real
    return x


@pytest.mark.parametrize("sigma", [0.01, 0.04])
def test_stages_are_the_published_equations(stages, camera, sigma):
    kernel = np.outer([1.0, 2, 1, 4, 0], [1.0, 3, 0])
    problem = measure(camera, kernel, f"gaussian:{sigma}", key="fdn")
    restored = FDN().restore(problem, Run())
    tapered = problem.operator().tapered[0].numpy()
    wanted = expected(tapered, problem.kernel, 255 * sigma, stages)
    assert np.abs(wanted - tapered).max() > 0.05
    assert np.abs(restored.image[0] - wanted).max() < 1e-4
    assert (restored.iterations, restored.details["sigma"]) == (10, pytest.approx(sigma))


@pytest.mark.usefixtures("stages")
def test_channels_are_restored_each_by_itself(camera):
    colour = np.concatenate([camera, 1 - camera, camera**2])
    problem = measure(colour, np.ones((3, 4)), "gaussian:0.02", key="fdn")
    restored = FDN().restore(problem, Run()).image
    for channel in range(3):
        alone = replace(problem, blurred=problem.blurred[channel : channel + 1])
        assert np.abs(FDN().restore(alone, Run()).image[0] - restored[channel]).max() < 1e-5


def test_noise_beyond_the_training_counts_as_its_end(stages, camera):
    kernel = np.ones((3, 3))
    for given, used in (("0.2", 12.75), ("0", 0.1)):
        problem = measure(camera, kernel, f"gaussian:{given}", key="fdn")
        restored = FDN().restore(problem, Run())
        wanted = expected(problem.operator().tapered[0].numpy(), problem.kernel, used, stages)
        assert restored.details["sigma"] == pytest.approx(used / 255)
        assert np.abs(restored.image[0] - wanted).max() < 1e-4


@pytest.mark.usefixtures("stages")
def test_a_gamma_response_is_undone(camera):
    problem = measure(camera, np.ones((3, 3)), "gaussian:0.01", key="fdn", response=Response.parse("gamma:2.2"))
    restored = FDN().restore(problem, Run()).image
    assert np.array_equal(restored, FDN().restore(linearised(problem), Run()).image)
    assert np.abs(restored - camera).mean() < np.abs(restored ** (1 / 2.2) - camera).mean()


@pytest.mark.usefixtures("stages")
def test_conforms_with_any_weights():
    assert not [f"{finding.name}: {finding.message}" for finding in check(FDN()) if not finding.passed]


@pytest.mark.usefixtures("stages")
def test_weights_are_fetched_before_the_run_starts():
    (file,) = FDN.files()
    assert not destination(file).exists()
    assert isinstance(Worker().answer(Resolve(MethodSpec("fdn"), None, None)), MethodFacts)
    assert destination(file).exists()


@pytest.mark.usefixtures("stages")
def test_the_data_commands_know_the_weights():
    (file,) = FDN.files()
    before = CliRunner().invoke(main, ["data", "verify", "fdn"])
    assert (before.exit_code, "missing: fdn/w.hdf5" in before.output) == (1, True)
    assert CliRunner().invoke(main, ["data", "fetch", "fdn"]).exit_code == 0
    after = CliRunner().invoke(main, ["data", "verify", "fdn"])
    assert (after.exit_code, "1 of 1 file is" in after.output) == (0, True)
    assert CliRunner().invoke(main, ["data", "path", "fdn"]).output.strip() == str(destination(file))


def test_the_data_commands_on_other_names():
    assert "wiener needs no files" in CliRunner().invoke(main, ["data", "fetch", "wiener"]).output
    unknown = CliRunner().invoke(main, ["data", "path", "fdnn"])
    assert unknown.exit_code == 2
    assert "did you mean fdn" in unknown.output


@pytest.mark.usefixtures("no_mirror")
def test_missing_weights_refuse_the_run_and_say_where_they_belong(camera):
    (file,) = FDN.files()
    refused = Worker().answer(Resolve(MethodSpec("fdn"), None, None))
    assert isinstance(refused, Refusal)
    for part in (file.path, file.url, file.sha256, str(destination(file)), "NIDBENCH_DATA_MIRROR"):
        assert part in refused.message
    with pytest.raises(DataError, match="finetuned"):
        FDN().restore(measure(camera, np.ones((3, 3)), "gaussian:0.01", key="fdn"), Run())


def test_without_h5py_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(NidbenchError, match=r'pip install "nidbench\[supervised\]"'):
        FDN()


def test_the_authors_weights_give_the_published_gain(with_files):
    """30.84 dB here is part of a mean of 30.98 dB over Set12 and Levin's kernels; the literature has 31.02."""
    with_files(FDN)
    set12, levin = load_dataset("set12"), load_kernels("levin")
    for provider in (set12, levin):
        with_files(provider)
    sharp = set12.load("01")
    problem = measure(sharp, levin.load("1"), "gaussian:0.01", key="fdn")
    fdn, fid = (
        DEFAULT.score(method.restore(problem, Run()).image, problem, Truth(sharp)).psnr for method in (FDN(), FID())
    )
    assert fdn == pytest.approx(30.84, abs=0.1)
    assert fdn > fid + 1
