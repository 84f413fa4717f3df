"""The logit lens: what each layer would have answered.

A transformer adds to one residual stream, so the state after any layer can be read with the model's own output head:
``softmax(head(norm(h)))`` (nostalgebraist, "interpreting GPT: the logit lens", 2020). Layer 0 is the embedding, layer i
the output of block i. The last state that transformers returns is normed already; so the last layer is the model's own
distribution, and ``check_last_layer`` holds it to that.
"""

import torch
from torch import nn

from services.qwen_vl.values import LayerReading


class LensMismatchError(Exception):
    """The last layer of the lens is not the model's own distribution: this checkpoint is not read rightly."""


class Lens:
    """Final norm and output head of a model."""

    def __init__(self, norm: nn.Module, head: nn.Module) -> None:
        self._norm = norm
        self._head = head

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (layers, vocabulary) in float32 of hidden states (layers, hidden), all layers in one product.

        The head is read in the model's own dtype; what follows is summed in float32, since in bfloat16 a vocabulary of
        150,000 loses the small probabilities.
        """
        normed = torch.cat([self._norm(states[:-1]), states[-1:]])
        logits: torch.Tensor = self._head(normed)
        return logits.float()

    @torch.inference_mode()
    def read(self, states: torch.Tensor, answer_id: int, top_k: int) -> list[LayerReading]:
        """Readings of every layer from hidden states (layers, hidden) at the position that emitted ``answer_id``."""
        log_probs = torch.log_softmax(self.logits(states), dim=-1)  # (layers, vocabulary)
        probs = log_probs.exp()
        best = probs.topk(min(top_k, probs.shape[-1]), dim=-1)
        entropies = -(probs * log_probs).nan_to_num().sum(dim=-1)  # 0 · log 0 counts as 0
        answers = probs[:, answer_id]
        ranks = (probs > answers[:, None]).sum(dim=-1)
        columns = (best.indices, best.values, entropies, answers, ranks)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [LayerReading(layer, *row) for layer, row in enumerate(rows)]

    @torch.inference_mode()
    def check_last_layer(self, states: torch.Tensor, model_logits: torch.Tensor, tolerance: float) -> None:
        """Compare the last layer with the model's own logits (vocabulary) at the same position.

        Raises:
            LensMismatchError: a probability differs by more than ``tolerance``.
        """
        own = torch.softmax(model_logits.float(), dim=-1)
        last = torch.softmax(self.logits(states)[-1], dim=-1)
        difference = float((own - last).abs().max())
        if difference > tolerance:
            message = f"last layer and model differ by {difference:.2e} in probability, {tolerance:.0e} is rounding"
            raise LensMismatchError(message)
