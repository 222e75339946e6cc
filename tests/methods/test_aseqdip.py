"""aSeqDIP: its U-Net against a plain one, the input that follows the output, and settings without meaning."""

import numpy as np
import pytest
import torch
from nidbench.methods._plain_unet import PlainUNets
from nidbench.methods.aseqdip import ASeqDIP, Autoencoding
from torch import nn
from torch.nn import functional as F

from nidbench.contract import Noise, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import seeded


def problem():
    y = np.random.default_rng(0).random((1, 12, 10), dtype=np.float32)
    return Problem(y, np.full((3, 3), 1 / 9), Noise("gaussian", 0.05))


class Plain(nn.Module):
    """A U-Net of PyTorch's own layers, for sides that its halvings divide."""

    def __init__(self, channels, width, halvings=4):
        super().__init__()
        w = [width * 2**scale for scale in range(halvings)]

        def twice(a, b, c):
            layers = [
                (nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()) for i, o in ((a, b), (b, c))
            ]
            return nn.Sequential(*layers[0], *layers[1])

        self.down = nn.ModuleList(twice(a, b, b) for a, b in zip([channels, *w], w, strict=False))
        self.bottom = twice(w[-1], w[-1], w[-1])
        self.up = nn.ModuleList(
            twice(2 * beside, beside, out) for beside, out in zip(w[::-1], [*w[-2::-1], w[0]], strict=True)
        )
        self.last = nn.Conv2d(w[0], channels, 1)

    def forward(self, maps):
        skips = []
        for level in self.down:
            maps = level(maps)
            skips.append(maps)
            maps = F.max_pool2d(maps, 2)
        maps = self.bottom(maps)
        for level in self.up:
            maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)
            maps = level(torch.cat([skips.pop(), maps], 1))
        return self.last(maps)


def filled(plain, folded, place):
    """Give a plain network the weights of one of the folded ones."""
    theirs = [module for module in folded.modules() if type(module).__name__ in ("Conv", "BatchNorm")]
    mine = [module for module in plain.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    kinds = [[m for m in mine if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d)]
    with torch.no_grad():
        for kind, name in zip(kinds, ("Conv", "BatchNorm"), strict=True):
            for module, source in zip(kind, [t for t in theirs if type(t).__name__ == name], strict=True):
                module.weight.copy_(source.weight.chunk(2)[place])
                if module.bias is not None and source.bias is not None:
                    module.bias.copy_(source.bias.chunk(2)[place])
    return plain


@pytest.mark.parametrize(("channels", "halvings"), [(1, 4), (3, 4), (3, 2), (1, 1)])
def test_the_network_is_a_u_net(channels, halvings):
    folded = PlainUNets([torch.Generator().manual_seed(n) for n in (1, 2)], channels, 2, halvings).double()
    with torch.no_grad():  # as first drawn, its maps are so small that a wrong layer would hardly show
        for parameter in folded.parameters():
            parameter.mul_(20 if parameter.ndim == 4 else 1)
            parameter.add_(0.1 if parameter.ndim == 1 else 0)
    inputs = torch.from_numpy(np.random.default_rng(0).random((2, channels, 48, 32)))
    found = folded(inputs).double()
    for place in (0, 1):
        plain = filled(Plain(channels, 2, halvings).double(), folded, place)
        assert torch.allclose(found[place], plain(inputs[place][None])[0], atol=1e-5)


def test_it_is_as_large_as_the_best_known_one():
    """17.3 million for colour at a width of 64, with bilinear doubling."""
    network = PlainUNets([torch.Generator()], 3, 64)
    assert sum(each.numel() for each in network.parameters()) == sum(each.numel() for each in Plain(3, 64).parameters())
    spread = torch.cat([each.flatten() for each in network.parameters() if each.ndim == 4]).detach().std()
    assert float(spread) == pytest.approx(0.02, rel=0.01)


def test_sides_of_any_length_pass():
    network = PlainUNets([torch.Generator()], 1, 2)
    for height, width in ((17, 33), (1, 5), (30, 2)):
        assert network(torch.zeros(1, 1, height, width)).shape == (1, 1, height, width)


def test_the_input_follows_the_output_every_second_step():
    operator = problem().operator()
    objective = Autoencoding(operator, 5.0, 2)
    z, loss_of = objective.draw(None)
    assert torch.equal(z, operator.tapered)
    x = operator.tapered + 0.1
    loss = loss_of(x)
    assert float(loss.value - loss.residual) == pytest.approx(5 * 0.01, rel=1e-4)
    objective.learn(1, x)
    assert torch.equal(objective.draw(None)[0], operator.tapered)
    objective.learn(2, x)
    assert torch.equal(objective.draw(None)[0], x)
    other = Autoencoding(operator, 5.0, 2)
    other.load(objective.state())
    assert torch.equal(other.estimate(None, None, None).image, x)
    x.zero_()
    assert objective.estimate(None, None, None).image.any()


def test_what_is_returned_is_the_last_that_became_the_input():
    even, odd = (ASeqDIP(iterations=n, width=2).restore(problem(), Run()).image for n in (4, 5))
    assert np.array_equal(even, odd)
    assert not np.array_equal(even, ASeqDIP(iterations=6, width=2).restore(problem(), Run()).image)


@pytest.mark.parametrize("settings", [{"inner": 0}, {"width": 0}, {"halvings": 0}, {"autoencoding": -1.0}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        ASeqDIP(**settings)


def test_pixels_that_the_input_shows_are_not_held_out():
    with pytest.raises(InputError, match="the input of the network shows all of y"):
        ASeqDIP(stop="held-out").restore(problem(), Run())


def test_iterations_are_those_of_the_authors():
    recipe = ASeqDIP().recipe(problem())
    assert (recipe.schedule.iterations, recipe.schedule.lr) == (10_000, 1e-4)


def test_the_network_is_the_shallow_one_of_the_authors_repository():
    """Two halvings, with 64, 128 and 128 channels."""
    network = ASeqDIP().recipe(problem()).networks([seeded(Run(), "weights")])
    assert [twice.convs[1].weight.shape[0] for twice in (network.first, *network.down)] == [64, 128, 128]
    assert [twice.convs[1].weight.shape[0] for twice in network.up] == [64, 64]
