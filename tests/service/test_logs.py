"""The log of a running service: one line for each request, joined to the client's and to the worker's."""

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.launcher import running

pytestmark = pytest.mark.slow

QUESTION = "What is my diagnosis?"


def test_each_request_leaves_one_line_and_nothing_of_its_content(tmp_path: Path, png: bytes) -> None:
    image = base64.b64encode(png).decode()
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/answer", {"image": image, "question": QUESTION}),
        ("/v1/answer", {"image": image, "question": QUESTION, "max_patches": 10**6}),
        ("/v1/answer", {"image": image, "question": QUESTION, "lens": {}}),
        ("/v2/answer", {"image": image, "question": QUESTION}),
    ]
    with running("matcha", tmp_path / "log", "--threads", "1") as service:
        answers = [
            httpx.post(f"{service.url}{path}", json=body, headers={"X-Request-Id": f"order {number}"}, timeout=60)
            for number, (path, body) in enumerate(asked)
        ]
        forged = httpx.get(f"{service.url}/%0A%7B%22message%22:%22request%22%7D", headers={"X-Request-Id": "a\x1bb"})
    assert [given.status_code for given in answers] == [200, 422, 422, 404]
    assert [given.headers["x-request-id"] for given in answers] == [f"order {number}" for number in range(4)]
    text = (tmp_path / "log").read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line["message"] == "request"]
    told = [(line["id"], line["route"], line["status"], line.get("code")) for line in lines]
    assert told == [
        ("order 0", "/v1/answer", 200, None),
        ("order 1", "/v1/answer", 422, "invalid_value"),
        ("order 2", "/v1/answer", 422, answers[2].json()["error"]["code"]),
        ("order 3", "/v2/answer", 404, "http_error"),
        (forged.headers["x-request-id"], '/\n{"message":"request"}', 404, "http_error"),
    ]
    timing = answers[0].json()["timing"]
    assert lines[0]["job"] == answers[0].json()["id"]
    for part in ("queue_ms", "preprocess_ms", "inference_ms"):
        assert lines[0][part] == pytest.approx(timing[part], abs=0.051)
    assert lines[0]["total_ms"] >= timing["total_ms"] - 0.051
    assert "diagnosis" not in text
    assert image[:32] not in text


def test_on_a_terminal_the_log_is_text() -> None:
    ours, theirs = os.openpty()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "services.matcha", "--port", str(taken.getsockname()[1])]
        assert subprocess.run(command, stderr=theirs, timeout=60, check=False).returncode == 1
    os.close(theirs)
    line = os.read(ours, 4096).decode()
    os.close(ours)
    assert " ERROR   cannot listen on 127.0.0.1 port" in line
    assert not line.startswith("{")
