"""Words of the command line from Python's own types."""

import numpy as np
import pytest

import nidbench as nb
from nidbench.api.words import as_seeds, as_words
from nidbench.errors import InputError


def test_lists_are_text_with_commas():
    assert as_words("methods", ["ours@fast", "dip[lr=1e-3,iterations=5]"]) == "ours@fast,dip[lr=1e-3,iterations=5]"
    assert as_words("methods", ("tv",)) == as_words("methods", "tv") == "tv"


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), ([0, 3], "0,3"), (range(3), "0,1,2"), (np.arange(2), "0,1"), (np.int64(4), "4"), ("0-4", "0-4")],
)
def test_seeds_are_numbers_too(value, text):
    assert as_seeds("seeds", value) == text


@pytest.mark.parametrize("value", [3, [], [1], b"tv", None, ["tv", None], {"tv": 1}.values()])
def test_other_words_are_refused(value):
    with pytest.raises(InputError, match=r"methods is .*: give text"):
        as_words("methods", value)


@pytest.mark.parametrize("value", [1.5, [0.5], True, [], None, ["a"]])
def test_other_seeds_are_refused(value):
    with pytest.raises(InputError, match=r"seeds is .*: give a number"):
        as_seeds("seeds", value)


def test_they_ask_the_same_question(tmp_path):
    question = {"limit": 1, "crop": 48, "output": tmp_path, "threads": 1, "progress": False}
    text = nb.run("tv,wiener", "sample", noise_seeds="0-1", **question)
    lists = nb.run(["tv", "wiener"], ["sample"], noise_seeds=range(2), **question)
    assert set(lists.cells["id"]) == set(text.cells["id"])
    assert len(text.cells) == 4
    cases = nb.load_cases("sample", limit=1, crop=48, noise_seeds=[0, 1])
    assert [case.key.noise_seed for case in cases] == [0, 1]
