"""One request from arrival to end: how it is counted, timed and logged, however it ends."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from services.common.http.request_scope import HeldStream, RequestScope
from services.common.telemetry.metrics import Metrics
from services.wire.errors import NotReadyError
from tests.unit.common.http.serving import CARD, answer, reading

E2E = "e2e_request_latency_seconds"


def told(metrics: Metrics, name: str, **labels: str) -> float:
    return reading(metrics.exposition()[0].decode(), f"tallyglass_{name}", **labels)


def test_a_request_is_in_flight_from_enter_to_exit() -> None:
    metrics = Metrics()
    with RequestScope(metrics, CARD, "/v1/answer", "ans"):
        assert told(metrics, "requests_in_flight") == 1
        with RequestScope(metrics, CARD, "/v1/chat/completions", "chatcmpl"):
            assert told(metrics, "requests_in_flight") == 2
        assert told(metrics, "requests_in_flight") == 1
    assert told(metrics, "requests_in_flight") == 0


@pytest.mark.parametrize(
    ("ending", "status", "outcome", "reason"),
    [
        (None, "499", "cancelled", "client_disconnected"),
        (ClientDisconnect(), "499", "cancelled", "client_disconnected"),
        (asyncio.CancelledError(), "499", "cancelled", "client_disconnected"),
        (ValueError("a defect"), "500", "failed", "internal_error"),
        (NotReadyError("nobody made an answer of it"), "500", "failed", "internal_error"),
    ],
)
def test_without_an_answer_the_ending_decides(
    ending: BaseException | None, status: str, outcome: str, reason: str
) -> None:
    metrics = Metrics()
    with suppress(BaseException), RequestScope(metrics, CARD, "/v1/answer", "ans"):
        if ending:
            raise ending
    assert told(metrics, "requests_total", route="/v1/answer", status=status, variant="int8") == 1
    assert metrics.exposition()[0].decode().count("tallyglass_requests_total{") == 1
    assert told(metrics, f"{E2E}_count", route="/v1/answer", status=status) == 1
    assert told(metrics, "requests_unanswered_total", outcome=outcome, reason=reason) == 1
    assert told(metrics, "requests_in_flight") == 0


def test_an_answer_says_who_gave_it_to_which_request() -> None:
    given = answer(cache="hit")
    with RequestScope(Metrics(), CARD, "/v1/answer", "ans") as scope:
        response = scope.answered(given)
    assert (response.id, response.model, response.variant) == (scope.id, CARD.id, CARD.variant)
    assert (response.answer, response.finish_reason, response.usage) == (given.text, given.finish_reason, given.usage)
    assert (response.cache, response.lens) == ("hit", None)


def test_an_answer_has_the_time_since_the_arrival_and_is_counted_once() -> None:
    metrics = Metrics()
    with RequestScope(metrics, CARD, "/v1/answer", "ans") as scope:
        scope.started_s -= 3.5
        timing = scope.answered(answer()).timing
    assert 3500 <= timing.total_ms < 4500
    assert (timing.queue_ms, timing.preprocess_ms, timing.inference_ms) == (40, 300, 2000)
    assert told(metrics, "requests_total", route="/v1/answer", status="200", variant="int8") == 1
    assert told(metrics, f"{E2E}_sum", route="/v1/answer", status="200") == pytest.approx(timing.total_ms / 1000)
    assert told(metrics, "request_inference_time_seconds_count") == 1


def test_an_answer_that_breaks_off_while_it_is_sent_was_an_answer() -> None:
    metrics = Metrics()
    with suppress(ClientDisconnect), RequestScope(metrics, CARD, "/v1/answer", "ans") as scope:
        scope.answered(answer())
        raise ClientDisconnect
    assert told(metrics, "requests_total", route="/v1/answer", status="200", variant="int8") == 1


def test_a_refusal_is_the_error_and_is_timed_as_one() -> None:
    metrics = Metrics()
    with RequestScope(metrics, CARD, "/v1/answer", "ans") as scope:
        scope.started_s -= 3.5
        refusal = scope.refused(NotReadyError("ask again"))
    assert refusal.status_code == 503
    assert b'"message":"ask again"' in bytes(refusal.body)
    assert told(metrics, "requests_total", route="/v1/answer", status="503", variant="int8") == 1
    assert 3.5 <= told(metrics, f"{E2E}_sum", route="/v1/answer", status="503") < 4.5
    assert told(metrics, "requests_unanswered_total", outcome="refused", reason="not_ready") == 1


def test_ids_begin_with_their_prefix_and_differ() -> None:
    scopes = [RequestScope(Metrics(), CARD, "/v1/answer", prefix) for prefix in ("ans", "ans", "chatcmpl")]
    assert [re.sub("[0-9a-f]{32}$", "", scope.id) for scope in scopes] == ["ans-", "ans-", "chatcmpl-"]
    assert len({scope.id[-32:] for scope in scopes}) == 3
    assert scopes[0].headers == {}


@pytest.mark.parametrize("leaves", [False, True])
def test_a_stream_lets_go_of_what_it_holds_once_it_ends_or_the_client_leaves(*, leaves: bool) -> None:
    released: list[str] = []
    sent: list[Any] = []

    async def events() -> AsyncIterator[bytes]:
        for event in (b"data: 1\n\n", b"data: 2\n\n"):
            assert released == []
            yield event
        if leaves:
            await asyncio.sleep(60)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01 if leaves else 60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def go() -> None:
        held = AsyncExitStack()
        held.callback(released.append, "it")
        async with asyncio.timeout(5):
            await HeldStream(events(), held, {"X-Request-Id": "7"})({"type": "http"}, receive, send)

    asyncio.run(go())
    assert released == ["it"]
    start, *bodies = sent
    assert dict(start["headers"]) == {
        b"x-request-id": b"7",
        b"cache-control": b"no-store",
        b"content-type": b"text/event-stream; charset=utf-8",
    }
    assert b"".join(body["body"] for body in bodies) == b"data: 1\n\ndata: 2\n\n"
