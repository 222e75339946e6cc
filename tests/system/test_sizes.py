import pytest

from nidbench.errors import InputError
from nidbench.system.sizes import read_size, size_text


@pytest.mark.parametrize(
    ("text", "size"), [("8G", 8 << 30), ("1.5GiB", 3 << 29), (" 500 m", 500 << 20), ("2KB", 2048), ("1T", 1 << 40)]
)
def test_sizes_have_a_unit(text, size):
    assert read_size("--most", text) == size
    assert read_size("--most", size_text(size)) == size


@pytest.mark.parametrize("text", ["8", "", "G", "-1G", "1e3G", "1GG", "much", "nanG"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"--most .*: give a number and a unit, such as 8G or 500M"):
        read_size("--most", text)
