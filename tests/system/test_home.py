"""Home folders that a person writes as `~`."""

from pathlib import Path

import pytest
from nidbench.datasets.folder import Folder
from nidbench.datasets.kernels.estimated import Estimated

from nidbench.errors import InputError
from nidbench.files.cache import cache_folder
from nidbench.images import KernelFile
from nidbench.system.home import expanded


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a/b") == tmp_path / "a" / "b"
    assert expanded(Path("a/~b")) == Path("a/~b")


@pytest.mark.parametrize(
    "named",
    [
        expanded,
        Estimated,
        Folder,
        lambda path: KernelFile.parse(f"{path}/psf.npy:centred").kernel(),
    ],
)
def test_nobodys_home_is_refused_in_words(named):
    with pytest.raises(InputError, match="no home folder for ~nobody-of-this-name"):
        named("~nobody-of-this-name")


def test_so_is_that_of_the_cache(monkeypatch):
    monkeypatch.setenv("NIDBENCH_DATA", "~nobody-of-this-name/data")
    with pytest.raises(InputError, match="no home folder"):
        cache_folder()
