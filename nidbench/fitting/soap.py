"""SOAP: Adam in the eigenbases of Shampoo's preconditioners, for N networks side by side.

Vyas, Morwani, Zhao, Shapira, Brandfonbrener, Janson, Kakade, "SOAP: Improving and Stabilizing Shampoo using Adam",
ICLR 2025 (arXiv:2409.11321), Algorithm 3.

A convolution's weights are a stack of three axes here: output channels, taps, input channels. Every axis of each
network has a basis of its own, so that networks do not see each other. Vectors, such as biases, are left to Adam.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

BETA = 0.95  #: of the averages of gradients, of their squares and of the preconditioners (section 5 of SOAP's paper)
EPSILON = 1e-8
EVERY = 10  #: steps between two updates of the bases
LONGEST = 160  #: an axis of more entries is left as it is: a basis costs the cube of them


class Soap(torch.optim.Optimizer):
    """SOAP on the parameters of N folded networks.

    The first step only takes the bases from its gradient; no parameter moves.

    Its state for every parameter are `step` and tensors whose first axis is for the networks: `exp_avg` and
    `exp_avg_sq`, in the bases, and for every axis that has a basis `basis n` and `covariance n`.

    Args:
        parameters: of the networks, the slices of the N networks one after the other along their first axis.
        count: N.
    """

    def __init__(self, parameters: Iterable[Tensor], count: int) -> None:
        super().__init__(parameters, {"lr": 0.0})
        self.count = count

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # noqa: ARG002 - torch's signature
        """Take one step along the gradients, at the learning rate `lr` of each group."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._descend(parameter, parameter.grad, group["lr"])

    def _descend(self, parameter: Tensor, slope: Tensor, rate: float) -> None:
        gradient, state = _axes(slope, self.count), self.state[parameter]
        if not state:
            state |= _begun(gradient)
            return
        state["step"] += 1
        steps = int(state["step"])
        rotated = _rotated(gradient, _bases(state))
        mean = state["exp_avg"].lerp_(rotated, 1 - BETA)
        square = state["exp_avg_sq"].mul_(BETA).addcmul_(rotated, rotated, value=1 - BETA)
        correction = math.sqrt(1 - BETA**steps) / (1 - BETA**steps)
        direction = mean / square.sqrt().add_(EPSILON)
        _axes(parameter, self.count).sub_(_rotated_back(direction, _bases(state)), alpha=rate * correction)
        for axis in _preconditioned(state):
            state[f"covariance {axis}"].lerp_(_covariance(gradient, axis), 1 - BETA)
        if steps % EVERY == 0:
            _turn(state)


def _axes(tensor: Tensor, count: int) -> Tensor:
    """Return a view of folded weights as Shape (N, outputs, taps, inputs), of folded vectors as (N, entries)."""
    if tensor.ndim < 2:
        return tensor.view(count, -1)
    # in the order in which channels-last weights lie in memory, so that nothing is copied
    taps_last = tensor.flatten(2) if tensor.ndim > 2 else tensor[..., None]
    weights = taps_last.transpose(1, 2)
    return weights.view(count, -1, *weights.shape[1:])


def _begun(gradient: Tensor) -> dict[str, Tensor]:
    # all of it is contiguous, so that it is multiplied in the same order, to the bit, once it comes from a checkpoint
    state = {"step": torch.tensor(0.0)}
    state |= {name: gradient.new_zeros(gradient.shape) for name in ("exp_avg", "exp_avg_sq")}
    for axis in range(1, gradient.ndim if gradient.ndim > 2 else 1):
        entries, others = gradient.shape[axis], gradient[0].numel() // gradient.shape[axis]
        # of an axis longer than all others together one gradient gives no full basis: rounding would choose the rest
        if 1 < entries <= min(LONGEST, others):
            covariance = (1 - BETA) * _covariance(gradient.double(), axis)  # single precision knows half the vectors
            state[f"covariance {axis}"] = covariance.to(gradient.dtype).contiguous()
            # a network whose gradient is not finite ends with this iteration; the others go on
            vectors = torch.linalg.eigh(covariance.nan_to_num(0, 0, 0))[1].flip(2)
            state[f"basis {axis}"] = vectors.to(gradient.dtype).contiguous()
    return state


def _preconditioned(state: dict[str, Tensor]) -> Iterator[int]:
    return (axis for axis in (1, 2, 3) if f"basis {axis}" in state)


def _bases(state: dict[str, Tensor]) -> dict[int, Tensor]:
    """Return axis -> basis, Shape (N, entries, entries), a vector a column."""
    return {axis: state[f"basis {axis}"] for axis in _preconditioned(state)}


def _covariance(gradient: Tensor, axis: int) -> Tensor:
    """Return the products of the entries along an axis with each other, summed over all else."""
    if axis == 1:
        rows = gradient.flatten(2)
        return rows @ rows.mT
    if axis == 2:
        return (gradient @ gradient.mT).sum(1)
    columns = gradient.flatten(1, 2)
    return columns.mT @ columns


def _rotated(values: Tensor, bases: dict[int, Tensor]) -> Tensor:
    """Return values by their coordinates in bases."""
    return _rotated_back(values, {axis: basis.mT for axis, basis in bases.items()})


def _rotated_back(values: Tensor, bases: dict[int, Tensor]) -> Tensor:
    """Return the values that have these coordinates in bases."""
    for axis, basis in bases.items():
        if axis == 1:
            values = (basis @ values.flatten(2)).view_as(values)
        elif axis == 2:
            values = basis[:, None] @ values
        else:
            values = (values.flatten(1, 2) @ basis.mT).view_as(values)
    return values


def _turn(state: dict[str, Tensor]) -> None:
    """Bring the bases nearer to the eigenvectors of the covariances, and the averages into them.

    One step of orthogonal iteration, largest eigenvalue first. The average of squares is not rotated: it follows its
    basis vector (as in the authors' code).
    """
    turns = {}
    for axis, basis in _bases(state).items():
        product = state[f"covariance {axis}"] @ basis
        order = (basis * product).sum(1).argsort(dim=1, descending=True, stable=True)
        turned = torch.linalg.qr(product.gather(2, order[:, None].expand_as(product)))[0]
        state["exp_avg_sq"] = _reordered(state["exp_avg_sq"], axis, order)
        turns[axis] = turned.mT @ basis
        state[f"basis {axis}"] = turned.contiguous()
    state["exp_avg"] = _rotated_back(state["exp_avg"], turns).contiguous()


def _reordered(values: Tensor, axis: int, order: Tensor) -> Tensor:
    """Return values in another order along an axis; `order` has Shape (N, entries)."""
    shape = [1] * values.ndim
    shape[0], shape[axis] = order.shape
    return values.gather(axis, order.view(shape).expand_as(values))
