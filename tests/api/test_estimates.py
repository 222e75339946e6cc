"""Kernels of blind methods become files that `estimated:PATH` reads, each for its image and kernel, or a reason."""

import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from nidbench.datasets.kernels.estimated import Estimated

from nidbench.api.estimates import write_kernels
from nidbench.cli import main
from nidbench.errors import InputError, UnknownNameError
from nidbench.records import Sweep


def drawn(seed, shape=(5, 3)):
    weights = np.random.default_rng(seed).random(shape)
    return weights / weights.sum()


@pytest.fixture
def blind(make_record, make_store):
    """A sweep of `selfdeblur` on two images under two kernels, told in details, and of a method without kernels."""
    pairs = [("cat", "levin/1"), ("cat", "levin/2"), ("dog", "levin/1"), ("dog", "levin/2")]
    records = [
        make_record("selfdeblur", image, kernel=kernel, details={"kernel": drawn(n).tolist()})
        for n, (image, kernel) in enumerate(pairs)
    ]
    return make_store(*records, *(make_record("dip", image, kernel=kernel) for image, kernel in pairs))


def test_they_are_read_as_the_kernels_of_their_measurements(blind, tmp_path):
    written = write_kernels(*blind, tmp_path / "estimates")
    assert not written.lacking
    assert len(written.written) == 4
    read = Estimated(f"{tmp_path / 'estimates'}:keep")
    for n, (image, kernel) in enumerate([("cat", "levin/1"), ("cat", "levin/2"), ("dog", "levin/1")]):
        np.testing.assert_allclose(read.known_kernel(None, image, kernel), drawn(n), rtol=1e-12)


def test_the_array_that_was_kept_counts_before_the_details(make_record, make_store, tmp_path):
    record = make_record("selfdeblur", details={"kernel": drawn(0).tolist()}, kept=("kernel",))
    store, sweep = make_store(record)
    store.write(record, {}, {"kernel": 3 * drawn(1)})
    (path,) = write_kernels(store, sweep, tmp_path / "to").written
    assert path == tmp_path / "to" / "cat" / "1.npy"
    np.testing.assert_allclose(np.load(path), drawn(1), rtol=1e-12)


def test_the_kernel_of_a_crop_is_named_as_its_image(make_record, make_store, tmp_path):
    store, sweep = make_store(make_record("selfdeblur", "cat@64", details={"kernel": drawn(0).tolist()}))
    asked = Sweep(sweep.name, {"experiments": [{"crop": None}, {"crop": 64}]}, sweep.cells)
    (path,) = write_kernels(store, asked, tmp_path / "crop").written
    assert path.parent.name == "cat"
    (plain,) = write_kernels(store, sweep, tmp_path / "plain").written
    assert plain.parent.name == "cat@64"


def test_what_has_none_is_named(make_record, make_store, tmp_path):
    told = {"details": {"kernel": drawn(0).tolist()}}
    bad = make_record("selfdeblur", "owl", details={"kernel": [[float("nan")]]})
    records = [make_record("selfdeblur", **told), make_record("selfdeblur", "dog", status="timeout"), bad]
    store, sweep = make_store(*records, make_record("tv"), missing=(make_record("selfdeblur", "cow"),))
    written = write_kernels(store, sweep, tmp_path / "to")
    assert len(written.written) == 1
    assert [line.split(": ", 1)[1] for line in written.lacking][::2] == ["timeout", "not computed yet"]
    assert "not finite" in written.lacking[1]
    result = CliRunner().invoke(main, ["kernels", "demo", "--to", str(tmp_path / "x"), "--output", str(store.root)])
    assert result.exit_code == 1
    assert "1 kernel in" in result.output


def test_two_kernels_for_one_file_are_refused_with_what_tells_them_apart(make_record, make_store, tmp_path):
    told = {"details": {"kernel": drawn(0).tolist()}}
    noises = [make_record("selfdeblur", noise=noise, **told) for noise in ("gaussian:0.01", "gaussian:0.05")]
    store, sweep = make_store(*noises, make_record("other", **told))
    with pytest.raises(InputError, match=r"cat/1\.npy \(--noise gaussian:0\.01 and gaussian:0\.05\): choose"):
        write_kernels(store, sweep, tmp_path / "to", "selfdeblur")
    with pytest.raises(InputError, match="--method selfdeblur and other"):
        write_kernels(store, sweep, tmp_path / "to", noise="gaussian:0.05")
    assert not (tmp_path / "to").exists()
    assert len(write_kernels(store, sweep, tmp_path / "to", "selfdeblur", "gaussian:0.05").written) == 1
    with pytest.raises(UnknownNameError, match="did you mean selfdeblur"):
        write_kernels(store, sweep, tmp_path / "to", "selfdebur")


@pytest.mark.parametrize("image", ["../../etc", "/etc"])
def test_names_lead_nowhere_else(image, make_record, make_store, tmp_path):
    store, sweep = make_store(make_record("selfdeblur", image, details={"kernel": drawn(0).tolist()}))
    with pytest.raises(InputError, match="leads out of the folder"):
        write_kernels(store, sweep, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_sweep_without_kernels_says_what_makes_some(sample_store, tmp_path):
    with pytest.raises(InputError, match="--methods selfdeblur --keep kernel"):
        write_kernels(*sample_store, tmp_path / "to")


@pytest.mark.parametrize("name", ["of cat, of dog", "of cat:turned", "of cat:none"])
def test_a_folder_that_the_option_would_take_for_another_is_refused(name, blind, tmp_path):
    with pytest.raises(InputError, match="another name"):
        write_kernels(*blind, tmp_path / name)
    assert not list(tmp_path.glob("of*"))


def test_the_option_can_be_pasted_into_a_shell(blind, tmp_path):
    written = write_kernels(*blind, tmp_path / "of cat (two)")
    words = shlex.split(written.lines()[-1])
    assert Estimated(words[words.index("--kernels") + 1].removeprefix("estimated:")) == Estimated(
        f"{tmp_path / 'of cat (two)'}:keep"
    )
