"""The collector of reference cycles, resting while many objects are made."""

import gc

import pytest

from nidbench.system.garbage import collector_paused


@pytest.fixture
def collections():
    """Count the collections of a block."""
    counted = []

    def count(phase, _info):
        if phase == "start":
            counted.append(phase)

    gc.callbacks.append(count)
    yield counted
    gc.callbacks.remove(count)


def test_nothing_is_collected_inside_and_something_outside(collections):
    with collector_paused():
        inside = [[] for _ in range(100_000)]
        assert not collections
    outside = [[] for _ in range(100_000)]
    assert collections
    assert inside == outside


def test_it_is_as_it_was_after_an_error_and_stays_off_where_it_was_off():
    with pytest.raises(ZeroDivisionError), collector_paused():
        raise ZeroDivisionError
    assert gc.isenabled()
    with collector_paused():
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
