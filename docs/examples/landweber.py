"""A whole method: Landweber's iteration, with a term for smoothness.

Gradient descent on |k * x - y|^2 + w |grad x|^2. The weight w = 40 sigma^2 is about what the method `wiener` takes for
an image of usual contrast, 1.5 sigma^2 / 0.2^2.

    nidbench check docs/examples/landweber.py
    nidbench run --methods landweber --method-file docs/examples/landweber.py --dataset sample
"""

from dataclasses import dataclass
from typing import ClassVar

from nidbench.contract import MethodInfo, Problem, Restored, Run


@dataclass(frozen=True)
class Landweber:
    """Takes as many gradient steps as asked for, from the edge-tapered y."""

    info: ClassVar[MethodInfo] = MethodInfo("Landweber iteration, smooth", year=1951)
    iterations: int = 100  #: gradient steps
    smoothness: float = 40.0  #: w, in units of the noise's variance

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x after the last step."""
        operator = problem.operator(run.device)
        x, w = operator.tapered, self.smoothness * problem.sigma() ** 2
        for i in range(1, self.iterations + 1):
            rough = 4 * x - sum(x.roll(step, axis) for step in (-1, 1) for axis in (1, 2))
            x = x - (operator.adjoint(operator.blur(x) - operator.blurred) + w * rough) / (1 + 8 * w)
            if run.due(i):
                run.observe(i, x.cpu().numpy)
        return Restored(x.cpu().numpy(), iterations=self.iterations)
