"""`datasets/_measured_folder.py`: anyone's own measurements."""

import os
import re
from unicodedata import normalize

import numpy as np
import pytest
from nidbench.datasets._measured_folder import MeasuredFolder
from nidbench.datasets.folder import Folder
from PIL import Image
from scipy.io import savemat

from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
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
    with pytest.raises(InputError, match="they would be blurred anew: give the folder above it"):
        Folder(folder / "blurred")


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


def test_the_noise_of_a_jpeg_is_to_be_stated(folder):
    with Image.open(folder / "blurred" / "cat.png") as picture:
        picture.save(folder / "blurred" / "cat.jpg")
    (folder / "blurred" / "cat.png").unlink()
    assert "noise: cat.jpg: JPEG hides noise" in MeasuredFolder(folder).notice(["cat", "dog"])
    (folder / "measured.toml").write_text("noise = 0.02")
    assert "JPEG" not in MeasuredFolder(folder).notice(["cat", "dog"])


def test_a_single_kernel_serves_all(folder):
    for path in (folder / "kernels").iterdir():
        path.unlink()
    savemat(folder / "kernels" / "shake.mat", {"ker": np.eye(3)})
    made = MeasuredFolder(folder)
    assert made.kernels("cat") == made.kernels("dog") == ["folder/shake"]
    assert np.allclose(made.measured("dog", "folder/shake").kernel, np.eye(3) / 3)


@pytest.mark.parametrize("name", ["dog.csv", "dog.npy.gz", "dog.webp", "dog"])
def test_a_kernel_that_is_not_read_is_not_replaced_by_another_image_s(folder, name):
    (folder / "kernels" / "dog.npy").rename(folder / "kernels" / name)
    with pytest.raises(DataError, match=f"kernels/{name} has the name of .*dog.png and is no kernel file .*save the"):
        MeasuredFolder(folder).kernels("dog")


@pytest.mark.parametrize("name", ["readme.txt", "doggy.txt", "cat.txt", ".dog.npy"])
def test_what_belongs_to_no_image_without_a_kernel_may_lie_beside_kernels(folder, name):
    (folder / "kernels" / name).write_text("by a bead of 100 nm")
    assert MeasuredFolder(folder).kernels("dog") == ["folder/dog"]


@pytest.mark.parametrize("place", ["blurred", "truth"])
def test_pictures_that_are_not_read_are_told_of(folder, place):
    made = MeasuredFolder(folder)
    assert "not read" not in made.notice(made.names())
    (folder / place / "dog.webp").write_bytes(b"")
    assert f"{place}: dog.webp is of a format that is not read: save it" in made.notice(made.names())


def test_it_is_a_whole_experiment(folder):
    made = list(cases(CaseRequest(dataset=f"folder:{folder}")))
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


def test_pictures_of_16_bit_keep_them(folder):
    deep = np.random.default_rng(0).integers(0, 65536, (40, 46)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "blurred" / "cat.png")
    assert np.array_equal(MeasuredFolder(folder).measured("cat", "folder/cat").blurred[0], (deep / 65535).astype("f4"))


@pytest.mark.parametrize(
    ("toml", "blurred", "truth"),
    [
        ("", 1, 1),
        ("scale = 2", 2, 2),
        ("scale = 2.5\n[truth]\nscale = 4", 2.5, 4),
        ("[blurred]\nscale = 3", 3, 1),
    ],
)
def test_what_values_mean_is_said_for_both_or_each(folder, pictures, toml, blurred, truth):
    sharp = pictures.blobs((1, 40, 46))
    for place, scale in (("blurred", blurred), ("truth", truth)):
        (folder / place / "cat.png").unlink()
        np.save(folder / place / "cat.npy", scale * sharp[0])
    (folder / "measured.toml").write_text(toml)
    made = MeasuredFolder(folder)
    assert np.allclose(made.measured("cat", "folder/cat").blurred, sharp, atol=1e-6)
    assert np.allclose(made.truths("cat", "folder/cat")[0].image, sharp)


def test_the_background_of_kernels(folder):
    kernel = np.pad(np.ones((3, 5)), 6)
    for said, stored in (("clip", kernel - 0.1), ("border", kernel + 0.2)):
        np.save(folder / "kernels" / "dog.npy", stored)
        (folder / "measured.toml").write_text("")
        with pytest.raises(InputError, match=r"dog\.npy is not a kernel .* kernel_background = \"(clip|border)\""):
            MeasuredFolder(folder).measured("dog", "folder/dog")
        (folder / "measured.toml").write_text(f'kernel_background = "{said}"')
        assert np.allclose(MeasuredFolder(folder).measured("dog", "folder/dog").kernel, kernel / 15)


def test_a_truth_that_does_not_give_the_blurred_image_is_told(folder, pictures):
    truth = pictures.blobs((1, 40, 46))
    for turned, words in ((truth[:, ::-1], "upside down"), (np.roll(truth, 2, 2), "2 columns further left")):
        (folder / "truth" / "cat.png").write_bytes(pictures.encoded(turned))
        notice = MeasuredFolder(folder).notice(["cat"])
        assert (
            f"blurred images and their truths: cat.png: it would be explained better if the truth were {words}"
            in notice
        )
    (folder / "truth" / "cat.png").write_bytes(pictures.encoded(truth))
    (folder / "measured.toml").write_text('kernels = "correlation"\n')
    assert "if the kernel were turned by 180 degrees" in MeasuredFolder(folder).notice(["cat"])


@pytest.mark.parametrize("name", ["Measured.toml", "measured.toml.txt", "measured.yaml", "MEASURED.TXT"])
def test_what_is_known_of_the_camera_under_another_name_is_refused(folder, name):
    (folder / name).write_text("noise = 0.02\n")
    with pytest.raises(InputError, match=rf"{re.escape(name)} is not read: name it measured\.toml"):
        MeasuredFolder(folder).notice(["cat"])
    (folder / "measured.toml").write_text("noise = 0.02\n")
    assert MeasuredFolder(folder).measured("cat", "folder/cat").noise.level == 0.02


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_whose_accents_are_written_otherwise_are_the_same(folder, form, other):
    name, twin = normalize(form, "kätzchen"), normalize(other, "kätzchen")
    (folder / "blurred" / "cat.png").rename(folder / "blurred" / f"{name}.png")
    for kind in ("kernels", "truth"):
        (folder / kind / "cat.png").rename(folder / kind / f"{twin}.png")
    made = MeasuredFolder(folder)
    assert made.names() == ["dog", name]
    assert made.kernels(name) == [f"folder/{twin}"]
    assert len(made.truths(name, f"folder/{twin}")) == 1
    (folder / "truth" / f"{name}.npy").write_bytes(b"")
    with pytest.raises(DataError, match="remove one of the two"):
        MeasuredFolder(folder).truths(name, f"folder/{twin}")


def test_a_truth_of_another_brightness_is_told(folder, pictures):
    cat = pictures.blobs((1, 40, 46))
    assert "brightness" not in MeasuredFolder(folder).notice(["cat"])
    (folder / "truth" / "cat.png").unlink()
    np.save(folder / "truth" / "cat.npy", cat[0] + 0.08)
    told = "brightness: cat.npy has a mean 0.08 above what the blurred image shows"
    assert told in MeasuredFolder(folder).notice(["cat"])


def test_a_truth_of_another_contrast_is_told(folder, pictures):
    assert "contrast" not in MeasuredFolder(folder).notice(["cat"])
    truth = pictures.blobs((1, 40, 46))
    squeezed = truth.mean() + 0.5 * (truth - truth.mean())
    (folder / "truth" / "cat.png").write_bytes(pictures.encoded(np.rint(255 * squeezed) / 255))
    assert re.search(r"contrast: cat.png has 0\.[45]\d* times the contrast", MeasuredFolder(folder).notice(["cat"]))


def test_a_kernel_off_its_middle_is_told(folder):
    np.save(folder / "kernels" / "dog.npy", np.pad([[1.0]], ((0, 12), (6, 6))))
    made = MeasuredFolder(folder)
    assert "kernels: dog.npy is a single pixel, which blurs nothing; has its weights -6.0 rows" in made.notice(["dog"])
    assert "off its middle" not in made.notice(["cat"])


def test_a_kernel_that_is_a_jpeg_is_told(folder, pictures):
    assert "JPEG" not in MeasuredFolder(folder).notice(["cat"])
    (folder / "kernels" / "cat.png").unlink()
    levels = np.pad(pictures.lopsided(), 2).astype(np.uint8)
    Image.fromarray(levels).save(folder / "kernels" / "cat.jpg", quality=90)
    assert "kernels: cat.jpg is a JPEG, which changes weights" in MeasuredFolder(folder).notice(["cat"])


def test_a_camera_that_is_no_file_is_not_waited_for(folder):
    for make in (os.mkfifo, os.mkdir, lambda path: path.symlink_to("measured.toml")):
        make(folder / "measured.toml")
        with pytest.raises(InputError, match=r"cannot read .*measured\.toml"):
            MeasuredFolder(folder).measured("cat", "folder/cat")
        (folder / "measured.toml").rmdir() if make is os.mkdir else (folder / "measured.toml").unlink()


def test_what_is_said_of_several_files_is_said_once(folder, pictures):
    for name in ("dog", "emu"):
        (folder / "blurred" / f"{name}.png").unlink(missing_ok=True)
        np.save(folder / "blurred" / f"{name}.npy", np.rint(4000 * pictures.blobs((1, 30, 34))[0]).astype(np.uint16))
        np.save(folder / "kernels" / f"{name}.npy", np.ones((3, 3)))
    notice = MeasuredFolder(folder).notice(["cat", "dog", "emu"])
    assert notice.count("16-bit values") == 1
    assert "range of the blurred images: dog.npy has 16-bit values up to 35" in notice
    assert notice.endswith("say bits = 12 in measured.toml (and likewise 1 more)")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".fits"])
def test_three_planes_that_may_be_frames_are_told_of_as_by_restore(folder, pictures, suffix):
    if suffix == ".fits":
        fits = pytest.importorskip("astropy.io.fits")
    planes = pictures.blobs((3, 30, 34))
    write = {".npy": np.save, ".npz": np.savez, ".fits": lambda path, values: fits.writeto(path, values)}[suffix]
    (folder / "blurred" / "dog.png").unlink()
    for name in ("dog", "emu"):
        write(folder / "blurred" / f"{name}{suffix}", planes)
        np.save(folder / "kernels" / f"{name}.npy", np.ones((3, 3)))
    for name, values in (("last", planes.transpose(1, 2, 0)), ("gray", planes[:1])):
        np.save(folder / "blurred" / f"{name}.npy", values)
        np.save(folder / "kernels" / f"{name}.npy", np.ones((3, 3)))
    made = MeasuredFolder(folder)
    assert made.notice(["dog", "emu"]).endswith(
        f"colours of the blurred images: dog{suffix}, of three planes, is read as one colour image; if they are frames"
        ", save each as a file of its own (and likewise 1 more)"
    )
    assert "three planes" not in made.notice(["last", "gray", "cat"])


def test_a_name_that_tables_cannot_show_is_refused(folder):
    (folder / "blurred" / "a\nb.png").write_bytes((folder / "blurred" / "cat.png").read_bytes())
    with pytest.raises(DataError, match=r"'a\\nb\.png', a name that tables cannot show: rename it"):
        MeasuredFolder(folder).names()


@pytest.mark.parametrize("noise", ["0", "0.0", "1"])
def test_whole_numbers_are_noise_levels_too(folder, noise):
    (folder / "measured.toml").write_text(f"noise = {noise}\n")
    assert MeasuredFolder(folder).measured("cat", "folder/cat").noise == Noise("gaussian", float(noise))


@pytest.mark.parametrize(("shape", "reason"), [((1, 40, 47), "has 40x47 pixels"), ((3, 40, 46), "is in colour")])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_a_truth_that_does_not_fit_is_refused_when_planned(folder, pictures, shape, reason, suffix):
    (folder / "truth" / "cat.png").unlink()
    image = pictures.blobs(shape)
    if suffix == ".npy":
        np.save(folder / "truth" / "cat.npy", image.transpose(1, 2, 0))
    else:
        (folder / "truth" / "cat.png").write_bytes(pictures.encoded(image))
    with pytest.raises(InputError, match=rf"image 'cat' with kernel .*truth/cat\{suffix}, the truth of .*{reason}"):
        list(cases(CaseRequest(dataset=f"folder:{folder}")))
    list(cases(CaseRequest(dataset=f"folder:{folder}", images=("dog",))))


def test_a_photograph_is_no_kernel(folder, pictures):
    photograph = pictures.blobs((1, 35, 45), seed=3)
    (folder / "kernels" / "cat.png").write_bytes(pictures.encoded(photograph))
    with pytest.raises(InputError, match=r"cat\.png is not a kernel .*weight along all four sides.*: give the"):
        list(cases(CaseRequest(dataset=f"folder:{folder}")))
    photograph[:, :, 0] = 0
    (folder / "kernels" / "cat.png").write_bytes(pictures.encoded(np.pad(photograph, ((0, 0), (0, 9), (0, 0)))))
    with pytest.raises(InputError, match="kernel of 44x45 is larger than the blurred image of 40x46"):
        list(cases(CaseRequest(dataset=f"folder:{folder}")))


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("truth/cat.png", (1, 40, 47), r"truth/cat\.png, the truth of .*cat\.png: the sharp image has 40x47"),
        ("truth/cat.png", (3, 40, 46), r"truth/cat\.png.*: the sharp image is in colour, the blurred one gray"),
        ("kernels/cat.png", (3, 5, 5), r"kernels/cat\.png is not a kernel"),
        ("blurred/cat.png", b"no image", r"blurred/cat\.png cannot be read as an image"),
        ("measured.toml", b"noise = 5.0", r"noise = 5\.0: give its standard deviation on \[0, 1\]"),
        (
            "measured.toml",
            b"sigma = 0.1",
            r"unknown key 'sigma': there are bits, blurred, kernel_background, kernels, noise, response, scale, truth",
        ),
        ("measured.toml", b"bits = 12.5", r"measured\.toml: bits = 12\.5: give a number, such as 12"),
        ("measured.toml", b"bits = true", r"bits = True: give a number"),
        ("measured.toml", b"bits = 77", r"bits = 77 in measured\.toml: give a camera's depth, 1 to 32"),
        ("measured.toml", b"scale = 0", r"scale = 0 in measured\.toml: give the value of intensity 1"),
        ("measured.toml", b"scale = 1\nbits = 8", r"scale = 1 .* and bits = 8 .*: give one of the two"),
        ("measured.toml", b"[truth]\nnoise = 1", r"truth = .*: write \[truth\] with scale or bits below it"),
        ("measured.toml", b"truth = 3", r"truth = 3: write \[truth\] with scale or bits below it"),
        ("measured.toml", b'kernel_background = "yes"', r"kernel_background = 'yes': write one of none, border, clip"),
        ("measured.toml", b"kernel_background = []", r"kernel_background = \[\]: write one of none, border, clip"),
        ("measured.toml", b"\xff\xfe", r"cannot read .*measured\.toml"),
        ("measured.toml", b"a = " + b"[" * 3000 + b"]" * 3000, r"measured\.toml: it is nested too deeply"),
        ("measured.toml", b"bits = " + b"9" * 5000, r"cannot read .*measured\.toml"),
        ("measured.toml", b"bits = " + b"9" * 30, r"measured\.toml: a whole number has more than 18 digits"),
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
        list(cases(CaseRequest(dataset=f"folder:{folder}")))


@pytest.mark.parametrize(("kind", "reason"), [("blurred", "holds no image"), ("kernels", "holds no kernel")])
def test_an_empty_folder(folder, kind, reason):
    for inner in ("truth", kind):
        for path in (folder / inner).iterdir():
            path.unlink()
    with pytest.raises(DataError, match=f"{kind} {reason}.*: put blurred images into blurred/"):
        list(cases(CaseRequest(dataset=f"folder:{folder}")))


def test_unknown_names(folder):
    made = MeasuredFolder(folder)
    with pytest.raises(UnknownNameError, match=r"no image 'cats': did you mean cat\? use one of cat, dog"):
        made.kernels("cats")
    with pytest.raises(UnknownNameError, match="no image 'bird': use one of cat, dog"):
        made.kernels("bird")
    with pytest.raises(UnknownNameError, match="cat has no kernel 'folder/dog': use folder/cat"):
        made.measured("cat", "folder/dog")
