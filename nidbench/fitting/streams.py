"""Random streams of a run, as torch draws from them."""

from __future__ import annotations

import torch

from nidbench.contract.run import Run


def seeded(run: Run, stream: str, device: str = "cpu") -> torch.Generator:
    """Return a torch generator for one of a run's random streams, such as `weights`; streams are independent."""
    return torch.Generator(device).manual_seed(run.seed(stream))
