"""Measures a saved model: accuracy on the held-out set and outside it, and what each layer holds.

It needs nothing but the folder, so the measurements of a model card can be repeated from the folder alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.training.shared.scores import Score, grouped, percent
from services.training.tiny_qwen_vl.data.cases import FORMS, Case, form_cases, held_out_cases
from services.training.tiny_qwen_vl.data.outside import OUTSIDE, outside_cases
from services.training.tiny_qwen_vl.data.questions import DIGITS, HAN_NUMERALS, count_of, numeral
from services.training.tiny_qwen_vl.model.answering import Model, Reply, answer

HELD_OUT_PER_CELL: Final = 40
"""Questions for each of two languages, four kinds and six answers."""
OUTSIDE_PER_CELL: Final = 10


@dataclass(frozen=True, slots=True)
class LayerScore:
    """What a layer predicts for the answer's first token, on the held-out set, in percent."""

    layer: int
    accuracy: float
    """Its likeliest token is the right count, as a digit or as a Han numeral."""
    digit_accuracy: float
    """Its likeliest token is the right digit; English questions only."""
    han_in_top: float
    """A Han numeral is among its five likeliest tokens; English questions only."""


@dataclass(frozen=True, slots=True)
class OutsideScore:
    """How the model does on a set outside the training distribution."""

    description: str
    score: Score
    answered: float
    """Share of replies that are a count, right or wrong, in percent."""


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that is measured."""

    overall: Score
    by_kind: dict[str, Score]
    by_answer: dict[str, Score]
    by_language: dict[str, Score]
    by_language_and_kind: dict[str, Score]
    by_form: dict[str, Score]
    layers: tuple[LayerScore, ...]
    outside: dict[str, OutsideScore]


@dataclass(frozen=True, slots=True)
class Scored:
    """A case and the model's reply."""

    case: Case
    reply: Reply

    @property
    def right(self) -> bool:
        """Whether the reply is the right count in the numerals of the question's language."""
        question = self.case.question
        return self.reply.text == numeral(question.answer, question.language)


def evaluate(
    folder: Path, held_out_per_cell: int = HELD_OUT_PER_CELL, outside_per_cell: int = OUTSIDE_PER_CELL
) -> Results:
    """Measure a saved model."""
    model = Model.load(folder)
    scored = ask_all(model, held_out_cases(held_out_per_cell))
    return Results(
        overall=score(scored),
        by_kind=scores_by(scored, lambda case: case.question.kind),
        by_answer=scores_by(scored, lambda case: str(case.question.answer)),
        by_language=scores_by(scored, lambda case: case.question.language),
        by_language_and_kind=scores_by(scored, lambda case: f"{case.question.language}, {case.question.kind}"),
        by_form={name: score(ask_all(model, form_cases(name, outside_per_cell))) for name in FORMS},
        layers=layer_scores(scored),
        outside={
            name: outside(cases.description, ask_all(model, outside_cases(name, outside_per_cell)))
            for name, cases in OUTSIDE.items()
        },
    )


def ask_all(model: Model, cases: Sequence[Case]) -> list[Scored]:
    """The model's replies to all cases."""
    replies = answer(model, [case.image for case in cases], [case.messages for case in cases])
    return [Scored(case, reply) for case, reply in zip(cases, replies, strict=True)]


def score(scored: Sequence[Scored]) -> Score:
    """Accuracy over these cases."""
    return Score.of([each.right for each in scored], [each.case.question.answer for each in scored])


def outside(description: str, scored: Sequence[Scored]) -> OutsideScore:
    """How the model does on a set outside the training distribution."""
    return OutsideScore(description, score(scored), percent(count_of(each.reply.text) is not None for each in scored))


def scores_by(scored: Iterable[Scored], group_of: Callable[[Case], str]) -> dict[str, Score]:
    """Scores by group, in the order of each group's first case."""
    groups = grouped(scored, lambda each: group_of(each.case))
    return {group: score(members) for group, members in groups.items()}


def layer_scores(scored: Sequence[Scored]) -> tuple[LayerScore, ...]:
    """Scores of every layer, from the embedding to the model's own answer."""
    return tuple(_layer_score(scored, layer) for layer in range(len(scored[0].reply.layers)))


def _layer_score(scored: Sequence[Scored], layer: int) -> LayerScore:
    tops = [(each.case.question, each.reply.layers[layer]) for each in scored]
    english = [(question, top) for question, top in tops if question.language == "en"]
    return LayerScore(
        layer=layer,
        accuracy=percent(count_of(top[0]) == question.answer for question, top in tops),
        digit_accuracy=percent(top[0] == DIGITS[question.answer] for question, top in english),
        han_in_top=percent(any(token in HAN_NUMERALS for token in top) for _, top in english),
    )
