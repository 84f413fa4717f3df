"""The outcomes file: two types that cannot be confused, and a file that survives a kill."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failed, Failure, FailureKind, Lens, LensLayer, OutcomeWriter, Scored
from clients.replay.scoring.gold import AnswerType
from services.wire.answer import AnswerResponse
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


def test_a_file_that_is_there_is_added_to(tmp_path: Path) -> None:
    for _ in range(2):
        write(tmp_path / "o.jsonl")
    assert len((tmp_path / "o.jsonl").read_bytes().splitlines()) == 4
    assert read_outcomes(tmp_path / "o.jsonl").failed == (FAILED, FAILED)


def test_a_full_disk_is_an_error_with_a_name() -> None:
    with pytest.raises(ReplayError, match=r"^/dev/full cannot be written to: No space left on device\.$"):
        write(Path("/dev/full"))


def test_fields_of_a_newer_client_are_passed_over(tmp_path: Path) -> None:
    line = {**json.loads(FAILED.model_dump_json()), "tomorrow": 1}
    line["failure"] = {**line["failure"], "tomorrow": 2}
    (tmp_path / "o.jsonl").write_text(json.dumps(line) + "\n")
    assert read_outcomes(tmp_path / "o.jsonl").failed == (FAILED,)


def test_fields_that_an_older_client_did_not_write_have_defaults(tmp_path: Path) -> None:
    told = json.loads(SCORED.model_dump_json())
    new = ("image_sha256", "labels", "sent_at_s", "intended_at_s", "attempts", "waited_ms", "turn", "cache", "lens")
    line = {name: value for name, value in told.items() if name not in new}
    (tmp_path / "o.jsonl").write_text(json.dumps(line) + "\n")
    (read,) = read_outcomes(tmp_path / "o.jsonl").scored
    assert read == SCORED.model_copy(update={"labels": {}})
    assert (read.attempts, read.waited_ms, read.turn, read.sent_at_s) == (1, 0, None, None)


def test_a_trace_keeps_its_first_step_rounded(lens_reply: Callable[..., dict[str, Any]]) -> None:
    told = lens_reply("3", [("a", 0.123456), ("三", 0.1)], [("3", 0.98765)])
    (step,) = told["lens"]["steps"]
    step["layers"][0].update(entropy=2.345678, answer_prob=0.012345, answer_rank=17)
    step["layers"][1].update(entropy=1.5, answer_prob=0.98765, answer_rank=2)
    told["lens"]["steps"].append({"token": "later", "token_id": 0, "layers": []})
    response = AnswerResponse.model_validate(told)
    assert response.lens is not None
    lens = Lens.of(response.lens)
    assert lens is not None
    assert (lens.token, len(lens.layers)) == ("3", 2)
    assert lens.layers == (
        LensLayer(tokens=("a", "三"), probs=(0.1235, 0.1), entropy=2.3457, answer_prob=0.0123, answer_rank=17),
        LensLayer(tokens=("3",), probs=(0.9877,), entropy=1.5, answer_prob=0.9877, answer_rank=2),
    )


def test_a_trace_without_steps_is_none(lens_reply: Callable[..., dict[str, Any]]) -> None:
    empty = lens_reply("3")
    empty["lens"]["steps"] = []
    response = AnswerResponse.model_validate(empty)
    assert response.lens is not None
    assert Lens.of(response.lens) is None
