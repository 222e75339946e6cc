"""What is asked of a worker comes back as it would here."""

from contextlib import contextmanager

import pytest
from distributed import Client, Future, wait

from nidbench.workers.remote import RemoteComputer


def late():
    raise TimeoutError("the file server does not answer")


def answer():
    return 42


@contextmanager
def asked(folder):
    """Yield a computer and the address of its only worker, a thread of this process."""
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", local_directory=str(folder)
    ) as client:
        computer = RemoteComputer(client, 1.0, lambda _: None)
        (address,) = computer._workers()
        yield computer, address


def test_an_error_of_a_timeout_on_the_worker_is_raised_and_not_waited_for(tmp_path):
    with asked(tmp_path) as (computer, address), pytest.raises(TimeoutError, match="file server"):
        computer._submitted(address, late)


@pytest.mark.parametrize("outcome", ["result", "error"])
def test_what_comes_in_the_moment_in_which_the_wait_for_it_ends_is_not_lost(tmp_path, monkeypatch, outcome):
    result, waits = Future.result, []

    def ends_as_it_comes(future, timeout=None):
        if waits or timeout is None:
            return result(future, timeout)
        waits.append(timeout)
        wait(future)
        raise TimeoutError

    monkeypatch.setattr(Future, "result", ends_as_it_comes)
    with asked(tmp_path) as (computer, address):
        if outcome == "result":
            assert computer._submitted(address, answer) == 42
        else:
            with pytest.raises(TimeoutError, match="file server"):
                computer._submitted(address, late)
    assert waits == [1.0]
