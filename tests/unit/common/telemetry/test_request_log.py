"""The line that each request leaves in the log, and the id that joins it to the client's."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from services.wire.errors import DeadlineError
from tests.images import encode
from tests.unit.common.http.serving import Desk, answer, b64, turn
from tests.unit.common.http.test_routes import PIECES, leave

PNG = encode(Image.new("RGB", (7, 5)))
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def desk() -> Desk:
    return Desk.of_qwen_vl()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The fields of each request's line so far."""
    caplog.set_level(logging.DEBUG)
    return lambda: [vars(record) for record in caplog.records if record.getMessage() == "request"]


def test_an_answer_leaves_one_line_with_its_times_and_tokens(desk: Desk, lines: Lines) -> None:
    desk.worker.replies = lambda: [answer(queue_ms=40.04, preprocess_ms=300.26, inference_ms=2000.51)]
    given = desk.answer(image=b64(PNG), question="What is my diagnosis?")
    (line,) = lines()
    said = {name: line[name] for name in ("id", "job", "method", "route", "status", "levelno")}
    assert said == {
        "id": given.headers["x-request-id"],
        "job": given.json()["id"],
        "method": "POST",
        "route": "/v1/answer",
        "status": 200,
        "levelno": logging.INFO,
    }
    assert (line["queue_ms"], line["preprocess_ms"], line["inference_ms"]) == (40.0, 300.3, 2000.5)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (17, 5)
    total_ms = given.json()["timing"]["total_ms"]
    assert total_ms - 0.1 <= line["total_ms"] < total_ms + 1000
    assert "code" not in line
    assert "diagnosis" not in str(line)


def test_whatever_is_not_answered_leaves_one_line_with_its_code(desk: Desk, lines: Lines) -> None:
    desk.chat(turn("?"), n=2)
    desk.worker.replies = lambda: [PIECES[0], DeadlineError("late")]
    desk.chat(turn("?"), stream=True)
    desk.send("GET", "/v2/answer?key=secret")
    desk.send("GET", "/v1/models/another")
    desk.worker.replies = lambda: [PIECES[0]]  # and no end
    leave(desk, "/v1/chat/completions", {"messages": [turn("?")], "stream": True}, 3)
    desk.worker.replies = lambda: 1 / 0  # type: ignore[assignment,return-value]
    desk.answer(image=b64(PNG), question="?")
    told = [(line["method"], line["route"], line["status"], line["code"]) for line in lines()]
    assert told == [
        ("POST", "/v1/chat/completions", 422, told[0][3]),
        ("POST", "/v1/chat/completions", 504, "deadline_exceeded"),
        ("GET", "/v2/answer", 404, "http_error"),
        ("GET", "/v1/models/another", 404, "model_not_found"),
        ("POST", "/v1/chat/completions", 499, "client_disconnected"),
        ("POST", "/v1/answer", 500, "internal_error"),
    ]
    assert all("queue_ms" not in line and line["total_ms"] >= 0 for line in lines())
    assert "secret" not in str(lines())


@pytest.mark.parametrize("path", ["/live", "/ready", "/health", "/healthz", "/metrics"])
def test_probes_are_logged_for_those_who_debug(desk: Desk, lines: Lines, path: str) -> None:
    desk.send("HEAD", path)
    (line,) = lines()
    assert (line["levelno"], line["method"], line["status"]) == (logging.DEBUG, "HEAD", 200)


def test_the_question_is_logged_where_a_setting_says_so(lines: Lines) -> None:
    desk = Desk.of_qwen_vl(log_questions=True)
    desk.answer(image=b64(PNG), question="What is my diagnosis?")
    desk.chat(turn(PNG, "First?"), turn("This.", role="assistant"), turn("And then?"))
    assert [line["question"] for line in lines()] == ["What is my diagnosis?", "And then?"]
    assert b64(PNG)[:16] not in str(lines())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Request-Id": "order 7/3"}, "order 7/3"),
        ({"X-Request-Id": "x" * 128}, "x" * 128),
        ({"traceparent": PARENT}, TRACE),
        ({"traceparent": PARENT, "X-Request-Id": "mine"}, "mine"),
        ({"traceparent": PARENT, "X-Request-Id": "x" * 129}, TRACE),
    ],
)
def test_the_id_of_the_client_is_taken_and_returned(
    desk: Desk, lines: Lines, headers: dict[str, str], expected: str
) -> None:
    answers = [
        desk.send("POST", "/v1/answer", json={"image": b64(PNG), "question": "?"}, headers=headers),
        desk.send("POST", "/v1/chat/completions", json={"messages": [turn("?")], "stream": True}, headers=headers),
        desk.send("GET", "/v1/models", headers=headers),
        desk.send("GET", "/nowhere", headers=headers),
    ]
    assert {given.headers["x-request-id"] for given in answers} == {expected}
    assert [line["id"] for line in lines()] == [expected] * 4
    jobs = [line["job"] for line in lines()[:2]]
    assert jobs == [job.id for job in desk.worker.jobs]
    assert [job.split("-")[0] for job in jobs] == ["ans", "chatcmpl"], "and unique, whatever a client says"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Id": ""},
        {"X-Request-Id": "x" * 129},
        {"X-Request-Id": "caf\xe9".encode("latin-1")},
        {"X-Request-Id": b"a\x1b[31m"},
        {"X-Request-Id": b"one\ttwo"},
        {"X-Request-Id": b"one\nstatus: 200"},
        {"traceparent": TRACE},
        {"traceparent": PARENT.replace(TRACE, "0" * 32)},
        {"traceparent": PARENT.replace("00-", "ff-", 1)},
        {"traceparent": PARENT.upper()},
    ],
)
def test_what_cannot_be_an_id_is_replaced(desk: Desk, lines: Lines, headers: dict[str, Any]) -> None:
    given = desk.send("POST", "/v1/answer", json={"image": b64(PNG), "question": "?"}, headers=headers)
    assert given.headers["x-request-id"] == given.json()["id"] == lines()[0]["id"]
    made = desk.send("GET", "/nowhere", headers=headers).headers["x-request-id"]
    assert made.startswith("req-")
    assert lines()[1]["id"] == made
