"""SA dropout: seeds and losses against slow loops, ratios in their bounds, and variants that do what they say."""

import math
from dataclasses import replace as with_settings

import numpy as np
import pytest
import torch
from nidbench.methods import _effort
from nidbench.methods._layers import Dropout, Moments
from nidbench.methods._ratios import factors, means
from nidbench.methods._unet import CAP, RATIOS, UNets
from nidbench.methods.ours import MaskedFit, Ours, replace
from torch import nn
from torch.nn import functional as F

from nidbench.contract import Noise, Run, check_restored
from nidbench.errors import InputError
from nidbench.fitting import Fold, Member, noise_threshold, seeded
from nidbench.physics.measure import measure

SMOKE = Ours(**Ours.info.presets["smoke"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem_of(channels=1, frame=(32, 28), kernel=(5, 4), noise="gaussian:0.05"):
    sharp = np.random.Generator(np.random.Philox(3)).random((channels, *frame))
    return measure(sharp, np.ones(kernel), noise, key="ours")


def variant(name, base=SMOKE):
    return with_settings(base, **Ours.info.variants[name])


def slowly_replaced(y, lost, neighbours):
    """Eq. 6 pixel by pixel."""
    seed, replaced = y.copy(), np.zeros_like(lost)
    _, height, width = y.shape
    around = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
    for channel, row, column in zip(*np.nonzero(lost), strict=True):
        places = [(channel, row + r, column + c) for r, c in around]
        inside = [p for p in places if 0 <= p[1] < height and 0 <= p[2] < width]
        used = inside if neighbours == "all" else [p for p in inside if not lost[p]]
        if used:
            seed[channel, row, column] = sum(y[p] for p in used) / (8 if neighbours == "all" else len(used))
            replaced[channel, row, column] = True
    return seed, replaced


# the network


@pytest.mark.parametrize(("channels", "parameters"), [(1, 988_609), (3, 991_203)])
def test_the_network_has_the_papers_number_of_parameters(channels, parameters):
    networks = UNets([generator()], channels)
    assert sum(p.numel() for p in networks.parameters()) == parameters
    assert len(networks.dropouts()) == 18


@pytest.mark.parametrize("size", [(11, 11), (37, 20), (33, 64)])
def test_any_size_passes(size):
    inputs = torch.rand((2, 3, *size), generator=generator())
    x = UNets([generator(1), generator(2)], 3)(inputs, [generator(), generator()])
    assert x.shape == (2, 3, *size)
    assert 0 < x.min() < x.max() < 1


def test_without_dropout_the_network_is_that_of_table_1():
    """Written once more with plain functions, from the list of convolutions in order."""
    networks = UNets([generator()], 1, dropout=False)
    convolutions = iter([(m.weight, m.bias) for m in networks.modules() if hasattr(m, "weight")])
    inputs = torch.rand((1, 1, 45, 38), generator=generator())

    def convolve(maps, activate=True):
        weight, bias = next(convolutions)
        maps = F.conv2d(maps, weight, bias, padding=1)
        return nn.LeakyReLU(0.01)(maps) if activate else maps

    maps, beside = convolve(inputs), [inputs]
    for _ in range(5):
        maps = nn.MaxPool2d(2, ceil_mode=True)(convolve(maps))
        beside.append(maps)
    maps = convolve(beside.pop())
    while beside:
        skip = beside.pop()
        maps = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)(maps)
        maps = torch.cat([maps[:, :, : skip.shape[2], : skip.shape[3]], skip], 1)
        maps = convolve(convolve(maps))
    expected = torch.sigmoid(convolve(maps, activate=False))
    assert next(convolutions, None) is None
    torch.testing.assert_close(networks(inputs, None), expected)


# seeds and losses


@pytest.mark.parametrize("neighbours", ["kept", "all"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_replaced_pixels_are_the_mean_of_their_neighbours(neighbours, share):
    y = torch.rand((3, 9, 11), generator=generator())
    lost = torch.rand((3, 9, 11), generator=generator(1)) < share
    seed, replaced = replace(y, lost, neighbours)
    slow_seed, slow_replaced = slowly_replaced(y.numpy().astype(np.float64), lost.numpy(), neighbours)
    np.testing.assert_allclose(seed, slow_seed, atol=1e-6)
    assert np.array_equal(replaced, slow_replaced)
    assert torch.equal(seed[~lost], y[~lost])


def test_a_pixel_without_kept_neighbours_stays():
    y, lost = torch.rand((1, 5, 5), generator=generator()), torch.ones(1, 5, 5, dtype=torch.bool)
    seed, replaced = replace(y, lost, "kept")
    assert torch.equal(seed, y)
    assert not replaced.any()


@pytest.mark.parametrize("channels", [1, 3])
def test_only_pixels_that_y_shows_are_replaced(channels):
    problem = problem_of(channels)
    fit, draw = MaskedFit(SMOKE, problem, Run()), generator()
    tapered = problem.operator().tapered
    changed = torch.stack([fit.draw(draw)[0] != tapered for _ in range(40)])
    rows, columns = problem.valid
    inside = torch.zeros_like(changed[0])
    inside[:, rows, columns] = True
    assert not changed[:, ~inside].any()
    assert abs(changed[:, inside].float().mean().item() - 0.3) < 0.02
    if channels == 3:  # drawn for each channel
        assert not torch.equal(changed[:, 0], changed[:, 1])


def test_the_loss_is_over_replaced_pixels_only():
    problem = problem_of()
    operator = problem.operator()
    seed, loss = MaskedFit(SMOKE, problem, Run()).draw(generator())
    mask = operator.crop(seed != operator.tapered)
    x = torch.rand((1, *problem.frame), generator=generator(5))
    squared = (operator.predict(x) - operator.blurred).square()
    assert loss(x).value.item() == pytest.approx(squared[mask].mean().item(), rel=1e-6)
    assert loss(x).residual.item() == pytest.approx(squared.mean().item(), rel=1e-6)  # section 3.2: all that y shows


def test_seeds_are_fresh_at_every_draw_and_follow_the_generator():
    fit, draw = MaskedFit(SMOKE, problem_of(), Run()), generator()
    first, second = fit.draw(draw)[0], fit.draw(draw)[0]
    assert not torch.equal(first, second)
    assert torch.equal(first, fit.draw(generator())[0])


@pytest.mark.parametrize(("sigma", "level"), [("declared", 0.4), ("estimated", None)])
def test_the_released_loss_is_clamped_at_the_threshold(sigma, level):
    problem = with_settings(problem_of(), noise=Noise("gaussian", 0.4))
    fit = MaskedFit(with_settings(SMOKE, clamp=True, sigma=sigma), problem, Run())
    _, loss = fit.draw(generator())
    x = torch.full((1, *problem.frame), 0.5, requires_grad=True)
    floor = noise_threshold(level or problem.estimated_sigma())
    found = loss(x)
    assert found.value.item() == pytest.approx(max(found.residual.item(), floor))
    found.value.backward()
    assert bool((x.grad == 0).all()) == (found.residual.item() < floor)


def test_the_released_loss_is_clamped_channel_by_channel_and_its_stop_waits_for_all_of_them():
    problem = with_settings(problem_of(3), noise=Noise("gaussian", 0.5))
    operator = problem.operator()
    method = with_settings(SMOKE, clamp=True, sigma="declared")
    seed, loss = MaskedFit(method, problem, Run()).draw(generator())
    mask = operator.crop(seed != operator.tapered)
    x = operator.tapered.clone()
    x[1] += 1.0
    squared = (operator.predict(x) - operator.blurred).square()
    channels = [each[kept].mean().item() for each, kept in zip(squared, mask, strict=True)]
    floor = noise_threshold(0.5)
    found = loss(x)
    assert min(channels) < floor < max(channels) == pytest.approx(found.residual.item(), rel=1e-6)
    assert found.value.item() == pytest.approx(np.mean([max(each, floor) for each in channels]), rel=1e-6)


# ratios


@pytest.mark.parametrize("scope", ["layer", "channel"])
@pytest.mark.parametrize("scaling", ["min-max", "rank", "mean"])
def test_factors_lie_between_a_half_and_one_and_a_half(scaling, scope):
    variances = torch.rand((4, 6, 5), generator=generator()) ** 4 * torch.logspace(-6, 3, 4)[:, None, None]
    found = factors(variances, scaling, scope)
    assert found.shape == variances.shape
    assert 0.5 <= found.min() < found.max() <= 1.5
    groups = [(variances, found)] if scope == "layer" else list(zip(variances, found, strict=True))
    for value, factor in groups:
        order = value.flatten().argsort()
        assert (factor.flatten()[order].diff() >= -1e-6).all()  # a larger variance, no smaller a factor
        if scaling != "mean":
            assert factor.min() == pytest.approx(0.5)
            assert factor.max() == pytest.approx(1.5)


def test_factors_in_closed_form():
    variances = torch.tensor([[[1.0, 2.0, 4.0, 9.0]]])
    np.testing.assert_allclose(factors(variances, "min-max", "layer")[0, 0], [0.5, 0.625, 0.875, 1.5])
    np.testing.assert_allclose(factors(variances, "rank", "layer")[0, 0], 0.5 + np.arange(4) / 3, rtol=1e-6)
    np.testing.assert_allclose(factors(variances, "mean", "layer")[0, 0], [0.5, 0.5, 1.0, 1.5])


@pytest.mark.parametrize("scaling", ["min-max", "rank", "mean"])
def test_factors_by_pixel_are_those_of_the_mean_over_channels(scaling):
    variances = torch.rand((4, 6, 5), generator=generator())
    found = factors(variances, scaling, "pixel")
    expected = factors(variances.mean(0, keepdim=True), scaling, "layer")
    assert found.shape == variances.shape
    assert torch.equal(found, expected.expand_as(variances))


@pytest.mark.parametrize("scope", ["layer", "channel", "pixel"])
@pytest.mark.parametrize("scaling", ["min-max", "rank", "mean"])
def test_factors_of_equal_variances_are_finite(scaling, scope):
    for value in (0.0, 3.0):
        found = factors(torch.full((2, 3, 4), value), scaling, scope)
        assert found.isfinite().all()
        assert 0.5 <= found.min() <= found.max() <= 1.5


def adapted(method, problem, updates):
    """Return the networks after some updates of the ratios, and the log with what was noted."""
    run = Run()
    fold = Fold(UNets([seeded(run, "weights")], problem.blurred.shape[0]), 1, "cpu", "float32")
    member = Member(MaskedFit(method, problem, run), run, 0.0, seeded(run, "training"))
    for update in range(1, updates + 1):
        method._adapt(math.inf, update * method.adapt_every, fold, [member])
    return fold.networks, member.log


def test_ratios_stay_once_their_part_of_the_iterations_is_done():
    settings = {"iterations": 8, "adapt_every": 2, "adapt_draws": 2, "passes": 1, "stop": "iterations"}
    for until, updates in ((1.0, [2, 4, 6]), (0.75, [2, 4, 6]), (0.7, [2, 4]), (0.1, [])):
        noted = Ours(**settings, adapt_until=until).restore(problem_of(), Run()).details.get("ratio_quantiles", [])
        assert [each["iteration"] for each in noted] == updates
    with pytest.raises(InputError, match="adapt_until=0: give a share"):
        Ours(adapt_until=0)


def test_networks_without_ratios_are_not_adapted_in_silence():
    with pytest.raises(TypeError, match="networks of Linear have no ratios"):
        SMOKE._adapt(1, 1, Fold(torch.nn.Linear(1, 1), 1, "cpu", "float32"), [])


@pytest.mark.parametrize("start", ["former", "initial"])
@pytest.mark.parametrize("scaling", ["min-max", "rank", "mean"])
def test_adapted_ratios_never_pass_the_cap(scaling, start):
    method = with_settings(SMOKE, adapt_scaling=scaling, adapt_from=start)
    networks, _ = adapted(method, problem_of(), 4)
    for layer in networks.dropouts():
        ratios = layer.ratios()
        assert 0 <= ratios.min() <= ratios.max() <= CAP
        if start == "initial":
            step = 1 / 512  # ratios are kept in 1/256
            assert ratios.min() >= 0.5 * layer.initial - step
            assert ratios.max() <= min(1.5 * layer.initial, CAP) + step


@pytest.mark.parametrize("scaling", ["min-max", "rank"])
def test_the_highest_ratio_reaches_the_cap_at_once(scaling):
    networks, _ = adapted(with_settings(SMOKE, adapt_scaling=scaling), problem_of(), 1)
    assert max(layer.ratios().max().item() for layer in networks.dropouts()) == CAP  # 1.5 of 0.45 would be more


@pytest.mark.parametrize("scope", ["layer", "channel", "pixel"])
@pytest.mark.parametrize("start", ["initial", "former"])
def test_updates_multiply_the_ratios_by_the_factors(scope, start):
    """Eq. 15, for the first layer: the variance of what comes in over the same draws, scaled, times the ratio."""
    method = with_settings(SMOKE, adapt_scaling="min-max", adapt_scope=scope, adapt_from=start)
    problem, run = problem_of(3), Run()
    fit = MaskedFit(method, problem, run)
    for update in (1, 2):
        networks, _ = adapted(method, problem, update)
        before = adapted(method, problem, update - 1)[0] if update > 1 else UNets([generator(run.seed("weights"))], 3)
        draw, moments = generator(run.seed(f"adapt {update * method.adapt_every}")), Moments()
        for _ in range(method.adapt_draws):
            seed, _ = fit.draw(draw)
            moments.add(seed)
            before(seed[None], [draw])
        former = torch.tensor(0.075) if start == "initial" else before.dropouts()[0].ratios()
        expected = (factors(moments.variance(), "min-max", scope) * former).clamp(max=CAP)
        found = networks.dropouts()[0].ratios()
        assert (found - expected).abs().max() <= 1 / 512 + 1e-6  # ratios are kept in 1/256
    others = {each: factors(moments.variance(), "min-max", each) for each in ("layer", "channel", "pixel")}
    assert all((others[each] - others[scope]).abs().max() > 0.1 for each in others if each != scope)  # so it can fail


def test_quantiles_of_the_ratios_are_noted_at_each_update():
    networks, noted = adapted(SMOKE, problem_of(), 2)
    log = noted["ratio_quantiles"]
    assert [entry["iteration"] for entry in log] == [SMOKE.adapt_every, 2 * SMOKE.adapt_every]
    for entry in log:
        assert len(entry["layers"]) == len(networks.dropouts())
        assert all(0 <= low <= middle <= high <= CAP for low, middle, high in entry["layers"])
    for (low, middle, high), layer in zip(log[-1]["layers"], networks.dropouts(), strict=True):
        found = np.quantile(layer.ratios(), [0.05, 0.5, 0.95], method="lower")
        np.testing.assert_allclose([low, middle, high], found, atol=1e-4)


def test_means_of_the_ratios_are_noted_at_each_update():
    networks, noted = adapted(SMOKE, problem_of(), 2)
    log = noted["ratio_means"]
    assert [entry["iteration"] for entry in log] == [SMOKE.adapt_every, 2 * SMOKE.adapt_every]
    found = [layer.ratios().double().mean().item() for layer in networks.dropouts()]
    np.testing.assert_allclose(log[-1]["layers"], found, atol=1e-4)
    assert log[0]["layers"] != log[1]["layers"]  # so that it can fail


def test_means_are_of_each_network_alone():
    layer = Dropout(2, 3, 0.2)
    layer.set_ratios(torch.cat([torch.full((3, 4, 4), 0.125), torch.full((3, 4, 4), 0.25)]), torch.float32)
    assert means(layer, 2) == [0.125, 0.25]


@pytest.mark.parametrize("scale", [0.5, 0.72, 1.1])
def test_the_scale_multiplies_every_initial_ratio(scale):
    problem = problem_of()
    plain, scaled = (
        with_settings(SMOKE, ratio_scale=each).recipe(problem).networks([generator()]).dropouts()
        for each in (1.0, scale)
    )
    for before, layer in zip(plain, scaled, strict=True):
        assert layer.initial == pytest.approx(scale * before.initial)
        assert abs(layer.ratios() - layer.initial).max() <= 1 / 512 + 1e-6  # ratios are kept in 1/256


def test_factors_multiply_the_scaled_ratios():
    method = with_settings(SMOKE, ratio_scale=0.5, adapt_from="initial")
    problem = problem_of()
    fold = Fold(method.recipe(problem).networks([generator()]), 1, "cpu", "float32")
    networks = fold.networks
    run = Run()
    member = Member(MaskedFit(method, problem, run), run, 0.0, generator())
    method._adapt(math.inf, method.adapt_every, fold, [member])
    for layer, whole in zip(networks.dropouts(), UNets([generator()], 1).dropouts(), strict=True):
        assert layer.ratios().max() <= 0.75 * whole.initial + 1 / 512 + 1e-6
        assert layer.ratios().min() >= 0.25 * whole.initial - 1 / 512 - 1e-6


def test_initial_ratios_are_those_of_table_1():
    layers = UNets([generator()], 1).dropouts()
    for layer in layers:
        assert layer.ratios().unique().tolist() == [round(256 * layer.initial) / 256]
    assert [layer.initial for layer in layers[:7]] == [RATIOS[0], *RATIOS]


# the whole, and its variants


@pytest.mark.parametrize("channels", [1, 3])
def test_restores_with_a_variance_and_a_history(channels):
    problem = problem_of(channels)
    restored = check_restored(SMOKE.restore(problem, Run()), problem)
    assert restored.image.shape == (channels, *problem.frame)
    assert restored.variance is not None
    assert restored.variance.min() >= 0
    assert restored.variance.max() > 0
    assert (restored.iterations, restored.stopped) == (SMOKE.iterations, "iterations")
    assert [entry["iteration"] for entry in restored.details["ratio_quantiles"]] == [2, 4]


def test_the_result_is_the_mean_of_the_passes():
    samples, problem = [], problem_of()
    restored = with_settings(SMOKE, passes=5).restore(problem, Run(on_sample=samples.append))
    assert len(samples) == 5
    np.testing.assert_allclose(restored.image, np.mean(samples, 0), atol=1e-6)
    np.testing.assert_allclose(restored.variance, np.var(samples, 0), atol=1e-6)


def test_stops_at_the_noise_level():
    method = with_settings(SMOKE, stop="noise-level", sigma="declared")
    problem = with_settings(problem_of(), noise=Noise("gaussian", 2.0))
    restored = method.restore(problem, Run())
    assert (restored.iterations, restored.stopped) == (1, "noise level")


def test_the_stop_goes_by_the_estimated_or_the_declared_level():
    problem = with_settings(problem_of(), noise=Noise("gaussian", 0.123))
    assert Ours(sigma="declared")._sigma(problem) == 0.123
    assert Ours()._sigma(problem) == problem.estimated_sigma() != 0.123


def test_no_sa_keeps_the_ratios():
    assert variant("no-sa").recipe(problem_of()).adapt is None
    assert variant("no-sa").restore(problem_of(), Run()).details == {}


def test_no_dropout_has_none_and_still_averages_seeds():
    method, samples = variant("no-dropout"), []
    networks = method.recipe(problem_of()).networks([generator()])
    assert networks.dropouts() == []
    method.restore(problem_of(), Run(on_sample=samples.append))
    assert len(samples) == method.passes
    assert not np.array_equal(samples[0], samples[1])


def test_no_aggregation_is_one_pass_by_the_expected_weights():
    method, samples, shown = variant("no-aggregation"), [], []
    restored = method.restore(problem_of(), Run(on_sample=samples.append))
    assert restored.variance is None
    assert samples == []
    again = method.restore(problem_of(), Run())
    assert again.image.tobytes() == restored.image.tobytes()

    def predict(network_input, generator):
        shown.append(generator)
        return network_input

    MaskedFit(method, problem_of(), Run()).estimate(predict, generator(), None)
    assert shown == [None]  # dropout off


def test_no_replacement_shows_y_and_compares_everywhere():
    problem = problem_of()
    seed, loss = MaskedFit(variant("no-replacement"), problem, Run()).draw(generator())
    operator = problem.operator()
    assert torch.equal(seed, operator.tapered)
    assert loss(seed).value.item() == pytest.approx(
        (operator.predict(seed) - operator.blurred).square().mean().item(), rel=1e-6
    )


def test_no_masking_shows_seeds_and_compares_everywhere():
    problem = problem_of()
    seed, loss = MaskedFit(variant("no-masking"), problem, Run()).draw(generator())
    operator = problem.operator()
    assert torch.equal(seed, MaskedFit(SMOKE, problem, Run()).draw(generator())[0])
    assert not torch.equal(seed, operator.tapered)
    assert loss(seed).value.item() == pytest.approx(
        (operator.predict(seed) - operator.blurred).square().mean().item(), rel=1e-6
    )


@pytest.mark.parametrize("name", Ours.info.variants)
def test_each_variant_differs_from_the_whole(name):
    whole = SMOKE.restore(problem_of(), Run())
    assert variant(name).restore(problem_of(), Run()).image.tobytes() != whole.image.tobytes()


@pytest.mark.parametrize("preset", Ours.info.presets)
def test_every_preset_goes_with_every_variant(preset):
    for settings in ({}, *Ours.info.variants.values()):
        made = Ours(**{**Ours.info.presets[preset], **settings})
        assert {name: getattr(made, name) for name in settings} == settings


@pytest.mark.parametrize(("sigma", "iterations"), [(0.01, 750), (0.03, 450), (0.05, 300)])
def test_the_fast_preset_does_more_where_there_is_less_noise(sigma, iterations):
    fast = Ours(**Ours.info.presets["fast"])
    recipe = fast.recipe(problem_of(noise=f"gaussian:{sigma}"))
    assert recipe.schedule.iterations == iterations
    assert fast.adapt_until * iterations // fast.adapt_every >= 5  # updates of the ratios


def test_problems_of_other_noise_levels_are_effort_for_as_long_as_alone(monkeypatch):
    monkeypatch.setattr(_effort, "PAPER_ITERATIONS", {0.01: 6, 0.05: 3})
    method = Ours(iterations=None, lr=1e-3, stop="iterations", passes=2)
    problems = [problem_of(noise=f"gaussian:{sigma}") for sigma in (0.05, 0.01, 0.05)]
    found = method.restore_many(problems, [Run(), Run(), Run()])
    assert [each.iterations for each in found] == [3, 6, 3]
    for problem, each in zip(problems, found, strict=True):
        np.testing.assert_allclose(each.image, method.restore(problem, Run()).image, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": "known"}, "sigma='known': use estimated or declared"),
        ({"neighbours": "some"}, "use kept or all"),
        ({"adapt_scaling": "max"}, "use min-max or rank or mean"),
        ({"adapt_scope": "image"}, "use layer or channel"),
        ({"adapt_from": "last"}, "use former or initial"),
        ({"replaced": 1.0}, "replaced=1.0"),
        ({"replaced": 0.0}, "set masked=false"),
        ({"share": 0.0}, "share=0"),
        ({"iterations": 0}, "iterations=0"),
        ({"passes": 0}, "passes=0"),
        ({"ratio_scale": 0.0}, "ratio_scale=0.0: give a factor above 0 and at most 1.111"),
        ({"ratio_scale": 1.2}, "no initial ratio is above 0.5"),
        ({"ratio_scale": float("nan")}, "ratio_scale=nan"),
        ({"adapt_draws": 1}, "adapt_draws=1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Ours(**settings)


def test_presets_are_the_papers_and_the_authors():
    paper = (Ours().iterations, Ours().lr, Ours().decay, Ours().stop, Ours().sigma, Ours().replaced, Ours().passes)
    assert paper == (100_000, 1e-4, "constant", "noise-level", "estimated", 0.3, 50)  # section 4.1
    assert (Ours().adapt_every, Ours().neighbours, Ours().masked, Ours().clamp) == (1000, "kept", True, False)
    released = Ours(**Ours.info.presets["released"])
    assert released == Ours(sigma="declared", clamp=True, neighbours="all", adapt_every=0)


def test_one_that_fails_at_its_end_leaves_those_beside_it_alone():
    problems = [with_settings(problem_of(), noise=Noise("gaussian", sigma)) for sigma in (2.0, 0.05, 0.05)]

    def refuse(name, _):
        raise ValueError(f"no {name} here")

    method = with_settings(SMOKE, stop="noise-level", sigma="declared")
    runs = [Run(keep=("layers",), on_keep=refuse), Run(seed=1), Run(seed=2)]
    failed, *others = method.restore_many(problems, runs)
    assert isinstance(failed, ValueError)
    for problem, run, restored in zip(problems[1:], (Run(seed=1), Run(seed=2)), others, strict=True):
        np.testing.assert_allclose(restored.image, method.restore(problem, run).image, atol=1e-4)


def test_a_pixel_has_one_factor_for_all_channels():
    variances = torch.rand(5, 6, 7, generator=generator(0))
    scaled = factors(variances, "min-max", "pixel")
    assert torch.equal(scaled, scaled[:1].expand_as(scaled))
    low, high = variances.mean(0).min(), variances.mean(0).max()
    torch.testing.assert_close(scaled[0], 0.5 + (variances.mean(0) - low) / (high - low))
