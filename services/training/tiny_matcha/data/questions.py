"""Questions about a chart, in one of the wordings of their kind, with the true answer."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from services.training.tiny_matcha.data.answers import Content
from services.training.tiny_matcha.data.charts import MAX_SHIFT_PIXELS, Chart, sample_chart
from services.training.tiny_matcha.data.kinds import KINDS, Kind


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a chart, and its answer."""

    kind: Kind
    text: str
    content: Content

    @property
    def answer(self) -> str:
        """The answer as the model writes it; the items of a list are joined by ``", "``."""
        gold = self.content.gold
        return gold if isinstance(gold, str) else ", ".join(gold)


def ask(chart: Chart, kind: Kind, rng: random.Random) -> Question:
    """A question of this kind about the chart, in one of the kind's wordings."""
    content = kind.ask(chart, rng)
    return Question(kind, rng.choice(kind.wordings).format(*content.words), content)


def kinds_for(chart: Chart, kinds: Iterable[Kind] = tuple(KINDS.values())) -> list[Kind]:
    """Those of ``kinds`` that apply to the chart."""
    return [kind for kind in kinds if kind.applies(chart)]


def sample_chart_for(kind: Kind, rng: random.Random, max_shift: int = MAX_SHIFT_PIXELS) -> Chart:
    """A chart that the kind applies to."""
    while True:
        chart = sample_chart(rng, max_shift)
        if kind.applies(chart):
            return chart
