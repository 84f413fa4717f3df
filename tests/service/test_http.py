"""HTTP as clients send it by default, down to the bytes: both services, on their real server."""

import base64
import gzip
import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from clients.launcher import Service


def sent(service: Service, head: str, body: bytes) -> tuple[int, bytes]:
    """Send a request as it is, in two pieces as a slow client would; return the status and the body."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port or 80), timeout=60) as connection:
        lines = f"{head}\r\nHost: service\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(lines.encode())
        connection.sendall(body)
        with connection.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            length = 0
            while (line := answer.readline().strip()) != b"":
                name, _, value = line.decode().partition(": ")
                length = int(value) if name.lower() == "content-length" else length
            return status, answer.read(length)


OFFERS = {
    "curl --http2": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    "Java": "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\nUpgrade: h2c",
    "a socket": "Connection: upgrade\r\nUpgrade: WebSocket",
    "nothing": "Accept: */*",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_a_request_that_offers_an_upgrade_keeps_its_body(service: Service, png: bytes, offer: str) -> None:
    fields = {"image": base64.b64encode(png).decode(), "question": "How many shapes are there?"}
    status, body = sent(service, f"POST /v1/answer HTTP/1.1\r\n{offer}", json.dumps(fields).encode())
    assert (status, bool(json.loads(body)["answer"])) == (200, True)


def test_head_has_the_headers_of_get_and_no_body(service: Service) -> None:
    status, _ = sent(service, "HEAD /v1/models HTTP/1.0", b"")
    assert status == 200
    head, get = httpx.head(f"{service.url}/v1/models"), httpx.get(f"{service.url}/v1/models")
    assert (head.headers["content-length"], head.content) == (get.headers["content-length"], b"")


def test_a_compressed_body_is_read(service: Service, png: bytes) -> None:
    fields = {"image": base64.encodebytes(png).decode(), "question": "How many shapes are there?"}
    body, headers = gzip.compress(json.dumps(fields).encode()), {"Content-Encoding": "GZIP"}
    answer = httpx.post(f"{service.url}/v1/answer", content=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    refused = httpx.post(f"{service.url}/v1/answer", content=body, headers={"Content-Encoding": "br"}, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (415, "unsupported_encoding")
