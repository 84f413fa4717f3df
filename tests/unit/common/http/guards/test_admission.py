"""Who is let in: counted before a body is read, refused with the exact status and when to come back."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.requests import Request

from tests.images import encode
from tests.unit.common.http.serving import Desk, answer

IMAGE = base64.b64encode(encode(Image.new("RGB", (7, 5)))).decode()
ASKED: dict[str, Any] = {"image": IMAGE, "question": "How many?"}
CHAT: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}]},
        {"role": "user", "content": "How many?"},
    ]
}
PATHS = {"/v1/answer": ASKED, "/v1/chat/completions": CHAT}


async def unread() -> AsyncIterator[bytes]:
    """A body that fails the test when it is read."""
    yield b""
    pytest.fail("the body was read")


def held(desk: Desk, requests: int, held_bytes: int = 0) -> None:
    """As if so many requests were in the building."""
    desk.routes.admission.requests, desk.routes.admission.held_bytes = requests, held_bytes


@pytest.mark.parametrize("path", PATHS)
def test_one_too_many_is_refused_before_its_body_is_read_with_an_honest_retry_after(path: str) -> None:
    desk = Desk.of_qwen_vl(max_requests=3)
    desk.worker.seconds_each = 1.5
    held(desk, 3)
    refused = desk.send("POST", path, content=unread(), headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")  # 3 x 1.5 s, rounded up
    assert refused.json()["error"] == {
        "message": "the server has 3 requests, and takes no more: try again later",
        "type": "invalid_request_error",
        "param": None,
        "code": "overloaded",
    }
    assert desk.counted("tallyglass_requests_total", route=path, status="429", variant="int8") == 1
    held(desk, 2)
    assert desk.send("POST", path, json=PATHS[path]).status_code == 200
    assert desk.routes.admission.requests == 2, "each leaves its place"


@pytest.mark.parametrize("path", PATHS)
def test_bytes_are_bounded_as_announced_or_as_the_most_that_a_body_may_have(path: str) -> None:
    desk = Desk.of_qwen_vl(max_held_bytes=10_000, max_body_bytes=4_000)
    held(desk, 1, 7_000)
    fits = desk.send("POST", path, content=b"x" * 3_000, headers={"Content-Type": "application/json"})
    assert fits.status_code == 400
    for content in (b"x" * 3_001, unread()):
        refused = desk.send("POST", path, content=content, headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "holds 7000 bytes" in refused.json()["error"]["message"]
    assert desk.routes.admission.held_bytes == 7_000
    held(desk, 0)
    assert desk.send("POST", path, json=PATHS[path]).status_code == 200, "the first is let in, however large"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("state", ["loading", "stopping"])
def test_nobody_is_let_in_while_the_model_loads_or_the_service_stops(path: str, state: str) -> None:
    desk = Desk.of_qwen_vl()
    if state == "loading":
        desk.worker.ready = False
    else:
        desk.routes.admission.drain()
    refused = desk.send("POST", path, content=unread())
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers.get("connection") == (None if state == "loading" else "close")
    assert desk.send("GET", "/ready").status_code == 503
    assert desk.send("GET", "/live").status_code == 200


def test_a_worker_that_is_stuck_for_long_ends_liveness() -> None:
    desk = Desk.of_matcha()
    desk.worker.stuck = True
    refused = desk.send("GET", "/live")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")


@pytest.mark.parametrize("path", PATHS)
def test_a_request_that_cannot_be_answered_in_time_is_refused_at_once(path: str) -> None:
    desk = Desk.of_qwen_vl(timeout_s=60)
    desk.worker.seconds_each = 4
    held(desk, 2)
    refused = desk.send("POST", path, json={**PATHS[path], "timeout_s": 7})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "12")
    assert "2 requests are before this one, about 8.0 s of work" in refused.json()["error"]["message"]
    assert desk.worker.jobs == []
    assert desk.send("POST", path, json={**PATHS[path], "timeout_s": 9}).status_code == 200
    held(desk, 0)
    assert desk.send("POST", path, json={**PATHS[path], "timeout_s": 1}).status_code == 200, "nobody is before it"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("field", "header", "expected_s"),
    [(None, None, 60), (5, None, 5), (0.25, "4000", 0.25), (5, "1500", 1.5), (100, "90000", 60)],
)
def test_a_request_has_the_least_of_its_field_its_header_and_the_servers_time(
    path: str, field: float | None, header: str | None, expected_s: float
) -> None:
    desk = Desk.of_qwen_vl(timeout_s=60)
    headers = {"Request-Timeout-Ms": header} if header else {}
    assert desk.send("POST", path, json={**PATHS[path], "timeout_s": field}, headers=headers).status_code == 200
    (job,) = desk.worker.jobs
    assert job.timeout_s == expected_s
    assert job.deadline_s - job.enqueued_s == pytest.approx(expected_s, abs=0.2)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", ["0", "-5", "1.5", "soon", ""])
def test_a_header_that_is_no_time_is_refused_by_name(path: str, header: str) -> None:
    refused = Desk.of_qwen_vl().send("POST", path, json=PATHS[path], headers={"Request-Timeout-Ms": header})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "Request-Timeout-Ms")


@pytest.mark.parametrize(
    ("path", "stream"), [("/v1/answer", False), ("/v1/chat/completions", False), ("/v1/chat/completions", True)]
)
def test_a_client_that_leaves_is_given_up_and_counted_once(path: str, *, stream: bool) -> None:
    """The application is driven directly, so that the disconnect comes while the worker computes."""
    desk = Desk.of_qwen_vl()
    desk.worker.replies = list
    body = httpx.Request("POST", "http://desk", json={**PATHS[path], **({"stream": True} if stream else {})}).content
    sent: list[Any] = []

    async def drive() -> None:
        left = asyncio.Event()
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            for message in messages:
                return message
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        serving = asyncio.ensure_future(desk.app(scope, receive, send))
        while not desk.worker.jobs:  # noqa: ASYNC110 it has no event
            await asyncio.sleep(0.001)
        left.set()
        await asyncio.wait_for(serving, timeout=5)

    asyncio.run(drive())
    assert desk.worker.given_up == [desk.worker.jobs[0].id]
    assert desk.counted("tallyglass_requests_total", route=path, status="499", variant="int8") == 1
    assert desk.send("GET", "/metrics").text.count("tallyglass_requests_total{") == 1
    assert desk.counted("tallyglass_requests_in_flight") == 0
    assert desk.routes.admission.requests == 0


def test_a_place_is_left_by_a_stream_too() -> None:
    desk = Desk.of_qwen_vl(max_requests=1)
    desk.worker.replies = lambda: [answer()]
    for _ in range(3):
        assert desk.send("POST", "/v1/chat/completions", json={**CHAT, "stream": True}).status_code == 200
    assert desk.routes.admission.requests == 0


def test_a_building_is_empty_once_all_have_left() -> None:
    admission, request = Desk.of_matcha().routes.admission, Request({"type": "http", "headers": []})

    async def leave_one_by_one() -> None:
        first, second = admission.admit(request), admission.admit(request)
        first.__enter__()
        second.__enter__()
        emptied = asyncio.create_task(admission.emptied())
        for visit in (second, first):
            await asyncio.sleep(0.01)
            assert not emptied.done()
            visit.__exit__(None, None, None)
        await asyncio.wait_for(emptied, 1)
        await asyncio.wait_for(admission.emptied(), 1)

    asyncio.run(leave_one_by_one())
