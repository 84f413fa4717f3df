"""Scores during training, on charts that are neither trained on nor held out."""

import random
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import Pix2StructForConditionalGeneration

from services.training.shared.scores import grouped
from services.training.tiny_matcha.learning.batches import IGNORED, Pool
from services.training.tiny_matcha.learning.losses import logits_of
from services.training.tiny_matcha.learning.recipe import Recipe
from services.training.tiny_matcha.learning.targets import ChartExamples

_BATCH = 128


@dataclass(frozen=True, slots=True)
class Validation:
    """Examples for validation, and the kind of question of each."""

    pool: Pool
    kinds: list[str]

    @classmethod
    def sample(cls, recipe: Recipe, seed: int, tokenizer: Tokenizer) -> Self:
        """The recipe's number of examples, with questions of the recipe's kinds."""
        source = ChartExamples(random.Random(f"validation/{seed}"), recipe.asked_kinds(), {}, further=3)
        examples = [next(source) for _ in range(recipe.validation)]
        return cls(
            Pool(recipe.validation, tokenizer, iter(examples)),
            [example.question.kind.taught_as for example in examples],
        )

    @torch.no_grad()
    def exact_match(self, network: Pix2StructForConditionalGeneration) -> dict[str, float]:
        """Share of answers that greedy decoding would get right, by kind.

        Greedy decoding writes the true answer exactly when each of its tokens is the likeliest after those before it.
        """
        hits: list[bool] = []
        for rows in np.split(np.arange(len(self.pool)), range(_BATCH, len(self.pool), _BATCH)):
            batch = self.pool.draw(rows)
            best = logits_of(network, batch).argmax(dim=2)
            hits += ((best == batch.answer_labels) | (batch.answer_labels == IGNORED)).all(dim=1).tolist()
        by_kind = grouped(zip(self.kinds, hits, strict=True), lambda pair: pair[0])
        return {kind: sum(hit for _, hit in pairs) / len(pairs) for kind, pairs in sorted(by_kind.items())}
