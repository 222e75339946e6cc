"""What `restore_file` says at the end, and what it refuses before anything starts."""

import math
from pathlib import Path

import numpy as np
import pytest

import nidbench as nb
from nidbench.api.files import Report, verdict
from nidbench.errors import InputError
from nidbench.restoring.twin import Ranked
from nidbench.restoring.written import Done, PageResult
from nidbench.scoring.residual import ResidualTests


def report(**fields):
    page = PageResult(0.01, 1.25, 100, "", ResidualTests(0.95, 0.02, 0.01))
    facts = {"method": "tv", "pages": [page], "estimated": True, "white": 65535.0, "clipped": 3, "values": 1000}
    facts |= {"notes": ["JPEG loses detail"], "files": [("restored", "b.tif")]}
    return Report(Done(**facts | fields), ["a note"])


def test_the_closing_lines_name_method_noise_residual_and_files():
    lines = report().lines()
    assert lines == [
        "method    tv: 1.2 s, 100 iterations",
        "noise     standard deviation 0.01 of intensity 1, 655 in the file's values, estimated from the image",
        "residual  chi-squared 0.95 (noise: 1), whiteness 0.02 (white noise: 0.01): it looks like the noise",
        "clipped   3 of 1000 values (0.30%) lay beyond what the file can hold",
        "note      JPEG loses detail",
        "restored  b.tif",
    ]
    assert report().files == {"restored": Path("b.tif")}
    assert "as given" in str(report(estimated=False))


def test_a_twin_is_stated_for_what_it_is():
    ranked = [Ranked("tv", 30.0, 1.0), Ranked("fid", 29.95, 0.1), Ranked("x", -math.inf, math.nan, "it fell")]
    text = str(report(twin=ranked))
    assert "fid: 29.95 dB, 0.1 s, not told apart from the first" in text
    assert "x: no result (it fell)" in text
    assert "a hint, no measurement of your image" in text


@pytest.mark.parametrize(
    ("chi", "whiteness", "words"),
    [
        (1.0, 0.011, "it looks like the noise"),
        (1.0, 0.1, "some structure is left"),
        (0.2, 0.01, "noise was fitted"),
        (4.0, 0.01, "does not fit the image"),
        (math.nan, 0.01, "nothing to compare it with"),
    ],
)
def test_verdicts(chi, whiteness, words):
    assert words in verdict(chi, whiteness, 0.01)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"frame": "x"}, "frame 'x': use y"),
        ({"noise": 0.01}, "noise is 0.01: give text"),
        ({"threads": 0}, "threads is 0"),
        ({"out": "b.gif"}, "cannot be written"),
    ],
)
def test_wrong_words_are_refused_before_anything_starts(tmp_path, monkeypatch, asked, words):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.random.default_rng(0).random((30, 30)))
    with pytest.raises(InputError, match=words):
        nb.restore_file(**{"image": "a.npy", "kernel": "gaussian:1", "out": "b.npy"} | asked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image": np.zeros((20, 20))},
            "image is of type ndarray: give the path of a file; nidbench.restore takes arrays",
        ),
        ({"image": b"y.npy"}, "image is of type bytes"),
        ({"out": None}, "out is of type NoneType"),
        ({"kernel": np.ones((3, 3))}, "kernel is of type ndarray: give the path"),
        ({"preview": 1}, "preview is of type int"),
        ({"scale": "255"}, "scale is '255': give a number"),
        ({"scale": True}, "scale is True"),
        ({"bits": "12"}, "bits is '12': give a whole number"),
        ({"bits": 1.5}, "bits is 1.5"),
    ],
)
def test_what_is_no_path_and_no_number_is_refused_in_words(tmp_path, change, message):
    np.save(tmp_path / "y.npy", np.full((20, 20), 0.5))
    asked = {"image": tmp_path / "y.npy", "kernel": "gaussian:1", "out": tmp_path / "x.npy", "threads": 1}
    with pytest.raises(InputError, match=message):
        nb.restore_file(**asked | change)
    assert not (tmp_path / "x.npy").exists()
