"""What comes back over HTTP, whichever library brought it, and the outcome that is made of it."""

from clients.replay.run.outcomes import Failure, FailureKind, Lens, LensLayer
from clients.replay.run.replies import question_fields, read_reply, reply_fields
from clients.replay.scoring.gold import AnswerType
from clients.replay.tasks.sample import Sample
from services.wire.answer import AnswerResponse
from tests.unit.replay.conftest import reply, trace


def test_a_page_that_is_not_ours_is_quoted_by_characters_not_by_bytes() -> None:
    reply = read_reply(502, ("é" * 250).encode())
    assert reply == Failure(kind=FailureKind.HTTP_STATUS, message="é" * 200, status=502)


def test_bytes_that_are_no_text_are_replaced_in_a_quotation() -> None:
    assert read_reply(502, b"no\xfft") == Failure(
        kind=FailureKind.HTTP_STATUS, message="no\N{REPLACEMENT CHARACTER}t", status=502
    )


def test_an_outcome_records_the_whole_question() -> None:
    sample = Sample("7", "a/1.png", "Which?", ("b", "a"), AnswerType.RANKED_LIST, {"kind": "other"})
    assert question_fields(sample, "5e1f") == {
        "sample_id": "7",
        "image": "a/1.png",
        "image_sha256": "5e1f",
        "question": "Which?",
        "gold": ("b", "a"),
        "answer_type": AnswerType.RANKED_LIST,
        "labels": {"kind": "other"},
    }


def test_an_outcome_records_the_answer_with_its_trace_but_not_the_service() -> None:
    usage = {"image_tokens": 16, "prompt_tokens": 40, "completion_tokens": 1, "cached_tokens": 32}
    told = {**reply("4", trace([("a", 0.5), ("4", 0.25)])), "usage": usage, "cache": "hit"}
    layer = LensLayer(tokens=("a", "4"), probs=(0.5, 0.25), entropy=3, answer_prob=0.5, answer_rank=0)
    assert reply_fields(AnswerResponse.model_validate(told)) == {
        "outcome": "scored",
        "answer": "4",
        "finish_reason": "stop",
        "usage": usage,
        "timing": {"queue_ms": 1, "preprocess_ms": 2, "inference_ms": 30, "total_ms": 33},
        "cache": "hit",
        "lens": Lens.model_validate({"token": "3", "layers": [layer]}),
    }


def test_without_a_trace_an_outcome_has_none() -> None:
    assert reply_fields(AnswerResponse.model_validate(reply("4")))["lens"] is None


def test_a_failure_is_recorded_as_it_is() -> None:
    failure = Failure(kind=FailureKind.TIMEOUT, message="no answer within 5 s")
    assert reply_fields(failure) == {"outcome": "failed", "failure": failure}
