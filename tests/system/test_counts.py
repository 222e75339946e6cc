"""Numbers of things in sentences."""

import doctest

import pytest

from nidbench.system import counts


@pytest.mark.parametrize(("number", "text"), [(0, "0 cells are"), (1, "1 cell is"), (2, "2 cells are")])
def test_one_is_singular_and_nothing_else_is(number, text):
    assert counts.count_of(number, "cell is", "cells are") == text


def test_the_examples_hold():
    failures, examples = doctest.testmod(counts)
    assert failures == 0 < examples
