"""The network's outputs on a batch, and the losses that it learns from."""

import torch
from torch.nn import functional
from transformers import Pix2StructForConditionalGeneration

from services.training.tiny_matcha.learning.batches import IGNORED, ChartBatch


def logits_of(network: Pix2StructForConditionalGeneration, batch: ChartBatch) -> torch.Tensor:
    """Logits of every token at every position, (B, T, V) float32, computed in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        encoded = network.encoder(flattened_patches=batch.flattened_patches).last_hidden_state
        decoded = network.decoder(input_ids=batch.decoder_input_ids, encoder_hidden_states=encoded, use_cache=False)
    logits: torch.Tensor = decoded.logits
    return logits.float()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the labels that are not ``IGNORED``."""
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def backward(
    network: Pix2StructForConditionalGeneration, batch: ChartBatch, teaching_weight: float
) -> tuple[float, float]:
    """Compute the gradients of one batch, and return its losses on the answers and on the teaching text."""
    logits = logits_of(network, batch)
    answer, teaching = cross_entropy(logits, batch.answer_labels), cross_entropy(logits, batch.teaching_labels)
    torch.autograd.backward(answer + teaching_weight * teaching)
    return answer.item(), teaching.item()
