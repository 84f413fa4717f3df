"""The metrics of a running service, before and after requests, compared with the answers."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from clients.launcher import Service

Figures = dict[str, float]
PARTS = ("queue", "preprocess", "inference")


def figures(service: Service) -> Figures:
    lines = httpx.get(f"{service.url}/metrics").text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs if "_bucket" not in name and "_created" not in name}


def added(before: Figures, after: Figures) -> Figures:
    changes = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {name: value for name, value in changes.items() if value}


def question(png: bytes, **fields: Any) -> dict[str, Any]:
    return {"image": base64.b64encode(png).decode(), "question": "How many shapes are there?", **fields}


def conversation(png: bytes, **fields: Any) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "How many shapes are there?"}]
    return {"messages": [{"role": "user", "content": content}], **fields}


def told(response: httpx.Response) -> tuple[dict[str, float], int, str]:
    """Times, tokens and finish reason, in either response format."""
    if response.headers["content-type"].startswith("text/event-stream"):
        *_, end, sizes = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
        return end["timing"], sizes["usage"]["completion_tokens"], end["choices"][0]["finish_reason"]
    body = response.json()
    reason = body["finish_reason"] if "finish_reason" in body else body["choices"][0]["finish_reason"]
    return body["timing"], body["usage"]["completion_tokens"], reason


@pytest.mark.parametrize("form", ["answer", "chat", "stream"])
def test_one_answer_adds_what_it_says_of_itself_and_nothing_else(service: Service, png: bytes, form: str) -> None:
    path = "/v1/answer" if form == "answer" else "/v1/chat/completions"
    body = question(png, max_new_tokens=1) if form == "answer" else conversation(png, max_tokens=1)
    if form == "stream":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    before = figures(service)
    response = httpx.post(f"{service.url}{path}", json=body, timeout=60)
    change = added(before, figures(service))
    timing, tokens, reason = told(response)
    assert (tokens, reason) == (1, "length")
    assert change.pop(f'tallyglass_requests_total{{route="{path}",status="200"}}') == 1
    assert change.pop('tallyglass_completion_tokens_total{reason="length"}') == 1
    for part in (*PARTS, "request"):
        assert change.pop(f"tallyglass_{part}_seconds_count") == 1
        milliseconds = timing["total_ms" if part == "request" else f"{part}_ms"]
        seconds = change.pop(f"tallyglass_{part}_seconds_sum", 0.0)
        assert seconds == pytest.approx(milliseconds / 1000, abs=1e-9), part
    assert all("cache" in name for name in change), change


def test_times_are_those_of_a_clock(service: Service, png: bytes) -> None:
    response = httpx.post(f"{service.url}/v1/answer", json=question(png), timeout=60)
    timing = response.json()["timing"]
    waited_ms = response.elapsed.total_seconds() * 1000
    parts_ms = sum(timing[f"{part}_ms"] for part in PARTS)
    assert waited_ms / 50 < timing["total_ms"] <= waited_ms  # not seconds; a busy machine adds some
    assert timing["total_ms"] / 50 < parts_ms <= timing["total_ms"]


def test_who_waits_for_others_waits_as_long_as_they_take(matcha: Service, png: bytes) -> None:
    def ask(_: int) -> dict[str, float]:
        body = question(png, max_patches=2048, max_new_tokens=1)
        timing: dict[str, float] = httpx.post(f"{matcha.url}/v1/answer", json=body, timeout=60).json()["timing"]
        return timing

    with ThreadPoolExecutor(3) as clients:
        first, second, third = sorted(clients.map(ask, range(3)), key=lambda timing: timing["queue_ms"])
    assert first["queue_ms"] < first["inference_ms"]
    assert second["queue_ms"] > 0.8 * first["inference_ms"]
    assert third["queue_ms"] > 0.8 * (first["inference_ms"] + second["inference_ms"])
    for timing in (first, second, third):
        assert timing["queue_ms"] + timing["preprocess_ms"] + timing["inference_ms"] <= timing["total_ms"] + 1


def test_only_loopback_is_served(service: Service) -> None:
    main = psutil.Process(service.process.pid)
    sockets = [each for process in (main, *main.children(recursive=True)) for each in process.net_connections("inet")]
    assert {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
