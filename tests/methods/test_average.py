"""Methods that sample weights: their means in closed form, their noise against another way to the same step."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from nidbench.methods._average import Averaged
from nidbench.methods.asgld import ASGLD
from nidbench.methods.sgld_dip import SGLDDIP
from torch import nn

from nidbench.contract import Noise, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Estimate, Fold, seeded
from nidbench.fitting.member import Member
from nidbench.fitting.stopping import Stop


class Last:
    def draw(self, *_):
        return torch.zeros(1), None

    def estimate(self, *_):
        return Estimate(torch.full((1, 1, 1), 9.0))


def shown(averaged):
    return averaged.estimate(None, None, None).image.item()


@pytest.mark.parametrize(("burn_in", "every", "counted"), [(0, 1, range(1, 8)), (3, 1, range(4, 8)), (1, 3, (4, 7))])
def test_the_mean_is_of_what_counts(burn_in, every, counted):
    averaged = Averaged(Last(), burn_in, every)
    values = {i: float(i**2) for i in range(1, 8)}
    for i, value in values.items():
        averaged.learn(i, torch.full((1, 1, 1), value))
        so_far = [values[j] for j in counted if j <= i]
        assert shown(averaged) == pytest.approx(np.mean(so_far) if so_far else 9.0)
    other = Averaged(Last(), burn_in, every)
    other.load(averaged.state())
    for each in (averaged, other):
        each.learn(1 + burn_in + 10 * every - 1, torch.full((1, 1, 1), -40.0))
    assert shown(other) == shown(averaged) < np.mean([values[j] for j in counted])


def test_what_is_shown_does_not_change_with_the_next():
    averaged, x = Averaged(Last(), 0, 1), torch.ones(1, 1, 1)
    averaged.learn(1, x)
    x.zero_()
    assert shown(averaged) == 1


@pytest.mark.parametrize("method", [SGLDDIP, ASGLD])
def test_settings_without_meaning_are_refused(method):
    for burn_in in (-0.1, 1.0, math.nan):
        with pytest.raises(InputError, match="burn_in"):
            method(burn_in=burn_in)
    with pytest.raises(InputError, match=r"weight_noise|momentum_noise"):
        method(**{"weight_noise" if method is SGLDDIP else "momentum_noise": -1.0})


def test_other_settings_without_meaning_are_refused():
    with pytest.raises(InputError, match="every=0"):
        SGLDDIP(every=0)
    with pytest.raises(InputError, match="momentum of Adam; use adam"):
        ASGLD(optimizer="soap")


@pytest.mark.parametrize("method", [SGLDDIP, ASGLD])
def test_iterations_of_the_authors_and_in_proportion_to_those_of_the_paper(method):
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    for level, factor in ((0.05, 1), (0.03, 1.5), (0.01, 2.5)):
        problem = Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", level))
        assert method().recipe(problem).schedule.iterations == 20_000
        assert replace(method(), noise_scaled=True).recipe(problem).schedule.iterations == 20_000 * factor


def net(count=1):
    """A convolution of each network, biases and all, in one module."""
    generator = torch.Generator().manual_seed(3)
    conv = nn.Conv2d(2, 6 * count, 3, groups=1)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return conv


def member(seed):
    run = Run(seed)
    return Member(None, run, Stop().start(), seeded(run, "training"))


def test_sgld_adds_two_rates_of_noise_to_convolutions_alone_each_network_its_own():
    fold = Fold(net(2), 2, "cpu", "float32")
    before = copy.deepcopy(fold.tensors(0)), copy.deepcopy(fold.tensors(1))
    fold.rate = 0.05
    SGLDDIP().disturb(1, fold, [member(0), member(1)])
    moved = [{name: fold.tensors(n)[name] - before[n][name] for name in before[n]} for n in (0, 1)]
    for n, each in enumerate(moved):
        assert not each["bias"].any()
        wanted = 0.1 * torch.randn(each["weight"].shape, generator=seeded(Run(n), "training"))
        assert torch.allclose(each["weight"], wanted, atol=1e-6)


class NoisyAdam(torch.optim.Optimizer):
    """Adam as its paper has it, with noise beside the momentum of each step."""

    def __init__(self, parameters, rate, noise, generator):
        super().__init__(parameters, {})
        self.rate, self.noise, self.generator, self.steps = rate, noise, generator, 0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for parameter in self.param_groups[0]["params"]:
            memory = self.state[parameter]
            m = 0.9 * memory.get("m", 0) + 0.1 * parameter.grad
            v = 0.999 * memory.get("v", 0) + 0.001 * parameter.grad**2
            memory["m"], memory["v"] = m, v
            noisy = m + 0.1 * self.noise * torch.randn(parameter.shape, generator=self.generator)
            corrected = noisy / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
            parameter.sub_(self.rate * corrected[0] / (corrected[1].sqrt() + 1e-8))


def test_asgld_steps_by_adam_with_noise_in_its_momentum():
    method, theirs = ASGLD(momentum_noise=0.3), net().double()
    fold, alone = Fold(net().double(), 1, "cpu", "float32"), member(4)
    noisy = NoisyAdam(theirs.parameters(), 0.01, 0.3, seeded(Run(4), "training"))
    inputs = torch.randn(1, 2, 7, 6, generator=torch.Generator().manual_seed(5)).double()
    first = [each.detach().clone() for each in theirs.parameters()]
    for iteration in range(1, 6):
        fold.descend(fold.networks(inputs).square().mean(), 0.01)
        method.disturb(iteration, fold, [alone])
        noisy.zero_grad()
        theirs(inputs).square().mean().backward()
        noisy.step()
    for mine, wanted, begun in zip(fold.networks.parameters(), theirs.parameters(), first, strict=True):
        assert torch.allclose(mine, wanted, atol=1e-8)
        assert (wanted - begun).abs().max() > 0.02
