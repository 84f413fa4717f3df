"""Muon in fp32. torch's own orthogonalizes in bf16, a third of a training step on a processor without it."""

from collections.abc import Iterable
from typing import Final

import torch

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_STEPS: Final = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are orthogonalized (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon).

    As ``torch.optim.Muon`` with ``adjust_lr_fn="original"``, in the dtype of the weights.
    """

    def __init__(
        self, parameters: Iterable[torch.Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure is ever passed
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is not None:
                    average = self.state[matrix].setdefault("average", torch.zeros_like(matrix))
                    average.lerp_(matrix.grad, 1 - momentum)
                    direction = orthogonalized(matrix.grad.lerp(average, momentum))
                    matrix.mul_(1 - rate * group["weight_decay"])
                    matrix.add_(direction, alpha=-rate * max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5)


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with its singular values near one, by a quintic Newton-Schulz iteration."""
    a, b, c = _COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    found: torch.Tensor = wide / wide.norm().clamp(min=1e-7)
    for _ in range(_STEPS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found if wide is matrix else found.T
