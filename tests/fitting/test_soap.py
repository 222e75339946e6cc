"""SOAP: step by step as an independent implementation, and N networks together as alone."""

import pytest
import torch
from nidbench.methods._layers import Conv, fold, unfold
from pytorch_optimizer import SOAP
from torch import nn

from nidbench.fitting import soap
from nidbench.fitting.fold import Fold
from nidbench.fitting.soap import EVERY, Soap

SHAPES = {
    "convolution": (7, 6, 3, 3),
    "strange kernel": (4, 5, 2, 3),
    "pointwise": (5, 5, 1, 1),
    "line": (6, 4, 5),
    "matrix": (6, 6),
    "vector": (9,),
    "one output": (1, 9, 3, 3),
    "number": (),
}


def gradients(shape, steps, seed=0, scale=1e-3):
    """Yield gradients that turn slowly, and noise on them."""
    generator = torch.Generator().manual_seed(seed)
    slow, fast = (torch.randn(2, *shape, generator=generator, dtype=torch.float64) for _ in range(2))
    for step in range(steps):
        turn = torch.tensor(step / 9, dtype=torch.float64)
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        yield scale * (slow[0] * turn.cos() + slow[1] * turn.sin() + 0.3 * fast[0] + 0.3 * noise)


def start(shape, seed=5):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def descended(parameter, optimizer, slopes, rate=3e-3):
    """Return where a parameter is after every step."""
    way = []
    for slope in slopes:
        parameter.grad = slope.reshape(parameter.shape).clone()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        way.append(parameter.detach().clone())
    return way


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_steps_as_the_implementation_of_a_library(shape, layout):
    mine = start(shape)
    if layout == "channels last" and len(shape) == 4:
        mine = mine.contiguous(memory_format=torch.channels_last)
    # of a convolution the library takes rows and columns for two axes; here taps are one
    theirs = start(shape).flatten(2) if len(shape) > 2 else start(shape)
    mine, theirs = nn.Parameter(mine), nn.Parameter(theirs)
    library = SOAP([theirs], weight_decay=0, precondition_frequency=EVERY, betas=(soap.BETA, soap.BETA))
    way = descended(mine, Soap([mine], 1), gradients(shape, 35))
    for step, (one, other) in enumerate(zip(way, descended(theirs, library, gradients(shape, 35)), strict=True)):
        # the library turns its bases in single precision
        close = 1e-9 if step < EVERY else 1e-5
        torch.testing.assert_close(one.flatten(), other.flatten(), rtol=0, atol=close)
    assert (way[-1] - way[0]).abs().max() > 0.01


def test_the_first_step_moves_nothing():
    parameter = nn.Parameter(start((4, 3, 3, 3)))
    (way,) = descended(parameter, Soap([parameter], 1), gradients((4, 3, 3, 3), 1))
    assert torch.equal(way, start((4, 3, 3, 3)))


def test_bases_stay_orthonormal_and_axes_that_are_long_or_single_have_none(monkeypatch):
    monkeypatch.setattr(soap, "LONGEST", 8)
    vector = nn.Parameter(start((1, 6, 3)))  # 6 inputs by 3 taps: one gradient spans 3 of 6 directions
    few = Soap([vector], 1)
    descended(vector, few, gradients((1, 6, 3), 3))
    assert [name for name in few.state[vector] if name.startswith("basis")] == ["basis 2"]
    parameter = nn.Parameter(start((9, 8, 1, 3)))
    optimizer = Soap([parameter], 1)
    descended(parameter, optimizer, gradients((9, 8, 1, 3), 25))
    state = optimizer.state[parameter]
    bases = {name: value for name, value in state.items() if name.startswith("basis")}
    assert {name: tuple(basis.shape) for name, basis in bases.items()} == {"basis 2": (1, 3, 3), "basis 3": (1, 8, 8)}
    for basis in bases.values():
        torch.testing.assert_close(basis[0] @ basis[0].T, torch.eye(basis.shape[1], dtype=torch.float64))


def test_a_turn_of_the_axes_turns_the_way():
    """What SOAP has over Adam: whoever writes the outputs in another basis gets the same way in that basis."""
    shape = (6, 5, 3, 3)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    plain, turned = nn.Parameter(start(shape)), nn.Parameter((turn @ start(shape).flatten(1)).view(shape))
    slopes = list(gradients(shape, 30, scale=1))
    one = descended(plain, Soap([plain], 1), slopes)[-1]
    other = descended(turned, Soap([turned], 1), [turn @ slope.flatten(1) for slope in slopes])[-1]
    torch.testing.assert_close(turn @ one.flatten(1), other.flatten(1), rtol=0, atol=1e-7)


class Networks(nn.Module):
    """Two layers, N of them folded, in double precision where rounding decides nothing."""

    def __init__(self, *seeds):
        super().__init__()
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.first, self.last = Conv(generators, 4, 5), Conv(generators, 5, 1)
        self.double()

    def forward(self, inputs, _generators):
        return unfold(self.last(torch.sin(self.first(fold(inputs)))), inputs.shape[0])


def folded(*seeds):
    return Fold(Networks(*seeds), len(seeds), "cpu", "float32", "soap")


def descend(fold, seeds, steps, factors=None):
    for step in range(steps):
        drawn = [torch.Generator().manual_seed(100 * seed + step % 3) for seed in seeds]
        inputs = torch.stack([torch.rand(4, 6, 5, generator=g, dtype=torch.float64) for g in drawn])
        x = fold.predict(inputs, [])
        weights = torch.tensor(factors or [1.0] * len(seeds))[:, None, None, None]
        fold.descend((weights * (x - inputs[:, :1])).square().sum(), 1e-2)
    return fold


def assert_same(one, other, place=0, where=0):
    mine, theirs = one.state(place), other.state(where)
    for name, tensor in mine.tensors.items():
        torch.testing.assert_close(tensor, theirs.tensors[name], rtol=0, atol=1e-6)
    assert {name: sorted(memory) for name, memory in mine.memory.items()} == {
        name: sorted(memory) for name, memory in theirs.memory.items()
    }


def test_networks_together_descend_as_alone():
    together = descend(folded(1, 2, 3), (1, 2, 3), 24)
    for place, seed in enumerate((1, 2, 3)):
        assert_same(together, descend(folded(seed), (seed,), 24), place)


def test_those_that_are_kept_and_those_that_join_go_on_as_before():
    one, two = descend(folded(1, 2), (1, 2), 13), descend(folded(3), (3,), 13)
    fold = folded(7)
    fold.put([two.state(0), one.state(1)])
    descend(fold, (3, 2), 12)
    for place, seed in enumerate((3, 2)):
        alone = descend(folded(seed), (seed,), 13)
        alone.put([alone.state(0)])
        assert_same(fold, descend(alone, (seed,), 12), place)


@pytest.mark.parametrize("step", [1, 2, EVERY + 1])
def test_a_network_whose_gradient_is_not_finite_takes_none_along(step):
    fold = descend(folded(1, 2), (1, 2), step - 1)
    descend(fold, (1, 2), 1, factors=[float("nan"), 1.0])
    assert not torch.isfinite(fold.tensors(0)["first.weight"]).all() or step == 1
    fold.keep([1])
    alone = descend(descend(folded(2), (2,), step - 1), (2,), 1)
    assert_same(descend(fold, (2,), 12), descend(alone, (2,), 12))
