"""What one answer adds to the metrics; dashboards and alerts depend on their names and units."""

import re
from typing import Any

import pytest
from PIL import Image

from services.common.http.metrics import Metrics
from services.common.http.routes import RequestTypes, Routes
from services.wire.answer import QwenVLRequest, Timing
from services.wire.chat import QwenVLChat
from services.wire.errors import DeadlineError
from tests.images import encode
from tests.unit.common.http.serving import CARD, Answering, Desk, Settings, Worker, answer, b64, reading, response, turn

ROUTES: dict[str, dict[str, Any]] = {
    "/v1/answer": {"image": b64(encode(Image.new("RGB", (7, 5)))), "question": "How many?"},
    "/v1/chat/completions": {"messages": [turn("How many?")]},
}
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def of_one_answer(**changes: Any) -> str:
    metrics = Metrics()
    metrics.answered(response(**changes))
    return metrics.render().decode()


@pytest.mark.parametrize(
    ("part", "seconds"), [("queue", 0.04), ("preprocess", 0.3), ("inference", 2.0), ("request", 7.0)]
)
def test_each_time_is_counted_under_its_name_in_seconds(part: str, seconds: float) -> None:
    timing = Timing(queue_ms=40, preprocess_ms=300, inference_ms=2000, total_ms=7000)
    told = of_one_answer(timing=timing)
    name = f"tallyglass_{part}_seconds"
    assert reading(told, f"{name}_sum") == pytest.approx(seconds)
    assert reading(told, f"{name}_count") == 1
    within = {bound: reading(told, f"{name}_bucket", le=str(bound)) for bound in BOUNDS}
    assert within == {bound: float(seconds <= bound) for bound in BOUNDS}
    assert told.count(f"{name}_bucket{{") == len(BOUNDS) + 1, "and the one without a bound"


def test_tokens_are_counted_by_how_the_answer_ended() -> None:
    metrics = Metrics()
    metrics.answered(response(finish_reason="length"))
    metrics.answered(response(finish_reason="length"))
    metrics.answered(response(finish_reason="stop", usage=response().usage.model_copy(update={"completion_tokens": 9})))
    told = metrics.render().decode()
    assert reading(told, "tallyglass_completion_tokens_total", reason="length") == 5 + 5
    assert reading(told, "tallyglass_completion_tokens_total", reason="stop") == 9


def test_the_prefix_cache_is_counted_by_its_result_and_its_tokens() -> None:
    metrics = Metrics()
    for cache in ("hit", "miss", "hit", None):
        metrics.answered(response(cache=cache))
    told = metrics.render().decode()
    assert reading(told, "tallyglass_prefix_cache_total", result="hit") == 2
    assert reading(told, "tallyglass_prefix_cache_total", result="miss") == 1
    assert told.count("tallyglass_prefix_cache_total{") == 2
    assert reading(told, "tallyglass_cached_tokens_total") == 4 * 3


def test_the_model_is_reported_with_its_variant_and_revision() -> None:
    routes = Routes(Settings(), CARD, RequestTypes(QwenVLRequest, QwenVLChat), Answering(Worker()))
    told = routes.metrics.render().decode()
    assert reading(told, "tallyglass_model_info", model="some/model", revision="r7", variant="int8") == 1


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_counted_under_its_route_alone(path: str, *, stream: bool) -> None:
    desk = Desk.of_qwen_vl()
    fields = {**ROUTES[path], "stream": True} if stream and "chat" in path else ROUTES[path]
    for _ in range(3):
        assert desk.send("POST", path, json=fields).status_code == 200
    for route in ROUTES:
        expected = 3 if route == path else 0
        assert desk.counted("tallyglass_requests_total", route=route, status="200") == expected
    assert desk.counted("tallyglass_request_seconds_count") == 3
    assert 0 < desk.counted("tallyglass_request_seconds_sum") < 60
    assert desk.counted("tallyglass_inference_seconds_sum") == pytest.approx(3 * 2.0)
    assert desk.counted("tallyglass_queue_seconds_sum") == pytest.approx(3 * 0.04)
    assert desk.counted("tallyglass_completion_tokens_total", reason="length") == 3 * 5


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("status", [400, 422, 500, 504])
def test_a_refusal_is_counted_by_its_status_and_adds_no_times(path: str, status: int) -> None:
    desk = Desk.of_qwen_vl()
    if status == 500:
        desk.worker.fails = True
    desk.worker.replies = (lambda: [DeadlineError("late")]) if status == 504 else desk.worker.replies
    body: dict[int, dict[str, Any]] = {400: {"content": b"{"}, 422: {"json": {**ROUTES[path], "best_of": 2}}}
    desk.send("POST", path, **body.get(status, {"json": ROUTES[path]}))
    told = desk.send("GET", "/metrics").text
    assert reading(told, "tallyglass_requests_total", route=path, status=str(status)) == 1
    assert told.count("tallyglass_requests_total{") == 1
    for part in ("request", "queue", "preprocess", "inference"):
        assert reading(told, f"tallyglass_{part}_seconds_count") == 0
    assert "tallyglass_completion_tokens_total{" not in told


def test_a_request_is_in_flight_until_it_is_answered() -> None:
    desk = Desk.of_qwen_vl()
    seen: list[float] = []

    def replies() -> list[Any]:
        seen.append(reading(desk.routes.metrics.render().decode(), "tallyglass_requests_in_flight"))
        return [answer()]

    desk.worker.replies = replies
    for path, fields in ROUTES.items():
        desk.send("POST", path, json=fields)
    assert seen == [1, 1]
    assert desk.counted("tallyglass_requests_in_flight") == 0


def test_the_exposition_is_of_this_service_alone_and_in_prometheus_text_format() -> None:
    answer = Desk.of_qwen_vl().send("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("tallyglass_") for name in names)


def test_each_figure_is_described_in_a_sentence() -> None:
    told = Metrics().render().decode().splitlines()
    sentences = [line.split(maxsplit=3)[3] for line in told if line.startswith("# HELP")]
    assert len(sentences) == sum(line.startswith("# TYPE") for line in told)
    assert [sentence for sentence in sentences if not re.fullmatch("[A-Z][a-z]* .*[a-z][.]", sentence)] == []
