"""One question over HTTP: what is sent, and how each problem is reported."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable, Coroutine

import httpx
import pytest

from clients.replay.asking.client import AnswerClient, AskOptions
from clients.replay.asking.images import EncodedImage
from clients.replay.asking.retries import Attempts
from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failure, FailureKind
from services.wire.answer import AnswerResponse, ModelCard
from tests.unit.replay.serving import MODELS

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
UNTIMED = {**REPLY, "timing": {"queue_ms": None, "preprocess_ms": 1, "inference_ms": 1, "total_ms": 3}}


def ask(handler: Handler, options: AskOptions | None = None) -> AnswerResponse | Failure:
    async def once() -> AnswerResponse | Failure:
        url, transport = "http://127.0.0.1:9", httpx.MockTransport(handler)
        async with AnswerClient(url, options or AskOptions(timeout_s=1, retries=0), transport) as client:
            return (await client.ask(EncodedImage.of(b"pixels"), "How many?")).reply

    return asyncio.run(once())


def test_the_request_is_the_contract_s() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=REPLY)

    prompt = "{question} In short: {question}"
    answer = ask(handler, AskOptions(max_patches=64, lens=True, max_new_tokens=20, prompt=prompt))
    assert answer == AnswerResponse.model_validate(REPLY)
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/v1/answer")
    assert request.headers["X-Image-Digest"] == hashlib.sha256(b"pixels").hexdigest()
    assert json.loads(request.content) == {
        "image": base64.b64encode(b"pixels").decode(),
        "question": "How many? In short: How many?",
        "max_patches": 64,
        "max_new_tokens": 20,
        "lens": {"top_k": 5, "tokens": "first"},
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (AskOptions(), {}),
        (AskOptions(max_patches=7), {"max_patches": 7}),
        (AskOptions(max_new_tokens=8), {"max_new_tokens": 8}),
        (AskOptions(lens=True), {"lens": {"top_k": 5, "tokens": "first"}}),
    ],
)
def test_options_that_are_not_set_are_not_sent(options: AskOptions, fields: dict[str, object]) -> None:
    assert options.fields() == fields


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
        (lambda _: httpx.Response(204), FailureKind.HTTP_STATUS, 204, None, ""),
        (lambda _: httpx.Response(307, headers={"Location": "/x"}), FailureKind.HTTP_STATUS, 307, None, ""),
        (lambda _: httpx.Response(200, text="hello"), FailureKind.BAD_REPLY, 200, None, "body: Invalid JSON"),
        (lambda _: httpx.Response(200, json={"answer": 3}), FailureKind.BAD_REPLY, 200, None, "id: Field"),
        (lambda _: httpx.Response(200, json=UNTIMED), FailureKind.BAD_REPLY, 200, None, "timing.queue_ms: "),
    ],
    ids=[
        "refused",
        "hung-up",
        "wordless",
        "slow",
        "queue-full",
        "a-proxy-s-page",
        "empty",
        "moved",
        "no-json",
        "another-contract",
        "untimed",
    ],
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


@pytest.mark.parametrize(("length", "told"), [(199, 199), (200, 200), (201, 200)])
def test_of_a_page_that_is_not_ours_the_beginning_is_kept(length: int, told: int) -> None:
    page = "".join(chr(ord("a") + place % 26) for place in range(length))
    failure = ask(lambda _: httpx.Response(500, text=page, headers={"Retry-After": "9"}))
    assert failure == Failure(kind=FailureKind.HTTP_STATUS, message=page[:told], status=500, retry_after_s=9)


def test_the_time_limit_holds_for_the_whole_request() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return httpx.Response(200, json=REPLY)

    failure = ask(handler, AskOptions(timeout_s=0.05))
    assert failure == Failure(kind=FailureKind.TIMEOUT, message="no answer within 0.05 s")


def test_no_part_of_a_request_is_cut_off_before_the_time_limit() -> None:
    """The default timeout of httpx, five seconds, would cut off an answer that the options allow a minute."""
    seen: list[object] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json=REPLY)

    ask(handler, AskOptions(timeout_s=77, retries=0))
    assert seen == [dict.fromkeys(("connect", "read", "write", "pool"), 77)]


def test_a_moment_of_latency_is_a_thousandth_of_a_second_and_begins_with_the_sending() -> None:
    received: list[float] = []

    async def handler(_: httpx.Request) -> httpx.Response:
        received.append(time.time())
        await asyncio.sleep(0.05)
        return httpx.Response(200, json=REPLY)

    async def once() -> Attempts:
        async with AnswerClient("http://127.0.0.1:9", AskOptions(), httpx.MockTransport(handler)) as client:
            return await client.ask(EncodedImage.of(b"pixels"), "How many?")

    before_s, attempts = time.time(), asyncio.run(once())
    assert before_s <= attempts.sent_at_s <= received[0]
    assert 50 <= attempts.latency_ms <= (time.time() - before_s) * 1000


def test_as_many_are_asked_at_once_as_there_are_workers() -> None:
    """More than httpx's default of a hundred: waiting for a connection would count as latency."""
    workers, body = 102, json.dumps(REPLY).encode()

    async def together() -> list[AnswerResponse | Failure]:
        here, everyone = 0, asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal here
            await reader.readuntil(b"}")
            here += 1
            if here == workers:
                everyone.set()
            await everyone.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with AnswerClient(url, AskOptions(timeout_s=10, retries=0)) as client:
                asked = [client.ask(EncodedImage.of(b"pixels"), "How many?") for _ in range(workers)]
                return [attempts.reply for attempts in await asyncio.gather(*asked)]

    assert [reply for reply in asyncio.run(together()) if isinstance(reply, Failure)] == []


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://host:port"])
def test_an_invalid_service_url_is_refused(url: str) -> None:
    with pytest.raises(ReplayError, match=r"is not .* URL"):
        AnswerClient(url, AskOptions())


def card(url: str, transport: httpx.AsyncBaseTransport | None = None) -> ModelCard:
    async def once() -> ModelCard:
        async with AnswerClient(url, AskOptions(), transport) as client:
            return await client.model_card()

    return asyncio.run(once())


def test_the_model_is_the_first_that_the_service_lists() -> None:
    cards = [{"id": name, "variant": "fp32", "revision": "r", "manifest_sha256": "ab"} for name in ("one", "two")]
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"data": cards})

    assert card("https://host/prefix/", httpx.MockTransport(handler)).id == "one"
    assert [(request.method, str(request.url)) for request in seen] == [("GET", "https://host/prefix/v1/models")]


def test_a_service_that_is_asked_for_its_model_has_seconds_to_answer_not_as_long_as_for_a_picture() -> None:
    seen: list[float] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.extend(request.extensions["timeout"].values())
        return httpx.Response(200, json={"data": []})

    with pytest.raises(ReplayError):
        card("http://127.0.0.1:9", httpx.MockTransport(handler))
    assert 1 <= min(seen) <= max(seen) <= 15 < AskOptions().timeout_s


@pytest.mark.parametrize(("key", "sent"), [(None, None), ("", None), (" some-key+/=\n", "Bearer some-key+/=")])
def test_the_key_of_the_environment_is_sent_with_every_request(
    key: str | None, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key is not None:
        monkeypatch.setenv("TALLYGLASS_API_KEY", key)
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json=MODELS if request.method == "GET" else REPLY)

    card("http://127.0.0.1:9", httpx.MockTransport(handler))
    ask(handler)
    assert seen == [sent, sent]


@pytest.mark.parametrize("key", ["two words", "caf\xe9", "one\ntwo"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYGLASS_API_KEY", key)
    with pytest.raises(ReplayError, match="The value of TALLYGLASS_API_KEY is not an API key") as refused:
        AnswerClient("http://127.0.0.1:9", AskOptions())
    assert key not in str(refused.value)


@pytest.mark.parametrize(("key", "words"), [("", "needs an API key: set"), ("a-wrong-key", "does not accept the API")])
def test_a_service_that_refuses_the_key_is_told_from_one_that_is_down(
    key: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYGLASS_API_KEY", key)
    with pytest.raises(ReplayError, match=f"^http://127.0.0.1:9 {words}.* TALLYGLASS_API_KEY.*") as refused:
        card("http://127.0.0.1:9", httpx.MockTransport(lambda _: httpx.Response(401)))
    assert "a-wrong-key" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_s_own_services_are_not_asked_through_a_proxy(
    host: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert card(url.replace("127.0.0.1", host)).id == "m"


@pytest.mark.parametrize("address", ["http://service.example", "http://192.0.2.1:8001"])
def test_others_are_asked_through_the_proxy_that_the_environment_names(
    address: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert card(address).id == "m", "the proxy's own answer"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (raising(httpx.ConnectError("refused")), "respond as expected: refused. Is the service running?"),
        (lambda _: httpx.Response(404), "respond as expected: Client error '404 Not Found'"),
        (lambda _: httpx.Response(200, json={"data": []}), "list a model under /v1/models."),
        (lambda _: httpx.Response(200, text="hello"), "list a model under /v1/models."),
    ],
    ids=["refused", "not-found", "no-model", "no-json"],
)
def test_a_service_that_does_not_name_its_model_is_refused(handler: Handler, words: str) -> None:
    with pytest.raises(ReplayError) as refused:
        card("http://127.0.0.1:9", httpx.MockTransport(handler))
    assert str(refused.value).startswith(f"http://127.0.0.1:9 does not {words}")
