"""Optimizers on a common schedule."""

import torch


class ScheduledOptimizers:
    """Optimizers that step together, their learning rates scaled by one factor."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self._optimizers = optimizers
        self._full_rates = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]

    def scale_rates(self, factor: float) -> None:
        """Set each learning rate to ``factor`` times its full value."""
        for group, rate in self._full_rates:
            group["lr"] = rate * factor

    def step(self) -> None:
        """Update the weights and clear their gradients."""
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
