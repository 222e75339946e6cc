"""One plain module fitted by the engine: as an ordinary loop would, interrupted, watched and stopped as any method."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from nidbench.contract import Clock, Noise, Run
from nidbench.errors import InputError, UnstableError
from nidbench.fitting import Schedule, Stop, fit_network
from nidbench.physics.measure import measure

FRAME = (24, 20)
SCHEDULE = Schedule(6, 1e-2, warmup=2, decay="cosine")


class Cut(BaseException):
    """Ends a run at a checkpoint."""


class CutRun(Run):
    """A run that checkpoints after every iteration and is cut off after the last of some saves."""

    def __init__(self, path, last=None):
        super().__init__(0, checkpoint=path, checkpoint_seconds=0)
        self.last, self.saves = last, 0

    def save(self, state):
        super().save(state)
        self.saves += 1
        if self.saves == self.last:
            raise Cut


class Tied(nn.Module):
    """Two convolutions that share their weights."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(2))
        self.second.weight = self.first.weight

    def forward(self, maps):
        return self.second(torch.relu(self.first(maps)))


class NowAndThen(nn.Module):
    """A branch that is taken in about half of the passes, as torch's generator decides."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Conv2d(8, 8, 1)

    def forward(self, maps):
        return maps + self.branch(maps) if torch.rand(()) < 0.5 else maps


class Frozen(nn.Module):
    """A convolution that is not fitted beside one that is never used."""

    def __init__(self):
        super().__init__()
        self.fixed, self.idle = nn.Conv2d(8, 8, 3, padding=1).requires_grad_(False), nn.Conv2d(8, 8, 1)

    def forward(self, maps):
        return self.fixed(maps)


class Deep(nn.Module):
    """A convolution along channels, too: its weights have five dimensions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, maps):
        return self.conv(maps[:, None])[:, 0]


PARTS = {
    "nothing": nn.Identity,
    "dropout": lambda: nn.Dropout(0.3),
    "dropout of channels": lambda: nn.Dropout2d(0.3),
    "shared weights": Tied,
    "spectral norm": lambda: spectral_norm(nn.Conv2d(8, 8, 3, padding=1)),
    "a branch now and then": NowAndThen,
    "frozen weights": Frozen,
    "five dimensions": Deep,
}


def network(part="nothing", channels=1, seed=0):
    """A plain network from 4 to so many channels, with batch normalisation and one more part."""
    torch.manual_seed(seed)  # noqa: TID251 - as the harness does before a cell
    first = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(0.1))
    return nn.Sequential(first, PARTS[part](), nn.Conv2d(8, channels, 3, padding=1), nn.Sigmoid())


def problem_of(channels=1, level=0.02):
    sharp = np.random.Generator(np.random.Philox(3)).random((channels, *FRAME)) * 0.5 + 0.25
    return measure(sharp, np.ones((3, 4)), f"gaussian:{level}", key="one network")


def seed_image(size=FRAME):
    return torch.rand((1, 4, *size), generator=torch.Generator().manual_seed(5))


def fitted(run=None, part="nothing", problem=None, schedule=SCHEDULE, **parts):
    run, problem = run or Run(), problem or problem_of()
    return fit_network(problem, run, network(part), seed_image(), schedule=schedule, **parts)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_what_an_ordinary_loop_gives(channels):
    # weights in double precision: in single, rounding decides where Adam steps by gradients that are almost 0
    problem, plain, z = problem_of(channels), network(channels=channels).double(), seed_image().double()
    operator = problem.operator()
    adam = torch.optim.Adam(plain.parameters())
    for i in range(1, 7):
        for group in adam.param_groups:
            group["lr"] = SCHEDULE.rate(i)
        adam.zero_grad()
        (operator.predict(plain(z)[0].float()) - operator.blurred).square().mean().backward()
        adam.step()
    restored = fit_network(problem, Run(), network(channels=channels).double(), z, schedule=SCHEDULE)
    np.testing.assert_allclose(restored.image, plain(z)[0].detach(), atol=1e-5)
    before = network(channels=channels).double()(z)[0].detach().numpy()
    assert abs(restored.image - before).max() > 0.01
    assert (restored.iterations, restored.stopped, restored.variance) == (6, "iterations", None)


def test_the_module_holds_the_weights_of_the_last_iteration():
    mine = network()
    restored = fit_network(problem_of(), Run(), mine, seed_image(), schedule=SCHEDULE)
    np.testing.assert_allclose(mine(seed_image())[0].detach(), restored.image, atol=1e-6)
    assert mine.training


def test_another_loss_is_descended_on_and_the_stop_goes_by_the_residual():
    dark = fitted(loss=lambda x: x.square().mean(), schedule=Schedule(40, 0.05))
    assert dark.image.max() < 0.1
    loud = replace(problem_of(), noise=Noise("gaussian", 2.0))
    restored = fitted(problem=loud, loss=lambda x: 1e6 + x.square().mean(), stop=Stop("noise-level"))
    assert (restored.iterations, restored.stopped) == (1, "noise level")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("last", [1, 4])
def test_resumed_equals_uninterrupted(part, last, tmp_path):
    whole = fitted(part=part, jitter=0.1)
    with pytest.raises(Cut):
        fitted(CutRun(tmp_path / "c", last), part, jitter=0.1)
    torch.rand(7)  # wherever the global generator is
    resumed = fitted(CutRun(tmp_path / "c"), part, jitter=0.1)
    assert resumed.image.tobytes() == whole.image.tobytes()
    assert resumed.iterations == whole.iterations


@pytest.mark.parametrize("part", PARTS)
def test_observing_changes_nothing(part):
    seen, progress = [], []
    run = Run(
        clock=Clock(2),
        on_observe=lambda iteration, _, image: seen.append((iteration, image)),
        on_progress=lambda *done: progress.append(done),
    )
    watched = fitted(run, part, schedule=Schedule(5, 1e-2))
    assert watched.image.tobytes() == fitted(part=part, schedule=Schedule(5, 1e-2)).image.tobytes()
    assert [iteration for iteration, _ in seen] == [2, 4, 5]
    assert np.array_equal(seen[-1][1], watched.image)
    assert progress[-1] == (5, 5)


def test_dropout_acts_while_it_fits_and_not_in_the_estimate():
    class Noted(nn.Dropout):
        def forward(self, maps):
            seen.append(self.training)
            return super().forward(maps)

    seen = []
    PARTS["noted"] = lambda: Noted(0.5)
    try:
        fitted(part="noted", schedule=Schedule(3, 1e-2))
    finally:
        del PARTS["noted"]
    assert seen == [True, True, True, False]
    assert fitted(part="dropout").image.tobytes() != fitted().image.tobytes()


def test_what_the_network_draws_follows_the_seed_of_the_run():
    images = [fitted(Run(seed), "dropout").image for seed in (0, 0, 1)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_global_generators_are_left_alone():
    mine = network("dropout")
    before = torch.get_rng_state()
    fit_network(problem_of(), Run(), mine, seed_image(), schedule=SCHEDULE)
    assert torch.equal(torch.get_rng_state(), before)


def test_jitter_is_noise_on_the_seed_image_afresh_in_every_iteration():
    class Noting(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Conv2d(4, 1, 1)

        def forward(self, z):
            seen.append(z.detach() - seed_image())
            return self.last(z)

    seen = []
    fit_network(problem_of(), Run(), Noting(), seed_image(), schedule=Schedule(3, 1e-3), jitter=0.2)
    *training, estimate = seen
    assert [round(float(noise.std()), 1) for noise in training] == [0.2, 0.2, 0.2]
    assert not torch.equal(training[0], training[1])
    assert not estimate.any()


def test_a_larger_output_is_cropped_to_the_frame():
    larger = fit_network(problem_of(), Run(), network(), seed_image((32, 24)), schedule=SCHEDULE)
    assert larger.image.shape == (1, *FRAME)
    before = network()(seed_image((32, 24)))[0, :, : FRAME[0], : FRAME[1]].detach().numpy()
    still = fit_network(problem_of(), Run(), network(), seed_image((32, 24)), schedule=Schedule(1, 1e-9))
    np.testing.assert_allclose(still.image, before, atol=1e-5)


@pytest.mark.parametrize("rule", ["noise-level", "smoothed-noise-level", "windowed-variance"])
def test_any_stopping_rule_ends_it(rule):
    loud = replace(problem_of(), noise=Noise("gaussian", 2.0))
    stop = Stop(rule, memory=3, window=3, patience=2)
    restored = fitted(problem=loud, schedule=Schedule(200, 1e-9), stop=stop)
    assert restored.stopped == rule.replace("-", " ")
    assert restored.iterations < 200


def test_the_lowest_residual_returns_an_earlier_network(tmp_path):
    unsteady = {"schedule": Schedule(8, 1.0, warmup=8), "stop": Stop("lowest-residual")}
    whole = fitted(**unsteady)
    (returned,) = whole.details["returned"]
    assert returned < 8
    shorter = fitted(schedule=Schedule(returned, returned / 8, warmup=returned))
    assert whole.image.tobytes() == shorter.image.tobytes()
    with pytest.raises(Cut):
        fitted(CutRun(tmp_path / "c", returned + 1), **unsteady)
    assert fitted(CutRun(tmp_path / "c"), **unsteady).image.tobytes() == whole.image.tobytes()


def test_a_fit_that_is_not_finite_raises():
    bright = problem_of()
    bright = replace(bright, blurred=np.full_like(bright.blurred, 1e30))
    with pytest.raises(UnstableError, match="after 1 iteration"):
        fitted(problem=bright)


def test_reduced_precision_stays_near():
    gap = abs(fitted().image - fitted(Run(precision="bf16")).image).max()
    assert 0 < gap < 0.05


@pytest.mark.parametrize(
    ("size", "channels", "message"),
    [((8, 8), 1, r"returned shape \(1, 1, 8, 8\): return \(1, 1, 24, 20\)"), (FRAME, 3, r"returned shape \(1, 3, 24")],
)
def test_an_output_of_another_shape_is_refused(size, channels, message):
    with pytest.raises(InputError, match=message):
        fit_network(problem_of(), Run(), network(channels=channels), seed_image(size), schedule=SCHEDULE)


@pytest.mark.parametrize("image", [torch.rand(4, *FRAME), torch.rand(2, 4, *FRAME)])
def test_a_seed_image_of_another_shape_is_refused(image):
    with pytest.raises(InputError, match=r"give \(1, C_in, H_in, W_in\)"):
        fit_network(problem_of(), Run(), network(), image, schedule=SCHEDULE)


@pytest.mark.parametrize("jitter", [-0.1, float("nan"), float("inf")])
def test_impossible_jitter_is_refused(jitter):
    with pytest.raises(InputError, match="jitter="):
        fitted(jitter=jitter)
