"""Attention in bfloat16 as plain products in blocks, for transformers' ``attn_implementation``.

torch's fused kernel for the CPU multiplies bfloat16 hardly faster than float32 where there are no AMX tiles, and takes
four times as long for one query row (a decoding step) as the two products that it consists of. Blocks of scores small
enough to stay in the cache keep what is good about the fused kernel: softmax and second product find them there.

Scores are rounded to bfloat16 before the softmax, as in transformers' own eager attention: twice the error of the
fused kernel. ``make bench-torch-cpu`` measures both; a processor with AMX was not tried.
"""

from typing import Any, Final

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BLOCKED: Final = "tallyglass-blocked"
"""What to set as ``attn_implementation``."""

_ROWS = 256
_SCORES = 1 << 20
"""Scores held at a time, 2 MiB."""


def blocked_attention(  # noqa: PLR0913, PLR0917 transformers' signature for an implementation of attention
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float = 1.0,
    position_bias: torch.Tensor | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """``softmax(query keyᵀ scaling + position_bias) value`` over the keys that the mask lets through.

    Args:
        module: whose attention it is. Where it is causal, several rows without a mask go to torch's own kernel.
        query: (B, heads, T, head).
        key: (B, heads, S, head), as many heads as the query.
        value: as key.
        attention_mask: (B or 1, 1, T, S), true where a row may look; None: everywhere.
        scaling: of the scores.
        position_bias: (1, heads, T, S), to add to the scores.
        **rest: what else transformers passes to every implementation, of use to torch's own kernel alone.

    Returns:
        (B, T, heads, head), and no weights.
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
    """Scaled and biased within the product, so that they are rounded once."""
    if bias is None:
        return torch.baddbmm(query.new_zeros(1), query, keys, beta=0, alpha=scaling)
    return torch.baddbmm(bias, query, keys, alpha=scaling)


def _bias(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, position_bias: torch.Tensor | None
) -> torch.Tensor | None:
    """What to add to the scores, as (B, heads, T, S) without taking its memory."""
    if mask is None and position_bias is None:
        return None
    bias = query.new_zeros(1) if position_bias is None else position_bias
    if mask is not None:
        bias = torch.where(mask, bias, torch.finfo(query.dtype).min)
    return bias.expand(*query.shape[:3], key.shape[2])


AttentionInterface.register(BLOCKED, blocked_attention)
AttentionMaskInterface.register(BLOCKED, sdpa_mask)
