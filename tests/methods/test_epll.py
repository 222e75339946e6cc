"""EPLL: with a made mixture of 200 components, against dense matrices and SciPy; its file, pinned by a git blob."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from nidbench.methods.epll import BETAS, EPLL, read_mixture, summed
from scipy.io import savemat
from scipy.signal import convolve2d
from scipy.stats import multivariate_normal

from nidbench.contract import Run
from nidbench.contract.conformance import check
from nidbench.errors import DataError
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset


def made(components=200, seed=3):
    """Weights and covariances, Shape (64, 64, J): a few smooth directions each, and little in all others."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:8, :8].reshape(2, 64, order="F")
    covariances = []
    for _ in range(components):
        waves = [
            np.cos(draw.uniform(0, 1.2) * rows + draw.uniform(-1.2, 1.2) * columns + draw.uniform(0, 6))
            for _ in range(5)
        ]
        basis = np.stack([wave - wave.mean() for wave in waves], 1) * draw.uniform(0.02, 0.2, 5)
        covariances.append(basis @ basis.T + 1e-5 * np.eye(64))
    weights = draw.uniform(0.5, 1.5, components)
    return weights / weights.sum(), np.stack(covariances, 2)


def stored(weights, covariances):
    content = io.BytesIO()
    savemat(content, {"GS": {"nmodels": weights.size, "mixweights": weights[:, None], "covs": covariances, "dim": 64}})
    return content.getvalue()


def blob(content):
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@pytest.fixture(params=[200])
def mixture(request, tmp_path, monkeypatch):
    """A mixture in place of the authors', in a mirror, pinned as theirs is."""
    weights, covariances = made(request.param)
    content = stored(weights, covariances)
    source = tmp_path / "mirror" / "nowhere.org" / "gmm.mat"
    source.parent.mkdir(parents=True)
    source.write_bytes(content)
    file = RemoteFile("epll", "gmm.mat", "https://nowhere.org/gmm.mat", "", 0, git_blob=blob(content), least=1 << 20)
    monkeypatch.setattr(EPLL, "files", staticmethod(lambda: [file]))
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    return weights, covariances


@pytest.fixture
def camera():
    return load_dataset("sample").load("camera")[:, 20:38, 20:40]


def dense(problem, weights, covariances):
    """All rounds with the blur as a matrix and each patch by itself, x of one channel, in float64."""
    height, width = problem.frame
    size = height * width
    units = np.eye(size).reshape(size, height, width)
    blur = np.stack([convolve2d(unit, problem.kernel, "valid").ravel() for unit in units], 1)
    weight = 64 / problem.sigma() ** 2
    x = problem.operator().tapered[0].numpy().astype(np.float64)
    for beta in BETAS:
        noisy = covariances + np.eye(64)[:, :, None] / beta
        densities = [multivariate_normal(np.zeros(64), noisy[..., j]) for j in range(weights.size)]
        sums, counts = np.zeros_like(x), np.zeros_like(x)
        places = [(row, column) for row in range(height - 7) for column in range(width - 7)]
        patches = np.stack([x[r : r + 8, c : c + 8].ravel(order="F") for r, c in places])
        centred = patches - patches.mean(1, keepdims=True)
        scores = np.stack([np.log(weights[j]) + densities[j].logpdf(centred) for j in range(weights.size)], 1)
        for n, (row, column) in enumerate(places):
            j = scores[n].argmax()
            restored = np.linalg.solve(noisy[..., j], covariances[..., j] @ centred[n]) + patches[n].mean()
            sums[row : row + 8, column : column + 8] += restored.reshape(8, 8, order="F")
            counts[row : row + 8, column : column + 8] += 1
        matrix = weight * blur.T @ blur + beta * np.diag(counts.ravel())
        right = weight * blur.T @ problem.blurred.ravel() + beta * sums.ravel()
        x = np.linalg.solve(matrix, right).reshape(height, width)
    return x.clip(0, 1)


def test_it_is_what_dense_matrices_give(mixture, camera):
    problem = measure(camera, np.outer([1.0, 2, 1, 4], [1.0, 3, 2]), "gaussian:0.03", key="epll")
    restored = EPLL().restore(problem, Run())
    wanted = dense(problem, *mixture)
    assert abs(wanted - problem.operator().tapered[0].numpy()).max() > 0.05
    assert abs(restored.image[0] - wanted).max() < 1e-3
    assert (restored.iterations, restored.stopped) == (7, "rounds")


def test_every_pixel_gets_back_what_its_patches_hold():
    x = torch.from_numpy(np.random.default_rng(0).random((2, 11, 9)))
    sums, counts = summed(x, lambda patches: patches)
    assert torch.allclose(sums, counts * x)
    assert counts[0, 0, 0] == 1
    assert counts[1, 7, 4] == 8 // 2 * 2
    seen = []
    summed(x[:1, :8, :8], lambda patches: seen.append(patches) or patches)
    assert torch.allclose(seen[0][0], (x[0, :8, :8] - x[0, :8, :8].mean()).mT.flatten())
    assert not any(each.any() for each in summed(x[:, :5], lambda patches: patches))


@pytest.mark.parametrize("mixture", [40], indirect=True)
@pytest.mark.usefixtures("mixture")
def test_conforms_with_any_mixture():
    get(*EPLL.files())  # before anything is computed, as the harness does
    assert not [f"{finding.name}: {finding.message}" for finding in check(EPLL()) if not finding.passed]


def pointed(content):
    """What Git LFS leaves in a repository in place of a file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\n".encode()


def test_a_pointer_of_git_lfs_is_no_match_though_it_has_the_blob_id(mixture, tmp_path, monkeypatch, camera):
    pointer = pointed(stored(*mixture))
    (tmp_path / "mirror" / "nowhere.org" / "gmm.mat").write_bytes(pointer)
    (file,) = EPLL.files()
    same = RemoteFile("epll", "gmm.mat", file.url, "", 0, git_blob=blob(pointer), least=1 << 20)
    monkeypatch.setattr(EPLL, "files", staticmethod(lambda: [same]))
    with pytest.raises(DataError, match=r"bytes came, not at least 1048576 bytes.*pointer of Git LFS"):
        EPLL().restore(measure(camera, np.ones((3, 3)), "gaussian:0.03", key="epll"), Run())
    assert not list(Path(tmp_path / "cache").rglob("*.mat"))


@pytest.mark.usefixtures("mixture")
def test_another_file_of_the_same_size_is_no_match(tmp_path, camera):
    place = tmp_path / "mirror" / "nowhere.org" / "gmm.mat"
    place.write_bytes(place.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DataError, match="what came has the git blob id"):
        EPLL().restore(measure(camera, np.ones((3, 3)), "gaussian:0.03", key="epll"), Run())
    assert not list(Path(tmp_path / "cache").rglob("*.mat"))


def test_the_authors_mixture_is_pinned_by_its_blob_and_a_least_size():
    (file,) = EPLL.files()
    assert file.git_blob == "9f88cab9c7a3bd1ab7216377bf599d98a444f9d0"
    assert file.least == 4 << 20
    assert "at least 4194304 bytes, git blob id 9f88" in file.known_by


def test_other_contents_are_refused_in_words(tmp_path):
    weights, covariances = made(3)
    path = tmp_path / "gmm.mat"
    for content, reason in (
        (stored(weights * 2, covariances), "sum to 2"),
        (stored(weights, covariances[:36, :36]), r"\(36, 36, 3\)"),
        (stored(weights[:2] / weights[:2].sum(), covariances), "expected are"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=reason):
            read_mixture(path, "cpu")
    savemat(path, {"other": 1})
    with pytest.raises(DataError, match="holds no mixture GS"):
        read_mixture(path, "cpu")
