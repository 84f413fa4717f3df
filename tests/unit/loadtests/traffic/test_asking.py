"""One request over HTTP, to a server that sends exactly what a test specifies."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import gevent
import pytest
from geventhttpclient import HTTPClient

from clients.replay.run.outcomes import Failure, FailureKind
from loadtests.results.outcomes import NOT_SENT
from loadtests.traffic import asking
from loadtests.traffic.asking import Asker
from tests.unit.loadtests.making import ANSWER, an_ask


class Server:
    """Answers every request on a loopback port with the same bytes, late or slowly, and none before so many have come
    ``together``; keeps what it was sent.
    """

    def __init__(self, reply: bytes, pause_s: float = 0, per_byte_s: float = 0, together: int = 1) -> None:
        self._reply, self._pause_s, self._per_byte_s = reply, pause_s, per_byte_s
        self._all_here = threading.Barrier(together)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Stop accepting connections."""
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
            while len(body) < length:
                body += connection.recv(1 << 16)
            self.requests.append(head + b"\r\n\r\n" + body)
            self._all_here.wait()
            time.sleep(self._pause_s)
            for piece in [bytes([byte]) for byte in self._reply] if self._per_byte_s else [self._reply]:
                connection.sendall(piece)
                time.sleep(self._per_byte_s)


def _http(status: str, content: bytes, length: int | None = None) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content) if length is None else length}\r\nConnection: close"
    return f"{head}\r\n\r\n".encode() + content


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers that stop with the test."""
    servers: list[Server] = []

    def start(reply: bytes, pause_s: float = 0, per_byte_s: float = 0, together: int = 1) -> Server:
        servers.append(Server(reply, pause_s, per_byte_s, together))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_a_question_is_posted_with_its_digest_and_its_answer_read(serve: Callable[..., Server]) -> None:
    server = serve(_http("200 OK", ANSWER.model_dump_json().encode()))
    assert Asker(f"{server.url}/behind/a/BOX/", timeout_s=5).ask(an_ask()) == ANSWER
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert first == "POST /behind/a/BOX/v1/answer HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert headers["x-image-digest"] == an_ask().image_sha256
    assert body == an_ask().body


def test_the_key_of_the_environment_is_sent(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(_http("200 OK", ANSWER.model_dump_json().encode()))
    Asker(server.url, timeout_s=5).ask(an_ask())
    monkeypatch.setenv("TALLYGLASS_API_KEY", "some-key")
    Asker(server.url, timeout_s=5).ask(an_ask())
    sent = [b"\r\nauthorization: bearer some-key\r\n" in request.lower() for request in server.requests]
    assert sent == [False, True]


def test_a_plain_address_needs_no_path(serve: Callable[..., Server]) -> None:
    server = serve(_http("200 OK", ANSWER.model_dump_json().encode()))
    Asker(server.url, timeout_s=5).ask(an_ask())
    assert server.requests[0].startswith(b"POST /v1/answer HTTP/1.1")


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (
            _http("429 Busy", json.dumps({"error": {"message": "full", "type": "t", "code": "queue_full"}}).encode()),
            Failure(kind=FailureKind.HTTP_STATUS, message="full", status=429, code="queue_full"),
        ),
        (
            _http("502 Bad Gateway", b"<html>\xff" + b"x" * 300),
            Failure(kind=FailureKind.HTTP_STATUS, message="<html>\ufffd" + "x" * 193, status=502),
        ),
        (
            _http("201 Created", ANSWER.model_dump_json().encode()),
            Failure(kind=FailureKind.HTTP_STATUS, message=ANSWER.model_dump_json()[:200], status=201),
        ),
        (
            _http("200 OK", ANSWER.model_copy(update={"answer": 7}).model_dump_json(warnings=False).encode()),
            Failure(kind=FailureKind.BAD_REPLY, message="answer: Input should be a valid string", status=200),
        ),
        (
            _http("200 OK", json.dumps({**ANSWER.model_dump(), "timing": {"queue_ms": None}}).encode()),
            Failure(kind=FailureKind.BAD_REPLY, message="timing.queue_ms: Input should be a valid number", status=200),
        ),
    ],
    ids=["refused", "a proxy's page", "another success", "a wrong field", "a wrong field of a field"],
)
def test_what_is_no_answer_is_a_failure_of_its_own_kind(
    serve: Callable[..., Server], reply: bytes, failure: Failure
) -> None:
    assert Asker(serve(reply).url, timeout_s=5).ask(an_ask()) == failure


def test_a_reply_that_is_not_json_is_a_bad_reply(serve: Callable[..., Server]) -> None:
    reply = Asker(serve(_http("200 OK", b"hello")).url, timeout_s=5).ask(an_ask())
    assert isinstance(reply, Failure)
    assert (reply.kind, reply.status) == (FailureKind.BAD_REPLY, 200)
    assert reply.message.startswith("body: Invalid JSON")


def test_an_answer_that_is_cut_short_is_a_bad_reply(serve: Callable[..., Server]) -> None:
    reply = Asker(serve(_http("200 OK", b'{"id"', length=500)).url, timeout_s=5).ask(an_ask())
    assert isinstance(reply, Failure)
    assert (reply.kind, reply.status) == (FailureKind.BAD_REPLY, 200)
    assert reply.message.startswith("cut short: ")


@pytest.mark.parametrize("words", [b"", b"no HTTP at all\r\n\r\n"], ids=["closed", "another protocol"])
def test_a_connection_that_says_nothing_of_use_is_a_failed_one(serve: Callable[..., Server], words: bytes) -> None:
    reply = Asker(serve(words).url, timeout_s=5).ask(an_ask())
    assert isinstance(reply, Failure)
    assert (reply.kind, reply.status, reply.code) == (FailureKind.CONNECTION, None, None)
    assert reply.message


def test_where_nobody_listens_the_connection_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    reply = Asker(f"http://127.0.0.1:{port}", timeout_s=5).ask(an_ask())
    assert isinstance(reply, Failure)
    assert reply.kind is FailureKind.CONNECTION
    assert "refused" in reply.message


def test_an_error_without_words_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(HTTPClient, "post", broken)
    reply = Asker("http://127.0.0.1:1", timeout_s=5).ask(an_ask())
    assert reply == Failure(kind=FailureKind.CONNECTION, message="BrokenPipeError")


def test_no_request_waits_for_the_answer_of_another(serve: Callable[..., Server]) -> None:
    server = serve(_http("200 OK", ANSWER.model_dump_json().encode()), together=3)
    asker = Asker(server.url, timeout_s=5)
    asked = [gevent.spawn(asker.ask, an_ask()) for _ in range(3)]
    assert [greenlet.get() for greenlet in asked] == [ANSWER] * 3


def test_a_wait_may_be_longer_than_the_librarys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections give up after a minute by themselves."""
    given: dict[str, float] = {}
    monkeypatch.setattr(HTTPClient, "from_url", lambda _, **options: given.update(options))
    Asker("http://127.0.0.1:1", timeout_s=75)
    assert given["connection_timeout"] >= 75
    assert given["network_timeout"] >= 75


def test_an_answer_that_is_late_is_given_up(serve: Callable[..., Server]) -> None:
    server = serve(_http("200 OK", ANSWER.model_dump_json().encode()), pause_s=1)
    reply = Asker(server.url, timeout_s=0.2).ask(an_ask())
    assert reply == Failure(kind=FailureKind.TIMEOUT, message="no answer within 0.2 s")


def test_an_answer_that_trickles_in_is_given_up_too(serve: Callable[..., Server]) -> None:
    """The timeout is for the complete answer: no single pause exceeds it."""
    server = serve(_http("200 OK", ANSWER.model_dump_json().encode()), per_byte_s=0.02)
    reply = Asker(server.url, timeout_s=0.4).ask(an_ask())
    assert reply == Failure(kind=FailureKind.TIMEOUT, message="no answer within 0.4 s")


def test_requests_beyond_what_a_process_can_hold_are_not_sent_and_its_places_come_free_again(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MAX_IN_FLIGHT", 2)
    server = serve(_http("500 Broken", b"{}"), pause_s=0.1)
    asker = Asker(server.url, timeout_s=5)
    for _ in range(2):  # failed requests free their slots
        asked = [gevent.spawn(asker.ask, an_ask()) for _ in range(4)]
        replies = [reply for greenlet in asked if isinstance(reply := greenlet.get(), Failure)]
        assert [reply.code for reply in replies] == [None, None, NOT_SENT, NOT_SENT]
        assert [reply.status for reply in replies] == [500, 500, None, None]
        assert replies[2].kind is FailureKind.CONNECTION
        assert replies[2].message.startswith("not sent: 2 requests of this process")
    assert len(server.requests) == 4


def test_a_process_holds_fewer_requests_than_it_has_files() -> None:
    """Besides its connections, others are open: the run folder, logs, Locust's."""
    assert 500 <= asking.MAX_IN_FLIGHT < 1024 - 64
