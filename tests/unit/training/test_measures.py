"""Figures of the model cards, worked out by hand from made-up replies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pytest
from PIL import Image

from services.training.measures import wilson_interval
from services.training.tiny_matcha.data.held_out import Asked
from services.training.tiny_matcha.results.evaluate import KindScore, mean_exact_match
from services.training.tiny_matcha.results.evaluate import score as score_charts
from services.training.tiny_qwen_vl.data.cases import Case
from services.training.tiny_qwen_vl.data.questions import Language, SceneQuestion
from services.training.tiny_qwen_vl.model.answering import Reply
from services.training.tiny_qwen_vl.results.evaluate import Scored, layer_scores, outside, score, scores_by

if TYPE_CHECKING:
    from services.training.tiny_matcha.model.answering import Answerer

IMAGE = Image.new("RGB", (2, 3))


@pytest.mark.parametrize(("successes", "n"), [(7, 10), (3, 10), (190, 200), (0, 5), (5, 5)])
def test_the_interval_of_a_share_is_wilsons(successes: int, n: int) -> None:
    """The shares p for which (p - s) is 1.96 standard errors of p itself: the two roots of a quadratic."""
    z, share = 1.959963984540054, successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    assert wilson_interval(successes, n) == pytest.approx((centre - reach, centre + reach), abs=1e-9)


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
    value, legend = score_charts(cast("Answerer", model), asked)
    assert model.asked == [f"q{index}" for index in range(8)]
    assert (value.kind, value.exact_match, value.majority, value.n) == ("value", 20, 40, 5)
    assert (legend.kind, legend.n) == ("legend", 3)
    assert (legend.exact_match, legend.majority) == pytest.approx((200 / 3, 200 / 3))
    assert (value.low, value.high) == pytest.approx([100 * end for end in wilson_interval(1, 5)])
    assert mean_exact_match([value, legend]) == pytest.approx((20 + 200 / 3) / 2)  # kinds count alike


def test_a_mean_over_kinds_is_no_mean_over_questions() -> None:
    scores = [KindScore("a", 100, 90, 100, 50, 1), KindScore("b", 0, 0, 10, 50, 99), KindScore("c", 20, 0, 30, 50, 5)]
    assert mean_exact_match(scores) == 40


def _scored(answer: int, language: Language, text: str, kind: str = "total", *layers: tuple[str, ...]) -> Scored:
    return Scored(Case(IMAGE, SceneQuestion("?", language, kind, answer)), Reply(text, layers))


REPLIES = [
    _scored(2, "en", "2", "total", ("x", "二"), ("2", "3")),
    _scored(2, "zh", "2", "colour", ("2", "x"), ("2", "x")),  # the count, in the other language's numerals
    _scored(2, "zh", "二", "total", ("x", "y"), ("二", "x")),
    _scored(4, "en", "5", "colour", ("x", "y"), ("四", "5")),
    _scored(1, "en", "many", "total", ("1", "y"), ("x", "一")),
]


def test_a_reply_is_right_in_the_numerals_of_its_question_only() -> None:
    assert [each.right for each in REPLIES] == [True, False, True, False, False]


def test_accuracy_stands_beside_its_interval_and_the_commonest_answer() -> None:
    """Two of five are right; always saying 2 would be right three times."""
    scored = score(REPLIES)
    assert (scored.accuracy, scored.majority, scored.n) == (40, 60, 5)
    assert (scored.low, scored.high) == pytest.approx([100 * end for end in wilson_interval(2, 5)])


def test_groups_come_in_the_order_of_their_first_case() -> None:
    groups = scores_by(REPLIES, lambda case: case.question.language)
    assert [(name, group.n, group.accuracy) for name, group in groups.items()] == [
        ("en", 3, pytest.approx(100 / 3)),
        ("zh", 2, 50),
    ]


def test_what_is_no_count_is_told_beside_what_is_wrong() -> None:
    told = outside("odd ones", REPLIES)
    assert (told.description, told.answered, told.score.accuracy) == ("odd ones", 80, 40)


def test_a_layer_is_scored_by_its_likeliest_token_the_languages_apart() -> None:
    """At layer 0 two hold the count; of the three English questions, one the digit, and one has a Han numeral."""
    embedding, last = layer_scores(REPLIES)
    assert (embedding.layer, embedding.accuracy) == (0, 40)
    assert (embedding.digit_accuracy, embedding.han_in_top) == pytest.approx((100 / 3, 100 / 3))
    assert (last.layer, last.accuracy) == (1, 80)
    assert (last.digit_accuracy, last.han_in_top) == pytest.approx((100 / 3, 200 / 3))
