"""The logit lens: what each layer would have answered.

A transformer's blocks all add to one residual stream, so the state after any layer can be decoded with the model's own
output head: ``softmax(head(norm(h)))`` (nostalgebraist, "interpreting GPT: the logit lens", 2020). Layer 0 is the
embedding, layer i the output of block i. The last layer is the model's own distribution: for an answer token, it is
read from the very logits from which the token was picked.
"""

from collections.abc import Iterator

import torch
from torch import nn

from services.qwen_vl.types import Reading

_CHUNK_ELEMENTS = 1 << 24
"""Logits computed at a time, 32 MiB in bfloat16: three answer tokens for a vocabulary of 150,000 and 29 layers."""

_MEASURED_ELEMENTS = 1 << 20
"""Logits measured at a time, 4 MiB in float32 plus twice that in temporaries: more would not fit in the CPU cache and
take twice as long."""


class LogitLens:
    """Reads hidden states through a model's final norm and output head."""

    def __init__(self, norm: nn.Module, head: nn.Linear, chunk_elements: int = _CHUNK_ELEMENTS) -> None:
        self._norm = norm
        self._head = head
        self._rows = max(1, chunk_elements // head.out_features)
        self._measured_rows = max(1, _MEASURED_ELEMENTS // head.out_features)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Float32 logits (n, vocabulary) of raw states (n, hidden), in one product.

        The head computes in the model's own dtype. Everything after it is in float32, because sums in bfloat16 over a
        vocabulary of 150,000 lose the small probabilities.
        """
        return self._product(states).float()

    @torch.inference_mode()
    def read(
        self, states: torch.Tensor, answer_ids: torch.Tensor, top_k: int, track: torch.Tensor
    ) -> Iterator[Reading]:
        """Yield a reading per raw state (n, hidden), given each one's answer token (n); works in bounded memory."""
        for some, ids in zip(torch.split(states, self._rows), torch.split(answer_ids, self._rows), strict=True):
            pieces = (torch.split(whole, self._measured_rows) for whole in (self._product(some), ids))
            for logits, answers in zip(*pieces, strict=True):
                yield from measure(logits.float(), answers, top_k, track)

    def _product(self, states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(self._norm(states))
        return logits


@torch.inference_mode()
def measure(logits: torch.Tensor, answer_ids: torch.Tensor, top_k: int, track: torch.Tensor) -> list[Reading]:
    """Readings of float32 logits (n, vocabulary); ``track`` (k) contains token ids to measure in addition."""
    best = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
    looked_at = torch.cat([answer_ids[:, None], track.expand(len(logits), -1)], dim=1)  # (n, 1 + k)
    # int32, because PyTorch sums booleans in int64 by default, which takes six times as long.
    ranks = [(logits > column[:, None]).sum(dim=-1, dtype=torch.int32) for column in logits.gather(1, looked_at).T]
    log_probs = logits.log_softmax(dim=-1)
    probs, best_probs = log_probs.gather(1, looked_at).exp(), log_probs.gather(1, best.indices).exp()
    entropies = -(log_probs.exp().mul_(log_probs)).sum(dim=-1)
    rows = zip(
        best.indices.tolist(),
        best_probs.tolist(),
        entropies.tolist(),
        probs.tolist(),
        torch.stack(ranks, dim=1).tolist(),
        answer_ids.tolist(),
        strict=True,
    )
    return [
        Reading(_emitted_first(ids, answer, rank[0]), top, entropy, prob[0], rank[0], _pairs(prob, rank))
        for ids, top, entropy, prob, rank, answer in rows
    ]


def _pairs(probs: list[float], ranks: list[int]) -> list[tuple[float, int]]:
    return list(zip(probs[1:], ranks[1:], strict=True))


def _emitted_first(ids: list[int], answer: int, rank: int) -> list[int]:
    """Put the emitted token first among equally likely ones; bfloat16 turns near ties into ties."""
    if rank != 0 or ids[0] == answer:
        return ids
    return [answer, *(other for other in ids if other != answer)][: len(ids)]
