"""Images are fetched from allowed hosts on the public internet, and from nowhere else.

A server on loopback plays the hosts: the resolver and the network under the fetching are the tests' own, and the checks
between them are not.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpcore
import pytest
import uvicorn
from PIL import Image

from services.common.http.guards.addresses import is_public
from services.common.http.guards.remote_images import RemoteImages
from tests.certificates import self_signed
from tests.images import encode
from tests.unit.common.http.serving import Desk, Settings

PUBLIC, OTHER = "93.184.216.34", "2606:2800:21f:cb07::1"
PNG = encode(Image.new("RGB", (60, 45)))
HOSTS = "images.example, *.cdn.example, port.example:8443"


async def host(scope: Any, _: Any, send: Any) -> None:
    """The hosts' images and redirects, by path."""
    path, status, headers, body = scope["path"], 200, [], b"%s is no image" % scope["path"].encode()
    assert dict(scope["headers"])[b"host"].split(b":")[0].endswith(b".example")
    if path.startswith("/to/"):
        status, headers = 302, [(b"location", scope["query_string"].replace(b"%5C", b"\\"))]
    elif path == "/png":
        body = PNG
    elif path == "/404":
        status = 404
    elif path == "/slow":
        await asyncio.sleep(2)
    elif path == "/large":
        body = b"x" * 5000
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, ssl.SSLContext]]:
    names = ("images.example", "a.cdn.example", "port.example", "private.cdn.example", "mixed.cdn.example")
    cert, key = self_signed(tmp_path_factory.mktemp("tls"), *names)
    config = uvicorn.Config(
        host, port=0, ssl_certfile=cert, ssl_keyfile=key, log_config=None, lifespan="off", server_header=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1], ssl.create_default_context(cafile=cert)
    server.should_exit = True
    thread.join()


class Internet(httpcore.AnyIOBackend):
    """A resolver and a network in which every address is the loopback server."""

    def __init__(self, port: int, **names: list[list[str]]) -> None:
        self.connected: list[tuple[str, int]] = []
        self.resolved: list[str] = []
        self._port = port
        self._names = {name.replace("_", "."): answers for name, answers in names.items()}

    async def resolve(self, name: str, _: int) -> list[str]:
        self.resolved.append(name)
        answers = self._names.get(name, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port))
        return await super().connect_tcp("127.0.0.1", self._port)


class Site:
    """A service that fetches from this internet."""

    def __init__(
        self, loopback: tuple[int, ssl.SSLContext], names: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        port, context = loopback
        self.internet = Internet(port, **(names or {}))
        self.desk = Desk.of_qwen_vl(**settings)
        chosen = Settings(image_hosts=HOSTS, **settings)
        self.desk.routes.remote = RemoteImages(chosen, self.internet.resolve, self.internet, context)

    def refused(self, url: str) -> tuple[int, str, str]:
        """The refusal of a URL, by both routes."""
        content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": url}]
        chat = self.desk.chat({"role": "user", "content": content})
        answer = self.desk.answer(image=url, question="?")
        first, second = answer.json()["error"], chat.json()["error"]
        assert (first["param"], second["param"]) == ("image", "messages.0.content.1.image_url")
        assert second["message"] == first["message"].replace("'image'", "'messages.0.content.1.image_url'")
        assert (chat.status_code, second["code"]) == (answer.status_code, first["code"])
        assert not self.desk.worker.jobs
        return answer.status_code, first["code"], first["message"]


def test_an_image_is_fetched_from_the_address_that_was_checked(loopback: tuple[int, ssl.SSLContext]) -> None:
    site = Site(loopback, {"images_example": [[OTHER, PUBLIC], ["127.0.0.1"]]})
    url = "https://images.example/png?size=2"
    answered = site.desk.answer(image=f" {url} ", question="How many?")
    assert answered.status_code == 200, answered.text
    assert site.desk.worker.jobs[0].request.image == PNG
    assert site.internet.resolved == ["images.example"], "a second answer could be another"
    assert site.internet.connected == [(OTHER, 443)]
    for image in (
        {"url": "https://A.cdn.example/png", "detail": "low"},
        "https://port.example:8443/to/x?https://images.example/png",
    ):
        site = Site(loopback)
        parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": image}]
        answered = site.desk.chat({"role": "user", "content": parts})
        assert answered.status_code == 200, answered.text
        assert site.desk.worker.jobs[0].request.images[0] == PNG


def test_nothing_is_fetched_unless_hosts_are_named(loopback: tuple[int, ssl.SSLContext]) -> None:
    site = Site(loopback)
    site.desk.routes.remote = None
    assert "images are not fetched from URLs" in site.refused("https://images.example/png")[2]
    assert Desk.of_matcha().routes.remote is None


def test_nothing_is_fetched_for_a_request_that_is_refused_anyway(loopback: tuple[int, ssl.SSLContext]) -> None:
    site = Site(loopback)
    assert site.desk.answer(image="https://images.example/png").json()["error"]["param"] == "question"
    assert not site.internet.resolved


NOT_ALLOWED = [
    "https://other.example/png", "https://images.example:8443/png", "https://port.example/png", "https://cdn.example/png",
    "https://evilcdn.example/png", "https://images.example./png", "https://localhost/", "https://127.0.0.1/",
    "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
    "https://169.254.169.254/latest/meta-data/", "https://images.example%2f@127.0.0.1/", "https://127.0.0.1#.cdn.example/",
    "https://127.0.0.1?.cdn.example/", "https:images.example/png", "https:///images.example/png",
]  # fmt: skip
UNSAFE = [
    "http://images.example/png", "HTTP://images.example/png", "https://user@images.example/", "https://u:p@images.example/",
    "https://images.example\\@127.0.0.1/", "https://images.example/a b", "https://images.example/\r\nHost: a",
    "https://images.example/\x00", "https://images.example:99999999/", "https://[images.example/",
]  # fmt: skip


def test_what_is_not_an_allowed_https_url_is_refused_before_its_name_is_looked_up(
    loopback: tuple[int, ssl.SSLContext],
) -> None:
    site = Site(loopback)
    for url in [*NOT_ALLOWED, *UNSAFE]:
        status, code, message = site.refused(url)
        assert (status, code) == (422, "image_not_fetched"), url
        assert "127.0.0.1" not in message
    for url in ("file:///etc/passwd", "ftp://images.example/png", "gopher://images.example/"):
        assert "is a URL, and images are not fetched" in site.refused(url)[2]
    assert (site.internet.resolved, site.internet.connected) == ([], [])


PRIVATE = [
    "127.0.0.1", "10.0.0.7", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104 data
    "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::5db8:d822", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "100::1",
]  # fmt: skip


def test_public_addresses_are_those_of_the_internet() -> None:
    assert [address for address in PRIVATE if is_public(address)] == []
    for address in (PUBLIC, OTHER, "8.8.8.8", "64:ff9b::5db8:d822"):
        assert is_public(address), address


def test_a_host_with_any_address_that_is_not_public_is_refused(loopback: tuple[int, ssl.SSLContext]) -> None:
    for addresses in (["10.0.0.7"], [PUBLIC, "127.0.0.1"], ["::1", OTHER], []):
        site = Site(loopback, {"images_example": [addresses]})
        status, code, message = site.refused("https://images.example/png")
        assert (status, code) == (422, "image_not_fetched")
        assert message == "'image' cannot be fetched: the host images.example is not on the public internet"
        assert site.internet.connected == []


def test_every_redirect_is_checked_as_the_first_url_is(loopback: tuple[int, ssl.SSLContext]) -> None:
    names = {"private_cdn_example": [["10.0.0.7"]], "mixed_cdn_example": [[PUBLIC, "::1"]]}
    for to, reason in (
        ("https://other.example/png", "does not fetch images from"),
        ("//other.example/png", "does not fetch images from"),
        ("https://169.254.169.254/", "does not fetch images from"),
        ("http://images.example/png", "must be a URL with https://"),
        ("file:///etc/passwd", "must be a URL with https://"),
        ("https://private.cdn.example/png", "is not on the public internet"),
        ("https://mixed.cdn.example/png", "is not on the public internet"),
        ("https://images.example%5C@127.0.0.1/", "a backslash"),
        ("/to/again?/to/again?/to/again", "redirected more than 3 times"),
    ):
        site = Site(loopback, names)
        status, code, message = site.refused(f"https://images.example/to/a?{to}")
        assert (status, code, reason in message) == (422, "image_not_fetched", True), message
        assert {address for address, _ in site.internet.connected} == {PUBLIC}


def test_bytes_time_and_what_a_host_answers_are_bounded(loopback: tuple[int, ssl.SSLContext]) -> None:
    site = Site(loopback, max_image_bytes=4096)
    assert site.refused("https://images.example/large") == (
        413, "too_large", "'image' has more than 4096 bytes, which is the most: scale it down",
    )  # fmt: skip
    assert site.refused("https://images.example/404")[2] == "'image' cannot be fetched: images.example answers with 404"
    assert site.refused("https://images.example/text")[:2] == (415, "unsupported_image")
    begun = time.monotonic()
    slow = Site(loopback, image_timeout_s=0.3).refused("https://images.example/slow")
    assert slow[2] == "'image' was not fetched within 0.3 s: send the bytes instead"
    assert time.monotonic() - begun < 5
    site = Site(loopback)
    parts = [{"type": "image_url", "image_url": f"https://images.example/{at}"} for at in range(17)]
    many = site.desk.chat({"role": "user", "content": [{"type": "text", "text": "?"}, *parts]})
    assert (many.status_code, "at most 16" in many.text, site.internet.connected) == (422, True, [])


def test_a_certificate_of_another_name_is_refused(loopback: tuple[int, ssl.SSLContext]) -> None:
    message = Site(loopback).refused("https://other.cdn.example/png")[2]
    assert message == "'image' cannot be fetched: other.cdn.example does not answer over HTTPS as it should"
