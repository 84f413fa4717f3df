"""Fit the network: every image is asked one question, and teaches more.

The target is the answer and its end, then, while training only, a teaching text (see ``batches.target``). Reading names
and values is learnt from the chart's table within minutes; looking them up and comparing them is learnt from questions
asked in text, several an image, long before it is learnt from the one in the header alone. The teaching part fades
out, and generation stops before it anyway.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import Pix2StructForConditionalGeneration

from services.training.shared.scores import grouped
from services.training.shared.weights import start
from services.training.tiny_matcha.learning.batches import IGNORED, ChartBatch, Pool
from services.training.tiny_matcha.learning.optimizers import build_optimizers
from services.training.tiny_matcha.learning.recipe import Recipe
from services.training.tiny_matcha.learning.targets import ChartExamples
from services.training.tiny_matcha.model.network import build_network
from services.training.tiny_matcha.model.tokenizer import build_tokenizer


@dataclass(frozen=True, slots=True)
class Progress:
    """What was measured after some steps, on validation charts that are neither trained on nor held out."""

    step: int
    samples: int
    seconds: float
    answer_loss: float
    teaching_loss: float
    exact_match: dict[str, float]
    """Share of right answers by kind of question."""

    def after(self, before: Self) -> Self:
        """The same, counted on from the end of an earlier stage."""
        return replace(
            self,
            step=before.step + self.step,
            samples=before.samples + self.samples,
            seconds=before.seconds + self.seconds,
        )

    def summary(self) -> str:
        """Losses and the mean score, for a terminal or a log."""
        mean = 100 * sum(self.exact_match.values()) / len(self.exact_match)
        losses = f"loss {self.answer_loss:.3f} answer, {self.teaching_loss:.3f} teaching"
        return f"{losses}; exact match {mean:.1f} %"


def logits_of(network: Pix2StructForConditionalGeneration, batch: ChartBatch) -> torch.Tensor:
    """Scores of every token at every position, (B, T, V) float32, computed in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        seen = network.encoder(flattened_patches=batch.flattened_patches).last_hidden_state
        written = network.decoder(input_ids=batch.decoder_input_ids, encoder_hidden_states=seen, use_cache=False)
    logits: torch.Tensor = written.logits
    return logits.float()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the labels that are not ``IGNORED``."""
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


@torch.no_grad()
def exact_match(network: Pix2StructForConditionalGeneration, pool: Pool, kinds: list[str]) -> dict[str, float]:
    """Share of answers that greedy decoding would get right, by kind; ``kinds`` names those of the pool in order.

    Greedy decoding writes the true answer exactly if each of its tokens comes first given the true ones before it.
    """
    hits: list[bool] = []
    for rows in np.split(np.arange(len(pool)), range(128, len(pool), 128)):
        batch = pool.draw(rows)
        best = logits_of(network, batch).argmax(dim=2)
        hits += ((best == batch.answer_labels) | (batch.answer_labels == IGNORED)).all(dim=1).tolist()
    by_kind = grouped(zip(kinds, hits, strict=True), lambda pair: pair[0])
    return {kind: sum(hit for _, hit in pairs) / len(pairs) for kind, pairs in sorted(by_kind.items())}


@dataclass(frozen=True, slots=True)
class Validation:
    """Examples to follow the training by, and the kind of question of each."""

    pool: Pool
    kinds: list[str]

    def exact_match(self, network: Pix2StructForConditionalGeneration) -> dict[str, float]:
        """Share of right answers by kind."""
        return exact_match(network, self.pool, self.kinds)


def fit(
    recipe: Recipe,
    seed: int,
    report: Callable[[Progress], None],
    network: Pix2StructForConditionalGeneration | None = None,
) -> Pix2StructForConditionalGeneration:
    """Train ``network``, or one from nothing, and hand it back, calling ``report`` each ``recipe.report_every`` steps.

    Weights come out the same whether the stages of a training run in one process or one by one.
    """
    start(seed, recipe.threads)
    tokenizer = build_tokenizer()
    network = network or build_network(recipe.shape, tokenizer.get_vocab())
    optimizers = build_optimizers(network, recipe)
    source = ChartExamples(
        random.Random(f"{recipe.charts}/{seed}"), recipe.asked_kinds(), recipe.kind_weights, recipe.further_questions
    )
    source.max_shift = recipe.shift_at(0)
    pool = Pool(recipe.pool, tokenizer, source)
    validation = _validation(recipe, seed, tokenizer)
    rows = np.random.default_rng(seed)
    started = time.monotonic()
    losses: list[tuple[float, float]] = []
    for step in range(recipe.steps):
        source.max_shift = recipe.shift_at(step)
        pool.renew(recipe.batch // recipe.draws)
        batch = pool.draw(rows.integers(len(pool), size=recipe.batch))
        losses.append(_update(network, batch, recipe.teaching_at(step)))
        optimizers.scale_rates(recipe.rate_scale(step))
        optimizers.step()
        done = step + 1
        if done % recipe.report_every == 0 or done == recipe.steps:
            answer, teaching = np.mean(losses, axis=0).tolist()
            losses.clear()
            seconds = time.monotonic() - started
            scores = validation.exact_match(network)
            report(Progress(done, done * recipe.batch, seconds, answer, teaching, scores))
    return network


def _update(
    network: Pix2StructForConditionalGeneration, batch: ChartBatch, teaching_weight: float
) -> tuple[float, float]:
    """Gradients of one batch; its losses on answers and on the teaching text."""
    logits = logits_of(network, batch)
    answer, teaching = cross_entropy(logits, batch.answer_labels), cross_entropy(logits, batch.teaching_labels)
    torch.autograd.backward(answer + teaching_weight * teaching)
    return answer.item(), teaching.item()


def _validation(recipe: Recipe, seed: int, tokenizer: Tokenizer) -> Validation:
    source = ChartExamples(random.Random(f"validation/{seed}"), recipe.asked_kinds(), {}, further=3)
    chosen = [next(source) for _ in range(recipe.validation)]
    return Validation(
        Pool(recipe.validation, tokenizer, iter(chosen)), [example.question.kind.taught_as for example in chosen]
    )
