"""Slow, silent and many clients, on a real socket: each is closed in time, and others are answered meanwhile."""

import json
import logging
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Response

from services.common.http.guards.connections import protocol
from services.common.http.routes import Routes
from tests.unit.common.http.serving import with_routes

Address = tuple[str, int]


@contextmanager
def served(app: FastAPI, routes: Routes) -> Iterator[Address]:
    """The app on a loopback port, with uvicorn as the service runs it."""
    listening = socket.create_server(("127.0.0.1", 0))
    http = protocol(routes.settings, routes.count_refusal)
    config = uvicorn.Config(app, http=http, log_config=None, timeout_keep_alive=60, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join()


LIMITS: dict[str, Any] = {"header_timeout_s": 1.5, "body_timeout_s": 3.0, "write_timeout_s": 1.5, "max_connections": 5}

SOON = 8.0
"""Seconds within which a limit of a few must show on a machine that does much else."""


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    app, routes = with_routes(**LIMITS)
    app.add_api_route("/large", lambda: Response(b"x" * 30_000_000))
    with served(app, routes) as address:
        yield address


def until_closed(connection: socket.socket) -> tuple[bytes, float]:
    """All that still comes, and after how many seconds it ended."""
    begun = time.monotonic()
    connection.settimeout(10)
    received = b""
    try:
        while piece := connection.recv(1 << 20):
            received += piece
    except ConnectionResetError:
        pass
    return received, time.monotonic() - begun


def dribble(connection: socket.socket, piece: bytes, stop: threading.Event) -> None:
    """Send a piece over and over, faster than any pause that is allowed."""
    while not stop.wait(0.1):
        try:
            connection.sendall(piece)
        except OSError:
            return


def slowly(address: Address, start: bytes, piece: bytes) -> tuple[bytes, float]:
    stop = threading.Event()
    with socket.create_connection(address) as connection:
        connection.sendall(start)
        thread = threading.Thread(target=dribble, args=(connection, piece, stop))
        thread.start()
        try:
            return until_closed(connection)
        finally:
            stop.set()
            thread.join()


def refusal(answer: bytes) -> tuple[int, str, bytes]:
    """Status, code and header of an error that closes its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]["code"], head


def unanswered(address: Address) -> Counter[str]:
    """What was counted as not answered so far, by outcome and reason."""
    lines = httpx.get(f"http://127.0.0.1:{address[1]}/metrics").text.splitlines()
    counts = [line.rsplit(" ", 1) for line in lines if line.startswith("tallyglass_requests_unanswered_total{")]
    return Counter({"/".join(re.findall('"(.*?)"', labels)): int(float(count)) for labels, count in counts})


POST = b"POST /v1/answer HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
GET = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_header_has_a_time_limit_however_its_bytes_come(address: Address) -> None:
    before = unanswered(address)
    for piece in (b"", b"a"):
        answer, took = slowly(address, b"GET /live HTTP/1.1\r\nX: ", piece)
        assert refusal(answer)[:2] == (408, "request_timeout")
        assert 1.4 < took < SOON
    answer, took = slowly(address, b"", b"")
    assert (answer, 1.4 < took < SOON) == (b"", True), "who sends nothing is told nothing"
    assert unanswered(address) - before == {"refused/request_timeout": 2}, "and not counted"


def test_a_connection_that_is_kept_alive_has_the_same_limit_again(address: Address) -> None:
    with socket.create_connection(address) as connection:
        for _ in range(3):
            connection.sendall(GET)
            answer = b""
            while b'{"status":"live"}' not in answer:  # it comes in one piece or two
                answer += connection.recv(1 << 16)
            time.sleep(0.8)
        answer, took = until_closed(connection)
    assert (answer, took < SOON) == (b"", True)


def test_a_body_has_a_time_limit_and_may_not_pause(address: Address, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = unanswered(address)
    answer, took = slowly(address, POST, b"")
    assert refusal(answer)[:2] == (408, "request_timeout")
    assert b"stopped coming for 1.5 s" in answer
    assert b"x-request-id" in answer.lower()
    assert 1.4 < took < SOON
    answer, took = slowly(address, POST, b" ")
    assert refusal(answer)[:2] == (408, "request_timeout")
    assert b"was not complete within 3 s" in answer
    assert 2.9 < took < SOON
    assert unanswered(address) - before == {"refused/request_timeout": 2}
    lines = [vars(record) for record in caplog.records if record.message == "request"]
    assert [(line["route"], line["status"], line["code"]) for line in lines] == [
        ("/v1/answer", 408, "request_timeout")
    ] * 2


def test_a_body_that_goes_on_after_its_answer_is_not_waited_for(address: Address) -> None:
    answer, took = slowly(address, POST.replace(b"/v1/answer", b"/nowhere"), b" ")
    assert answer.startswith(b"HTTP/1.1 404")
    assert 1.4 < took < SOON


def test_an_honest_slow_client_is_answered(address: Address) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(8):
            yield b" " * 1_000_000
            time.sleep(0.09)

    answer = httpx.post(f"http://127.0.0.1:{address[1]}/v1/answer", content=body())
    assert answer.json()["error"]["code"] == "malformed_request", "the whole body was read"


def test_a_client_that_does_not_read_is_let_go(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(GET.replace(b"/live", b"/large"))
        time.sleep(3)
        received, _ = until_closed(connection)
    assert len(received) < 30_000_000
    slow = httpx.get(f"http://127.0.0.1:{address[1]}/large")
    assert len(slow.content) == 30_000_000


def test_of_many_idle_connections_the_oldest_makes_room(address: Address) -> None:
    with ExitStack() as stack:
        begun = time.monotonic()
        idle = [stack.enter_context(socket.create_connection(address)) for _ in range(300)]
        for connection in idle[-5:]:
            connection.sendall(b"G")
        with socket.create_connection(address) as newest:
            newest.sendall(GET)
            assert newest.recv(1 << 16).startswith(b"HTTP/1.1 200")
        for connection in idle:
            until_closed(connection)
        assert time.monotonic() - begun < SOON


def test_when_every_connection_has_a_request_the_next_is_refused_with_503(address: Address) -> None:
    before = unanswered(address)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(address)).sendall(POST)
        time.sleep(0.1)
        with socket.create_connection(address) as sixth:
            sixth.sendall(POST + b" " * 50)
            status, code, head = refusal(until_closed(sixth)[0])
        assert (status, code, b"retry-after: 1" in head.lower()) == (503, "too_many_connections", True)
    time.sleep(0.1)
    assert (unanswered(address) - before)["refused/too_many_connections"] == 1


def test_what_is_not_http_is_refused_in_the_envelope(address: Address) -> None:
    before = unanswered(address)
    for sent, status, code in (
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "malformed_request"),
        (b"GET /live HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000, 431, "header_too_large"),
    ):
        with socket.create_connection(address) as connection:
            connection.sendall(sent)
            assert refusal(until_closed(connection)[0])[:2] == (status, code)
    assert unanswered(address) - before == {"refused/malformed_request": 1, "refused/header_too_large": 1}


def test_a_request_that_is_on_its_way_when_the_server_ends_is_answered() -> None:
    """On a connection that had just been made, and on one that was kept; the port is closed by then."""
    get = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    app, routes = with_routes(**LIMITS)
    with ExitStack() as server, ExitStack() as clients:
        address = server.enter_context(served(app, routes))
        fresh, kept, silent = (clients.enter_context(socket.create_connection(address)) for _ in range(3))
        kept.sendall(get)
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 200")
        ending = threading.Thread(target=server.close)
        ending.start()
        with pytest.raises(ConnectionError):  # noqa: PT012 until the port is closed
            while True:
                socket.create_connection(address).close()
        for connection in (fresh, kept):
            connection.sendall(get)
        for connection in (fresh, kept):
            received, _ = until_closed(connection)
            assert b"HTTP/1.1 200" in received
        assert until_closed(silent)[0] == b""
        ending.join()
