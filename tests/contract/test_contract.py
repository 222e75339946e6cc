"""What methods and the harness rely on: problems and answers are checked, seeds and clocks and checkpoints behave."""

import doctest
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nidbench.contract
from nidbench.contract import (
    CaseKey,
    Clock,
    Noise,
    Problem,
    Response,
    Restored,
    Run,
    StoredTruth,
    Truth,
    check_kernel,
    check_restored,
    normalised,
    stopwatch,
)
from nidbench.contract import run as run_module
from nidbench.errors import InputError, NidbenchError, UnstableError

FIVE_PERCENT = Noise("gaussian", 0.05)


def problem_of(blurred=None, kernel=None, noise=FIVE_PERCENT):
    blurred = np.full((1, 20, 30), 0.5, np.float32) if blurred is None else blurred
    return Problem(blurred, np.full((4, 5), 1 / 20) if kernel is None else kernel, noise)


@pytest.fixture
def now(monkeypatch):
    """Return a clock that the test moves; `now.seconds += 5` takes no time."""
    clock = SimpleNamespace(seconds=1000.0)
    for module in (run_module, stopwatch):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.seconds))
    return clock


def test_the_method_in_the_docstring_works():
    failures, examples = doctest.testmod(nidbench.contract)
    assert failures == 0
    assert examples >= 10


@pytest.mark.parametrize(
    ("kernel_shape", "frame", "valid"),
    [
        ((1, 1), (20, 30), (slice(0, 20), slice(0, 30))),
        ((5, 5), (24, 34), (slice(2, 22), slice(2, 32))),
        ((4, 7), (23, 36), (slice(1, 21), slice(3, 33))),
    ],
)
def test_frame(kernel_shape, frame, valid):
    problem = problem_of(kernel=np.full(kernel_shape, 1 / np.prod(kernel_shape)))
    assert problem.frame == frame
    assert problem.valid == valid


@pytest.mark.parametrize(
    ("blurred", "reason"),
    [
        (np.zeros((1, 20, 20)), "float64"),
        (np.zeros((1, 20, 20), np.uint8), "uint8"),
        (np.zeros((20, 20), np.float32), r"\(20, 20\)"),
        (np.zeros((2, 20, 20), np.float32), r"\(2, 20, 20\)"),
        (np.zeros((20, 20, 3), np.float32), r"\(20, 20, 3\)"),
        (np.zeros((1, 0, 20), np.float32), r"\(1, 0, 20\)"),
        (np.full((1, 20, 20), np.nan, np.float32), "not finite"),
        (np.full((1, 20, 20), -np.inf, np.float32), "not finite"),
    ],
)
def test_refused_measurements(blurred, reason):
    with pytest.raises(InputError, match=reason):
        problem_of(blurred=blurred)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (np.full((4, 5), 1 / 19), "not to 1: divide it by its sum"),
        (np.zeros((4, 5)), "zero everywhere"),
        (np.full((4, 5), -1 / 20), "positive sum"),
        (np.full((4, 5), np.nan), "not finite"),
        (np.ones(20) / 20, "two dimensions"),
        (np.ones((0, 3)), "two dimensions"),
    ],
)
def test_refused_kernels(kernel, reason):
    with pytest.raises(InputError, match=reason):
        problem_of(kernel=kernel)


def test_normalised():
    kernel = normalised(np.array([[1, 3], [4, 8]], dtype=np.uint8))
    assert kernel.dtype == np.float64
    assert np.array_equal(kernel, np.array([[1, 3], [4, 8]]) / 16)
    check_kernel(kernel)
    negative_lobes = np.array([[2.0, -1.0]])  # estimated kernels have them
    assert np.array_equal(normalised(negative_lobes), negative_lobes)


def test_input_errors_are_value_errors_and_ours():
    with pytest.raises(ValueError, match="positive sum"):
        check_kernel(np.zeros((2, 2)))
    assert issubclass(InputError, NidbenchError)


@pytest.mark.parametrize("kind", ["", "linear", "Gamma"])
def test_unknown_response(kind):
    with pytest.raises(InputError, match="use identity, gamma or saturation"):
        Response(kind)


@pytest.mark.parametrize("gamma", [0, -2.2, 10, float("nan"), float("inf")])
def test_refused_gamma(gamma):
    with pytest.raises(InputError, match="gamma"):
        Response("gamma", gamma)


def test_responses():
    z = np.array([-0.5, 0.0, 0.25, 1.0, 1.5])
    assert np.array_equal(Response().apply(z), z)
    assert np.allclose(Response("gamma", 2.0).apply(z), [0, 0, 0.5, 1, np.sqrt(1.5)])
    assert np.allclose(Response("gamma", 2.0).apply(z, 0.01), [0.1, 0.1, 0.5, 1, np.sqrt(1.5)])
    assert np.array_equal(Response("saturation").apply(z), [0, 0, 0.25, 1, 1])


def test_sigma_is_declared_or_estimated():
    blurred = (0.5 + 0.08 * np.random.default_rng(0).standard_normal((1, 200, 200))).astype(np.float32)
    assert problem_of(blurred).sigma() == 0.05
    assert problem_of(blurred).estimated_sigma() == pytest.approx(0.08, rel=0.05)
    assert problem_of(blurred, noise=Noise("gaussian", 0.0)).sigma() == 0
    for undeclared in (Noise("gaussian", None), Noise("poisson", None)):
        assert problem_of(blurred, noise=undeclared).sigma() == pytest.approx(0.08, rel=0.05)
    poisson = problem_of(blurred, noise=Noise("poisson", 200.0))
    assert poisson.sigma() == pytest.approx(np.sqrt(blurred.mean() / 200))
    assert problem_of(-blurred, noise=Noise("poisson", 200.0)).sigma() == 0


def test_case_key_reads_as_on_the_command_line():
    assert str(CaseKey("set12", "01", "levin/4", "gaussian:0.05", 2)) == "set12/01 levin/4 gaussian:0.05 #2"


# answers: the frame of problem_of() is 23x34


def answer(dtype=np.float32, shape=(1, 23, 34)):
    return np.full(shape, 0.5, dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_answers_become_float32(dtype):
    details = {"loss": 1.0}
    checked = check_restored(Restored(answer(dtype), answer(dtype), np.int64(7), "noise level", details), problem_of())
    assert checked.image.dtype == checked.variance.dtype == np.float32
    assert np.array_equal(checked.image, answer())
    assert (checked.iterations, checked.stopped, checked.details) == (7, "noise level", {"loss": 1.0})
    assert type(checked.iterations) is int
    assert check_restored(Restored(answer()), problem_of()).variance is None


@pytest.mark.parametrize(
    ("restored", "error", "reason"),
    [
        (answer(), TypeError, "return a nidbench.contract.Restored"),
        (None, TypeError, "NoneType"),
        (Restored([[[0.5]]]), TypeError, "image is list"),
        (Restored(None), TypeError, "image is NoneType"),
        (Restored(answer(np.uint8)), TypeError, "image is uint8"),
        (Restored(answer(complex)), TypeError, "image is complex"),
        (Restored(answer(), [0.5]), TypeError, "variance is list"),
        (Restored(answer(shape=(1, 20, 30))), ValueError, r"\(1, 20, 30\), the frame of x is \(1, 23, 34\)"),
        (Restored(answer(shape=(3, 23, 34))), ValueError, r"\(3, 23, 34\)"),
        (Restored(answer(shape=(23, 34))), ValueError, r"\(23, 34\)"),
        (Restored(answer(), answer(shape=(1, 1, 1))), ValueError, r"variance has shape \(1, 1, 1\)"),
        (Restored(answer() * np.nan), UnstableError, "782 values that are not finite"),
        (Restored(answer(), answer() * np.inf), UnstableError, "variance holds"),
        (Restored(answer(), answer() - 1), ValueError, "variance goes down to -.* it cannot be negative"),
    ],
)
def test_refused_answers(restored, error, reason):
    with pytest.raises(error, match=reason):
        check_restored(restored, problem_of())


def test_tensor_is_refused_with_the_way_out():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"tensor: \.cpu\(\)\.numpy\(\)"):
        check_restored(Restored(torch.zeros(1, 23, 34)), problem_of())


# seeds


def test_seeds_come_from_seed_and_stream_alone():
    for seed, stream in ((0, "weights"), (1, "weights"), (0, "observe 25")):
        expected = int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "little") // 2
        assert Run(seed).seed(stream) == Run(seed).seed(stream) == expected
        assert 0 <= expected < 2**63


def test_streams_are_independent():
    seeds = {Run(seed).seed(stream) for seed in range(50) for stream in ("weights", "masks", *map(str, range(20)))}
    assert len(seeds) == 50 * 22
    draws = [Run(seed).generator(stream).standard_normal(4000) for seed in (0, 1) for stream in ("weights", "masks")]
    correlation = np.corrcoef(draws) - np.eye(4)
    assert abs(correlation).max() < 5 / np.sqrt(4000)


def test_using_one_stream_leaves_another():
    run = Run(3)
    run.generator("masks").random(100)
    assert run.generator("weights").random() == Run(3).generator("weights").random()


# the observation clock


@pytest.mark.parametrize(("step", "dense"), [(25, 20), (1, 4), (10, 16), (7, 10)])
def test_clock_thins_out(step, dense):
    clock, limit = Clock(step, dense), 40 * step * dense
    due = [i for i in range(1, limit + 1) if clock.due(i)]
    assert due[:dense] == [step * n for n in range(1, dense + 1)]
    for start in range(step * dense, limit // 2, step):
        count = sum(start < i <= 2 * start for i in due)
        assert dense // 2 <= count <= dense + 1
    gaps = np.diff(due)
    assert (np.diff(gaps) >= 0).all()  # never denser again
    assert set(gaps) <= {step * 2**n for n in range(10)}


def test_clock_can_be_off():
    assert not any(Clock(0).due(i) for i in range(1, 1000))
    assert not any(Run(clock=Clock(1)).due(i) for i in range(1, 100))  # nobody looks


def test_default_run_costs_nothing_and_does_nothing(tmp_path):
    run = Run()
    run.observe(1, lambda: pytest.fail("called"))
    run.sample(answer())
    run.progress(1, 10)
    run.save(b"state")
    assert run.load() is None
    assert not run.checkpoint_due()
    assert list(tmp_path.iterdir()) == []


# time


def test_observing_is_not_timed(now):
    seen = []
    run = Run(clock=Clock(5), on_observe=lambda *point: seen.append(point))

    def estimate():
        now.seconds += 100
        return answer(np.float64)

    for iteration in range(1, 11):
        now.seconds += 1
        if run.due(iteration):
            run.observe(iteration, estimate)
    assert [point[:2] for point in seen] == [(5, 5.0), (10, 10.0)]
    assert seen[0][2].dtype == np.float32
    assert run.elapsed == 10


def test_samples_are_passed_on_untimed(now):
    draws = []

    def keep(image):
        now.seconds += 3
        draws.append(image)

    run = Run(on_sample=keep)
    for _ in range(4):
        now.seconds += 1
        run.sample(answer(np.float64))
    assert len(draws) == 4
    assert run.elapsed == 4


def test_time_is_right_after_an_error_inside(now):
    run = Run()

    def fail():
        with run.untimed():
            now.seconds += 5
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    now.seconds += 1
    assert run.elapsed == 1


def test_progress_is_thinned_but_tells_the_end(now):
    steps = []
    run = Run(on_progress=lambda *step: steps.append(step))
    for done in range(1, 101):
        now.seconds += 0.01
        run.progress(done, 100)
    assert steps[-1] == (100, 100)
    assert 3 <= len(steps) <= 6


# checkpoints


def test_checkpoint_keeps_state_and_time(now, tmp_path):
    path = tmp_path / "work" / "cell" / "checkpoint"
    first = Run(checkpoint=path, checkpoint_seconds=30)
    assert first.load() is None
    now.seconds += 29
    assert not first.checkpoint_due()
    now.seconds += 1
    assert first.checkpoint_due()
    state = bytes(range(256)) * 10
    first.save(state)
    assert not first.checkpoint_due()

    now.seconds += 5000  # cut off, and started again much later
    second = Run(checkpoint=path)
    assert second.elapsed == 0
    assert second.load() == state
    assert second.elapsed == 30
    now.seconds += 2
    assert second.elapsed == 32
    second.save(b"")
    assert Run(checkpoint=path).load() == b""
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint"]


def test_checkpoint_at_every_iteration(tmp_path):
    run = Run(checkpoint=tmp_path / "checkpoint", checkpoint_seconds=0)
    for _ in range(3):
        assert run.checkpoint_due()
        run.save(b"state")


def test_interrupted_save_leaves_the_last_state(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    Run(checkpoint=path).save(b"first")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        Run(checkpoint=path).save(b"second")
    assert Run(checkpoint=path).load() == b"first"


def test_a_checkpoint_whose_header_lost_its_time_is_none(tmp_path):
    path = tmp_path / "checkpoint"
    Run(checkpoint=path).save(b"state")
    assert Run(checkpoint=path).load() == b"state"
    path.write_bytes(path.read_bytes().replace(b'"seconds"', b'"secondz"'))
    assert Run(checkpoint=path).load() is None


def test_saving_is_not_timed(now, tmp_path, monkeypatch):
    def slow(value):
        now.seconds += 7
        return json.dumps(value)

    monkeypatch.setattr(run_module, "json", SimpleNamespace(dumps=slow, loads=json.loads))
    run = Run(checkpoint=tmp_path / "checkpoint")
    now.seconds += 3
    run.save(b"state")
    assert run.elapsed == 3


def test_checkpoint_that_cannot_be_written_costs_nothing_else(tmp_path):
    (tmp_path / "file").write_text("in the way")
    run = Run(checkpoint=tmp_path / "file" / "checkpoint")
    assert run.trouble == ""
    run.save(b"state")
    assert "no checkpoint could be written" in run.trouble
    assert not run.checkpoint_due()  # not again at every iteration


def test_checkpoint_on_request(tmp_path):
    states = []
    run = Run(checkpoint=tmp_path / "checkpoint", checkpoint_seconds=1e9)
    assert not run.checkpoint_due()
    run.request_checkpoint(lambda: states.append(run.load()))
    assert run.checkpoint_due()
    assert states == []
    run.save(b"state")
    assert states == [b"state"]  # called once it is written
    assert not run.checkpoint_due()
    run.save(b"later")
    assert states == [b"state"]


def test_a_checkpoint_asked_of_a_run_that_has_ended_is_not_waited_for(tmp_path):
    told = []
    run = Run(checkpoint=tmp_path / "checkpoint", checkpoint_seconds=1e9)
    run.request_checkpoint(lambda: told.append("on the way"))
    assert told == []
    run.end()
    assert told == ["on the way"]
    run.request_checkpoint(lambda: told.append("at the very end"))
    assert told == ["on the way", "at the very end"]
    run.end()
    assert len(told) == 2


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("identity", Response()),
        ("gamma:2.2", Response("gamma", 2.2)),
        ("gamma:2.2:8bit", Response("gamma", 2.2, bits=8)),
        ("saturation", Response("saturation")),
        ("saturation:8bit", Response("saturation", bits=8)),
        ("saturation:1.9:12bit", Response("saturation", gain=1.9, bits=12)),
        ("identity:8bit", Response(bits=8)),
    ],
)
def test_response_reads_as_on_the_command_line(text, response):
    assert str(response) == text
    assert Response.parse(text) == response


def test_a_checkpoint_that_was_cut_off_counts_as_none(tmp_path):
    path = tmp_path / "checkpoint"
    Run(checkpoint=path).save(b"state" * 100)
    whole = path.read_bytes()
    for length in (0, 3, 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert Run(checkpoint=path).load() is None
    path.write_bytes(whole)
    assert Run(checkpoint=path).load() == b"state" * 100


def test_untimed_blocks_inside_each_other_count_once():
    run = Run()
    with run.untimed():
        with run.untimed():
            np.linalg.svd(np.ones((200, 200)))
        np.linalg.svd(np.ones((200, 200)))
    assert 0 <= run.elapsed < 0.05


# keeping


def test_what_is_kept_is_passed_on_untimed_and_as_it_was(now):
    arrays = {}

    def keep(name, array):
        now.seconds += 5
        arrays[name] = array

    run = Run(keep=("layers",), on_keep=keep)
    assert run.keeps("layers")
    assert not run.keeps("draws")
    maps = np.ones((2, 3, 4))
    half = maps.astype(np.float16)
    run.keep("layer 01", maps)
    run.keep("layer 02", half)
    maps[:], half[:] = 0, 0
    assert {name: array.dtype.name for name, array in arrays.items()} == {"layer 01": "float32", "layer 02": "float16"}
    assert all((array == 1).all() for array in arrays.values())
    assert run.elapsed == 0


def test_a_run_that_keeps_nothing_takes_everything():
    run = Run(keep=("layers",))
    assert not run.keeps("layers")
    run.keep("draws", "anything")


@pytest.mark.parametrize(
    ("name", "array", "error", "reason"),
    [
        ("layer 01", [1.0], TypeError, "layer 01 is list"),
        ("layer 01", np.array(["a"]), TypeError, "layer 01 is <U1"),
        ("draws", np.zeros(3), ValueError, "cannot keep an array as 'draws'"),
        ("file", np.zeros(3), ValueError, "cannot keep an array as 'file'"),
        ("", np.zeros(3), ValueError, "use another name, such as 'layer 01'"),
    ],
)
def test_what_cannot_be_kept_is_refused(name, array, error, reason):
    with pytest.raises(error, match=reason):
        Run(keep=("layers",), on_keep=lambda *_: None).keep(name, array)


def test_a_stored_truth_is_read_at_every_look_and_moved_unread():
    reads = []
    stored = StoredTruth(lambda: reads.append(1) or np.full((1, 2, 3), 0.5), (1, -2), encoded=True)
    moved = stored.moved(3, 4)
    assert reads == []
    assert isinstance(moved, StoredTruth)
    assert (stored.offset, moved.offset, moved.encoded) == ((1, -2), (4, 2), True)
    assert moved.image.shape == stored.image.shape == (1, 2, 3)
    assert len(reads) == 2
    known = Truth(np.zeros((1, 2, 3)), (1, -2), encoded=True).moved(3, 4)
    assert (known.offset, known.encoded, known.image.shape) == ((4, 2), True, (1, 2, 3))
    for truth in (stored, known):
        assert truth.taps is None
        assert truth.moved(0, 0, (3, 5)).moved(1, 1).taps == (3, 5)
