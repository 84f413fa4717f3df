"""Trains the network from scratch in two phases: the vision tower learns to see, then the whole model to answer.

The intermediate layers have no loss of their own: the lens should show what they come to hold by themselves.
"""

import itertools
import random
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch.nn import functional

from services.training.shared.weights import start
from services.training.tiny_qwen_vl.learning.batches import Collator, SceneBatch, sample_examples
from services.training.tiny_qwen_vl.learning.naming import NamingHeads
from services.training.tiny_qwen_vl.learning.optimizers import PhaseOptimizers, cosine
from services.training.tiny_qwen_vl.learning.rows import IGNORED
from services.training.tiny_qwen_vl.learning.settings import Phase, Settings
from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.model.network import (
    GRID,
    LinearPatchEmbed,
    build_image_processor,
    build_network,
    patches_of,
)
from services.training.tiny_qwen_vl.model.tokenizer import build_tokenizer

_HIDDEN: Final = -1e9


@dataclass(frozen=True, slots=True)
class Step:
    """One step, counted across both phases, and its loss."""

    number: int
    loss: float
    """Of the answers, in nats per token; in the first phase, of the auxiliary heads."""


@dataclass(slots=True)
class Trainer:
    """A model, and what is needed only to train it."""

    settings: Settings
    model: Model = field(init=False)
    _heads: NamingHeads = field(init=False)
    _collate: Collator = field(init=False)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Build the model, with initial weights from the seed."""
        start(self.settings.seed, self.settings.threads)
        tokenizer = build_tokenizer()
        network = build_network(tokenizer)
        network.set_attn_implementation("eager")  # at this size as fast as torch's fused attention, in bf16 faster
        network.model.visual.patch_embed = LinearPatchEmbed(network.model.visual.patch_embed.proj)
        self.model = Model(network, tokenizer, build_image_processor())
        self._heads = NamingHeads()
        self._collate = Collator(tokenizer)
        self._rng = random.Random(f"tiny-qwen2-vl training {self.settings.seed}")

    def run(self) -> Iterator[Step]:
        """Train to the end, yielding every step."""
        losses = itertools.chain(self._see(self.settings.seeing), self._answer(self.settings.answering))
        for number, loss in enumerate(losses, start=1):
            yield Step(number, loss)
        self.model.network.eval()

    def _see(self, phase: Phase) -> Iterator[float]:
        learning = PhaseOptimizers(self.model.network.model.visual, self._heads, phase, self.settings)
        for progress in learning.steps():
            batch = self._batch(phase, progress)
            with self._precision():
                loss = self._heads.loss(self._vision(batch), batch.looks, batch.patches)
            learning.apply(loss)
            yield loss.item()

    def _answer(self, phase: Phase) -> Iterator[float]:
        learning = PhaseOptimizers(self.model.network, self._heads, phase, self.settings)
        for progress in learning.steps():
            batch = self._batch(phase, progress)
            with self._precision():
                vision = self._vision(batch)
                naming = self._heads.loss(vision, batch.looks, batch.patches)
                answers = self._answer_loss(vision, batch)
            # The auxiliary loss fades out, so that towards the end only the answers count.
            learning.apply(answers + phase.naming_weight * cosine(progress) * naming)
            yield answers.item()

    def _batch(self, phase: Phase, progress: float) -> SceneBatch:
        every_form = self.settings.every_form
        examples = sample_examples(self._rng, phase.questions, phase.max_items(progress), every_form=every_form)
        return self._collate(list(itertools.islice(examples, phase.images)))

    def _vision(self, batch: SceneBatch) -> Any:
        grid = torch.tensor([[1, GRID, GRID]] * len(batch.pixels))
        patches = patches_of(batch.pixels, self.model.image_processor)
        return self.model.network.get_image_features(patches, grid, return_dict=True)

    def _precision(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bf16)

    def _answer_loss(self, vision: Any, batch: SceneBatch) -> torch.Tensor:
        """Cross-entropy of the answers and of the end of turn after each."""
        asked = batch.labels != IGNORED
        logits = row_logits(self.model.network, vision, batch)
        return functional.cross_entropy(logits[asked].float(), batch.labels[asked])


def row_logits(network: Any, vision: Any, batch: SceneBatch) -> torch.Tensor:
    """(B, T, vocabulary): what follows each token of each row.

    Args:
        network: the Qwen2-VL model.
        vision: transformers' output of the vision tower, one image per row.
        batch: the rows, in which an image may stand several times.
    """
    repeated = copy(vision)
    repeated.pooler_output = [
        image for image, times in zip(vision.pooler_output, batch.images.tolist(), strict=True) for _ in range(times)
    ]
    output = network(
        input_ids=batch.input_ids,
        attention_mask={"full_attention": torch.zeros(batch.visible.shape).masked_fill(~batch.visible, _HIDDEN)},
        position_ids=batch.position_ids,
        mm_encoder_outputs={"image": repeated},
        use_cache=False,
    )
    logits: torch.Tensor = output.logits
    return logits
