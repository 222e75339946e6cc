"""Folded layers: N networks in one module do what N modules would, and randomness is what it claims to be."""

import math

import numpy as np
import pytest
import torch
from nidbench.methods._layers import BatchNorm, Conv, Dropout, Moments, fold, join, random_bytes, unfold
from torch.nn import functional as F


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def maps_of(*shape, seed=0):
    return torch.rand(shape, generator=generator(seed))


def test_fold_and_unfold_are_inverse():
    inputs = maps_of(3, 5, 4, 6)
    assert fold(inputs).shape == (1, 15, 4, 6)
    assert torch.equal(unfold(fold(inputs), 3), inputs)


@pytest.mark.parametrize("count", [1, 3])
def test_join_keeps_each_networks_channels_together(count):
    left, right = maps_of(count, 2, 4, 5), maps_of(count, 3, 4, 5, seed=1)
    joined = unfold(join(count, fold(left), fold(right)), count)
    assert torch.equal(joined, torch.cat([left, right], 1))


def test_a_single_channel_leaves_the_others_in_their_memory_format():
    image, maps = maps_of(1, 1, 6, 4), maps_of(1, 3, 6, 4)
    joined = join(1, fold(maps), fold(image))
    assert torch.equal(joined, torch.cat([maps, image], 1))
    assert joined.stride() == (96, 1, 16, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_bits_of_what_it_scales(dtype):
    layer = Dropout(1, 3, 0.25)
    maps = fold(maps_of(1, 3, 16, 16)).to(dtype)
    out = layer(maps, [generator()])
    draws = random_bytes(3 * 16 * 16, generator()).view(16, 16, 3).permute(2, 0, 1)
    scaled = maps * torch.tensor(256 / 192, dtype=dtype)
    assert torch.equal(out, torch.where(draws >= 64, scaled, torch.zeros((), dtype=dtype)))


def test_random_bytes_are_uniform_in_each_of_the_eight_places():
    drawn = random_bytes(8 * 50_000, generator()).reshape(-1, 8).numpy()
    for place in range(8):
        counts = np.bincount(drawn[:, place], minlength=256)
        expected = len(drawn) / 256
        chi_square = ((counts - expected) ** 2 / expected).sum()
        # 255 degrees of freedom: mean 255, standard deviation 22.6
        assert 150 < chi_square < 360, place


def test_random_bytes_of_neighbouring_places_are_unrelated():
    drawn = random_bytes(8 * 50_000, generator(1)).reshape(-1, 8).double()
    correlation = torch.corrcoef(drawn.T) - torch.eye(8)
    assert correlation.abs().max() < 5 / math.sqrt(50_000)


@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_random_bytes_gives_as_many_as_asked_for(count):
    drawn = random_bytes(count, generator())
    assert drawn.shape == (count,)
    assert drawn.dtype == torch.uint8


@pytest.mark.parametrize("ratio", [0.075, 0.3, 0.5])
def test_dropout_keeps_the_expectation(ratio):
    layer = Dropout(1, 40, ratio)
    passed = layer(torch.ones(1, 40, 50, 50), [generator()])
    drawn_ratio = round(256 * ratio) / 256
    kept = passed[passed > 0]
    assert torch.equal(kept, torch.full_like(kept, 1 / (1 - drawn_ratio)))  # a ratio in 1/256, exactly made good
    deviation = math.sqrt(drawn_ratio / (1 - drawn_ratio) / passed.numel())
    assert abs(passed.mean().item() - 1) < 5 * deviation
    assert abs((passed == 0).float().mean().item() - ratio) < 0.01


def test_dropout_is_off_without_generators():
    maps = maps_of(1, 4, 5, 5)
    assert Dropout(1, 4, 0.5)(maps, None) is maps


def test_dropout_of_one_network_does_not_depend_on_its_neighbour():
    maps = maps_of(1, 8, 6, 7)
    both = Dropout(2, 4, 0.5)(maps, [generator(1), generator(2)])
    for n, seed in enumerate((1, 2)):
        alone = Dropout(1, 4, 0.5)(maps[:, 4 * n : 4 * n + 4], [generator(seed)])
        assert torch.equal(both[:, 4 * n : 4 * n + 4], alone)


def test_dropout_takes_a_ratio_for_each_neuron():
    layer = Dropout(1, 2, 0.3)
    ratios = torch.zeros(2, 3, 4)
    ratios[1, 2, 3] = 0.5
    layer.set_ratios(ratios, torch.float32)
    assert torch.equal(layer.ratios(), ratios)
    draw = generator()
    passed = torch.stack([layer(torch.ones(1, 2, 3, 4), [draw])[0] for _ in range(400)])
    untouched = passed[:, ratios == 0]
    assert torch.equal(untouched, torch.ones_like(untouched))
    assert set(passed[:, 1, 2, 3].tolist()) == {0.0, 2.0}
    assert abs(passed[:, 1, 2, 3].mean().item() - 1) < 0.25


def test_dropout_ratios_stay_below_one():
    layer = Dropout(1, 1, 0.3)
    layer.set_ratios(torch.full((1, 2, 2), 0.99), torch.float32)
    assert layer.scale.isfinite().all()


def test_dropout_collects_moments_of_what_comes_in():
    layer = Dropout(1, 3, 0.5)
    layer.moments = Moments()
    inputs = [maps_of(1, 3, 4, 4, seed=seed) for seed in range(5)]
    for each in inputs:
        layer(each, [generator()])
    assert torch.allclose(layer.moments.average(), torch.cat(inputs).mean(0))


def test_moments_equal_numpys():
    values = maps_of(9, 3, 4)
    moments = Moments()
    for value in values:
        moments.add(value)
    assert moments.count == 9
    np.testing.assert_allclose(moments.average(), values.numpy().mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance(), values.numpy().var(0), rtol=1e-4)


def test_moments_leave_what_they_are_given_alone():
    value = maps_of(2, 2)
    moments = Moments()
    moments.add(value)
    moments.add(value + 1)
    assert torch.equal(value, maps_of(2, 2))


def test_moments_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no mean"):
        Moments().average()
    with pytest.raises(ValueError, match="no variance"):
        Moments().variance()


def test_conv_starts_as_pytorchs_does():
    layer = Conv([generator(3)], 6, 10)
    draw, weight = generator(3), torch.empty(10, 6, 3, 3)
    torch.nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=draw)  # as nn.Conv2d.reset_parameters
    assert torch.allclose(layer.weight, weight, atol=1e-7)
    bound = 1 / math.sqrt(6 * 3 * 3)
    assert layer.bias is not None
    assert 0.5 * bound < layer.bias.abs().max() <= bound


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (1, 1)])
def test_folded_convolutions_are_separate_ones(padding, mode, size, stride):
    seeds = (1, 2, 3)
    folded = Conv([generator(s) for s in seeds], 4, 5, size, stride, padding)
    inputs = maps_of(3, 4, 9, 8)
    outputs = unfold(folded(fold(inputs)), 3)
    for n, seed in enumerate(seeds):
        alone = Conv([generator(seed)], 4, 5, size, stride)
        padded = F.pad(inputs[n : n + 1], (size // 2,) * 4, mode=mode)
        expected = F.conv2d(padded, alone.weight, alone.bias, stride)
        torch.testing.assert_close(outputs[n : n + 1], expected)


def test_conv_without_bias_has_none():
    assert [name for name, _ in Conv([generator()], 2, 3, bias=False).named_parameters()] == ["weight"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 2)])
def test_an_axis_of_one_pixel_is_repeated_instead_of_reflected(shape):
    layer, maps = Conv([generator()], 1, 1, padding="reflect"), maps_of(1, 1, *shape)
    padded = maps[0, 0].numpy()
    for axis, length in enumerate(shape):
        width = [(1, 1) if each == axis else (0, 0) for each in range(2)]
        padded = np.pad(padded, width, mode="reflect" if length > 1 else "edge")
    expected = F.conv2d(torch.from_numpy(padded)[None, None], layer.weight, layer.bias)
    torch.testing.assert_close(layer(maps), expected)


def test_batch_normalisation_is_per_channel():
    maps = torch.rand(1, 6, 5, 4, generator=generator())
    layer = BatchNorm(2, 3)
    normalised = layer(maps)
    assert torch.allclose(normalised.mean((0, 2, 3)), torch.zeros(6), atol=1e-5)
    assert torch.allclose(normalised.var((0, 2, 3), correction=0), torch.ones(6), atol=1e-3)
    plain = F.batch_norm(maps, None, None, layer.weight, layer.bias, training=True)
    assert torch.equal(normalised, plain)


def test_batch_normalisation_of_one_pixel_is_the_shift():
    layer = BatchNorm(1, 2)
    with torch.no_grad():
        layer.bias += 0.7
    shifted = layer(torch.rand(1, 2, 1, 1, generator=generator()))
    assert torch.allclose(shifted, torch.full((1, 2, 1, 1), 0.7), atol=1e-4)  # rounding is divided by sqrt(1e-5)
