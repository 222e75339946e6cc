"""Networks that end linearly give what x is above its level: what y does not show begins in the middle."""

import numpy as np
import pytest
import torch
from nidbench.methods._above_mean import AboveMean, level

from nidbench.contract import Run
from nidbench.fitting import Estimate, Loss
from nidbench.physics.measure import measure
from nidbench.physics.response import Response
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import MethodSpec, resolve


def problem(*levels: float, response: Response | None = None):
    """Return a surface, of a gray for each channel, behind a blur of half its columns, without noise."""
    kernel = np.zeros((1, 27))
    kernel[0, [0, 26]] = 0.5
    x = np.array(levels)[:, None, None] * np.ones((1, 48, 54))
    return measure(x, kernel, "gaussian:0", key="gray", response=response or Response())


LEVELS = (0.2, 0.45, 0.7)
RESPONSES = pytest.mark.parametrize("response", [Response(), Response("gamma", gamma=2.2)], ids=["linear", "gamma"])


@RESPONSES
@pytest.mark.parametrize("name", ["aseqdip", "inr", "self-diffusion"])
def test_a_border_begins_at_the_level_of_what_is_seen(name, response):
    method = resolve(MethodSpec.parse(f"{name}@smoke"), load_method(methods(), name), None).method
    restored = method.restore(problem(*LEVELS, response=response), Run(0)).image
    border = restored[..., :13].mean((1, 2))
    assert border == pytest.approx(LEVELS, abs=0.2)  # a few tiny steps from the first random weights


@RESPONSES
def test_the_level_is_that_of_x_in_every_channel(response):
    found = level(problem(*LEVELS, response=response)).flatten()
    assert found.tolist() == pytest.approx(LEVELS, abs=1e-6)


class Keeping:
    """An objective that keeps the last x and weighs it."""

    def __init__(self):
        self.kept = torch.zeros(1)

    def draw(self, _generator):
        return torch.zeros(1), lambda x: Loss(x.sum(), x.sum(), x)

    def estimate(self, predict, _generator, _sample):
        return Estimate(predict(torch.zeros(1, 48, 54), None))

    def learn(self, _iteration, x):
        self.kept = x

    def state(self):
        return {"kept": self.kept}

    def load(self, state):
        self.kept = state["kept"]


def test_loss_estimate_and_memory_are_of_the_raised_output():
    inner, output = Keeping(), torch.linspace(-1, 1, 48 * 54).reshape(1, 48, 54)
    objective = AboveMean(inner, torch.full((1, 1, 1), 0.25))
    assert torch.allclose(objective.draw(torch.Generator())[1](output).difference, output + 0.25)
    estimate = objective.estimate(lambda z, _: z - 1, torch.Generator(), None)
    assert torch.allclose(estimate.image, torch.full((1, 48, 54), -0.75))
    objective.learn(1, output)
    assert torch.allclose(objective.state()["kept"], output + 0.25)
    objective.load({"kept": output})
    assert inner.kept is output
