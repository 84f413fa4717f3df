"""The effect of a request on the worker, the response and the metrics, with a fake worker behind the routes."""

import asyncio
import json
import logging
import re
import time
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image

from services.common.http.routes import RequestTypes, Routes
from services.common.worker.messages import Delta
from services.wire import __version__
from services.wire.answer import MatchaRequest, QwenVLRequest, TokenLogprob
from services.wire.chat import MatchaChat, QwenVLChat
from services.wire.errors import (
    DeadlineError,
    InternalError,
    InvalidRequestError,
    NotReadyError,
    PromptTooLongError,
    ServiceError,
)
from tests.images import encode, png_header
from tests.unit.common.http.serving import CARD, Answering, Desk, Settings, Worker, answer, b64, response, send, turn

SMALL = encode(Image.new("RGB", (7, 5)))
LARGE = png_header(11, 5)
ASKED = {"image": b64(SMALL), "question": "How many?"}


@pytest.fixture
def desk() -> Desk:
    return Desk.of_qwen_vl(max_image_pixels=54)


def logprob(token: str) -> TokenLogprob:
    return TokenLogprob(token=token, logprob=-0.5, bytes=None, top_logprobs=[])


def as_installed(worker: Worker, *, ready: bool) -> FastAPI:
    """A service in which nothing is put in place afterwards, as it is in the ``desk``, which tests share."""
    app = FastAPI()
    types = RequestTypes(QwenVLRequest, QwenVLChat)
    worker.ready = ready
    Routes(Settings(max_image_pixels=54), CARD, types, Answering(worker)).install(app)
    return app


def test_each_route_answers_where_it_was_installed() -> None:
    worker = Worker()
    app = as_installed(worker, ready=True)
    asked = {"/v1/answer": ASKED, "/v1/chat/completions": {"messages": [turn(SMALL, "How many?")]}}
    for path, fields in asked.items():
        sent = send(app, "POST", path, json=fields)
        assert (sent.status_code, sent.headers["content-type"]) == (200, "application/json")
        assert send(app, "GET", path).status_code == 405
    assert len(worker.jobs) == len(asked)
    assert send(app, "POST", "/v1/answer", json={**ASKED, "image": b64(LARGE)}).status_code == 413
    assert send(app, "GET", "/v1/models").json()["data"] == [CARD.model_dump()]
    worker.ready = False
    assert send(app, "GET", "/live").status_code == 200
    assert send(app, "GET", "/ready").status_code == 503
    assert (
        'tallyglass_requests_total{route="/v1/answer",status="200",variant="int8"} 1.0'
        in send(app, "GET", "/metrics").text
    )


def test_openapi_tells_what_each_route_takes_and_gives() -> None:
    def schemas(content: dict[str, Any]) -> dict[str, str]:
        return {kind: body["schema"].get("$ref", "").rpartition("/")[2] for kind, body in content.items()}

    described = send(as_installed(Worker(), ready=True), "GET", "/openapi.json").json()["paths"]
    routes = {(path, method): route for path, methods in described.items() for method, route in methods.items()}
    ask, chat = routes["/v1/answer", "post"], routes["/v1/chat/completions", "post"]
    paths = ("/", "/version", "/v1/models", "/v1/models/{name}", "/live", "/ready", "/metrics")
    pages = {path: routes[path, "get"] for path in paths}
    assert len(routes) == 2 + len(pages)
    asked = schemas(ask["requestBody"]["content"])
    assert asked == {"application/json": "QwenVLRequest", "multipart/form-data": "QwenVLRequestForm"}
    assert schemas(chat["requestBody"]["content"]) == {"application/json": "QwenVLChat"}
    answers = (
        (ask, {"application/json": "AnswerResponse"}),
        (chat, {"application/json": "ChatCompletion", "text/event-stream": ""}),
        (pages["/v1/models"], {"application/json": "ModelList"}),
        (pages["/v1/models/{name}"], {"application/json": "ModelCard"}),
        (pages["/live"], {"application/json": "Status"}),
        (pages["/ready"], {"application/json": "Status"}),
        (pages["/version"], {"application/json": "Version"}),
        (pages["/"], {"application/json": "About"}),
        (pages["/metrics"], {"text/plain": "", "application/openmetrics-text": ""}),
    )
    for route, content in answers:
        assert schemas(route["responses"].pop("200")["content"]) == content
    everywhere = {401, 405, 408, 431, 500, 503}
    for route in routes.values():
        extra = {404} if route is pages["/v1/models/{name}"] else set()
        extra = {400, 413, 415, 422, 429, 504} if route in (ask, chat) else extra
        told = {int(status): schemas(reply["content"]) for status, reply in route["responses"].items()}
        assert told == {status: {"application/json": "ErrorEnvelope"} for status in everywhere | extra}
    for route in routes.values():
        assert re.fullmatch(r"[A-Z][a-z]* .*[a-z?)]", route["summary"]), "a phrase"


def test_a_question_reaches_the_worker_as_it_was_asked(desk: Desk) -> None:
    answer = desk.answer(**ASKED, max_new_tokens=3, min_pixels=1000, max_pixels=2000)
    (job,) = desk.worker.jobs
    expected = QwenVLRequest(image=SMALL, question="How many?", max_new_tokens=3, min_pixels=1000, max_pixels=2000)
    assert job.request == expected
    assert not job.in_pieces
    assert answer.status_code == 200
    sent = answer.json()
    assert 0 < sent["timing"].pop("total_ms") < 10_000
    whole = response(id=job.id).model_dump(mode="json")
    del whole["timing"]["total_ms"]
    assert sent == whole


def test_a_deadline_counts_from_the_arrival() -> None:
    desk = Desk.of_qwen_vl(timeout_s=7.5)
    before_s = time.monotonic()
    desk.answer(**ASKED)
    (job,) = desk.worker.jobs
    assert before_s + 7.5 <= job.deadline_s <= job.enqueued_s + 7.5 <= time.monotonic() + 7.5
    assert job.timeout_s == 7.5


@pytest.mark.parametrize("at", [0, 1, 2])
def test_every_image_of_a_conversation_is_checked(desk: Desk, at: int) -> None:
    images = [SMALL, SMALL, SMALL]
    images[at] = LARGE
    refused = desk.chat(turn(images[0], "a", images[1]), turn("b", role="assistant"), turn(images[2], "c"))
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "too_large"
    assert desk.worker.jobs == []


@pytest.mark.parametrize("pixels", [54, 55])
def test_the_bounds_of_an_image_are_those_of_the_settings(pixels: int) -> None:
    assert Desk.of_matcha(max_image_pixels=pixels).answer(image=b64(LARGE), question="?").status_code == (
        413 if pixels < 11 * 5 else 200
    )


@pytest.mark.parametrize(("size", "status"), [(1024, 200), (1025, 413)])
def test_an_image_has_a_bound_in_bytes(size: int, status: int) -> None:
    image = SMALL + b"\0" * (size - len(SMALL))
    assert Desk.of_matcha(max_image_bytes=1024).answer(image=b64(image), question="?").status_code == status
    assert Desk.of_matcha(max_image_bytes=1024).chat(turn(image, "?")).status_code == status


@pytest.mark.parametrize(("size", "status"), [(2048, 200), (2049, 413)])
@pytest.mark.parametrize("path", ["/v1/answer", "/v1/chat/completions"])
def test_a_body_has_a_bound_in_bytes(path: str, size: int, status: int) -> None:
    desk = Desk.of_matcha(max_body_bytes=2048)
    fields: Any = ASKED if path == "/v1/answer" else {"messages": [turn(SMALL, "?")]}
    body = json.dumps(fields).encode()
    assert desk.send("POST", path, content=body + b" " * (size - len(body))).status_code == status


ERRORS: dict[str, tuple[ServiceError, int, str]] = {
    "a value": (InvalidRequestError("no", "max_patches"), 422, "invalid_value"),
    "a long prompt": (PromptTooLongError("no", "messages"), 422, "context_length_exceeded"),
    "too late": (DeadlineError("no"), 504, "deadline_exceeded"),
    "not ready": (NotReadyError("no"), 503, "not_ready"),
    "a defect": (InternalError("no"), 500, "internal_error"),
}


@pytest.mark.parametrize(("error", "status", "code"), ERRORS.values(), ids=ERRORS.keys())
@pytest.mark.parametrize("path", ["/v1/answer", "/v1/chat/completions"])
def test_an_error_of_the_worker_is_the_answer(
    desk: Desk, path: str, error: ServiceError, status: int, code: str
) -> None:
    desk.worker.replies = lambda: [error]
    fields: Any = ASKED if path == "/v1/answer" else {"messages": [turn("?")], "stream": True}
    answer = desk.send("POST", path, json=fields)
    assert answer.status_code == status
    kind = "invalid_request_error" if status < 500 else "server_error"
    assert answer.json() == {"error": {"message": "no", "type": kind, "param": error.param, "code": code}}
    assert answer.headers["x-request-id"] == desk.worker.jobs[0].id
    assert desk.counted("tallyglass_requests_total", route=path, status=str(status), variant="int8") == 1


def test_a_defect_of_the_worker_names_the_request_and_keeps_its_words_to_the_log(desk: Desk) -> None:
    desk.worker.fails = True
    answer = desk.answer(**ASKED)
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]


def test_a_defect_in_a_handler_is_500_in_the_envelope(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[Any]:
        message = "a secret"
        raise RuntimeError(message)

    desk.worker.replies = broken
    answer = desk.answer(**ASKED)
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "internal_error", None)
    assert "a secret" not in answer.text
    assert any(record.exc_info and "a secret" in str(record.exc_info[1]) for record in caplog.records)
    assert desk.counted("tallyglass_requests_total", route="/v1/answer", status="500", variant="int8") == 1
    assert desk.counted("tallyglass_requests_in_flight") == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v2/answer", 404, "there is no /v2/answer here: see /docs for what there is"),
        ("GET", "/v1/answer", 405, "/v1/answer does not answer GET: send POST"),
    ],
)
def test_an_unknown_route_is_reported_in_the_envelope(
    desk: Desk, method: str, path: str, status: int, message: str
) -> None:
    answer = desk.send(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "http_error", None)
    assert error["message"] == message
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


def test_each_request_has_an_id_of_its_route_that_the_worker_and_the_answer_know(desk: Desk) -> None:
    answers = [desk.answer(**ASKED), desk.answer(**ASKED), desk.chat(turn("?")), desk.chat(turn("?"), stream=True)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids == [job.id for job in desk.worker.jobs]
    assert len(set(ids)) == 4
    prefixes = ["ans", "ans", "chatcmpl", "chatcmpl"]
    for name, prefix in zip(ids, prefixes, strict=True):
        assert re.fullmatch(prefix + "-[0-9a-f]{32}", name)
    refused = desk.answer(image=b64(b"no image"), question="?")
    assert refused.headers["x-request-id"].startswith("ans-")


def test_a_request_is_logged_with_its_id_status_and_time_and_nothing_of_its_content(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        desk.answer(image=b64(SMALL), question="What is my diagnosis?"),
        desk.answer(image=b64(SMALL), question="What is my diagnosis?", top_k=1),
        desk.chat(turn(SMALL, "What is my diagnosis?"), stream=True),
    ]
    records = [record for record in caplog.records if record.getMessage() == "request"]
    assert [vars(record)["status"] for record in records] == [200, 422, 200]
    assert [vars(record)["id"] for record in records] == [answer.headers["x-request-id"] for answer in answers]
    total_ms = answers[0].json()["timing"]["total_ms"]
    assert total_ms - 0.1 <= vars(records[0])["total_ms"] < total_ms + 1000
    said = " ".join(str(vars(record)) for record in caplog.records)
    assert "diagnosis" not in said
    assert b64(SMALL)[:16] not in said


def test_readiness_follows_the_worker_and_liveness_does_not(desk: Desk) -> None:
    for path in ("/ready", "/health", "/healthz"):
        assert desk.send("GET", path).json() == {"status": "ready"}
    desk.worker.ready = False
    assert {desk.send("GET", path).status_code for path in ("/health", "/healthz")} == {503}
    refused = desk.send("GET", "/ready")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
    assert refused.json()["error"]["message"].startswith("the model is not ready")
    live = desk.send("GET", "/live")
    assert (live.status_code, live.json()) == (200, {"status": "live"})


def test_the_model_is_the_one_that_answers(desk: Desk) -> None:
    assert desk.send("GET", "/v1/models").json() == {
        "object": "list",
        "data": [
            {
                "id": "some/model",
                "object": "model",
                "created": 0,
                "owned_by": "tallyglass",
                "variant": "int8",
                "revision": "r7",
                "manifest_sha256": "ab12",
                "warnings": [],
            }
        ],
    }


PIECES = [Delta("three", [logprob("three")]), Delta(" apples", [logprob(" app"), logprob("les")])]


def test_the_pieces_of_an_answer_are_scored_in_order_and_only_if_asked(desk: Desk) -> None:
    desk.worker.replies = lambda: [*PIECES, answer()]
    choice = desk.chat(turn("?"), logprobs=True).json()["choices"][0]
    assert [token["token"] for token in choice["logprobs"]["content"]] == ["three", " app", "les"]
    assert choice["message"] == {"role": "assistant", "content": "three apples", "refusal": None}
    assert desk.chat(turn("?")).json()["choices"][0]["logprobs"] is None
    desk.worker.replies = lambda: [answer()]
    assert desk.chat(turn("?"), logprobs=True).json()["choices"][0]["logprobs"] == {"content": [], "refusal": None}
    desk.chat(turn("?"), stream=True)
    assert [job.in_pieces for job in desk.worker.jobs] == [True, False, True, True]


def events(stream: str) -> list[Any]:
    *parts, rest = stream.split("\n\n")
    assert rest == ""
    return [json.loads(part.removeprefix("data: ")) for part in parts if part != "data: [DONE]"]


def test_a_stream_brings_every_piece_once_and_ends_with_how_it_ended(desk: Desk) -> None:
    desk.worker.replies = lambda: [*PIECES, answer()]
    sent = desk.chat(turn("?"), stream=True, stream_options={"include_usage": True})
    assert sent.headers["content-type"].startswith("text/event-stream")
    assert sent.headers["cache-control"] == "no-store"
    assert sent.text.endswith("\n\ndata: [DONE]\n\n")
    chunks = events(sent.text)
    assert {chunk["id"] for chunk in chunks} == {sent.headers["x-request-id"]}
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "three"},
        {"content": " apples"},
        {},
    ]
    assert [chunk["choices"][0].get("finish_reason") for chunk in chunks[:-1]] == [None, None, None, "length"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 17 + 5
    assert 0 < chunks[-2]["timing"]["total_ms"] < 10_000


def test_a_stream_that_breaks_off_ends_with_the_error_and_is_counted_by_it(desk: Desk) -> None:
    desk.worker.replies = lambda: [PIECES[0], DeadlineError("too late")]
    answer = desk.chat(turn("?"), stream=True)
    assert answer.status_code == 200, "it had begun"
    assert "[DONE]" not in answer.text
    assert events(answer.text)[-1] == {
        "error": {"message": "too late", "type": "server_error", "param": None, "code": "deadline_exceeded"}
    }
    assert desk.counted("tallyglass_requests_total", route="/v1/chat/completions", status="504", variant="int8") == 1
    assert desk.counted("tallyglass_requests_total", route="/v1/chat/completions", status="200", variant="int8") == 0
    assert desk.counted("tallyglass_request_inference_time_seconds_count") == 0
    assert desk.worker.given_up == []


def leave(desk: Desk, path: str, body: dict[str, Any], after: int) -> None:
    """Send a request and disconnect after ``after`` messages of the response."""

    async def go() -> None:
        left = asyncio.Event()
        incoming = iter([{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}])
        come: list[Any] = []

        async def receive() -> dict[str, Any]:
            message = next(incoming, None)
            if message is None:
                await left.wait()
            return message or {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            come.append(message)
            if len(come) >= after:
                left.set()
                await asyncio.sleep(0)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        async with asyncio.timeout(5):
            await desk.app(scope, receive, send)

    asyncio.run(go())


@pytest.mark.parametrize("after", [1, 3])
def test_a_client_that_leaves_a_stream_is_forgotten_and_counted_as_gone(desk: Desk, after: int) -> None:
    desk.worker.replies = lambda: [PIECES[0]]  # and no end
    leave(desk, "/v1/chat/completions", {"messages": [turn("?")], "stream": True}, after)
    assert desk.worker.given_up == [desk.worker.jobs[0].id]
    assert desk.counted("tallyglass_requests_total", route="/v1/chat/completions", status="499", variant="int8") == 1
    assert desk.counted("tallyglass_requests_in_flight") == 0


def test_a_timeout_is_504_and_later_replies_are_dropped() -> None:
    desk = Desk.of_qwen_vl(timeout_s=0.05)
    desk.worker.replies = list
    answer = desk.answer(**ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert answer.json()["error"]["message"].startswith("no answer within 0.05 s: ")
    assert desk.worker.given_up == [desk.worker.jobs[0].id]


def test_the_schemas_that_requests_are_made_of_are_described() -> None:
    description = send(as_installed(Worker(), ready=True), "GET", "/openapi.json").json()
    schemas = description["components"]["schemas"]
    assert schemas["QwenVLChat"]["properties"]["max_pixels"].keys() == {"anyOf", "description", "title"}
    assert {"TextPart", "ImagePart", "Message", "ChatChunk"} <= set(schemas)
    assert {"type": "string"} in schemas["Message"]["properties"]["content"]["anyOf"]


@pytest.mark.parametrize("name", ["some/model", "some%2Fmodel"])
def test_the_model_is_found_by_its_name(desk: Desk, name: str) -> None:
    assert desk.send("GET", f"/v1/models/{name}").json() == CARD.model_dump()
    missing = desk.send("GET", "/v1/models/other/model")
    assert missing.status_code == 404
    assert missing.json()["error"] == {
        "message": "there is no model 'other/model' here: this server has 'some/model'",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/models/some/model", "/live", "/ready", "/health", "/version", "/", "/metrics", "/openapi.json"],
)
def test_head_is_answered_as_get_is(desk: Desk, path: str) -> None:
    head, get = desk.send("HEAD", path), desk.send("GET", path)
    assert (head.status_code, head.headers["content-type"]) == (200, get.headers["content-type"])


def test_a_route_without_get_has_no_head(desk: Desk) -> None:
    assert desk.send("HEAD", "/v1/answer").status_code == 405


@pytest.mark.parametrize("stream", [False, True])
def test_fields_without_effect_are_named_in_the_answer_and_a_header(desk: Desk, *, stream: bool) -> None:
    sent = desk.chat({**turn(SMALL, "?"), "name": "J. R."}, n=1, stream=stream, chat_template_kwargs={})
    assert sent.headers["x-ignored-fields"] == "n, chat_template_kwargs, messages.0.name"
    told = events(sent.text)[0] if stream else sent.json()
    assert told["ignored"] == ["n", "chat_template_kwargs", "messages.0.name"]
    plain = desk.chat(turn(SMALL, "?"), stream=stream)
    assert "x-ignored-fields" not in plain.headers
    assert (events(plain.text)[0] if stream else plain.json())["ignored"] == []


def test_a_name_in_a_header_is_encoded_and_many_are_cut(desk: Desk) -> None:
    answer = {"role": "assistant", "content": "3", "x\r\nSet-Cookie: ü": 1}
    sent = desk.chat(turn("?"), answer, turn("?"))
    assert sent.headers["x-ignored-fields"] == "messages.1.x%0D%0ASet-Cookie%3A%20%C3%BC"
    assert sent.json()["ignored"] == ["messages.1.x\r\nSet-Cookie: ü"]
    many = desk.chat(turn("?"), {"role": "assistant", "content": "3", **{f"extra{at}": 1 for at in range(999)}})
    assert len(many.json()["ignored"]) == 999
    header = many.headers["x-ignored-fields"]
    assert len(header) <= 2005
    assert header.endswith(", ...")
    assert header.startswith("messages.1.extra0, messages.1.extra1, ")


def test_a_strict_service_refuses_what_has_no_effect() -> None:
    desk = Desk.of_matcha(strict=True)
    asked = turn(SMALL, "?")
    assert desk.chat(asked, temperature=0, max_tokens=5).status_code == 200
    for field, value in {"n": 1, "temperature": 0.7, "store": False}.items():
        refused = desk.chat(asked, **{field: value})
        message = f"'{field}' has no effect here, and this server is strict about that: leave it out"
        assert (refused.status_code, refused.json()["error"]["param"]) == (422, field)
        assert refused.json()["error"]["message"] == message


def test_an_error_about_an_image_names_where_it_was_sent(desk: Desk) -> None:
    refused = desk.chat(turn(SMALL, "a"), turn("b", LARGE))
    assert (refused.status_code, refused.json()["error"]["param"]) == (413, "messages.1.content.1.image_url")
    desk.worker.replies = lambda: [PromptTooLongError("too long", "image")]
    assert desk.chat(turn(SMALL, "a")).json()["error"]["param"] == "messages"
    assert desk.answer(**ASKED).json()["error"]["param"] == "image"


def crossing(origins: str) -> FastAPI:
    app = FastAPI()
    wire = RequestTypes(MatchaRequest, MatchaChat)
    Routes(Settings(cors_origins=origins), CARD, wire, Answering(Worker())).install(app)
    return app


def test_pages_of_other_origins_may_ask_if_a_setting_allows_them() -> None:
    app = crossing("https://a.example, https://b.example/")
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
    for origin in ("https://a.example", "https://b.example"):
        preflight = send(app, "OPTIONS", "/v1/chat/completions", headers={"Origin": origin, **asks})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin)
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        for fields, status in ((ASKED, 200), ({}, 422)):
            sent = send(app, "POST", "/v1/answer", json=fields, headers={"Origin": origin})
            assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (status, origin)
            assert sent.headers["access-control-expose-headers"] == "X-Request-Id, X-Ignored-Fields, Retry-After"
    other = send(app, "GET", "/v1/models", headers={"Origin": "https://c.example"})
    assert "access-control-allow-origin" not in other.headers
    everyone = send(crossing("*"), "GET", "/v1/models", headers={"Origin": "https://c.example"})
    assert everyone.headers["access-control-allow-origin"] == "*"


def test_a_page_of_another_origin_can_read_a_defect() -> None:
    app = crossing("*")

    async def broken() -> None:
        message = "a secret"
        raise RuntimeError(message)

    app.add_api_route("/broken", broken)
    sent = send(app, "GET", "/broken", headers={"Origin": "https://a.example"})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (500, "*")
    assert sent.json()["error"]["code"] == "internal_error"


def test_no_page_of_another_origin_may_ask_by_default(desk: Desk) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert desk.send("OPTIONS", "/v1/answer", headers=headers).status_code == 405
    sent = desk.send("GET", "/v1/models", headers=headers)
    assert not [name for name in sent.headers if name.startswith("access-control")]


def test_routes_are_made_of_what_they_are_given() -> None:
    worker, settings = Answering(Worker()), Settings(max_image_pixels=99)
    routes = Routes(settings, CARD, RequestTypes(MatchaRequest, MatchaChat), worker)
    assert (routes.settings, routes.card, routes.worker) == (settings, CARD, worker)


def test_a_server_says_what_it_is(desk: Desk) -> None:
    assert desk.send("GET", "/version").json() == {"version": __version__}
    said = desk.send("GET", "/").json()
    assert said == {"service": "Tallyglass", "model": "some/model", "variant": "int8", "docs": "/docs"}
