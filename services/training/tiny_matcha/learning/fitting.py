"""Fit the network: each image asks one question, and teaches more.

The target is the answer and its end, followed in training only by a teaching text (see ``targets.target``). Reading
names and values is learnt from the chart's table within minutes. Looking them up and comparing them is learnt from
questions asked in text, several per image, long before it is learnt from the one in the header. The weight of the
teaching text fades to nothing, and generation stops before it anyway.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from tokenizers import Tokenizer
from transformers import Pix2StructForConditionalGeneration

from services.training.shared.weights import start
from services.training.tiny_matcha.learning.batches import ChartBatch, Pool
from services.training.tiny_matcha.learning.losses import backward
from services.training.tiny_matcha.learning.optimizers import build_optimizers
from services.training.tiny_matcha.learning.recipe import Recipe
from services.training.tiny_matcha.learning.targets import ChartExamples
from services.training.tiny_matcha.learning.validation import Validation
from services.training.tiny_matcha.model.network import build_network
from services.training.tiny_matcha.model.tokenizer import build_tokenizer


@dataclass(frozen=True, slots=True)
class Progress:
    """What was measured after some steps; scores are on validation charts, neither trained on nor held out."""

    step: int
    samples: int
    seconds: float
    answer_loss: float
    teaching_loss: float
    exact_match: dict[str, float]
    """Share of correct answers by kind of question."""

    def after(self, before: Self) -> Self:
        """The same measurements, with steps, samples and seconds counted from the start of the earlier stage."""
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


def fit(
    recipe: Recipe,
    seed: int,
    report: Callable[[Progress], None],
    network: Pix2StructForConditionalGeneration | None = None,
) -> Pix2StructForConditionalGeneration:
    """Train ``network``, or a fresh one, and return it; ``report`` is called every ``recipe.report_every`` steps.

    The weights are the same whether the stages of a training run in one process or in several.
    """
    start(seed, recipe.threads)
    tokenizer = build_tokenizer()
    network = network or build_network(recipe.shape, tokenizer.get_vocab())
    optimizers = build_optimizers(network, recipe)
    validation = Validation.sample(recipe, seed, tokenizer)
    started = time.monotonic()
    losses: list[tuple[float, float]] = []
    for step, batch in enumerate(_batches(recipe, seed, tokenizer)):
        losses.append(backward(network, batch, recipe.teaching_at(step)))
        optimizers.scale_rates(recipe.rate_scale(step))
        optimizers.step()
        done = step + 1
        if done % recipe.report_every == 0 or done == recipe.steps:
            answer, teaching = np.mean(losses, axis=0).tolist()
            losses.clear()
            seconds = time.monotonic() - started
            report(Progress(done, done * recipe.batch, seconds, answer, teaching, validation.exact_match(network)))
    return network


def _batches(recipe: Recipe, seed: int, tokenizer: Tokenizer) -> Iterator[ChartBatch]:
    """A batch for each step, drawn from a pool whose oldest examples are replaced before each draw."""
    source = ChartExamples(
        random.Random(f"{recipe.charts}/{seed}"), recipe.asked_kinds(), recipe.kind_weights, recipe.further_questions
    )
    source.max_shift = recipe.shift_at(0)
    pool = Pool(recipe.pool, tokenizer, source)
    rows = np.random.default_rng(seed)
    for step in range(recipe.steps):
        source.max_shift = recipe.shift_at(step)
        pool.renew(recipe.batch // recipe.draws)
        yield pool.draw(rows.integers(len(pool), size=recipe.batch))
