"""Conditions outside the training distribution, each changing one thing, to show where the model fails."""

import dataclasses
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image

from services.training.tiny_matcha.data.charts import Chart
from services.training.tiny_matcha.data.drawing import HEIGHT, WIDTH, draw_chart
from services.training.tiny_matcha.data.held_out import Asked, held_out
from services.training.tiny_matcha.data.kinds import BY_NAME, KINDS
from services.training.tiny_matcha.data.questions import ask, sample_chart_for
from services.training.tiny_matcha.data.shifted import draw_shifted, sample_look

UNSEEN_NAMES = ("Paris", "Seoul", "Cairo", "Delhi", "Minsk", "Tunis")
UNSEEN_WORDINGS = {
    "chart type": "Tell me the sort of chart.",
    "legend": "Has this got a legend?",
    "number of categories": "Amount of categories?",
    "number of series": "Say how many series.",
    "x axis title": "Horizontal axis title?",
    "y axis title": "Vertical axis title?",
    "categories": "Write out the categories.",
    "legend entries": "What are the legend items?",
    "value": "Tell me the {0} value.",
    "highest": "Which one is on top?",
    "lowest": "Which one is at the bottom?",
    "comparison": "Is the {0} higher than the {1}?",
    "difference": "Gap from top to bottom?",
    "ranking": "Put them in falling order.",
}
TEXT_THAT_ASKS_NOTHING = "This is a chart, it says."

Change = Callable[[Asked], Asked]


@dataclass(frozen=True, slots=True)
class Condition:
    """Questions under one condition."""

    name: str
    asked: list[Asked]


def conditions(seed: int, per_kind: int) -> list[Condition]:
    """Every condition, with ``per_kind`` questions of each kind, all from seeds that training never uses."""
    return [
        *(Condition(kind.name, list(held_out(seed, 2 * per_kind, kinds=[kind]))) for kind in BY_NAME.values()),
        Condition("shifted by up to 8 px", list(held_out(seed, per_kind, max_shift=8))),
        Condition("shifted by up to 16 px", list(held_out(seed, per_kind, max_shift=16))),
        Condition("twice as large", [_scaled(item, 2) for item in held_out(seed, per_kind)]),
        Condition("on a picture 32 px taller", [_taller(item, 32) for item in held_out(seed, per_kind)]),
        Condition("questions in unseen words", list(_charts(seed, per_kind, _reworded))),
        Condition("categories with unseen names", list(_charts(seed, per_kind, _renamed))),
        Condition("drawn by matplotlib", list(_charts(seed, per_kind, _redrawn))),
        Condition(
            "a header that asks nothing",
            [dataclasses.replace(item, question=TEXT_THAT_ASKS_NOTHING) for item in held_out(seed, per_kind)],
        ),
    ]


def _scaled(item: Asked, factor: int) -> Asked:
    size = (item.image.width * factor, item.image.height * factor)
    return dataclasses.replace(item, image=item.image.resize(size))


def _taller(item: Asked, pixels: int) -> Asked:
    image = Image.new("RGB", (WIDTH, HEIGHT + pixels), item.image.getpixel((0, 0)))
    image.paste(item.image, (0, 0))
    return dataclasses.replace(item, image=image)


def _charts(seed: int, per_kind: int, make: Callable[[Chart, str, random.Random], Asked]) -> Iterator[Asked]:
    """``make`` applied to ``per_kind`` charts for each kind of question."""
    for kind in KINDS.values():
        rng = random.Random(f"outside/{seed}/{kind.name}")
        for _ in range(per_kind):
            yield make(sample_chart_for(kind, rng), kind.name, rng)


def _reworded(chart: Chart, kind: str, rng: random.Random) -> Asked:
    question = ask(chart, KINDS[kind], rng)
    return Asked(draw_chart(chart), UNSEEN_WORDINGS[kind].format(*question.content.words), question.answer, kind)


def _renamed(chart: Chart, kind: str, rng: random.Random) -> Asked:
    renamed = dataclasses.replace(chart, categories=tuple(rng.sample(UNSEEN_NAMES, len(chart.categories))))
    question = ask(renamed, KINDS[kind], rng)
    return Asked(draw_chart(renamed), question.text, question.answer, kind)


def _redrawn(chart: Chart, kind: str, rng: random.Random) -> Asked:
    question = ask(chart, KINDS[kind], rng)
    return Asked(draw_shifted(chart, sample_look(rng)), question.text, question.answer, kind)
