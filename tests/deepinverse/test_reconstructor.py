"""Methods as DeepInverse's reconstructors: the same restoration as without it, in its shapes, and no trace left."""

import numpy as np
import pytest
import torch
from nidbench.methods.dip import DIP
from nidbench.methods.wiener import Wiener
from with_deepinverse import WITH_DEEPINVERSE

from nidbench.contract import Noise, Run
from nidbench.deepinverse.physics import physics_of, problems_of
from nidbench.errors import InputError
from nidbench.physics.measure import measure

pytestmark = WITH_DEEPINVERSE


@pytest.fixture(scope="module")
def kind():
    from nidbench.deepinverse.reconstructor import MethodReconstructor

    return MethodReconstructor


@pytest.fixture(scope="module")
def measured():
    rows, columns = np.mgrid[:40, :38]
    waves = 0.5 + 0.3 * np.sin(rows / 3)[None] * np.sin(columns / 2 + np.arange(3)[:, None, None])
    return measure(waves, np.tri(4), "gaussian:0.02", key="reconstructor")


def test_it_is_one_of_deepinverse(kind):
    import deepinv

    assert isinstance(kind(Wiener()), deepinv.models.Reconstructor)


def test_restores_each_of_a_batch_as_the_method_alone_does(kind, measured):
    y = torch.from_numpy(np.stack([measured.blurred, measured.blurred[:, ::-1].copy()]))
    physics = physics_of(measured)
    found = kind(Wiener())(y, physics)
    assert found.shape == (2, 3, *measured.frame)
    for image, problem in zip(found, problems_of(y, physics), strict=True):
        np.testing.assert_array_equal(image.numpy(), Wiener().restore(problem, Run()).image)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_networks_are_fitted_where_the_caller_wants_no_gradients(kind, measured, mode):
    method, gray = DIP(iterations=2, lr=1e-7), torch.from_numpy(measured.blurred[:1])[None]
    physics = physics_of(measured)
    state = torch.get_rng_state()
    with mode():
        found, again = (kind(method, seed=5)(gray, physics) for _ in range(2))
    torch.testing.assert_close(found, again, atol=0, rtol=0)
    assert torch.equal(torch.get_rng_state(), state)
    other = kind(method, seed=6)(gray, physics)
    assert float((other - found).abs().max()) > 1e-3


def test_deepinverse_itself_can_score_it(kind):
    import deepinv

    x = torch.rand(1, 1, 20, 22)
    blur = deepinv.physics.Blur(
        torch.full((1, 1, 3, 3), 1 / 9), padding="valid", noise_model=deepinv.physics.GaussianNoise(0.01)
    )
    blurred = blur(x)
    psnr = deepinv.metric.PSNR()
    restored = kind(Wiener())(blurred, blur)
    assert restored.shape == x.shape
    assert float(psnr(restored, x)) > float(psnr(torch.nn.functional.pad(blurred, (1, 1, 1, 1)), x))


def test_another_physics_is_refused_in_words(kind):
    import deepinv

    circular = deepinv.physics.BlurFFT((1, 8, 8), torch.ones(1, 1, 1, 1))
    with pytest.raises(InputError, match=r"physics is BlurFFT.*valid"):
        kind(Wiener())(torch.rand(1, 1, 8, 8), circular)


def test_noise_is_declared_as_the_physics_has_it(kind, measured):
    seen = []

    class Asking(Wiener):
        def restore(self, problem, run):
            seen.append(problem.noise)
            return super().restore(problem, run)

    kind(Asking())(torch.from_numpy(measured.blurred)[None], physics_of(measured))
    assert seen == [Noise("gaussian", pytest.approx(0.02))]
