"""Every registered dataset and kernel set keeps the protocol; those of the package hold what the literature says."""

import os
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from scipy.io import loadmat

from nidbench import fetch
from nidbench.contract import DatasetInfo, KernelSetInfo, check_kernel
from nidbench.degrade import NoiseSpec, check_image, parse_response
from nidbench.errors import UnknownNameError

SHARED = Path(__file__).parents[2] / "shared" / "mirror"

DATASETS = list(entry_points(group="nidbench.datasets"))
KERNELS = list(entry_points(group="nidbench.kernels"))


def named(group, name):
    return next(entry.load()() for entry in group if entry.name == name)


@pytest.fixture
def no_network(monkeypatch):
    """Let nothing be fetched."""

    def refuse(file):
        pytest.fail(f"{file} is fetched")

    monkeypatch.setattr(fetch, "_download", refuse)


@pytest.fixture
def mirror(tmp_path_factory, monkeypatch):
    """Fetch from a mirror, never from the sites themselves, into a cache that the tests share."""
    if not os.environ.get("NIDBENCH_DATA_MIRROR") and SHARED.is_dir():
        monkeypatch.setenv("NIDBENCH_DATA_MIRROR", SHARED.as_uri())
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path_factory.getbasetemp() / "data"))


def available(files):
    """Skip unless the files can be had without the sites themselves."""
    for file in files:
        url = fetch.source(file)
        if url == file.url:
            pytest.skip("needs a mirror of the data: set NIDBENCH_DATA_MIRROR")
        if url.startswith("file://") and not Path(unquote(url.removeprefix("file://"))).is_file():
            pytest.skip(f"the mirror lacks {file}")


def test_built_in_names_are_registered():
    assert {"sample", "set12"} <= {entry.name for entry in DATASETS}
    assert {"sample", "levin"} <= {entry.name for entry in KERNELS}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("entry", DATASETS, ids=lambda entry: entry.name)
def test_dataset_declares_itself_without_loading(entry):
    dataset = entry.load()()
    assert isinstance(dataset.info, DatasetInfo)
    assert dataset.info.kernels in {kernels.name for kernels in KERNELS}
    assert dataset.info.noises
    for noise in dataset.info.noises:
        assert str(NoiseSpec.parse(noise)) == noise
    parse_response(dataset.info.response)
    names = list(dataset.names())
    assert names
    assert len(set(names)) == len(names)
    check_files(dataset.files())


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("entry", KERNELS, ids=lambda entry: entry.name)
def test_kernel_set_declares_itself_without_loading(entry):
    kernels = entry.load()()
    assert isinstance(kernels.info, KernelSetInfo)
    names = list(kernels.names())
    assert names
    assert len(set(names)) == len(names)
    assert set(kernels.info.noises) <= set(names)
    for noise in kernels.info.noises.values():
        NoiseSpec.parse(noise)
    check_files(kernels.files())


def check_files(files):
    assert len({fetch.destination(file) for file in files}) == len(files)
    for file in files:
        assert file.url.startswith("https://")
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.bytes > 0
        assert not Path(file.path).is_absolute()
        assert ".." not in Path(file.path).parts


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("entry", DATASETS + KERNELS, ids=lambda entry: f"{entry.group}-{entry.name}")
def test_unknown_name(entry):
    provider = entry.load()()
    with pytest.raises(UnknownNameError, match=r"'no-such'.*use"):
        provider.load("no-such")


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("entry", DATASETS, ids=lambda entry: entry.name)
def test_images_keep_the_protocol(entry):
    dataset = entry.load()()
    available(dataset.files())
    for name in dataset.names():
        image = check_image(dataset.load(name))
        assert image.dtype == np.float64
        assert image.min() >= 0
        assert image.max() <= 1
        assert image.std() > 0.01
        assert image.tobytes() == dataset.load(name).tobytes()


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("entry", KERNELS, ids=lambda entry: entry.name)
def test_kernels_keep_the_protocol(entry):
    kernels = entry.load()()
    available(kernels.files())
    for name in kernels.names():
        kernel = kernels.load(name)
        check_kernel(kernel)
        assert kernel.dtype == np.float64
        assert kernel.sum() == pytest.approx(1, abs=1e-12)
        assert kernel.tobytes() == kernels.load(name).tobytes()


@pytest.mark.usefixtures("no_network")
def test_sample_is_gray_and_colour_and_needs_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIMAGE_DATADIR", str(tmp_path))  # where skimage.data would keep what it downloads
    sample = named(DATASETS, "sample")
    assert sample.files() == []
    assert [sample.load(name).shape for name in sample.names()] == [(1, 96, 96), (3, 96, 96)]
    assert list(tmp_path.iterdir()) == []


def test_sample_images_are_the_means_of_two_by_two_pixels():
    from skimage import data
    from skimage.transform import downscale_local_mean

    sample = named(DATASETS, "sample")
    gray = downscale_local_mean(data.camera() / 255, (2, 2))[24:120, 76:172]
    colour = downscale_local_mean(data.astronaut() / 255, (2, 2, 1))[8:104, 62:158]
    assert np.allclose(sample.load("camera")[0], gray, atol=1e-12)
    assert np.allclose(sample.load("astronaut"), colour.transpose(2, 0, 1), atol=1e-12)


def test_sample_kernel_shows_a_flip():
    kernels = named(KERNELS, "sample")
    (name,) = kernels.names()
    kernel = kernels.load(name)
    assert kernel.shape == (13, 13)
    assert kernel.min() >= 0
    for flipped in (kernel[::-1, ::-1], kernel.T, kernel[::-1], kernel[:, ::-1]):
        assert abs(kernel - flipped).sum() > 0.5
    rows, columns = np.nonzero(kernel)
    assert np.ptp(rows) > 8
    assert np.ptp(columns) > 6


@pytest.mark.usefixtures("mirror")
def test_set12_sizes():
    set12 = named(DATASETS, "set12")
    available(set12.files())
    sizes = {name: set12.load(name).shape for name in set12.names()}
    assert list(sizes) == [f"{i:02}" for i in range(1, 13)]
    assert list(sizes.values()) == [(1, 256, 256)] * 7 + [(1, 512, 512)] * 5


@pytest.mark.usefixtures("mirror")
def test_levin_kernels_are_the_stored_arrays():
    levin = named(KERNELS, "levin")
    available(levin.files())
    kernels = [levin.load(name) for name in levin.names()]
    assert [kernel.shape for kernel in kernels] == [(n, n) for n in (19, 17, 15, 27, 13, 21, 23, 23)]
    assert [np.count_nonzero(kernel) for kernel in kernels] == [109, 114, 87, 200, 94, 136, 175, 166]
    for file, kernel in zip(levin.files(), kernels, strict=True):
        assert np.allclose(
            loadmat(fetch.get(file))["ker"], kernel, rtol=1e-12, atol=0
        )  # neither flipped nor transposed


@pytest.mark.usefixtures("mirror")
def test_files_come_from_the_mirror_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path))
    levin = named(KERNELS, "levin")
    available(levin.files())
    assert {state for _, state in fetch.verify(levin.files())} == {"missing"}
    levin.load("3")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["3.mat"]
    fetch.fetch(levin.files())
    assert {state for _, state in fetch.verify(levin.files())} == {"ok"}
