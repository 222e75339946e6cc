"""The names that identify a measurement, and key its noise."""

from __future__ import annotations

from dataclasses import dataclass

#: Stands for the noise specification of what was measured, not made.
MEASURED = "measured"


@dataclass(frozen=True)
class CaseKey:
    """Which measurement: the names that also key its noise generator.

    Attributes:
        dataset, image, kernel: names; the kernel's with its set, as in `levin/4`.
        noise: as on the command line, `gaussian:0.05`, with `+gamma:2.2` after it for a response other than the
            dataset's own; `measured` where the blurred image is given.
        noise_seed: which draw of the noise.
    """

    dataset: str
    image: str
    kernel: str
    noise: str
    noise_seed: int = 0

    def __str__(self) -> str:
        return f"{self.dataset}/{self.image} {self.kernel} {self.noise} #{self.noise_seed}"
