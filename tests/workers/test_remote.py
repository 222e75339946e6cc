"""What is asked of a worker comes back as it would here."""

import pytest
from distributed import Client

from nidbench.workers.remote import RemoteComputer


def late():
    raise TimeoutError("the file server does not answer")


def test_an_error_of_a_timeout_on_the_worker_is_raised_and_not_waited_for(tmp_path):
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
    ) as client:
        computer = RemoteComputer(client, 1.0, lambda _: None)
        (address,) = computer._workers()
        with pytest.raises(TimeoutError, match="file server"):
            computer._submitted(address, late)
