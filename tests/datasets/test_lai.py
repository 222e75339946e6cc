"""`datasets/lai.py`: the orientation of kernels, what the noise is, and what is compared with."""

import math

import numpy as np
import pytest
from nidbench.datasets import _lai
from nidbench.datasets.lai import LEVEL, Lai, LaiReal, LaiSaturated

from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.contract import Noise, Response
from nidbench.errors import DataError, InputError, UnknownNameError
from nidbench.files.download import get
from nidbench.images import read_image
from nidbench.physics.measure import blur
from nidbench.scoring.metrics import psnr
from nidbench.scoring.protocols import to_8_bit
from nidbench.scoring.scorer import Scorer


def residual(dataset, name, kernel):
    """y minus k * x where the sharp image shows all that y depends on, in levels of 255."""
    problem, (truth,) = dataset.measured(name, kernel), dataset.truths(name, kernel)
    clean = problem.response.apply(blur(truth.image, problem.kernel))
    top, left = truth.offset
    shown = problem.blurred[:, top : top + clean.shape[1], left : left + clean.shape[2]]
    return 255 * (shown - clean)


@pytest.fixture
def small(fake_files, pictures):
    """One image of each kind, as the authors made theirs: by correlation, plus uniform noise, rounded."""
    weights = pictures.lopsided()
    contents = {"kernels/kernel_02.png": pictures.encoded(np.stack([weights / 255] * 3))}
    generator = np.random.default_rng(1)
    for name, mode in (("natural_01", None), ("text_05", "RGBA"), ("saturated_02", None)):
        sharp = pictures.blobs((3, 90, 84), seed=len(contents))
        if name == "saturated_02":
            sharp = (3 * sharp - 1).clip(0, 1)
        y = pictures.blurred(sharp, weights, "correlation") + 0.01 * generator.random(sharp.shape)
        contents[f"gt/{name}.png"] = pictures.encoded(sharp, mode=mode)
        contents[f"uniform/{name}_kernel_02.png"] = pictures.encoded(y)
    fake_files("_lai", contents)


@pytest.mark.usefixtures("small")
def test_y_is_the_true_convolution_with_the_kernel_that_is_given():
    for name in ("natural_01", "text_05"):
        levels = residual(Lai(), name, "lai/2")
        assert levels.mean() == pytest.approx(1.275, abs=0.05)
        assert levels.std() == pytest.approx(255 * LEVEL, rel=0.05)
    assert pytest.approx(0.79, abs=0.005) == 255 * LEVEL


@pytest.mark.usefixtures("small")
def test_the_saturated_images_clip():
    problem = LaiSaturated().measured("saturated_02", "lai/2")
    assert problem.response == Response("saturation")
    (truth,) = LaiSaturated().truths("saturated_02", "lai/2")
    assert math.isinf(Scorer(problem, [truth]).scores(truth_frame(problem, truth))["half-kernel"].psnr)
    assert "a perfect restoration scores 14.60 dB" in LaiSaturated().notice(["saturated_02", "saturated_03"])
    assert LaiSaturated().notice(["saturated_02", "saturated_05"]) == ""
    assert Lai().notice(Lai().names()) == ""


def truth_frame(problem, truth):
    """The truth in the frame of x, zero where it shows nothing."""
    frame = np.zeros((3, *problem.frame))
    rows, columns = problem.valid
    frame[:, rows, columns] = truth.image
    return frame


@pytest.mark.usefixtures("small")
def test_a_truth_is_linear_without_alpha_and_shows_what_y_shows():
    (truth,) = Lai().truths("text_05", "lai/2")
    problem = Lai().measured("text_05", "lai/2")
    assert truth.image.shape == problem.blurred.shape == (3, 90, 84)
    assert truth.offset == (2, 3)
    assert not truth.encoded
    assert problem.noise == Noise("gaussian", LEVEL)


def test_a_truth_of_another_size_is_refused(fake_files, pictures):
    contents = {
        "kernels/kernel_01.png": pictures.encoded(np.ones((1, 5, 5))),
        "uniform/people_03_kernel_01.png": pictures.encoded(pictures.blobs((3, 40, 40))),
        "gt/people_03.png": pictures.encoded(pictures.blobs((3, 40, 46))),
    }
    fake_files("_lai", contents)
    with pytest.raises(InputError, match=r"people_03\.png: the sharp image has 40x46 pixels, the blurred one 40x40"):
        Lai().truths("people_03", "lai/1")


def test_names_are_those_of_the_study():
    assert len(Lai().names()) == 20
    assert Lai().names()[0] == "manmade_01"
    assert LaiSaturated().names() == [f"saturated_0{number}" for number in range(1, 6)]
    assert Lai().kernels("text_05") == ["lai/1", "lai/2", "lai/3", "lai/4"]
    assert len(Lai().files()) == 4 + 20 + 80
    assert len(LaiSaturated().files()) == 4 + 5 + 20
    for wrong in (("saturated_01", "lai/1"), ("text_05", "lai/5"), ("text_05", "levin/1")):
        with pytest.raises(UnknownNameError, match=r"use one of"):
            Lai().measured(*wrong)


def test_the_real_photographs_have_an_estimated_kernel_and_no_truth(fake_files, pictures):
    names = LaiReal().names()
    assert (len(names), len(set(names))) == (100, 100)
    assert (names[0], names[29], names[30], names[-1]) == ("Pantheon", "toy", "bird", "wheel")
    assert LaiReal().kernels("text10") == ["lai-real/14_pan"]
    assert LaiReal().kernels("hanzi") == ["lai-real/13_xu_uniform"]
    contents = {
        "kernels/hanzi_13_xu_uniform_psf.png": pictures.encoded(np.stack([pictures.lopsided() / 255] * 3)),
        "blurry/hanzi.jpg": pictures.encoded(pictures.blobs((3, 40, 46)), "JPEG"),
    }
    fake_files("_lai", contents)
    problem = LaiReal().measured("hanzi", "lai-real/13_xu_uniform")
    assert problem.blurred.shape == (3, 40, 46)
    assert problem.noise == Noise("gaussian", None)
    assert np.argmax(problem.kernel[:, 0]) == 0  # neither turned nor flipped
    assert LaiReal().truths("hanzi", "lai-real/13_xu_uniform") == []
    assert "no scores" in LaiReal().notice(["hanzi"])
    with pytest.raises(UnknownNameError, match="hanzi has no kernel 'lai-real/14_pan'"):
        LaiReal().truths("hanzi", "lai-real/14_pan")


@pytest.fixture
def estimates(fake_files, pictures, tmp_path):
    """One photograph with a public kernel, one without, and a folder of estimates for both."""
    encoded = pictures.encoded(np.stack([pictures.lopsided() / 255] * 3))
    photograph = pictures.encoded(pictures.blobs((3, 40, 46)), "JPEG")
    fake_files(
        "_lai",
        {"kernels/toy_11_levin_psf.png": encoded, "blurry/bird.jpg": photograph, "blurry/toy.jpg": photograph},
    )
    for path in ("toy/11_levin.png", "bird/unknown.png"):
        (tmp_path / "mine" / path).parent.mkdir(parents=True)
        (tmp_path / "mine" / path).write_bytes(pictures.encoded(pictures.lopsided()[None] / 255))
    return tmp_path / "mine"


def asked(*kernels, images=()):
    return [
        (case.key.image, case.key.kernel)
        for case in cases(CaseRequest(dataset="lai-real", kernels=kernels, images=images))
    ]


def test_photographs_without_a_public_kernel_take_estimates_only(estimates, pictures):
    assert asked() == asked("lai-real") == [("toy", "lai-real/11_levin")]
    told = f"estimated:{estimates}"
    assert asked(told) == [("toy", "lai-real@estimated:mine/11_levin"), ("bird", "lai-real@estimated:mine/unknown")]
    assert asked(told, images=("bird",)) == [("bird", "lai-real@estimated:mine/unknown")]
    (bird,) = cases(CaseRequest(dataset="lai-real", kernels=(told,), images=("bird",)))
    weights = pictures.lopsided()
    assert np.allclose(bird.problem().kernel, weights / weights.sum())
    assert bird.problem().blurred.shape == (3, 40, 46)
    assert bird.truths() == []
    (estimates / "bird" / "unknown.png").unlink()
    with pytest.raises(InputError, match=r"lai-real/unknown of image bird wants one file .*bird/unknown"):
        asked(told)


@pytest.mark.usefixtures("estimates")
@pytest.mark.parametrize("kernels", [(), ("lai-real",), ("lai-real/unknown",), ("perturbed:blur=1",)])
def test_what_nobody_knows_the_kernel_of_is_refused_when_asked_for(kernels):
    with pytest.raises(InputError, match=r"lai-real: nobody knows the kernel of bird: .*--kernels estimated:PATH"):
        asked(*kernels, images=("bird",))


@pytest.mark.usefixtures("estimates")
def test_kernels_that_are_unknown_are_no_choice():
    with pytest.raises(InputError, match="nobody knows the kernel of bird"):
        asked("lai-real/unknown")
    assert asked("perturbed:blur=1") == [("toy", "lai-real@perturbed:blur=1/11_levin")]


def test_a_file_that_cannot_be_had_is_named(fake_files, tmp_path):
    fake_files("_lai", {"kernels/kernel_01.png": b"", "uniform/people_03_kernel_01.png": b"", "gt/people_03.png": b""})
    (tmp_path / "mirror" / "data.test" / "kernels" / "kernel_01.png").unlink()
    with pytest.raises(DataError, match=r"dataset fake: could not fetch kernels/kernel_01.png from file://.*data.test"):
        Lai().measured("people_03", "lai/1")


def real(path):
    """A file of the mirror, or skip."""
    file = next(file for file in _lai.listed() if file.path == path)
    try:
        return get(file)
    except DataError:
        pytest.skip(f"the mirror lacks {file}")


@pytest.mark.usefixtures("shared_mirror")
@pytest.mark.parametrize("number", [1, 4])
def test_the_authors_blurred_images_agree_with_the_model(number):
    for path in (f"kernels/kernel_0{number}.png", f"uniform/natural_01_kernel_0{number}.png", "gt/natural_01.png"):
        real(path)
    levels = residual(Lai(), "natural_01", f"lai/{number}")
    assert levels.mean() == pytest.approx(1.275, abs=0.01)
    assert levels.std() == pytest.approx(0.79, abs=0.01)


@pytest.mark.usefixtures("shared_mirror")
@pytest.mark.parametrize(("name", "ceiling"), [("saturated_01", 18.90), ("saturated_03", 14.59)])
def test_what_a_perfect_restoration_of_a_saturated_image_scores(name, ceiling):
    sharp = read_image(real(f"gt/{name}.png"))
    assert psnr(to_8_bit(1.9 * sharp - 0.1), sharp) == pytest.approx(ceiling, abs=0.01)


@pytest.mark.usefixtures("shared_mirror")
def test_text_05_loses_its_alpha():
    assert read_image(real("gt/text_05.png")).shape[0] == 3
