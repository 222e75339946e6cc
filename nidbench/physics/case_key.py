"""The names that identify a measurement, and key its noise."""

from __future__ import annotations

from dataclasses import dataclass

#: The noise specification of a measurement that a dataset gives: nidbench adds no noise to it.
MEASURED = "measured"


@dataclass(frozen=True)
class CaseKey:
    """The names that identify a measurement; its noise generator is keyed by them.

    Attributes:
        dataset, image, kernel: names; that of the kernel includes its set, as in `levin/4`.
        noise: as on the command line, `gaussian:0.05`, with `+gamma:2.2` after it for a response other than the
            dataset's own; `measured` where the blurred image is given.
        noise_seed: number of the noise draw, from 0.
    """

    dataset: str
    image: str
    kernel: str
    noise: str
    noise_seed: int = 0

    @property
    def kernel_set(self) -> str:
        """The set of the kernel: `levin` of `levin/4`, with its error where methods are handed another kernel."""
        return self.kernel.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.dataset}/{self.image} {self.kernel} {self.noise} #{self.noise_seed}"
