"""Every path but the probes needs a key; the keys follow their file."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI

from services.common.security.api_keys import KeyFile, KeyFileError
from tests.unit.common.http.serving import Worker, installed, send

ONE, OTHER = "first-key-0123456789", "second/key+abcdef=="
BODY = {"messages": [{"role": "user", "content": "How many?"}]}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# of the dashboard\n{ONE}  # until spring\n\n{OTHER}\n")
    return path


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_request_needs_one_of_the_keys(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    app = installed(worker, api_keys_file=keys)
    wrong: list[tuple[Any, str]] = [
        ({}, "this server needs an API key"),
        (bearer(ONE[:-1]), "is not one of this server's"),
        (bearer(ONE + "0"), "is not one of"),
        (bearer(""), "is not one of"),
        ({"Authorization": b"Bearer " + b"\xe9" * 20}, "is not one of"),
        ({"Authorization": ONE}, "cannot be read"),
        ({"Authorization": f"Basic {ONE}"}, "cannot be read"),
        ([("Authorization", f"Bearer {ONE}"), ("Authorization", f"Bearer {ONE}")], "cannot be read"),
        ({"X-API-Key": ONE}, "needs an API key"),
    ]
    with caplog.at_level(logging.DEBUG):
        for headers, message in wrong:
            refused = send(app, "POST", "/v1/chat/completions", json=BODY, headers=headers)
            error = refused.json()["error"]
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
            assert message in error["message"]
        assert not worker.jobs
        for key in (bearer(ONE), bearer(OTHER), {"Authorization": f"bearer  {ONE}"}):
            assert send(app, "POST", "/v1/chat/completions", json=BODY, headers=key).status_code == 200
    assert len(worker.jobs) == 3
    assert ONE[:-1] not in str([record.__dict__ for record in caplog.records if record.name.startswith("services")])


def test_a_body_is_not_read_without_a_key(keys: Path) -> None:
    read = []

    async def body() -> Any:
        read.append(1)
        yield b"{}"

    assert send(installed(api_keys_file=keys), "POST", "/v1/answer", content=body()).status_code == 401
    assert len(read) <= 1, "httpx itself takes the first piece"


SPELLINGS = [
    "//v1/models", "/v1/models/", "/v1/%6dodels", "/live/../v1/models", "/live/%2e%2e/v1/models", "/live/", "//live",
    "/LIVE", "/live;a", "/docs/static/../../v1/models", "/docs/static/%2e%2e/%2e%2e/v1/models", "/v1/models?/live",
    "/live%00", "/ready%2f", "http://desk/live", "/", "/version", "/metrics", "/docs", "/openapi.json", "/nowhere",
]  # fmt: skip


def status(app: FastAPI, method: str, target: str) -> int:
    """The answer's status to a request target as it is on the wire, which the server under an app only unquotes."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def sent(message: Any) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    path, _, query = target.partition("?")
    scope = {"type": "http", "method": method, "headers": [], "root_path": "", "raw_path": path.encode()}
    asyncio.run(app({**scope, "path": unquote(path), "query_string": query.encode()}, receive, sent))
    return statuses[0]


def test_only_the_probes_are_open_in_whatever_spelling(keys: Path) -> None:
    app, chosen = installed(api_keys_file=keys), installed(api_keys_file=keys, open_metrics=True, open_docs=True)
    for path in ("/live", "/ready", "/health", "/healthz"):
        assert send(app, "GET", path).status_code == 200
        assert send(app, "HEAD", path).status_code == 200
    for path in SPELLINGS:
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            assert status(app, method, path) == 401, (method, path)
    for path in ("/metrics", "/docs", "/openapi.json", "/docs/static/favicon.png"):
        assert send(chosen, "GET", path).status_code == 200, path
    for path in SPELLINGS[:-5]:
        assert status(chosen, "GET", path) in {401, 404}, path


def test_another_origin_asks_without_a_key_whether_it_may_and_reads_its_refusal(keys: Path) -> None:
    app = installed(api_keys_file=keys, cors_origins="https://a.example")
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    named = {**asked, "Access-Control-Request-Headers": "authorization"}
    assert send(app, "OPTIONS", "/v1/answer", headers=named).status_code == 200
    refused = send(app, "POST", "/v1/answer", headers={"Origin": "https://a.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://a.example")


def test_keys_follow_their_file_and_a_broken_file_leaves_them(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = KeyFile(keys)
    new = keys.with_name("new")
    new.write_text("third-key-0123456789\n")
    new.replace(keys)
    assert (held.holds("third-key-0123456789"), held.holds(ONE)) == (True, False)
    for spoil in (lambda: keys.write_text("# none\n"), lambda: keys.write_text("short"), keys.unlink):
        caplog.clear()
        spoil()
        assert held.holds("third-key-0123456789")
        assert held.holds("third-key-0123456789")
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "short" not in caplog.text
    keys.write_text(ONE)
    assert held.holds(ONE)


def test_a_secret_that_kubernetes_swaps_is_read_anew(tmp_path: Path) -> None:
    """The file is a link to a link; only the inner one changes, to a file of the same size."""
    for name, key in (("..one", ONE), ("..two", ONE.replace("first", "other"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(key)
        os.utime(tmp_path / name / "keys", (1, 1))
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "keys").symlink_to("..data/keys")
    held = KeyFile(tmp_path / "keys")
    assert held.holds(ONE)
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert not held.holds(ONE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no key: write one a line"),
        (b"# none\n\n", "has no key"),
        (b"a-good-key-123456\nshort-key-12345\n", "line 2 of .* is not a key"),
        (b"two words are no key here", "line 1 of .* is not a key"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_without_usable_keys_is_refused_without_showing_them(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyFileError, match=reason) as caught:
        KeyFile(path)
    assert "short-key" not in str(caught.value)
