"""Held-out questions: their charts come from seeds (``held-out/...``) that training never uses."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from services.training.tiny_matcha.data.charts import MAX_SHIFT_PIXELS
from services.training.tiny_matcha.data.drawing import draw_chart
from services.training.tiny_matcha.data.kinds import KINDS, Kind
from services.training.tiny_matcha.data.questions import ask, sample_chart_for


@dataclass(frozen=True, slots=True)
class Asked:
    """An image, a question about it, and the correct answer."""

    image: Image.Image
    question: str
    answer: str
    kind: str


def held_out(
    seed: int, per_kind: int, max_shift: int = MAX_SHIFT_PIXELS, kinds: Iterable[Kind] = tuple(KINDS.values())
) -> Iterator[Asked]:
    """``per_kind`` questions of each kind, each about a new chart of the distribution that training uses."""
    for kind in kinds:
        rng = random.Random(f"held-out/{seed}/{kind.name}")
        for _ in range(per_kind):
            chart = sample_chart_for(kind, rng, max_shift)
            question = ask(chart, kind, rng)
            yield Asked(draw_chart(chart), question.text, question.answer, kind.name)
