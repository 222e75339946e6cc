"""`datasets/_measured.py`: problems and truths of blurred images that are given."""

import numpy as np
import pytest
from nidbench.datasets._measured import given, truth_of

from nidbench.contract import IDENTITY, Noise, Response
from nidbench.errors import InputError

KERNEL = np.arange(1.0, 13).reshape(3, 4)


def test_the_problem_holds_what_is_given():
    y = np.random.default_rng(0).random((3, 20, 24))
    problem = given(y, KERNEL, 0.02, Response("gamma", 2.2))
    assert problem.blurred.dtype == np.float32
    assert np.array_equal(problem.blurred, y.astype(np.float32))
    assert np.allclose(problem.kernel, KERNEL / 78)
    assert (problem.noise, problem.response) == (Noise("gaussian", 0.02), Response("gamma", 2.2))
    assert given(y, KERNEL, None).noise.level is None
    assert given(y, KERNEL, None).response == IDENTITY


@pytest.mark.parametrize(("size", "offset"), [((20, 24), (1, 1)), ((22, 27), (0, 0))])
def test_a_truth_shows_what_y_shows_or_all_of_x(size, offset):
    problem = given(np.zeros((1, 20, 24)), KERNEL, None)
    sharp = np.random.default_rng(0).random((1, *size))
    truth = truth_of(problem, sharp, encoded=True)
    assert truth.image is sharp
    assert truth.offset == offset
    assert truth.encoded


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1, 20, 25), "has 20x25 pixels, the blurred one 20x24: give it the same size, or 22x27"),
        ((1, 24, 20), "has 24x20 pixels"),
        ((3, 20, 24), "is in colour, the blurred one gray: convert one"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(shape, reason):
    with pytest.raises(InputError, match=reason):
        truth_of(given(np.zeros((1, 20, 24)), KERNEL, None), np.zeros(shape))
