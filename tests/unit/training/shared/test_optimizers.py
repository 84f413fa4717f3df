import pytest
import torch

from services.training.shared.optimizers import ScheduledOptimizers


def test_every_rate_is_scaled_from_its_full_value_and_gradients_are_cleared() -> None:
    first, second, third = (torch.nn.Parameter(torch.full((1,), 8.0)) for _ in range(3))
    optimizers = ScheduledOptimizers(
        torch.optim.SGD([{"params": [first], "lr": 0.5}, {"params": [second], "lr": 0.25}]),
        torch.optim.SGD([third], lr=2.0),
    )
    for factor, expected in ((1.0, (7.5, 7.75, 6.0)), (0.5, (7.25, 7.625, 5.0))):
        for weight in (first, second, third):
            assert weight.grad is None
            weight.grad = torch.ones(1)
        optimizers.scale_rates(factor)
        optimizers.step()
        assert [weight.item() for weight in (first, second, third)] == pytest.approx(expected)
