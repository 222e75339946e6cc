"""The program that fits the classical methods: its pictures are no test images, its blurs are kernels, its peak one."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from nidbench.registry.entry_points import load_dataset, load_method, methods


@pytest.fixture(scope="module")
def tuning():
    spec = spec_from_file_location("tuning", Path(__file__).parent / "benchmarks" / "tuning.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_picture_is_one_of_the_sample(tuning):
    assert not {name.partition(".")[0] for name in tuning.IMAGES} & set(load_dataset("sample").names())


def test_pictures_are_gray_and_within_range(tuning):
    for name in tuning.IMAGES:
        x = tuning.picture(name)
        assert x.shape[0] == 1
        assert min(x.shape[1:]) > 150
        assert x.min() >= 0
        assert x.max() <= 1
        assert x.std() > 0.05


def test_blurs_are_kernels_about_their_middle(tuning):
    for kernel in tuning.kernels():
        assert kernel.sum() == pytest.approx(1)
        assert kernel.min() >= 0
        assert all(size % 2 for size in kernel.shape)
    blur = tuning.gaussian(2.0)
    place = np.arange(len(blur)) - len(blur) // 2
    assert (blur.sum(0) * place**2).sum() == pytest.approx(2.0**2, rel=0.05)
    disc = tuning.disc(4.3)
    assert disc.max() == pytest.approx(1 / (np.pi * 4.3**2), rel=0.01)
    np.testing.assert_allclose(disc, disc.T)


@pytest.mark.parametrize("top", [0.3, 1.0, 1.7])
def test_the_peak_of_a_parabola_is_found(tuning, top):
    settings = np.geomspace(0.1, 10, 7)
    assert tuning.peak(settings, 30 - np.log(settings / top) ** 2) == pytest.approx(top)


def test_each_grid_holds_the_setting_in_force(tuning):
    """Of those whose packages are here: the fit would have to be repeated otherwise."""
    for name, (setting, grid) in tuning.GRIDS.items():
        if name != "bm3d":
            assert grid[0] < getattr(load_method(methods(), name)(), setting) < grid[-1]
