"""Blocked bfloat16 attention from plain matrix products, for transformers' ``attn_implementation``.

Without AMX, PyTorch's fused CPU kernel is hardly faster in bfloat16 than in float32, and for one query row (a decoding
step) it takes four times as long as the two products it consists of. The score blocks here are small enough to stay in
the CPU cache for the softmax and the second product, which is the main advantage of the fused kernel.

Scores are rounded to bfloat16 before the softmax, as in transformers' own eager attention: twice the error of the
fused kernel. ``make bench-torch-cpu`` measures both; not tested on a CPU with AMX.
"""

from typing import Any, Final

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BLOCKED: Final = "tallyglass-blocked"
"""The value for ``attn_implementation``."""

_ROWS = 256
_SCORES = 1 << 20
"""Scores per block, 2 MiB."""


def blocked_attention(  # noqa: PLR0913, PLR0917 transformers' signature for attention functions
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float = 1.0,
    position_bias: torch.Tensor | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """``softmax(query keyᵀ scaling + position_bias) value`` over the unmasked keys.

    Args:
        module: the attention layer. If it is causal, several rows without a mask go to PyTorch's own kernel.
        query: (B, heads, T, head).
        key: (B, heads, S, head), with as many heads as the query.
        value: like key.
        attention_mask: (B or 1, 1, T, S), true where a row may attend; None means everywhere.
        scaling: scale of the scores.
        position_bias: (1, heads, T, S), added to the scores.
        **rest: transformers' other arguments, used only by PyTorch's own kernel.

    Returns:
        (B, T, heads, head), and None in place of the attention weights.
    """
    batch, heads, rows, head = query.shape
    if rows > 1 and attention_mask is None and getattr(module, "is_causal", True):
        options = {"scaling": scaling, "position_bias": position_bias, **rest}
        return sdpa_attention_forward(module, query, key, value, None, **options)  # type: ignore[no-any-return]
    out = query.new_empty(batch, rows, heads, head)
    bias = _bias(query, key, attention_mask, position_bias)
    at_once = max(1, _SCORES // (min(rows, _ROWS) * key.shape[2]))
    for one in range(batch):
        for first in range(0, heads, at_once):
            some = slice(first, first + at_once)
            keys, values = key[one, some].contiguous().transpose(1, 2), value[one, some].contiguous()
            for start in range(0, rows, _ROWS):
                block = slice(start, start + _ROWS)
                added = None if bias is None else bias[one, some, block]
                weights = _scores(query[one, some, block], keys, added, scaling).softmax(dim=-1)
                out[one, block, some] = torch.bmm(weights, values).transpose(0, 1)
    return out, None


def _scores(query: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor | None, scaling: float) -> torch.Tensor:
    """Scores, scaled and biased within the product so that they are rounded only once."""
    if bias is None:
        return torch.baddbmm(query.new_zeros(1), query, keys, beta=0, alpha=scaling)
    return torch.baddbmm(bias, query, keys, alpha=scaling)


def _bias(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, position_bias: torch.Tensor | None
) -> torch.Tensor | None:
    """Position bias and mask combined, expanded to (B, heads, T, S) without copying."""
    if mask is None and position_bias is None:
        return None
    bias = query.new_zeros(1) if position_bias is None else position_bias
    if mask is not None:
        bias = torch.where(mask, bias, torch.finfo(query.dtype).min)
    return bias.expand(*query.shape[:3], key.shape[2])


AttentionInterface.register(BLOCKED, blocked_attention)
AttentionMaskInterface.register(BLOCKED, sdpa_mask)
