"""BM3D: what surrounds the package, whose licence keeps it out of the tests' requirements: origin, notice, absence."""

import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from nidbench.methods.bm3d import BM3D, centred
from nidbench.methods.wiener import Wiener

from nidbench.cli import main
from nidbench.contract import Noise, Problem, Run, Truth, check_restored
from nidbench.errors import InputError, NidbenchError
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.scoring.protocols import DEFAULT


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)


@pytest.fixture
def package():
    return pytest.importorskip("bm3d", reason="for non-commercial use only, installed by who wants it")


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 6, 9, 10])
@pytest.mark.parametrize("width", [2, 5, 6])
def test_the_kernel_is_centred_as_the_package_rounds(height, width):
    """The package rolls by round((k - 1) / 2), half to even; nidbench's origin is at k//2."""
    kernel = np.random.default_rng(0).random((height, width))
    given = centred(kernel)
    np.testing.assert_array_equal(given[:height, :width], kernel)
    assert given.sum() == pytest.approx(kernel.sum())
    assert [round((size - 1) / 2) for size in given.shape] == [height // 2, width // 2]


@pytest.mark.usefixtures("absent")
def test_without_the_package_says_what_to_install():
    with pytest.raises(NidbenchError, match=r'pip install "nidbench\[bm3d\]"'):
        BM3D()


@pytest.mark.usefixtures("absent")
def test_without_the_package_a_sweep_is_refused_before_it_starts(tmp_path):
    arguments = ["run", "--methods", "wiener,bm3d", "--dataset", "sample", "--in-process", "--output", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert 'pip install "nidbench[bm3d]"' in " ".join(result.output.split())
    assert not (tmp_path / "cells").exists()


@pytest.mark.usefixtures("absent")
def test_without_the_package_it_is_listed_and_described():
    assert "bm3d" in CliRunner().invoke(main, ["list", "methods"]).output
    text = CliRunner().invoke(main, ["info", "bm3d"]).output
    for word in ("non-commercial", "Tampere", "Dabov"):
        assert word in text


@pytest.mark.usefixtures("package")
def test_its_licence_is_told_before_anything_is_computed(tmp_path):
    arguments = [
        "run",
        "--methods",
        "bm3d",
        "--dataset",
        "sample",
        "--in-process",
        "--dry-run",
        "--output",
        str(tmp_path),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "non-commercial use only" in " ".join(result.output.split())
    assert not (tmp_path / "cells").exists()


def test_the_class_is_loaded_without_the_package():
    code = "import sys, nidbench.methods.bm3d; assert not {'bm3d', 'bm4d'} & set(sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


@pytest.mark.parametrize("settings", [{"threshold": 0.0}, {"wiener": -1.0}, {"threshold": np.nan}])
def test_refuses_settings_that_mean_nothing(settings):
    with pytest.raises(InputError, match="positive numbers"):
        BM3D(**settings)


@pytest.mark.usefixtures("package")
def test_refuses_a_frame_that_crashes_the_package():
    problem = Problem(np.full((1, 8, 30), 0.5, np.float32), np.ones((1, 1)), Noise("gaussian", 0.1))
    with pytest.raises(InputError, match="9 rows and columns"):
        BM3D().restore(problem, Run())


@pytest.mark.parametrize("size", [(2, 6), (5, 3)])
@pytest.mark.usefixtures("package")
def test_nothing_is_shifted(size):
    """A kernel of one off-centre pixel: x is y, moved back by exactly as much."""
    sharp = load_dataset("sample").load("camera")[:, :40, :44]
    kernel = np.zeros(size)
    kernel[0, -1] = 1
    problem = measure(sharp, kernel, "gaussian:0.005", key="shift")
    found = BM3D().restore(problem, Run()).image
    rows, columns = problem.valid
    wanted = sharp[:, rows, columns]
    inside = (slice(None), slice(8, -8), slice(8, -8))
    errors = {
        (a, b): float(((np.roll(found, (a, b), (1, 2))[:, rows, columns] - wanted)[inside] ** 2).mean())
        for a in (-1, 0, 1)
        for b in (-1, 0, 1)
    }
    assert min(errors, key=errors.get) == (0, 0)
    assert errors[0, 0] < 1e-3


@pytest.mark.parametrize(("level", "margin"), [(0.01, 0.2), (0.05, 0.4)])
@pytest.mark.usefixtures("package")
def test_beats_the_wiener_filter_on_shipped_data(level, margin):
    sharp, kernel = load_dataset("sample").load("camera"), load_kernels("sample").load("motion")
    problem = measure(sharp, kernel, f"gaussian:{level}", key="order")
    restored = check_restored(BM3D().restore(problem, Run()), problem)
    scores = [
        DEFAULT.score(image, problem, Truth(sharp)).psnr
        for image in (restored.image, Wiener().restore(problem, Run()).image)
    ]
    assert scores[0] > scores[1] + margin
    assert "non-commercial" in restored.details["licence"]


@pytest.mark.usefixtures("package")
def test_colours_do_not_mix():
    sharp = np.stack([load_dataset("sample").load("camera")[0, :32, :36] * s for s in (1.0, 0.7, 0.4)])
    problem = measure(sharp, np.ones((3, 2)), "gaussian:0.02", key="colour")
    whole = BM3D().restore(problem, Run()).image
    alone = Problem(problem.blurred[1:2], problem.kernel, problem.noise)
    np.testing.assert_array_equal(BM3D().restore(alone, Run()).image[0], whole[1])
