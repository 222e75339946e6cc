"""TOML files that people write: read as they are, or refused in words."""

import os
from pathlib import Path

import pytest

from nidbench.errors import InputError
from nidbench.system.toml_file import read_toml


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "a.toml").write_text('name = "Köhler"\n[inner]\nlimit = -3\nmore = [1.5, 2]\n', encoding="utf-8-sig")
    assert read_toml(tmp_path / "a.toml") == {"name": "Köhler", "inner": {"limit": -3, "more": [1.5, 2]}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"limit = ", "cannot read"),
        (b"\xff\xfel\0i\0", "it is not in UTF-8 .*: save it in that encoding"),
        (b'name = "K\xf6hler"', "it is not in UTF-8 .*: save it in that encoding"),
        (b"a = " + b"[" * 9000 + b"]" * 9000, "nested too deeply"),
        (b"limit = " + b"9" * 30, "more than 18 digits"),
        (b"limit = [[{a = -" + b"9" * 30 + b"}]]", "more than 18 digits"),
        (b"limit = " + b"9" * 9000, "cannot read"),
        (b"a = 1\na = 2", "a key is given twice: keep one of them"),
        (b"a = b", "text stands in quotes"),
        (b"a = 1\r\nnoise = 0,01 # of white\r\n", "write 0.01, with a point, for 0,01"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, content, reason):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.toml.*{reason}|{reason}.*a\.toml"):
        read_toml(tmp_path / "a.toml")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_toml(tmp_path)


def test_what_is_no_file_is_not_read_without_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="a pipe or a device"):
            read_toml(path)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(InputError, match="more than 10000000 bytes"):
        read_toml(tmp_path / "large")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="cannot read"):
        read_toml(tmp_path / "loop")
