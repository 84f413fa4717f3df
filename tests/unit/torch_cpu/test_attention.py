"""Blocked attention against the formula in float64."""

import pytest
import torch
from torch import nn

from services.torch_cpu.attention import blocked_attention


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


def formula(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float,
    mask: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    scores = query.double() @ key.double().transpose(2, 3) * scaling
    if bias is not None:
        scores = scores + bias.double()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(dim=-1) @ value.double()).transpose(1, 2)


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual.double() - expected).norm() / expected.norm())


class Attention(nn.Module):
    """A minimal attention layer."""

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        self.is_causal = causal


@pytest.mark.parametrize(("heads", "rows", "head"), [(12, 600, 64), (3, 256, 80), (1, 1, 64), (16, 1296, 80)])
def test_every_row_of_every_block_is_what_the_formula_says(heads: int, rows: int, head: int) -> None:
    query, key, value = (drawn(1, heads, rows, head, seed=seed) for seed in range(3))
    actual, _ = blocked_attention(Attention(causal=False), query, key, value, None, head**-0.5)
    expected = formula(query, key, value, head**-0.5)
    assert actual.shape == (1, rows, heads, head)
    assert relative_error(actual, expected) < 0.01
    assert (actual.double() - expected).abs().max() < 0.02


def test_a_step_of_a_batch_sees_its_own_keys_only() -> None:
    query, key, value = drawn(3, 4, 1, 64, seed=0), drawn(3, 4, 50, 64, seed=1), drawn(3, 4, 50, 64, seed=2)
    mask = (torch.arange(50) < torch.tensor([50, 7, 1])[:, None])[:, None, None]  # (B, 1, 1, S)
    actual, _ = blocked_attention(Attention(causal=True), query, key, value, mask, 0.125)
    assert relative_error(actual, formula(query, key, value, 0.125, mask)) < 0.01
    assert torch.equal(actual[2, 0], value[2, :, 0])


def test_a_position_bias_is_added_to_the_scores_of_its_head() -> None:
    query, key, value = (drawn(2, 4, 300, 64, seed=seed) for seed in range(3))
    bias, mask = drawn(1, 4, 300, 300, seed=3) * 4, torch.ones(2, 1, 300, 300, dtype=torch.bool).tril()
    actual, _ = blocked_attention(Attention(causal=True), query, key, value, mask, 0.125, bias)
    assert relative_error(actual, formula(query, key, value, 0.125, mask, bias)) < 0.01


def test_without_a_mask_a_causal_prompt_is_still_causal() -> None:
    query, key, value = (drawn(1, 4, 40, 64, seed=seed) for seed in range(3))
    actual, _ = blocked_attention(Attention(causal=True), query, key, value, None, 0.125)
    expected = formula(query, key, value, 0.125, torch.ones(40, 40, dtype=torch.bool).tril())
    assert relative_error(actual, expected) < 0.01
