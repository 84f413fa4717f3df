"""What one request adds to the metrics; dashboards and alerts depend on their names and units."""

import os
import re
from typing import Any

import psutil
import pytest
from PIL import Image

from services.common.http.routes import RequestTypes, Routes
from services.common.telemetry.metrics import Metrics
from services.wire.answer import QwenVLRequest, Usage
from services.wire.chat import QwenVLChat
from services.wire.errors import DeadlineError
from services.wire.lens import LensTrace
from tests.images import encode
from tests.unit.common.http.serving import CARD, Answering, Desk, Settings, Worker, answer, b64, reading, turn

ROUTES: dict[str, dict[str, Any]] = {
    "/v1/answer": {"image": b64(encode(Image.new("RGB", (7, 5)))), "question": "How many?"},
    "/v1/chat/completions": {"messages": [turn("How many?")]},
}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)
BATCHES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
E2E = "tallyglass_e2e_request_latency_seconds"


def shown(metrics: Metrics, accept: str = "") -> str:
    return metrics.exposition(accept)[0].decode()


def of_one_answer(**changes: Any) -> str:
    metrics = Metrics()
    metrics.answered(answer(**changes), 100.0)
    return shown(metrics)


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("request_queue_time_seconds", 0.04, SECONDS),
        ("request_preprocess_time_seconds", 0.3, SECONDS),
        ("request_inference_time_seconds", 2.0, SECONDS),
        ("time_to_first_token_seconds", 7.0, SECONDS),
        ("request_batch_size", 3.0, BATCHES),
    ],
)
def test_each_figure_of_an_answer_is_counted_under_its_name(name: str, value: float, bounds: tuple[float, ...]) -> None:
    told = of_one_answer(token_times_s=(107.0,), batch_size=3)
    name = f"tallyglass_{name}"
    assert reading(told, f"{name}_sum") == pytest.approx(value)
    assert reading(told, f"{name}_count") == 1
    within = {bound: reading(told, f"{name}_bucket", le=str(bound)) for bound in bounds}
    assert within == {bound: float(value <= bound) for bound in bounds}
    assert told.count(f"{name}_bucket{{") == len(bounds) + 1, "and the one without a bound"


def test_the_times_between_tokens_are_counted_each() -> None:
    told = of_one_answer(token_times_s=(107.0, 107.02, 107.1, 109.1))
    name = "tallyglass_inter_token_latency_seconds"
    assert reading(told, f"{name}_count") == 3
    assert reading(told, f"{name}_sum") == pytest.approx(2.1)
    within = [reading(told, f"{name}_bucket", le=str(bound)) for bound in TOKEN_SECONDS]
    assert within == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3]
    unknown = of_one_answer()
    assert reading(unknown, "tallyglass_time_to_first_token_seconds_count") == 0, "a worker that does not know"
    assert reading(unknown, f"{name}_count") == 0


def test_tokens_and_ends_of_answers_are_counted() -> None:
    metrics = Metrics()
    usage = Usage(image_tokens=23, prompt_tokens=29, completion_tokens=9, cached_tokens=0)
    for given in (answer(), answer(), answer(finish_reason="stop", usage=usage)):
        metrics.answered(given, 0.0)
    told = shown(metrics)
    assert reading(told, "tallyglass_request_success_total", finished_reason="length") == 2
    assert reading(told, "tallyglass_request_success_total", finished_reason="stop") == 1
    assert reading(told, "tallyglass_generation_tokens_total") == 5 + 5 + 9
    assert reading(told, "tallyglass_prompt_tokens_total") == 17 + 17 + 29
    assert reading(told, "tallyglass_prompt_tokens_cached_total") == 3 + 3


def test_the_prefix_cache_and_the_lens_are_counted_where_they_were_used() -> None:
    metrics = Metrics()
    for cache in ("hit", "miss", "hit", None):
        metrics.answered(answer(cache=cache, lens=LensTrace(num_layers=4, steps=[]) if cache else None), 0.0)
    told = shown(metrics)
    assert reading(told, "tallyglass_prefix_cache_total", result="hit") == 2
    assert reading(told, "tallyglass_prefix_cache_total", result="miss") == 1
    assert told.count("tallyglass_prefix_cache_total{") == 2
    assert reading(told, "tallyglass_lens_requests_total") == 3


@pytest.mark.parametrize(("objective_ms", "bounds"), [(350.0, (0.25, 0.35, 0.5)), (250.0, (0.1, 0.25, 0.5))])
def test_the_latency_has_a_bucket_that_ends_at_the_objective(objective_ms: float, bounds: tuple[float, ...]) -> None:
    metrics = Metrics(objective_ms)
    for seconds in (0.2, 0.3, 0.4):
        metrics.ended("/v1/answer", 200, "int8", seconds)
    told = shown(metrics)
    assert reading(told, "tallyglass_objective_seconds") == objective_ms / 1000
    counted = [reading(told, f"{E2E}_bucket", le=str(at), route="/v1/answer", status="200") for at in bounds]
    assert counted == [sum(seconds <= at for seconds in (0.2, 0.3, 0.4)) for at in bounds]
    assert told.count(f"{E2E}_bucket{{") == len({*SECONDS, objective_ms / 1000}) + 1
    assert "objective" not in shown(Metrics())


def test_the_model_is_reported_with_its_variant_and_revision() -> None:
    routes = Routes(Settings(), CARD, RequestTypes(QwenVLRequest, QwenVLChat), Answering(Worker()))
    told = shown(routes.metrics)
    assert reading(told, "tallyglass_model_info", model="some/model", revision="r7", variant="int8") == 1


def test_the_routes_know_the_objective_and_the_jobs_of_the_worker() -> None:
    worker = Answering(Worker(running=3, waiting=1))
    routes = Routes(Settings(objective_ms=70), CARD, RequestTypes(QwenVLRequest, QwenVLChat), worker)
    told = shown(routes.metrics)
    assert reading(told, "tallyglass_objective_seconds") == 0.07
    assert reading(told, "tallyglass_num_requests_running") == 3
    assert reading(told, "tallyglass_num_requests_waiting") == 1


def test_the_worker_is_watched_and_so_are_the_processes() -> None:
    metrics = Metrics()
    metrics.watch_worker(Answering(Worker(running=5, waiting=3, silent_s=1.5, restarts=2)))
    told = shown(metrics)
    assert reading(told, "tallyglass_num_requests_running") == 5
    assert reading(told, "tallyglass_num_requests_waiting") == 3
    assert reading(told, "tallyglass_worker_restarts_total") == 2
    assert reading(told, "tallyglass_worker_heartbeat_age_seconds") == 1.5
    memory = "tallyglass_process_resident_memory_bytes"
    for name, pid in (("main", os.getppid()), ("http", os.getpid())):
        assert reading(told, memory, process=name) == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.2)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_counted_under_its_route_alone(path: str, *, stream: bool) -> None:
    desk = Desk.of_qwen_vl()
    fields = {**ROUTES[path], "stream": True} if stream and "chat" in path else ROUTES[path]
    for _ in range(3):
        assert desk.send("POST", path, json=fields).status_code == 200
    for route in ROUTES:
        expected = 3 if route == path else 0
        assert desk.counted("tallyglass_requests_total", route=route, status="200", variant="int8") == expected
        assert desk.counted(f"{E2E}_count", route=route, status="200") == expected
    assert 0 < desk.counted(f"{E2E}_sum", route=path, status="200") < 60
    assert desk.counted("tallyglass_request_inference_time_seconds_sum") == pytest.approx(3 * 2.0)
    assert desk.counted("tallyglass_request_queue_time_seconds_sum") == pytest.approx(3 * 0.04)
    assert desk.counted("tallyglass_generation_tokens_total") == 3 * 5
    assert "tallyglass_requests_unanswered_total{" not in desk.send("GET", "/metrics").text


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (400, "refused", "malformed_request"),
        (422, "refused", "invalid_value"),
        (500, "failed", "internal_error"),
        (504, "deadline_exceeded", "deadline_exceeded"),
    ],
)
def test_a_refusal_is_counted_and_timed_by_its_status_and_adds_no_parts(
    path: str, status: int, outcome: str, reason: str
) -> None:
    desk = Desk.of_qwen_vl()
    if status == 500:
        desk.worker.fails = True
    desk.worker.replies = (lambda: [DeadlineError("late")]) if status == 504 else desk.worker.replies
    body: dict[int, dict[str, Any]] = {400: {"content": b"{"}, 422: {"json": {**ROUTES[path], "best_of": 2}}}
    desk.send("POST", path, **body.get(status, {"json": ROUTES[path]}))
    told = desk.send("GET", "/metrics").text
    assert reading(told, "tallyglass_requests_total", route=path, status=str(status), variant="int8") == 1
    assert told.count("tallyglass_requests_total{") == 1
    assert reading(told, f"{E2E}_count", route=path, status=str(status)) == 1
    assert told.count(f"{E2E}_count{{") == 1
    assert reading(told, "tallyglass_requests_unanswered_total", outcome=outcome, reason=reason) == 1
    assert told.count("tallyglass_requests_unanswered_total{") == 1
    for part in ("queue", "preprocess", "inference"):
        assert reading(told, f"tallyglass_request_{part}_time_seconds_count") == 0
    assert reading(told, "tallyglass_generation_tokens_total") == 0


def test_the_pixels_of_each_image_that_is_taken_are_counted() -> None:
    desk = Desk.of_qwen_vl(max_image_pixels=70_000)
    small, large, too_large = (encode(Image.new("RGB", size)) for size in ((90, 70), (300, 200), (300, 400)))
    assert desk.chat(turn(small, large, "?")).status_code == 200
    assert desk.answer(image=b64(too_large), question="?").status_code == 413
    told = desk.send("GET", "/metrics").text
    assert reading(told, "tallyglass_image_pixels_count") == 2
    assert reading(told, "tallyglass_image_pixels_sum") == 90 * 70 + 300 * 200
    assert [reading(told, "tallyglass_image_pixels_bucket", le=at) for at in ("10000.0", "50000.0", "100000.0")] == [
        1,
        1,
        2,
    ]


def test_a_request_is_in_flight_until_it_is_answered() -> None:
    desk = Desk.of_qwen_vl()
    seen: list[float] = []

    def replies() -> list[Any]:
        seen.append(reading(shown(desk.routes.metrics), "tallyglass_requests_in_flight"))
        return [answer()]

    desk.worker.replies = replies
    for path, fields in ROUTES.items():
        desk.send("POST", path, json=fields)
    assert seen == [1, 1]
    assert desk.counted("tallyglass_requests_in_flight") == 0


PROMETHEUS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain"


@pytest.mark.parametrize(
    ("accept", "content_type", "ending"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF\n"),
    ],
)
def test_the_exposition_is_of_this_service_alone_in_the_format_that_is_asked_for(
    accept: str, content_type: str, ending: str
) -> None:
    desk = Desk.of_qwen_vl()
    desk.answer(**ROUTES["/v1/answer"])
    told = desk.send("GET", "/metrics", headers={"Accept": accept})
    assert told.headers["content-type"].startswith(content_type)
    assert told.text.endswith(ending)
    assert ("# EOF" in told.text) == (ending == "# EOF\n")
    assert "_created" not in told.text
    names = {line.split()[2] for line in told.text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("tallyglass_") for name in names)


def test_each_figure_is_described_in_a_sentence() -> None:
    metrics = Metrics(500)
    metrics.watch_worker(Answering(Worker()))
    told = shown(metrics).splitlines()
    sentences = [line.split(maxsplit=3)[3] for line in told if line.startswith("# HELP")]
    assert len(sentences) == sum(line.startswith("# TYPE") for line in told)
    wrong = [sentence for sentence in sentences if not re.fullmatch("[A-Z][A-Za-z0-9]* .*[a-z][.]", sentence)]
    assert wrong == []
