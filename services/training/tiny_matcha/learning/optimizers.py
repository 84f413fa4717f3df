"""The optimizers: Muon for the matrices, AdamW for everything else."""

import torch
from transformers import Pix2StructForConditionalGeneration

from services.training.shared.optimizers import ScheduledOptimizers
from services.training.tiny_matcha.learning.recipe import Recipe


def build_optimizers(network: Pix2StructForConditionalGeneration, recipe: Recipe) -> ScheduledOptimizers:
    """Optimizers for every weight of the network, at the recipe's full rates."""
    matrices, queries, rest = split_weights(network)
    # Pix2Struct does not divide scores by the root of the head's width, so queries must learn that much more slowly.
    query_rate = recipe.muon_rate * recipe.shape.head_width**-0.5
    return ScheduledOptimizers(
        torch.optim.Muon(
            [{"params": matrices, "lr": recipe.muon_rate}, {"params": queries, "lr": query_rate}],
            weight_decay=0.05,
            momentum=0.95,
        ),
        torch.optim.AdamW(rest, lr=recipe.adam_rate, betas=(0.9, 0.98), weight_decay=0.01),
    )


def split_weights(
    network: Pix2StructForConditionalGeneration,
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Matrices of the layers and the patch projection; matrices of the queries; embeddings, head and norms.

    With AdamW the patch projection does not learn: neighbouring pixels agree, so its equal steps add up over all 768.
    """
    matrices, queries, rest = [], [], []
    for name, weight in network.named_parameters():
        if name.endswith(".query.weight"):
            queries.append(weight)
        elif weight.ndim == 1 or any(part in name for part in ("embed_", "embedder", "lm_head", "bias")):
            rest.append(weight)
        else:
            matrices.append(weight)
    return matrices, queries, rest
