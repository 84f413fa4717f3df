"""Jobs in, replies out: what the service asks of the engine and what it makes of its answers, the engine stood in."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from services.common.errors import InvalidRequestError, UnsupportedImageError
from services.common.jobs import Job, Reply
from services.common.manifest import Manifest, Source
from services.common.schemas import AnswerResponse, MatchaRequest, ModelCard
from services.common.server import QueueSpec
from services.matcha import api as wire
from services.matcha.api import MatchaAPI
from services.matcha.backends import Hardware
from services.matcha.engine import ChartAnswer, ChartQuestion
from services.matcha.settings import MatchaSettings, Variant
from tests.pictures import encode

CARD = ModelCard(id="the-model", variant="onnx-int8", revision="r", manifest_sha256="")
REFUSED = InvalidRequestError("too many", "max_patches")


class Engine:
    """Answers with the width of the chart; refuses charts that are 13 wide."""

    def __init__(self, folder: Path, header_font: str | None, variant: Variant, hardware: Hardware) -> None:
        self.made_of = (folder, header_font, variant, hardware)
        self.asked: list[ChartQuestion] = []

    def answer(self, questions: Sequence[ChartQuestion]) -> list[ChartAnswer | InvalidRequestError]:
        self.asked += questions
        return [
            REFUSED
            if question.chart.width == 13
            else ChartAnswer(str(question.chart.width), "length", 40 + question.chart.width, 7, 20.0, 300.0)
            for question in questions
        ]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ChartQA", Engine)
    monkeypatch.setattr(wire, "prepare_worker", lambda _: None)


def service(max_patches: int | None = 700, **told: object) -> MatchaAPI:
    manifest = Manifest(
        architecture="Pix2StructForConditionalGeneration",
        variant="onnx-int8",
        source=Source(id="m", revision="r"),
        header_font="header.ttf",
        max_patches=max_patches,
        tools={},
        sha256={},
    )
    made = MatchaAPI(MatchaSettings(**told), "onnx-int8", manifest, CARD)  # type: ignore[arg-type]
    made.setup("cpu")
    return made


def engine_of(made: MatchaAPI) -> Engine:
    return cast("Engine", made._engine)  # noqa: SLF001 the stand-in


def job(width: int, name: str = "a", *, picture: bytes | None = None, **fields: Any) -> Job[MatchaRequest]:
    image = encode(Image.new("RGB", (width, 9))) if picture is None else picture
    now = time.monotonic()
    request = MatchaRequest(image=image, question=f"How wide is {name}?", **fields)
    return Job(name, request, enqueued_s=now - 5, deadline_s=now + 60, timeout_s=60)


def asked(made: MatchaAPI, **fields: Any) -> ChartQuestion:
    made.predict(job(20, **fields))
    (question,) = engine_of(made).asked
    return question


def test_the_engine_is_made_of_what_was_told(tmp_path: Path) -> None:
    made = service(model_dir=tmp_path, threads=3, device="cuda")
    assert engine_of(made).made_of == (tmp_path, "header.ttf", "onnx-int8", Hardware(3, "cuda"))


def test_the_worker_is_prepared_by_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[MatchaSettings] = []
    monkeypatch.setattr(wire, "prepare_worker", prepared.append)
    service(threads=3, model_dir="a-folder")
    assert prepared == [MatchaSettings(threads=3, model_dir=Path("a-folder"))]


def test_jobs_come_through_the_queue_of_our_own_routes() -> None:
    assert isinstance(service().spec, QueueSpec)


def test_batches_are_as_large_and_wait_as_long_as_told() -> None:
    made = service(max_batch_size=5, batch_timeout_s=0.25)
    assert (made.max_batch_size, made.batch_timeout) == (5, 0.25)


def test_an_answer_tells_what_it_took() -> None:
    reply = service().predict(job(20, "one"))
    assert isinstance(reply, AnswerResponse)
    assert (reply.id, reply.model, reply.variant) == ("one", "the-model", "onnx-int8")
    assert (reply.answer, reply.finish_reason, reply.cache, reply.lens) == ("20", "length", None, None)
    usage = reply.usage
    assert (usage.image_tokens, usage.prompt_tokens, usage.completion_tokens) == (60, 60, 7)
    assert 5000 <= reply.timing.queue_ms < 15_000
    assert 20 < reply.timing.preprocess_ms < 2000  # decoding the picture, and what the engine says
    assert reply.timing.inference_ms == 300


def test_times_are_milliseconds_from_the_queue_to_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([107.0, 107.25])  # begun, and decoded
    made, asked_at_100_s = service(), replace(job(20), enqueued_s=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    reply = made.predict(asked_at_100_s)
    assert isinstance(reply, AnswerResponse)
    told = reply.timing
    assert (told.queue_ms, told.preprocess_ms, told.inference_ms, told.total_ms) == (7000, 250 + 20, 300, 0)


def test_bad_items_of_a_batch_get_their_errors_in_their_places() -> None:
    made = service()
    jobs = [job(30, "a"), job(1, "b", picture=b"none"), job(13, "c"), job(50, "d"), job(1, "e", max_patches=9999)]
    replies: list[Reply] = made.predict(jobs)  # type: ignore[assignment]
    first, broken, refused, last, greedy = replies
    assert isinstance(first, AnswerResponse)
    assert isinstance(last, AnswerResponse)
    assert [(each.id, each.answer, each.usage.image_tokens) for each in (first, last)] == [
        ("a", "30", 70),
        ("d", "50", 90),
    ]
    assert isinstance(broken, UnsupportedImageError)
    assert refused is REFUSED
    assert isinstance(greedy, InvalidRequestError)
    assert [each.text for each in engine_of(made).asked] == [f"How wide is {name}?" for name in "acd"]


def test_a_batch_of_nothing_but_bad_items_is_all_errors() -> None:
    replies: list[Reply] = service().predict([job(1, picture=b"none"), job(1, max_patches=9999)])  # type: ignore[assignment]
    assert [type(each) for each in replies] == [UnsupportedImageError, InvalidRequestError]


@pytest.mark.parametrize(
    ("wanted", "models_own", "limit", "given"),
    [
        (None, 700, 4096, 700),  # the model's default
        (None, None, 4096, 2048),  # Pix2Struct's
        (None, 700, 500, 500),  # the server takes less than the model's default
        (None, None, 2000, 2000),
        (None, 700, 700, 700),
        (1, 700, 500, 1),
        (499, 300, 500, 499),
        (500, 300, 500, 500),
    ],
)
def test_patches_are_the_requests_or_the_models_within_the_servers_limit(
    wanted: int | None, models_own: int | None, limit: int, given: int
) -> None:
    fields = {"max_patches": wanted} if wanted else {}
    assert asked(service(models_own, max_patches_limit=limit), **fields).max_patches == given


@pytest.mark.parametrize("wanted", [501, 4096])
def test_more_patches_than_the_limit_are_refused(wanted: int) -> None:
    reply = service(max_patches_limit=500).predict(job(20, max_patches=wanted))
    assert isinstance(reply, InvalidRequestError)
    assert (reply.message, reply.param) == (
        f"'max_patches' is {wanted}, this server allows 500",
        "max_patches",
    )


@pytest.mark.parametrize(("fields", "tokens"), [({}, 33), ({"max_new_tokens": 1}, 1), ({"max_new_tokens": 90}, 90)])
def test_tokens_are_the_requests_or_the_servers(fields: dict[str, int], tokens: int) -> None:
    assert asked(service(max_new_tokens=33), **fields).max_new_tokens == tokens


def test_the_chart_is_decoded_in_rgb() -> None:
    made = service()
    made.predict(job(20, picture=encode(Image.new("L", (21, 9), 77))))
    (question,) = engine_of(made).asked
    assert (question.chart.mode, question.chart.size, question.chart.getpixel((20, 8))) == ("RGB", (21, 9), (77,) * 3)
