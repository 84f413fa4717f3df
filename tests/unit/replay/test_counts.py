"""How far counts are off: root mean square error, its baseline and interval, and the confusion of counts."""

from pathlib import Path

import numpy as np
import pytest

from clients.replay.counts import CountFigures, count_figures
from clients.replay.outcomes import Scored
from tests.unit.replay.reading import columns


def outcome(number: int, gold: str, answer: str, picture: str, answer_type: str = "count") -> Scored:
    return Scored.model_validate(
        {
            "sample_id": str(number),
            "image": picture,
            "question": "How many?",
            "gold": gold,
            "answer_type": answer_type,
            "latency_ms": 100,
            "answer": answer,
            "finish_reason": "stop",
            "usage": {"image_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1},
            "timing": {"queue_ms": 1, "preprocess_ms": 1, "inference_ms": 5, "total_ms": 9},
        }
    )


def figures(folder: Path, *pairs: tuple[str, str], per_picture: int = 1, seed: int = 0) -> CountFigures:
    """Of gold and answer, so many in a row about one picture."""
    made = [outcome(number, *pair, f"{number // per_picture}.png") for number, pair in enumerate(pairs)]
    found = count_figures(columns(folder, made), seed)
    assert found is not None
    return found


def test_errors_are_squared_whatever_their_sign_and_answers_without_a_number_have_none(tmp_path: Path) -> None:
    found = figures(tmp_path, ("3", "three"), ("7", "5"), ("2", "两"), ("1", "7"), ("9", "many"), ("2", ""))
    assert (found.n, found.unread) == (4, 2)
    assert found.rmse == pytest.approx(np.sqrt((4 + 36) / 4))
    # 2 is the commonest gold count, counting those whose answer spells no number
    assert found.rmse_baseline == pytest.approx(np.sqrt((1 + 25 + 0 + 1 + 49 + 0) / 6))


def test_the_confusion_has_a_row_for_each_gold_count_and_a_last_column_for_all_else(tmp_path: Path) -> None:
    pairs = [
        ("0", "0"),
        ("2", "5"),
        ("2", "5"),
        ("5", "2"),
        ("15", "15"),
        ("15", "16"),
        ("0", "none at all"),
        ("16", "3"),
    ]
    found = figures(tmp_path, *pairs)
    filled = {(gold, given): n for gold, row in enumerate(found.confusion) for given, n in enumerate(row) if n}
    assert filled == {(0, 0): 1, (2, 5): 2, (5, 2): 1, (15, 15): 1, (15, 16): 1, (0, 16): 1}
    assert (len(found.confusion), {len(row) for row in found.confusion}) == (16, {17})
    assert (found.n, found.unread) == (7, 1)


def test_only_counting_questions_are_counted(tmp_path: Path) -> None:
    made = [
        outcome(1, "3", "5", "a.png"),
        outcome(2, "3", "9", "b.png", "numerical"),
        outcome(3, "yes", "1", "b.png", "binary"),
    ]
    found = count_figures(columns(tmp_path, made), seed=0)
    assert found is not None
    assert (found.n, found.unread, found.rmse) == (1, 0, 2)


@pytest.mark.parametrize("pairs", [[], [("3", "many"), ("2", "few")]], ids=["no-questions", "no-numbers"])
def test_without_a_count_there_are_no_figures(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    made = [outcome(number, *pair, "a.png") for number, pair in enumerate(pairs)]
    assert count_figures(columns(tmp_path, made), seed=0) is None


def test_the_interval_is_over_pictures_around_the_error_and_depends_on_the_seed(tmp_path: Path) -> None:
    errors = [picture**2 % 7 for picture in range(40)]
    pairs = [("3", str(3 + error)) for error in errors for _ in range(5)]
    apart, together = figures(tmp_path, *pairs), figures(tmp_path, *pairs, per_picture=5)
    again, other = figures(tmp_path, *pairs, per_picture=5), figures(tmp_path, *pairs, per_picture=5, seed=1)
    low, high = together.rmse_interval
    assert together.rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert low < together.rmse < high
    # five questions of a picture err alike, so there are a fifth as many independent ones
    assert (high - low) / (apart.rmse_interval[1] - apart.rmse_interval[0]) == pytest.approx(np.sqrt(5), rel=0.15)
    assert together.rmse_interval == again.rmse_interval != other.rmse_interval
