"""SelfDeblur: it uses no more of the kernel than its size; its loss and its kernel's network against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nidbench.methods._similarity import similarities
from nidbench.methods.selfdeblur import SLOWER, ImagesAndKernels, SelfDeblur
from scipy.signal import convolve2d

from nidbench.api.restoring import restore
from nidbench.compute.child.worker import Worker
from nidbench.compute.messages import MethodFacts, Resolve
from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError
from nidbench.fitting import seeded
from nidbench.physics.measure import measure
from nidbench.registry.method_spec import MethodSpec

SIZE = (5, 3)


@pytest.fixture
def problem():
    sharp = np.random.default_rng(0).random((1, 40, 36)) * 0.5 + 0.25
    return measure(sharp, np.arange(1.0, 16).reshape(SIZE), "gaussian:0.01", key="blind")


def test_it_does_not_peek(problem):
    method = SelfDeblur(iterations=2, lr=1e-3)
    hidden = method.restore(SelfDeblur.info.given(problem), Run()).image
    assert np.array_equal(method.restore(problem, Run()).image, hidden)


def test_a_blind_method_is_given_the_size_alone(problem):
    seen = []

    class Peeking:
        info = MethodInfo("peeking", blind=True)

        def restore(self, problem, _run):
            seen.append(problem.kernel)
            return Restored(problem.operator().tapered.numpy())

    restore(Peeking(), problem.blurred[0], problem.kernel, noise="gaussian:0.01")
    given = Peeking.info.given(problem)
    for kernel in (*seen, given.kernel):
        np.testing.assert_allclose(kernel, np.full(SIZE, 1 / 15))
    assert given.blurred is problem.blurred
    assert MethodInfo("open").given(problem) is problem


def test_tables_say_so():
    facts = Worker().answer(Resolve(MethodSpec("selfdeblur"), None, None))
    assert isinstance(facts, MethodFacts)
    assert "blind: it is given the size of the kernel, nothing else of it" in facts.note


def objective_of(method, problem):
    return method._recipe(problem, {}).objective(problem, Run())


def test_the_loss_is_that_of_both_networks_and_changes_once(problem):
    objective = objective_of(SelfDeblur(iterations=10, squares=0.2), problem)
    draw = np.random.default_rng(1)
    x, kernel = draw.random((1, *problem.frame)), draw.random(SIZE)
    both = torch.from_numpy(np.concatenate([x, np.zeros_like(x)]))
    both[1, : SIZE[0], : SIZE[1]] = torch.from_numpy(kernel)
    difference = convolve2d(x[0], kernel, "valid") - problem.blurred[0]
    predicted = torch.from_numpy(difference + problem.blurred[0])[None].float()
    dissimilar = 1 - float(similarities(predicted, torch.from_numpy(problem.blurred)).mean())
    both = both.float()
    for iteration in range(1, 5):
        loss = objective.draw(seeded(Run(), "training"))[1](both)
        assert float(loss.residual) == pytest.approx((difference**2).mean(), rel=1e-5)
        wanted = (difference**2).mean() if iteration <= 2 else dissimilar
        assert float(loss.value) == pytest.approx(wanted, rel=1e-4)
        objective.learn(iteration, both)
    other = objective_of(SelfDeblur(iterations=10, squares=0.2), problem)
    other.load(objective.state())
    assert float(other.draw(seeded(Run(), "training"))[1](both).value) == pytest.approx(dissimilar, rel=1e-4)


def test_the_kernel_is_a_softmax_of_a_small_network_and_moves_by_a_hundredth():
    networks = ImagesAndKernels([torch.Generator().manual_seed(n) for n in (1, 2)], 1, SIZE)
    with torch.no_grad():
        networks.first_change.normal_(generator=torch.Generator().manual_seed(3))
        networks.last_change.normal_(generator=torch.Generator().manual_seed(4))
    both = networks(torch.zeros(2, 8, 33, 32)).detach().numpy()
    for n in (0, 1):
        first, last = (
            (begun[n] + 0.01 * change[n].detach()).numpy().astype(np.float64)
            for begun, change in ((networks.first, networks.first_change), (networks.last, networks.last_change))
        )
        hidden = np.clip(networks.noise[n].numpy() @ first[:-1] + first[-1], 0, 6)
        raised = np.exp(hidden @ last[:-1] + last[-1])
        corner = both[n, 1, : SIZE[0], : SIZE[1]]
        np.testing.assert_allclose(corner, (raised / raised.sum()).reshape(SIZE), atol=1e-5)
        assert both[n, 1].sum() == pytest.approx(1, abs=1e-5)
    assert SLOWER == 0.01
    assert 0 <= networks.noise.min() < networks.noise.max() <= 0.1


def kernel_of(networks):
    return networks(torch.zeros(1, 8, 33, 32))[0, 1, : SIZE[0], : SIZE[1]]


def test_what_descends_has_the_gradient_of_the_weights_themselves():
    """A hundredth of it would be lost in the 1e-8 that Adam adds to its size, and the kernel would hardly move."""
    networks = ImagesAndKernels([torch.Generator().manual_seed(1)], 1, SIZE)
    kernel_of(networks)[0, 0].backward()
    first, last = networks.first.clone().requires_grad_(), networks.last.clone().requires_grad_()
    hidden = torch.nn.functional.relu6(networks.noise @ first[0, :-1] + first[0, -1])
    (hidden @ last[0, :-1] + last[0, -1]).softmax(-1)[0, 0].backward()
    torch.testing.assert_close(networks.first_change.grad, first.grad, atol=1e-9, rtol=1e-3)
    torch.testing.assert_close(networks.last_change.grad, last.grad, atol=1e-9, rtol=1e-3)


def test_the_kernel_does_not_know_of_a_lower_precision():
    networks = ImagesAndKernels([torch.Generator().manual_seed(1)], 1, SIZE)
    with torch.no_grad():
        networks.last_change.normal_(0, 500, generator=torch.Generator().manual_seed(2))
        precise = kernel_of(networks)
        with torch.autocast("cpu", torch.bfloat16):
            coarse = kernel_of(networks)
    assert precise.max() > 0.3
    torch.testing.assert_close(coarse, precise, atol=1e-6, rtol=1e-5)


def test_the_kernel_is_in_the_details_and_sums_to_one(problem):
    restored = SelfDeblur(iterations=2).restore(problem, Run())
    assert np.shape(restored.details["kernel"]) == SIZE
    assert np.sum(restored.details["kernel"]) == pytest.approx(1, abs=1e-4)
    wide = replace(problem, kernel=np.full((3, 5), 1 / 15), blurred=problem.blurred[:, :34, :30].copy())
    narrow = Problem(problem.blurred[:, :32, :32].copy(), problem.kernel, problem.noise)
    outcomes = SelfDeblur(iterations=2).restore_many([wide, narrow], [Run(0), Run(1)])
    assert [np.shape(each.details["kernel"]) for each in outcomes] == [(3, 5), SIZE]


def test_the_kernel_is_kept_where_the_run_asks_for_it(problem):
    kept = {}
    run = Run(keep=("kernel",), on_keep=kept.__setitem__)
    details = SelfDeblur(iterations=2).restore(problem, run).details
    np.testing.assert_allclose(kept["kernel"], details["kernel"], atol=1e-6)
    assert kept["kernel"].dtype == np.float32
    silent = Run(keep=("draws",), on_keep=kept.__setitem__)
    kept.clear()
    SelfDeblur(iterations=2).restore(problem, silent)
    assert not kept


def test_settings_without_meaning_are_refused():
    for settings in ({"squares": -0.1}, {"squares": 1.5}):
        with pytest.raises(InputError, match=next(iter(settings))):
            SelfDeblur(**settings)


def test_pixels_that_ssim_mixes_are_not_held_out(problem):
    with pytest.raises(InputError, match="SSIM mixes pixels"):
        SelfDeblur(stop="held-out").restore(problem, Run())


def test_the_rate_is_halved_three_times_early():
    schedule = (
        SelfDeblur()._recipe(measure(np.ones((1, 19, 19)), np.ones((3, 3)), "gaussian:0.01", key="b"), {}).schedule
    )
    assert [schedule.rate(i) for i in (2000, 2001, 3000, 3001, 4001, 5000)] == [
        0.01,
        0.005,
        0.005,
        0.0025,
        0.00125,
        0.00125,
    ]
