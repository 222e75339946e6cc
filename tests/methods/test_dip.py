"""DIP: its network against one written plainly, after the authors' description; its input, loss and length."""

import numpy as np
import pytest
import torch
from nidbench.methods import _effort
from nidbench.methods._effort import paper_iterations
from nidbench.methods._skip import Skips
from nidbench.methods.dip import DIP
from torch import nn

from nidbench.contract import Noise, Problem, Run, check_restored
from nidbench.errors import InputError
from nidbench.physics.measure import measure


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem_of(channels=1, height=30, width=26, sigma=0.05, kernel=(3, 5), key="dip"):
    sharp = np.random.Generator(np.random.Philox(1)).random((channels, height, width))
    return measure(sharp, np.ones(kernel), f"gaussian:{sigma}", key=key)


def fixed_input(method, problem, run):
    return method.recipe(problem).objective(problem, run)


class PlainSkip(nn.Module):
    """The authors' network in plain modules, for one image: lists of layers, five scales written as a loop."""

    def __init__(self, inputs, channels):
        super().__init__()
        self.skips, self.downs, self.ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for scale in range(5):
            width = inputs if scale == 0 else 128
            self.skips.append(self.layer(width, 4, 1, 1))
            self.downs.append(nn.Sequential(self.layer(width, 128, 3, 2), self.layer(128, 128, 3, 1)))
            self.ups.append(nn.Sequential(nn.BatchNorm2d(132), self.layer(132, 128, 3, 1), self.layer(128, 128, 1, 1)))
        self.last = nn.Conv2d(128, channels, 1)
        self.train()

    @staticmethod
    def layer(inputs, outputs, size, stride):
        pad = nn.ReflectionPad2d(size // 2)
        return nn.Sequential(pad, nn.Conv2d(inputs, outputs, size, stride), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))

    def forward(self, z):
        maps, beside = z, []
        for skip, down in zip(self.skips, self.downs, strict=True):
            beside.append(skip(maps))
            maps = down(maps)
        for up in reversed(self.ups):
            maps = nn.Upsample(scale_factor=2, mode="bilinear")(maps)
            maps = up(self.centre_crop_and_concatenate([beside.pop(), maps]))
        return torch.sigmoid(self.last(maps))

    @staticmethod
    def centre_crop_and_concatenate(maps):
        height, width = min(m.shape[2] for m in maps), min(m.shape[3] for m in maps)
        cut = []
        for m in maps:
            top, left = (m.shape[2] - height) // 2, (m.shape[3] - width) // 2
            cut.append(m[:, :, top : top + height, left : left + width])
        return torch.cat(cut, 1)

    def names_in_skips(self):
        """Pair every parameter with the name of its counterpart in `Skips`."""
        below = ""
        for scale in range(5):
            deeper = f"scales{below}"
            yield from self.of_layer(self.skips[scale], f"{deeper}.skip")
            for n in range(2):
                yield from self.of_layer(self.downs[scale][n], f"{deeper}.down.{n}")
            yield from self.of(self.ups[scale][0], f"{deeper}.up.0")
            for n in (1, 2):
                yield from self.of_layer(self.ups[scale][n], f"{deeper}.up.{n}")
            below += ".down.2"
        yield from self.of(self.last, "last")

    def of_layer(self, layer, name):
        yield from self.of(layer[1], f"{name}.conv")
        yield from self.of(layer[2], f"{name}.norm")

    @staticmethod
    def of(module, name):
        yield f"{name}.weight", module.weight
        yield f"{name}.bias", module.bias


def folded_copy(plains, channels):
    """Return `Skips` with the weights of plain networks; normalisation gets weights that differ from 1 and 0."""
    folded = Skips([generator() for _ in plains], 32, channels)
    own = dict(folded.named_parameters())
    named = [dict(plain.names_in_skips()) for plain in plains]
    assert set(named[0]) == set(own)
    with torch.no_grad():
        for seed, names in enumerate(named):
            for name, parameter in names.items():
                if ".norm." in name or ".up.0." in name:
                    parameter += 0.3 * torch.rand(parameter.shape, generator=generator(seed))
        for name, parameter in own.items():
            parameter.copy_(torch.cat([names[name] for names in named]))
    return folded


@pytest.mark.parametrize(("channels", "parameters"), [(1, 2_217_573), (3, 2_217_831)])
def test_the_network_has_the_authors_number_of_parameters(channels, parameters):
    network = Skips([generator()], 32, channels)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert not list(network.buffers())  # no running statistics


@pytest.mark.parametrize(("channels", "size"), [(1, (64, 48)), (3, (37, 45)), (1, (35, 33))])
def test_the_network_is_the_authors(channels, size):
    # in double precision: in single, rounding alone reaches 1e-4 with some weights on some processors
    plains = [PlainSkip(32, channels) for _ in range(2)]
    folded = folded_copy(plains, channels).double()
    plains = [plain.double() for plain in plains]
    z = torch.rand((2, 32, *size), generator=generator()).double()
    found = folded(z, None)
    assert found.shape == (2, channels, *size)
    for n, plain in enumerate(plains):
        torch.testing.assert_close(found[n : n + 1], plain(z[n : n + 1]), atol=1e-9, rtol=0)


def test_gradients_are_those_of_the_plain_network():
    # in double precision: in single, rounding alone reaches 1e-3 of the small gradients
    plains = [PlainSkip(32, 1) for _ in range(2)]
    folded = folded_copy(plains, 1).double()
    plains = [plain.double() for plain in plains]
    z = torch.rand((2, 32, 35, 33), generator=generator()).double()
    folded(z, None).square().mean((1, 2, 3)).sum().backward()
    own = dict(folded.named_parameters())
    for n, plain in enumerate(plains):
        plain(z[n : n + 1]).square().mean().backward()
        for name, parameter in plain.names_in_skips():
            torch.testing.assert_close(own[name].grad.chunk(2)[n], parameter.grad, atol=1e-8, rtol=1e-5)


def test_folded_networks_descend_as_alone():
    """In double precision, where rounding decides nothing; see the comment at the preset `smoke`."""
    z = torch.rand((2, 32, 32, 40), generator=generator()).double()
    together, alone = Skips([generator(1), generator(2)], 32, 1).double(), Skips([generator(2)], 32, 1).double()
    for network, inputs in ((together, z), (alone, z[1:])):
        adam = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
        for _ in range(3):
            adam.zero_grad()
            (network(inputs) - 0.2).square().mean((1, 2, 3)).sum().backward()
            adam.step()
    torch.testing.assert_close(together(z)[1:], alone(z[1:]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (13, 12), (17, 16), (18, 35)])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_small_frames_of_any_size_work(size, precision):
    problem = problem_of(3, *size, kernel=(1, 1))
    restored = check_restored(DIP(iterations=2).restore(problem, Run(precision=precision)), problem)
    assert restored.image.shape == (3, *size)


def test_z_is_fixed_and_the_runs_own():
    problem = problem_of()
    z = fixed_input(DIP(), problem, Run(seed=3)).z
    assert z.shape == (32, *problem.frame)
    assert 0 <= z.min() < 0.001
    assert 0.099 < z.max() <= 0.1
    assert torch.equal(z, fixed_input(DIP(), problem, Run(seed=3)).z)
    assert not torch.equal(z, fixed_input(DIP(), problem, Run(seed=4)).z)


@pytest.mark.parametrize("reg_noise", [0.0, 0.03])
def test_every_draw_adds_noise_to_z(reg_noise):
    fit = fixed_input(DIP(reg_noise=reg_noise), problem_of(), Run())
    draw = generator()
    added = torch.stack([fit.draw(draw)[0] - fit.z for _ in range(3)])
    assert added.std().item() == pytest.approx(reg_noise, rel=0.02)
    assert torch.equal(added[0], added[1]) == (reg_noise == 0)


def test_the_loss_is_the_mean_square_over_all_of_y():
    problem = problem_of(3)
    fit = fixed_input(DIP(), problem, Run())
    x = torch.rand((3, *problem.frame), generator=generator())
    _, loss = fit.draw(generator())
    expected = (problem.operator().predict(x) - torch.from_numpy(problem.blurred)).square().mean()
    assert loss(x).value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss(x).residual.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_estimate_is_the_network_at_noisy_z_of_the_stream_given():
    fit = fixed_input(DIP(), problem_of(), Run())
    shown = []

    def predict(network_input, generator):
        assert generator is None
        shown.append(network_input)
        return network_input[:1]

    fit.estimate(predict, generator(5), None)
    assert torch.equal(shown[0], fit.draw(generator(5))[0])
    assert not torch.equal(shown[0], fit.z)


def test_fitting_lowers_the_residual():
    problem = problem_of(sigma=0.01)
    first = DIP(iterations=1).restore(problem, Run())
    last = DIP(iterations=20).restore(problem, Run())
    operator = problem.operator()

    def residual(restored):
        return (operator.predict(torch.from_numpy(restored.image)) - operator.blurred).square().mean().item()

    assert residual(last) < 0.8 * residual(first)
    assert (last.iterations, last.stopped) == (20, "iterations")


@pytest.mark.parametrize(
    ("sigma", "iterations"),
    [
        *((level, 10_000) for level in (0, 0.005, 0.01, 0.017)),
        *((level, 6000) for level in (0.018, 0.03, 0.038)),
        *((level, 4000) for level in (0.039, 0.05, 0.5)),
    ],
)
def test_the_papers_length_follows_the_noise_level(sigma, iterations):
    assert paper_iterations(sigma) == iterations
    problem = problem_of(sigma=sigma)
    assert DIP().recipe(problem).schedule.iterations == iterations
    assert DIP(share=0.1).recipe(problem).schedule.iterations == iterations // 10
    assert DIP(iterations=7).recipe(problem).schedule.iterations == 7


def test_side_by_side_each_has_the_length_of_its_own_noise(monkeypatch):
    monkeypatch.setattr(_effort, "PAPER_ITERATIONS", {0.01: 3, 0.03: 2, 0.05: 1})
    problems = [problem_of(sigma=sigma, key=f"{sigma}") for sigma in (0.01, 0.05, 0.01)]
    outcomes = DIP(lr=1e-8).restore_many(problems, [Run(seed=n) for n in range(3)])
    assert [outcome.iterations for outcome in outcomes] == [3, 1, 3]
    for n, (problem, outcome) in enumerate(zip(problems, outcomes, strict=True)):
        alone = DIP(lr=1e-8).restore(problem, Run(seed=n))
        assert abs(alone.image - outcome.image).max() < 1e-3  # 4e-5 by rounding alone; another seed is 0.4 away


def test_stops_at_the_noise_level_if_asked():
    problem = problem_of()
    easy = Problem(problem.blurred, problem.kernel, Noise("gaussian", 2.0))
    restored = DIP(iterations=50, stop="noise-level").restore(easy, Run())
    assert (restored.iterations, restored.stopped) == (1, "noise level")


@pytest.mark.parametrize("rule", ["smoothed-noise-level", "windowed-variance"])
def test_takes_any_stopping_rule(rule):
    problem = problem_of()
    easy = Problem(problem.blurred, problem.kernel, Noise("gaussian", 2.0))
    restored = DIP(iterations=200, lr=1e-9, stop=rule, window=3, patience=2).restore(easy, Run())
    assert restored.stopped == rule.replace("-", " ")
    assert restored.iterations < 200


@pytest.mark.parametrize(
    "settings",
    [
        {"stop": "early"},
        {"reg_noise": -0.1},
        {"share": 0.0},
        {"share": 1.5},
        {"iterations": 0},
        {"lr": 0.0},
        {"window": 1},
    ],
)
def test_refuses_impossible_settings(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        DIP(**settings)
