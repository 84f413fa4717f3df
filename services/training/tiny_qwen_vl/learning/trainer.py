"""Trains the network from nothing, in two phases: first the vision tower learns to see, then the whole to answer.

Nothing is written to disk here. The intermediate layers get no loss of their own: the lens is to show what they come to
say by themselves.
"""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from services.training.tiny_qwen_vl.data.scenes import MAX_ITEMS
from services.training.tiny_qwen_vl.learning.batches import IGNORED, Batch, Collator, sample_examples
from services.training.tiny_qwen_vl.learning.naming import NamingHeads
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
_MAX_GRADIENT_NORM: Final = 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """How many steps, of how many images with how many questions each, and how crowded the images are."""

    steps: int
    images: int
    questions: int
    naming_weight: float
    """Of the throw-away heads."""
    curriculum: tuple[tuple[float, int], ...]
    """Up to which part of the phase an image has at most how many items: given all from the start, the model learns
    little beyond the total."""

    def max_items(self, progress: float) -> int:
        """Most items in an image when this part of the phase, 0 to 1, is done."""
        return next((items for until, items in self.curriculum if progress < until), MAX_ITEMS)


SEEING: Final = Phase(steps=800, images=32, questions=1, naming_weight=1.0, curriculum=((0.2, 4),))
ANSWERING: Final = Phase(steps=2200, images=24, questions=6, naming_weight=0.3, curriculum=((0.1, 2), (0.25, 4)))


@dataclass(frozen=True, slots=True)
class Settings:
    """How the model is trained."""

    seed: int = 0
    seeing: Phase = SEEING
    answering: Phase = ANSWERING
    matrix_rate: float = 0.02
    """Learning rate of Muon, for the weight matrices."""
    other_rate: float = 1.5e-3
    """Learning rate of AdamW, for everything else."""
    warmup_steps: int = 50
    weight_decay: float = 0.05
    threads: int = 1

    @property
    def steps(self) -> int:
        """Of both phases."""
        return self.seeing.steps + self.answering.steps


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step; counted over both phases."""

    number: int
    loss: float
    """Of the answers, in nats per token; in the first phase of the throw-away heads."""


@dataclass(slots=True)
class Trainer:
    """A model and what is needed only while it learns."""

    settings: Settings
    model: Model = field(init=False)
    _heads: NamingHeads = field(init=False)
    _collate: Collator = field(init=False)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Build the model, its weights drawn from the seed."""
        torch.set_num_threads(self.settings.threads)
        torch.manual_seed(self.settings.seed)
        tokenizer = build_tokenizer()
        network = build_network(tokenizer)
        network.set_attn_implementation("eager")  # at this size and in bf16, faster than torch's fused attention
        network.model.visual.patch_embed = LinearPatchEmbed(network.model.visual.patch_embed.proj)
        self.model = Model(network, tokenizer, build_image_processor())
        self._heads = NamingHeads()
        self._collate = Collator(tokenizer)
        self._rng = random.Random(f"tiny-qwen2-vl training {self.settings.seed}")

    def run(self) -> Iterator[Step]:
        """Train to the end, yielding after each step."""
        losses = itertools.chain(self._see(self.settings.seeing), self._answer(self.settings.answering))
        for number, loss in enumerate(losses, start=1):
            yield Step(number, loss)
        self.model.network.eval()

    def _see(self, phase: Phase) -> Iterator[float]:
        learning = _Learning(self.model.network.model.visual, self._heads, phase, self.settings)
        for progress in learning.steps():
            batch = self._batch(phase, progress)
            with torch.autocast("cpu", torch.bfloat16):
                loss = self._heads.loss(self._vision(batch), batch.looks, batch.patches)
            learning.apply(loss)
            yield loss.item()

    def _answer(self, phase: Phase) -> Iterator[float]:
        learning = _Learning(self.model.network, self._heads, phase, self.settings)
        for progress in learning.steps():
            batch = self._batch(phase, progress)
            with torch.autocast("cpu", torch.bfloat16):
                vision = self._vision(batch)
                naming = self._heads.loss(vision, batch.looks, batch.patches)
                answers = self._answer_loss(vision, batch)
            # Towards the end only the answers count.
            learning.apply(answers + phase.naming_weight * _cosine(progress) * naming)
            yield answers.item()

    def _batch(self, phase: Phase, progress: float) -> Batch:
        examples = sample_examples(self._rng, phase.questions, phase.max_items(progress))
        return self._collate(list(itertools.islice(examples, phase.images)))

    def _vision(self, batch: Batch) -> Any:  # noqa: ANN401 transformers has no type hints that mypy reads
        grid = torch.tensor([[1, GRID, GRID]] * len(batch.pixels))
        patches = patches_of(batch.pixels, self.model.image_processor)
        return self.model.network.get_image_features(patches, grid, return_dict=True)

    def _answer_loss(self, vision: Any, batch: Batch) -> torch.Tensor:  # noqa: ANN401
        """Cross-entropy of the answers and of the end of turn after each."""
        mask = torch.zeros(batch.visible.shape).masked_fill(~batch.visible, _HIDDEN)
        output = self.model.network(
            input_ids=batch.input_ids,
            attention_mask={"full_attention": mask},
            position_ids=batch.position_ids,
            mm_encoder_outputs={"image": vision},
            use_cache=False,
        )
        asked = batch.labels != IGNORED
        return functional.cross_entropy(output.logits[asked].float(), batch.labels[asked])


class _Learning:
    """The optimizers of one phase: Muon for the network's inner matrices, AdamW for the rest.

    Both are warmed up, and then cooled to zero.
    """

    def __init__(self, network: nn.Module, heads: nn.Module, phase: Phase, settings: Settings) -> None:
        self._phase, self._settings = phase, settings
        self._parameters = [*network.parameters(), *heads.parameters()]
        inner = {id(each.weight) for each in network.modules() if type(each) is nn.Linear}
        inner -= {id(each.weight) for each in network.modules() if isinstance(each, nn.Embedding)}  # the tied output
        matrices = [each for each in self._parameters if id(each) in inner]
        others = [each for each in self._parameters if id(each) not in inner]
        decay = settings.weight_decay
        self._optimizers = {
            torch.optim.Muon(matrices, weight_decay=decay, adjust_lr_fn="original"): settings.matrix_rate,
            torch.optim.AdamW(others, weight_decay=decay, betas=(0.9, 0.98)): settings.other_rate,
        }

    def steps(self) -> Iterator[float]:
        """Which part of the phase is done, before each of its steps, with the learning rates set."""
        for number in range(self._phase.steps):
            progress = number / self._phase.steps
            factor = min(1.0, (number + 1) / self._settings.warmup_steps) * _cosine(progress)
            for optimizer, rate in self._optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = rate * factor
            yield progress

    def apply(self, loss: torch.Tensor) -> None:
        """One step down the gradient of the loss."""
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, _MAX_GRADIENT_NORM)
        for optimizer in self._optimizers:
            optimizer.step()


def _cosine(progress: float) -> float:
    """From one to zero."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))
