"""Every registered dataset and kernel set keeps the protocol; those of the package hold what the literature says."""

import importlib
import os
import re
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.contract import MEASURED, DatasetInfo, KernelSetInfo, MeasuredDataset, Response, check_kernel
from nidbench.errors import InputError, UnknownNameError
from nidbench.files.cache import destination, verify
from nidbench.files.download import fetch, get, sources
from nidbench.images import read_image
from nidbench.physics.measure import blur, check_image
from nidbench.physics.noise import NoiseSpec
from nidbench.registry.entry_points import load_dataset, load_kernel_error

DATASETS = list(entry_points(group="nidbench.datasets"))
KERNELS = [entry for entry in entry_points(group="nidbench.kernels") if not hasattr(entry.load(), "formula")]
SHARP = [entry for entry in DATASETS if hasattr(entry.load(), "load")]
GIVEN = [entry for entry in DATASETS if hasattr(entry.load(), "measured")]


def named(group, name):
    return next(entry.load()() for entry in group if entry.name == name)


def png(path, *shape, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def provide(tmp_path):
    """Return a function that makes what an entry point leads to, a dataset of a folder from one with two images."""

    def make(entry):
        kind = entry.load()
        if not getattr(kind, "argument", ""):
            return kind()
        png(tmp_path / "own" / "gray.png", 20, 30)
        png(tmp_path / "own" / "photograph.png", 30, 20, 3)
        return kind(tmp_path / "own")

    return make


@pytest.fixture
def no_network(monkeypatch):
    """Let nothing be fetched."""

    def refuse(file, _shared):
        pytest.fail(f"{file} is fetched")

    monkeypatch.setattr("nidbench.files.download._download", refuse)


@pytest.fixture
def mirror(tmp_path_factory, monkeypatch):
    """Fetch from a mirror, never from the sites themselves, into a cache that the tests share."""
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path_factory.getbasetemp() / "data"))


def available(files):
    """Skip unless the files can be had without the sites themselves."""
    for file in files:
        urls = sources(file)
        if urls == file.url.split():
            pytest.skip("needs a mirror of the data: set NIDBENCH_DATA_MIRROR")
        if all(url.startswith("file://") and not Path(unquote(url.removeprefix("file://"))).is_file() for url in urls):
            pytest.skip(f"the mirror lacks {file}")


def test_built_in_names_are_registered():
    assert {"sample", "set12", "levin", "sun", "bsd68", "kodak24", "folder"} <= {entry.name for entry in SHARP}
    assert {"sample", "levin", "danielyan", "lai"} <= {entry.name for entry in KERNELS}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("entry", SHARP, ids=lambda entry: entry.name)
def test_dataset_declares_itself_without_loading(entry, provide):
    dataset = provide(entry)
    assert isinstance(dataset.info, DatasetInfo)
    assert dataset.info.source
    assert dataset.info.licence
    assert dataset.info.kernels in {kernels.name for kernels in KERNELS}
    assert dataset.info.noises
    for noise in dataset.info.noises:
        assert str(NoiseSpec.parse(noise)) == noise
    Response.parse(dataset.info.response)
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


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("entry", GIVEN, ids=lambda entry: entry.name)
def test_measured_dataset_declares_itself_without_loading(entry):
    dataset = entry.load()()
    assert isinstance(dataset, MeasuredDataset)
    assert isinstance(dataset.info, DatasetInfo)
    assert dataset.info.noises == (MEASURED,)
    Response.parse(dataset.info.response)
    names = list(dataset.names())
    assert names
    assert len(set(names)) == len(names)
    for name in names:
        kernels = list(dataset.kernels(name))
        assert kernels
        assert len(set(kernels)) == len(kernels)
        assert {kernel.partition("/")[0] for kernel in kernels} == {dataset.info.kernels}
    for wrong in (("no-such", kernels[0]), (name, "no-such")):
        for ask in (dataset.measured, dataset.truths):
            with pytest.raises(UnknownNameError, match=r"'no-such'.*use"):
                ask(*wrong)
    check_files(dataset.files())


def check_files(files):
    assert len({destination(file) for file in files}) == len(files)
    for file in files:
        assert all(url.startswith("https://") for url in file.url.split())
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.bytes > 0
        assert not Path(file.path).is_absolute()
        assert ".." not in Path(file.path).parts


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("entry", SHARP + KERNELS, ids=lambda entry: f"{entry.group}-{entry.name}")
def test_unknown_name(entry, provide):
    provider = provide(entry)
    with pytest.raises(UnknownNameError, match=r"'no-such'.*use"):
        provider.load("no-such")


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("entry", SHARP, ids=lambda entry: entry.name)
def test_images_keep_the_protocol(entry, provide):
    dataset = provide(entry)
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
        assert np.allclose(loadmat(get(file))["ker"], kernel, rtol=1e-12, atol=0)  # neither flipped nor transposed


@pytest.mark.usefixtures("mirror")
def test_files_come_from_the_mirror_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path))
    levin = named(KERNELS, "levin")
    available(levin.files())
    assert {state for _, state in verify(levin.files())} == {"missing"}
    levin.load("3")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["3.mat"]
    fetch(levin.files())
    assert {state for _, state in verify(levin.files())} == {"ok"}


@pytest.mark.usefixtures("mirror")
def test_levin_images_are_those_of_kernel_8():
    levin = load_dataset("levin")
    available(levin.files())
    assert levin.names() == ["im1", "im2", "im3", "im4"]
    assert [levin.load(name).shape for name in levin.names()] == [(1, 255, 255)] * 4


def published(path):
    """Return a file of the authors that nothing here fetches, or skip."""
    mirror = os.environ.get("NIDBENCH_DATA_MIRROR", "")
    found = Path(unquote(mirror.removeprefix("file://"))) / "raw.githubusercontent.com" / path
    if not mirror.startswith("file://") or not found.is_file():
        pytest.skip(f"needs a mirror of files that has {path}")
    return found


NID = "scut-mingqinchen/Model_Uncertainty_NID/b36118ec84380a474d1f19cfd13f4eddf586c5f0/testsets"


@pytest.mark.usefixtures("mirror")
def test_the_one_published_image_of_sun_is_what_is_derived_bit_for_bit():
    sun = load_dataset("sun")
    available([next(file for file in sun.files() if "_052_" in file.path)])
    image = sun.load("52")
    assert image.shape == (1, 583, 924)
    assert np.array_equal(image, read_image(published(f"{NID}/Images/GT/Sun/52.png")))


@pytest.mark.usefixtures("no_network")
def test_sun_names_are_numbers_of_two_digits():
    names = load_dataset("sun").names()
    assert names == [f"{number:02}" for number in range(1, 81)]


def derived():
    return importlib.import_module("nidbench.datasets.sun").derived


@pytest.mark.parametrize(
    ("photograph", "rows", "columns"),
    [
        ((768, 1024), (50, 718), (50, 974)),
        ((680, 1024), (50, 633), (50, 974)),  # cut from 683 rows
        ((1024, 680), (50, 974), (50, 633)),
        ((680, 680), (50, 630), (50, 630)),
    ],
)
def test_sun_border(photograph, rows, columns):
    levels = np.random.default_rng(1).integers(0, 256, (1, *photograph))
    found = derived()(np.repeat(levels, 3, 0) / 255)
    assert np.array_equal(np.rint(found * 255), levels[:, slice(*rows), slice(*columns)])  # the weights sum to 1


def test_sun_gray_is_that_of_matlab():
    colours = {(255, 0, 0): 76, (0, 255, 0): 150, (0, 0, 255): 29, (255, 255, 255): 255, (10, 200, 30): 124}
    for colour, gray in colours.items():
        photograph = np.broadcast_to(np.reshape(colour, (3, 1, 1)), (3, 112, 112)) / 255
        assert np.array_equal(derived()(photograph), np.full((1, 12, 12), gray / 255))


def test_danielyan_kernels_are_the_published_ones():
    danielyan = named(KERNELS, "danielyan")
    for name in danielyan.names():
        stored = loadmat(published(f"{NID}/Kernels/GT/IDBM3D/{name}.mat"))["ker"]
        assert danielyan.load(name).shape == stored.shape
        assert np.abs(danielyan.load(name) - stored).max() < 1e-12


def test_danielyan_kernels_are_the_formulas():
    danielyan = named(KERNELS, "danielyan")
    first, third, fourth, fifth, sixth = (danielyan.load(name) for name in "13456")
    assert first[7, 7] / first[6, 5] == pytest.approx(1 + 1 + 4)
    assert first[7, 7] / first[0, 14] == pytest.approx(1 + 49 + 49)
    assert np.array_equal(first, danielyan.load("2"))
    assert np.allclose(third, 1 / 81)
    assert np.allclose(fourth * 256, np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]))
    assert fifth[12, 12] / fifth[12, 15] == pytest.approx(np.exp(9 / (2 * 1.6**2)))
    assert np.count_nonzero(sixth) == 37  # x^2 + y^2 < 2 0.4^2 52 log 2 = 11.5: the rest is below MATLAB's precision


def test_danielyan_noise_is_that_of_the_scenarios():
    noises = named(KERNELS, "danielyan").info.noises
    specs = {name: NoiseSpec.parse(noise) for name, noise in noises.items()}
    assert specs.pop("3") == NoiseSpec("bsnr", 40)
    assert all(spec.kind == "gaussian" for spec in specs.values())
    variances = {name: (spec.value * 255) ** 2 for name, spec in specs.items()}
    assert variances == pytest.approx({"1": 2, "2": 8, "4": 49, "5": 4, "6": 64})


@pytest.mark.usefixtures("mirror")
def test_lai_kernels_make_the_distributed_images():
    """True convolution leaves the noise, 0.79/255, and no more; the stored orientation leaves ten times that."""
    lai = named(KERNELS, "lai")
    available(lai.files())
    name = "xl-tang3/UAUDeblur/58bc007f3227184056fea59cdd37b6d55c70d7ab/Datasets/Lai/sharp/natural_01.png"
    sharp = read_image(published(name))[:, 200:320, 200:340]
    y = "JuneFire/mySelfDeblur/10f828a1c93ccc8a40880a950ef03b2086c8d341/datasets/lai/natural_01_kernel_01.png"
    blurred = read_image(published(y))[:, 215:305, 215:325]
    kernel = lai.load("1")
    assert (255 * (blurred - blur(sharp, kernel))).std() == pytest.approx(0.79, abs=0.02)
    assert (255 * (blurred - blur(sharp, kernel[::-1, ::-1]))).std() > 3


def test_a_folder_is_a_dataset_under_its_own_name(tmp_path):
    png(tmp_path / "mine" / "b.PNG", 20, 30)
    png(tmp_path / "mine" / "a.tif", 30, 20, 3)
    png(tmp_path / "mine" / ".hidden.png", 20, 20)
    png(tmp_path / "mine" / "inside" / "c.png", 20, 20)
    (tmp_path / "mine" / "notes.txt").write_text("text")
    folder = load_dataset(f"folder:{tmp_path}/mine/")
    assert folder.label == "mine"
    assert folder.names() == ["a", "b"]
    assert [folder.load(name).shape for name in folder.names()] == [(3, 30, 20), (1, 20, 30)]
    (case, *_) = cases(CaseRequest(dataset=f"folder:{tmp_path}/mine", kernels=("danielyan/4",), noises=("gaussian:0",)))
    assert (case.key.dataset, case.key.image) == ("folder:mine", "a")
    assert np.array_equal(case.truths()[0].image, folder.load("a"))


def test_a_folder_that_cannot_be_a_dataset(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        load_dataset(f"folder:{tmp_path}/none")
    with pytest.raises(InputError, match="holds no image; put some there"):
        load_dataset(f"folder:{tmp_path}")
    with pytest.raises(InputError, match="write folder:PATH"):
        load_dataset("folder")
    with pytest.raises(InputError, match="takes no argument after a colon"):
        load_dataset("set12:elsewhere")
    png(tmp_path / "a.png", 20, 20)
    png(tmp_path / "a.bmp", 20, 20)
    with pytest.raises(InputError, match=r"a\.bmp and a\.png have one name"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    "beside",
    ["psf.npy", "PSF_1.png", "kernel.mat", "kernels", "truth", "sharp", "gt", "blur", "data.npz", "measured.toml"],
)
def test_images_beside_kernels_are_not_taken_as_sharp(tmp_path, beside):
    png(tmp_path / "a.png", 20, 20)
    assert load_dataset(f"folder:{tmp_path}").notice(["a"]).startswith("1 image is taken as sharp, and blurred here")
    if "." in beside:
        (tmp_path / beside).write_bytes(b"")
    else:
        (tmp_path / beside).mkdir()
    with pytest.raises(InputError, match=f"{beside} beside the images says that they are blurred: put blurred"):
        load_dataset(f"folder:{tmp_path}")


def test_what_sharp_images_are_taken_for_is_told(tmp_path):
    for name in "ab":
        png(tmp_path / f"{name}.png", 40, 40)
    for case in cases(CaseRequest(dataset=f"folder:{tmp_path}", kernels=("sample",), noises=("gaussian:0.01",))):
        assert case.notice == "2 images are taken as sharp, and blurred here"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["b.webp"], "b.webp is of a format that is not read: save it as PNG or TIFF"),
        (["c.PGM", "b.jp2", "d.exr"], "b.jp2 and 2 more are of formats that are not read, and left out: save them as"),
        (["notes.txt", ".b.webp"], ""),
    ],
)
def test_pictures_of_a_folder_that_are_not_read_are_told_of(tmp_path, names, said):
    png(tmp_path / "a.png", 40, 40)
    for name in names:
        (tmp_path / name).write_bytes(b"")
    folder = load_dataset(f"folder:{tmp_path}")
    taken = "1 image is taken as sharp, and blurred here"
    assert folder.notice(folder.names()).startswith(f"{taken}; {said}" if said else taken)
    assert ("not read" in folder.notice(folder.names())) == bool(said)


def test_a_name_that_tables_cannot_show_is_refused(tmp_path):
    png(tmp_path / "a\nb.png", 20, 20)
    with pytest.raises(InputError, match=r"'a\\nb\.png' cannot be shown in tables: rename it"):
        load_dataset(f"folder:{tmp_path}")


def test_an_image_of_a_folder_that_is_cut_off_is_named(tmp_path):
    path = png(tmp_path / "a.png", 40, 40)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"a\.png cannot be read as an image"):
        load_dataset(f"folder:{tmp_path}").load("a")


KERNEL = np.outer([0, 1, 2, 1, 0], [1, 3, 9, 2, 1.0])[:, :4] / 60


def told(text, kernel=KERNEL, image="01"):
    return load_kernel_error(text).known_kernel(kernel, image, "levin/1")


@pytest.mark.parametrize("error", [0.01, 0.1, 0.5])
def test_perturbed_noise_has_the_error_asked_for(error):
    kernel = KERNEL / KERNEL.sum()
    wrong = told(f"perturbed:noise={error}", kernel)
    assert wrong.shape == kernel.shape
    assert wrong.sum() == pytest.approx(1)
    assert wrong.min() >= 0
    assert np.linalg.norm(wrong - kernel) / np.linalg.norm(kernel) == pytest.approx(error)


def test_perturbed_noise_is_another_for_each_image_and_seed_and_the_same_at_every_call():
    draws = [told(f"perturbed:noise=0.1:seed={seed}", image=image) for seed in (0, 1) for image in ("01", "02")]
    assert len({draw.tobytes() for draw in draws}) == 4
    assert told("perturbed:noise=0.1").tobytes() == draws[0].tobytes()
    assert sha256(np.round(draws[0], 9).tobytes()).hexdigest()[:8] == "45b19c48"


@pytest.mark.parametrize(("text", "rows", "columns"), [("pad=3", 11, 10), ("pad=-1", 3, 2), ("blur=0.9", 11, 10)])
def test_perturbed_sizes(text, rows, columns):
    wrong = told(f"perturbed:{text}")
    assert wrong.shape == (rows, columns)
    assert wrong.sum() == pytest.approx(1)


def centre(kernel):
    """Return where the weight is, from the origin at k//2."""
    rows, columns = np.indices(kernel.shape)
    weight = kernel / kernel.sum()
    return np.array([(weight * rows).sum(), (weight * columns).sum()]) - [side // 2 for side in kernel.shape]


def test_perturbed_shift_and_pad_and_blur_move_the_weight_as_they_say():
    before = centre(KERNEL)
    assert centre(told("perturbed:shift=1.5")) == pytest.approx(before + 1.5)
    assert centre(told("perturbed:shift=-2")) == pytest.approx(before - 2)
    assert centre(told("perturbed:pad=4")) == pytest.approx(before)
    assert centre(told("perturbed:blur=1.3")) == pytest.approx(before)


def test_perturbed_blur_adds_its_variance():
    def variance(kernel):
        rows = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
        weight = kernel.sum(1) / kernel.sum()
        return (weight * rows**2).sum() - (weight * rows).sum() ** 2

    grown = variance(told("perturbed:blur=1.5")) - variance(KERNEL)
    assert grown == pytest.approx(1.5**2, rel=0.05)  # the Gaussian ends at three deviations


def test_perturbed_rotation_turns_about_the_origin():
    kernel = np.zeros((7, 7))
    kernel[3, 3:] = (1, 2, 3, 4)
    turned = [told(f"perturbed:rotate={degrees}", kernel) for degrees in (90, 180)]
    assert any(np.allclose(turned[0], np.rot90(kernel / 10, times)) for times in (1, 3))
    assert np.allclose(turned[1], kernel[::-1, ::-1] / 10)
    assert np.allclose(told("perturbed:rotate=0", kernel), kernel / 10)


def test_perturbed_names():
    for text, label in (("noise=0.10", "noise=0.1"), ("seed=2:noise=.1", "noise=0.1:seed=2"), ("noise=0", "noise=0")):
        assert load_kernel_error(f"perturbed:{text}").label == label
    assert load_kernel_error("perturbed:noise=0.10") == load_kernel_error("perturbed:noise=0.1")


def test_kernel_errors_that_differ_in_late_digits_have_different_names():
    texts = ("seed=20261128", "seed=20261129", "noise=0.1234567", "noise=0.1234568", "pad=-3:shift=0.30000000000000004")
    errors = [load_kernel_error(f"perturbed:{text}") for text in texts]
    assert len({error.label for error in errors}) == len(texts)
    assert [load_kernel_error(f"perturbed:{error.label}") for error in errors] == errors


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("perturbed", "write perturbed:noise=0.1"),
        ("perturbed:nois=1", "there is no 'nois'; write perturbed:noise"),
        ("perturbed:noise=much", "'noise=much' has no number"),
        ("perturbed:noise=nan", r"noise must lie in \[0, 1\]"),
        ("perturbed:pad=1.5", "has no number"),
        ("perturbed:blur=-1", "blur must lie in"),
        ("perturbed:noise=0.1:noise=0.2", "perturbed:noise=0.1:noise=0.2: noise is given twice; write per"),
    ],
)
def test_a_perturbation_that_there_is_not(text, reason):
    with pytest.raises(InputError, match=reason):
        load_kernel_error(text)


def test_a_perturbation_that_a_kernel_cannot_have():
    with pytest.raises(InputError, match=r"noise=0\.99 is more than kernel levin/1 can have: give at most 0\.\d"):
        told("perturbed:noise=0.99", np.ones((4, 4)) / 16)
    with pytest.raises(InputError, match="pad=-2 leaves nothing of a kernel of 5x4: cut less off"):
        told("perturbed:pad=-2")
    with pytest.raises(InputError, match="leaves nothing of kernel levin/1"):
        told("perturbed:pad=-1", np.pad(np.ones((1, 1)), ((0, 4), (0, 4))))


def test_estimated_kernels_come_from_files_named_by_image_and_kernel(tmp_path):
    png(tmp_path / "estimates" / "01" / "1.png", 7, 9, seed=1)
    png(tmp_path / "estimates" / "02" / "1.png", 5, 5, seed=2)
    estimated = load_kernel_error(f"estimated:{tmp_path}/estimates")
    assert estimated.label == "estimates"
    first, second = (estimated.known_kernel(KERNEL, image, "levin/1") for image in ("01", "02"))
    assert (first.shape, second.shape) == ((7, 9), (5, 5))
    levels = np.random.default_rng(1).integers(0, 256, (7, 9), dtype=np.uint8)
    assert np.allclose(first, levels / levels.sum())


def test_estimated_kernels_may_be_for_correlation(tmp_path):
    png(tmp_path / "estimates" / "01" / "1.png", 7, 9, seed=1)
    path = f"estimated:{tmp_path}/estimates"
    plain, turned = load_kernel_error(path), load_kernel_error(f"{path}:turned")
    assert (plain.label, turned.label) == ("estimates", "estimates:turned")
    assert plain != turned
    assert np.array_equal(
        turned.known_kernel(KERNEL, "01", "levin/1"), plain.known_kernel(KERNEL, "01", "levin/1")[::-1, ::-1]
    )
    with pytest.raises(InputError, match=r"there is no folder .*estimates:flipped; write .* estimated:PATH:turned for"):
        load_kernel_error(f"{path}:flipped")


def test_estimated_kernels_on_a_background(tmp_path):
    right = np.pad(np.outer([1, 3, 1], [2, 5, 1, 1.0]), 6)
    path = f"estimated:{tmp_path}/estimates"
    (tmp_path / "estimates" / "01").mkdir(parents=True)
    for said, stored in (("border", right + 0.3), ("clip", np.where(right == 0, -0.01, right))):
        np.save(tmp_path / "estimates" / "01" / "1.npy", stored)
        with pytest.raises(InputError, match=re.escape(f"say {path}:{said}")):
            told(path)
        for order in (f"{said}:turned", f"turned:{said}"):
            error = load_kernel_error(f"{path}:{order}")
            assert error.label == f"estimates:{said}:turned"
            assert np.allclose(error.known_kernel(KERNEL, "01", "levin/1"), right[::-1, ::-1] / right.sum())


def test_estimated_kernels_that_there_are_not(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        load_kernel_error(f"estimated:{tmp_path}/none")
    estimated = load_kernel_error(f"estimated:{tmp_path}")
    with pytest.raises(InputError, match=r"kernel levin/1 of image 01 wants one file .*01/1 with one of .* is none"):
        estimated.known_kernel(KERNEL, "01", "levin/1")
    png(tmp_path / "01" / "1.png", 7, 9)
    png(tmp_path / "01" / "1.bmp", 7, 9)
    with pytest.raises(InputError, match=r"there is 1\.png, 1\.bmp"):
        estimated.known_kernel(KERNEL, "01", "levin/1")
    (tmp_path / "02").mkdir()
    (tmp_path / "02" / "1.mat").write_text("no kernel")
    with pytest.raises(InputError, match=r"02/1\.mat is not a kernel"):
        estimated.known_kernel(KERNEL, "02", "levin/1")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("blurred_car.png", "the name of blurred_car.png says that it is blurred"),
        ("car-blur.jpg", "the name of car-blur.jpg says that it is blurred"),
        ("my_psf.png", "my_psf.png beside the images says that they are blurred"),
        ("kernel3.tif", "kernel3.tif beside the images"),
        ("k.bmp", "k.bmp beside the images"),
    ],
)
def test_a_folder_whose_files_say_that_it_is_blurred_is_not_blurred_again(tmp_path, name, words):
    png(tmp_path / "car.png", 20, 30)
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / name)
    with pytest.raises(InputError, match=words):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("name", ["deblurred.png", "unblurred-2.png", "kick.png"])
def test_names_that_only_sound_so_are_images(tmp_path, name):
    png(tmp_path / name, 20, 30)
    assert load_dataset(f"folder:{tmp_path}").names() == [Path(name).stem]


def test_a_folder_called_blurred_is_not_taken_as_sharp(tmp_path):
    png(tmp_path / "mine" / "blurred" / "a.png", 20, 30)
    with pytest.raises(InputError, match=r"its name says that its images are blurred.*give the folder above it"):
        load_dataset(f"folder:{tmp_path}/mine/blurred")
    assert load_dataset(f"folder:{tmp_path}/mine").names() == ["a"]


def test_a_folder_of_deep_pictures_and_one_of_arrays(tmp_path):
    values = np.random.default_rng(0).random((20, 30))
    deep = (values * 4095).astype(np.uint16)
    (tmp_path / "deep").mkdir()
    Image.fromarray(deep).save(tmp_path / "deep" / "a.png")
    folder = load_dataset(f"folder:{tmp_path}/deep")
    assert np.array_equal(folder.load("a")[0], deep / 65535)
    assert "a.png has 16-bit values up to" in folder.notice(["a"])
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "a.npy", values)
    folder = load_dataset(f"folder:{tmp_path}/arrays")
    assert np.array_equal(folder.load("a")[0], values)
    assert folder.notice(["a"]).endswith("and blurred here")
    (tmp_path / "planes").mkdir()
    np.save(tmp_path / "planes" / "a.npy", np.stack([values, values, values]))
    assert "a.npy, of three planes, is read as one colour image" in load_dataset(f"folder:{tmp_path}/planes").notice(
        ["a"]
    )
