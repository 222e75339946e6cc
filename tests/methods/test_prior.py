"""Deep image priors: what DIKP, BP-DIP, Deep Decoder and SelfDeblur change of DIP, each against plain arithmetic."""

import math

import numpy as np
import pytest
import torch
from nidbench.methods import _similarity, _skip, dikp
from nidbench.methods._skip import Skips
from nidbench.methods.bpdip import BPDIP
from nidbench.methods.ddec import DDec, Decoders
from nidbench.methods.dikp import DIKP
from nidbench.methods.dip import DIP
from nidbench.methods.selfdeblur_nonblind import SelfDeblurNonblind
from skimage.metrics import structural_similarity
from torch import nn

from nidbench.contract import Problem, Response, Run, check_restored
from nidbench.errors import InputError
from nidbench.physics.measure import measure

PRIORS = [DIP, DIKP, BPDIP, DDec, SelfDeblurNonblind]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem_of(channels=1, height=30, width=26, sigma=0.05, kernel=(3, 5), key="prior"):
    sharp = np.random.Generator(np.random.Philox(1)).random((channels, height, width))
    return measure(sharp, np.ones(kernel), f"gaussian:{sigma}", key=key)


def x_for(problem, seed=0):
    return torch.rand((problem.blurred.shape[0], *problem.frame), generator=generator(seed))


def fixed_input(method, problem):
    return method.recipe(problem).objective(problem, Run())


def loss_of(method, problem):
    return fixed_input(method, problem).draw(generator())[1]


def mean_squared_residual(problem, x):
    operator = problem.operator()
    return (operator.predict(x) - operator.blurred).square().mean().item()


# what they share


@pytest.mark.parametrize("method", PRIORS)
def test_the_residual_is_the_mean_square_over_all_of_y_whatever_the_loss(method):
    problem = problem_of(3)
    x = x_for(problem)
    assert loss_of(method(), problem)(x).residual.item() == pytest.approx(mean_squared_residual(problem, x), rel=1e-5)


@pytest.mark.parametrize("method", PRIORS)
def test_any_frame_is_padded_and_cropped(method):
    problem = problem_of(3, 19, 34, kernel=(2, 3))
    restored = check_restored(method(iterations=2).restore(problem, Run()), problem)
    assert restored.image.shape == (3, 19, 34)


@pytest.mark.parametrize("method", PRIORS)
def test_fitting_lowers_its_loss(method):
    # a dark, smooth image is fitted soon, whatever rounding does to the way: to a tenth of the first loss or less
    rows, columns = np.mgrid[:32, :32] / 32
    problem = measure((0.15 + 0.1 * np.sin(6 * rows + 3 * columns))[None], np.ones((3, 5)), "gaussian:0.01", key="dark")
    length = 60 if method is DDec else 25  # after 25 its loss is 0.04 to 0.54 of the first, as the seed has it
    first, last = (method(iterations=n, stop="iterations").restore(problem, Run()).image for n in (1, length))
    loss = loss_of(method(), problem)
    assert loss(torch.from_numpy(last)).value < 0.4 * loss(torch.from_numpy(first)).value


@pytest.mark.parametrize("method", PRIORS)
def test_a_gamma_response_enters_the_loss(method):
    problem = problem_of()
    curved = Problem(problem.blurred, problem.kernel, problem.noise, Response("gamma", 2.2))
    x = x_for(problem)
    plain, gamma = loss_of(method(), problem)(x), loss_of(method(), curved)(x)
    assert abs(plain.value - gamma.value) > 0.01 * plain.value
    assert gamma.residual.item() == pytest.approx(mean_squared_residual(curved, x), rel=1e-5)


@pytest.mark.parametrize("method", PRIORS)
@pytest.mark.parametrize(
    "settings", [{"stop": "early"}, {"reg_noise": -1.0}, {"share": 0.0}, {"iterations": 0}, {"decay": "linear"}]
)
def test_impossible_settings_are_refused(method, settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        method(**settings)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (DIP, {"reg_noise": math.nan}, "reg_noise=nan"),
        (DIKP, {"alpha": -1.0}, "alpha=-1"),
        (DIKP, {"alpha": math.nan}, "alpha=nan"),
        (BPDIP, {"epsilon": -1.0}, "epsilon=-1"),
        (BPDIP, {"epsilon": math.nan}, "epsilon=nan"),
        (BPDIP, {"sigma_scale": 0.0}, "sigma_scale=0"),
        (BPDIP, {"sigma_scale": math.inf}, "sigma_scale=inf"),
        (DDec, {"channels": 0}, "channels=0"),
    ],
)
def test_own_impossible_settings_are_refused(method, settings, message):
    with pytest.raises(InputError, match=message):
        method(**settings)


@pytest.mark.parametrize(
    ("method", "iterations"), [(DIP, 4000), (DIKP, 4000), (BPDIP, 7000), (DDec, 5000), (SelfDeblurNonblind, 1000)]
)
def test_budgets_are_the_literatures(method, iterations):
    problem = problem_of(sigma=0.05)
    assert method().recipe(problem).schedule.iterations == iterations
    assert method(share=0.1).recipe(problem).schedule.iterations == iterations // 10


def test_rates_and_input_noises_are_the_literatures():
    assert [each().lr for each in PRIORS] == 5 * [0.01]
    assert [each().reg_noise for each in PRIORS] == [0.03, 0.03, 0.03, 0.0, 0.001]
    assert [each().decay for each in PRIORS] == 4 * ["constant"] + ["halving"]


@pytest.mark.parametrize(
    ("method", "lengths"),
    [(BPDIP, (350, 210, 140)), (DDec, (1000, 600, 400)), (DIP, (500, 300, 200)), (DIKP, (500, 300, 200))],
)
def test_the_fast_presets_do_more_where_there_is_less_noise(method, lengths):
    fast = method(**method.info.presets["fast"])
    problems = [problem_of(sigma=sigma) for sigma in (0.01, 0.03, 0.05)]
    assert tuple(fast.recipe(problem).schedule.iterations for problem in problems) == lengths


@pytest.mark.parametrize("method", PRIORS)
@pytest.mark.parametrize(("height", "width", "growth"), [(48, 48, 1), (96, 96, 1), (384, 384, 2), (192, 768, 2)])
def test_iterations_grow_with_the_root_of_the_side_where_asked(method, height, width, growth):
    problem = problem_of(height=height, width=width, kernel=(1, 1))
    usual = method(iterations=None, share=0.1).recipe(problem).schedule.iterations
    grown = method(iterations=None, share=0.1, size_scaled=True)
    assert grown.recipe(problem).schedule.iterations == growth * usual
    assert method(iterations=7, size_scaled=True).recipe(problem).schedule.iterations == 7


@pytest.mark.parametrize("method", [BPDIP, DDec])
@pytest.mark.parametrize(("sigma", "growth"), [(0.01, 2.5), (0.03, 1.5), (0.05, 1), (0.3, 1)])
def test_budgets_grow_with_less_noise_where_asked_as_that_of_dip_does(method, sigma, growth):
    problem = problem_of(sigma=sigma)

    def length(**settings):
        return method(**settings).recipe(problem).schedule.iterations

    assert length(noise_scaled=True) == growth * length() == growth * length(noise_scaled=False)
    assert length(noise_scaled=True, share=0.1) == growth * length() // 10
    assert length(noise_scaled=True, iterations=7) == 7


# DIKP


def test_total_variation_is_the_mean_length_of_the_gradient():
    rows, columns = np.mgrid[:7, :9]
    ramp = torch.from_numpy(0.3 * rows + 0.4 * columns)[None]
    assert dikp.total_variation(ramp).item() == pytest.approx(0.5, rel=1e-6)


def test_total_variation_of_a_constant_has_a_finite_gradient():
    x = torch.full((1, 4, 4), 0.5, requires_grad=True)
    dikp.total_variation(x).backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize(("alpha", "weight"), [(None, 0.005), (0.02, 0.02), (0.0, 0.0)])
def test_dikp_adds_total_variation_by_a_tenth_of_sigma(alpha, weight):
    problem = problem_of(sigma=0.05)
    x = x_for(problem)
    found = loss_of(DIKP(alpha=alpha), problem)(x)
    expected = mean_squared_residual(problem, x) + weight * dikp.total_variation(x).item()
    assert found.value.item() == pytest.approx(expected, rel=1e-5)


# BP-DIP


@pytest.mark.parametrize(("preset", "level"), [("paper", 0.05 * 255), ("released", 0.05)])
def test_back_projection_weights_every_frequency_by_the_inverse_blur(preset, level):
    problem = problem_of(sigma=0.05, height=17, width=16)
    operator = problem.operator()
    x = x_for(problem)
    height, width = problem.frame
    padded = np.zeros(problem.frame)
    padded[:3, :5] = problem.kernel
    transfer = np.fft.fft2(np.roll(padded, (-1, -2), (0, 1)))
    residual = np.fft.fft2(operator.tapered[0].numpy()) - transfer * np.fft.fft2(x[0].numpy())
    weighted = np.abs(residual) ** 2 / (np.abs(transfer) ** 2 + 0.01 * level**2 + 1e-3)
    found = loss_of(BPDIP(**BPDIP.info.presets[preset]), problem)(x).value.item()
    assert found == pytest.approx(weighted.sum() / (height * width) ** 2, rel=1e-4)


def test_bp_dips_estimate_has_no_noise_on_z():
    fit = fixed_input(BPDIP(), problem_of())
    shown = []

    def predict(network_input, _generator):
        shown.append(network_input)
        return network_input[:1]

    fit.estimate(predict, generator(5), None)
    assert torch.equal(shown[0], fit.z)


# Deep Decoder


class PlainDecoder(nn.Sequential):
    """The authors' decoder in plain modules: convolution, doubling, ReLU, normalisation, five times."""

    def __init__(self, width, channels):
        layers = []
        for _ in range(5):
            layers += [nn.Conv2d(width, width, 1, bias=False), nn.Upsample(scale_factor=2, mode="bilinear")]
            layers += [nn.ReLU(), nn.BatchNorm2d(width)]
        layers += [nn.Conv2d(width, width, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(width)]
        super().__init__(*layers, nn.Conv2d(width, channels, 1, bias=False), nn.Sigmoid())
        self.train()


@pytest.mark.parametrize(("channels", "parameters"), [(1, 99_968), (3, 100_224)])
def test_the_decoder_has_the_authors_number_of_parameters(channels, parameters):
    decoder = Decoders([generator()], 128, channels, (64, 64))
    assert sum(p.numel() for p in decoder.parameters()) == parameters


@pytest.mark.parametrize("frame", [(64, 96), (50, 70)])
def test_the_decoder_is_the_authors(frame):
    plains = [PlainDecoder(8, 3).double() for _ in range(2)]
    folded = Decoders([generator(), generator()], 8, 3, frame).double()
    convs = [[m for m in plain if isinstance(m, nn.Conv2d)] for plain in plains]
    with torch.no_grad():
        for n, conv in enumerate([*folded.convs, folded.last]):
            conv.weight.copy_(torch.cat([own[n].weight for own in convs]))
    z = torch.rand((2, 8, 2, 3), generator=generator()).double()
    found = folded(z)
    assert found.shape == (2, 3, *frame)
    for n, plain in enumerate(plains):
        expected = plain(z[n : n + 1])[..., : frame[0], : frame[1]]
        torch.testing.assert_close(found[n : n + 1], expected, atol=1e-9, rtol=0)


# SelfDeblur


def test_the_skip_network_has_wider_bypasses():
    wide, narrow = Skips([generator()], 8, 1, 16), Skips([generator()], 8, 1)
    assert wide.scales.skip.conv.weight.shape[0] == 16
    assert narrow.scales.skip.conv.weight.shape[0] == 4


def test_its_scales_from_the_third_on_have_non_local_blocks():
    networks = _skip.selfdeblur_skips([generator()], 1)
    scale, found = networks.scales, []
    while scale is not None:
        found.append([type(part).__name__ for part in scale.down])
        scale = next((part for part in scale.down if isinstance(part, _skip.Scale)), None)
    plain, blocks = ["Layer", "Layer"], ["Layer", "NonLocal", "Layer"]
    assert found == [[*plain, "Scale"], [*plain, "Scale"], [*blocks, "Scale"], [*blocks, "Scale"], blocks]
    assert not any(isinstance(part, _skip.NonLocal) for part in Skips([generator()], 8, 1).modules())


@pytest.mark.parametrize("size", [(6, 4), (5, 7), (1, 3)])
def test_a_non_local_block_adds_all_places_by_their_likeness(size):
    block = _skip.NonLocal([generator(0), generator(1)], 6).double()
    maps = torch.rand((1, 12, *size), generator=generator(2)).double()
    torch.testing.assert_close(block(maps), maps, atol=0, rtol=0)  # at first it adds nothing
    with torch.no_grad():
        block.norm.weight.uniform_(0.5, 1, generator=generator(3))
        block.norm.bias.uniform_(-1, 1, generator=generator(4))
    found = block(maps)
    for n, own in enumerate(maps.chunk(2, 1)):

        def projected(conv, values, n=n):
            weight, bias = conv.weight.chunk(2)[n], conv.bias.chunk(2)[n]
            return torch.nn.functional.conv2d(values, weight, bias)

        window = [min(2, side) for side in size]
        said, there = (
            nn.functional.max_pool2d(projected(conv, own), window)[0].flatten(1) for conv in (block.said, block.there)
        )
        here = projected(block.here, own)[0].flatten(1)
        likeness = here.T @ there  # places by places
        gathered = (likeness @ said.T / likeness.shape[1]).T.reshape(1, 3, *size)
        raw = projected(block.back, gathered)
        spread = (raw.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        scale, shift = (each.chunk(2)[n].reshape(1, 6, 1, 1) for each in (block.norm.weight, block.norm.bias))
        expected = own + scale * (raw - raw.mean((2, 3), keepdim=True)) / spread + shift
        torch.testing.assert_close(found.chunk(2, 1)[n], expected, atol=1e-10, rtol=0)


def test_similarity_is_scikit_images_inside():
    a, b = (torch.rand((1, 40, 36), generator=generator(seed)).double() for seed in (0, 1))
    b = 0.7 * a + 0.3 * b
    _, expected = structural_similarity(
        a[0].numpy(),
        b[0].numpy(),
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    # where no window reaches over the border
    found = _similarity.similarities(a, b)[0]
    np.testing.assert_allclose(found[5:-5, 5:-5].numpy(), expected[5:-5, 5:-5], atol=1e-7)
    assert _similarity.similarities(a, a).min() == pytest.approx(1)


def test_selfdeblur_asks_for_similarity():
    problem = problem_of()
    x = x_for(problem)
    operator = problem.operator()
    expected = 1 - _similarity.similarities(operator.predict(x), operator.blurred).mean()
    assert loss_of(SelfDeblurNonblind(), problem)(x).value.item() == pytest.approx(expected.item(), rel=1e-6)


def test_ddec_returns_the_network_of_the_lowest_residual():
    problem = problem_of()
    earlier = 0
    for seed in range(4):
        found = DDec(iterations=8, lr=0.3).restore(problem, Run(seed))  # so fast that the residual rises between
        (returned,) = found.details["returned"]
        shorter = DDec(iterations=returned, lr=0.3, stop="iterations").restore(problem, Run(seed))
        np.testing.assert_array_equal(found.image, shorter.image)
        earlier += returned < found.iterations == 8
    assert earlier  # of some seeds on some processors it is the last
