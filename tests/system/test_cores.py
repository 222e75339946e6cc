"""How many cores are free: from readings of /proc/stat, and from the load where there are none."""

import os

import pytest

from nidbench.system import cores


def stat(*ticks):
    """Return /proc/stat with these (user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice) ticks."""
    lines = [f"cpu{core} {' '.join(map(str, each))}" for core, each in enumerate(ticks)]
    total = "cpu  " + " ".join(str(sum(each)) for each in zip(*ticks, strict=True))
    return "\n".join([total, *lines, "intr 1 2 3", "ctxt 99", ""])


IDLE, WAITS = (0, 0, 0, 10, 0, 0, 0, 0, 0, 0), (0, 0, 0, 4, 6, 0, 0, 0, 0, 0)
BUSY, NICE, STOLEN = (10, *[0] * 9), (0, 10, *[0] * 8), (*[0] * 7, 10, 0, 0)
HALF, GUEST = (3, 0, 2, 5, 0, 0, 0, 0, 0, 0), (10, 0, 0, 0, 0, 0, 0, 0, 10, 0)


@pytest.mark.parametrize(
    ("ticks", "busy"),
    [
        ((IDLE, IDLE), 0),
        ((IDLE, BUSY), 1),
        ((NICE, STOLEN), 2),
        ((WAITS, HALF), 0.5),
        ((GUEST, IDLE), 1),  # the time of a guest is in the user's, too
    ],
)
def test_a_core_is_busy_while_it_is_not_idle(ticks, busy):
    before = [tuple(100 * n for n in range(10))] * 2
    after = [tuple(a + b for a, b in zip(*pair, strict=True)) for pair in zip(before, ticks, strict=True)]
    assert cores.busy_between(stat(*before), stat(*after), {0, 1}) == pytest.approx(busy)


def test_only_the_cores_of_this_process_count():
    before, after = stat(*[(0,) * 10] * 4), stat(BUSY, IDLE, BUSY, BUSY)
    assert cores.busy_between(before, after, {0, 1}) == 1
    assert cores.busy_between(before, after, {1}) == 0
    with pytest.raises(ValueError, match=r"\[1, 7\]"):
        cores.busy_between(before, after, {1, 7})


@pytest.fixture
def four(monkeypatch):
    """Four cores, and readings that come without waiting."""
    monkeypatch.setattr(cores, "_affinity", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(cores, "_WINDOW_SECONDS", 0.0)

    def readings(*busy):
        each = iter(busy)
        monkeypatch.setattr(cores, "_watched", lambda: next(each))

    return readings


@pytest.mark.parametrize(
    ("busy", "free"),
    [((0, 0, 0), 4), ((0.1, 0.4, 0.2), 4), ((1, 1, 1), 3), ((0, 4, 0), 4), ((1.9, 2, 2.1), 2), ((4, 4, 4), 1)],
)
def test_what_others_leave_is_free_and_one_always(four, busy, free):
    four(*busy)
    assert cores.free() == free


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(("load", "free"), [(0.2, 4), (1.2, 3), (9.0, 1)])
def test_the_load_decides_where_the_system_says_no_more(tmp_path, monkeypatch, load, free):
    monkeypatch.setattr(cores, "_STAT", tmp_path / "none")
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
    assert cores.free() == free


@pytest.mark.usefixtures("four")
def test_without_any_word_of_the_system_all_cores_are_free(tmp_path, monkeypatch):
    def unknown():
        raise OSError

    monkeypatch.setattr(cores, "_STAT", tmp_path / "none")
    monkeypatch.setattr(os, "getloadavg", unknown)
    assert cores.free() == 4
