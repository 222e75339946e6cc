"""PGSURE-DIP: its divergence against an exact trace, its loss against the error it estimates, its two passes."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nidbench.methods.pgsure_dip import PGSUREDIP, ProjectedError, Twice, usual_cutoff
from torch import nn

from nidbench.contract import Noise, Problem, Run
from nidbench.errors import InputError
from nidbench.physics.blur import Operator, circular_convolve, transfer_function

H, W = 6, 5
N = H * W
SIGMA, CUTOFF = 0.1, 0.35
#: Nothing about it is symmetric: the phase of its transfer function counts.
KERNEL = np.array([[0.5, 0.2, 0.0], [0.1, 0.15, 0.05]])


def dense(transfer):
    """Return the matrix of a circular convolution, column by column."""
    units = torch.eye(N, dtype=torch.float64).reshape(N, H, W)
    return circular_convolve(units, transfer).reshape(N, N).T.numpy()


def objective_of(y, by_loss=False):
    """Return the loss of a problem whose y is on the whole frame, in double precision."""
    transfer = transfer_function(torch.from_numpy(KERNEL), (H, W))
    operator = SimpleNamespace(
        transfer=transfer,
        tapered=torch.from_numpy(y),
        blurred=torch.from_numpy(y),
        respond=lambda z: z,
        circular=lambda x: circular_convolve(x, transfer),
        predict=lambda x: circular_convolve(x, transfer),
    )
    return ProjectedError(operator, SIGMA, CUTOFF, 1e-3, by_loss=by_loss), dense(transfer)


def projection_and_inverse(K):
    """Return P and K+ by the singular values of the dense K, those up to the cut-off taken as zero."""
    left, sizes, right = np.linalg.svd(K)
    seen = sizes > CUTOFF * sizes.max()
    assert 0 < seen.sum() < N  # some frequencies are erased and some are not
    inverse = right[seen].T @ np.diag(1 / sizes[seen]) @ left[:, seen].T
    return inverse @ K, inverse


def test_the_divergence_is_the_trace_of_the_projected_jacobian():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(N, N)) / math.sqrt(N) + 0.5 * np.eye(N)
    objective, K = objective_of(rng.random((1, H, W)))
    P, inverse = projection_and_inverse(K)
    u = objective.input.numpy().ravel()
    np.testing.assert_allclose(u, K.T @ objective._operator.tapered.numpy().ravel(), atol=1e-12)

    def f(channels):
        return (torch.from_numpy(A) @ channels.reshape(-1)).reshape(1, H, W)

    misfit = ((P @ A @ u - inverse @ objective._operator.tapered.numpy().ravel()) ** 2).mean()
    generator, losses = torch.Generator().manual_seed(1), []
    for _ in range(2000):
        both, loss_of = objective.draw(generator)
        losses.append(float(loss_of(torch.cat([f(half) for half in both.chunk(2)])).value))
    trace = (np.array(losses) - misfit) * N / (2 * SIGMA**2)
    error = trace.std() / math.sqrt(len(trace))
    assert abs(trace.mean() - np.trace(P @ A)) < 4.5 * error
    assert 20 * error < np.trace(P @ A)
    assert abs(trace.mean() - np.trace(A)) > 10 * error  # without the projection it would be another


def test_the_loss_estimates_the_error_where_the_blur_lets_it_be_seen():
    """Of a linear estimator the expectation over noise is in closed form, up to a constant that no f changes."""
    rng = np.random.default_rng(2)
    x = rng.random((1, H, W))
    _, K = objective_of(x)
    P, inverse = projection_and_inverse(K)
    constant = SIGMA**2 * (inverse**2).sum() / N
    apart = []
    for A in (0.2 * np.eye(N), rng.normal(size=(N, N)) / N + np.eye(N)):
        expected = (
            ((P @ (A @ K.T @ K - np.eye(N)) @ x.ravel()) ** 2).sum() + SIGMA**2 * ((P @ A @ K.T) ** 2).sum()
        ) / N
        generator, losses = torch.Generator().manual_seed(5), []
        for _ in range(1500):
            y = K @ x.ravel() + SIGMA * rng.standard_normal(N)
            objective, _ = objective_of(y.reshape(1, H, W))
            both, loss_of = objective.draw(generator)
            halves = [(torch.from_numpy(A) @ half.reshape(-1)).reshape(1, H, W) for half in both.chunk(2)]
            losses.append(float(loss_of(torch.cat(halves)).value))
        error = np.std(losses) / math.sqrt(len(losses))
        assert abs(np.mean(losses) - expected - constant) < 4.5 * error
        apart.append((expected, error))
    assert abs(apart[0][0] - apart[1][0]) > 10 * max(error for _, error in apart)


def test_both_inputs_pass_the_same_networks_by_themselves_and_in_float32():
    class Scaled(nn.Module):
        def forward(self, inputs, _generators):
            assert inputs.shape == (2, 1, 3, 3)
            assert not torch.is_autocast_enabled("cpu")
            return inputs / inputs.amax((1, 2, 3), keepdim=True)

    inputs = torch.rand(2, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        both = Twice(Scaled())(inputs)
    for half in (0, 1):
        assert torch.equal(both[:, half], inputs[:, half] / inputs[:, half].amax((1, 2), keepdim=True))


def test_stops_see_the_loss_or_the_residual():
    y = np.random.default_rng(3).random((1, H, W))
    both = torch.rand(2, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for by_loss in (True, False):
        objective, K = objective_of(y, by_loss)
        loss = objective.draw(torch.Generator().manual_seed(1))[1](both)
        residual = ((K @ both[0].numpy().ravel() - y.ravel()) ** 2).mean()
        assert float(loss.residual) == pytest.approx(float(loss.value) if by_loss else residual)
        assert not loss.residual.requires_grad


def test_the_cut_off_is_that_of_the_nearest_noise():
    levels = {0.1 / 255: 5e-3, 1.4 / 255: 5e-2, 0.01: 0.1, 7 / 255: 0.1, 0.0: 5e-3}
    assert {sigma: usual_cutoff(sigma) for sigma in levels} == levels
    assert [usual_cutoff(level / 255) for level in (14, 21, 255)] == pytest.approx([0.2, 0.3, 0.9])


def problem():
    y = np.random.default_rng(0).random((1, 36, 34), dtype=np.float32)
    return Problem(y, KERNEL.astype(np.float32), Noise("gaussian", 0.02))


def test_the_input_is_the_adjoint_of_the_tapered_y():
    objective = PGSUREDIP().recipe(problem()).objective(problem(), Run())
    operator = problem().operator("cpu")
    assert isinstance(operator, Operator)
    wanted = torch.fft.irfft2(torch.fft.rfft2(operator.tapered) * operator.transfer.conj(), s=operator.frame)
    torch.testing.assert_close(objective.input, wanted)


@pytest.mark.parametrize(("settings", "by_loss"), [({}, True), ({"judge": "residual"}, False)])
def test_the_lowest_residual_is_that_of_the_judge(settings, by_loss):
    objective = PGSUREDIP(**settings).recipe(problem()).objective(problem(), Run())
    draw, loss_of = objective.draw(torch.Generator().manual_seed(1))
    loss = loss_of(draw.clip(0, 1))
    assert (loss.residual.item() == loss.value.item()) == by_loss


def test_what_is_impossible_is_refused():
    wrong = ({"cutoff": 1.0}, "cutoff=1.0"), ({"step": 0.0}, "step=0.0"), ({"judge": "eye"}, "use loss or residual")
    for settings, said in wrong:
        with pytest.raises(InputError, match=said):
            PGSUREDIP(**settings)
    with pytest.raises(InputError, match="the input of the network shows all of y"):
        PGSUREDIP(stop="held-out").restore(problem(), Run())
