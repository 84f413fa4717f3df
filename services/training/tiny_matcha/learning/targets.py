"""What the network learns to write: an answer, then a text that teaches it to read charts and look values up.

Generation stops at the end of the answer, so the teaching text is never written in use.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from PIL import Image
from tokenizers import Tokenizer

from services.training.tiny_matcha.data.charts import MAX_SHIFT_PIXELS, Chart, sample_chart
from services.training.tiny_matcha.data.drawing import draw_chart
from services.training.tiny_matcha.data.kinds import Kind
from services.training.tiny_matcha.data.questions import Question, ask, kinds_for
from services.training.tiny_matcha.model.tokenizer import EOS, QUESTION, TABLE, kind_token, slot_token


class Part(IntEnum):
    """What a token of a target belongs to: given text, which is not learnt; the answer; or the text that teaches."""

    GIVEN = 0
    ANSWER = 1
    TEACHING = 2


@dataclass(frozen=True, slots=True)
class ChartExample:
    """A chart and its image, the question to draw above it, and further questions to ask in text."""

    image: Image.Image
    chart: Chart
    question: Question
    further: tuple[Question, ...]


def target(example: ChartExample, tokenizer: Tokenizer) -> tuple[list[int], list[Part]]:
    """The tokens that the model learns to write for an example, and the part that each belongs to.

    First come the answer and its end, which is all that it writes in use. The teaching text follows: further questions
    with their answers, the question in the header as the model should read it, and the table of the chart.
    """
    parts = [(example.question.answer + EOS, Part.ANSWER)]
    for question in example.further:
        parts += [(_asked(question), Part.GIVEN), (question.answer + EOS, Part.TEACHING)]
    parts += [(QUESTION, Part.GIVEN), (_asked(example.question), Part.TEACHING)]
    parts += [(TABLE, Part.GIVEN), (_table(example.chart) + EOS, Part.TEACHING)]
    encoded = [(tokenizer.encode(text, add_special_tokens=False).ids, part) for text, part in parts]
    return [token for ids, _ in encoded for token in ids], [part for ids, part in encoded for _ in ids]


def _asked(question: Question) -> str:
    return kind_token(question.kind.taught_as) + ", ".join(question.content.names)


def _table(chart: Chart) -> str:
    if len(chart.series) > 1:
        return ", ".join((*(series.name for series in chart.series), *chart.categories))
    return "".join(f"{slot_token(slot)}{name}{value}" for slot, (name, value) in enumerate(chart.table.items()))


class ChartExamples(Iterator[ChartExample]):
    """Endless examples, each about a new chart.

    ``max_shift`` may be changed between examples: unshifted charts are easier to learn.
    """

    def __init__(self, rng: random.Random, kinds: Sequence[Kind], weights: dict[str, float], further: int) -> None:
        """Ask ``kinds`` in proportion to ``weights``, 1 if not named, with up to ``further`` more questions in text."""
        self.max_shift = MAX_SHIFT_PIXELS
        self._rng, self._kinds, self._weights, self._further = rng, kinds, weights, further

    def __next__(self) -> ChartExample:
        """A new chart with questions, each of another kind."""
        chart = sample_chart(self._rng, self.max_shift)
        kinds = _pick(kinds_for(chart, self._kinds), self._weights, 1 + self._further, self._rng)
        question, *further = (ask(chart, kind, self._rng) for kind in kinds)
        return ChartExample(draw_chart(chart), chart, question, tuple(further))


def _pick(kinds: list[Kind], weights: dict[str, float], count: int, rng: random.Random) -> list[Kind]:
    """Up to ``count`` different kinds, drawn by weight (1 if not named)."""
    keyed = [(rng.random() ** (1 / weights.get(kind.name, 1.0)), kind) for kind in kinds]
    return [kind for _, kind in sorted(keyed, key=lambda item: item[0], reverse=True)[:count]]
