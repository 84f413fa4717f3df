"""The outcomes file: two types that stay apart, and a file that survives a kill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.replay.errors import ReplayError
from clients.replay.gold import AnswerType
from clients.replay.outcomes import Failed, Failure, FailureKind, Lens, OutcomeWriter, Scored
from services.common.schemas import AnswerResponse
from tests.unit.replay.reading import read_outcomes

ASKED: dict[str, Any] = {
    "sample_id": "s1",
    "image": "images/a.jpg",
    "question": "Wie viele\u2028Äpfel?",
    "latency_ms": 12.5,
    "labels": {"kind": "structure"},
}
SCORED = Scored.model_validate(
    {
        **ASKED,
        "gold": ("a", "b"),
        "answer_type": AnswerType.RANKED_LIST,
        "answer": "a\nb",
        "finish_reason": "stop",
        "usage": {"image_tokens": 1, "prompt_tokens": 2, "completion_tokens": 3},
        "timing": {"queue_ms": 1, "preprocess_ms": 2, "inference_ms": 3, "total_ms": 6},
    }
)
FAILED = Failed(
    **ASKED,
    gold="3",
    answer_type=AnswerType.COUNT,
    failure=Failure(kind=FailureKind.HTTP_STATUS, message="full", status=429, code="queue_full"),
)


def write(path: Path) -> None:
    with OutcomeWriter(path) as writer:
        writer.write(SCORED)
        writer.write(FAILED)


def test_what_is_written_is_read_back_and_kept_apart(tmp_path: Path) -> None:
    write(tmp_path / "o.jsonl")
    outcomes = read_outcomes(tmp_path / "o.jsonl")
    assert (outcomes.scored, outcomes.failed, outcomes.torn) == ((SCORED,), (FAILED,), 0)


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_last_line_is_counted_and_the_rest_is_read(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "o.jsonl"
    write(path)
    path.write_bytes(path.read_bytes()[:-1][:-cut])
    outcomes = read_outcomes(path)
    assert (len(outcomes.scored), len(outcomes.failed), outcomes.torn) == (1, 0, 1)


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    write(path)
    path.write_bytes(b'{"outcome": "scored"}\n' + path.read_bytes())
    with pytest.raises(ReplayError, match="line 1"):
        read_outcomes(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="nothing"):
        read_outcomes(tmp_path / "nothing.jsonl")


def test_each_outcome_is_on_disk_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    with OutcomeWriter(path) as writer:
        writer.write(SCORED)
        assert len(read_outcomes(path).scored) == 1


def test_a_trace_keeps_its_first_step(lens_reply: Callable[..., dict[str, Any]]) -> None:
    response = AnswerResponse.model_validate(lens_reply("3", [("a", 0.123456), ("三", 0.1)], [("3", 0.9)]))
    assert response.lens is not None
    lens = Lens.of(response.lens)
    assert lens is not None
    assert [layer.tokens for layer in lens.layers] == [("a", "三"), ("3",)]
    assert lens.layers[0].probs == (0.1235, 0.1)


def test_a_trace_without_steps_is_none(lens_reply: Callable[..., dict[str, Any]]) -> None:
    empty = lens_reply("3")
    empty["lens"]["steps"] = []
    response = AnswerResponse.model_validate(empty)
    assert response.lens is not None
    assert Lens.of(response.lens) is None
