"""The logit lens: what each layer would have answered.

A transformer adds to one residual stream, so the state after any layer can be read with the model's own output head:
``softmax(head(norm(h)))`` (nostalgebraist, "interpreting GPT: the logit lens", 2020). Layer 0 is the embedding, layer i
the output of block i. The last layer is the model's own distribution: where a token was picked, it is read from the
very logits that picked it.
"""

from collections.abc import Iterator

import torch
from torch import nn

from services.qwen_vl.types import Reading

_CHUNK_ELEMENTS = 1 << 24
"""Logits held at a time, 32 MiB in bfloat16: three answer tokens at a vocabulary of 150,000 and 29 layers."""

_MEASURED_ELEMENTS = 1 << 20
"""Logits measured at a time, 4 MiB in float32, and twice that beside them: what is computed of more leaves the
processor's cache and takes twice as long."""


class LogitLens:
    """Final norm and output head of a model."""

    def __init__(self, norm: nn.Module, head: nn.Linear, chunk_elements: int = _CHUNK_ELEMENTS) -> None:
        self._norm = norm
        self._head = head
        self._rows = max(1, chunk_elements // head.out_features)
        self._measured_rows = max(1, _MEASURED_ELEMENTS // head.out_features)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (n, vocabulary) in float32 of raw states (n, hidden), in one product.

        The head computes in the model's own dtype; what follows is summed in float32, since in bfloat16 a vocabulary
        of 150,000 loses the small probabilities.
        """
        return self._product(states).float()

    @torch.inference_mode()
    def read(
        self, states: torch.Tensor, answer_ids: torch.Tensor, top_k: int, track: torch.Tensor
    ) -> Iterator[Reading]:
        """A reading per raw state (n, hidden), against the answer token of each (n); in chunks of bounded memory."""
        for some, ids in zip(torch.split(states, self._rows), torch.split(answer_ids, self._rows), strict=True):
            pieces = (torch.split(whole, self._measured_rows) for whole in (self._product(some), ids))
            for logits, answers in zip(*pieces, strict=True):
                yield from measure(logits.float(), answers, top_k, track)

    def _product(self, states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(self._norm(states))
        return logits


@torch.inference_mode()
def measure(logits: torch.Tensor, answer_ids: torch.Tensor, top_k: int, track: torch.Tensor) -> list[Reading]:
    """Readings of float32 logits (n, vocabulary); ``track`` (k) are ids to look at as well."""
    best = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
    looked_at = torch.cat([answer_ids[:, None], track.expand(len(logits), -1)], dim=1)  # (n, 1 + k)
    # Counted in 32 bits: torch counts booleans in 64 by default, six times as slowly.
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
    """Of tokens that are equally likely, which bfloat16 makes of near ones, the one that was emitted stands first."""
    if rank != 0 or ids[0] == answer:
        return ids
    return [answer, *(other for other in ids if other != answer)][: len(ids)]
