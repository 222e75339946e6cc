"""What workers say is heard, also where it takes long to arrive, and those that are gone are not waited for."""

from types import SimpleNamespace

import pytest
from silent_events import Silent

from nidbench.sweep.options import RunOptions
from nidbench.workers import engine
from nidbench.workers.engine import Parallel, _Attempt
from nidbench.workers.handed import Wanted

ADDRESS = "tcp://10.0.0.7:4000"
WANTED = Wanted(topic="t", methods=[], device="cpu", precision="float32", threads=1, memory=None)


class Answer:
    """A future of dask's: its worker has the answer, and hands it over when it was asked for some times."""

    status = "finished"

    def __init__(self, refused):
        self.refused = refused

    def result(self, **_):
        if self.refused:
            self.refused -= 1
            raise TimeoutError
        return ""


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_whose_answer_does_not_arrive_is_looked_at_again_while_it_is_there(monkeypatch, times):
    monkeypatch.setattr(engine, "FETCH", (0.0,))
    workers = {ADDRESS: {"nthreads": 2}}
    client = SimpleNamespace(scheduler_info=lambda **_: {"workers": workers})
    parallel = Parallel(client, WANTED, RunOptions(), 1, 1.0)
    parallel._state.greeted[ADDRESS] = Answer(times)
    parallel._welcome(ADDRESS, Silent())
    while not parallel._news.empty():
        assert parallel._state.places == {}
        list(parallel._heed(Silent()))
    assert parallel._state.places == {ADDRESS: 2}


def test_a_worker_that_left_with_its_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(engine, "FETCH", (0.0,))
    client = SimpleNamespace(scheduler_info=lambda **_: {"workers": {}})
    parallel = Parallel(client, WANTED, RunOptions(), 1, 1.0)
    parallel._state.greeted[ADDRESS] = Answer(9)
    parallel._welcome(ADDRESS, Silent())
    assert parallel._news.empty()
    assert parallel._state.greeted[ADDRESS] is None


def test_an_interrupted_cell_whose_worker_is_gone_is_not_waited_for():
    parallel = Parallel(SimpleNamespace(run=lambda *_, **__: None), WANTED, RunOptions(), 1, 1.0)
    attempts = parallel._state.attempts
    attempts |= {name: _Attempt(None, [(address, 0)], None) for name, address in (("a", ADDRESS), ("b", "tcp://other"))}
    parallel._news.put(("cluster", {"action": "remove-worker", "worker": ADDRESS}))
    parallel._news.put(("ended", "b"))
    parallel.checkpoint(5.0)
    assert attempts == {}
