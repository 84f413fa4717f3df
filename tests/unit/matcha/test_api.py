"""Jobs in, replies out: what the service passes to a fake engine and what it makes of its answers."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from services.common.artifact.manifest import Manifest, Source
from services.common.worker.messages import Job, WorkerAnswer
from services.matcha import api
from services.matcha.api import MatchaAPI
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.settings import MatchaSettings
from services.matcha.translate import Asked
from services.matcha.types import ChartAnswer, ChartQuestion, Limits
from services.wire.answer import MatchaRequest
from services.wire.chat import MatchaChat
from services.wire.errors import InternalError, InvalidRequestError

REFUSED = InvalidRequestError("too many", "max_patches")


class Engine:
    """Answers with the size of the image's file; rejects one of 13 bytes, and fails on one of 14."""

    def __init__(self, *made_of: object) -> None:
        self.made_of = made_of
        self.asked: list[ChartQuestion] = []
        self.is_warm = False

    def warm_up(self) -> None:
        self.is_warm = True

    def answer(self, questions: Sequence[ChartQuestion]) -> list[ChartAnswer | Exception]:
        self.asked += questions
        bad: dict[int, Exception] = {13: REFUSED, 14: ZeroDivisionError("a defect")}
        return [
            bad[len(question.image)]
            if len(question.image) in bad
            else ChartAnswer(f"{len(question.image)} bytes", "length", 40 + len(question.image), 7, 20.0, 300.0)
            for question in questions
        ]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChartQA, "load", Engine)
    monkeypatch.setattr(api, "prepare_worker", lambda _: None)


def service(max_patches: int | None = 700, folder: Path = Path("a-folder"), **told: object) -> MatchaAPI:
    manifest = Manifest(
        architecture="Pix2StructForConditionalGeneration",
        variant="onnx-int8",
        source=Source(id="m", revision="r"),
        header_font="header.ttf",
        max_patches=max_patches,
        tools={},
        sha256={},
    )
    made = MatchaAPI(MatchaSettings(**told), folder, "onnx-int8", manifest)  # type: ignore[arg-type]
    made.setup("cpu")
    return made


def engine_of(made: MatchaAPI) -> Engine:
    return cast("Engine", made._engine)  # noqa: SLF001 the stand-in


def job(size: int, name: str = "a", **fields: Any) -> Job[Asked]:
    return job_of(MatchaRequest(image=b"x" * size, question=f"How large is {name}?", **fields), name)


def job_of(request: Asked, name: str = "a") -> Job[Asked]:
    now = time.monotonic()
    return Job(name, request, enqueued_s=now - 5, deadline_s=now + 60, timeout_s=60)


def chat(*images: bytes, **fields: Any) -> MatchaChat:
    messages = [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "How large?"}],
        }
        for image in images
    ]
    return MatchaChat.model_validate({"messages": messages, **fields})


def asked(made: MatchaAPI, **fields: Any) -> ChartQuestion:
    made.answer([job(20, **fields)])
    (question,) = engine_of(made).asked
    return question


@pytest.mark.parametrize(("models_own", "default"), [(700, 700), (None, 2048)])
def test_the_engine_is_created_from_the_settings(tmp_path: Path, models_own: int | None, default: int) -> None:
    fonts = [tmp_path / "more.ttf"]
    made = service(models_own, tmp_path, threads=3, device="cuda", max_patches_limit=900, header_fonts=fonts)
    limits = Limits(max_patches=900, default_patches=default)
    assert engine_of(made).made_of == (tmp_path, "header.ttf", "onnx-int8", Hardware(3, "cuda"), limits, fonts)
    assert engine_of(made).is_warm


def test_the_worker_is_prepared_by_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[MatchaSettings] = []
    monkeypatch.setattr(api, "prepare_worker", prepared.append)
    service(threads=3, model="a-model")
    assert prepared == [MatchaSettings(threads=3, model="a-model")]


def test_batches_are_as_large_and_wait_as_long_as_told() -> None:
    made = service(max_batch_size=5, batch_timeout_s=0.25)
    assert (made.max_batch_size, made.batch_timeout) == (5, 0.25)


def test_an_answer_tells_what_it_took() -> None:
    (reply,) = service().answer([job(20, "one")])
    assert isinstance(reply, WorkerAnswer)
    assert (reply.text, reply.finish_reason, reply.cache, reply.lens) == ("20 bytes", "length", None, None)
    usage = reply.usage
    assert (usage.image_tokens, usage.prompt_tokens, usage.completion_tokens) == (60, 60, 7)
    assert 5000 <= reply.queue_ms < 15_000
    assert (reply.preprocess_ms, reply.inference_ms) == (20, 300)


def test_times_are_milliseconds_from_the_queue_to_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked_at_100_s = service(), replace(job(20), enqueued_s=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: 107.0)
    (reply,) = made.answer([asked_at_100_s])
    assert isinstance(reply, WorkerAnswer)
    assert (reply.queue_ms, reply.preprocess_ms, reply.inference_ms) == (7000, 20, 300)


def test_bad_items_of_a_batch_get_their_errors_in_their_places() -> None:
    made = service()
    replies = made.answer([job(30, "a"), job(13, "b"), job(50, "c")])
    first, refused, last = replies
    assert isinstance(first, WorkerAnswer)
    assert isinstance(last, WorkerAnswer)
    assert [(each.text, each.usage.image_tokens) for each in (first, last)] == [("30 bytes", 70), ("50 bytes", 90)]
    assert refused is REFUSED
    assert [each.text for each in engine_of(made).asked] == [f"How large is {name}?" for name in "abc"]


def test_a_defect_on_one_of_a_batch_is_logged_once_under_its_id(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service()
    translate = made._translator.question  # noqa: SLF001 to break it

    def question(asked: Asked) -> ChartQuestion:
        if isinstance(asked, MatchaRequest) and len(asked.image) == 15:
            raise KeyError(asked.question)
        return translate(asked)

    monkeypatch.setattr(made._translator, "question", question)  # noqa: SLF001 as above
    replies = made.answer([job(30, "a"), job(14, "b"), job(15, "c"), job(50, "d")])
    assert [getattr(reply, "text", None) for reply in replies] == ["30 bytes", None, None, "50 bytes"]
    for name, reply in zip("bc", replies[1:3], strict=True):
        assert isinstance(reply, InternalError)
        assert reply.message == f"the worker failed on this request; see {name} in its log"
    assert [record.getMessage() for record in caplog.records] == ["job b failed", "job c failed"]
    assert all(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(("fields", "patches"), [({}, None), ({"max_patches": 1}, 1), ({"max_patches": 9999}, 9999)])
def test_patches_are_the_requests(fields: dict[str, int], patches: int | None) -> None:
    assert asked(service(), **fields).max_patches == patches


def test_of_a_conversation_the_last_question_is_asked() -> None:
    made = service()
    made.answer([job_of(chat(b"old", b"of twenty characters", max_tokens=3, max_patches=9))])
    assert engine_of(made).asked == [ChartQuestion(b"of twenty characters", "How large?", 3, 9)]


@pytest.mark.parametrize(
    ("stop", "text", "reason"),
    [
        (None, "20 bytes", "length"),
        (["bits"], "20 bytes", "length"),
        (["yte", " b"], "20", "stop"),
        (["0"], "2", "stop"),
    ],
)
def test_an_answer_ends_before_its_stop_string(stop: list[str] | None, text: str, reason: str) -> None:
    (reply,) = service().answer([job_of(chat(b"of twenty characters", stop=stop))])
    assert isinstance(reply, WorkerAnswer)
    assert (reply.text, reply.finish_reason) == (text, reason)


@pytest.mark.parametrize(("fields", "tokens"), [({}, 33), ({"max_new_tokens": 1}, 1), ({"max_new_tokens": 90}, 90)])
def test_tokens_are_the_requests_or_the_servers(fields: dict[str, int], tokens: int) -> None:
    assert asked(service(max_new_tokens=33), **fields).max_new_tokens == tokens
