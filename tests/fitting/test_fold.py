"""Networks in one module: what is taken out and put in, elsewhere or among others, descends as if it had stayed."""

import pytest
import torch
from nidbench.methods._layers import Conv, fold, unfold
from torch import nn

from nidbench.fitting.fold import Fold


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


class Networks(nn.Module):
    """One convolution and a buffer, N of them folded, in double precision where rounding decides nothing."""

    def __init__(self, *seeds):
        super().__init__()
        self.conv = Conv(generators(*seeds), 2, 1)
        self.register_buffer("gain", torch.tensor([1.0 + seed for seed in seeds]).reshape(-1, 1, 1, 1))
        self.double()

    def forward(self, inputs, _generators):
        return self.gain * unfold(self.conv(fold(inputs)), inputs.shape[0])


def folded(*seeds, optimizer="adam"):
    return Fold(Networks(*seeds), len(seeds), "cpu", "float32", optimizer)


def inputs_of(*seeds):
    return torch.stack([torch.rand(2, 5, 6, generator=g) for g in generators(*seeds)]).double()


def descend(fold, *seeds, steps=1):
    for _ in range(steps):
        x = fold.predict(inputs_of(*seeds), [])
        fold.descend((x - 0.3).square().mean((1, 2, 3)).sum(), 0.01)
    return fold


def same(one, other, place=0, where=0):
    """Whether the networks at two places of two folds are the same, with what the optimizer remembers."""
    mine, theirs = one.state(place), other.state(where)
    assert mine.tensors.keys() == theirs.tensors.keys()
    assert mine.memory.keys() == theirs.memory.keys()
    pairs = [(mine.tensors[name], theirs.tensors[name]) for name in mine.tensors]
    pairs += [(mine.memory[name][key], theirs.memory[name][key]) for name in mine.memory for key in theirs.memory[name]]
    return all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_a_fold_descends_as_its_networks_alone():
    together = descend(folded(1, 2, 3), 1, 2, 3, steps=4)
    for place, seed in enumerate((1, 2, 3)):
        assert same(together, descend(folded(seed), seed, steps=4), place)
    assert not same(together, together, 0, 1)


@pytest.mark.parametrize("kept", [(0, 2), (1,), (2, 0), (0, 1, 2)])
def test_those_that_are_kept_go_on_as_before(kept):
    fold = descend(folded(1, 2, 3), 1, 2, 3, steps=2)
    fold.keep(kept)
    seeds = [(1, 2, 3)[place] for place in kept]
    descend(fold, *seeds, steps=2)
    assert fold.count == len(kept)
    for place, seed in enumerate(seeds):
        assert same(fold, descend(folded(seed), seed, steps=4), place)


def test_networks_from_several_folds_go_on_together():
    one, two = descend(folded(1), 1, steps=3), descend(folded(5, 2), 5, 2, steps=3)
    fold = folded(7, 8)
    fold.put([one.state(0), two.state(1)])
    descend(fold, 1, 2)
    assert same(fold, descend(one, 1))
    assert same(fold, descend(two, 5, 2), 1, 1)


def test_a_network_is_a_function_of_its_tensors():
    fold = folded(1, 2)
    z = inputs_of(4)[0]
    alone = fold.predict_alone(fold.tensors(1), z, None)
    torch.testing.assert_close(alone, folded(2).predict(z[None], [])[0])
    assert alone.dtype == torch.float32


def test_what_is_not_fitted_stays_so_and_is_no_part_of_the_optimizers_memory():
    fold = folded(1)
    fold.networks.conv.bias.requires_grad_(False)
    descend(fold, 1)
    assert set(fold.state(0).memory) == {"conv.weight"}
    fold.put([fold.state(0)])
    assert not fold.networks.conv.bias.requires_grad
    assert fold.networks.conv.weight.requires_grad


def test_the_rate_is_that_of_the_step():
    fold = folded(1)
    before = {name: tensor.clone() for name, tensor in fold.tensors(0).items()}
    descend(fold, 1)
    step = (fold.tensors(0)["conv.weight"] - before["conv.weight"]).abs()
    torch.testing.assert_close(step, torch.full_like(step, 0.01), rtol=1e-3, atol=0)  # Adam's first step
