"""How cells, threads and cards are divided among workers."""

from __future__ import annotations

import socket

import pytest

from nidbench.errors import InputError, NidbenchError
from nidbench.workers.cluster import Asked, _shared, cluster, visible
from nidbench.workers.engine import places
from nidbench.workers.handed import Wanted


def wanted(device: str = "cpu", threads: int = 1) -> Wanted:
    return Wanted(topic="", methods=(), device=device, precision="float32", threads=threads, memory=None)


@pytest.mark.parametrize(("nthreads", "threads", "expected"), [(1, 1, 1), (8, 2, 4), (8, 3, 2), (1, 4, 1)])
def test_a_worker_without_cards_has_as_many_places_as_its_threads_allow(nthreads, threads, expected):
    assert places({"nthreads": nthreads}, wanted(threads=threads), 1) == expected


@pytest.mark.parametrize(("per_device", "nthreads", "expected"), [(1, 4, 1), (3, 8, 3), (3, 2, 2)])
def test_a_worker_with_a_card_has_as_many_places_as_that_takes(per_device, nthreads, expected):
    assert places({"nthreads": nthreads}, wanted("cuda:0", 4), per_device) == expected


def test_no_card_is_given_to_more_workers_than_may_share_it():
    assert _shared(["0", "1"], Asked(workers=2)) == ["0", "1"]
    assert _shared(["0", "1"], Asked(workers=3, per_device=2)) == ["0", "1", "0"]
    assert _shared([], Asked(workers=9)) == []
    with pytest.raises(InputError, match="3 workers on 2 cards with 1 on each: give at most 2 workers"):
        _shared(["0", "1"], Asked(workers=3))


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, ["0", "1"]), ("", ["0", "1"]), ("3,5", ["3", "5"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"])],
)
def test_cards_have_the_names_that_the_environment_gives_them(given, expected, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible(["cuda:0", "cuda:1", "cpu"]) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"workers": 0}, "workers 0: give 1 or more"),
        ({"per_device": 0}, "per_device 0"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "give one of them"),
    ],
)
def test_what_cannot_be_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        Asked(**asked)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"address": "tcp', b"[]", b"null", b'{"id": 1}', b'{"address": 5}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_file_without_a_scheduler_s_address_is_refused_in_words(content, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match="the file holds no address, or not yet; give"), cluster(asked(file), 1):
        pass


def test_a_file_of_any_name_is_one_where_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheduler").write_text("{}")
    with (
        pytest.raises(InputError, match="scheduler scheduler: the file holds no address"),
        cluster(asked("scheduler"), 1),
    ):
        pass


def test_a_folder_is_no_file_of_a_scheduler(tmp_path):
    with pytest.raises(InputError, match="there is no such file; give"), cluster(asked(tmp_path), 1):
        pass


def test_what_takes_a_connection_and_says_nothing_is_no_scheduler(monkeypatch):
    monkeypatch.setattr("nidbench.workers.cluster.PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(NidbenchError, match="says nothing that a scheduler says"), cluster(asked(address), 1):
            pass


def asked(scheduler: object) -> Asked:
    return Asked(scheduler=str(scheduler))
