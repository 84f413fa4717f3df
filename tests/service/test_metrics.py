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
    return {name.removeprefix("tallyglass_"): float(value) for name, value in pairs}


def added(before: Figures, after: Figures) -> Figures:
    """What was counted meanwhile, without the buckets and what changes by itself."""
    changes = {name: value - before.get(name, 0.0) for name, value in after.items()}
    passing = ("_bucket", "process_resident", "prefix_cache_bytes", "heartbeat_age")
    return {name: value for name, value in changes.items() if value and not any(part in name for part in passing)}


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
    assert change.pop(f'requests_total{{route="{path}",status="200",variant="fp32"}}') == 1
    assert change.pop('request_success_total{finished_reason="length"}') == 1
    assert change.pop("generation_tokens_total") == 1
    labels = f'{{route="{path}",status="200"}}'
    assert change.pop(f"e2e_request_latency_seconds_count{labels}") == 1
    total_s = change.pop(f"e2e_request_latency_seconds_sum{labels}")
    assert total_s == pytest.approx(timing["total_ms"] / 1000, abs=1e-9)
    for part in PARTS:
        assert change.pop(f"request_{part}_time_seconds_count") == 1
        seconds = change.pop(f"request_{part}_time_seconds_sum", 0.0)
        assert seconds == pytest.approx(timing[f"{part}_ms"] / 1000, abs=1e-9), part
    if service.name == "qwen_vl":
        assert change.pop("time_to_first_token_seconds_count") == 1
        assert timing["preprocess_ms"] / 1000 < change.pop("time_to_first_token_seconds_sum") < total_s
    for name, count in (("image_pixels", 224 * 160), ("request_batch_size", 1)):
        assert (change.pop(f"{name}_count"), change.pop(f"{name}_sum")) == (1, count)
    assert change.pop("prompt_tokens_total") > 0
    assert all("cache" in name for name in change), change


def test_a_refusal_is_counted_and_timed_by_its_status(service: Service, png: bytes) -> None:
    before = figures(service)
    refused = httpx.post(f"{service.url}/v1/chat/completions", json=conversation(png, n=3))
    assert refused.status_code == 422
    change = added(before, figures(service))
    labels = 'route="/v1/chat/completions",status="422"'
    assert 0 < change.pop(f"e2e_request_latency_seconds_sum{{{labels}}}") < refused.elapsed.total_seconds()
    assert change == {
        f'requests_total{{{labels},variant="fp32"}}': 1,
        f"e2e_request_latency_seconds_count{{{labels}}}": 1,
        f'requests_unanswered_total{{outcome="refused",reason="{refused.json()["error"]["code"]}"}}': 1,
    }


def test_tokens_are_timed_one_by_one_whether_they_are_streamed_or_not(qwen_vl: Service, png: bytes) -> None:
    for stream in (False, True):
        body = conversation(png, max_tokens=7, temperature=2, seed=20, stream=stream)
        before = figures(qwen_vl)
        httpx.post(f"{qwen_vl.url}/v1/chat/completions", json=body, timeout=60)
        change = added(before, figures(qwen_vl))
        tokens = change["generation_tokens_total"]
        assert tokens > 2
        assert change["inter_token_latency_seconds_count"] == tokens - 1
        first_s, rest_s = change["time_to_first_token_seconds_sum"], change["inter_token_latency_seconds_sum"]
        total_s = change['e2e_request_latency_seconds_sum{route="/v1/chat/completions",status="200"}']
        assert 0.5 * total_s < first_s + rest_s < total_s


def test_the_memory_of_each_process_is_its_own(service: Service) -> None:
    shown = {name: value for name, value in figures(service).items() if name.startswith("process_resident")}
    main = psutil.Process(service.process.pid)
    children = {child.pid: child.memory_info().rss for child in main.children()}
    sizes = {
        name: shown.pop(f'process_resident_memory_bytes{{process="{name}"}}') for name in ("main", "http", "worker")
    }
    queues = shown.popitem()
    assert (queues[0], shown) == ('process_resident_memory_bytes{process="queues"}', {})
    assert sizes["main"] == pytest.approx(main.memory_info().rss, rel=0.1)
    assert sizes["worker"] == pytest.approx(max(children.values()), rel=0.1)
    assert sizes["http"] + sizes["worker"] + queues[1] == pytest.approx(sum(children.values()), rel=0.1)
    assert len(set(sizes.values())) == 3


def test_openmetrics_is_given_to_those_who_ask_and_has_a_boundary_at_the_objective(
    service: Service, png: bytes
) -> None:
    httpx.post(f"{service.url}/v1/answer", json=question(png, max_new_tokens=1), timeout=60)
    told = httpx.get(f"{service.url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert told.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert told.text.endswith("# EOF\n")
    assert "_created" not in told.text
    assert "tallyglass_objective_seconds 0.35\n" in told.text
    labels = 'le="0.35",route="/v1/answer",status="200"'
    assert f"tallyglass_e2e_request_latency_seconds_bucket{{{labels}}}" in told.text


def test_what_runs_and_what_waits_is_told_apart(matcha: Service, png: bytes) -> None:
    body = question(png, max_patches=4096, max_new_tokens=1)
    names = ("num_requests_running", "num_requests_waiting")
    with ThreadPoolExecutor(3) as clients:
        asking = [clients.submit(httpx.post, f"{matcha.url}/v1/answer", json=body, timeout=60) for _ in range(3)]
        seen = set()
        while not all(request.done() for request in asking):
            now = figures(matcha)
            seen.add(tuple(now[name] for name in names))
    assert (1, 2) in seen
    assert max(running for running, _ in seen) == 1
    assert [figures(matcha)[name] for name in names] == [0, 0]


def test_times_are_those_of_a_clock(service: Service, png: bytes) -> None:
    response = httpx.post(f"{service.url}/v1/answer", json=question(png), timeout=60)
    timing = response.json()["timing"]
    waited_ms = response.elapsed.total_seconds() * 1000
    parts_ms = sum(timing[f"{part}_ms"] for part in PARTS)
    assert waited_ms / 50 < timing["total_ms"] <= waited_ms  # not seconds; a busy machine adds some
    assert timing["total_ms"] / 50 < parts_ms <= timing["total_ms"]


def test_who_waits_for_others_waits_as_long_as_they_take(matcha: Service, png: bytes) -> None:
    def ask(_: int) -> dict[str, float]:
        body = question(png, max_patches=4096, max_new_tokens=1)
        timing: dict[str, float] = client.post(f"{matcha.url}/v1/answer", json=body).json()["timing"]
        return timing

    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(3) as threads:  # one: to make one takes a while
        first, second, third = sorted(threads.map(ask, range(3)), key=lambda timing: timing["queue_ms"])
    assert first["queue_ms"] < first["inference_ms"]
    assert second["queue_ms"] > 0.8 * first["inference_ms"]
    assert third["queue_ms"] > 0.8 * (first["inference_ms"] + second["inference_ms"])
    for timing in (first, second, third):
        assert timing["queue_ms"] + timing["preprocess_ms"] + timing["inference_ms"] <= timing["total_ms"] + 1


def test_only_loopback_is_served(service: Service) -> None:
    main = psutil.Process(service.process.pid)
    sockets = [each for process in (main, *main.children(recursive=True)) for each in process.net_connections("inet")]
    assert {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
