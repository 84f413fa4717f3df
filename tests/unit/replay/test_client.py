"""One question over HTTP: what is sent, and which failure each accident becomes."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Coroutine

import httpx
import pytest

from clients.replay.client import AnswerClient, AskOptions
from clients.replay.errors import ReplayError
from clients.replay.outcomes import Failure, FailureKind
from clients.replay.pictures import Picture, blank_picture
from services.common.schemas import AnswerResponse

Handler = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]

REPLY = {
    "id": "a",
    "model": "m",
    "variant": "fp32",
    "answer": "3",
    "finish_reason": "stop",
    "usage": {"image_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1},
    "timing": {"queue_ms": 1, "preprocess_ms": 1, "inference_ms": 1, "total_ms": 3},
    "a_field_of_tomorrow": 1,
}


def ask(handler: Handler, options: AskOptions | None = None) -> AnswerResponse | Failure:
    async def once() -> AnswerResponse | Failure:
        url, transport = "http://127.0.0.1:9", httpx.MockTransport(handler)
        async with AnswerClient(url, options or AskOptions(timeout_s=1, retries=0), transport) as client:
            return (await client.ask(Picture.of(b"pixels"), "How many?")).reply

    return asyncio.run(once())


def test_the_request_is_the_contract_s() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=REPLY)

    answer = ask(handler, AskOptions(max_patches=64, lens=True))
    assert isinstance(answer, AnswerResponse)
    assert answer.answer == "3"
    assert seen[0].url.path == "/v1/answer"
    assert seen[0].headers["X-Image-Digest"] == hashlib.sha256(b"pixels").hexdigest()
    assert json.loads(seen[0].content) == {
        "image": base64.b64encode(b"pixels").decode(),
        "question": "How many?",
        "max_patches": 64,
        "lens": {"top_k": 5, "tokens": "first"},
    }


def test_options_that_are_not_set_are_not_sent() -> None:
    assert AskOptions().fields() == {}


def raising(error: Exception) -> Handler:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


ENVELOPE = {"error": {"message": "queue full", "type": "server_error", "param": None, "code": "queue_full"}}


@pytest.mark.parametrize(
    ("handler", "kind", "status", "code", "message"),
    [
        (raising(httpx.ConnectError("refused")), FailureKind.CONNECTION, None, None, "refused"),
        (raising(httpx.RemoteProtocolError("hung up")), FailureKind.CONNECTION, None, None, "hung up"),
        (raising(httpx.ReadError("")), FailureKind.CONNECTION, None, None, "ReadError"),
        (raising(httpx.ReadTimeout("slow")), FailureKind.TIMEOUT, None, None, "within 1 s"),
        (lambda _: httpx.Response(429, json=ENVELOPE), FailureKind.HTTP_STATUS, 429, "queue_full", "queue full"),
        (lambda _: httpx.Response(502, text="<html>"), FailureKind.HTTP_STATUS, 502, None, "<html>"),
        (lambda _: httpx.Response(200, text="hello"), FailureKind.BAD_REPLY, 200, None, "JSON"),
        (lambda _: httpx.Response(200, json={"answer": 3}), FailureKind.BAD_REPLY, 200, None, "id"),
    ],
    ids=["refused", "hung-up", "wordless", "slow", "queue-full", "a-proxy-s-page", "no-json", "another-contract"],
)
def test_every_accident_is_a_failure_of_its_own_kind(
    handler: Handler,
    kind: FailureKind,
    status: int | None,
    code: str | None,
    message: str,
) -> None:
    failure = ask(handler)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status, failure.code) == (kind, status, code)
    assert message in failure.message


def test_the_time_limit_holds_for_the_whole_request() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return httpx.Response(200, json=REPLY)

    failure = ask(handler, AskOptions(timeout_s=0.05))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://host:port"])
def test_what_is_no_service_s_url_is_refused(url: str) -> None:
    with pytest.raises(ReplayError, match="URL"):
        AnswerClient(url, AskOptions())


@pytest.mark.parametrize(
    "handler",
    [
        raising(httpx.ConnectError("refused")),
        lambda _: httpx.Response(404),
        lambda _: httpx.Response(200, json={"data": []}),
        lambda _: httpx.Response(200, text="hello"),
    ],
    ids=["refused", "not-found", "no-model", "no-json"],
)
def test_a_service_that_does_not_name_its_model_is_refused(handler: Handler) -> None:
    async def once() -> None:
        async with AnswerClient("http://127.0.0.1:9", AskOptions(), httpx.MockTransport(handler)) as client:
            await client.model_card()

    with pytest.raises(ReplayError, match=r"127\.0\.0\.1"):
        asyncio.run(once())


def test_the_blank_picture_is_a_picture() -> None:
    assert base64.b64decode(blank_picture().base64).startswith(b"\x89PNG")
