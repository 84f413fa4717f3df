"""Scores on scenes, worked out by hand from made-up replies."""

import pytest
from PIL import Image

from services.training.shared.scores import wilson_interval
from services.training.tiny_qwen_vl.data.cases import Case
from services.training.tiny_qwen_vl.data.questions import Language, SceneQuestion
from services.training.tiny_qwen_vl.model.answering import Reply
from services.training.tiny_qwen_vl.results.evaluate import Scored, layer_scores, outside, score, scores_by

IMAGE = Image.new("RGB", (2, 3))


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
