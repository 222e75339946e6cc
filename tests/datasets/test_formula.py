"""Kernels by formula hold the integrals of what they are named for, and are asked for as others are."""

import numpy as np
import pytest
from scipy.integrate import dblquad

from nidbench.cases.kernels import choose_kernels, one_kernel
from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.errors import InputError, UnknownNameError

FORMULAS = [
    "gaussian:0.4",
    "gaussian:2",
    "disk:0.5",
    "disk:1",
    "disk:3.3",
    "motion:1:0",
    "motion:15:30",
    "motion:9:135",
]


def moments(kernel):
    places = np.indices(kernel.shape).reshape(2, -1) - np.array([[side // 2] for side in kernel.shape])
    mean = places @ kernel.ravel()
    return mean, np.einsum("in,jn,n->ij", places, places, kernel.ravel()) - np.outer(mean, mean)


@pytest.mark.parametrize("text", FORMULAS)
def test_they_are_kernels_about_their_middle(text):
    kernel = one_kernel(text)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)
    assert all(side % 2 for side in kernel.shape)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


def test_second_moments_are_those_of_the_continuous_kernels_and_a_pixel():
    """A pixel adds 1/12; a disk has r^2/4 on each axis, a path L^2/12 along itself."""
    gauss, disk, motion = (moments(one_kernel(text))[1] for text in ("gaussian:2", "disk:6.5", "motion:21:0"))
    np.testing.assert_allclose(gauss, (4 + 1 / 12) * np.eye(2), rtol=0.01, atol=1e-9)
    np.testing.assert_allclose(disk, (6.5**2 / 4 + 1 / 12) * np.eye(2), rtol=0.01, atol=1e-9)
    assert motion[1, 1] == pytest.approx(21**2 / 12 - 1 / 12)


def test_a_disk_holds_the_area_in_each_pixel():
    kernel = one_kernel("disk:2.7") * np.pi * 2.7**2
    for row, column in ((3, 3), (3, 5), (1, 1), (1, 5), (3, 6)):
        y, x = row - 3, column - 3
        inside = lambda t, y=y: float(np.clip(np.sqrt(max(0, 2.7**2 - t**2)) - (abs(y) - 0.5), 0, 1))  # noqa: E731
        if y == 0:
            inside = lambda t: float(np.clip(2 * np.sqrt(max(0, 2.7**2 - t**2)), 0, 1))  # noqa: E731
        area = dblquad(lambda _, t, inside=inside: inside(t), x - 0.5, x + 0.5, 0, 1, epsabs=1e-5)[0]
        assert kernel[row, column] == pytest.approx(area, abs=2e-3)


def test_a_path_goes_up_to_the_right():
    kernel = one_kernel("motion:15:30")
    rows, columns = np.nonzero(kernel > 0.02)
    assert np.corrcoef(rows, columns)[0, 1] < -0.9
    _, spread = moments(kernel)
    assert np.degrees(np.arctan2(-spread[0, 1], spread[1, 1])) == pytest.approx(30, abs=1.5)
    np.testing.assert_allclose(one_kernel("motion:15:210"), kernel, atol=1e-12)


def test_a_straight_path_is_a_line_of_equal_weights():
    np.testing.assert_allclose(one_kernel("motion:7:0"), np.full((1, 7), 1 / 7))
    np.testing.assert_allclose(one_kernel("motion:7:90"), np.full((7, 1), 1 / 7))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gaussian", "write gaussian:SIGMA"),
        ("gaussian:", "write gaussian:SIGMA"),
        ("gaussian:wide", "write gaussian:SIGMA"),
        ("gaussian:1:2", "write gaussian:SIGMA"),
        ("gaussian:0", "SIGMA is 0, give 0.1 to 100"),
        ("gaussian:nan", "SIGMA is nan"),
        ("gaussian:1e9", "SIGMA is 1e"),
        ("disk:-3", "RADIUS is -3"),
        ("disk:inf", "RADIUS is inf"),
        ("motion:15", "write motion:LENGTH:ANGLE"),
        ("motion:15:400", "ANGLE is 400"),
        ("sample:3", "takes no argument after a colon"),
        ("levin", "stands for 8 kernels"),
    ],
)
def test_what_no_formula_can_be(text, words):
    with pytest.raises(InputError, match=words):
        one_kernel(text)


def test_unknown_sets_are_named():
    with pytest.raises(UnknownNameError, match=r"unknown kernel set 'gausian': did you mean gaussian"):
        one_kernel("gausian:2")


def test_they_stand_beside_sets_and_errors(tmp_path):
    np.save(tmp_path / "psf.npy", np.pad(np.outer([1, 2, 1], [1, 2, 1]), 1))
    texts = ("gaussian:1", "gaussian:2", "gaussian:2@perturbed:blur=1", "perturbed:blur=1", str(tmp_path / "psf.npy"))
    names = [chosen.name for chosen in choose_kernels(texts, "sample")]
    assert names == [
        "gaussian/1",
        "gaussian/2",
        "gaussian@perturbed:blur=1/2",
        "sample@perturbed:blur=1/motion",
        "file/psf.npy",
    ]


def test_a_kernel_file_blurs_wherever_it_lies(tmp_path):
    weights = np.pad(np.outer([1, 2, 1], [1, 3, 1]), 1)
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "psf.npy", weights)
        request = CaseRequest(
            dataset="sample", kernels=(str(tmp_path / folder / "psf.npy"),), noises=("gaussian:0.01",), limit=1
        )
        (case,) = cases(request)
        found.append((case.key, case.kernel_hash, case.problem().blurred.tobytes()))
    assert found[0] == found[1]
    assert found[0][0].kernel == "file/psf.npy"
    with pytest.raises(InputError, match="have one name in tables"):
        choose_kernels([str(tmp_path / folder / "psf.npy") for folder in ("a", "b")], "sample")


def test_kernel_files_that_are_missing_or_of_another_kind(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        one_kernel(str(tmp_path / "psf.npy"))
    (tmp_path / "psf.dat").write_bytes(b"1 2 1")
    with pytest.raises(InputError, match=r"none of \.mat, .*give it the suffix .*numpy\.loadtxt"):
        one_kernel(str(tmp_path / "psf.dat"))
