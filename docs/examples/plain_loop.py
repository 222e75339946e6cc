"""A deep image prior as an ordinary PyTorch loop, without nidbench's engine.

The harness seeds torch's generators for each cell, so that plain code repeats itself. What speaks to the run is
optional: `progress` gives the display and the estimate of time, `observe` the curve in the results.

    nidbench check docs/examples/plain_loop.py
    nidbench run --methods plain_loop --method-file docs/examples/plain_loop.py --dataset sample
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from nidbench.contract import MethodInfo, Problem, Restored, Run


def block(inputs: int, stride: int = 1) -> nn.Module:
    """Return a convolution to 64 channels, normalised and rectified."""
    return nn.Sequential(nn.Conv2d(inputs, 64, 3, stride, padding=1), nn.BatchNorm2d(64), nn.LeakyReLU(0.2))


@dataclass(frozen=True)
class PlainLoop:
    """Fits a network of random input to y through the blur."""

    info: ClassVar[MethodInfo] = MethodInfo("plain loop", presets={"fast": {}, "smoke": {"iterations": 4}})
    iterations: int = 500  #: steps of Adam

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the network's image after the last step."""
        operator, z = problem.operator(run.device), 0.1 * torch.rand(1, 32, *problem.frame).to(run.device)
        down, up = [block(32, stride=4), block(64, stride=2), block(64)], nn.Upsample(problem.frame, mode="bilinear")
        last = nn.Conv2d(64, problem.blurred.shape[0], 1)
        network = nn.Sequential(*down, up, block(64), last, nn.Sigmoid()).to(run.device)
        adam = torch.optim.Adam(network.parameters(), lr=0.01)
        for i in range(1, self.iterations + 1):
            adam.zero_grad()
            x = network(z)[0]
            (operator.predict(x) - operator.blurred).square().mean().backward()
            adam.step()
            run.progress(i, self.iterations)
            if run.due(i):
                run.observe(i, x.detach().cpu().numpy)
        return Restored(x.detach().cpu().numpy(), iterations=self.iterations)
