"""Score a saved model as it is served: greedy decoding of whole answers, kind by kind, beside the majority answer.

Charts come from seeds that training never sees (``held-out/...`` against ``train/...`` and ``validation/...``), and
images from ``services.matcha`` itself, not from the faster path that training uses.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer
from transformers import Pix2StructForConditionalGeneration

from services.matcha.header import load_font, render_header
from services.matcha.patches import flatten_patches, pad_patches
from services.training.measures import wilson_interval
from services.training.tiny_matcha.data.charts import MAX_SHIFT_PIXELS
from services.training.tiny_matcha.data.drawing import draw_chart
from services.training.tiny_matcha.data.kinds import KINDS, Kind
from services.training.tiny_matcha.data.questions import ask, sample_chart_for
from services.training.tiny_matcha.learning.batches import MAX_PATCHES

QUESTIONS_PER_KIND = 200
BATCH = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """An image, a question about it, and the right answer."""

    image: Image.Image
    question: str
    answer: str
    kind: str


@dataclass(frozen=True, slots=True)
class KindScore:
    """Exact match on one kind of question, in percent, with its 95 % interval (Wilson)."""

    kind: str
    exact_match: float
    low: float
    high: float
    majority: float
    """What always giving the kind's commonest answer would score."""
    n: int


class Answerer:
    """A model folder that answers questions about images."""

    def __init__(self, folder: Path) -> None:
        """Load weights and tokenizer."""
        self._network = Pix2StructForConditionalGeneration.from_pretrained(folder).eval()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(weight.numel() for weight in self._network.parameters())

    @torch.inference_mode()
    def answer(self, asked: Sequence[tuple[Image.Image, str]]) -> list[str]:
        """Greedy answers to (image, question) pairs, in their order."""
        answers: list[str] = []
        for batch in (asked[start : start + BATCH] for start in range(0, len(asked), BATCH)):
            images = [render_header(image, question, load_font(None)) for image, question in batch]
            patches, mask = pad_patches([flatten_patches(image, MAX_PATCHES) for image in images])
            ids = self._network.generate(
                flattened_patches=torch.from_numpy(patches), attention_mask=torch.from_numpy(mask)
            )
            answers.extend(self._tokenizer.decode_batch(ids.tolist(), skip_special_tokens=True))
        return answers


def held_out(
    seed: int, per_kind: int, max_shift: int = MAX_SHIFT_PIXELS, kinds: Iterable[Kind] = tuple(KINDS.values())
) -> Iterator[Asked]:
    """Questions about charts of the training generator's family, ``per_kind`` of each kind, a chart of its own each."""
    for kind in kinds:
        rng = random.Random(f"held-out/{seed}/{kind.name}")
        for _ in range(per_kind):
            chart = sample_chart_for(kind, rng, max_shift)
            question = ask(chart, kind, rng)
            yield Asked(draw_chart(chart), question.text, question.answer, kind.name)


def score(answerer: Answerer, asked: Sequence[Asked]) -> list[KindScore]:
    """Scores by kind, in the order in which the kinds first appear."""
    answers = answerer.answer([(item.image, item.question) for item in asked])
    hits: dict[str, list[bool]] = {}
    golds: dict[str, list[str]] = {}
    for item, answer in zip(asked, answers, strict=True):
        hits.setdefault(item.kind, []).append(answer == item.answer)
        golds.setdefault(item.kind, []).append(item.answer)
    return [_kind_score(kind, hits[kind], golds[kind]) for kind in hits]


def mean_exact_match(scores: Sequence[KindScore]) -> float:
    """Mean over kinds, in percent, every kind counting the same."""
    return float(np.mean([item.exact_match for item in scores]))


def _kind_score(kind: str, hits: list[bool], golds: list[str]) -> KindScore:
    n = len(hits)
    low, high = wilson_interval(sum(hits), n)
    commonest = Counter(golds).most_common(1)[0][1]
    return KindScore(kind, 100 * sum(hits) / n, 100 * low, 100 * high, 100 * commonest / n, n)


def main(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    seed: Annotated[int, typer.Option(help="Seed of the held-out charts.")] = 0,
    per_kind: Annotated[int, typer.Option(min=1, help="Questions of each kind.")] = QUESTIONS_PER_KIND,
) -> None:
    """Measure a saved model on the held-out charts, and print exact match by kind in percent."""
    scores = score(Answerer(folder), list(held_out(seed, per_kind)))
    table = Table("kind", "exact match", "95 % interval", "majority", "n")
    for item in scores:
        interval = f"{item.low:.1f} to {item.high:.1f}"
        table.add_row(item.kind, f"{item.exact_match:.1f}", interval, f"{item.majority:.1f}", str(item.n))
    table.add_row("mean over kinds", f"{mean_exact_match(scores):.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
