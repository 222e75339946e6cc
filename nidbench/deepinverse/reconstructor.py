"""A method of nidbench as a reconstructor of DeepInverse; importing this module imports DeepInverse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nidbench.contract import Method, Run, check_restored
from nidbench.contract.global_state import generators_kept, seed_generators

from .package import load
from .physics import problems_of

_Reconstructor: Any = load().models.Reconstructor


class MethodReconstructor(_Reconstructor):  # type: ignore[misc]
    """Restores (y, physics) by a method of nidbench, so that DeepInverse's tests and trainers can compare it.

    The result does not depend on the other images of a batch: each is restored alone, with the same seed. The global
    random generators are as before afterwards. No gradient flows through it.

    Args:
        method: such as `nidbench.load_method("tv")`.
        seed: method seed, for each image.
        precision: `float32` or `bf16`, for methods that can use it.

    Raises:
        NidbenchError: where DeepInverse cannot be used.
    """

    def __init__(self, method: Method, *, seed: int = 0, precision: str = "float32") -> None:
        super().__init__()
        self.method, self.seed, self.precision = method, seed, precision

    def forward(self, y: Tensor, physics: Any, **_ignored: Any) -> Tensor:
        """Return x on the frame that y shows at least in part.

        Args:
            y: Shape (B, C, h, w), C = 1 or 3.
            physics: `deepinv.physics.Blur` with `padding="valid"`.

        Returns:
            Shape (B, C, h + kh - 1, w + kw - 1), not clipped, on the device of y.

        Raises:
            InputError: for another shape or another physics.
            UnstableError: where a restoration is not finite.
        """
        restored = []
        # networks are fitted, and callers are in no_grad or inference_mode
        with generators_kept(), torch.inference_mode(False), torch.enable_grad():
            for problem in problems_of(y, physics):
                run = Run(self.seed, device=str(y.device), precision=self.precision)
                seed_generators(run.seed("global"))
                image = check_restored(self.method.restore(self.method.info.given(problem), run), problem).image
                restored.append(torch.from_numpy(image))
        return torch.stack(restored).to(y)
