"""`datasets/anger.py`: display-encoded measurements and truths."""

import math

import numpy as np
import pytest
from nidbench.datasets import anger
from nidbench.datasets.anger import LEVEL, Anger

from nidbench.contract import Noise
from nidbench.errors import DataError, UnknownNameError
from nidbench.files.download import get
from nidbench.files.remote import read_manifest
from nidbench.physics.measure import blur
from nidbench.scoring.metrics import psnr
from nidbench.scoring.protocols import to_8_bit
from nidbench.scoring.scorer import Scorer


def residual(name):
    """y minus (k * x)^(1/2.2), and that, where the sharp image shows all that y depends on, in levels of 255."""
    problem, (truth,) = Anger().measured(name, f"anger/{name}"), Anger().truths(name, f"anger/{name}")
    clean = problem.response.apply(blur(truth.image**2.2, problem.kernel).clip(0, None))
    top, left = truth.offset
    y = problem.blurred[:, top : top + clean.shape[1], left : left + clean.shape[2]]
    return 255 * (y - clean), 255 * clean


@pytest.fixture
def sharp(fake_files, pictures):
    """The sharp image 3, blurred linearly by kernel 3, encoded, with the noise of the authors."""
    sharp = pictures.blobs((3, 80, 74))
    noise = LEVEL * np.random.default_rng(2).standard_normal(sharp.shape)
    y = pictures.blurred(sharp**2.2, pictures.lopsided()) ** (1 / 2.2) + noise
    contents = {
        "kernels/3.tif": pictures.encoded(pictures.lopsided()[None] / 255, "TIFF"),
        "blurry/input_3.png": pictures.encoded(y),
        "gt/groundtruth_3.png": pictures.encoded(sharp),
    }
    fake_files("anger", contents)
    return sharp


@pytest.mark.usefixtures("sharp")
def test_y_is_the_encoded_true_convolution_of_linear_light():
    levels, _ = residual("3")
    assert levels.mean() == pytest.approx(0, abs=0.05)
    assert levels.std() == pytest.approx(math.hypot(255 * LEVEL, 1 / math.sqrt(12)), rel=0.03)
    assert Anger().measured("3", "anger/3").noise == Noise("gaussian", LEVEL)
    assert pytest.approx(5) == (255 * LEVEL) ** 2


def test_a_linear_restoration_is_encoded_and_the_input_is_so_already(sharp):
    problem, truths = Anger().measured("3", "anger/3"), Anger().truths("3", "anger/3")
    scorer = Scorer(problem, truths)
    assert scorer.input_scores["half-kernel"].psnr == pytest.approx(psnr(to_8_bit(problem.blurred), sharp))
    linear = np.zeros((3, *problem.frame))
    rows, columns = problem.valid
    linear[:, rows, columns] = sharp**2.2
    assert math.isinf(scorer.scores(linear)["half-kernel"].psnr)
    assert truths[0].offset == (2, 3)


def test_each_image_has_the_kernel_of_its_number():
    assert [Anger().kernels(name) for name in Anger().names()] == [[f"anger/{number}"] for number in range(1, 9)]
    with pytest.raises(UnknownNameError, match="image 3 was not blurred by 'anger/4': use anger/3"):
        Anger().measured("3", "anger/4")
    assert len(Anger().files()) == 24
    assert Anger().notice(Anger().names()) == ""


@pytest.mark.usefixtures("shared_mirror")
@pytest.mark.parametrize("name", ["1", "2", "3", "4"])
def test_the_authors_blurred_images_agree_with_the_model(name):
    paths = {f"kernels/{name}.tif", f"blurry/input_{name}.png", f"gt/groundtruth_{name}.png"}
    for file in read_manifest(anger.files("nidbench.datasets") / "files.csv", "anger"):
        if file.path in paths:
            try:
                get(file)
            except DataError:
                pytest.skip(f"the mirror lacks {file}")
    levels, clean = residual(name)
    below = clean < np.percentile(clean, 98) - 2  # the authors clip what is brighter than the 98th percentile
    assert abs(levels[below].mean()) < 0.03
    assert levels[below].std() == pytest.approx(math.hypot(255 * LEVEL, 1 / math.sqrt(12)), abs=0.02)  # 2.25
    assert levels[~below].mean() < -0.1
