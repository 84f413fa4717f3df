"""Scores on charts, worked out by hand from made-up answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pytest
from PIL import Image

from services.training.shared.scores import wilson_interval
from services.training.tiny_matcha.data.held_out import Asked
from services.training.tiny_matcha.results.evaluate import KindScore, mean_exact_match, score

if TYPE_CHECKING:
    from services.training.tiny_matcha.model.answering import Answerer

IMAGE = Image.new("RGB", (2, 3))


class _Scripted:
    """Answers with what it was given, in order."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def answer(self, asked: Sequence[tuple[Image.Image, str]]) -> list[str]:
        """The answers."""
        self.asked += [question for _, question in asked]
        return self.answers


def test_charts_are_scored_kind_by_kind_beside_the_commonest_answer() -> None:
    """Of ``value`` one of five is right where ``3`` alone would be right twice; of ``legend`` two of three."""
    rows = [
        ("value", "1", "2"),
        ("legend", "Yes", "Yes"),
        ("value", "3", "3"),
        ("value", "3", "4"),
        ("legend", "No", "Yes"),
        ("value", "5", "6"),
        ("legend", "Yes", "Yes"),
        ("value", "6", "5"),
    ]
    model = _Scripted([answer for _, _, answer in rows])
    asked = [Asked(IMAGE, f"q{index}", gold, kind) for index, (kind, gold, _) in enumerate(rows)]
    value, legend = score(cast("Answerer", model), asked)
    assert model.asked == [f"q{index}" for index in range(8)]
    assert (value.kind, value.exact_match, value.majority, value.n) == ("value", 20, 40, 5)
    assert (legend.kind, legend.n) == ("legend", 3)
    assert (legend.exact_match, legend.majority) == pytest.approx((200 / 3, 200 / 3))
    assert (value.low, value.high) == pytest.approx([100 * end for end in wilson_interval(1, 5)])
    assert mean_exact_match([value, legend]) == pytest.approx((20 + 200 / 3) / 2)  # kinds count alike


def test_a_mean_over_kinds_is_no_mean_over_questions() -> None:
    scores = [KindScore("a", 100, 90, 100, 50, 1), KindScore("b", 0, 0, 10, 50, 99), KindScore("c", 20, 0, 30, 50, 5)]
    assert mean_exact_match(scores) == 40
