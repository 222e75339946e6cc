"""A deep image prior of your own: a plain `torch.nn` network, fitted by nidbench's engine.

`fit_network` descends with Adam and adds what the harness asks for: the curve, the progress display, checkpoints from
which an interrupted run goes on, and the stopping rules.

    nidbench check docs/examples/my_dip.py
    nidbench run --methods my_dip --method-file docs/examples/my_dip.py --dataset sample
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.fitting import Schedule, Stop, fit_network


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Return a convolution, normalised and rectified."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode="reflect")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


def hourglass(channels: int, width: int = 64) -> nn.Module:
    """Return a network from 32 to so many channels that halves its maps three times and doubles them again."""
    down = [block(32 if scale == 0 else width, width, stride=2) for scale in range(3)]
    up = [nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), block(width, width)) for _ in range(3)]
    return nn.Sequential(*down, *up, nn.Conv2d(width, channels, 1), nn.Sigmoid())


@dataclass(frozen=True)
class MyDIP:
    """Fits an hourglass of random input to y through the blur."""

    info: ClassVar[MethodInfo] = MethodInfo("my deep image prior", presets={"fast": {}, "smoke": {"iterations": 4}})

    iterations: int = 800  #: steps of Adam
    lr: float = 0.01  #: its highest learning rate
    stop: str = "iterations"  #: when to end before all iterations are done

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the network's image after the last iteration."""
        channels, (height, width) = problem.blurred.shape[0], problem.frame
        seed_image = 0.1 * torch.rand(1, 32, height + -height % 8, width + -width % 8)  # cropped to the frame
        schedule = Schedule(self.iterations, self.lr, warmup=20, decay="cosine")
        return fit_network(
            problem, run, hourglass(channels), seed_image, schedule=schedule, jitter=0.03, stop=Stop(self.stop)
        )
