"""`datasets/_measured_folder.py`: anyone's own measurements."""

import numpy as np
import pytest
from nidbench.datasets._measured_folder import MeasuredFolder
from nidbench.datasets.folder import Folder
from PIL import Image
from scipy.io import savemat

from nidbench.cases import CaseRequest, cases
from nidbench.contract import IDENTITY, MeasuredDataset, Noise, Response
from nidbench.errors import DataError, InputError, UnknownNameError


@pytest.fixture
def folder(tmp_path, pictures):
    """Images `cat`, gray, and `dog`, in colour, with a kernel each, and a truth of `cat`."""
    root = tmp_path / "mine"
    for name in ("blurred", "kernels", "truth"):
        (root / name).mkdir(parents=True)
    cat, dog = pictures.blobs((1, 40, 46)), pictures.blobs((3, 30, 34), seed=1)
    (root / "blurred" / "dog.png").write_bytes(pictures.encoded(dog))
    (root / "blurred" / "cat.png").write_bytes(pictures.encoded(pictures.blurred(cat, pictures.lopsided())))
    (root / "kernels" / "cat.png").write_bytes(pictures.encoded(pictures.lopsided()[None] / 255))
    np.save(root / "kernels" / "dog.npy", np.ones((4, 3)))
    (root / "truth" / "cat.png").write_bytes(pictures.encoded(cat))
    return root


def test_a_folder_with_blurred_images_is_one_of_measurements(folder):
    made = Folder(folder)
    assert isinstance(made, MeasuredFolder)
    assert isinstance(made, MeasuredDataset)
    assert made.label == "mine"
    assert made.files() == []
    assert made.names() == ["cat", "dog"]
    assert [made.kernels(name) for name in made.names()] == [["folder/cat"], ["folder/dog"]]
    assert isinstance(Folder(folder / "blurred"), Folder)


def test_the_files_as_they_are(folder, pictures):
    made = MeasuredFolder(folder)
    cat, dog = made.measured("cat", "folder/cat"), made.measured("dog", "folder/dog")
    assert (cat.blurred.shape, dog.blurred.shape) == ((1, 40, 46), (3, 30, 34))
    assert np.allclose(cat.kernel, pictures.lopsided() / pictures.lopsided().sum())
    assert np.allclose(dog.kernel, np.full((4, 3), 1 / 12))
    assert (cat.noise, cat.response) == (Noise("gaussian", None), IDENTITY)
    (truth,) = made.truths("cat", "folder/cat")
    assert np.array_equal(truth.image, pictures.blobs((1, 40, 46)))
    assert (truth.offset, truth.encoded) == ((2, 3), False)
    assert made.truths("dog", "folder/dog") == []
    assert made.notice(made.names()) == "no scores for 1 of 2 images: they have no sharp image in truth"


def test_what_is_known_of_the_camera(folder, pictures):
    (folder / "measured.toml").write_text('noise = 0.02\nresponse = "gamma:2.2"\nkernels = "correlation"\n')
    problem = MeasuredFolder(folder).measured("cat", "folder/cat")
    assert (problem.noise, problem.response) == (Noise("gaussian", 0.02), Response("gamma", 2.2))
    assert np.allclose(problem.kernel, pictures.lopsided()[::-1, ::-1] / pictures.lopsided().sum())
    assert MeasuredFolder(folder).truths("cat", "folder/cat")[0].encoded


def test_a_single_kernel_serves_all(folder):
    for path in (folder / "kernels").iterdir():
        path.unlink()
    savemat(folder / "kernels" / "shake.mat", {"ker": np.eye(3)})
    made = MeasuredFolder(folder)
    assert made.kernels("cat") == made.kernels("dog") == ["folder/shake"]
    assert np.allclose(made.measured("dog", "folder/shake").kernel, np.eye(3) / 3)


def test_it_is_a_whole_experiment(folder):
    made = list(cases(CaseRequest(f"folder:{folder}")))
    assert [str(case.key) for case in made] == [
        "folder:mine/cat folder/cat measured #0",
        "folder:mine/dog folder/dog measured #0",
    ]
    assert [len(case.truths()) for case in made] == [1, 0]


def test_a_truth_of_all_of_x(folder, pictures):
    (folder / "truth" / "cat.png").write_bytes(pictures.encoded(pictures.blobs((1, 44, 52))))
    assert MeasuredFolder(folder).truths("cat", "folder/cat")[0].offset == (0, 0)


def test_arrays_are_read_as_scores_read_them(folder, pictures):
    """16 bit and real numbers keep what a picture of 8 bit would round."""
    deep = np.rint(65535 * pictures.blobs((3, 30, 34), seed=1).transpose(1, 2, 0) ** 2).astype(np.uint16)
    (folder / "blurred" / "dog.png").unlink()
    np.save(folder / "blurred" / "dog.npy", deep)
    sharp = np.random.default_rng(0).random((30, 34, 3))
    savemat(folder / "truth" / "dog.mat", {"x": sharp, "y": np.zeros((9, 9))})
    made = MeasuredFolder(folder)
    assert made.names() == ["cat", "dog"]
    assert np.array_equal(
        made.measured("dog", "folder/dog").blurred, (deep / 65535).transpose(2, 0, 1).astype(np.float32)
    )
    assert np.array_equal(made.truths("dog", "folder/dog")[0].image, sharp.transpose(2, 0, 1))


def test_a_picture_of_16_bit_is_refused_with_a_way_out(folder):
    Image.fromarray(np.zeros((40, 46), np.uint16)).save(folder / "blurred" / "cat.png")
    with pytest.raises(InputError, match=r"more than 8 bit .*: convert it .*or save its values as an array, \.npy"):
        MeasuredFolder(folder).measured("cat", "folder/cat")


@pytest.mark.parametrize("noise", ["0", "0.0", "1"])
def test_whole_numbers_are_noise_levels_too(folder, noise):
    (folder / "measured.toml").write_text(f"noise = {noise}\n")
    assert MeasuredFolder(folder).measured("cat", "folder/cat").noise == Noise("gaussian", float(noise))


@pytest.mark.parametrize(("shape", "reason"), [((1, 40, 47), "has 40x47 pixels"), ((3, 40, 46), "is in colour")])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_a_truth_that_does_not_fit_is_refused_when_planned(folder, pictures, monkeypatch, shape, reason, suffix):
    """Of a picture by its header alone."""
    monkeypatch.setattr("nidbench.datasets._measured_folder.read_sharp", None)
    (folder / "truth" / "cat.png").unlink()
    image = pictures.blobs(shape)
    if suffix == ".npy":
        np.save(folder / "truth" / "cat.npy", image.transpose(1, 2, 0))
    else:
        (folder / "truth" / "cat.png").write_bytes(pictures.encoded(image))
    with pytest.raises(InputError, match=rf"image 'cat' with kernel .*truth/cat\{suffix}, the truth of .*{reason}"):
        list(cases(CaseRequest(f"folder:{folder}")))
    list(cases(CaseRequest(f"folder:{folder}", images=("dog",))))


def test_a_photograph_is_no_kernel(folder, pictures):
    photograph = pictures.blobs((1, 35, 45), seed=3)
    (folder / "kernels" / "cat.png").write_bytes(pictures.encoded(photograph))
    with pytest.raises(InputError, match=r"cat\.png is not a kernel .*weight along all four sides.*: give the"):
        list(cases(CaseRequest(f"folder:{folder}")))
    photograph[:, :, 0] = 0
    (folder / "kernels" / "cat.png").write_bytes(pictures.encoded(np.pad(photograph, ((0, 0), (0, 9), (0, 0)))))
    with pytest.raises(InputError, match="kernel of 44x45 is larger than the blurred image of 40x46"):
        list(cases(CaseRequest(f"folder:{folder}")))


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("truth/cat.png", (1, 40, 47), r"truth/cat\.png, the truth of .*cat\.png: the sharp image has 40x47"),
        ("truth/cat.png", (3, 40, 46), r"truth/cat\.png.*: the sharp image is in colour, the blurred one gray"),
        ("kernels/cat.png", (3, 5, 5), r"kernels/cat\.png is not a kernel"),
        ("blurred/cat.png", b"no image", r"blurred/cat\.png cannot be read as an image"),
        ("measured.toml", b"noise = 5.0", r"noise = 5\.0: give its standard deviation on \[0, 1\]"),
        ("measured.toml", b"sigma = 0.1", r"unknown key 'sigma'; there are noise, response, kernels"),
        ("measured.toml", b"noise = ", r"cannot read .*measured\.toml"),
        ("measured.toml", b'response = "gamma:x"', r"measured\.toml: response 'gamma:x': use identity"),
        ("measured.toml", b'response = "log"', r"measured\.toml: response 'log' .*: use identity"),
        ("measured.toml", b"noise = true", r"noise = True: give its standard deviation on \[0, 1\]"),
        ("measured.toml", b'kernels = "flipped"', r'kernels = .*: write "convolution" or'),
    ],
)
def test_what_is_wrong_is_named(folder, pictures, path, content, reason):
    (folder / path).write_bytes(content if isinstance(content, bytes) else pictures.encoded(pictures.blobs(content)))
    with pytest.raises(InputError, match=reason):
        MeasuredFolder(folder).truths("cat", "folder/cat")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("truth/bird.png", r"bird\.png is the truth of no image in .*blurred: give both the same name"),
        ("blurred/bird.png", r"bird\.png has no kernel of its name in .*kernels, which has cat, dog"),
        ("kernels/cat.tif", r"has cat\.png and cat\.tif: remove one"),
        ("blurred/cat.bmp", r"has cat\.bmp and cat\.png: remove one"),
    ],
)
def test_files_that_do_not_go_together(folder, pictures, path, reason):
    (folder / path).write_bytes(pictures.encoded(pictures.blobs((1, 12, 12))))
    with pytest.raises(DataError, match=reason):
        list(cases(CaseRequest(f"folder:{folder}")))


@pytest.mark.parametrize(("kind", "reason"), [("blurred", "holds no image"), ("kernels", "holds no kernel")])
def test_an_empty_folder(folder, kind, reason):
    for inner in ("truth", kind):
        for path in (folder / inner).iterdir():
            path.unlink()
    with pytest.raises(DataError, match=f"{kind} {reason}.*: put blurred images into blurred/"):
        list(cases(CaseRequest(f"folder:{folder}")))


def test_unknown_names(folder):
    made = MeasuredFolder(folder)
    with pytest.raises(UnknownNameError, match="no image 'bird': use one of cat, dog"):
        made.kernels("bird")
    with pytest.raises(UnknownNameError, match="cat has no kernel 'folder/dog': use folder/cat"):
        made.measured("cat", "folder/dog")
