"""The fitting engine: schedules and stops in closed form; N fits at once are N fits alone, whatever happens to some."""

import io
import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from nidbench.methods._layers import Conv, Dropout, fold, unfold
from nidbench.methods.bpdip import BPDIP
from nidbench.methods.ddec import DDec
from nidbench.methods.dikp import DIKP
from nidbench.methods.dip import DIP
from nidbench.methods.ours import Ours
from nidbench.methods.selfdeblur_nonblind import SelfDeblurNonblind
from torch import nn
from torch.nn import functional as F

from nidbench.contract import Clock, Noise, Run
from nidbench.errors import InputError, UnstableError
from nidbench.fitting import Estimate, Loss, Recipe, Schedule, Stop, fit, fit_one, seeded
from nidbench.fitting.fits import held_out
from nidbench.fitting.member import Member
from nidbench.physics.measure import measure

FRAME = (24, 20)


class Cut(BaseException):
    """Ends a run at a checkpoint."""


class CutRun(Run):
    """A run that checkpoints after every iteration and is cut off after the last of some saves."""

    def __init__(self, seed, path, last=None, **rest):
        super().__init__(seed, checkpoint=path, checkpoint_seconds=0, **rest)
        self.last, self.saves = last, 0

    def save(self, state):
        super().save(state)
        self.saves += 1
        if self.saves == self.last:
            raise Cut


class Networks(nn.Module):
    """Two convolutions with dropout between, N of them folded."""

    def __init__(self, generators, channels=1):
        super().__init__()
        self.first = Conv(generators, 4, 6)
        self.dropout = Dropout(len(generators), 6, 0.25)
        self.last = Conv(generators, 6, channels, padding="reflect")

    def forward(self, inputs, generators):
        maps = F.leaky_relu(self.first(fold(inputs)), 0.1)
        return torch.sigmoid(unfold(self.last(self.dropout(maps, generators)), inputs.shape[0]))


@dataclass
class Plain:
    """Noisy fixed input, mean squared residual; fails where it is told to."""

    problem: object
    run: Run
    fails_in: str = ""
    draws: int = 0

    def __post_init__(self):
        self.operator = self.problem.operator()
        self.z = torch.rand((4, *self.problem.frame), generator=seeded(self.run, "input"))

    def draw(self, generator):
        self.draws += 1
        if self.fails_in == "draw" and self.draws == 3:
            raise RuntimeError("no draw")
        return self.z + 0.1 * torch.randn(self.z.shape, generator=generator), self.loss

    def loss(self, x):
        if self.fails_in == "loss" and self.draws == 3:
            raise RuntimeError("no loss")
        difference = self.operator.predict(x) - self.operator.blurred
        residual = difference.square().mean()
        return Loss(residual, residual, difference)

    def estimate(self, predict, generator, sample):
        if self.fails_in == ("estimate" if sample else "observation"):
            raise RuntimeError("no estimate")
        images = [predict(self.draw(generator)[0], generator) for _ in range(2)]
        for image in images if sample else ():
            sample(image.numpy())
        return Estimate(torch.stack(images).mean(0), torch.stack(images).var(0))


def plain(fails=None, **parts):
    """A recipe of the plain parts; `fails` maps seeds of runs to where their objective fails."""
    fails = fails or {}
    values = {"schedule": Schedule(8, 1e-2), **parts}
    return Recipe(networks=Networks, objective=lambda p, run: Plain(p, run, fails.get(run.seed("x"), "")), **values)


def adapting(iteration, fold, members):
    """Give every neuron a ratio that depends on its own network's weights, every second iteration."""
    if iteration % 2 == 0:
        count, networks = len(members), fold.networks
        bias = networks.first.bias.detach().reshape(count, 6, 1, 1)
        ratios = (0.25 + bias).clamp(0, 0.5).expand(count, 6, *FRAME)
        networks.dropout.set_ratios(ratios.reshape(count * 6, *FRAME), torch.float32)
        for n, member in enumerate(members):
            member.log.setdefault("ratio", []).append(round(ratios[n].mean().item(), 4))


def problem_of(kernel=(5, 5), level=0.05, key="a", channels=1, frame=FRAME):
    sharp = np.random.Generator(np.random.Philox(len(key))).random((channels, *frame)) * 0.5 + 0.25
    return measure(sharp, np.ones(kernel), f"gaussian:{level}", key=key)


def three():
    return [problem_of((5, 5), key="a"), problem_of((3, 6), key="bb"), problem_of((1, 1), key="ccc")]


def runs(count=3):
    return [Run(seed) for seed in range(count)]


def gap(one, other):
    return float(abs(one.image - other.image).max())


# schedules


def test_a_constant_rate_stays():
    assert {Schedule(50, 1e-3).rate(i) for i in range(1, 51)} == {1e-3}


def test_warming_up_is_linear():
    schedule = Schedule(50, 1e-3, warmup=10)
    np.testing.assert_allclose([schedule.rate(i) for i in range(1, 11)], np.arange(1, 11) * 1e-4)
    assert schedule.rate(11) == 1e-3


def test_a_cosine_falls_from_the_rate_to_almost_nothing():
    schedule = Schedule(109, 2e-3, warmup=10, decay="cosine")
    rates = np.array([schedule.rate(i) for i in range(10, 110)])
    np.testing.assert_allclose(rates, 1e-3 * (1 + np.cos(np.pi * np.arange(100) / 100)))
    assert rates[0] == 2e-3
    assert 0 < rates[-1] < 1e-6


def test_steps_are_thirty_of_a_tenth_each():
    """As DeepRED's authors have it: x 0.9 after every thousandth of 30,000 iterations."""
    schedule = Schedule(30_000, 0.004, decay="steps")
    rates = [schedule.rate(i) / 0.004 for i in (1, 1000, 1001, 2000, 2001, 30_000)]
    assert rates == pytest.approx([1, 1, 0.9, 0.9, 0.81, 0.9**29])


def test_halving_halves_at_seventy_eighty_and_ninety_percent():
    schedule = Schedule(1000, 0.01, decay="halving")
    rates = [schedule.rate(i) for i in (1, 700, 701, 800, 801, 900, 901, 1000)]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025, 0.00125, 0.00125])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": 0}, "iterations=0"),
        ({"lr": 0.0}, "lr=0"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"lr": float("inf")}, "lr=inf"),
        ({"warmup": -1}, "warmup=-1: give iterations, or 0"),
        ({"decay": "linear"}, "decay='linear': use constant, cosine, halving, early-halving or steps"),
    ],
)
def test_impossible_schedules_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Schedule(**{"iterations": 5, "lr": 1e-3, **settings})


# stops


def test_the_noise_level_is_asked_for_only_where_it_is_needed():
    def sigma(_problem):
        raise RuntimeError("asked")

    assert fit_one(plain(sigma=sigma), three()[0], Run()).iterations == 8
    with pytest.raises(RuntimeError, match="asked"):
        fit_one(plain(sigma=sigma, stop=Stop("noise-level")), three()[0], Run())


# one


def test_fitting_lowers_the_residual_and_says_how_it_ended():
    noisy = problem_of((1, 1))
    problem = replace(noisy, blurred=np.full_like(noisy.blurred, 0.75))  # soon fitted: to a fortieth of the first
    operator = problem.operator()

    def residual(iterations):
        found = fit_one(plain(schedule=Schedule(iterations, 1e-2)), problem, Run())
        assert (found.iterations, found.stopped) == (iterations, "iterations")
        return (operator.predict(torch.from_numpy(found.image)) - operator.blurred).square().mean().item()

    assert residual(60) < 0.4 * residual(1)


def test_observing_and_sampling_change_nothing():
    seen, samples, progress = [], [], []
    run = Run(
        0,
        clock=Clock(2),
        on_observe=lambda iteration, _, image: seen.append((iteration, image.shape)),
        on_sample=samples.append,
        on_progress=lambda done, planned: progress.append((done, planned)),
    )
    watched = fit_one(plain(adapt=adapting), three()[0], run)
    assert watched.image.tobytes() == fit_one(plain(adapt=adapting), three()[0], Run(0)).image.tobytes()
    assert seen == [(i, (1, *FRAME)) for i in (2, 4, 6, 8)]
    np.testing.assert_allclose(np.mean(samples, 0), watched.image, atol=1e-6)
    assert progress[-1] == (8, 8)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_gets_the_same_bytes(mode):
    usual = fit_one(plain(adapt=adapting), three()[0], Run())
    with mode():
        found = fit_one(plain(adapt=adapting), three()[0], Run())
        assert not torch.is_grad_enabled()
    assert found.image.tobytes() == usual.image.tobytes()


def test_what_adaptation_notes_is_kept():
    assert len(fit_one(plain(adapt=adapting), three()[0], Run()).details["ratio"]) == 3


# side by side


# SOAP's bases turn what rounding does into other steps: at 1e-2 the gap is up to 1.5e-4, at this rate below 1e-6
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 1e-2), ("soap", 1e-3)])
@pytest.mark.parametrize("adapt", [None, adapting])
def test_together_equals_alone(adapt, optimizer, rate):
    recipe = plain(schedule=Schedule(20, rate, 3, "cosine"), adapt=adapt, optimizer=optimizer)
    together = fit(recipe, three(), runs())
    for problem, run, found in zip(three(), runs(), together, strict=True):
        alone = fit_one(recipe, problem, run)
        assert gap(found, alone) < 1e-4
        np.testing.assert_allclose(found.variance, alone.variance, atol=1e-4)
        assert found.details == alone.details
    assert gap(together[0], together[1]) > 0.01


@pytest.mark.parametrize("optimizer", ["adam", "soap"])
def test_state_of_a_methods_own_lasts_beside_others_and_over_an_interruption(tmp_path, optimizer):
    """Noise on the weights, as large as the optimizer's own steps, and an average of the weights in a buffer."""
    recipe = plain(schedule=Schedule(8, 1e-3), adapt=wandering, optimizer=optimizer)
    recipe = replace(recipe, networks=Averaged)
    whole = [fit_one(recipe, problem, run) for problem, run in zip(three(), runs(), strict=True)]
    for alone, beside in zip(whole, fit(recipe, three(), runs()), strict=True):
        assert gap(alone, beside) < 1e-4
    for last in (1, 5):
        with pytest.raises(Cut):
            fit_one(recipe, three()[0], CutRun(0, tmp_path / f"{last}", last))
        assert fit_one(recipe, three()[0], CutRun(0, tmp_path / f"{last}")).image.tobytes() == whole[0].image.tobytes()
    assert gap(whole[0], fit_one(replace(recipe, adapt=None), three()[0], Run(0))) > 1e-3


class Averaged(Networks):
    """Networks whose estimates come from the average of their last weights."""

    def __init__(self, generators):
        super().__init__(generators)
        self.register_buffer("average", self.last.weight.detach().clone())

    def forward(self, inputs, generators):
        if generators is not None:
            return super().forward(inputs, generators)
        maps = F.leaky_relu(self.first(fold(inputs)), 0.1)
        groups = inputs.shape[0]
        return torch.sigmoid(unfold(F.conv2d(maps, self.average, padding=1, groups=groups), groups))


def wandering(iteration, fold, members):
    """Noise by the size of the optimizer's second moments, member by member from streams of their own."""
    weight = fold.networks.last.weight
    remembered = fold.optimizer.state[weight].get("exp_avg_sq")
    size = 0.0 if remembered is None else 0.1 * remembered.mean().sqrt() / (1 + remembered.mean().sqrt())
    noise = [
        torch.randn(weight[: len(weight) // len(members)].shape, generator=m.stream(f"w {iteration}")) for m in members
    ]
    with torch.no_grad():
        weight += 1e-2 * torch.cat(noise) + 0 * size
        fold.networks.average.lerp_(weight, 0.3)


@pytest.mark.parametrize(("channels", "optimizer"), [(1, "adam"), (3, "adam"), (1, "soap")])
def test_together_equals_alone_for_the_papers_network(channels, optimizer):
    method = Ours(iterations=20, stop="iterations", adapt_every=8, adapt_draws=2, passes=2, optimizer=optimizer)
    problems = [problem_of(size, key=f"{size}", channels=channels) for size in ((5, 5), (3, 6), (7, 2))]
    together = method.restore_many(problems, runs())
    for problem, run, found in zip(problems[:2], runs(), together, strict=False):
        assert gap(found, method.restore(problem, run)) < 1e-4


def test_a_fit_that_is_not_finite_leaves_the_others():
    problems = three()
    problems[1] = replace(problems[1], blurred=np.full_like(problems[1].blurred, 1e30))
    outcomes = fit(plain(), problems, runs())
    assert isinstance(outcomes[1], UnstableError)
    assert "after 1 iteration" in str(outcomes[1])
    for n in (0, 2):
        assert gap(outcomes[n], fit_one(plain(), problems[n], Run(n))) < 1e-4


@pytest.mark.parametrize("place", ["draw", "loss", "estimate", "observation"])
@pytest.mark.parametrize("failing", [(1,), (0, 2), (0, 1, 2)])
def test_an_objective_that_raises_takes_no_other_along(place, failing):
    recipe = plain({Run(n).seed("x"): place for n in failing}, adapt=adapting)
    watched = [Run(n, clock=Clock(4), on_observe=lambda *_: None) for n in range(3)]
    outcomes = fit(recipe, three(), watched)
    for n, outcome in enumerate(outcomes):
        if n in failing:
            assert isinstance(outcome, RuntimeError)
        else:
            assert gap(outcome, fit_one(plain(adapt=adapting), three()[n], Run(n))) < 1e-4


def test_an_objective_that_cannot_be_made_takes_no_other_along():
    def objective(problem, run):
        if problem.kernel.shape == (3, 6):
            raise ValueError("not this kernel")
        return Plain(problem, run)

    outcomes = fit(replace(plain(), objective=objective), three(), runs())
    assert [type(outcome).__name__ for outcome in outcomes] == ["Restored", "ValueError", "Restored"]


def test_alone_a_failure_is_raised():
    recipe = plain({Run(0).seed("x"): "loss"})
    with pytest.raises(RuntimeError, match="no loss"):
        fit_one(recipe, three()[0], Run(0))


def stopping_at(counts):
    """A stop whose threshold is the iteration to stop after, and the noise level that gives each problem its own."""

    class AtIteration:
        best = None

        def __init__(self, threshold):
            self.count, self.threshold = 0, threshold

        def update(self, _residual, _x, _difference):
            self.count += 1
            return "told to" if self.count >= self.threshold else None

        def state(self):
            return {"count": self.count}

    class Told(Stop):
        def start(self, threshold):
            return AtIteration(threshold)

    levels = {problem.kernel.shape: math.sqrt(count) - 5e-4 for problem, count in zip(three(), counts, strict=True)}
    return {"stop": Told("noise-level"), "sigma": lambda problem: levels[problem.kernel.shape] - 1e-9}


@pytest.mark.parametrize("counts", [(3, 8, 5), (8, 2, 8), (5, 5, 8), (4, 4, 4)])
def test_each_stops_when_it_is_done_and_the_others_go_on(counts):
    recipe = plain(adapt=adapting, **stopping_at(counts))
    outcomes = fit(recipe, three(), runs())
    assert [outcome.iterations for outcome in outcomes] == list(counts)
    for n, outcome in enumerate(outcomes):
        alone = fit_one(recipe, three()[n], Run(n))
        assert gap(outcome, alone) < 1e-4
        assert outcome.details == alone.details


def test_who_asks_all_for_a_checkpoint_does_not_wait_for_those_that_are_done(tmp_path):
    answered = {}

    class Asked(Run):
        """Asks all for a checkpoint after the last one's fifth iteration, when the first is done."""

        def progress(self, done, planned):
            super().progress(done, planned)
            if self is asked[-1] and done == 5:
                for n, run in enumerate(asked):
                    run.request_checkpoint(partial(answered.setdefault, n, "saved" if n else "done"))
            elif done == 7:
                assert answered == {0: "done", 1: "saved", 2: "saved"}

    asked = [Asked(n, checkpoint=tmp_path / str(n), checkpoint_seconds=1e9) for n in range(3)]
    outcomes = fit(plain(**stopping_at((3, 8, 8))), three(), asked)
    assert [outcome.iterations for outcome in outcomes] == [3, 8, 8]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_the_papers_ratios_survive_when_a_neighbour_stops():
    """Adapted ratios, one for each neuron, are taken out of the fold with their network."""
    method = Ours(iterations=7, adapt_every=2, adapt_draws=2, passes=2, adapt_scaling="rank")
    recipe = replace(method.recipe(three()[0]), **stopping_at((3, 7, 5)))
    outcomes = fit(recipe, three(), runs())
    assert [outcome.iterations for outcome in outcomes] == [3, 7, 5]
    for n, outcome in enumerate(outcomes):
        alone = fit_one(recipe, three()[n], Run(n))
        assert gap(outcome, alone) < 1e-3  # a rank that rounding swaps moves a ratio by 1/256
        assert len(outcome.details["ratio_quantiles"]) == len(alone.details["ratio_quantiles"])


def test_unequal_frames_devices_or_precisions_are_refused():
    with pytest.raises(InputError, match="one frame, device and precision"):
        fit(plain(), [three()[0], problem_of((5, 5), frame=(22, 20))], runs(2))
    with pytest.raises(InputError, match="one frame, device and precision"):
        fit(plain(), three()[:2], [Run(0), Run(1, precision="bf16")])


def test_nothing_to_fit_is_nothing():
    assert fit(plain(), [], []) == []


def test_reduced_precision_stays_near():
    whole, reduced = (fit_one(plain(), three()[0], Run(0, precision=p)) for p in ("float32", "bf16"))
    assert 0 < gap(whole, reduced) < 0.05
    assert reduced.image.dtype == np.float32


# interrupted


@pytest.mark.parametrize(
    ("optimizer", "last"), [("adam", 1), ("adam", 2), ("adam", 5), ("adam", 7), ("soap", 1), ("soap", 5)]
)
def test_resuming_changes_no_byte(tmp_path, optimizer, last):
    schedule, stop = Schedule(8, 1e-2, 2, "cosine"), Stop("smoothed-noise-level", 5)
    recipe = plain(schedule=schedule, adapt=adapting, stop=stop, optimizer=optimizer)
    recipe = replace(recipe, sigma=lambda _: 1e-3)
    whole = fit_one(recipe, three()[0], Run(0))
    with pytest.raises(Cut):
        fit_one(recipe, three()[0], CutRun(0, tmp_path / "c", last))
    resumed = fit_one(recipe, three()[0], CutRun(0, tmp_path / "c"))
    assert resumed.image.tobytes() == whole.image.tobytes()
    assert resumed.variance.tobytes() == whole.variance.tobytes()
    assert (resumed.iterations, resumed.stopped, resumed.details) == (8, "iterations", whole.details)


def test_the_smoothed_stop_remembers_over_an_interruption(tmp_path):
    recipe = replace(plain(stop=Stop("smoothed-noise-level", memory=8)), sigma=lambda _: 2.0)
    whole = fit_one(recipe, three()[0], Run(0))
    assert (whole.iterations, whole.stopped) == (6, "smoothed noise level")  # 1 - (7/8)^6 > 0.5
    with pytest.raises(Cut):
        fit_one(recipe, three()[0], CutRun(0, tmp_path / "c", 4))
    assert fit_one(recipe, three()[0], CutRun(0, tmp_path / "c")).iterations == 6


WINDOWED = Stop("windowed-variance", window=3, patience=2)


def test_the_windowed_variance_returns_the_network_of_its_minimum():
    """A rate that explodes: the iterates move most in the end, and the quietest ones come back."""
    recipe = plain(schedule=Schedule(30, 0.3, warmup=30), adapt=adapting, stop=WINDOWED)
    found = fit_one(recipe, three()[0], Run(0))
    (returned,) = found.details["returned"]
    assert (found.iterations, found.stopped) == (returned + 2, "windowed variance")
    at_minimum = replace(recipe, schedule=Schedule(returned, 0.3 * returned / 30, warmup=returned), stop=Stop())
    assert found.image.tobytes() == fit_one(at_minimum, three()[0], Run(0)).image.tobytes()


HOLDS_OUT = Stop("held-out", window=3, margin=1)
RULES_OF_ITERATES = pytest.mark.parametrize("stop", [WINDOWED, HOLDS_OUT], ids=lambda stop: stop.rule)


@RULES_OF_ITERATES
@pytest.mark.parametrize("last", [2, 4])
def test_rules_of_iterates_remember_over_an_interruption(tmp_path, stop, last):
    recipe = plain(schedule=Schedule(60, 0.3, warmup=60), adapt=adapting, stop=stop)
    whole = fit_one(recipe, three()[0], Run(0))
    with pytest.raises(Cut):
        fit_one(recipe, three()[0], CutRun(0, tmp_path / "c", last))
    resumed = fit_one(recipe, three()[0], CutRun(0, tmp_path / "c"))
    assert resumed.image.tobytes() == whole.image.tobytes()
    assert (resumed.iterations, resumed.details) == (whole.iterations, whole.details)


@RULES_OF_ITERATES
def test_rules_of_iterates_look_at_each_network_beside_others(stop):
    recipe = plain(schedule=Schedule(30, 0.1, warmup=30), stop=stop)
    for n, found in enumerate(fit(recipe, three(), runs())):
        alone = fit_one(recipe, three()[n], Run(n))
        assert found.details == alone.details
        assert gap(found, alone) < 1e-3


def held_out_changed(problem, run):
    """Return a problem whose y is another one where pixels are held out, and only there."""
    held = held_out(problem, run).numpy()
    assert 0 < held.mean() < 0.15
    return replace(problem, blurred=np.where(held, problem.blurred + 0.3, problem.blurred))


def test_what_is_held_out_changes_no_network():
    recipe = plain(schedule=Schedule(9, 1e-2), stop=replace(HOLDS_OUT, window=50), adapt=adapting)
    problem = three()[0]
    found = fit_one(recipe, problem, Run(0))
    other = fit_one(recipe, held_out_changed(problem, Run(0)), Run(0))
    assert other.image.tobytes() == found.image.tobytes()
    assert fit_one(replace(recipe, stop=Stop()), problem, Run(0)).image.tobytes() != found.image.tobytes()


@pytest.mark.parametrize("method", [DIP, DIKP, DDec])
def test_methods_do_not_see_what_is_held_out(method):
    fitted = method(iterations=3, stop="held-out", window=50)
    problem = problem_of(frame=(40, 36))
    found = fitted.restore(problem, Run(0))
    assert fitted.restore(held_out_changed(problem, Run(0)), Run(0)).image.tobytes() == found.image.tobytes()


def test_the_paper_s_seeds_show_what_is_held_out_but_no_loss_asks_for_it():
    """The network's input is y, as always; so the noise of a held-out pixel cannot be what it learns to return."""
    recipe = Ours(iterations=1, stop="held-out", adapt_every=0).recipe(problem_of())
    objective = recipe.objective(problem_of(), Run(0))
    member = Member(objective, Run(0), recipe.stop.start(), seeded(Run(0), "training"), held_out(problem_of(), Run(0)))
    x = torch.full((1, *problem_of().frame), 0.5, requires_grad=True)
    loss = objective.draw(member.generator)[1](x)
    member.see(loss)
    (slope,) = torch.autograd.grad(loss.value, loss.difference)
    assert not slope[member.held].any()
    assert slope[~member.held].any()
    assert member.shown(loss).tolist() == loss.difference[member.held].tolist()


def test_held_out_pixels_end_a_fit_that_takes_on_noise():
    recipe = plain(schedule=Schedule(60, 0.3, warmup=60), adapt=adapting, stop=HOLDS_OUT)
    found = fit_one(recipe, three()[0], Run(0))
    assert found.stopped == "held-out pixels"
    assert 4 < found.iterations < 60


@pytest.mark.parametrize("method", [BPDIP, SelfDeblurNonblind])
def test_a_loss_that_cannot_leave_pixels_out_is_refused(method):
    with pytest.raises(InputError, match="stop=held-out: the loss of this method cannot leave pixels out"):
        method(iterations=2, stop="held-out").restore(problem_of(frame=(40, 36)), Run(0))


def test_inspection_surrounds_the_final_estimate_of_each():
    seen = []

    @contextmanager
    def inspect(networks, run):
        seen.append((type(networks).__name__, run))
        yield

    lent = runs()
    fit(plain(inspect=inspect), three(), lent)
    assert seen == [("Networks", run) for run in lent]


def test_resuming_together_at_the_same_iteration(tmp_path):
    recipe, problems = plain(adapt=adapting), three()[:2]
    whole = fit(recipe, problems, runs(2))
    with pytest.raises(Cut):
        fit(recipe, problems, [CutRun(0, tmp_path / "0"), CutRun(1, tmp_path / "1", 3)])
    resumed = fit(recipe, problems, [CutRun(n, tmp_path / f"{n}") for n in range(2)])
    for one, other in zip(whole, resumed, strict=True):
        assert one.image.tobytes() == other.image.tobytes()
        assert one.details == other.details


def test_resuming_together_at_different_iterations(tmp_path):
    recipe, problems = plain(adapt=adapting), three()
    for n, last in ((0, 2), (1, 5)):
        with pytest.raises(Cut):
            fit_one(recipe, problems[n], CutRun(n, tmp_path / f"{n}", last))
    resumed = fit(recipe, problems, [CutRun(n, tmp_path / f"{n}") for n in range(3)])
    for n, found in enumerate(resumed):
        assert found.image.tobytes() == fit_one(recipe, problems[n], Run(n)).image.tobytes()


def test_a_checkpoint_written_beside_others_serves_alone(tmp_path):
    recipe, problems = plain(adapt=adapting), three()[:2]
    with pytest.raises(Cut):
        fit(recipe, problems, [CutRun(0, tmp_path / "0"), CutRun(1, tmp_path / "1", 4)])
    resumed = fit_one(recipe, problems[0], CutRun(0, tmp_path / "0"))
    assert gap(resumed, fit_one(recipe, problems[0], Run(0))) < 1e-4


def test_a_checkpoint_of_another_optimizer_is_refused_and_kept(tmp_path):
    recipe, path = plain(), tmp_path / "c"
    with pytest.raises(Cut):
        fit_one(recipe, three()[0], CutRun(0, path, 3))
    kept = path.read_bytes()
    with pytest.raises(InputError, match="a fit by optimizer=adam, this one has optimizer=soap: go on with"):
        fit_one(replace(recipe, optimizer="soap"), three()[0], CutRun(0, path))
    assert path.read_bytes() == kept
    assert (
        fit_one(recipe, three()[0], CutRun(0, path)).image.tobytes()
        == fit_one(recipe, three()[0], Run(0)).image.tobytes()
    )


def test_a_checkpoint_from_before_there_were_optimizers_is_one_of_adam(tmp_path):
    recipe, path = plain(), tmp_path / "c"
    with pytest.raises(Cut):
        fit_one(recipe, three()[0], CutRun(0, path, 3))
    run, content = Run(0, checkpoint=path), io.BytesIO()
    saved = torch.load(io.BytesIO(run.load()), weights_only=True)
    del saved["optimizer"]
    torch.save(saved, content)
    run.save(content.getvalue())
    assert (
        fit_one(recipe, three()[0], CutRun(0, path)).image.tobytes()
        == fit_one(recipe, three()[0], Run(0)).image.tobytes()
    )


def test_an_optimizer_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="optimizer='sgd': use adam or soap"):
        plain(optimizer="sgd")
    with pytest.raises(InputError, match="optimizer='sgd': use adam or soap"):
        Ours(optimizer="sgd")


def test_a_checkpoint_that_cannot_be_read_fails_alone(tmp_path):
    CutRun(0, tmp_path / "0").save(b"not a checkpoint")
    outcomes = fit(plain(), three()[:2], [CutRun(0, tmp_path / "0"), Run(1)])
    assert isinstance(outcomes[0], Exception)
    assert gap(outcomes[1], fit_one(plain(), three()[1], Run(1))) < 1e-4


def test_streams_of_a_run_are_its_own():
    draws = [torch.rand(4, generator=seeded(Run(seed), name)) for seed, name in ((0, "a"), (0, "b"), (1, "a"))]
    assert torch.equal(draws[0], torch.rand(4, generator=seeded(Run(0), "a")))
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_a_declared_noise_level_sets_the_threshold():
    problem = replace(three()[0], noise=Noise("gaussian", 3.0))
    found = fit_one(plain(stop=Stop("noise-level")), problem, Run())
    assert (found.iterations, found.stopped) == (1, "noise level")


def test_the_curve_ends_with_what_is_returned():
    seen = []
    run = Run(seed=0, clock=Clock(4), on_observe=lambda iteration, _, image: seen.append((iteration, image)))
    restored = fit_one(plain(schedule=Schedule(10, 1e-2)), problem_of(), run)
    assert [iteration for iteration, _ in seen] == [4, 8, 10]
    assert np.array_equal(seen[-1][1], restored.image)


# an objective that keeps something between iterations


@dataclass
class Following(Plain):
    """Draws the mean of all x so far into its input, and returns that mean: it would notice any that is lost."""

    def __post_init__(self):
        super().__post_init__()
        self.mean, self.count = torch.zeros((1, *self.problem.frame)), 0

    def draw(self, generator):
        z, loss = super().draw(generator)
        return torch.cat([z[:3], self.mean]), loss

    def learn(self, iteration, x):
        assert not x.requires_grad
        self.count += 1
        assert iteration == self.count
        if self.fails_in == "learning" and iteration == 3:
            raise RuntimeError("nothing learnt")
        self.mean = self.mean + (x - self.mean) / self.count

    def state(self):
        return {"mean": self.mean, "count": torch.tensor(self.count)}

    def load(self, state):
        self.mean, self.count = state["mean"], int(state["count"])

    def estimate(self, *_):
        return Estimate(self.mean)


def following(fails=None, **parts):
    fails = fails or {}
    return replace(plain(**parts), objective=lambda p, run: Following(p, run, fails.get(run.seed("x"), "")))


def test_what_objectives_keep_is_each_one_s_own():
    problems = three()
    alone = [fit_one(following(), problem, run) for problem, run in zip(problems, runs(), strict=True)]
    together = fit(following(), problems, runs())
    assert max(gap(a, b) for a, b in zip(alone, together, strict=True)) < 1e-5
    seen = fit_one(following(), problems[0], Run(0, clock=Clock(3, 10**9), on_observe=lambda *_: None))
    assert np.array_equal(seen.image, alone[0].image)


def test_one_that_cannot_keep_takes_nobody_along():
    problems = three()
    alone = [fit_one(following(), problem, run) for problem, run in zip(problems, runs(), strict=True)]
    first, failed, last = fit(following({Run(1).seed("x"): "learning"}), problems, runs())
    assert str(failed) == "nothing learnt"
    assert max(gap(first, alone[0]), gap(last, alone[2])) < 1e-5


@pytest.mark.parametrize("stop", [Stop(), Stop("lowest-residual"), Stop("windowed-variance", window=2, patience=9)])
def test_what_is_kept_stands_in_checkpoints(tmp_path, stop):
    recipe, problem = following(stop=stop), problem_of()
    whole = fit_one(recipe, problem, Run(5))
    for last in (1, 4, 7):
        path = tmp_path / str(last)
        with pytest.raises(Cut):
            fit_one(recipe, problem, CutRun(5, path, last))
        assert np.array_equal(fit_one(recipe, problem, CutRun(5, path)).image, whole.image)


def test_who_goes_back_to_a_network_goes_back_to_what_was_kept_then():
    """The residual is lowest in the beginning, as the rate is far too high: the mean is of the x until then."""
    recipe = following(stop=Stop("lowest-residual"), schedule=Schedule(8, 3.0))
    found = fit_one(recipe, problem_of(), Run(5))
    (returned,) = found.details["returned"]
    assert returned < 8
    short = fit_one(replace(recipe, stop=Stop(), schedule=Schedule(returned, 3.0)), problem_of(), Run(5))
    assert np.array_equal(found.image, short.image)


def test_a_fold_knows_its_rate_when_networks_have_left():
    seen = []
    schedule = Schedule(6, 1e-2, warmup=3)
    recipe = plain({Run(1).seed("x"): "loss"}, schedule=schedule, adapt=lambda _i, fold, _m: seen.append(fold.rate))
    fit(recipe, three(), runs())
    assert seen == [schedule.rate(i) for i in range(1, 6)]  # after the last, all have ended
